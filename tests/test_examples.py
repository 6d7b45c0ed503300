"""Every example runs, quickly, and checks itself."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NEEDS = {"scale": {"dask", "distributed", "mpi4py"}}
"""What an extra allows an example to import; such examples have a CI step of their own."""

SECONDS = 2
NOISE = 5  # on a shared machine


def name_of(path):
    return path.stem


def extra_of(path):
    """The extra that an example says it needs, or ''."""
    found = re.search(
        r"^Needs: +pip install 'tinygrad-mlp\[(\w+)\]'$", path.read_text("utf-8"), re.M
    )
    return found[1] if found else ""


SLOW = {"10_digits"}
PLAIN = [
    pytest.param(path, marks=pytest.mark.slow if path.stem in SLOW else (), id=path.stem)
    for path in EXAMPLES
    if not extra_of(path)
]


@pytest.mark.parametrize("path", PLAIN)
def test_example_runs_and_prints_what_it_teaches(path, tmp_path):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    env["OPENBLAS_NUM_THREADS"] = "1"  # a second thread that waits counts as time of the processor
    before = os.times()
    run = subprocess.run(
        [sys.executable, "-W", "error", path],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    after = os.times()  # of the processor: what else the machine does is no fault of the example
    took = sum(getattr(after, k) - getattr(before, k) for k in ("children_user", "children_system"))
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()
    assert run.stderr == ""
    assert list(tmp_path.iterdir()) == []  # it leaves nothing behind
    assert took < SECONDS * NOISE


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_example_is_short_says_how_to_run_it_and_ends_by_checking_itself(path):
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    assert len(source.splitlines()) <= 60
    assert f"python examples/{path.name}" in ast.get_docstring(tree)
    checks = [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    assert checks
    assert max(len(line) for line in source.splitlines()) <= 100


def test_each_example_has_a_number_of_its_own():
    numbers = [int(path.name[:2]) for path in EXAMPLES]
    assert len(set(numbers)) == len(numbers) >= 3


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_example_needs_nothing_but_the_package(path):
    tree = ast.parse(path.read_text("utf-8"))
    names = [
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    ]
    needed = {name.split(".")[0] for name in names} - sys.stdlib_module_names
    assert needed <= {"numpy", "tinygrad_mlp", *NEEDS.get(extra_of(path), ())}


# --- the notebook ---------------------------------------------------------------------------------

NOTEBOOK = ROOT / "examples" / "tour.ipynb"


def cells(kind):
    return [c for c in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if c["cell_type"] == kind]


def test_the_notebook_is_kept_without_what_a_run_leaves_in_it():
    """Jupyter writes outputs, and counts what was run; neither belongs into a difference."""
    text = NOTEBOOK.read_text("utf-8")
    document = json.loads(text)
    assert text == json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    assert set(document["metadata"]) == {"kernelspec", "language_info"}
    assert document["metadata"]["language_info"] == {"name": "python"}
    for cell in cells("code"):
        assert (cell["outputs"], cell["execution_count"]) == ([], None)
        assert cell["metadata"] == {}


@pytest.mark.dot
def test_the_cells_of_the_notebook_run_and_what_they_end_in_is_shown():
    """Here without Jupyter; .ci/run executes it with nbclient."""
    names, shown = {}, []
    for cell in cells("code"):
        *lines, last = ast.parse("".join(cell["source"])).body
        if not isinstance(last, ast.Expr):
            lines, last = [*lines, last], None
        exec(compile(ast.Module(lines, []), NOTEBOOK.name, "exec"), names)
        if last is not None:
            shown.append(eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names))
    shown = [result for result in shown if result is not None]
    assert "<svg" in shown[0]._repr_mimebundle_()["image/svg+xml"]
    assert all("<" in result._repr_html_() for result in shown[1:-1])
    assert shown[-1] is names["loss"]
