"""A page on which everything has a place that was worked out before, in points from the upper left.

Graphviz only draws it (``layout=nop2``). A page is a list of lines of DOT text, to which boxes,
words, arrows and matrices are added. Matrices are planes that may lean.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from . import paint
from .styling import block_means, number_text, size_text, text_width

__all__ = ["Part", "Plane", "arrow", "begin", "draw_plane", "put", "say"]

HEIGHT = 590
"""Of the page, in points."""

BOX = {
    "shape": "polygon",
    "sides": "4",
    "style": "filled",
    "color": paint.LINE,
    "fontcolor": paint.ON_TINT,
}
"""How a number is drawn."""


def quoted(text: str) -> str:
    r"""Text between quotes in DOT.

    >>> quoted('a"\\N&')
    '"a\\"\\\\N&amp;"'
    """
    text = text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def attributes(more: dict[str, Any]) -> str:
    """Attributes as DOT has them."""
    return "".join(f" {key}={quoted(str(value))}" for key, value in more.items())


def put(
    page: list[str], x: float, y: float, w: float, h: float, look: dict[str, Any], label: str = ""
) -> str:
    """Add a box with its upper left corner at (x, y), and return what DOT calls it."""
    name = f"n{len(page)}"
    place = f"{x + w / 2:.6g},{HEIGHT - y - h / 2:.6g}"
    label = label if label.startswith('"') else quoted(label)
    size = f"width={w / 72:.4g} height={h / 72:.4g}"
    page.append(f'{name} [pos="{place}" {size} label={label}{attributes(look)}]')
    return name


def say(
    page: list[str],
    x: float,
    y: float,
    text: str,
    size: float = 10,
    color: str = paint.MUTED,
    face: str = "Helvetica",
    to: str = "l",
) -> None:
    """Add a line of text that begins ("l") or ends ("r") at x, or has its middle there ("c")."""
    if text:
        w = text_width(text, size) * 1.3 + 8  # more than it takes in any face
        left = {"l": x, "r": x - w, "c": x - w / 2}[to]
        label = quoted(text) if to == "c" else f'{quoted(text)[:-1]}\\{to}"'
        look = {"fontname": face, "fontsize": f"{size:g}", "fontcolor": color}
        put(page, left, y, w, size * 1.4, look, label)


def arrow(page: list[str], points: Sequence[tuple[float, float]], color: str, pen: float) -> None:
    """Add a curve with a head: Bézier's, with two points between each two that it goes through."""
    (u, v), (x, y) = points[-2:]
    head = 7 / max(math.hypot(x - u, y - v), 7)
    way = [*points[:-1], (x + (u - x) * head, y + (v - y) * head)]
    ends = [put(page, *point, 0, 0, {"style": "invis"}) for point in (points[0], points[-1])]
    bends = " ".join(f"{a:.6g},{HEIGHT - b:.6g}" for a, b in way)
    more = attributes({"color": color, "arrowsize": 0.7, "penwidth": pen})
    page.append(f'{ends[0]} -> {ends[1]} [pos="e,{x:.6g},{HEIGHT - y:.6g} {bends}"{more}]')


# --- planes ---------------------------------------------------------------------------------------


class Part(NamedTuple):
    """A matrix or a vector of the network, or the place where one will be."""

    name: str
    shape: tuple[Any, ...]
    numbers: Any = None  # two-dimensional array of real numbers, if there are any


class Plane(NamedTuple):
    """How a matrix is drawn: so many boxes down and across, each so large; and where."""

    rows: int
    columns: int
    wide: float
    high: float
    printed: bool
    slope: float = 0
    x: float = 0
    y: float = 0

    @property
    def width(self) -> float:
        """From left to right."""
        return self.columns * self.wide

    @property
    def fall(self) -> float:
        """How much lower it ends on the right."""
        return self.slope * self.width

    def moved(self, x: float, middle: float) -> "Plane":
        """The same plane with its left end at x, and its middle at that height."""
        return self._replace(x=x, y=middle - (self.rows * self.high + self.fall) / 2)

    def at(self, r: float, c: float) -> tuple[float, float]:
        """The upper left corner of a box."""
        return self.x + c * self.wide, self.y + r * self.high + c * self.slope * self.wide


def begin(
    page: list[str], plane: Plane, pen: float, rows: int = 1, columns: int = 1
) -> tuple[float, float]:
    """Begin a group of boxes that lean like the plane they are in, and return their size.

    Each is as large as so many rows and columns. The skew is from how Graphviz makes a polygon: the
    fall is k/2 / (√(1 + k²) + k/2) of the height, as long as that is at most 0.18.
    """
    wide, lean = columns * plane.wide, {}
    high = rows * plane.high + wide * plane.slope
    if plane.slope:
        f = wide * plane.slope / high
        lean = {"orientation": 90, "skew": f"{2 * f / ((1 - f) ** 2 - 4 * f * f) ** 0.5:.4g}"}
    page.append(f"{{ node [{attributes({**BOX, 'penwidth': f'{pen:g}', **lean})[1:]}]")
    return wide, high


def draw_plane(page: list[str], a: Part, plane: Plane, behind: Any = ()) -> None:
    """A matrix: a frame, before others of its kind, and in it its numbers, or means of blocks."""
    size = begin(page, plane, 1.4 if plane.slope else 1, plane.rows, plane.columns)
    whole = {"tooltip": f"{a.name}  {size_text(a.shape)}"}
    for dx, dy, color in behind:
        put(page, plane.x + dx, plane.y + dy, *size, {**whole, "fillcolor": color})
    line = {"style": "dashed", "color": paint.FRAME} if a.numbers is None else {"color": paint.DATA}
    put(page, plane.x, plane.y, *size, {**whole, **line, "fillcolor": paint.GROUND})
    page.append("}")
    if a.numbers is None:
        return
    few = plane.printed or plane.rows == 1  # the first samples, or all in blocks
    shown = a.numbers[: plane.rows] if few else a.numbers
    shown = shown if plane.printed else block_means(shown.astype(np.float64))
    size = begin(page, plane, 0.6)
    for r, colors in enumerate(paint.grounds(shown, map_of_many=not plane.printed)):
        for c, ground in enumerate(colors):
            text, look = "", {"fillcolor": ground}
            if plane.printed:
                v = shown[r, c].item()
                place = f"{r}, {c}" if len(a.shape) > 1 else f"{c}"
                text, ink = number_text(v), paint.INKS.get(ground, paint.ON_TINT)
                look |= {"fontcolor": ink, "fontsize": "9.5"}
                look["tooltip"] = f"{a.name}[{place}] = {v:.6g}"
            put(page, *plane.at(r, c), *size, look, text)
    page.append("}")
