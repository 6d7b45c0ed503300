"""A derivation for people: listing, Markdown, LaTeX, HTML, JSON."""

import html
import operator
import re
from typing import Any

import numpy as np

from .errors import ShapeError
from .formatting import name_of, nearest
from .ops import mse, relu
from .printing import (
    ATOM,
    FORMS,
    INFIX,
    POWER,
    UNARY,
    Derivation,
    Form,
    Line,
    Printer,
    is_parameter,
    shape_comment,
)
from .values import Length, Number, Value

__all__ = ["as_dict", "as_html", "formulas", "listing"]

ROLES = ("forward", "backward")


def table(d: Derivation, lines: list[Line]) -> list[tuple[str, str, str]]:
    """Of each line its role, its formula and its shapes."""
    both = zip(d.lines, lines, strict=True)
    return [(row.role, f"{row.name} = {row.text}", shape_comment(v)) for v, row in both]


def listing(d: Derivation, lines: list[Line]) -> str:
    """The lines with their shapes, forward and backward."""
    every = table(d, lines)
    width = min(60, max((len(text) for _, text, _ in every), default=0))
    rows = []
    for role in ROLES:
        found = [f"    {text:<{width}}  # {shape}" for r, text, shape in every if r == role]
        rows += [role, *found]
    return "\n".join(rows)


def as_html(d: Derivation, lines: list[Line]) -> str:
    """The listing as a piece of a page: two headings, two tables."""
    parts = []
    for role in ROLES:
        parts.append(f"<h4>{role}</h4>\n<table>")
        for r, *cells in table(d, lines):
            if r == role:
                codes = [f"<code>{html.escape(cell)}</code>" for cell in cells]
                cell = '<td style="text-align: left">'
                parts.append(f"<tr>{''.join(f'{cell}{code}</td>' for code in codes)}</tr>")
        parts.append("</table>")
    return "\n".join(parts)


def as_dict(d: Derivation, lines: list[Line], results: dict[str, str]) -> dict[str, Any]:
    """Plain lists, dicts, text and integers; ``version`` changes when the meaning does."""
    return {
        "version": 1,
        "inputs": [
            {
                "name": v.name,
                "shape": list(v.shape),
                "dtype": str(v.dtype),
                "parameter": is_parameter(v),
            }
            for v in d.inputs
        ],
        "lines": [
            {**row._asdict(), "args": list(row.args), "shape": list(row.shape)} for row in lines
        ],
        "results": dict(results),
        "batch": d.batch,
    }


def formulas(d: Derivation, lines: list[Line], form: str) -> str:
    """The lines as text, as a Markdown table, or as aligned equations for LaTeX."""
    if form == "text":
        return listing(d, lines)
    if form == "markdown":
        rows = ["| | formula | shape |", "| --- | --- | --- |"]
        for role, *cells in table(d, lines):
            rows.append(f"| {role} | {' | '.join(map(code_cell, cells))} |")
        return "\n".join(rows)
    if form == "latex":
        printer = Latex()
        rows = [f"{printer.name(v)} &= {printer.definition(v)[0]}" for v in d.lines]
        return "\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}"
    close = nearest(str(form), ["text", "markdown", "latex"])
    hint = f"; did you mean {close!r}?" if close else "."
    raise ShapeError(f"formulas: {form!r}: use one of text, markdown, latex{hint}")


def code_cell(text: str) -> str:
    """Code in a cell of a Markdown table: a bar would end the cell, a backtick the code."""
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    gap = " " if len(ticks) > 1 else ""
    return f"{ticks}{gap}{text}{gap}{ticks}".replace("|", "\\|")


# --- LaTeX ----------------------------------------------------------------------------------------

SPECIAL = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    **{"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"},
}
SIGNS: dict[Any, str] = {
    **{np.multiply: r"\odot", np.matmul: r"\,", np.less_equal: r"\le", np.greater_equal: r"\ge"},
    **{np.not_equal: r"\ne", np.bitwise_and: r"\land", np.bitwise_or: r"\lor"},
    **{np.floor_divide: r"\mathbin{/\!/}", np.equal: "="},
}


def plain(text: str) -> str:
    """Text as text, whatever is in it."""
    return "\\text{" + "".join(SPECIAL.get(c, c) for c in text) + "}"


