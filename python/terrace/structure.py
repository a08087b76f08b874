"""The containers of arguments and results: nested tuples, lists, dicts, named tuples and dataclasses as data.

A `Tree` is the structure of a value without its leaves. A value is taken apart by one, checked on the way, and put
together again. Tensors are known by their `shape` and `dtype` only: this file imports neither torch nor a compiler.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NoReturn, Protocol, TypeGuard, get_args

from terrace.errors import InputError

_MOST_NESTED = 50
"""Levels of lists and dicts that a registered object may hold."""

TreeKind = Literal["leaf", "none", "tuple", "list", "dict", "ordered_dict", "namedtuple", "dataclass", "registered"]


class TensorLike(Protocol):
    """A NumPy array or scalar, a torch tensor or the like."""

    @property
    def shape(self) -> Sequence[int]: ...

    @property
    def dtype(self) -> Any: ...


@dataclasses.dataclass(frozen=True)
class Tree:
    """The structure of a value. A "leaf" takes the next element of the flat list, "none" is a None and takes
    nothing.

    `keys` are a dict's keys or a namedtuple's or dataclass's field names, in the order of `items`.
    `type_name` is "module:QualName" for a namedtuple or dataclass, or for a class that is "registered" with PyTorch's
    pytrees, such as a cache of transformers. Of the last, `context` is what the example held beside its items, as JSON.
    A result of that kind is one of the arguments, the `argument`-th that is: no file says how to make one.
    """

    kind: TreeKind
    items: list[Tree] = dataclasses.field(default_factory=list)
    keys: list[str | int] = dataclasses.field(default_factory=list)
    type_name: str = ""
    context: str = ""
    argument: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(TreeKind):
            raise ValueError(f"unknown tree kind {self.kind!r}; expected one of {', '.join(get_args(TreeKind))}")
        if self.kind in ("dict", "ordered_dict", "namedtuple", "dataclass") and len(self.keys) != len(self.items):
            raise ValueError(f"a {self.kind} of {len(self.items)} items has {len(self.keys)} keys")
        if self.kind in ("leaf", "none") and self.items:
            raise ValueError(f"a {self.kind} holds no items")
        if self.kind == "registered":
            _parsed(self.context)

    def leaf_count(self) -> int:
        """How many leaves the tree takes."""
        return 1 if self.kind == "leaf" else sum(item.leaf_count() for item in self.items)

    def leaf_paths(self, root: str = "") -> list[str]:
        """Where each leaf stands, as Python would reach it: `root[0]['mask'].ids`."""
        if self.kind == "leaf":
            return [root]
        return [path for item, at in self.children(root) for path in item.leaf_paths(at)]

    def children(self, path: str) -> Iterator[tuple[Tree, str]]:
        """Each item with its path below `path`."""
        for index, item in enumerate(self.items):
            if self.kind in ("tuple", "list", "registered"):
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
        if self.context:
            data["context"] = self.context
        if self.argument is not None:
            data["argument"] = self.argument
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tree:
        """The inverse of `to_json`; raises KeyError, TypeError or ValueError on other data."""
        items = [cls.from_json(item) for item in data.get("items", [])]
        texts = str(data.get("type_name", "")), str(data.get("context", ""))
        return cls(data["kind"], items, list(data.get("keys", [])), *texts, data.get("argument"))

    def registered(self) -> list[Tree]:
        """The parts that are of registered classes, in order."""
        own = [self] if self.kind == "registered" else []
        return own + [part for item in self.items for part in item.registered()]


def describe(value: Any) -> tuple[Tree, list[Any]]:
    """The tree of a nested Python value and its leaves (all that is no container), dicts in insertion order."""
    leaves: list[Any] = []
    return _describe_tree(value, leaves), leaves


def dtype_name(value: TensorLike) -> str:
    """The NumPy name of the element type of a NumPy array or torch tensor: `torch.float32` is "float32"."""
    return str(value.dtype).removeprefix("torch.")


def is_tensor(value: Any) -> TypeGuard[TensorLike]:
    """Whether `value` has a shape and a dtype."""
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


def flatten(tree: Tree, value: Any, path: str, leaves: list[tuple[Any, str]]) -> None:
    """Append the leaves of `value`, which must have the structure of `tree`, each with its path."""
    if tree.kind == "leaf":
        leaves.append((value, path))
        return
    if tree.kind == "none":
        if value is not None:
            refuse(
                path,
                "None",
                in_words(value),
                "the model was compiled with None here; pass None or recompile",
            )
        return
    children = _CHILDREN[tree.kind](tree, value, path)
    for (item, at), child in zip(tree.children(path), children, strict=True):
        flatten(item, child, at, leaves)


def _sequence_children(tree: Tree, value: Any, path: str) -> Sequence[Any]:
    wanted = tuple if tree.kind == "tuple" else list
    if not isinstance(value, wanted) or len(value) != len(tree.items):
        expected = f"a {tree.kind} of {len(tree.items)}"
        refuse(path, expected, in_words(value), "pass the structure that the model was compiled with")
    return value


def _dict_children(tree: Tree, value: Any, path: str) -> list[Any]:
    if not isinstance(value, Mapping):
        refuse(path, f"a dict with keys {tree.keys}", in_words(value), "pass a dict")
    missing = [key for key in tree.keys if key not in value]
    extra = [key for key in value if key not in tree.keys]
    if missing or extra:
        found = f"keys {list(value)}"
        advice = "; ".join(
            f"{verb} {', '.join(map(repr, keys))}" for verb, keys in (("add", missing), ("remove", extra)) if keys
        )
        refuse(path, f"keys {tree.keys}", found, advice)
    return [value[key] for key in tree.keys]


def _field_children(tree: Tree, value: Any, path: str) -> list[Any]:
    """Fields by name. Any object that has them will do: the class may live in a module that is not imported
    here.
    """
    names = [str(name) for name in tree.keys]
    missing = [name for name in names if not hasattr(value, name)]
    if missing:
        expected = f"a {tree.kind} like {tree.type_name} with fields {names}"
        refuse(path, expected, in_words(value), f"give it {', '.join(missing)}")
    return [getattr(value, name) for name in names]


def _registered_children(tree: Tree, value: Any, path: str) -> Sequence[Any]:
    """What PyTorch has as the parts of an object of a registered class. All else is as the example held it."""
    node = getattr(sys.modules.get("torch.utils._pytree"), "SUPPORTED_NODES", {}).get(type(value))
    if node is None or _type_name(type(value)) != tree.type_name:
        refuse(path, f"a {tree.type_name}, which is registered as a pytree", in_words(value), "pass one")
    children, context = node.flatten_fn(value)
    difference = _difference(_parsed(tree.context), json.loads(context_text(context)), "")
    if difference is None and len(children) != len(tree.items):
        difference = f"{len(children)} tensors, not {len(tree.items)}"
    if difference is not None:
        refuse(path, f"a {tree.type_name} like that of the example", f"one with {difference}", "recompile for it")
    return children


@functools.lru_cache(maxsize=64)
def _parsed(context: str) -> Any:
    """What `context_text` was made of. Raises ValueError for what may be in a file instead."""
    try:
        value = json.loads(context)
    except RecursionError:
        raise ValueError("a context nests too deeply") from None
    level = [value]
    for _ in range(_MOST_NESTED):
        level = [child for item in level if isinstance(item, (dict, list)) for child in _items_of(item)]
        if not level:
            return value
    raise ValueError("a context nests too deeply")


def _items_of(container: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return container.values() if isinstance(container, dict) else container


def _difference(example: Any, found: Any, place: str) -> str | None:
    """Where an object holds something else than the example did, in words; what that lacked does not count."""
    if isinstance(example, dict) and isinstance(found, dict) and example.keys() <= found.keys():
        pairs = [(example[key], found[key], f"{place}.{key}" if place else str(key)) for key in example]
    elif isinstance(example, list) and isinstance(found, list) and len(example) == len(found):
        pairs = [(own, other, f"{place}[{i}]") for i, (own, other) in enumerate(zip(example, found, strict=True))]
    else:
        return None if example == found else f"{found!r:.60} as {place or 'its contents'}, not {example!r:.60}"
    return next(filter(None, (_difference(*pair) for pair in pairs)), None)


def context_text(context: Any) -> str:
    """What an object of a registered class holds beside its items, as text. Raises TypeError if it is no plain data."""
    return json.dumps(context, sort_keys=True)


_CHILDREN: dict[str, Callable[[Tree, Any, str], Sequence[Any]]] = {
    "tuple": _sequence_children,
    "list": _sequence_children,
    "dict": _dict_children,
    "ordered_dict": _dict_children,
    "namedtuple": _field_children,
    "dataclass": _field_children,
    "registered": _registered_children,
}


def in_words(value: Any) -> str:
    """A value in an error message: its type, and what matters of it."""
    if is_tensor(value):
        return f"{dtype_name(value)}[{', '.join(map(str, value.shape))}]"
    if isinstance(value, (list, tuple, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"{kind} {value!r:.60}" if isinstance(value, (bool, int, float, str)) else f"an object of type {kind}"


def refuse(path: str, expected: str, found: str, advice: str) -> NoReturn:
    raise InputError(f"{path}: expected {expected}, found {found}; {advice}")


def registered_values(tree: Tree, value: Any) -> list[Any]:
    """The parts of `value`, which has the structure of `tree`, that are of registered classes, in order."""
    if not tree.registered():
        return []
    children = _CHILDREN[tree.kind](tree, value, "")
    found = [value] if tree.kind == "registered" else []
    for item, child in zip(tree.items, children, strict=True):
        found += registered_values(item, child)
    return found


def unflatten(tree: Tree, leaves: Iterator[Any], arguments: Sequence[Any] = ()) -> Any:
    """`arguments` are the parts of the arguments that are of registered classes."""
    if tree.kind == "leaf":
        return next(leaves)
    if tree.kind == "none":
        return None
    values = [unflatten(item, leaves, arguments) for item in tree.items]
    if tree.kind == "registered":
        if tree.argument is None:
            raise InputError(f"a {tree.type_name} cannot be made of arrays; call the model in Python")
        return arguments[tree.argument]
    return _REBUILD[tree.kind](tree, values)


def _rebuild_namedtuple(tree: Tree, values: list[Any]) -> Any:
    """A named tuple, or one of PyTorch's own, such as what torch.max gives, which take the values as one sequence."""
    cls = _imported_class(tree.type_name)
    if cls is None or not issubclass(cls, tuple):
        return tuple(values)
    if list(getattr(cls, "_fields", ())) == tree.keys:
        return cls._make(values)
    is_pytorchs = cls.__module__ == "torch.return_types" and list(cls.__match_args__) == tree.keys
    return cls(values) if is_pytorchs else tuple(values)


def _rebuild_dataclass(tree: Tree, values: list[Any]) -> Any:
    """The dataclass by its constructor, so that `__post_init__` runs, as it did in eager."""
    named = dict(zip(map(str, tree.keys), values, strict=True))
    cls = constructor = _imported_class(tree.type_name)
    if cls is not None and dataclasses.is_dataclass(cls):
        needed = {f.name for f in dataclasses.fields(cls) if f.init and not _has_default(f)}
        if needed <= named.keys() <= {field.name for field in dataclasses.fields(cls) if field.init}:
            return constructor(**named)
    return types.SimpleNamespace(**named)


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return not (field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING)


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
