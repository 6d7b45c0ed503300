"""The order of the modules: each imports only from rows above its own."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import tinygrad_mlp

PACKAGE = Path(tinygrad_mlp.__file__).parent

# A module may import from the rows above its own, not from its own row.
LAYERS = (
    ("console", "errors", "formatting", "paint", "styling"),
    ("showing", "pages", "tables", "primitives", "serving"),
    ("ops", "cards"),
    ("functional", "elementary", "shaping"),
    ("reductions", "linear_algebra"),
    ("graph",),
    ("tensor",),
    ("scoping",),
    ("transforms", "nn", "optim", "manual", "data", "saving"),
    ("layers",),
    ("values",),
    ("printing",),
    ("emitting", "explaining", "forms", "reasons"),
    ("lengths", "looping"),
    ("arranging",),
    ("deriving",),
    ("assembling", "rendering", "rounding", "running", "sheets", "sharing", "boxing"),
    ("folding", "linewise", "charting"),
    ("judging",),
    ("probing",),
    ("subjects", "simulating", "sifting"),
    ("rewriting",),
    ("mutating",),
    ("diagnosing", "locating"),
    ("accounting",),
    ("anatomy", "drawing", "checking", "compiling", "inspecting"),
    ("files", "marking", "playing", "testing", "training"),
    ("demo", "worksheets", "modelling"),
    ("grading",),
    ("__init__",),
    ("cli",),
    ("__main__",),
)
LAYER = {module: i for i, row in enumerate(LAYERS) for module in row}


def module_of(path: Path) -> str:
    """The name in LAYERS: `data` for every file in data/."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


SOURCES = [(path, module_of(path)) for path in sorted(PACKAGE.rglob("*.py"))]


def imports(source: str, package: str = "tinygrad_mlp") -> Iterator[tuple[int, str]]:
    """(line, module in LAYERS) of every import of ours, also in functions, also relative.

    `package` is the package that the source lies in; `from tinygrad_mlp import x` is an import of
    the module x if there is one, else of `__init__`.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            base += node.module.split(".") if node.module else []
            names = [".".join([*base, alias.name]) for alias in node.names]
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            name = str(node.args[0].value)
            names = [f"{package}{name}" if name.startswith(".") else name]
        else:
            continue
        for name in names:
            top, _, rest = name.partition(".")
            if top == "tinygrad_mlp":
                module = rest.split(".")[0]
                yield node.lineno, module if module in LAYER else "__init__"


def wrong_imports(source: str, module: str, package: str = "tinygrad_mlp") -> list[str]:
    """What in the source of `module` points the wrong way, one line each."""
    return [
        f"{module}, line {line}: imports {other}"
        for line, other in imports(source, package)
        if LAYER[other] >= LAYER[module] and not (other == module == "data")
    ]


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """The modules along one cycle of imports, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def package_of(path: Path) -> str:
    return ".".join(["tinygrad_mlp", *path.relative_to(PACKAGE).parent.parts])


@pytest.mark.parametrize(("path", "module"), SOURCES, ids=[p.stem for p, _ in SOURCES])
def test_imports_point_one_way(path, module):
    assert wrong_imports(path.read_text("utf-8"), module, package_of(path)) == []


def test_every_module_has_its_layer():
    assert {module for _, module in SOURCES} <= set(LAYER)


def test_there_is_no_import_cycle():
    graph: dict[str, set[str]] = {}
    for path, module in SOURCES:
        found = {other for _, other in imports(path.read_text("utf-8"), package_of(path))}
        graph.setdefault(module, set()).update(found - {module})
    assert graph["data"] == {"errors"}  # the graph is not empty for want of looking
    assert cycle(graph) == []


def test_a_planted_cycle_is_found():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


@pytest.mark.parametrize(
    "statement",
    [
        "from .tensor import Tensor",
        "from . import tensor",
        "from . import errors, tensor",
        "import tinygrad_mlp.tensor",
        "import tinygrad_mlp.tensor as t",
        "from tinygrad_mlp.tensor import Tensor",
        "from tinygrad_mlp import tensor",
        "from .data.inner import x",
        "def f():\n    from .tensor import Tensor",
        "class A:\n    def f(self):\n        import tinygrad_mlp.tensor",
        "if TYPE_CHECKING:\n    from .tensor import Tensor",
        "import importlib\nimportlib.import_module('tinygrad_mlp.tensor')",
        "from importlib import import_module\nimport_module('.tensor', __package__)",
        "import tinygrad_mlp",
        "from tinygrad_mlp import Tensor",
        "from . import Tensor",
        "from .ops import relu",
        "from .no_such_module import x",
    ],
)
def test_a_planted_wrong_import_is_found(statement):
    """As if it stood in ops.py, which lies below tensor.py."""
    assert len(wrong_imports(statement, "ops")) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "import numpy as np",
        "from .errors import ShapeError",
        "from . import primitives",
        "from tinygrad_mlp.primitives import defvjp",
        "import tinygrad_mlp_other.tensor",
        "def f():\n    import graphviz",
        "text = 'from .tensor import Tensor'",
    ],
)
def test_an_import_from_below_or_elsewhere_is_fine(statement):
    assert wrong_imports(statement, "ops") == []


def test_imports_between_modules_of_one_row_are_found():
    assert wrong_imports("from .nn import MLP", "manual") == ["manual, line 1: imports nn"]


def test_two_dots_in_a_subpackage_lead_to_the_package():
    inner = "tinygrad_mlp.data"
    assert list(imports("from ..errors import DataError", inner)) == [(1, "errors")]
    assert list(imports("from .files import x", inner)) == [(1, "data")]
    assert wrong_imports("from ..deriving import derive", "data", inner)


def test_importing_the_package_loads_nothing_but_numpy_and_the_standard_library():
    code = """if True:
        import json, sys
        before = set(sys.modules)
        import tinygrad_mlp
        loaded = {name.split(".")[0] for name in set(sys.modules) - before}
        print(json.dumps(sorted(loaded - set(sys.stdlib_module_names))))
    """
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(child.stdout) == ["numpy", "tinygrad_mlp"]
