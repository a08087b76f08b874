"""What a compiled model takes and gives: the structure of its arguments and results, and what each leaf must be.

A signature is a pair of trees (containers) over a pair of flat lists (leaves). It is plain data, goes through
JSON, and is checked against a call's arguments before any native code sees them. This file imports neither
torch nor a compiler: tensors are known by their `shape` and `dtype` only.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from terrace.checks import CODE_DTYPE, Check
from terrace.errors import ArtifactError, InputError
from terrace.guards import Expression, Values, check_expression, compiled, holds, names_in, text_of
from terrace.structure import (
    TensorLike,
    Tree,
    dtype_name,
    flatten,
    in_words,
    is_tensor,
    refuse,
    registered_values,
    unflatten,
)

LeafKind = Literal["tensor", "constant", "scalar"]

DTYPES = (
    "float32", "float64", "float16", "bfloat16", "bool",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float8_e4m3fn", "float8_e5m2",
)  # fmt: skip
"""The element types of tensor leaves, by NumPy's (and ml_dtypes') names."""

COMPLEX = {"complex64": "float32", "complex128": "float64"}
"""The complex element types of tensor leaves. The program takes and gives each as one of reals, with one more axis: the
real and the imaginary part."""

MOST_ACCEPTED = 100
"""How many combinations of sizes a signature remembers to have accepted."""

SCALAR_DTYPES = ("int64", "float64", "bool")
"""The types of scalar leaves: Python's int, float and bool."""


@dataclasses.dataclass(frozen=True)
class Leaf:
    """What one leaf must be.

    - "tensor": `shape` (a size, or the name of a symbol: equal symbols are equal sizes in one call) and
      `dtype`.
    - "scalar": a Python number that the program takes or gives; `dtype` is "int64", "float64" or "bool".
    - "constant": a Python value baked into the program. An input must equal `value`, an output is `value`.

    `alias` is for output tensors: the index of an earlier output leaf that eager returns as the very same
    tensor. The program does not return it again. Outputs without it never share memory with each other.
    `argument` is for output tensors that are an argument, which the model writes to: the index of that input leaf.
    """

    kind: LeafKind
    shape: list[int | str] = dataclasses.field(default_factory=list)
    dtype: str = "float32"
    value: Any = None
    alias: int | None = None
    argument: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(LeafKind):
            raise ValueError(f"unknown leaf kind {self.kind!r}; expected one of {', '.join(get_args(LeafKind))}")
        if self.kind == "tensor" and self.dtype not in (*DTYPES, *COMPLEX):
            known = ", ".join((*DTYPES, *COMPLEX))
            raise ValueError(f"a tensor leaf cannot be {self.dtype!r}; expected one of {known}")
        if self.kind == "scalar" and self.dtype not in SCALAR_DTYPES:
            raise ValueError(f"a scalar leaf cannot be {self.dtype!r}; expected one of {', '.join(SCALAR_DTYPES)}")
        if not all(isinstance(size, str) or (isinstance(size, int) and size >= 0) for size in self.shape):
            raise ValueError(f"a shape holds sizes and symbol names, not {self.shape!r}")
        if self.kind == "constant" and not isinstance(self.value, (bool, int, float, str, type(None))):
            raise ValueError(f"a constant leaf is a Python scalar, a str or None, not {type(self.value).__name__}")

    def __str__(self) -> str:
        if self.kind == "tensor":
            return f"{self.dtype}[{', '.join(map(str, self.shape))}]"
        return repr(self.value) if self.kind == "constant" else f"a Python {_scalar_name(self.dtype)}"

    @property
    def program_shape(self) -> list[int | str]:
        """The shape of the program's argument or result."""
        return [*self.shape, 2] if self.dtype in COMPLEX else self.shape

    def to_json(self) -> dict[str, Any]:
        """The leaf as plain data: only the fields that its kind uses."""
        if self.kind == "constant":
            # JSON has no infinities and no NaN: floats travel as hexadecimal text, exactly.
            is_float = isinstance(self.value, float)
            return {"kind": self.kind, **({"hex": self.value.hex()} if is_float else {"value": self.value})}
        data: dict[str, Any] = {"kind": self.kind, "dtype": self.dtype}
        if self.kind == "tensor":
            data["shape"] = list(self.shape)
        if self.alias is not None:
            data["alias"] = self.alias
        if self.argument is not None:
            data["argument"] = self.argument
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Leaf:
        """The inverse of `to_json`; raises KeyError, TypeError or ValueError on other data."""
        value = float.fromhex(data["hex"]) if "hex" in data else data.get("value")
        dtype = data.get("dtype", "float32")
        return cls(data["kind"], list(data.get("shape", [])), dtype, value, data.get("alias"), data.get("argument"))


