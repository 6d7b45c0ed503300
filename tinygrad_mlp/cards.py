"""What a picture says about one value, and the table that says it.

A `Card` is plain data: every word and number of its place in the picture. `card_label` writes it in
the little HTML that Graphviz knows. Colours, fonts and the text of numbers are decided here.
"""

import html
import math
import re
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "Card",
    "Row",
    "card_label",
    "findings",
    "one_line",
    "size_text",
    "spine_of",
    "style_sheet",
]

NUMBERS, COLUMNS = 36, 8
"""An array of at most so many entries and columns is printed entry by entry."""

HEAT = 14
"""A larger one is a heat map of at most so many blocks each way."""


class Row(NamedTuple):
    """A line of the backward pass on a card, or one term of it."""

    parent: int | None  # number of the card whose gradient it makes; None for a step on the way
    line: str  # name of the line in the program: dW[0]
    formula: str  # dW[0] = A[0].T @ dZ[1]; of one term, dW += A.T @ dy
    comment: str = ""  # 2×3 @ 3×4


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
    bars: tuple["Bars", ...] = ()
    mark: Any = None  # what a comparison says of the gradient
    cause: tuple[str, ...] = ()  # what went wrong here, line by line


Bars = tuple[str, str, tuple[float, ...], str]
"""Figures of a layer or of several: a word, value or gradient, from 0 to 1, in words."""


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


# --- words ----------------------------------------------------------------------------------------

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


# --- numbers --------------------------------------------------------------------------------------


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


def faults_of(name: str, array: Any) -> tuple[str, ...]:
    """What is not a number in an array, in words."""
    if not isinstance(array, np.ndarray | np.generic) or array.dtype.kind not in "fc":
        return ()
    nan = int(np.isnan(array).sum())
    inf = int(np.isinf(array).sum())
    counts = [f"{n} {word}" for n, word in ((nan, "nan"), (inf, "inf")) if n]
    return (f"{name}: {', '.join(counts)}",) if counts else ()


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


# --- colours --------------------------------------------------------------------------------------

GROUND = "#ffffff"
INK = "#1f2937"
MUTED = "#64748b"
FRAME = "#94a3b8"
GROUP = "#f8fafc"
LINE = "#cbd5e1"
DATA = "#475569"
RESULT = "#dfe5ec"
PARAMETER = "#0072b2"
LOSS = "#007a5a"
LAYER = "#4b3f8f"
GRADIENT = "#c2410c"
GRADIENT_GROUND = "#fff3ea"
SHAPE = "#a6541f"  # comments on gradients
FAULT = "#b00020"
MATCH = "#00674c"
FAULT_GROUND = "#fde8ea"

PLUS, MINUS = (0x56, 0xB4, 0xE9), (0xE6, 0x9F, 0x00)  # apart for every kind of colour blindness
ON_TINT = "#111827"  # by day and by night, as the tints are
PAPER = "#fefefe"  # zero in a heat map, which stays light at night

