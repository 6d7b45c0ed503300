"""The documents say what the code does: ops, links, names; code blocks run as doctests."""

import importlib.util
import inspect
import json
import operator
import re
import statistics
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import test_mistakes as mistakes
from mistakes.measure import measure
from mistakes.registry import PASSES
from test_layers import LAYER, LAYERS

import tinygrad_mlp
from tinygrad_mlp import (
    cli,
    drawing,
    elementary,
    errors,
    folding,
    functional,
    linear_algebra,
    ops,
    playing,
    reductions,
    shaping,
    styling,
    values,
)
from tinygrad_mlp.cli import main
from tinygrad_mlp.primitives import PRIMITIVES
from tinygrad_mlp.tensor import FORWARDS, QUERIES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
OPS = (ROOT / "docs" / "ops.md").read_text("utf-8")

REGISTERED = dict(PRIMITIVES)  # now, before a doctest adds one of its own

ROW = re.compile(r"^\| `([\w.]+)` \|", re.MULTILINE)
MODULES = (ops, functional, elementary, shaping, reductions, linear_algebra)
WORD = re.compile(r"`(np\.\w+)`")


def section(title: str, text: str = OPS) -> str:
    """What stands below the heading `title`, up to the next."""
    return text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def function(name: str) -> object:
    """The function that a document calls `name`."""
    module, _, attribute = name.rpartition(".")
    ours = next((m for m in MODULES if hasattr(m, attribute)), None)
    modules = {"np": np, "np.linalg": np.linalg, "operator": operator, "": ours}
    return getattr(modules[module], attribute, None)


def functions(text: str, pattern: re.Pattern[str] = ROW) -> list[object]:
    found = [function(name) for name in pattern.findall(text)]
    return [f for f in found if f is not None]  # an older NumPy has fewer


def missing_and_surplus(listed: list[object], registered: object) -> tuple[set[str], set[str]]:
    """Names that the document lacks, and names that only the document has."""
    have, want = set(listed), set(registered)
    assert len(have) == len(listed), "a row stands twice"
    name = operator.attrgetter("__name__")
    return set(map(name, want - have)), set(map(name, have - want))


