"""What a picture says about one value, and the table that says it.

A `Card` is plain data: every word and number of its place in the picture. `card_label` writes it in
the little HTML that Graphviz knows.
"""

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from . import paint
from .styling import one_line
from .tables import above, bars, beside, block, escape, font, row

__all__ = ["Card", "Row", "card_label", "findings", "spine_of"]


class Row(NamedTuple):
    """A line of the backward pass on a card, or one term of it."""

    parent: int | None  # number of the card whose gradient it makes; None for a step on the way
    line: str  # name of the line in the program: dW[0]
    formula: str  # dW[0] = A[0].T @ dZ[1]; of one term, dW += A.T @ dy
    comment: str = ""  # 2×3 @ 3×4


Bars = tuple[str, str, tuple[float, ...], str]
"""Figures of a layer or of several: a word, value or gradient, from 0 to 1, in words."""


class Card(NamedTuple):
    """What the picture says about one value."""

    name: str
    shape: str
    role: str = ""  # parameter, input, target, constant, loss, result; nothing on the way
    scope: str = ""  # the group it stands in
    uses: int = 0
    formula: str = ""  # A[0] @ W[0]
    comment: str = ""  # 3×2 @ 2×4
    value: Any = None  # an array, if it is shown
    gradient: Any = None
    parents: tuple[int, ...] = ()  # numbers of the cards it was made from
    spine: int | None = None  # the one of them that it stands below
    carries: tuple[int, ...] = ()  # those that its cotangent is carried to
    backward: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    line: str = ""  # the line or input of a program that it shows
    slope: str = ""  # the line that is its gradient; that of another value, if the two are equal
    caption: str = ""  # what stands above its gradient: dF = dy
    same: int | None = None  # a chip: one more use of what is on that card
    lines: tuple[str, ...] = ()  # of code, where several cards are folded into one
    times: int = 1  # so many like layers are folded into it
    bars: tuple[Bars, ...] = ()
    mark: Any = None  # what a comparison says of the gradient
    cause: tuple[str, ...] = ()  # what went wrong here, line by line

    @property
    def status(self) -> str:
        """What a comparison found: same, wrong, follows, unknown; nothing without one."""
        return getattr(self.mark, "status", "")

    @property
    def arrays(self) -> list[tuple[str, str, str, Any, str, Any]]:
        """What is shown: letter, title, caption, array, colour, and what the array should be."""
        slope = self.caption or f"d{self.name}"
        found = [("v", f"value of {self.name}", "value", self.value, paint.MUTED, None)]
        yours = getattr(self.mark, "yours", None)
        if self.status in ("wrong", "follows", "unknown") and yours is not None:
            truth = self.gradient if self.mark.truth is None else self.mark.truth
            other = truth if getattr(yours, "shape", None) == getattr(truth, "shape", 0) else None
            found.append(("g", f"your {slope}", f"yours: {slope}", yours, paint.FAULT, other))
            if self.status != "follows":
                found.append(("t", f"{slope} by autograd", "autograd", truth, paint.MATCH, None))
        else:
            caption = slope if self.same is None else f"its term of {slope}"
            title = f"gradient of {self.name}"
            found.append(("g", title, caption, self.gradient, paint.GRADIENT, None))
        return [shown for shown in found if shown[3] is not None]


def spine_of(parents: Sequence[Sequence[int]], late: Sequence[bool]) -> list[int | None]:
    """For each card the parent that it stands below; the other parents stand beside it.

    The one at the end of the longest way, so that a block stands in line and what skips it goes
    around; among leaves the first, after those that are `late` to come if there are others.
    """
    spine: list[int | None] = []
    depth: list[int] = []
    for group in parents:
        above = max(sorted(group, key=late.__getitem__), key=depth.__getitem__, default=None)
        spine.append(above)
        depth.append(0 if above is None else depth[above] + 1)
    return spine


def faults_of(name: str, array: Any) -> tuple[str, ...]:
    """What is not a number in an array, in words."""
    if not isinstance(array, np.ndarray | np.generic) or array.dtype.kind not in "fc":
        return ()
    found = (np.count_nonzero(test(array)) for test in (np.isnan, np.isinf))
    counts = [f"{n} {word}" for n, word in zip(found, ("nan", "inf")) if n]
    return (f"{name}: {', '.join(counts)}",) if counts else ()


def findings(card: Card) -> list[str]:
    """What is wrong, each on a line: not finite, what a comparison says, the cause."""
    text = "" if card.status in ("", "same") else card.mark.text
    said = text and not any(text in line for line in card.cause)
    return [*card.faults, *[text] * bool(said), *card.cause]


# --- a card as a table ----------------------------------------------------------------------------

HEADERS = {
    "input": (paint.DATA, paint.GROUND),
    "target": (paint.DATA, paint.GROUND),
    "constant": (paint.DATA, paint.GROUND),
    "parameter": (paint.PARAMETER, paint.GROUND),
    "result": (paint.RESULT, paint.INK),
    "loss": (paint.LOSS, paint.GROUND),
    "layer": (paint.LAYER, paint.GROUND),
}
"""Role -> ground and ink of the header; results on the way have no role."""


