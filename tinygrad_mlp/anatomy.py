"""The boxes of a network as one page: its weights as planes, its biases and activations as bars.

Everything has a place that is worked out here, in points from the upper left corner; Graphviz only
draws it (``layout=nop2``). A page is a list of lines of DOT text that `put` and `arrow` add to.
"""

from typing import TYPE_CHECKING, Any

from . import paint
from .pages import BOX, HEIGHT, Part, Plane, arrow, begin, draw_plane, put, say
from .sheets import Parts, entry_text, headline, listing, parts_of, pointed, subtitle
from .styling import HEAT, size_text

if TYPE_CHECKING:
    from .rendering import Drawing

__all__ = ["draw_anatomy"]

WIDTH = 1050
"""Of the page in points: 1,400 pixels in a PNG of 96 dots per inch."""

SAMPLES, BARS = (24, 244), ((280, 378), (670, 356))
"""Left ends and widths of the panels of x, A and B."""

SLOPE = 0.1
"""How much a plane falls to the right; a wide one less, so that Graphviz draws it exactly."""

PLACES = 5
"""So many matrices and bars are drawn; of more, the first ones and the last."""

ENTRIES = 8
"""A matrix of at most so many rows and columns shows its numbers, if there is room; larger ones are
at most HEAT squares each way, as on a card."""

NARROW, WIDE, HIGH = 33, 60, 32
"""The least and the most that a number is given."""

SIDE, TALL = 20, 116
"""The most that a square without a number is given, and a plane from top to bottom."""

SMALL = 8.5
"""The smallest text: 11 pixels where the page is 1,400 wide."""

BOLD, CODE = "Helvetica-Bold", "Courier-Bold"


def draw_anatomy(net: Any) -> "Drawing":
    """Draw what a network is made of: every W, B and A as a box of its shape, with its numbers.

    A page for a slide: weight matrices as planes that the signal passes through (rows are the
    neurons it comes from, columns those it goes to), biases, activations and the input as stacked
    bars. Numbers are printed where they fit, else shown by colour; under the mouse each says which
    entry it is. What is large is drawn at a bounded size, with its true shape in words.

    Parameters
    ----------
    net : MLP, ManualMLP, Sequential with Linear layers, or anything with lists `W` and `B`
        If it keeps its activations in a list `A`, those of the last forward pass are shown.

    Returns
    -------
    Drawing
        A `graphviz.Digraph`; ``.write("net.svg")`` writes it (also .png, .pdf and .dot).

    Raises
    ------
    RenderError
        If `net` has no weights, or weights that are no matrices.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mlp import MLP
    >>> net = MLP([3, 4, 2], rng=0)
    >>> y = net(np.ones((5, 3)))
    >>> draw_anatomy(net)
    A[0]   5×3   layer 0, the input x
    W[0]   3×4   from layer 0 to layer 1; W[0][1, 2] = 1.06
    B[0]   4     added to layer 1
    A[1]   5×4   layer 1, after relu
    W[1]   4×2   from layer 1 to layer 2
    B[1]   2     added to layer 2
    """
    from .rendering import Drawing  # graphviz takes longer to load than all of ours

    parts = parts_of(net)
    drawing = Drawing(
        graph_attr={
            "layout": "nop2",
            "bgcolor": paint.GROUND,
            "class": paint.CLASS,
            "id": "anatomy",
            "pad": "0",
            "outputorder": "nodesfirst",
        },
        node_attr={
            "shape": "plaintext",
            "fixedsize": "true",
            "margin": "0",
            "fontname": "Helvetica",
            "fontcolor": paint.INK,
        },
    )
    drawing.style = paint.style_sheet()
    drawing.listing = listing(parts)
    boxes = [" ".join(line.split()) for line in drawing.listing.splitlines()]
    shown = [*boxes[:9], *["..."] * (len(boxes) > 9)]
    drawing.alt = "; ".join([headline(parts), subtitle(parts), *shown])
    page: list[str] = []
    put(page, 0, 0, WIDTH, HEIGHT, filled(paint.GROUND))
    say(page, 24, 14, headline(parts), 20, paint.INK, BOLD)
    say(page, 24, 42, subtitle(parts), 11)
    for x, sign, v in ((WIDTH - 144, "+", 1.0), (WIDTH - 126, "-", -1.0)):
        put(page, x, 42, 18, 15, {**BOX, "fillcolor": paint.tint(v, 1.4), "fontsize": 10}, sign)
    say(page, WIDTH - 24, 43, "tint: sign and size", 9, to="r")
    for sign, (left, width) in {"W": (24, 1002), "x": SAMPLES, "A": BARS[0], "B": BARS[1]}.items():
        panel(page, parts, sign, left, width)
    weights(page, parts)
    samples(page, parts.activations[0], *SAMPLES)
    stack(page, parts.activations, *BARS[0], deep=True)
    stack(page, parts.biases, *BARS[1])
    formulas(page, parts)
    drawing.body = [f"\t{line}\n" for line in page]
    return drawing


