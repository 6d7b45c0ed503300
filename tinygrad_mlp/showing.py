"""What a notebook shows of a Tensor: a few numbers as a table, of many the figures."""

import html
from typing import Any

import numpy as np

from . import paint
from .formatting import name_of
from .styling import figures, is_small, number_text, size_text

__all__ = ["html_of"]

TABLE = "border-collapse:collapse;font-variant-numeric:tabular-nums"
CELL = "padding:2px 6px;border:1px solid #94a3b8;text-align:right"


def html_of(t: Any) -> str:
    """A Tensor as HTML: name, shape, dtype and op, and its numbers, tinted by sign and size.

    Parameters
    ----------
    t : Tensor

    Returns
    -------
    str
    """
    words = [size_text(t.shape), str(t.dtype)]
    words += [f"made by {name_of(t.op)}"] if t.op else []
    words += ["requires a gradient"] if t.requires_grad and not t.op else []
    name = f"<b>{html.escape(t.name[:40])}</b> " if t.name else ""
    head = f"<div>{name}{html.escape(', '.join(words))}</div>"
    return f'<div style="overflow-x:auto">{head}{numbers_of(t._data)}</div>'


def numbers_of(a: Any) -> str:
    """A small array entry by entry, a larger one in words."""
    if not isinstance(a, np.ndarray) or a.dtype.kind not in "fiub":
        return ""
    if not a.size or not is_small(a):
        finite = a[np.isfinite(a)].astype(np.float64)
        with np.errstate(all="ignore"):  # of numbers near the largest; they show as inf
            return f"<div>{', '.join(figures(finite)) if a.size else 'empty'}</div>"
    flat = a.reshape(-1, a.shape[-1] if a.ndim else 1)
    rows = (map(cell, *line) for line in zip(flat.tolist(), paint.grounds(flat)))
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<table style="{TABLE}">{body}</table>'


def cell(v: float, ground: str) -> str:
    """A number on its tint; without one, in the colours of the page."""
    ink = paint.INKS.get(ground, paint.ON_TINT)
    colours = "" if ground == paint.GROUND else f";background:{ground};color:{ink}"
    return f'<td style="{CELL}{colours}">{number_text(v)}</td>'
