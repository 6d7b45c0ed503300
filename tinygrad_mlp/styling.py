"""The text of names and numbers in pictures, pages and notebooks."""

import math
import re
from typing import Any

import numpy as np

__all__ = ["block_means", "figures", "is_small", "number_text", "one_line", "size_text"]

NUMBERS, COLUMNS = 36, 8
"""An array of at most so many entries and columns is printed entry by entry."""

HEAT = 14
"""A larger one is a heat map of at most so many blocks each way."""

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


def is_small(a: Any) -> bool:
    """Whether an array is printed entry by entry."""
    return bool(a.size <= NUMBERS) and (a.ndim == 0 or a.shape[-1] <= COLUMNS)


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
