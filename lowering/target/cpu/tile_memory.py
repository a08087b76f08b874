"""How a CPU moves tiles between memory and vectors: plain, masked, repeated, transposed and strided accesses."""

from __future__ import annotations

from terrace.lowering.target.cpu.tile import Piece, Tile, TileType
from terrace.lowering.target.cpu.tile_transpose import is_transposed, load_columns, store_columns
from terrace.lowering.target.tile_access import Access, index_constant
from terrace.mlir import arith, ir, memref, scf, vector


class TileMemory:
    """Emits the loads and stores of tiles at the current insertion point."""

    # -- addresses ------------------------------------------------------------------------------------------------

    def _position(
        self, access: Access, position: tuple[int, ...], shape: tuple[int, ...], clamp: bool
    ) -> list[ir.Value]:
        """The indices of the element at `position` of the tile; clamped into bounds where the tile may be partial."""
        indices = list(access.indices)
        for t, (at, dim, stride) in enumerate(zip(position, access.dims, access.strides, strict=True)):
            if dim < 0 or at == 0:
                continue
            offset = index_constant(at * stride)
            if clamp and access.may_be_partial(t, shape[t]):
                last = arith.subi(access.sizes[t], index_constant(1))
                clamped = arith.minsi(index_constant(at), last)
                offset = clamped if stride == 1 else arith.muli(clamped, index_constant(stride))
            indices[dim] = arith.addi(indices[dim], offset)
        return indices

    def _mask(self, access: Access, piece: Piece, size: int) -> ir.Value | None:
        """The mask of a piece, or None if all its lanes are in bounds."""
        mask_type = ir.VectorType.get([piece.lanes], ir.IntegerType.get_signless(1))
        if access.may_be_partial(-1, size):
            count = arith.subi(access.sizes[-1], index_constant(piece.offset)) if piece.offset else access.sizes[-1]
            return vector.create_mask(mask_type, [count])
        if piece.count == piece.lanes:
            return None
        return vector.create_mask(mask_type, [index_constant(piece.count)])

    # -- loads ----------------------------------------------------------------------------------------------------

    def load(self, access: Access, type_: TileType) -> Tile:
        if is_transposed(access, type_):
            return Tile(type_, load_columns(type_, lambda *place: self._load_column(access, type_, *place)))
        values: list[ir.Value] = []
        rows: dict[tuple[int, ...], list[ir.Value]] = {}
        for row in range(type_.rows):
            index = type_.row_index(row)
            moving = tuple(at for at, dim in zip(index, access.dims, strict=False) if dim >= 0)
            if moving not in rows:
                rows[moving] = self._load_row(access, type_, index)
            values += rows[moving]
        return Tile(type_, values)

    def _load_row(self, access: Access, type_: TileType, index: tuple[int, ...]) -> list[ir.Value]:
        row: list[ir.Value] = []
        for piece in type_.pieces:
            piece_type = piece.type_of(type_.element_type)
            if piece.lanes == 1:
                row.append(self._scalar(access, type_, (*index, piece.offset)))
            elif access.repeated:
                scalar = self._scalar(access, type_, (*index, 0))
                row.append(vector.broadcast(piece_type, scalar))
            elif access.contiguous:
                row.append(self._load_run(access, type_, index, piece, piece_type))
            else:
                elements = [
                    self._scalar(access, type_, (*index, piece.offset + min(i, piece.count - 1)))
                    for i in range(piece.lanes)
                ]
                row.append(vector.from_elements(piece_type, elements))
        return row

    def _scalar(self, access: Access, type_: TileType, position: tuple[int, ...]) -> ir.Value:
        return memref.load(access.memory, self._position(access, position, type_.shape, clamp=True))

    def _load_run(
        self, access: Access, type_: TileType, index: tuple[int, ...], piece: Piece, piece_type: ir.Type
    ) -> ir.Value:
        start = self._row_start(access, type_, index, piece)
        mask = self._mask(access, piece, type_.shape[-1])
        if mask is None:
            return vector.load(piece_type, access.memory, start)
        zero = self._zero(piece_type, type_.element_type)
        return vector.maskedload(piece_type, access.memory, start, mask, zero)

    def _load_column(self, access: Access, type_: TileType, row: int, column: int, count: int) -> ir.Value:
        """Elements of a column from `row` on, in a whole vector."""
        column_type = ir.VectorType.get([type_.lanes], type_.element_type)
        start, mask = self._column(access, type_, row, column, count, clamp=True)
        if mask is None:
            return vector.load(column_type, access.memory, start)
        return vector.maskedload(column_type, access.memory, start, mask, self._zero(column_type, type_.element_type))

    def _column(
        self, access: Access, type_: TileType, row: int, column: int, count: int, clamp: bool
    ) -> tuple[list[ir.Value], ir.Value | None]:
        """Where `count` elements of a column start, and their mask, if they may be fewer than a vector has."""
        start = self._position(access, (0, column), type_.shape, clamp)
        start[-1] = arith.addi(start[-1], index_constant(row)) if row else start[-1]
        mask_type = ir.VectorType.get([type_.lanes], ir.IntegerType.get_signless(1))
        if access.may_be_partial(0, type_.shape[0]):
            bound = arith.subi(access.sizes[0], index_constant(row)) if row else access.sizes[0]
            return start, vector.create_mask(mask_type, [bound])
        return start, vector.create_mask(mask_type, [index_constant(count)]) if count < type_.lanes else None

    def _row_start(self, access: Access, type_: TileType, index: tuple[int, ...], piece: Piece) -> list[ir.Value]:
        start = self._position(access, (*index, 0), type_.shape, clamp=True)
        if piece.offset:
            start[access.dims[-1]] = arith.addi(start[access.dims[-1]], index_constant(piece.offset))
        return start

    def _zero(self, piece_type: ir.Type, element_type: ir.Type) -> ir.Value:
        is_float = isinstance(element_type, ir.FloatType)
        zero = ir.FloatAttr.get(element_type, 0.0) if is_float else ir.IntegerAttr.get(element_type, 0)
        return arith.constant(piece_type, ir.DenseElementsAttr.get_splat(piece_type, zero))

    # -- stores ---------------------------------------------------------------------------------------------------

    def store(self, access: Access, tile: Tile) -> None:
        if is_transposed(access, tile.type):
            store_columns(tile.type, tile.values, lambda *place: self._store_column(access, tile.type, *place))
            return
        pieces = tile.type.pieces
        for row in range(tile.type.rows):
            index = tile.type.row_index(row)
            values = tile.values[row * len(pieces) : (row + 1) * len(pieces)]
            condition = self._row_in_bounds(access, tile.type, index)
            if condition is None:
                self._store_row(access, tile.type, index, values)
                continue
            branch = scf.IfOp(condition)
            with ir.InsertionPoint(branch.then_block):
                self._store_row(access, tile.type, index, values)
                scf.YieldOp([])

    def _store_column(
        self, access: Access, type_: TileType, row: int, column: int, count: int, value: ir.Value
    ) -> None:
        def store() -> None:
            start, mask = self._column(access, type_, row, column, count, clamp=False)
            if mask is None:
                vector.store(value, access.memory, start)
            else:
                vector.maskedstore(access.memory, start, mask, value)

        if column == 0 or not access.may_be_partial(1, type_.shape[1]):
            store()
            return
        branch = scf.IfOp(arith.cmpi(arith.CmpIPredicate.slt, index_constant(column), access.sizes[1]))
        with ir.InsertionPoint(branch.then_block):
            store()
            scf.YieldOp([])

    def _row_in_bounds(self, access: Access, type_: TileType, index: tuple[int, ...]) -> ir.Value | None:
        """Whether a row of a partial tile is in bounds; None if it always is (the first row is)."""
        condition = None
        for t, at in enumerate(index):
            if at == 0 or not access.may_be_partial(t, type_.shape[t]):
                continue
            inside = arith.cmpi(arith.CmpIPredicate.slt, index_constant(at), access.sizes[t])
            condition = inside if condition is None else arith.andi(condition, inside)
        return condition

    def _store_row(self, access: Access, type_: TileType, index: tuple[int, ...], values: list[ir.Value]) -> None:
        for piece, value in zip(type_.pieces, values, strict=True):
            if piece.lanes == 1 and self._mask_free(access, type_):
                memref.store(value, access.memory, self._position(access, (*index, piece.offset), type_.shape, False))
            elif access.contiguous and piece.lanes > 1:
                start = self._position(access, (*index, 0), type_.shape, clamp=False)
                if piece.offset:
                    start[-1] = arith.addi(start[-1], index_constant(piece.offset))
                mask = self._mask(access, piece, type_.shape[-1])
                if mask is None:
                    vector.store(value, access.memory, start)
                else:
                    vector.maskedstore(access.memory, start, mask, value)
            else:
                self._store_elements(access, type_, index, piece, value)

    def _mask_free(self, access: Access, type_: TileType) -> bool:
        return not access.may_be_partial(-1, type_.shape[-1])

    def _store_elements(
        self, access: Access, type_: TileType, index: tuple[int, ...], piece: Piece, value: ir.Value
    ) -> None:
        """Element by element: memory is strided along the row."""
        for i in range(piece.count):
            element = value if piece.lanes == 1 else vector.extract(value, [], [i])
            at = piece.offset + i
            position = self._position(access, (*index, at), type_.shape, clamp=False)
            if self._mask_free(access, type_) or at == 0:
                memref.store(element, access.memory, position)
                continue
            branch = scf.IfOp(arith.cmpi(arith.CmpIPredicate.slt, index_constant(at), access.sizes[-1]))
            with ir.InsertionPoint(branch.then_block):
                memref.store(element, access.memory, position)
                scf.YieldOp([])