# --- the parts of the page ------------------------------------------------------------------------


def filled(color: str) -> dict[str, str]:
    """The look of a box of one colour."""
    return {"shape": "box", "style": "filled", "fillcolor": color, "color": color}


def panel(page: list[str], parts: Parts, sign: str, left: float, wide: float) -> None:
    """Add the ground of a part of the page, with its sign in the corner and what it holds."""
    text = {
        "W": "weights|W[i] connects layer i with layer i+1: a row for each neuron in, a column for "
        "each out|",
        "x": f"input|{size_text(parts.activations[0].shape)}|{parts.notes[0]}",
        "A": f"activations|A[i] is what layer i puts out|{parts.notes[1]}",
        "B": "biases|B[i] is added in layer i+1|one number for each neuron; layer 0 has none",
    }[sign]
    title, right, below = text.split("|")
    top, tall = (76, 248) if sign == "W" else (336, 196)
    look = {"style": "rounded,filled", "color": paint.LINE}
    put(page, left, top, wide, tall, filled(paint.GROUP) | look)
    look = {"fontname": CODE, "fontsize": "14", "fontcolor": paint.GROUND}
    ground = paint.PARAMETER if sign in "WB" else paint.DATA
    put(page, left + 12, top + 10, 26, 20, filled(ground) | look, sign)
    say(page, left + 44, top + 11, title, 13, paint.INK, BOLD)
    say(page, left + wide - 12, top + 13, right, to="r")
    say(page, left + 12, top + tall - 22, below)


def chosen(n: int) -> list[int | None]:
    """The positions to show of n things, None for those that are left out.

    >>> chosen(3), chosen(26)
    ([0, 1, 2], [0, 1, 2, None, 25])
    """
    return [*range(n)] if n <= PLACES else [*range(PLACES - 2), None, n - 1]


def left_out(n: int) -> str:
    """How many those are, in words."""
    return f"{n - PLACES + 1:,} more"


def planes_of(matrices: list[Part], free: float) -> list[Plane]:
    """The planes of some matrices that may be `free` wide together; numbers in all or in none."""
    sizes = [[min(n, HEAT) for n in w.shape] for w in matrices]
    rows, columns = max(n for n, _ in sizes), sum(k for _, k in sizes)
    printed = free >= NARROW * columns and all(
        max(w.shape) <= ENTRIES and w.numbers is not None for w in matrices
    )
    side = min(SIDE, TALL / rows, free / columns)
    wide, high = (min(WIDE, free / columns), min(HIGH, TALL / rows)) if printed else (side, side)
    return [
        Plane(n, k, wide, high, printed, min(SLOPE, 0.2 * high / wide, 0.2 * high * n / (wide * k)))
        for n, k in sizes
    ]


