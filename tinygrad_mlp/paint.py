"""Colours by day and by night; used as `paint.INK`, `paint.FAULT`."""

import math
from typing import Any

import numpy as np

__all__ = ["grounds", "style_sheet", "tint"]

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
