"""What pictures, pages and notebooks have in common: colours, and the text of names and numbers."""

import math
import re
from typing import Any

import numpy as np

__all__ = ["block_means", "figures", "number_text", "one_line", "size_text", "style_sheet", "tint"]

NUMBERS, COLUMNS = 36, 8
"""An array of at most so many entries and columns is printed entry by entry."""

HEAT = 14
"""A larger one is a heat map of at most so many blocks each way."""

# --- colours --------------------------------------------------------------------------------------

NIGHT = {
    (GROUND := "#ffffff"): "#161b22",
    (INK := "#1f2937"): "#e6edf3",
    (MUTED := "#64748b"): "#9fb0c3",
    (FRAME := "#94a3b8"): "#4b5a6b",
    (GROUP := "#f8fafc"): "#0f141a",
    (LINE := "#cbd5e1"): "#35404c",
    (DATA := "#475569"): "#5b6b7e",
    (RESULT := "#dfe5ec"): "#2b3541",
    (PARAMETER := "#0072b2"): "#1f6fa8",
    (LOSS := "#007a5a"): "#1b7a5f",
    (LAYER := "#4b3f8f"): "#5a4db0",
    (GRADIENT := "#c2410c"): "#ff9d5c",
    (GRADIENT_GROUND := "#fff3ea"): "#2a1d14",
    (SHAPE := "#a6541f"): "#c98d63",  # comments on gradients
    (FAULT := "#b00020"): "#ff7b8a",
    (MATCH := "#00674c"): "#5fd6ab",
    (FAULT_GROUND := "#fde8ea"): "#3a161b",
}
"""The colours, and what they turn into where the reader prefers dark pages."""

PLUS, MINUS = (0x56, 0xB4, 0xE9), (0xE6, 0x9F, 0x00)  # apart for every kind of colour blindness
ON_TINT = "#111827"  # by day and by night, as the tints are
PAPER = "#fefefe"  # zero in a heat map, which stays light at night

CLASS = "tinygrad-mlp"  # so that the style sheet touches no other picture on a page


def style_sheet() -> str:
    """The style sheet of an SVG: the colours by night."""
    rules = [
        f'.{CLASS} [{attribute}="{day}"]{{{attribute}:{night}}}'
        for day, night in NIGHT.items()
        for attribute in ("fill", "stroke")
    ]
    rules.append(f'.{CLASS} text[fill="{GROUND}"]{{fill:{GROUND}}}')  # on the coloured headers
    return f"@media (prefers-color-scheme:dark){{{''.join(rules)}}}"


def tint(v: float, top: float) -> str:
    """The colour of a number where `top` is the largest size: blue above 0, orange below.

    >>> tint(0.0, 1.0), tint(1.0, 1.0), tint(-0.1, 1.0), tint(np.nan, 1.0) == FAULT_GROUND
    ('#ffffff', '#80c7ee', '#fcf4e1', True)
    """
    if not math.isfinite(v):
        return FAULT_GROUND
    strength = (abs(v) / top) ** 0.8 * 0.75 if v else 0
    full = PLUS if v > 0 else MINUS
    return "#" + "".join(f"{round(255 + (c - 255) * strength):02x}" for c in full)


def grounds(a: Any, map_of_many: bool = False) -> list[list[str]]:
    """The colours of the numbers in a matrix; a heat map has no colours of the page."""
    a = a.astype(np.float64)
    top = float(np.abs(a[np.isfinite(a)]).max(initial=0))
    other = {GROUND: PAPER, FAULT_GROUND: FAULT} if map_of_many else {}
    return [[other.get(c := tint(v, top), c) for v in row] for row in a.tolist()]


INKS = {GROUND: INK, FAULT_GROUND: FAULT}
"""On what ground a number is written in which colour; on others ON_TINT."""

# --- words and numbers ----------------------------------------------------------------------------

UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]"
)
"""What XML forbids, and what turns the direction of writing around."""


def one_line(name: str, limit: int = 40) -> str:
    r"""A person's word as it can stand in a picture: on one line, short, legal XML.

    >>> one_line("a\n  b\x00"), one_line("x" * 50, limit=5)
    ('a b', 'xxxx…')
    """
    start = str(name)[: 4 * limit]  # the rest of a very long one is not even looked at
    start = " ".join(UNSEEN.sub("", start).split())
    return start if len(start) <= limit else start[: limit - 1] + "…"


def size_text(shape: tuple[int, ...]) -> str:
    """A shape as on a card.

    >>> size_text((3, 4)), size_text((4,)), size_text(())
    ('3×4', '4', 'scalar')
    """
    return "×".join(map(str, shape)) or "scalar"


def number_text(v: Any) -> str:
    """A number as in a cell.

    >>> [number_text(v) for v in (0.0, 1.5, -0.00012, 123456.0, 7, float("nan"), True)]
    ['0', '1.50', '-1e-4', '1.2e5', '7', 'nan', 'True']
    """
    if isinstance(v, bool | int) and abs(v) < 10**6:
        return str(v)
    size = abs(v)
    if size == 0 or not math.isfinite(size):
        return str(v) if size else "0"
    return f"{v:.2f}" if 0.005 <= size < 9999.5 else short_exponent(f"{v:.{int(size > 1)}e}")


def short_exponent(text: str) -> str:
    """1e-04 as 1e-4, 1e+03 as 1e3."""
    return re.sub(r"e\+?(-?)0*", r"e\1", text)


def figure(v: float) -> str:
    """A number to two digits, for a summary."""
    return short_exponent(f"{v:.2g}")


def figures(a: Any) -> list[str]:
    """An array of finite numbers in two lines."""
    if not a.size:
        return ["no finite number"]
    zeros = np.count_nonzero(a == 0) / a.size
    share = f"  zeros {zeros:.0%}" if zeros else ""
    return [
        f"mean {figure(a.mean())}  sd {figure(a.std())}",
        f"{figure(a.min())} to {figure(a.max())}{share}",
    ]


def block_means(a: Any) -> Any:
    """A matrix shrunk to at most HEAT blocks each way, each the mean of its entries.

    >>> block_means(np.arange(28.0).reshape(1, 28))[0, :3]
    array([0.5, 2.5, 4.5])
    """
    for axis in (0, 1):
        n = a.shape[axis]
        starts = np.arange(min(n, HEAT)) * n // min(n, HEAT)
        counts = np.diff(np.append(starts, n))
        a = np.add.reduceat(a, starts, axis=axis) / np.expand_dims(counts, 1 - axis)
    return a


WIDTHS = {".": 0.278, "-": 0.333, "+": 0.584, "i": 0.222, "f": 0.278}  # of Helvetica, in em
DIGIT = 0.556


def text_width(text: str, size: float) -> int:
    """About how wide a text is in Helvetica, in points."""
    return math.ceil(size * sum(WIDTHS.get(c, DIGIT) for c in text))