def load(path: Path) -> ModuleType:
    """A script that is no part of a package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DIFFERENTIABLE = (
    *("Arithmetic", "Elementwise", "Reductions", "Shape and index"),
    "Linear algebra",
)


def test_every_op_with_a_rule_has_a_row_and_every_row_an_op():
    listed = [f for title in DIFFERENTIABLE for f in functions(section(title))]
    with_rules = [f for f, rules in REGISTERED.items() if rules]
    assert missing_and_surplus(listed, with_rules) == (set(), set())


def test_every_piecewise_constant_op_has_a_row_and_every_row_an_op():
    constant = [f for f, rules in REGISTERED.items() if not rules]
    assert missing_and_surplus(functions(section("Piecewise constant")), constant) == (set(), set())


def test_every_composed_function_is_listed_and_nothing_else():
    assert missing_and_surplus(functions(section("Written with others")), FORWARDS) == (
        set(),
        set(),
    )


def test_every_question_is_listed_and_nothing_else():
    listed = functions(section("Questions"), WORD)
    listed = [f for f in listed if f is not np.testing]
    assert missing_and_surplus(listed, QUERIES) == (set(), set())


def test_a_missing_row_and_a_surplus_one_are_found():
    without = OPS.replace("| `np.exp` |", "| `np.spacing` |")
    listed = [f for title in DIFFERENTIABLE for f in functions(section(title, without))]
    with_rules = [f for f, rules in REGISTERED.items() if rules]
    assert missing_and_surplus(listed, with_rules) == ({"exp"}, {"spacing"})


# --- pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [*PAGES, CONTRIBUTING], ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page):
    text = page.read_text("utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)", text) + re.findall(r"\{doc\}`(\w+)`", text)
    targets += re.findall(r'src="([^"]+)"', text)
    for target in targets:
        if not target.startswith(("http:", "https:", "mailto:")):
            path = page.parent / target
            assert path.exists() or path.with_name(f"{path.name}.md").exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_of_the_package_in_the_text_exist(page):
    for name in re.findall(r"`tinygrad_mlp\.([\w.]+)", page.read_text("utf-8")):
        value = tinygrad_mlp
        for part in name.rstrip(".").split("."):
            value = getattr(value, part)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_code_block_with_a_prompt_ends_in_an_empty_line(page):
    """Else doctest takes the closing fence for output."""
    for block in re.findall(r"^```\w*\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
        if ">>>" in block:
            assert block.endswith("\n\n"), block


def test_the_code_blocks_of_the_pages_are_doctests():
    """pytest is told so in setup.cfg; without the setting they would only be text."""
    setup = (ROOT / "setup.cfg").read_text("utf-8")
    assert '--doctest-glob="*.md"' in setup
    assert re.search(r"^testpaths = .*docs README\.md", setup, re.M)
    assert all(">>>" in (ROOT / name).read_text("utf-8") for name in ("README.md", "docs/ops.md"))


def test_the_readme_shows_an_example_with_its_output_before_line_15():
    head = (ROOT / "README.md").read_text("utf-8").splitlines()[:14]
    prompts = [i for i, line in enumerate(head) if line.startswith(">>>")]
    outputs = [line for line in head[prompts[-1] + 1 :] if line and not line.startswith("```")]
    assert outputs


def test_the_pictures_of_the_pages_are_drawn_by_their_own_code():
    """docs/conf.py writes drawn/NAME.svg from what NAME is at the end of a page."""
    drawn = []
    for page in PAGES:
        text = page.read_text("utf-8")
        for name in re.findall(r"\bdrawn/(\w+)\.svg", text):
            assert re.search(rf"^>>> {name} = draw", text, re.M), (page.name, name)
            drawn.append(name)
    assert len(set(drawn)) == len(drawn) > 0


@pytest.mark.dot
def test_the_picture_in_the_readme_is_what_the_command_beside_it_draws(tmp_path):
    """In its words and numbers; the layout may differ with the version of Graphviz."""
    readme = (ROOT / "README.md").read_text("utf-8")
    command, file = re.search(
        r"<!-- python -m tinygrad_mlp (draw .*) -o (\S+) -->", readme
    ).groups()
    assert f'src="{file}"' in readme
    again = tmp_path / "graph.svg"
    assert main([*command.split(), "-q", "-o", str(again)]) == 0
    old, new = (
        re.findall(r"<text[^>]*>(.*?)<", p.read_text("utf-8")) for p in (ROOT / file, again)
    )
    assert len(new) > 50
    assert sorted(old) == sorted(new), f"draw it again: {command} -o {file}"


def test_pictures_that_a_page_shows_by_itself_are_copied_with_it():
    """Sphinx knows nothing of an <img>; what lies in html_static_path goes along."""
    found = {
        src for page in PAGES[1:] for src in re.findall(r'<img src="([^"]+)"', page.read_text())
    }
    assert found
    assert {src.split("/")[0] for src in found} == {"_static"}
    conf = (ROOT / "docs" / "conf.py").read_text("utf-8")
    assert 'html_static_path = ["_static"]' in conf


def test_what_stands_beside_pytorch_runs(tmp_path, monkeypatch):
    """The right column of the first table; what PyTorch has in the left one is not installed."""
    page = (ROOT / "docs" / "pytorch.md").read_text("utf-8")
    rows = re.findall(r"^\| (`.*) \| (.*) \|$", section("The same thing in both", page), re.M)
    assert len(rows) > 20
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    names = {**vars(tinygrad_mlp), **{n: getattr(tinygrad_mlp, n) for n in tinygrad_mlp.__all__}}
    names |= {
        "np": np,
        "rng": rng,
        "f": lambda v: (v**2).sum(),
        "v": rng.normal(size=3),
        "u": np.ones(3),
    }
    for left, right in rows:
        x = tinygrad_mlp.Tensor(rng.normal(size=(6, 3)), requires_grad=True)
        net = tinygrad_mlp.MLP([3, 2], rng=0)
        w, h, z = net.W[0], x * 1, net(x)
        names |= {"x": x, "y": h, "w": w, "b": net.B[0], "h": h, "z": z, "t": np.zeros((6, 3))}
        names |= {"labels": np.zeros(6, int), "mask": np.arange(6) > 2, "params": net.parameters()}
        names |= {"net": net, "state": net.state_dict(), "loss": tinygrad_mlp.mse(z, z.data + 1)}
        names["loss"].backward() if "clip" in right else None
        for code in re.findall(
            r"(?<!\})`([^`]+)`", left if right.startswith("the same") else right
        ):
            if code.startswith("with "):
                code += " pass"
            exec(code.replace("x.item()", "loss.item()"), names)


NUMBER = re.compile(r"\b(\d\.\d(e[+-]\d+)?|\d+e\+\d+|inf)\b")


def masked(report: str) -> list[str]:
    """The words of a report; how much two programs differ depends on the machine."""
    return NUMBER.sub("0", report).split()


def test_the_commands_in_the_readme_do_what_it_says(tmp_path, monkeypatch, capsys):
    readme = (ROOT / "README.md").read_text("utf-8")
    file = re.search(r"`(\w+\.py)`[^`]*```python\n([^>].*?)```", readme, re.S)
    (tmp_path / file[1]).write_text(file[2], "utf-8")
    monkeypatch.chdir(tmp_path)
    ((command, shown),) = re.findall(
        r"```console\n\$ tinygrad-mlp ([^\n]*)\n(.*?)```", readme, re.S
    )
    assert main(command.split()) == 1
    assert masked(capsys.readouterr().out) == masked(shown)
    assert masked(shown) != masked(shown.replace("WRONG", "same"))
    for command in re.findall(r"^tinygrad-mlp (.*)$", readme, re.M):
        try:
            assert main([*command.split()]) == 0
        except SystemExit as end:
            assert end.code == 0  # noqa: PT017  # --help
        for name in re.findall(r"-o (\S+)", command):
            assert (tmp_path / name).exists()


def test_the_files_that_contributing_names_are_there():
    folders = ("", "tests", "tests/mistakes", "tinygrad_mlp")
    text = CONTRIBUTING.read_text("utf-8")
    named = re.findall(r"`([\w/.]+\.(?:py|md|cfg))`", text) + re.findall(r"\btests/\w+\.py", text)
    found = {n: next(p for f in folders if (p := ROOT / f / n).exists()) for n in named}
    inside = re.findall(r"`(\w+)`\s+in\s+`([\w/.]+\.py)`", text)
    assert len(inside) > 2
    for word, file in inside:
        assert re.search(rf"\b{word}\b", found[file].read_text("utf-8")), (word, file)


def test_the_mistake_that_contributing_adds_is_found(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", CONTRIBUTING.read_text("utf-8"), re.S)
    names = "from mistakes.by_hand import forward, np, wrong\n\n\n"
    (tmp_path / "added.py").write_text(names + textwrap.dedent(code), "utf-8")
    name = load(tmp_path / "added.py").biases_twice.__name__
    try:
        outcome = measure(PASSES[name])
        assert outcome.found
        assert outcome.exact
    finally:
        del PASSES[name]


def test_every_page_is_in_the_table_of_contents():
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    listed = set(re.search(r"```\{toctree\}\n(?::.*\n)*\n(.*?)```", index, re.S)[1].split())
    assert {p.stem for p in PAGES} - {"README", "index"} == listed


def test_every_exported_name_has_a_docstring_and_is_in_the_reference():
    """Sphinx documents all of `__all__` where api.md asks for the members, except what has none."""
    api = (ROOT / "docs" / "api.md").read_text("utf-8")
    documented = re.findall(r"\.\. automodule:: ([\w.]+)\n +:members:", api)
    assert "tinygrad_mlp" in documented
    for name in tinygrad_mlp.__all__:
        value = getattr(tinygrad_mlp, name)
        assert inspect.getdoc(value), name
        if inspect.ismodule(value):
            assert value.__name__ in documented


FORM = {"GL08", "SS01", "PR01", "PR02", "PR03", "PR05", "PR10", "RT01", "YD01", "EX01"}
"""Of numpydoc: a summary, each parameter once with its type and in order, results, an example."""


@pytest.mark.slow
def test_every_exported_function_has_the_sections_of_numpydoc():
    validate = pytest.importorskip("numpydoc.validate", reason="of the extra docs").validate
    names = [f"tinygrad_mlp.{n}" for n in tinygrad_mlp.__all__]
    names += [f"tinygrad_mlp.data.{n}" for n in tinygrad_mlp.data.__all__]
    found = {}
    for name in names:
        value = operator.attrgetter(name.removeprefix("tinygrad_mlp."))(tinygrad_mlp)
        if inspect.isfunction(value):
            wrong = [error for error in validate(name)["errors"] if error[0] in FORM]
            found |= {name: wrong} if wrong else {}
    assert found == {}


def test_the_table_of_speeds_is_made_from_the_rounds():
    path = ROOT / "benchmarks" / "training_step.py"
    bench = load(path)
    raw = json.loads(path.with_name("results.json").read_text("utf-8"))
    assert {len(times) for size in raw.values() for times in size.values()} == {30}
    assert bench.table(raw) in (ROOT / "docs" / "performance.md").read_text("utf-8")


# --- numbers and lists ----------------------------------------------------------------------------

DESIGN = (ROOT / "docs" / "design.md").read_text("utf-8")


def order_of_modules() -> str:
    """The rows of LAYERS as the design shows them."""
    rows = [", ".join(row).replace("__init__", "tinygrad_mlp itself") for row in LAYERS[:-1]]
    text = textwrap.fill(" <- ".join(rows), 72, break_on_hyphens=False)
    return textwrap.indent(text.replace(" <-\n", "\n<- "), "    ")


def test_the_order_of_the_modules_is_that_of_the_design():
    assert order_of_modules() in DESIGN, f"paste this:\n{order_of_modules()}"


def test_the_core_is_read_in_the_order_of_its_imports():
    readme = (ROOT / "README.md").read_text("utf-8")
    (text,) = re.findall(
        r"The core is six modules, to be read in this order: (.*?)\.", readme, re.S
    )
    core = re.findall(r"\w+", text)
    assert len(core) == 6
    rows = [next(i for i, row in enumerate(LAYERS) if name in row) for name in core]
    assert rows == sorted(rows)
    assert rows[-1] == LAYER["tensor"]


def test_the_tree_of_errors_is_the_same_everywhere():
    tree = re.compile(r"── (\w+) +\(?also a (\w+)")
    there = {
        (name, next(b.__name__ for b in error.__bases__ if b is not errors.TinygradMLPError))
        for name, error in vars(errors).items()
        if name in errors.__all__ and error is not errors.TinygradMLPError
    }
    for text in (errors.__doc__, DESIGN):
        assert set(tree.findall(text)) == there


def number(text: str) -> float:
    words = {"ten": 10}
    return words.get(text) or float(text.replace(",", ""))


def options(command: str, name: str) -> Any:
    """What an option of the command line is, where it is not given."""
    given = {"compare": ["net.py"], "train": ["--data", "d", "--sizes", "1,1", "-o", "m"]}
    return getattr(cli.parser().parse_args([command, *given[command]]), name)


COUNTED = {
    ("drawing.md", r"Of more than (\d+) cards"): lambda: folding.FEW,
    ("drawing.md", r"At most (\d+) cards"): lambda: drawing.LIMIT,
    ("drawing.md", r"Up to (\d+) numbers"): lambda: styling.NUMBERS,
    ("playing.md", r"Arrays of more than (\d+) numbers"): lambda: styling.NUMBERS,
    ("design.md", r"arrays of up to (\d+) numbers"): lambda: styling.NUMBERS,
    ("design.md", r"at most ([\d,]+) sums"): lambda: playing.ENTRIES,
    ("deriving.md", r"one line of (\d+) characters"): lambda: values.LONGEST,
    ("checking.md", r"(\w+) times that\s+is the limit"): lambda: (
        inspect.signature(tinygrad_mlp.compare).parameters["sigma"].default
    ),
    ("teachers.md", r"a file may take, (\d+) by default"): lambda: options("compare", "timeout"),
    ("mistakes.md", r"at least (\d+) % are right"): lambda: 100 * mistakes.CAUSE_RIGHT,
    ("mistakes.md", r"at most ([\d.]+) % wrong"): lambda: 100 * mistakes.CAUSE_WRONG,
    ("../README.md", r"Python 3\.(\d+) or newer"): lambda: int(
        re.search(r"python_requires = >=3\.(\d+)", (ROOT / "setup.cfg").read_text("utf-8"))[1]
    ),
}


@pytest.mark.parametrize(("page", "pattern"), COUNTED, ids=str)
def test_a_number_in_the_text_is_that_of_the_code(page, pattern):
    (found,) = re.findall(pattern, (ROOT / "docs" / page).read_text("utf-8"))
    assert number(found) == pytest.approx(COUNTED[page, pattern]())


def test_so_many_functions_of_numpy_have_a_gradient():
    said = int(
        re.search(r"(\d+) functions of NumPy", (ROOT / "CHANGELOG.md").read_text("utf-8"))[1]
    )
    known = {*(f for f, rules in REGISTERED.items() if rules), *FORWARDS}
    numpys = {f for f in known if f.__module__.startswith("numpy") or f.__class__ is np.ufunc}
    assert said <= len(numpys) < said + 10


def test_the_page_that_steps_has_about_the_size_that_is_said():
    page = (ROOT / "docs" / "playing.md").read_text("utf-8")
    said = int(re.search(r"one file of\s+about\s+(\d+) kB", page)[1])
    net = tinygrad_mlp.MLP((2, 4, 1), rng=3)
    loss = tinygrad_mlp.mse(net(np.ones((3, 2))), np.zeros((3, 1)))
    assert 0.8 * said < len(tinygrad_mlp.play(loss).html) / 1000 < 1.2 * said


def test_the_sizes_of_the_measured_networks_are_said():
    bench = load(ROOT / "benchmarks" / "training_step.py")
    page = (ROOT / "docs" / "performance.md").read_text("utf-8")
    for name, (sizes, batch) in bench.SIZES.items():
        layers = "-".join(map(str, sizes)) if len(sizes) < 9 else f"{len(sizes) - 1} layers of 64"
        assert re.search(rf"{name}\s+(is )?{layers}\s+with\s+{batch}\b", page), name


@pytest.mark.slow
def test_the_digits_are_read_as_well_as_is_said():
    page = (ROOT / "docs" / "training.md").read_text("utf-8")
    said = [float(n) for n in re.search(r"reads ([\d.]+) %.*?([\d.]+) %", page, re.S).groups()]
    source = (ROOT / "examples" / "10_digits.py").read_text("utf-8").split("\nright = {}")[0]
    names: dict[str, Any] = {}
    exec(source, names)
    for text, data, epochs in zip(said, (names["as_it_is"], names["moved"]), (15, 30)):
        right = []
        for seed in range(5):
            net = names["learn"](data, epochs, seed)
            logits = net(names["rows"](names["digits"].test_images)).data
            right.append(100 * names["accuracy"](logits, names["digits"].test_labels))
        assert statistics.median(right) == pytest.approx(text, abs=0.3)  # sums differ elsewhere


# --- the rules in the table of ops ----------------------------------------------------------------


def written_rules() -> Iterator[tuple[Any, list[str]]]:
    """Functions whose cell of the table is nothing but formulas, one for each argument."""
    for title in ("Arithmetic", "Elementwise"):
        for name, cell in re.findall(r"^\| `([\w.]+)` \| (.*?) \|", section(title), re.M):
            if re.fullmatch(r"`[^`]+`(, `[^`]+`)*", cell) and name not in ("np.matmul", "gelu"):
                yield function(name), re.findall(r"`([^`]+)`", cell)


RULES = list(written_rules())


def test_most_rules_are_written_as_formulas():
    assert len(RULES) > 35


@pytest.mark.parametrize(("fun", "rules"), RULES, ids=lambda v: getattr(v, "__name__", ""))
def test_a_rule_is_what_the_table_says(fun, rules):
    rng = np.random.default_rng(0)
    low = 1.1 if fun is np.arccosh else 0.1
    given = [text for text in rules if " = " in text]  # s = sigmoid(x)
    rules = [text for text in rules if " = " not in text]
    args = [rng.uniform(low, low + 0.8, size=9) for _ in rules]
    g, y = rng.normal(size=9), fun(*args)
    names = {**vars(np), **vars(functional), "π": np.pi, "g": g, "y": y, "abs": np.abs}
    names |= dict(zip("ab", args)) | {"x": args[0]}
    exec("\n".join(given), names)
    for text, rule in zip(rules, REGISTERED[fun], strict=True):
        np.testing.assert_allclose(eval(text, names), rule(g, y, *args), rtol=1e-9, err_msg=text)