def weights(page: list[str], parts: Parts) -> None:
    """The weight matrices as planes, and the signal that passes through them."""
    n = len(parts.weights)
    shown = chosen(n)
    drawn = [parts.weights[i] for i in shown if i is not None]
    gap, indices, dots = 80, 16, 40
    free = WIDTH - 72 - gap * (len(shown) + 1) - (indices + 8) * len(drawn) - dots * (None in shown)
    planes = planes_of(drawn, free)
    if any((plane.rows, plane.columns) != w.shape for plane, w in zip(planes, drawn)):
        say(page, WIDTH - 36, 302, "a square is the mean of a block", to="r")
    x = 36.0 + (free - sum(plane.width for plane in planes)) / 2
    middle = start = 213.0  # of the planes, where the signal passes
    for i in shown:
        if i is None:
            signal(page, (x, start), (x + gap - 8, middle), ("", "", ""))
            say(page, x + gap + dots / 2, middle - 16, "...", 18, to="c")
            say(page, x + gap + dots / 2, middle + 8, left_out(n), 9.5, to="c")
            x, start = x + gap + dots, middle
            continue
        plane = planes.pop(0).moved(x + gap + indices, middle)
        signal(page, (x, start), (x + gap - 4, middle - plane.fall / 2), neurons(parts, i))
        draw_matrix(page, parts.weights[i], plane)
        if i == 0:
            point_out(page, parts.weights[0], plane)
        x, start = plane.x + plane.width + 8, middle + plane.fall / 2
    signal(page, (x, start), (x + gap - 8, middle), neurons(parts, n))


def signal(
    page: list[str],
    start: tuple[float, float],
    end: tuple[float, float],
    words: tuple[str, str, str],
) -> None:
    """The arrow into a plane, with the layer that it comes from."""
    (x, y), (u, v) = start, end
    bend, at, below = (u - x) / 2, (x + u) / 2 - 3, max(y, v)
    arrow(page, [start, (x + bend, y), (u - bend, v), end], paint.DATA, 1.6)
    say(page, at, min(y, v) - 20, words[0], 10.5, paint.INK, BOLD, to="c")
    say(page, at, below + 6, words[1], 9.5, to="c")
    say(page, at, below + 19, words[2], 9.5, to="c")


def neurons(parts: Parts, i: int) -> tuple[str, str, str]:
    """What layer i is, how wide, and what function comes last in it."""
    n = len(parts.weights)
    size = parts.weights[i].shape[0] if i < n else parts.weights[-1].shape[1]
    name = "x, layer 0" if not i else f"y, layer {n}" if i == n else f"layer {i}"
    return name, f"{size:,} neuron{'s' * (size != 1)}", parts.after[i - 1] if i else ""


def draw_matrix(page: list[str], w: Part, plane: Plane) -> None:
    """A weight matrix as a plane, with its name, its shape, and numbers at its rows and columns."""
    draw_plane(page, w, plane, [(5, -4, paint.LINE)])
    last = (plane.rows - 1, plane.columns - 1)
    for r in range(plane.rows) if plane.printed else (0, last[0]):
        n = r if r < last[0] else w.shape[0] - 1
        x, y = plane.at(r + 0.5, 0)
        say(page, x - 4, y - 6, str(n), SMALL, to="r")
    for c in range(plane.columns) if plane.printed else (0, last[1]):
        n = c if c < last[1] else w.shape[1] - 1
        x, y = plane.at(0, c + 0.5)
        say(page, x, y - 17, str(n), SMALL, to="c")
    say(page, plane.x - 8, plane.y - 38, w.name, 13, paint.INK, CODE)
    say(page, plane.x + 0.6 * 13 * len(w.name), plane.y - 36, size_text(w.shape), 11)