MATHS: dict[Any, Form] = {
    **{
        op: (f"%s {SIGNS.get(op, form[0].split()[1])} %s", *form[1:])
        for op, form in FORMS.items()
        if op in INFIX
    },
    np.divide: (r"\frac{%s}{%s}", (0, 0), ATOM),
    np.negative: FORMS[np.negative],
    np.power: ("{%s}^{%s}", (ATOM, 0), POWER),
    np.square: ("{%s}^{2}", (ATOM,), POWER),
    np.transpose: (r"{%s}^{\top}", (ATOM,), POWER),
    np.sqrt: (r"\sqrt{%s}", (0,), ATOM),
    np.absolute: (r"\left|%s\right|", (0,), ATOM),
    relu: (rf"{plain('relu')}\left(%s\right)", (0,), ATOM),
    **{f: (rf"\{f.__name__}\left(%s\right)", (0,), ATOM) for f in (np.exp, np.log, np.tanh)},
    np.maximum: (r"\max\left(%s, %s\right)", (0, 0), ATOM),
    np.minimum: (r"\min\left(%s, %s\right)", (0, 0), ATOM),
}
"""As `printing.FORMS`."""


class Latex(Printer):
    """Expressions as mathematics: indices below, transposes above, products entry by entry as ⊙."""

    forms = MATHS

    def name(self, v: Value) -> str:
        """W[0] as W_{0}, dW[0] as the derivative of the loss by it."""
        text = str(v.name)
        match = re.fullmatch(r"([A-Za-z]+)((?:\[\d+\])*)", text)
        if v.of and text == f"d{v.of}":
            of = Value(None, (), {}, v)
            of.name = v.of
            return rf"\frac{{\partial L}}{{\partial {self.name(of)}}}"
        if match is None:
            return plain(text)
        base = match[1] if len(match[1]) == 1 else rf"\mathrm{{{match[1]}}}"
        below = ",".join(re.findall(r"\d+", match[2]))
        return f"{base}_{{{below}}}" if below else base

    def text(self, a: Any, least: int = 0) -> str:
        """`a`, in parentheses if it binds less than `least`."""
        text, binds = self.expression(a)
        return rf"\left({text}\right)" if binds < least else text

    def expression(self, a: Any) -> tuple[str, int]:
        """The text of `a` and how tightly it binds."""
        if isinstance(a, Value):
            return (self.name(a), ATOM) if a.name is not None else self.definition(a)
        if isinstance(a, Number) and isinstance(a.number, (int, float)):
            text = f"{a.number:.6g}"
            if "e" in text:
                mantissa, exponent = text.split("e")
                return rf"{mantissa} \cdot 10^{{{int(exponent)}}}", 5
            return text, UNARY if text[0] == "-" else ATOM
        if isinstance(a, Length):
            below = "" if a.axis is None else f"_{{{a.axis}}}"
            return rf"\left|{self.text(a.value)}\right|{below}", ATOM
        return plain(Printer().text(a)), ATOM

    def definition(self, v: Value) -> tuple[str, int]:
        """The op of `v` applied to its arguments."""
        op, args = v.op, v.args
        if op is np.multiply and any(is_scalar(a) for a in args):
            return rf"{self.text(args[0], 5)} \, {self.text(args[1], 6)}", 5
        form = self.formed(op, args)
        if form is not None:
            return form
        if op is np.sum and not v.kwargs and isinstance((*args, None)[1], (Number, type(None))):
            axis = f"_{{\\text{{axis {args[1].number}}}}}" if len(args) > 1 else ""
            return rf"\sum{axis} {self.text(args[0], 5)}", 4
        if op is mse and len(args) == 2 and not v.kwargs and args[0].shape:
            y, t = self.text(args[0], 4), self.text(args[1], 5)
            count = self.text(Length(args[0], 0))
            return rf"\frac{{1}}{{{count}}} \sum \left({y} - {t}\right)^2", 5
        if op is operator.getitem:
            index = ", ".join(self.part(b) for b in args[1:])
            return rf"{self.text(args[0], ATOM)}\left[{index}\right]", ATOM
        given = [self.text(a) for a in args]
        given += [rf"{plain(f'{k}=')} {self.text(a)}" for k, a in v.kwargs.items()]
        return rf"{plain(name_of(op))}\left({', '.join(given)}\right)", ATOM

    def part(self, a: Any) -> str:
        """One part of an index."""
        return plain(Printer().part(a)) if isinstance(a, slice) else self.text(a)


def is_scalar(a: Any) -> bool:
    """Whether an operand has no axes."""
    return not isinstance(a, Value) or not a.shape
