"""The first few places in order: a list of them in local memory, into which what comes before its last is put.

An element that does is rare, the further on the rarer: whole tiles are compared with the last one of the list, and
looked into where an element is smaller. The list is in order, and of equal elements the earlier stays before.
"""

from __future__ import annotations

from terrace.dialects.base import attributes_of, element_type_of
from terrace.lowering.graph.payload_types import cast, compare, compute_type
from terrace.lowering.kernels.builder import Index, LoopBuilder, Span
from terrace.lowering.kernels.places import integer_of_places
from terrace.lowering.kernels.sort.keys import key_type, keys_of
from terrace.lowering.kernels.view import KernelView
from terrace.mlir import arith, ir, memref

EMPTY = -1
"""The place of an entry that nothing was put into."""


class First:
    """One kernel's loops: `count` places of each row, or of lines side by side."""

    def __init__(self, b: LoopBuilder, kernel: KernelView) -> None:
        self.b, self.kernel = b, kernel
        self.descending = attributes_of(kernel.root).descending
        (self.memory,), (self.result,) = [kernel.memory_of(v) for v in kernel.root.operands], kernel.results_memory
        self.size, self.count = b.size(self.memory, 1), b.size(self.result, 1)
        assert isinstance(self.count, int), "the family refuses others"
        self.element = element_type_of(self.memory)
        self.key, self.integer = key_type(self.element), integer_of_places(self.memory)
        self.i64 = ir.IntegerType.get_signless(64)

    def rows(self, where: dict[str, Span]) -> None:
        """Of one row."""
        b, row, tile = self.b, where["m"][0], self.kernel.schedule.tile("n")
        entries = _Entries(b, self.count, (), self.key, self.integer)
        block = b.alloc([1, tile], self.key)
        with b.for_each(0, self.count) as column:
            entries.put(self.key_at([row, column]), self.place(column), fills=True)

        def look(offset: Index, size: int, valid: Index | None) -> None:
            first = b.add(offset, self.count)
            keys = self.load([row, first], (1, size), (0, 1), (None, valid))
            with b.when(b.any_tile(entries.precede(keys))):
                b.store(keys, block, [0, 0], [0, 1])
                with b.for_each(0, size if valid is None else valid) as at:
                    key = memref.load(block, [b.value(0), b.value(at)])
                    with b.when(entries.precede(key)):
                        entries.put(key, self.place(b.add(first, at)))

        b.tiles(0, 0, b.sub(self.size, self.count), tile, look)
        with b.for_each(0, self.count) as column:
            place = cast(memref.load(entries.places, [b.value(column)]), self.i64)
            memref.store(place, self.result, [b.value(row), b.value(column)])

    def lines(self, where: dict[str, Span]) -> None:
        """Of lines side by side, across which the vectors run."""
        b, outer, (start, width, valid) = self.b, where["m"][0], where["l"]
        entries = _Entries(b, self.count, (width,), self.key, self.integer)

        def put(at: Index, fills: bool) -> None:
            keys = self.load([outer, at, start], (width,), (2,), (valid,))
            if fills:
                entries.put(keys, b.spread((width,), self.place(at)), fills=True)
                return
            with b.when(b.any_tile(entries.precede(keys))):
                entries.put(keys, b.spread((width,), self.place(at)))

        with b.for_each(0, self.count) as at:
            put(at, fills=True)
        with b.for_each(self.count, self.size) as at:
            put(at, fills=False)
        with b.for_each(0, self.count) as at:
            places = cast(b.load(entries.places, [at, 0], (width,), (1,)), self.i64)
            b.store(places, self.result, [outer, at, start], (2,), valid=(valid,))

    def load(
        self, at: list[Index], shape: tuple[int, ...], dims: tuple[int, ...], valid: tuple[Index | None, ...]
    ) -> ir.Value:
        """The keys of a tile of elements."""
        return keys_of(self.b.load(self.memory, at, shape, dims, valid=valid), self.descending)

    def key_at(self, at: list[Index]) -> ir.Value:
        """The key of one element."""
        value = memref.load(self.memory, [self.b.value(index) for index in at])
        return keys_of(cast(value, compute_type(self.element)), self.descending)

    def place(self, index: Index) -> ir.Value:
        return arith.index_cast(self.integer, self.b.value(index))


class _Entries:
    """The first entries so far, in order: keys and places, numbers or tiles of lines side by side."""

    def __init__(
        self, b: LoopBuilder, count: int, shape: tuple[int, ...], key: ir.IntegerType, place: ir.IntegerType
    ) -> None:
        self.b, self.count, self.shape = b, count, shape
        self.keys, self.places = (b.alloc([count, *shape], type_) for type_ in (key, place))
        with b.for_each(0, count) as at:
            empty = b.splat(shape, place, EMPTY) if shape else arith.constant(place, EMPTY)
            self._write(self.places, at, empty)

    def precede(self, keys: ir.Value) -> ir.Value:
        """Whether keys come before the last entry: not if they are equal."""
        last = self.count - 1
        if isinstance(keys.type, ir.VectorType) and not self.shape:
            shape = ir.VectorType(keys.type).shape
            limit = self.b.load(self.keys, [last], shape, [-1] * len(shape))
        else:
            limit = self._read(self.keys, last)
        return compare("lt", keys, limit)

    def put(self, key: ir.Value, place: ir.Value, fills: bool = False) -> None:
        """Move an entry in behind those that are not after it. Where it `fills`, the last ones may be empty."""

        def step(at: Index, new: list[ir.Value]) -> list[ir.Value]:
            old = [self._read(memory, at) for memory in (self.keys, self.places)]
            is_before = compare("lt", new[0], old[0])
            # What moved on stays before its equals.
            is_earlier = arith.andi(compare("eq", new[0], old[0]), compare("lt", new[1], old[1]))
            is_before = arith.ori(is_before, is_earlier)
            if fills:
                empty = self.b.splat(self.shape, self._integer, EMPTY) if self.shape else self._number(EMPTY)
                is_before = arith.ori(is_before, compare("eq", old[1], empty))
            for memory, mine, theirs in zip((self.keys, self.places), new, old, strict=True):
                self._write(memory, at, arith.select(is_before, mine, theirs))
            return [arith.select(is_before, theirs, mine) for mine, theirs in zip(new, old, strict=True)]

        self.b.reduce_all(0, self.count, 1, [key, place], step)

    @property
    def _integer(self) -> ir.Type:
        return element_type_of(self.places)

    def _number(self, value: int) -> ir.Value:
        return arith.constant(self._integer, value)

    def _read(self, memory: ir.Value, at: Index) -> ir.Value:
        if self.shape:
            return self.b.load(memory, [at, 0], self.shape, (1,))
        return memref.load(memory, [self.b.value(at)])

    def _write(self, memory: ir.Value, at: Index, value: ir.Value) -> None:
        if self.shape:
            self.b.store(value, memory, [at, 0], (1,))
        else:
            memref.store(value, memory, [self.b.value(at)])
