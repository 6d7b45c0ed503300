"""Arrays as tables in the little HTML that Graphviz knows: numbers, heat maps, histograms, bars.

A table in a cell stretches to the width of the cell, unless its size is fixed. So everything here
is a `Block`, which knows its size, and blocks are put above or beside each other.
"""

import html
from typing import Any, NamedTuple

import numpy as np

from . import paint
from .styling import HEAT, block_means, figures, is_small, number_text, text_width

__all__ = ["Block", "above", "bars", "beside", "block", "escape", "font", "row", "said"]

SIDE = 5
"""Of a square in a heat map."""

HISTOGRAM = 18
"""The bars of a histogram."""

BAR = {
    paint.MUTED: "#7aa6c8",
    paint.GRADIENT: "#d98358",
    paint.FAULT: "#d98358",
    paint.MATCH: "#7aa6c8",
}
"""Colour of a caption -> that of bars below it."""


class Block(NamedTuple):
    """A table or a text, and how large it is."""

    text: str
    wide: int
    tall: int
    name: str = ""  # attributes of the cell that it is put in


def escape(text: str) -> str:
    r"""Text for a label. Graphviz replaces \N and its like even there.

    >>> escape(r'<b>&"\N')
    '&lt;b&gt;&amp;&quot;\\\\N'
    """
    return html.escape(text).replace("\\", "\\\\")


def font(text: str, color: str, size: float, face: str = "", tag: str = "") -> str:
    """A piece of text; nothing for no text, which is a syntax error in an element."""
    if not text:
        return ""
    text = f"<{tag}>{escape(text)}</{tag}>" if tag else escape(text)
    face = f' FACE="{face}"' if face else ""
    return f'<FONT{face} COLOR="{color}" POINT-SIZE="{size:g}">{text}</FONT>'


def row(content: str, attributes: str = "") -> str:
    """A row of one cell."""
    return f'<TR><TD ALIGN="LEFT"{attributes}>{content}</TD></TR>'


def cell(content: str, wide: int, tall: int, attributes: str = "") -> str:
    """A cell that keeps its size."""
    size = f'FIXEDSIZE="TRUE" WIDTH="{wide}" HEIGHT="{tall}"'
    return f"<TD {size}{attributes}>{content}</TD>"


def patch(color: str, wide: int, tall: int) -> str:
    """A cell of one colour."""
    return cell("", wide, tall, f' BGCOLOR="{color}"')


def table(rows: str, wide: int, tall: int, attributes: str = "") -> Block:
    """A table that keeps its size."""
    look = attributes or 'BORDER="0" CELLBORDER="0" CELLPADDING="0"'
    size = f'FIXEDSIZE="TRUE" WIDTH="{wide}" HEIGHT="{tall}"'
    text = f'<TABLE ALIGN="LEFT" VALIGN="TOP" CELLSPACING="0" {look} {size}>{rows}</TABLE>'
    return Block(text, wide, tall)


def above(blocks: list[Block], gap: int = 0) -> Block:
    """Blocks above each other."""
    rows = "".join(row(b.text, f' VALIGN="TOP" HEIGHT="{b.tall + gap}"{b.name}') for b in blocks)
    return table(rows, max(b.wide for b in blocks), sum(b.tall + gap for b in blocks))


def beside(blocks: list[Block], gap: int = 0) -> Block:
    """Blocks beside each other."""
    tall = max(b.tall for b in blocks)
    wide = [b.wide + gap for b in blocks[:-1]] + [blocks[-1].wide]
    look = ' ALIGN="LEFT" VALIGN="TOP"'
    cells = "".join(cell(b.text, w, tall, look + b.name) for b, w in zip(blocks, wide))
    return table(f"<TR>{cells}</TR>", sum(wide), tall)


def said(
    text: str, color: str = paint.MUTED, size: float = 9, tag: str = "", wide: int = 0
) -> Block:
    """A line of text."""
    width = wide or text_width(text, size) + 8
    return Block(font(text, color, size, tag=tag), width, 14 if tag else round(size * 4 / 3))


# --- arrays ---------------------------------------------------------------------------------------


def block(caption: str, array: Any, color: str, detail: str = "all", other: Any = None) -> Block:
    """An array as cells, or as a heat map, or as four figures; under its name.

    With less `detail`: "cells", and figures for more numbers than that; "figures" for all.

    Cells that differ from those of an `other` array are boxed.
    """
    foreign = not isinstance(array, np.ndarray | np.generic)
    if foreign or not array.size:
        word = f"{type(array).__module__.partition('.')[0]} array" if foreign else "empty"
        return above([said(caption, color, tag="B"), said(word)])
    if array.dtype.kind == "c":
        array, caption = np.abs(array), f"|{caption}|"
    head = said(caption, color, tag="B")
    a = array.reshape(-1, array.shape[-1] if array.ndim else 1)
    with np.errstate(all="ignore"):  # of numbers near the largest; they show as inf
        if is_small(a) and (detail != "figures" or a.size == 1):
            return above([head, cells(a, differing(a, other))])
        a = a.astype(np.float64)
        finite = a[np.isfinite(a)]
        words = [said(line) for line in figures(finite)]
        if detail != "all":
            return above([head, *words])
        squares = heat_map(a)
        filler = Block("", SIDE * HEAT + 12 - squares.wide, 1)  # what is beside it stands in line
        return beside([squares, filler, above([head, histogram(finite, color), *words])])


