"""What a compiled model takes and gives: the structure of its arguments and results, and what each leaf must
be.

A signature is a pair of trees (containers) over a pair of flat lists (leaves). It is plain data, goes through
JSON, and is checked against a call's arguments before any native code sees them. This file imports neither
torch nor a compiler: tensors are known by their `shape` and `dtype` only.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NoReturn, get_args

from terrace.errors import ArtifactError, InputError

TreeKind = Literal["leaf", "none", "tuple", "list", "dict", "ordered_dict", "namedtuple", "dataclass"]
LeafKind = Literal["tensor", "constant", "scalar"]

DTYPES = (
    "float32", "float64", "float16", "bfloat16", "bool",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip
"""The element types of tensor leaves, by NumPy's (and ml_dtypes') names."""

SCALAR_DTYPES = ("int64", "float64", "bool")
"""The types of scalar leaves: Python's int, float and bool."""


@dataclasses.dataclass(frozen=True)
class Tree:
    """The structure of a value. A "leaf" takes the next element of the flat list, "none" is a None and takes
    nothing.

    `keys` are a dict's keys or a namedtuple's or dataclass's field names, in the order of `items`.
    `type_name` is "module:QualName" for a namedtuple or dataclass.
    """

    kind: TreeKind
    items: list[Tree] = dataclasses.field(default_factory=list)
    keys: list[str | int] = dataclasses.field(default_factory=list)
    type_name: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(TreeKind):
            raise ValueError(f"unknown tree kind {self.kind!r}; expected one of {', '.join(get_args(TreeKind))}")
        if self.kind in ("dict", "ordered_dict", "namedtuple", "dataclass") and len(self.keys) != len(self.items):
            raise ValueError(f"a {self.kind} of {len(self.items)} items has {len(self.keys)} keys")
        if self.kind in ("leaf", "none") and self.items:
            raise ValueError(f"a {self.kind} holds no items")

    def leaf_count(self) -> int:
        """How many leaves the tree takes."""
        return 1 if self.kind == "leaf" else sum(item.leaf_count() for item in self.items)

    def leaf_paths(self, root: str = "") -> list[str]:
        """Where each leaf stands, as Python would reach it: `root[0]['mask'].ids`."""
        if self.kind == "leaf":
            return [root]
        return [path for item, at in self._children(root) for path in item.leaf_paths(at)]

    def _children(self, path: str) -> Iterator[tuple[Tree, str]]:
        """Each item with its path below `path`."""
        for index, item in enumerate(self.items):
            if self.kind in ("tuple", "list"):
                yield item, f"{path}[{index}]"
            elif self.kind in ("dict", "ordered_dict"):
                yield item, f"{path}[{self.keys[index]!r}]"
            else:
                yield item, f"{path}.{self.keys[index]}"

    def to_json(self) -> dict[str, Any]:
        """The tree as plain data."""
        data: dict[str, Any] = {"kind": self.kind}
        if self.items:
            data["items"] = [item.to_json() for item in self.items]
        if self.keys:
            data["keys"] = list(self.keys)
        if self.type_name:
            data["type_name"] = self.type_name
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tree:
        """The inverse of `to_json`; raises KeyError, TypeError or ValueError on other data."""
        items = [cls.from_json(item) for item in data.get("items", [])]
        return cls(data["kind"], items, list(data.get("keys", [])), str(data.get("type_name", "")))


@dataclasses.dataclass(frozen=True)
class Leaf:
    """What one leaf must be.

    - "tensor": `shape` (a size, or the name of a symbol: equal symbols are equal sizes in one call) and
      `dtype`.
    - "scalar": a Python number that the program takes or gives; `dtype` is "int64", "float64" or "bool".
    - "constant": a Python value baked into the program. An input must equal `value`, an output is `value`.

    `alias` is for output tensors: the index of an earlier output leaf that eager returns as the very same
    tensor. The program does not return it again. Outputs without it never share memory with each other.
    """

    kind: LeafKind
    shape: list[int | str] = dataclasses.field(default_factory=list)
    dtype: str = "float32"
    value: Any = None
    alias: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(LeafKind):
            raise ValueError(f"unknown leaf kind {self.kind!r}; expected one of {', '.join(get_args(LeafKind))}")
        if self.kind == "tensor" and self.dtype not in DTYPES:
            raise ValueError(f"a tensor leaf cannot be {self.dtype!r}; expected one of {', '.join(DTYPES)}")
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
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Leaf:
        """The inverse of `to_json`; raises KeyError, TypeError or ValueError on other data."""
        value = float.fromhex(data["hex"]) if "hex" in data else data.get("value")
        dtype = data.get("dtype", "float32")
        return cls(data["kind"], list(data.get("shape", [])), dtype, value, data.get("alias"))


