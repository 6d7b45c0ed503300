"""The forms of a program for people: whatever is in a name stays text."""

import html
import json
import re

import numpy as np
import pytest

from tinygrad_mlp import MLP, ShapeError, Tensor, derive, mse


@pytest.fixture
def program():
    net = MLP([2, 3, 1], rng=0)
    return derive(mse(net(np.ones((2, 2))), np.zeros((2, 1))))


def test_markdown_is_a_table_with_a_row_for_each_line(program):
    rows = program.formulas("markdown").splitlines()
    assert rows[:3] == [
        "| | formula | shape |",
        "| --- | --- | --- |",
        "| forward | `Z[1] = A[0] @ W[0] + B[0]` | `(2, 3)` |",
    ]
    assert len(rows) == 2 + len(program.lines)
    p = derive((Tensor([1.0], True, "a|b`c") * 2.0).sum())
    assert "| backward | `` da\\|b`c = dh1 * 2 `` |" in p.formulas("markdown")


def test_text_is_the_listing(program):
    assert program.formulas("text") == program.formulas() == str(program)


def test_an_unknown_form_is_an_error(program):
    with pytest.raises(ShapeError, match=r"'latx': use one of .*did you mean 'latex'"):
        program.formulas("latx")
    with pytest.raises(ShapeError, match=r"'zzz': use one of text, markdown, latex\."):
        program.formulas("zzz")


LATEX = r"""\begin{aligned}
Z_{1} &= A_{0} \, W_{0} + B_{0} \\
A_{1} &= \text{relu}\left(Z_{1}\right) \\
y &= A_{1} \, W_{1} + B_{1} \\
L &= \frac{1}{\left|y\right|_{0}} \sum \left(y - t\right)^2 \\
\frac{\partial L}{\partial y} &= \frac{2 \, \left(y - t\right)}{\left|y\right|_{0}} \\
\frac{\partial L}{\partial W_{1}} &= {A_{1}}^{\top} \, \frac{\partial L}{\partial y} \\
\frac{\partial L}{\partial B_{1}} &= \sum_{\text{axis 0}} \frac{\partial L}{\partial y} \\
\frac{\partial L}{\partial A_{1}} &= \frac{\partial L}{\partial y} \, {W_{1}}^{\top} \\
\frac{\partial L}{\partial Z_{1}} &= MASKED \\
\frac{\partial L}{\partial W_{0}} &= {A_{0}}^{\top} \, \frac{\partial L}{\partial Z_{1}} \\
\frac{\partial L}{\partial B_{0}} &= \sum_{\text{axis 0}} \frac{\partial L}{\partial Z_{1}}
\end{aligned}""".replace(
    "MASKED", r"\frac{\partial L}{\partial A_{1}} \odot \left(A_{1} > 0\right)"
)


def test_latex_of_a_network(program):
    assert program.formulas("latex") == LATEX


def test_latex_of_other_ops():
    w = Tensor(np.array([[1.0, 2.0], [3.0, 4.0]]), True, "weight")
    y = np.sqrt(w**3) + np.exp(-w) * np.absolute(w) - w[0, 1:] / (w * 2e-9)
    y = y + np.concatenate([w, w], axis=1)[:, :2] + np.square(w) + np.where(w > 0, w, 0.5)
    text = derive((y * -1.5).sum() + y.mean(), wrt=w).formulas("latex")
    for part in (
        r"\mathrm{weight}",
        r"\sqrt{{\mathrm{weight}}^{3}}",
        r"\exp\left(-\mathrm{weight}\right)",
        r"\left|\mathrm{weight}\right|",
        r"2 \cdot 10^{-9}",
        r"\left[0, \text{1:}\right]",
        r"\text{concatenate}\left(",
        r"\text{axis=} 1",
        r"\frac{\partial L}{\partial \mathrm{weight}}",
    ):
        assert part in text, part
    assert text.count("{") == text.count("}")
    assert text.count(r"\left") == text.count(r"\right")


def test_names_are_text_in_latex_and_html():
    name = r"a_b & <b>50%</b> \input{x} ~^#$"
    p = derive((Tensor([1.0], True, name) * 2.0).sum())
    text = p.formulas("latex")
    assert r"\input" not in text
    assert r"\text{a\_b \& <b>50\%</b> \textbackslash{}input\{x\}" in text
    page = p._repr_html_()
    assert "<b>" not in page
    assert html.escape(p.lines[0].text) in page
    assert re.findall("<h4>(.*?)</h4>", page) == ["forward", "backward"]


def test_html_has_every_line_and_shape(program):
    page = html.unescape(program._repr_html_())
    for row in program.lines:
        assert f"{row.name} = {row.text}" in page
    assert "(2, 3) @ (3, 1)" not in page.split("backward")[0]


def test_json_is_plain_and_has_a_version(program):
    document = program.to_dict()
    again = json.loads(json.dumps(document, allow_nan=False))
    assert again == document
    assert set(document) == {"version", "inputs", "lines", "results", "batch"}
    assert document["version"] == 1
    assert document["inputs"][0] == {
        "name": "W[0]",
        "shape": [2, 3],
        "dtype": "float64",
        "parameter": True,
    }
    assert document["inputs"][-1]["parameter"] is False
    assert document["lines"][0] == {
        "name": "Z[1]",
        "text": "A[0] @ W[0] + B[0]",
        "code": "A0 @ W0 + B0",
        "op": "add",
        "args": ["A[0]", "W[0]", "B[0]"],
        "shape": [2, 3],
        "dtype": "float64",
        "role": "forward",
        "of": "",
    }
    assert document["results"]["W[0]"] == "dW[0]"
    nan = derive((Tensor([1.0], True, "w") * np.nan + np.inf).sum()).to_dict()
    json.dumps(nan, allow_nan=False)