def differing(a: Any, other: Any) -> Any:
    """Which entries are not those of the other array, beyond rounding; none without one."""
    if other is None:
        return np.zeros(a.shape, bool)
    other = np.reshape(np.asarray(other, np.float64), a.shape)
    near = 1e-6 * max(float(np.abs(other[np.isfinite(other)]).max(initial=0)), 1e-300)
    return ~np.isclose(a.astype(np.float64), other, rtol=1e-6, atol=near, equal_nan=True)


def cells(a: Any, boxed: Any) -> Block:
    """Every entry in a cell, tinted by sign and size; those that are wrong are boxed."""
    texts = [[number_text(v) for v in line] for line in a.tolist()]
    wide, tall = max(text_width(text, 10) for line in texts for text in line) + 9, 17
    rows = ""
    for entries in zip(texts, paint.grounds(a), boxed.tolist()):
        rows += "<TR>"
        for text, ground, wrong in zip(*entries):
            box = f' BORDER="2" COLOR="{paint.FAULT}"' if wrong else ""
            ground = paint.FAULT_GROUND if wrong else ground
            ink = paint.INKS.get(ground)
            text = font(text, ink, 10, tag="B" * (ink == paint.FAULT)) if ink else text
            rows += cell(text, wide, tall, f' ALIGN="RIGHT" BGCOLOR="{ground}"{box}')
        rows += "</TR>"
    look = f'BORDER="0" CELLBORDER="1" CELLPADDING="1" COLOR="{paint.LINE}"'
    whole = table(rows, wide * a.shape[1] + 1, tall * len(a) + 1, look)
    text = f'<FONT COLOR="{paint.ON_TINT}" POINT-SIZE="10">{whole.text}</FONT>'
    return whole._replace(text=text)


def heat_map(a: Any) -> Block:
    """Block means as coloured squares."""
    colors = paint.grounds(block_means(a), map_of_many=True)
    rows = "".join(f"<TR>{''.join(patch(c, SIDE, SIDE) for c in line)}</TR>" for line in colors)
    look = f'BORDER="1" CELLBORDER="0" CELLPADDING="0" COLOR="{paint.LINE}" BGCOLOR="{paint.PAPER}"'
    return table(rows, SIDE * len(colors[0]) + 2, SIDE * len(colors) + 2, look)


def histogram(a: Any, color: str) -> Block:
    """How often which numbers occur, as bars."""
    span = a.max() - a.min() if a.size else np.inf
    if not np.isfinite(span):
        return said("no histogram")
    at = (a - a.min()) / span * HISTOGRAM if span else np.full(a.size, HISTOGRAM // 2)
    counts = np.bincount(np.minimum(at.astype(int), HISTOGRAM - 1), minlength=HISTOGRAM)
    return standing((counts / counts.max()).tolist(), 6, 22, BAR[color])


def standing(shares: Any, wide: int, tall: int, color: str, ground: str = "") -> Block:
    """Bars side by side, each so high as its share of 1."""
    columns = ""
    for share in shares:
        high = max(1, int(np.ceil(share * tall)))
        bar = table(f"<TR>{patch(color, wide - 1, high)}</TR>", wide - 1, high)
        look = ' VALIGN="BOTTOM"' + f' BGCOLOR="{ground}"' * bool(ground)
        columns += cell(bar.text.replace("TOP", "BOTTOM"), wide, tall, look)
    return table(f"<TR>{columns}</TR>", wide * len(shares), tall)


def bars(text: str, kind: str, shares: tuple[float, ...], figure_text: str) -> Block:
    """Figures from 0 to 1, with words before and after them: one lies, several stand in a row."""
    color, full = BAR[paint.GRADIENT if kind == "gradient" else paint.MUTED], 120
    if len(shares) > 1:
        drawn = standing(shares, full // len(shares), 24, color, paint.RESULT)
    else:
        long = max(1, round(full * shares[0]))
        parts = ((long, color), (full + 1 - long, paint.RESULT))
        drawn = table(f"<TR>{''.join(patch(c, wide, 10) for wide, c in parts)}</TR>", full + 1, 10)
    drawn = drawn._replace(wide=full + 8)
    return beside([said(text, size=10, wide=66), drawn, said(figure_text, paint.INK, 10, wide=92)])