@dataclasses.dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a compiled model.

    `inputs` is the tree of the pair (args, kwargs): a tuple of a tuple and a dict. `ranges` bounds the
    symbols of dynamic sizes, [min, max] inclusive, max None for no bound.
    """

    inputs: Tree
    input_leaves: list[Leaf]
    outputs: Tree
    output_leaves: list[Leaf]
    ranges: dict[str, list[int | None]] = dataclasses.field(default_factory=dict)

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
        for index, leaf in enumerate(self.output_leaves):
            if leaf.alias is not None and not 0 <= leaf.alias < index:
                raise ValueError(f"output leaf {index} is an alias of leaf {leaf.alias}, which does not precede it")

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
        leaves: list[tuple[Any, str]] = []
        _check_count(args_tree, args)
        for (item, path), value in zip(args_tree._children("args"), args, strict=True):
            _flatten(item, value, path, leaves)
        _flatten(kwargs_tree, kwargs, "kwargs", leaves)
        symbols: dict[str, tuple[int, str]] = {}
        for expected, (value, path) in zip(self.input_leaves, leaves, strict=True):
            _LEAF_CHECKS[expected.kind](expected, value, path)
            if expected.kind == "tensor":
                self._bind_sizes(expected, value, path, symbols)
        return [value for value, _ in leaves]

    def unflatten(self, leaves: Sequence[Any]) -> Any:
        """The result of a call from one value for each of `output_leaves`.

        A namedtuple or dataclass is rebuilt when a module that is already imported defines its class. Loading
        a model imports nothing, so without it the result is a plain tuple, or a `types.SimpleNamespace` for a
        dataclass.
        """
        if len(leaves) != len(self.output_leaves):
            raise ValueError(f"{len(leaves)} output leaves for {len(self.output_leaves)}")
        return _unflatten(self.outputs, iter(leaves))

    def unflatten_arguments(self, leaves: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The inverse of `flatten`: args and kwargs from one value for each of `input_leaves`."""
        args, kwargs = _unflatten(self.inputs, iter(leaves))
        return args, kwargs

    def flatten_result(self, result: Any) -> list[Any]:
        """The inverse of `unflatten`: the leaves of a result, unchecked but for its structure."""
        leaves: list[tuple[Any, str]] = []
        _flatten(self.outputs, result, "result", leaves)
        return [value for value, _ in leaves]

    def _bind_sizes(self, leaf: Leaf, value: Any, path: str, symbols: dict[str, tuple[int, str]]) -> None:
        """Check the sizes of a tensor of the right rank against `leaf`, and bind its symbols."""
        for axis, (want, size) in enumerate(zip(leaf.shape, map(int, value.shape), strict=True)):
            here = f"size {axis} of {path}"
            if isinstance(want, int):
                if size != want:
                    _refuse(path, f"{leaf}", _describe(value), f"size {axis} must be {want}: reshape or recompile")
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

    def to_json(self) -> dict[str, Any]:
        """The signature as plain data for JSON."""
        return {
            "inputs": self.inputs.to_json(),
            "input_leaves": [leaf.to_json() for leaf in self.input_leaves],
            "outputs": self.outputs.to_json(),
            "output_leaves": [leaf.to_json() for leaf in self.output_leaves],
            "ranges": {name: list(bounds) for name, bounds in self.ranges.items()},
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
                {str(name): [*bounds] for name, bounds in data["ranges"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(
                f"the signature in the file is malformed ({error!r}); compile and save the model again"
            ) from error


def describe(value: Any) -> tuple[Tree, list[Any]]:
    """The tree of a nested Python value and its leaves (all that is no container), dicts in insertion order."""
    leaves: list[Any] = []
    return _describe_tree(value, leaves), leaves


def dtype_name(value: Any) -> str:
    """The NumPy name of the element type of a NumPy array or torch tensor: `torch.float32` is "float32"."""
    return str(value.dtype).removeprefix("torch.")


def is_tensor(value: Any) -> bool:
    """Whether `value` is a NumPy array or scalar, a torch tensor or the like: it has a shape and a dtype."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _describe_tree(value: Any, leaves: list[Any]) -> Tree:
    container = _container_of(value)
    if container is None:
        if value is None:
            return Tree("none")
        leaves.append(value)
        return Tree("leaf")
    kind, items, keys, type_name = container
    return Tree(kind, [_describe_tree(item, leaves) for item in items], keys, type_name)


def _container_of(value: Any) -> tuple[TreeKind, list[Any], list[Any], str] | None:
    """Kind, items, keys and class name of a container; None for anything else."""
    cls = type(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return "namedtuple", list(value), list(value._fields), _type_name(cls)
    if isinstance(value, (tuple, list)):
        return ("tuple" if isinstance(value, tuple) else "list"), list(value), [], ""
    if isinstance(value, dict):
        kind: TreeKind = "ordered_dict" if isinstance(value, OrderedDict) else "dict"
        return kind, list(value.values()), list(value), ""
    if dataclasses.is_dataclass(cls):
        names = [field.name for field in dataclasses.fields(cls)]
        return "dataclass", [getattr(value, name) for name in names], names, _type_name(cls)
    return None


def _type_name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _check_count(tree: Tree, args: Sequence[Any]) -> None:
    if len(args) != len(tree.items):
        raise InputError(
            f"args: expected {len(tree.items)} positional arguments, found {len(args)}; "
            f"pass the same number as when the model was compiled, and by keyword what was given by keyword"
        )


def _flatten(tree: Tree, value: Any, path: str, leaves: list[tuple[Any, str]]) -> None:
    """Append the leaves of `value`, which must have the structure of `tree`, each with its path."""
    if tree.kind == "leaf":
        leaves.append((value, path))
        return
    if tree.kind == "none":
        if value is not None:
            _refuse(
                path,
                "None",
                _describe(value),
                "the model was compiled with None here; pass None or recompile",
            )
        return
    children = _CHILDREN[tree.kind](tree, value, path)
    for (item, at), child in zip(tree._children(path), children, strict=True):
        _flatten(item, child, at, leaves)


def _sequence_children(tree: Tree, value: Any, path: str) -> Sequence[Any]:
    wanted = tuple if tree.kind == "tuple" else list
    if not isinstance(value, wanted) or len(value) != len(tree.items):
        expected = f"a {tree.kind} of {len(tree.items)}"
        _refuse(path, expected, _describe(value), "pass the structure that the model was compiled with")
    return value


def _dict_children(tree: Tree, value: Any, path: str) -> list[Any]:
    if not isinstance(value, Mapping):
        _refuse(path, f"a dict with keys {tree.keys}", _describe(value), "pass a dict")
    missing = [key for key in tree.keys if key not in value]
    extra = [key for key in value if key not in tree.keys]
    if missing or extra:
        found = f"keys {list(value)}"
        advice = "; ".join(
            f"{verb} {', '.join(map(repr, keys))}" for verb, keys in (("add", missing), ("remove", extra)) if keys
        )
        _refuse(path, f"keys {tree.keys}", found, advice)
    return [value[key] for key in tree.keys]


def _field_children(tree: Tree, value: Any, path: str) -> list[Any]:
    """Fields by name. Any object that has them will do: the class may live in a module that is not imported
    here.
    """
    names = [str(name) for name in tree.keys]
    missing = [name for name in names if not hasattr(value, name)]
    if missing:
        expected = f"a {tree.kind} like {tree.type_name} with fields {names}"
        _refuse(path, expected, _describe(value), f"give it {', '.join(missing)}")
    return [getattr(value, name) for name in names]


_CHILDREN: dict[str, Callable[[Tree, Any, str], Sequence[Any]]] = {
    "tuple": _sequence_children,
    "list": _sequence_children,
    "dict": _dict_children,
    "ordered_dict": _dict_children,
    "namedtuple": _field_children,
    "dataclass": _field_children,
}


def _check_tensor(leaf: Leaf, value: Any, path: str) -> None:
    """Rank and element type; sizes are checked with the symbols."""
    if not is_tensor(value):
        _refuse(path, f"a tensor {leaf}", _describe(value), "pass a torch tensor or a NumPy array")
    if dtype_name(value) != leaf.dtype:
        _refuse(
            path,
            str(leaf),
            _describe(value),
            f"convert it to {leaf.dtype}, or compile for {dtype_name(value)}",
        )
    if len(value.shape) != len(leaf.shape):
        _refuse(path, str(leaf), _describe(value), f"reshape it to {len(leaf.shape)} dimensions, or recompile")


def _check_scalar(leaf: Leaf, value: Any, path: str) -> None:
    """A bool is no int here, and an int is a float, as in a Python call with annotations."""
    accepted: dict[str, tuple[type, ...]] = {"int64": (int,), "float64": (int, float), "bool": (bool,)}
    is_bool = isinstance(value, bool)
    if not isinstance(value, accepted[leaf.dtype]) or (is_bool and leaf.dtype != "bool"):
        _refuse(path, str(leaf), _describe(value), f"pass a {_scalar_name(leaf.dtype)}")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        _refuse(path, "an int of 64 bits", repr(value), "pass a smaller number")


def _check_constant(leaf: Leaf, value: Any, path: str) -> None:
    advice = "the model was compiled for that value: pass it, or recompile with another"
    if is_tensor(value) or type(value) is not type(leaf.value):
        _refuse(path, repr(leaf.value), _describe(value), advice)
    both_nan = isinstance(value, float) and math.isnan(value) and math.isnan(leaf.value)
    if value != leaf.value and not both_nan:
        _refuse(path, repr(leaf.value), repr(value), advice)


_LEAF_CHECKS: dict[str, Callable[[Leaf, Any, str], None]] = {
    "tensor": _check_tensor,
    "scalar": _check_scalar,
    "constant": _check_constant,
}


def _scalar_name(dtype: str) -> str:
    return dtype.rstrip("0123456789")


def _describe(value: Any) -> str:
    """A value in an error message: its type, and what matters of it."""
    if is_tensor(value):
        return f"{dtype_name(value)}[{', '.join(map(str, value.shape))}]"
    if isinstance(value, (list, tuple, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"{kind} {value!r:.60}" if isinstance(value, (bool, int, float, str)) else f"an object of type {kind}"


def _refuse(path: str, expected: str, found: str, advice: str) -> NoReturn:
    raise InputError(f"{path}: expected {expected}, found {found}; {advice}")


def _unflatten(tree: Tree, leaves: Iterator[Any]) -> Any:
    if tree.kind == "leaf":
        return next(leaves)
    if tree.kind == "none":
        return None
    values = [_unflatten(item, leaves) for item in tree.items]
    return _REBUILD[tree.kind](tree, values)


def _rebuild_namedtuple(tree: Tree, values: list[Any]) -> Any:
    cls = _imported_class(tree.type_name)
    is_same = cls is not None and issubclass(cls, tuple) and list(getattr(cls, "_fields", ())) == tree.keys
    return cls._make(values) if cls is not None and is_same else tuple(values)


def _rebuild_dataclass(tree: Tree, values: list[Any]) -> Any:
    """The dataclass by its constructor, so that `__post_init__` runs, as it did in eager."""
    named = dict(zip(map(str, tree.keys), values, strict=True))
    cls = constructor = _imported_class(tree.type_name)
    if cls is not None and dataclasses.is_dataclass(cls):
        fields = dataclasses.fields(cls)
        if [field.name for field in fields] == tree.keys and all(field.init for field in fields):
            return constructor(**named)
    return types.SimpleNamespace(**named)


_REBUILD: dict[str, Callable[[Tree, list[Any]], Any]] = {
    "tuple": lambda tree, values: tuple(values),
    "list": lambda tree, values: values,
    "dict": lambda tree, values: dict(zip(tree.keys, values, strict=True)),
    "ordered_dict": lambda tree, values: OrderedDict(zip(tree.keys, values, strict=True)),
    "namedtuple": _rebuild_namedtuple,
    "dataclass": _rebuild_dataclass,
}


def _imported_class(type_name: str) -> Any:
    """The class "module:QualName" if its module is imported already, else None. Never imports: a file could
    name any module, and importing one runs its code.
    """
    module_name, _, qualname = type_name.partition(":")
    found: Any = sys.modules.get(module_name)
    for part in qualname.split("."):
        # vars, not getattr: a module's or class's __getattr__ could run code.
        found = vars(found).get(part) if isinstance(found, (types.ModuleType, type)) else None
    return found if isinstance(found, type) else None