def point_out(page: list[str], w: Part, plane: Plane) -> None:
    """One entry of a plane, in a frame, and what it means."""
    r, c = pointed(w)
    left, upper = plane.at(r * plane.rows // w.shape[0], c * plane.columns // w.shape[1])
    wide, high = begin(page, plane, 2.2)
    put(page, left, upper, wide, high, {"style": "solid", "color": paint.GRADIENT})
    page.append("}")
    at = (left + wide, upper + high)
    turn, end = (at[0], 293), (at[0] + 20, 299)
    arrow(page, [at, at, turn, turn, turn, turn, end], paint.GRADIENT, 1.4)
    text = entry_text(w, r, c) if w.numbers is not None else f"{w.name}[{r}, {c}]"
    say(page, end[0] + 6, 286, text, 12, paint.GRADIENT, CODE)
    text = f"the weight from neuron {r} of layer 0 to neuron {c} of layer 1"
    say(page, end[0] + 6, 302, text, color=paint.GRADIENT)


def samples(page: list[str], x: Part, left: float, wide: float) -> None:
    """The input: a row for each sample."""
    n, k = (1, 1) if x.numbers is None else x.numbers.shape
    each = min(WIDE - 10.0, (wide - 50) / k)
    if x.numbers is None:
        plane = Plane(1, 1, wide - 80, 84, False)
    elif each >= NARROW:
        plane = Plane(n if n <= PLACES else PLACES - 1, k, each, 22, True)
    else:
        rows, columns = min(n, HEAT), min(k, HEAT)
        plane = Plane(rows, columns, min(14, 196 / columns), min(20, 112 / rows), False)
    plane = plane.moved(left + 6 + (wide - plane.width) / 2, 439)
    draw_plane(page, x, plane)
    for r in range(plane.rows * plane.printed):
        say(page, plane.x - 5, plane.y + 22 * r + 5, str(r), SMALL, to="r")
    if plane.printed and plane.rows < n:
        y = plane.y + 22 * plane.rows + 4
        say(page, plane.x, y, f"... {n - plane.rows:,} more", 9.5)


def stack(page: list[str], bars: list[Part], left: float, wide: float, deep: bool = False) -> None:
    """Bars on top of each other, each in the middle, as long as it has numbers.

    Deep ones are a slab for each sample.
    """
    shown = chosen(len(bars))
    drawn = [bars[i] for i in shown if i is not None]
    longest = max(b.shape[-1] if b.shape else 1 for b in drawn)
    names = 0.62 * 11 * max(len(b.name) for b in drawn)
    room = wide - 102 - names
    each = min(WIDE - 10, room / longest)
    step = 126 / max(len(shown), 3)
    high = min(21, step - 9)
    middle = left + 20 + names + room / 2
    y = 443 - step * (len(shown) - 1) / 2  # the middle of a bar
    for i in shown:
        top = y - high / 2
        if i is None:
            say(page, middle, top + 3, f"... {left_out(len(bars))}", 9.5, to="c")
        else:
            b = bars[i]
            say(page, left + 12, top + 2, b.name, 11, paint.INK, CODE)
            say(
                page,
                left + wide - 12,
                top + 3,
                size_text(b.shape) if b.shape else "none",
                10.5,
                to="r",
            )
        if i is not None and b.shape:
            length, printed = max(b.shape[-1] * each, 30), each >= NARROW
            k = b.shape[-1] if printed else min(b.shape[-1], HEAT)
            plane = Plane(1, k, length / k, high, printed).moved(middle - length / 2, y)
            behind = (
                [(6, -6, paint.GROUND), (3, -3, paint.GROUND)]
                if deep and b.shape[0] not in (0, 1)
                else []
            )
            draw_plane(page, b, plane, behind)
        y += step


def formulas(page: list[str], parts: Parts) -> None:
    """How the boxes are put together, and how their shapes meet."""
    line = ["Z[i+1] = A[i] @ W[i] + B[i]", parts.rule, "y = Z of the last layer"]
    text = "    ".join(line) if parts.rule else "in each layer: x @ W + B"
    say(page, 24, 544, text, 11.5, paint.INK, CODE)
    x, w, b = parts.activations[0].shape, parts.weights[0].shape, parts.biases[0].shape
    bias = f" + {size_text(b)}" if b else ""
    shapes = f"{size_text(x)} @ {size_text(w)}{bias} -> {size_text((*x[:-1], w[1]))}"
    say(page, 24, 564, f"shapes, layer 0 to 1:  {shapes}", 10.5, face="Courier")
