"""What a notebook shows of a Tensor: a few numbers as a table, of many the figures."""

import html
from typing import Any

import numpy as np

from . import paint
from .formatting import name_of
from .styling import COLUMNS, NUMBERS, figures, number_text, size_text

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
    flat = a.reshape(-1, a.shape[-1] if a.ndim else 1) if a.size else a
    finite = a[np.isfinite(a)].astype(np.float64)
    if a.size > NUMBERS or not a.size or flat.shape[1] > COLUMNS:
        with np.errstate(all="ignore"):  # of numbers near the largest; they show as inf
            return f"<div>{', '.join(figures(finite)) if a.size else 'empty'}</div>"
    top = float(np.abs(finite).max(initial=0))
    rows = "".join(f"<tr>{''.join(cell(v, top) for v in row)}</tr>" for row in flat.tolist())
    return f'<table style="{TABLE}">{rows}</table>'


def cell(v: float, top: float) -> str:
    """A number on its paint.tint; without one, in the colours of the page."""
    ground = paint.tint(v, top) if np.isfinite(v) else paint.GROUND
    colours = "" if ground == paint.GROUND else f";background:{ground};color:{paint.ON_TINT}"
    return f'<td style="{CELL}{colours}">{number_text(v)}</td>'
