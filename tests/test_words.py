"""One word for one thing, and every public name shown in use."""

import ast
import doctest
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tinygrad_mlp

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = sorted((ROOT / "tinygrad_mlp").rglob("*.py"))

INSTEAD = {
    r"(computation|computational|compute)[- ]graph": "graph",
    r"autodiff|automatic differentiation|back-?propagat\w*|back-?prop(?! \(1998\))": "autograd, "
    "backward pass",
    r"(upstream|downstream|incoming|local) gradient|error signal|adjoint": "cotangent, or delta",
    r"grad_fn|(backward|gradient|vjp) function": "rule",
    r"(mini|sub)-?batch": "batch",
    r"(training )?(data ?point|training example)": "sample",
    r"ground truth": "target",
    r"(cost|objective) function": "loss",
    r"fully[- ]connected|dense layer": "Linear",
    r"hidden unit": "unit, neuron",
    r"hadamard|element-wise|pointwise": "elementwise",
    r"hyper-?parameter": "the name of the argument",
    r"vertex|vertices": "node",
    r"(learnable|trainable) (weight|parameter)s?": "parameter",
    r"step size": "learning rate, lr",
}
"""What is not said here, and what is."""


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """What a reader of a page sees, or of a module: docstrings, messages and comments."""
    source = path.read_text("utf-8")
    if path.suffix == ".md":
        yield from enumerate(source.splitlines(), 1)
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
    for number, line in enumerate(source.splitlines(), 1):
        if "#" in line:
            yield number, line.split("#", 1)[1]


ANY = re.compile(rf"\b({'|'.join(INSTEAD)})\b", re.I)


def other_words(text: str) -> list[str]:
    text = re.sub(r"\s+", " ", text)
    if not ANY.search(text):
        return []
    return [
        f"{found.group()!r}: say {word}"
        for pattern, word in INSTEAD.items()
        for found in re.finditer(rf"\b({pattern})\b", re.sub(r"\s+", " ", text), re.I)
    ]


@pytest.mark.parametrize("path", PAGES + CODE, ids=lambda path: path.name)
def test_one_thing_has_one_name(path):
    assert [f"line {n}: {f}" for n, text in texts(path) for f in other_words(text)] == []


@pytest.mark.parametrize(
    "text",
    ["the computational\ngraph", "an element-wise product", "Upstream gradient", "minibatch"],
)
def test_another_name_is_found(text):
    assert other_words(text)


# --- every name is shown --------------------------------------------------------------------------


def examples(path: Path) -> Iterator[doctest.Example]:
    source = path.read_text("utf-8")
    if path.suffix == ".md":
        yield from doctest.DocTestParser().get_examples(source)
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            yield from doctest.DocTestParser().get_examples(ast.get_docstring(node) or "")


def used(example: doctest.Example) -> set[str]:
    """Names that an example reads, and errors that it shows."""
    names = set(re.findall(r"^[\w.]*?(\w+Error)\b", example.want, re.M))
    for node in ast.walk(ast.parse(example.source)):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
    return names


def shown() -> set[str]:
    return {
        name
        for path in PAGES + CODE
        if path.name != "api.md"
        for example in examples(path)
        for name in used(example)
    }


RESULTS = {"Comparison", "Player", "Program"}  # what `compare`, `play` and `derive` return


def test_every_public_name_is_used_in_an_example():
    assert set(tinygrad_mlp.__all__) - RESULTS - shown() == set()


def test_an_import_alone_does_not_count_as_use():
    (example,) = doctest.DocTestParser().get_examples(">>> from tinygrad_mlp import jit\n")
    assert used(example) == set()
