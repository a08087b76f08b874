"""The conventions of the code base, held by reading it: names, layers, who may import what, sizes, what ships."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from terrace.dialects import graph, graph_contraction, graph_elementwise, graph_encoded, graph_quantized, kernel, loop
from terrace.lowering.pipeline.registry import PASSES, find_pass
from terrace.mlir import ext

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGE_DIRS = {name: ROOT / folder for name, folder in PROJECT["tool"]["setuptools"]["package-dir"].items()}

# A module belongs to the first layer whose prefix it has, and may import its own layer and those below it.
LAYERS = (
    ("terrace.tools", "terrace.testing", "terrace.torch_compile"),
    ("terrace.compiler",),
    ("terrace.frontend", "terrace.runtime"),
    ("terrace.lowering.debugging",),
    ("terrace.lowering.target",),
    *(
        (f"terrace.lowering.{name}",)
        for name in ("transforms", "quantization", "conversion", "kernels", "graph", "pipeline", "analysis")
    ),
    ("terrace.dialects",),
    (
        *(
            "terrace.passes",
            "terrace.rewriting",
            "terrace.target",
            "terrace.levels",
            "terrace.signature",
            "terrace.structure",
        ),
        *("terrace.parsing", "terrace.report", "terrace.artifact", "terrace.storage", "terrace.number_format"),
        "terrace.checks",
    ),
    (
        *("terrace.processes", "terrace.mlir", "terrace.circt", "terrace.errors"),
        *("terrace.logging", "terrace.progress", "terrace.caller_line", "terrace.installed", "terrace.collector"),
        *(
            "terrace.guards",
            "terrace.fpga",
            "terrace.machine",
            "terrace.element_types",
            "terrace.loaded_code",
            "terrace.texts",
            "terrace.supervision",
            "terrace.watchdog",
        ),
        *("terrace.failing_op", "terrace.origins"),
    ),
)

# The importing file, the imported package, and why it may.
TORCH_MLIR_IMPORTS = {
    "python/terrace/mlir.py": "the one file through which all others see the bindings",
    "python/terrace/frontend": "torch-mlir's FX importer",
    "tools/bench/peers.py": "the front end of stock IREE, a peer",
}
CIRCT_IMPORTS = {"python/terrace/circt.py": "the one file through which all others see CIRCT, which is optional"}
TORCH_IMPORTS = {
    "python/terrace/frontend": "exports the model",
    "python/terrace/torch_compile": "is called by it",
    "tools/bench": "the modules that are measured, and peers; inside functions",
}
TORCH_FOLDERS = {"python/terrace/frontend", "python/terrace/torch_compile"}
MAX_LINES, MAX_TEST_LINES = 500, 600


@dataclasses.dataclass(frozen=True)
class Import:
    """An import of `module` in the file of `importer`; `nested` means inside a function."""

    importer: str
    path: Path
    module: str
    line: int
    nested: bool

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.importer} imports {self.module}"


@cache
def sources() -> dict[str, Path]:
    """Every module of the package, by its full name."""
    found: dict[str, Path] = {}
    for package, folder in PACKAGE_DIRS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join([package, *parts]).removesuffix(".__init__")
            found[name] = path
    return found


def imports_of(importer: str, path: Path) -> Iterator[Import]:
    """All imports of a file, those for type checkers only excluded."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes: list[tuple[ast.AST, bool]] = [(tree, False)]
    while nodes:
        node, nested = nodes.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes.extend((child, nested) for child in node.orelse)
            continue
        nested = nested or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(importer, path, alias.name, node.lineno, nested)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            assert node.module is not None
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield Import(importer, path, full if full in sources() else node.module, node.lineno, nested)
        nodes.extend((child, nested) for child in ast.iter_child_nodes(node))


@cache
def all_imports() -> tuple[Import, ...]:
    """All imports of the package."""
    return tuple(item for name, path in sources().items() for item in imports_of(name, path))


def layer_of(module: str) -> int | None:
    """The height of a module's layer, from the bottom; None for the package itself and for foreign modules."""
    for depth, prefixes in enumerate(LAYERS):
        if any(module == prefix or module.startswith(f"{prefix}.") for prefix in prefixes):
            return len(LAYERS) - depth
    return None


def is_within(path: Path, places: Iterable[str]) -> bool:
    """Whether `path` is one of `places`, or in a folder of them."""
    return any(path.is_relative_to(ROOT / place) for place in places)


def test_every_module_has_a_layer() -> None:
    homeless = [name for name in sources() if layer_of(name) is None and name not in ("terrace", "terrace.lowering")]
    assert not homeless, f"say in LAYERS where these stand: {homeless}"


def test_every_module_says_what_it_is() -> None:
    silent = [name for name, path in sources().items() if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]
    assert not silent


def test_imports_go_downwards() -> None:
    upward = []
    for item in all_imports():
        above, below = layer_of(item.importer), layer_of(item.module)
        if above is not None and below is not None and below > above:
            upward.append(str(item))
    assert not upward, "\n".join(upward)


def room_of(module: str) -> str:
    """The folder that a module stands in, as a package."""
    return module if sources()[module].stem == "__init__" else module.rpartition(".")[0]