NIGHT = {
    GROUND: "#161b22",
    INK: "#e6edf3",
    MUTED: "#9fb0c3",
    FRAME: "#4b5a6b",
    GROUP: "#0f141a",
    LINE: "#35404c",
    DATA: "#5b6b7e",
    RESULT: "#2b3541",
    PARAMETER: "#1f6fa8",
    LOSS: "#1b7a5f",
    LAYER: "#5a4db0",
    GRADIENT: "#ff9d5c",
    GRADIENT_GROUND: "#2a1d14",
    SHAPE: "#c98d63",
    FAULT: "#ff7b8a",
    MATCH: "#5fd6ab",
    FAULT_GROUND: "#3a161b",
}
"""What the colours turn into where the reader prefers dark pages."""

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

    >>> tint(0.0, 1.0), tint(1.0, 1.0), tint(-0.1, 1.0)
    ('#ffffff', '#80c7ee', '#fcf4e1')
    """
    strength = (abs(v) / top) ** 0.8 * 0.75 if v else 0
    full = PLUS if v > 0 else MINUS
    return "#" + "".join(f"{round(255 + (c - 255) * strength):02x}" for c in full)


# --- a card as a table ----------------------------------------------------------------------------
# Graphviz knows a little HTML. Tables in a card have a fixed size: they would stretch to its width.

TABLE = 'ALIGN="LEFT" BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0"'
FIXED = 'FIXEDSIZE="TRUE"'
HEADERS = {
    "input": (DATA, GROUND),
    "target": (DATA, GROUND),
    "constant": (DATA, GROUND),
    "parameter": (PARAMETER, GROUND),
    "result": (RESULT, INK),
    "loss": (LOSS, GROUND),
    "layer": (LAYER, GROUND),
}
"""Role -> ground and ink of the header; results on the way have no role."""

WIDTHS = {".": 0.278, "-": 0.333, "+": 0.584, "i": 0.222, "f": 0.278}  # of Helvetica, in em
DIGIT = 0.556


def text_width(text: str, size: float) -> int:
    """About how wide a text is in Helvetica, in points."""
    return math.ceil(size * sum(WIDTHS.get(c, DIGIT) for c in text))


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


def card_label(card: Card, k: int = 0, heat: bool = True) -> str:
    """The table that a card is drawn as; `k` is its number, for the ids."""
    status = getattr(card.mark, "status", "")
    wrong, follows = status in ("wrong", "unknown"), status == "follows"
    rows = [header(card, k, status)]
    if card.formula:
        code = code_lines(f"{card.name} = {card.formula}", INK, 11)
        comment = font(card.comment and f"  # {card.comment}", MUTED, 9.5, "Courier")
        rows.append(row(code + comment))
    rows += [row(code_lines(text, INK, 11)) for text in card.lines]
    blocks = [
        (*block(caption, array, color, heat, other), name, title)
        for name, title, caption, array, color, other in arrays_of(card, status)
        if array is not None
    ]
    if blocks:
        rows.append(row(beside(blocks, k, 400 if card.parents else 200), ' CELLPADDING="6"'))
    rows += [bar_row(bar) for bar in card.bars]
    for i, (_, line, formula, comment) in enumerate(card.backward):
        code = code_lines(formula, GRADIENT, 10.5)
        code += font(comment and f"  # {comment}", SHAPE, 9.5, "Courier")
        named = f' {handle("r", k, i)} TITLE="{escape(line)}"' if line else ""
        rows.append(row(code, f' BGCOLOR="{GRADIENT_GROUND}" PORT="r{i}"{named}'))
    rows += [row(font(text, MUTED, 9.5, tag="I")) for text in card.notes]
    wrong = wrong or bool(card.cause)
    for text in findings(card):
        lines = [font(part, FAULT, 9.5, tag="B") for part in textwrap.wrap(one_line(text, 400), 64)]
        rows.append(row("<BR/>".join(lines), f' BGCOLOR="{FAULT_GROUND}" BALIGN="LEFT"'))
    if not {*card.carries} <= {r.parent for r in card.backward}:  # a place for their arrows
        rows.append('<TR><TD PORT="b" CELLPADDING="0" HEIGHT="8"></TD></TR>')
    frame, border, style = FRAME, 1, ""
    if card.same is not None:
        frame, style = PARAMETER, ' STYLE="dashed"'
    if card.faults or wrong:
        frame, border = FAULT, 4 if wrong else 2
    elif follows:
        frame, style = FAULT, ' STYLE="dashed"'
    whole = (
        f'<TABLE BORDER="{border}" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3" '
        f'COLOR="{frame}" BGCOLOR="{GROUND}"{style}>{"".join(rows)}</TABLE>'
    )
    if card.times == 1:
        return whole
    return (  # like cards in one: a second rim
        f'<TABLE BORDER="1" CELLBORDER="0" CELLSPACING="3" CELLPADDING="0" COLOR="{frame}" '
        f'BGCOLOR="{GROUND}"><TR><TD>{whole}</TD></TR></TABLE>'
    )


def findings(card: Card) -> list[str]:
    """What is wrong, each on a line: not finite, what a comparison says, the cause."""
    text = "" if getattr(card.mark, "status", "same") == "same" else card.mark.text
    said = text and not any(text in line for line in card.cause)
    return [*card.faults, *[text] * bool(said), *card.cause]


def handle(kind: str, *numbers: int) -> str:
    """An id for a part of a card: v for its value, g gradient, r row, s sum, h header."""
    return f'ID="{"-".join([kind, *map(str, numbers)])}"'


def header(card: Card, k: int, status: str) -> str:
    """The first row of a card: name, shape, and what it is."""
    ground, ink = HEADERS[card.role or "result"]
    role = ", ".join([card.role] * bool(card.role) + [f"used {card.uses} times"] * (card.uses > 1))
    if card.same is not None:
        ground, ink, role = GROUP, INK, "the same array"
    name = f"{card.name}  × {card.times}" if card.times > 1 else card.name
    text = font(name, ink, 12.5, tag="B") + font(f"  {card.shape}", ink, 10)
    text += font(f"  {role}" if role else "", ink, 9.5, tag="I")
    if status == "same":
        text += font("  gradient matches", MATCH if ink == INK else ink, 9.5, tag="B")
    return row(text, f' BGCOLOR="{ground}" {handle("h", k)} TITLE="{escape(card.name)}"')


def arrays_of(card: Card, status: str) -> list[tuple[str, str, str, Any, str, Any]]:
    """What is shown of a card: letter, title, caption, array, colour, what it should be."""
    slope = card.caption or f"d{card.name}"
    shown = [("v", f"value of {card.name}", "value", card.value, MUTED, None)]
    yours = getattr(card.mark, "yours", None)
    if status in ("wrong", "follows", "unknown") and yours is not None:
        truth = card.gradient if card.mark.truth is None else card.mark.truth
        comparable = getattr(yours, "shape", None) == getattr(truth, "shape", 0)
        shown.append(
            ("g", f"your {slope}", f"yours: {slope}", yours, FAULT, truth if comparable else None)
        )
        if status != "follows":
            shown.append(("t", f"{slope} by autograd", "autograd", truth, MATCH, None))
        return shown
    caption = slope if card.same is None else f"its term of {slope}"
    return [*shown, ("g", f"gradient of {card.name}", caption, card.gradient, GRADIENT, None)]


def code_lines(text: str, color: str, size: float) -> str:
    """Code on a card, over several lines if it is long."""
    text = one_line(text, 240)
    parts = textwrap.wrap(text, 60, subsequent_indent="    ", break_on_hyphens=False) or [text]
    return '<BR ALIGN="LEFT"/>'.join(font(part, color, size, "Courier") for part in parts)


def bar_row(bars: Bars) -> str:
    """Figures from 0 to 1, with words before and after them: one lies, several stand in a row."""
    text, kind, shares, figure_text = bars
    color = BAR[GRADIENT if kind == "gradient" else MUTED]
    full = 120
    if len(shares) == 1:
        tall, long = 10, max(1, round(full * shares[0]))
        drawn = table(
            f"<TR>{patch(long, tall, color)}{patch(full + 1 - long, tall)}</TR>", full, tall
        )
    else:
        tall, wide, columns = 24, full // len(shares), ""
        for share in shares:
            high = max(1, round(tall * share))
            upper, lower = patch(wide, tall + 1 - high), patch(wide, high, color)
            column = table(f"<TR>{upper}</TR><TR>{lower}</TR>", wide, tall + 1)
            columns += f'<TD {FIXED} WIDTH="{wide}" HEIGHT="{tall + 1}">{column}</TD>'
        drawn = table(f"<TR>{columns}</TR>", wide * len(shares), tall + 1)
    parts = ((font(text, MUTED, 10), 66), (drawn, full + 8), (font(figure_text, INK, 10), 92))
    cells = "".join(
        f'<TD ALIGN="LEFT" {FIXED} WIDTH="{width}" HEIGHT="{tall + 4}">{part}</TD>'
        for part, width in parts
    )
    return row(table(f"<TR>{cells}</TR>", sum(width for _, width in parts), tall + 4))


def patch(wide: int, tall: int, color: str = "") -> str:
    """A cell of one colour; of none, the ground that bars stand on."""
    return f'<TD {FIXED} WIDTH="{wide}" HEIGHT="{tall}" BGCOLOR="{color or RESULT}"></TD>'


Block = tuple[str, int, int]
"""A table of fixed size: its text, width and height."""


def beside(blocks: list[tuple[str, int, int, str, str]], k: int, room: int) -> str:
    """The blocks of a card: side by side if there is room and they are small, else stacked."""
    tables, widths, heights, names, titles = zip(*blocks)
    named = [f'{handle(name, k)} TITLE="{escape(t)}"' for name, t in zip(names, titles)]
    wide, tall = sum(widths), max(heights)
    if wide > 200 and (tall > 100 or (wide > room and tall < 90)):
        width, height = max(widths), sum(heights) + 6 * len(blocks)
        cells = "".join(
            row(t, f' HEIGHT="{h + 6}" VALIGN="TOP" {name}')
            for t, h, name in zip(tables, heights, named)
        )
    else:
        width, height = sum(widths) + 12 * (len(blocks) - 1), max(heights)
        spaced = [w + 12 * (i < len(blocks) - 1) for i, w in enumerate(widths)]
        tds = [
            f'<TD ALIGN="LEFT" VALIGN="TOP" WIDTH="{w}" {FIXED} HEIGHT="{height}" {name}>{t}</TD>'
            for t, w, name in zip(tables, spaced, named)
        ]
        cells = f"<TR>{''.join(tds)}</TR>"
    return table(cells, width, height)


def table(rows: str, width: int, height: int, attributes: str = TABLE) -> str:
    """A table that keeps its size."""
    return (
        f'<TABLE VALIGN="TOP" {attributes} {FIXED} WIDTH="{width}" HEIGHT="{height}">{rows}</TABLE>'
    )


def block(caption: str, array: Any, color: str, heat: bool, other: Any = None) -> Block:
    """An array as cells, or as a heat map, or as four figures; under its name.

    Cells that differ from those of an `other` array are boxed.
    """
    if not isinstance(array, np.ndarray | np.generic):
        return said(caption, [f"{type(array).__module__.partition('.')[0]} array"], color)
    if array.dtype.kind == "c":
        array, caption = np.abs(array), f"|{caption}|"
    if not array.size:
        return said(caption, ["empty"], color)
    a = array.reshape(-1, array.shape[-1] if array.ndim else 1)
    with np.errstate(all="ignore"):  # of numbers near the largest; they show as inf
        if a.size <= NUMBERS and a.shape[1] <= COLUMNS:
            return cells(caption, a, color, differing(a, other))
        numbers = a.astype(np.float64)
        lines = figures(numbers[np.isfinite(numbers)])
        if not heat:
            return said(caption, lines, color)
        return heat_map(caption, numbers, lines, color)


def said(caption: str, lines: list[str], color: str) -> Block:
    """An array in words only."""
    width = max([text_width(line, 9) for line in (caption, *lines)]) + 8
    rows = row(font(caption, color, 9, tag="B"), ' HEIGHT="14"')
    rows += "".join(row(font(line, MUTED, 9), ' HEIGHT="12"') for line in lines)
    height = 14 + 12 * len(lines)
    return table(rows, width, height), width, height


def differing(a: Any, other: Any) -> list[list[bool]]:
    """Which entries are not those of the other array, beyond rounding; [] without one."""
    if other is None:
        return []
    other = np.reshape(np.asarray(other, np.float64), a.shape)
    near = 1e-6 * max(float(np.abs(other[np.isfinite(other)]).max(initial=0)), 1e-300)
    same = np.isclose(a.astype(np.float64), other, rtol=1e-6, atol=near, equal_nan=True)
    return (~same).tolist()  # type: ignore[no-any-return]  # lists of bools


def cells(caption: str, a: Any, color: str, boxed: list[list[bool]] | None = None) -> Block:
    """Every entry in a cell, tinted by sign and size; those that are wrong are boxed."""
    texts = [[number_text(v) for v in line] for line in a.tolist()]
    wide = max(text_width(text, 10) for line in texts for text in line) + 9
    tall = 17
    numbers = a.astype(np.float64)
    finite = np.isfinite(numbers)
    top = float(np.abs(numbers[finite]).max(initial=0))
    rows = ""
    nothing = [[False] * a.shape[1]] * len(a)
    for line, values, fine, marks in zip(
        texts, numbers.tolist(), finite.tolist(), boxed or nothing
    ):
        rows += "<TR>"
        for text, v, ok, mark in zip(line, values, fine, marks):
            ground = tint(v, top) if ok and not mark else FAULT_GROUND
            box = f' BORDER="2" COLOR="{FAULT}"' if mark else ""
            if not ok or mark:
                text = font(text, FAULT, 10, tag="B")
            elif ground == GROUND:
                text = font(text, INK, 10)
            rows += (
                f'<TD {FIXED} WIDTH="{wide}" HEIGHT="{tall}" ALIGN="RIGHT" BGCOLOR="{ground}"{box}>'
                f"{text}</TD>"
            )
        rows += "</TR>"
    width, height = wide * a.shape[1] + 1, tall * len(a) + 1
    style = f'ALIGN="LEFT" BORDER="0" CELLBORDER="1" CELLSPACING="0" CELLPADDING="1" COLOR="{LINE}"'
    inner = table(rows, width, height, style)
    inner = f'<FONT COLOR="{ON_TINT}" POINT-SIZE="10">{inner}</FONT>'
    whole = max(width, text_width(caption, 9) + 8)
    content = row(font(caption, color, 9, tag="B"), ' HEIGHT="14"')
    return table(content + row(inner), whole, height + 14), whole, height + 14


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


def heat_map(caption: str, a: Any, lines: list[str], color: str) -> Block:
    """Block means as coloured squares; beside them a histogram and the figures."""
    means = block_means(a)
    finite = np.isfinite(means)
    top = float(np.abs(means[finite]).max(initial=0))
    side = 5
    squares = ""
    for values, fine in zip(means.tolist(), finite.tolist()):
        squares += "<TR>"
        for v, ok in zip(values, fine):
            ground = tint(v, top) if ok else FAULT
            ground = PAPER if ground == GROUND else ground
            squares += f'<TD BGCOLOR="{ground}" {FIXED} WIDTH="{side}" HEIGHT="{side}"></TD>'
        squares += "</TR>"
    width, height = side * means.shape[1] + 2, side * len(means) + 2
    style = TABLE.replace('ALIGN="LEFT" BORDER="0"', 'BORDER="1"')
    style += f' COLOR="{LINE}" BGCOLOR="{PAPER}"'  # no gaps between the squares at night
    left = table(squares, width, height, style)
    finite_entries = a[np.isfinite(a)]
    words = row(font(caption, color, 9, tag="B"), ' HEIGHT="14"')
    bars, wide = histogram(finite_entries, color)
    words += row(bars, ' HEIGHT="24" VALIGN="TOP"')
    words += "".join(row(font(line, MUTED, 9), ' HEIGHT="12"') for line in lines)
    wide = max(wide, *(text_width(line, 9) for line in (caption, *lines))) + 4
    tall = 38 + 12 * len(lines)
    right = table(words, wide, tall)
    gap = HEAT * side + 10 - width
    whole = max(height, tall)
    content = (  # ALIGN="LEFT" for the map would draw its frame as wide as it is high
        f'<TR><TD VALIGN="TOP" {FIXED} WIDTH="{width}" HEIGHT="{whole}">{left}</TD>'
        f'<TD {FIXED} WIDTH="{gap}" HEIGHT="{whole}"></TD>'
        f'<TD ALIGN="LEFT" VALIGN="TOP">{right}</TD></TR>'
    )
    return table(content, width + gap + wide, whole), width + gap + wide, whole


BARS = 18


def histogram(a: Any, color: str) -> tuple[str, int]:
    """How often which numbers occur, as bars; and the width of that."""
    tall, wide = 22, 6
    span = a.max() - a.min() if a.size else np.inf
    if not np.isfinite(span):
        return font("no histogram", MUTED, 9), 60
    at = (a - a.min()) / span * BARS if span else np.full(a.size, BARS // 2)
    counts = np.bincount(np.minimum(at.astype(int), BARS - 1), minlength=BARS)
    bars = ""
    for height in np.ceil(counts / counts.max() * (tall - 1)).astype(int).tolist():
        bar = f'<TR><TD BGCOLOR="{BAR[color]}" {FIXED} WIDTH="5" HEIGHT="{height + 1}"></TD></TR>'
        bar = table(bar, 5, height + 1).replace('VALIGN="TOP"', 'VALIGN="BOTTOM"')
        bars += f'<TD VALIGN="BOTTOM" {FIXED} WIDTH="{wide}" HEIGHT="{tall}">{bar}</TD>'
    return table(f"<TR>{bars}</TR>", wide * BARS, tall), wide * BARS


BAR = {MUTED: "#7aa6c8", GRADIENT: "#d98358", FAULT: "#d98358", MATCH: "#7aa6c8"}