def card_label(card: Card, k: int = 0, detail: str = "all") -> str:
    """The table that a card is drawn as; `k` is its number, for the ids; `detail` as in `block`."""
    rows = [header(card, k)]
    if card.formula:
        rows.append(row(code(f"{card.name} = {card.formula}", card.comment)))
    rows += [row(code(text)) for text in card.lines]
    if card.arrays:
        rows.append(row(arrays_text(card, k, detail), ' CELLPADDING="6"'))
    rows += [row(bars(*bar).text) for bar in card.bars]
    for i, (_, line, formula, comment) in enumerate(card.backward):
        named = named_part("r", k, i, title=line) * bool(line)
        place = f' BGCOLOR="{paint.GRADIENT_GROUND}" PORT="r{i}"{named}'
        rows.append(row(code(formula, comment, paint.GRADIENT, 10.5, paint.SHAPE), place))
    rows += [row(font(text, paint.MUTED, 9.5, tag="I")) for text in card.notes]
    for text in findings(card):
        lines = [
            font(part, paint.FAULT, 9.5, tag="B") for part in textwrap.wrap(one_line(text, 400), 64)
        ]
        rows.append(row("<BR/>".join(lines), f' BGCOLOR="{paint.FAULT_GROUND}" BALIGN="LEFT"'))
    if not {*card.carries} <= {r.parent for r in card.backward}:  # a place for their arrows
        rows.append('<TR><TD PORT="b" CELLPADDING="0" HEIGHT="8"></TD></TR>')
    color, border, style = frame(card)
    whole = (
        f'<TABLE BORDER="{border}" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3" '
        f'COLOR="{color}" BGCOLOR="{paint.GROUND}"{style}>{"".join(rows)}</TABLE>'
    )
    if card.times == 1:
        return whole
    return (  # like cards in one: a second rim
        f'<TABLE BORDER="1" CELLBORDER="0" CELLSPACING="3" CELLPADDING="0" COLOR="{color}" '
        f'BGCOLOR="{paint.GROUND}"><TR><TD>{whole}</TD></TR></TABLE>'
    )


def frame(card: Card) -> tuple[str, int, str]:
    """The colour, the width and the style of the frame."""
    dashed = ' STYLE="dashed"'
    if card.status in ("wrong", "unknown") or card.cause:
        return paint.FAULT, 4, ""
    if card.faults:
        return paint.FAULT, 2, ""
    if card.status == "follows":
        return paint.FAULT, 1, dashed
    return (paint.FRAME, 1, "") if card.same is None else (paint.PARAMETER, 1, dashed)


def named_part(kind: str, *numbers: int, title: str) -> str:
    """The id and the title of a part of a card: v for its value, g gradient, r row, h header."""
    return f' ID="{"-".join([kind, *map(str, numbers)])}" TITLE="{escape(title)}"'


def header(card: Card, k: int) -> str:
    """The first row of a card: name, shape, and what it is."""
    ground, ink = HEADERS[card.role or "result"]
    role = ", ".join([card.role] * bool(card.role) + [f"used {card.uses} times"] * (card.uses > 1))
    if card.same is not None:
        ground, ink, role = paint.GROUP, paint.INK, "the same array"
    name = f"{card.name}  × {card.times}" if card.times > 1 else card.name
    text = font(name, ink, 12.5, tag="B") + font(f"  {card.shape}", ink, 10)
    text += font(f"  {role}" * bool(role), ink, 9.5, tag="I")
    if card.status == "same":
        text += font("  gradient matches", paint.MATCH if ink == paint.INK else ink, 9.5, tag="B")
    return row(text, f' BGCOLOR="{ground}"' + named_part("h", k, title=card.name))


def code(
    text: str,
    comment: str = "",
    color: str = paint.INK,
    size: float = 11,
    shapes: str = paint.MUTED,
) -> str:
    """Code on a card, over several lines if it is long, and what the shapes are."""
    text = one_line(text, 240)
    parts = textwrap.wrap(text, 60, subsequent_indent="    ", break_on_hyphens=False) or [text]
    written = '<BR ALIGN="LEFT"/>'.join(font(part, color, size, "Courier") for part in parts)
    return written + font(f"  # {comment}" * bool(comment), shapes, 9.5, "Courier")


def arrays_text(card: Card, k: int, detail: str) -> str:
    """The arrays of a card: side by side if there is room and they are small, else stacked."""
    blocks = [
        block(caption, array, color, detail, other)._replace(
            name=named_part(letter, k, title=title)
        )
        for letter, title, caption, array, color, other in card.arrays
    ]
    room = 410 if card.parents else 200
    wide, tall = sum(b.wide for b in blocks), max(b.tall for b in blocks)
    if wide > 200 and (tall > 100 or (wide > room and tall < 90)):
        return above(blocks, 6).text
    return beside(blocks, 12).text