def circle(imports: Iterable[tuple[str, str]]) -> list[str]:
    """Names that import each other in a circle, or none: pairs of (importer, imported), of modules or of folders."""
    graph: dict[str, set[str]] = {}
    for importer, imported in imports:
        if importer != imported:
            graph.setdefault(importer, set()).add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_folders_of_the_lowering_import_each_other_in_no_circle() -> None:
    imports = [
        (room_of(item.importer), room_of(item.module))
        for item in all_imports()
        if item.importer.startswith("terrace.lowering.") and item.module.startswith("terrace.lowering.")
    ]
    assert {"terrace.lowering.kernels.matmul", "terrace.lowering.target.cpu"} <= {importer for importer, _ in imports}
    assert not circle(imports)
    # What the test would find: a family that imports a target, and a folder that imports its packages' folders.
    assert circle([*imports, ("terrace.lowering.kernels", "terrace.lowering.target.cpu")])
    assert circle([*imports, ("terrace.lowering.target", "terrace.lowering.target.cpu")])


def test_files_import_each_other_in_no_circle() -> None:
    """Imports inside functions count, too: they hide a circle, they do not open it."""
    imports = [(item.importer, item.module) for item in all_imports() if item.module in sources()]
    assert not circle(imports)
    assert circle([*imports, ("terrace.mlir", "terrace.tools.opt")])


def test_the_root_of_the_lowering_holds_packages_only() -> None:
    assert [path.name for path in (ROOT / "lowering").glob("*.py")] == ["__init__.py"]


def test_frontend_and_runtime_do_not_import_each_other() -> None:
    """They stand side by side in a layer: a saved program loads without what imports models."""
    sideways = [
        str(item)
        for item in all_imports()
        for here, there in (("terrace.frontend", "terrace.runtime"), ("terrace.runtime", "terrace.frontend"))
        if item.importer.startswith(here) and item.module.startswith(there)
    ]
    assert not sideways, "\n".join(sideways)


@pytest.mark.parametrize(
    ("package", "allowed"), [("torch_mlir", TORCH_MLIR_IMPORTS), ("torch", TORCH_IMPORTS), ("circt", CIRCT_IMPORTS)]
)
def test_heavy_packages_are_imported_where_it_was_agreed(package: str, allowed: dict[str, str]) -> None:
    found = [item for item in all_imports() if item.module.partition(".")[0] == package]
    strays = [str(item) for item in found if not is_within(item.path, allowed)]
    assert not strays, "\n".join(strays)
    unused = [place for place in allowed if not any(is_within(item.path, [place]) for item in found)]
    assert not unused, f"these import no {package}: {unused}"


def test_only_what_torch_hands_models_to_imports_it_at_its_top() -> None:
    eager = [
        str(item)
        for item in all_imports()
        if item.module.partition(".")[0] == "torch" and not item.nested and not is_within(item.path, TORCH_FOLDERS)
    ]
    assert not eager, "\n".join(eager)


@pytest.mark.parametrize(
    "dialect", [graph, graph_contraction, graph_elementwise, graph_encoded, graph_quantized, kernel, loop]
)
def test_op_classes_end_in_op_and_are_documented(dialect: object) -> None:
    classes = [
        item
        for item in vars(dialect).values()
        if inspect.isclass(item) and hasattr(item, "OPERATION_NAME") and item.__module__ == dialect.__name__
    ]
    assert classes
    for item in classes:
        assert item.__name__.endswith("Op"), item
        assert inspect.getdoc(item), f"{item} has no docstring"
        words = item.OPERATION_NAME.partition(".")[2].split("_")
        assert item.__name__.lower() == "".join(words) + "op", item


@pytest.mark.parametrize("name", sorted(PASSES))
def test_a_pass_is_named_alike_everywhere(name: str) -> None:
    module, _, class_name = PASSES[name].partition(":")
    found = find_pass(name)
    words = name.split("-")
    assert module.rpartition(".")[2] == "_".join(words)
    assert class_name.lower() == "".join(words), f"{class_name} is not {name} in CamelCase"
    assert class_name[0].isupper() and "_" not in class_name
    assert found.name == name
    assert found.__doc__ and not found.__doc__.startswith(f"{class_name}("), f"{class_name} has no docstring"
    assert dataclasses.is_dataclass(found)


@pytest.mark.parametrize("name", sorted(PASSES))
def test_a_pass_has_a_lit_test_of_its_name(name: str) -> None:
    stem = name.replace("-", "_")
    tests = [path for suffix in (".mlir", ".test", "/*.mlir") for path in (ROOT / "test").rglob(f"{stem}{suffix}")]
    assert tests, f"no test/**/{stem}.mlir"


def test_the_registry_is_sorted() -> None:
    assert list(PASSES) == sorted(PASSES)


def test_every_lit_test_is_run_and_checked() -> None:
    for path in (ROOT / "test").rglob("*.mlir"):
        if "Inputs" not in path.parts:
            text = path.read_text(encoding="utf-8")
            assert "RUN:" in text, f"{path} has no RUN line"
            assert any(word in text for word in ("CHECK", "filecheck", "-verify-diagnostics", "%python")), (
                f"{path} checks nothing"
            )


def test_files_are_short() -> None:
    limits = {**dict.fromkeys(PACKAGE_DIRS.values(), MAX_LINES), ROOT / "test": MAX_TEST_LINES}
    long = {
        str(path.relative_to(ROOT)): lines
        for folder, limit in limits.items()
        for path in folder.rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > limit
    }
    assert not long


def test_a_broad_except_raises_again() -> None:
    swallowing = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources().values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
        and not isinstance(node.body[-1], ast.Raise)
    ]
    assert not swallowing, f"catch what is expected, not everything: {swallowing}"


def test_the_bindings_extension_api_is_the_one_we_read() -> None:
    """OPERATION_NAME is how `ext` marks op classes; the check of names above relies on it."""
    assert issubclass(graph.MatmulOp, graph.Graph.Operation)
    assert issubclass(graph.Graph, ext.Dialect)
    assert graph.MatmulOp.OPERATION_NAME == "graph.matmul"