@dataclasses.dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a compiled model.

    `inputs` is the tree of the pair (args, kwargs): a tuple of a tuple and a dict. `ranges` bounds the
    symbols of dynamic sizes, [min, max] inclusive, max None for no bound. `parameters` are the names by which a call
    may give its positional arguments, in order, "" for one that has none; empty if they are not known. A program
    that `is_seeded` takes one more argument, the seed of its random numbers, an int64 of rank 0. `written`
    are the input leaves that the model writes to; the results after the model's are their new values.
    `checks` are those that the program makes: with any, it gives one more result, the last (`terrace.checks`).
    `guards` relate symbols and scalars, which are called as Python reaches them from the parameters' names.
    """

    inputs: Tree
    input_leaves: list[Leaf]
    outputs: Tree
    output_leaves: list[Leaf]
    ranges: dict[str, list[int | None]] = dataclasses.field(default_factory=dict)
    parameters: list[str] = dataclasses.field(default_factory=list)
    is_seeded: bool = False
    written: list[int] = dataclasses.field(default_factory=list)
    checks: list[Check] = dataclasses.field(default_factory=list)
    guards: list[Expression] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        pair = [item.kind for item in self.inputs.items]
        if self.inputs.kind != "tuple" or pair != ["tuple", "dict"]:
            raise ValueError("the inputs of a signature are a tuple of (args: tuple, kwargs: dict)")
        for what, tree, leaves in (
            ("inputs", self.inputs, self.input_leaves),
            ("outputs", self.outputs, self.output_leaves),
        ):
            if tree.leaf_count() != len(leaves):
                raise ValueError(f"the tree of the {what} has {tree.leaf_count()} leaves, {len(leaves)} are described")
        count = len(self.inputs.registered())
        if any(part.argument is None or not 0 <= part.argument < count for part in self.outputs.registered()):
            raise ValueError("a result of a registered class is none of the arguments")
        for guard in self.guards:
            check_expression(guard)
            if unknown := set(names_in(guard)) - self._names():
                raise ValueError(
                    f"the guard {text_of(guard)} is about {', '.join(sorted(unknown))}, which no input has"
                )
        for index, leaf in enumerate(self.output_leaves):
            if leaf.alias is not None and not 0 <= leaf.alias < index:
                raise ValueError(f"output leaf {index} is an alias of leaf {leaf.alias}, which does not precede it")
        written = [*self.written, *(leaf.argument for leaf in self.output_leaves if leaf.argument is not None)]
        tensors = [index for index, leaf in enumerate(self.input_leaves) if leaf.kind == "tensor"]
        if not set(written) <= set(tensors):
            raise ValueError(f"the input leaves {written} are written to; the tensors among them are {tensors}")

    def returned_leaves(self) -> list[Leaf]:
        """The output leaves that the program gives, in order; the others are constants, arguments or given already."""
        return [
            leaf
            for leaf in self.output_leaves
            if leaf.kind != "constant" and leaf.alias is None and leaf.argument is None
        ]

    def program_results(self) -> list[Leaf]:
        """What each result of the program is, in order."""
        code = [Leaf("tensor", [], CODE_DTYPE)] if self.checks else []
        return [*self.returned_leaves(), *(self.input_leaves[index] for index in self.written), *code]

    def input_paths(self) -> list[str]:
        """Where each input leaf stands in a call: `args[0]`, `kwargs['mask'][1]`."""
        args, kwargs = self.inputs.items
        return args.leaf_paths("args") + kwargs.leaf_paths("kwargs")

    def output_paths(self) -> list[str]:
        """Where each output leaf stands in the result: `result`, `result['logits']`."""
        return self.outputs.leaf_paths("result")

    def flatten(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """The leaves of a call, one for each of `input_leaves`, checked.

        Raises `InputError` that names the place, what was expected and found, and what to do, for a wrong
        structure, count, shape, dtype, scalar or constant, and for sizes that disagree or are out of range.
        """
        args_tree, kwargs_tree = self.inputs.items
        if len(args) != len(args_tree.items) or kwargs.keys() != set(kwargs_tree.keys):
            args, kwargs = self._bind(args, kwargs)
        leaves: list[tuple[Any, str]] = []
        _check_count(args_tree, args)
        for (item, path), value in zip(args_tree.children("args"), args, strict=True):
            flatten(item, value, path, leaves)
        flatten(kwargs_tree, kwargs, "kwargs", leaves)
        symbols: dict[str, tuple[int, str]] = {}
        for expected, (value, path) in zip(self.input_leaves, leaves, strict=True):
            _LEAF_CHECKS[expected.kind](expected, value, path)
            if expected.shape:
                self._bind_sizes(expected, value, path, symbols)
        if self.guards:
            self._check_guards(symbols, [value for value, _ in leaves])
        return [value for value, _ in leaves]

    def takes(self, name: str) -> bool:
        """Whether a call may give an argument by that name."""
        return name in self.parameters or name in self.inputs.items[1].keys

    def _bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """The arguments as the model was compiled with them, by position or by name: Python's own rule."""
        positional, keywords = (len(self.inputs.items[0].items), [str(key) for key in self.inputs.items[1].keys])
        names = self.parameters
        if positional > len(names) or len(args) > len(names):
            return args, kwargs  # There are arguments without names: their number must be right.
        given = dict(zip(names, args, strict=False))
        wanted = [*names[:positional], *keywords]
        takes = f"the model was compiled with ({', '.join(name or '<by position>' for name in wanted)})"
        for name in kwargs:
            if name in given or name not in wanted:
                what = "is given twice, by position and by name" if name in given else "is none of the model's"
                raise InputError(f"argument '{name}' {what}; {takes}")
        named = {**given, **kwargs}
        for name in (*wanted, *given):
            if name not in named or name not in wanted:
                what = "is missing" if name in wanted else "was left out when the model was compiled"
                raise InputError(f"argument '{name}' {what}; {takes}: pass these, or recompile")
        return [named[name] for name in wanted[:positional]], {name: named[name] for name in keywords}

    def registered_arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """The parts of a call's arguments that are of registered classes, if results are some of them."""
        if not self._returns_registered:
            return []
        args_tree, kwargs_tree = self.inputs.items
        if len(args) != len(args_tree.items) or kwargs.keys() != set(kwargs_tree.keys):
            args, kwargs = self._bind(args, kwargs)
        return registered_values(args_tree, tuple(args)) + registered_values(kwargs_tree, kwargs)

    @functools.cached_property
    def _returns_registered(self) -> bool:
        return bool(self.outputs.registered())

    def unflatten(self, leaves: Sequence[Any], arguments: Sequence[Any] = ()) -> Any:
        """The result of a call from one value for each of `output_leaves`, and what `registered_arguments` gives.

        A namedtuple or dataclass is rebuilt when a module that is already imported defines its class. Loading
        a model imports nothing, so without it the result is a plain tuple, or a `types.SimpleNamespace` for a
        dataclass.
        """
        if len(leaves) != len(self.output_leaves):
            raise ValueError(f"{len(leaves)} output leaves for {len(self.output_leaves)}")
        return unflatten(self.outputs, iter(leaves), arguments)

    def unflatten_arguments(self, leaves: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The inverse of `flatten`: args and kwargs from one value for each of `input_leaves`."""
        args, kwargs = unflatten(self.inputs, iter(leaves))
        return args, kwargs

    def flatten_result(self, result: Any) -> list[Any]:
        """The inverse of `unflatten`: the leaves of a result, unchecked but for its structure."""
        leaves: list[tuple[Any, str]] = []
        flatten(self.outputs, result, "result", leaves)
        return [value for value, _ in leaves]

    def _bind_sizes(self, leaf: Leaf, value: TensorLike, path: str, symbols: dict[str, tuple[int, str]]) -> None:
        """Check the sizes of a tensor of the right rank against `leaf`, and bind its symbols."""
        for axis, (want, size) in enumerate(zip(leaf.shape, map(int, value.shape), strict=True)):
            here = f"size {axis} of {path}"
            if isinstance(want, int):
                if size != want:
                    refuse(path, f"{leaf}", in_words(value), f"size {axis} must be {want}: reshape or recompile")
                continue
            bound, where = symbols.setdefault(want, (size, here))
            if bound != size:
                raise InputError(
                    f"{here}: expected {want} = {bound}, as in {where}, found {size}; "
                    f"dynamic sizes of one name must be equal in one call"
                )
            low, high = self.ranges.get(want, [0, None])
            if size < (low or 0) or (high is not None and size > high):
                raise InputError(
                    f"{here}: expected {low or 0} <= {want} <= {'any' if high is None else high}, found {size}; "
                    f"give a size in that range, or compile with other dynamic_shapes"
                )

    @functools.cached_property
    def _scalars(self) -> list[tuple[int, str]]:
        """The places of the scalars among the input leaves, and what guards call them."""
        names = [user_path(path, self.parameters) for path in self.input_paths()]
        return [(index, names[index]) for index, leaf in enumerate(self.input_leaves) if leaf.kind == "scalar"]

    @functools.cached_property
    def _compiled_guards(self) -> list[Callable[[Values], Any]]:
        return [compiled(guard) for guard in self.guards]

    @functools.cached_property
    def _accepted(self) -> set[tuple[float, ...]]:
        """Sizes and scalars that met the guards, some of them: a call mostly has those of an earlier one."""
        return set()

    def _names(self) -> set[str]:
        """All that a guard may be about."""
        sizes = {size for leaf in self.input_leaves for size in leaf.shape if isinstance(size, str)}
        return sizes | {name for _, name in self._scalars}

    def _check_guards(self, symbols: Mapping[str, tuple[int, str]], leaves: Sequence[Any]) -> None:
        """Raise `InputError` for a relation of sizes and scalars that does not hold."""
        values = {name: size for name, (size, _) in symbols.items()}
        values.update((name, leaves[index]) for index, name in self._scalars)
        key = tuple(values.values())
        if key in self._accepted:
            return
        for guard, function in zip(self.guards, self._compiled_guards, strict=True):
            if not holds(function, values):
                found = [
                    f"{name} = {values[name]}" + (f" ({symbols[name][1]})" if name in symbols else "")
                    for name in names_in(guard)
                ]
                raise InputError(
                    f"the inputs do not meet `{text_of(guard)}`, which the model needs: found "
                    f"{', '.join(found)}; give others, or compile with other dynamic_shapes"
                )
        if len(self._accepted) < MOST_ACCEPTED:
            self._accepted.add(key)

    def to_json(self) -> dict[str, Any]:
        """The signature as plain data for JSON."""
        return {
            "inputs": self.inputs.to_json(),
            "input_leaves": [leaf.to_json() for leaf in self.input_leaves],
            "outputs": self.outputs.to_json(),
            "output_leaves": [leaf.to_json() for leaf in self.output_leaves],
            "ranges": {name: list(bounds) for name, bounds in self.ranges.items()},
            "parameters": list(self.parameters),
            "is_seeded": self.is_seeded,
            **({"written": list(self.written)} if self.written else {}),
            "checks": [check.to_json() for check in self.checks],
            "guards": list(self.guards),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Signature:
        """The inverse of `to_json`; raises `ArtifactError` on other data."""
        try:
            return cls(
                Tree.from_json(data["inputs"]),
                [Leaf.from_json(leaf) for leaf in data["input_leaves"]],
                Tree.from_json(data["outputs"]),
                [Leaf.from_json(leaf) for leaf in data["output_leaves"]],
                {str(name): _range(bounds) for name, bounds in data["ranges"].items()},
                [str(name) for name in data.get("parameters", [])],
                data.get("is_seeded", False) is True,
                [int(index) for index in data.get("written", [])],
                [Check.from_json(check) for check in data.get("checks", [])],
                [*data.get("guards", [])],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(
                f"the signature in the file is malformed ({error!r}); compile and save the model again"
            ) from error


def _range(bounds: Any) -> list[int | None]:
    """The bounds of a size, of which either may be open."""
    low, high = bounds
    if not all(bound is None or type(bound) is int for bound in (low, high)):
        raise ValueError(f"a range of sizes is two numbers, got {bounds!r}")
    return [low, high]


def user_path(path: str, parameters: Sequence[str]) -> str:
    """How Python reaches an input from the parameters' names, where they are known: `args[0].ids` may be `x.ids`."""
    if path.startswith("kwargs['"):
        name, _, rest = path.removeprefix("kwargs['").partition("']")
        return f"{name}{rest}"
    number, _, rest = path.removeprefix("args[").partition("]")
    index = int(number) if number.isdecimal() else len(parameters)
    return f"{parameters[index]}{rest}" if index < len(parameters) and parameters[index] else path


def _check_count(tree: Tree, args: Sequence[Any]) -> None:
    if len(args) != len(tree.items):
        raise InputError(
            f"args: expected {len(tree.items)} positional arguments, found {len(args)}; "
            f"pass the same number as when the model was compiled, and by keyword what was given by keyword"
        )


def _check_tensor(leaf: Leaf, value: Any, path: str) -> None:
    """Rank and element type; sizes are checked with the symbols. A Python number is a tensor of rank 0."""
    if isinstance(value, (bool, int, float, complex)) and not leaf.shape:
        _check_number(leaf, value, path)
        return
    if getattr(value, "is_nested", False):
        refuse(path, f"a tensor {leaf}", "a nested tensor", "pass a padded one")
    if not is_tensor(value):
        refuse(path, f"a tensor {leaf}", in_words(value), "pass a torch tensor or a NumPy array")
    if dtype_name(value) != leaf.dtype:
        refuse(
            path,
            str(leaf),
            in_words(value),
            f"convert it to {leaf.dtype}, or compile for {dtype_name(value)}",
        )
    if len(value.shape) != len(leaf.shape):
        refuse(path, str(leaf), in_words(value), f"reshape it to {len(leaf.shape)} dimensions, or recompile")


def _check_number(leaf: Leaf, value: complex, path: str) -> None:
    """A Python number for a tensor of rank 0: of the same kind, or one that the kind holds."""
    kind = leaf.dtype.rstrip("0123456789")
    others = {"bool": (bool,), "int": (int,), "uint": (int,), "complex": (int, float, complex)}
    if not isinstance(value, others.get(kind, (int, float))) or (isinstance(value, bool) and kind != "bool"):
        refuse(path, str(leaf), in_words(value), f"pass a tensor, or a number that {leaf.dtype} holds")
    if kind in ("int", "uint") and isinstance(value, int):
        bits = int(leaf.dtype.removeprefix(kind))
        low, high = (0, 2**bits) if kind == "uint" else (-(2 ** (bits - 1)), 2 ** (bits - 1))
        if not low <= value < high:
            refuse(path, str(leaf), repr(value), f"pass a number from {low} to {high - 1}")


def _check_scalar(leaf: Leaf, value: Any, path: str) -> None:
    """A bool is no int here, and an int is a float, as in a Python call with annotations."""
    accepted: dict[str, tuple[type, ...]] = {"int64": (int,), "float64": (int, float), "bool": (bool,)}
    is_bool = isinstance(value, bool)
    if not isinstance(value, accepted[leaf.dtype]) or (is_bool and leaf.dtype != "bool"):
        refuse(path, str(leaf), in_words(value), f"pass a {_scalar_name(leaf.dtype)}")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        refuse(path, "an int of 64 bits", repr(value), "pass a smaller number")


def _check_constant(leaf: Leaf, value: Any, path: str) -> None:
    advice = "the model was compiled for that value: pass it, or recompile with another"
    if is_tensor(value) or type(value) is not type(leaf.value):
        refuse(path, repr(leaf.value), in_words(value), advice)
    both_nan = isinstance(value, float) and math.isnan(value) and math.isnan(leaf.value)
    if value != leaf.value and not both_nan:
        refuse(path, repr(leaf.value), repr(value), advice)


_LEAF_CHECKS: dict[str, Callable[[Leaf, Any, str], None]] = {
    "tensor": _check_tensor,
    "scalar": _check_scalar,
    "constant": _check_constant,
}


def _scalar_name(dtype: str) -> str:
    return dtype.rstrip("0123456789")
