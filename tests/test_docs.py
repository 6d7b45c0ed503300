"""The documents say what the code does: ops, links, names; code blocks run as doctests."""

import importlib.util
import inspect
import json
import operator
import re
import textwrap
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from mistakes.measure import measure
from mistakes.registry import PASSES

import tinygrad_mlp
from tinygrad_mlp import elementary, functional, linear_algebra, ops, reductions, shaping
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
    for name in re.findall(r"`([\w/.]+\.(?:py|md|cfg))`", CONTRIBUTING.read_text("utf-8")):
        assert any((ROOT / folder / name).exists() for folder in folders), name


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


def test_the_table_of_speeds_is_made_from_the_rounds():
    path = ROOT / "benchmarks" / "training_step.py"
    bench = load(path)
    raw = json.loads(path.with_name("results.json").read_text("utf-8"))
    assert {len(times) for size in raw.values() for times in size.values()} == {30}
    assert bench.table(raw) in (ROOT / "docs" / "performance.md").read_text("utf-8")
