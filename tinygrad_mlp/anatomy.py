"""The boxes of a network as one page: its weights as planes, its biases and activations as bars.

Everything has a place that is worked out here, in points from the upper left corner; Graphviz only
draws it (``layout=nop2``). A page is a list of lines of DOT text that `put` and `arrow` add to.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .errors import RenderError
from .formatting import describe, name_of
from .manual import ManualMLP
from .nn import Linear, Sequential, title
from .styling import (
    CLASS,
    DATA,
    FAULT,
    FAULT_GROUND,
    FRAME,
    GRADIENT,
    GROUND,
    GROUP,
    INK,
    LINE,
    MUTED,
    ON_TINT,
    PAPER,
    PARAMETER,
    block_means,
    number_text,
    one_line,
    size_text,
    style_sheet,
    text_width,
    tint,
)
from .tensor import plain

if TYPE_CHECKING:
    from .rendering import Drawing

__all__ = ["draw_anatomy"]

WIDTH, HEIGHT = 1050, 590
"""The page in points: 1,400 pixels wide in a PNG of 96 dots per inch."""

SLOPE = 0.1
"""How much a plane falls to the right; a wide one less, see `slope_of`."""

PLACES = 5
"""So many matrices and bars are drawn; of more, the first ones and the last."""

ENTRIES = 8
"""A matrix of at most so many rows and columns shows its numbers, if there is room."""

BLOCKS = 14
"""A larger one is at most so many squares each way, as on a card."""

NARROW, WIDE, HIGH = 33, 60, 32
"""The least and the most that a number is given."""

SIDE, TALL = 20, 116
"""The most that a square without a number is given, and a plane from top to bottom."""

SMALL = 8.5
"""The smallest text: 11 pixels where the page is 1,400 wide."""


class Part(NamedTuple):
    """A matrix or a vector of the network, or the place where one will be."""

    name: str
    shape: tuple[Any, ...]
    numbers: Any = None  # two-dimensional array of real numbers, if there are any


class Parts(NamedTuple):
    """What the page shows."""

    kind: str
    weights: list[Part]
    biases: list[Part]  # with an empty shape where there is none
    activations: list[Part]  # A[0] is x; without numbers before a forward pass
    after: list[str]  # the function after each layer, '' for none
    notes: tuple[str, str]  # below x and below A
    rule: str  # how A comes about


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
            "bgcolor": GROUND,
            "class": CLASS,
            "id": "anatomy",
            "pad": "0",
            "outputorder": "nodesfirst",
        },
        node_attr={
            "shape": "plaintext",
            "fixedsize": "true",
            "margin": "0",
            "fontname": "Helvetica",
            "fontcolor": INK,
        },
    )
    drawing.style = style_sheet()
    drawing.listing = listing(parts)
    boxes = [" ".join(line.split()) for line in drawing.listing.splitlines()]
    shown = [*boxes[:9], *["..."] * (len(boxes) > 9)]
    drawing.alt = "; ".join([headline(parts), subtitle(parts), *shown])
    page: list[str] = []
    put(page, 0, 0, WIDTH, HEIGHT, shape="box", style="filled", fillcolor=GROUND, color=GROUND)
    say(page, 24, 14, headline(parts), 20, bold=True)
    say(page, 24, 42, subtitle(parts), 11, MUTED)
    legend(page)
    weights(page, parts)
    samples(page, parts)
    signals(page, parts)
    biases(page, parts)
    formulas(page, parts)
    drawing.body = [f"\t{line}\n" for line in page]
    return drawing


# --- what there is --------------------------------------------------------------------------------


def parts_of(net: Any) -> Parts:
    """The boxes of a network, as plain arrays."""
    activations: list[Part] = []
    rule, word, kept = "", "", "filled by a forward pass: call net(x)"
    if isinstance(net, Sequential):
        weights, biases, after = layers_of(net)
        kept = "not kept by a Sequential"
    else:
        weights, biases, activations = (
            [part(f"{name}[{i}]", a) for i, a in enumerate(listed(net, name))] for name in "WBA"
        )
        if isinstance(net, ManualMLP):
            word = "relu"
        elif getattr(net, "activation", None):
            word = one_line(name_of(net.activation), 16)
        rule = f"A[i+1] = {word}(Z[i+1])" * bool(word)
        after = [word] * (len(weights) - 1) + [""]
    if not weights:
        given = (
            f"the class {net.__name__}" if isinstance(net, type) else one_line(describe(net), 60)
        )
        raise RenderError(
            f"draw_anatomy: {given} holds no weights: give a network, such as MLP([3, 4, 2]), a "
            f"ManualMLP, a Sequential with Linear layers, or an object with lists W and B."
        )
    for w in weights:
        if len(w.shape) != 2 or 0 in w.shape:
            raise RenderError(
                f"draw_anatomy: {w.name} has shape {w.shape}; weights are matrices, (n_in, n_out)."
            )
    n, known = len(weights), len(activations)
    notes = ("one row for each sample", kept)
    if activations:
        batch = math.prod(activations[0].shape[:-1])
        said = [f"sample 0 in front, {batch - 1:,} behind it"] * (batch > 1)
        said += ["the output y is not in A"] * (known == n)
        notes = ("x is A[0] as it came in", "; ".join(said))
    activations += [Part(f"A[{i}]", ("batch", weights[i].shape[0])) for i in range(known, n)]
    biases += [Part(f"B[{i}]", ()) for i in range(len(biases), n)]
    return Parts(one_line(type(net).__name__, 24), weights, biases, activations, after, notes, rule)


def listed(net: Any, name: str) -> list[Any]:
    """The arrays in a list of a network; none if there is no such list."""
    found = getattr(net, name, None)
    return list(found) if isinstance(found, (list, tuple, np.ndarray)) else []


def layers_of(net: Sequential) -> tuple[list[Part], list[Part], list[str]]:
    """The weights and biases of the Linear layers, and what stands after each."""
    weights, biases, after = [], [], []
    for k, layer in enumerate(net.layers):
        if isinstance(layer, Linear):
            weights.append(part(f"layers[{k}].W", layer.W))
            name = f"layers[{k}].B"
            biases.append(Part(name, ()) if layer.B is None else part(name, layer.B))
            after.append("")
        elif after:
            after[-1] = one_line(f"{after[-1]} {title(layer)}", 16)
    return weights, biases, after


def part(name: str, value: Any) -> Part:
    """An array, or a Tensor, or rows in a list, as a box."""
    array = plain(value)
    array = np.asarray(array) if isinstance(array, (list, tuple)) else array
    shape = tuple(array.shape)
    numbers = None
    if isinstance(array, np.ndarray) and array.dtype.kind in "fiub" and array.size:
        numbers = array.reshape(-1, shape[-1] if shape else 1)
    return Part(name, shape or (1,), numbers)


def headline(parts: Parts) -> str:
    """What it is, in a line."""
    sizes = [parts.weights[0].shape[0], *(w.shape[1] for w in parts.weights)]
    if len(sizes) > 7:
        return f"{parts.kind}: {len(sizes)} layers, {sizes[0]:,} to {sizes[-1]:,} neurons"
    return f"{parts.kind}: {' → '.join(f'{n:,}' for n in sizes)} neurons"


def subtitle(parts: Parts) -> str:
    """How much there is."""
    found = [b for b in parts.biases if b.shape]
    total = sum(math.prod(p.shape) for p in (*parts.weights, *found))
    return (
        f"{total:,} parameters: {len(parts.weights)} weight matri"
        f"{'ces' if len(parts.weights) != 1 else 'x'} and {len(found)} bias vector"
        f"{'s' if len(found) != 1 else ''}"
    )


def pointed(w: Part) -> tuple[int, int]:
    """The entry that is pointed out: [1, 2], or the nearest there is."""
    return min(1, w.shape[0] - 1), min(2, w.shape[1] - 1)


def listing(parts: Parts) -> str:
    """The page in lines of text."""
    lines = []
    for i, (w, b, a) in enumerate(zip(parts.weights, parts.biases, parts.activations)):
        after = f", after {parts.after[i - 1]}" if i and parts.after[i - 1] else ""
        lines.append(
            (a.name, size_text(a.shape), f"layer {i}{after}" if i else "layer 0, the input x")
        )
        entry = f"; {entry_text(w, *pointed(w))}" if not i and w.numbers is not None else ""
        lines.append((w.name, size_text(w.shape), f"from layer {i} to layer {i + 1}{entry}"))
        if b.shape:
            lines.append((b.name, size_text(b.shape), f"added to layer {i + 1}"))
    widths = [max(len(line[k]) for line in lines) for k in (0, 1)]
    return "\n".join(f"{n:{widths[0]}}   {s:{widths[1]}}   {text}" for n, s, text in lines)


def entry_text(w: Part, r: int, c: int) -> str:
    """An entry and its number."""
    return f"{w.name}[{r}, {c}] = {number_text(w.numbers[r, c].item())}"


# --- putting things on the page -------------------------------------------------------------------


def quoted(text: str) -> str:
    r"""Text between quotes in DOT.

    >>> quoted('a"\\N&')
    '"a\\"\\\\N&amp;"'
    """
    text = text.replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def put(
    page: list[str], x: float, y: float, w: float, h: float, label: str = "", **more: Any
) -> str:
    """Add a box with its upper left corner at (x, y), and return what DOT calls it."""
    name = f"n{len(page)}"
    place = f"{x + w / 2:.6g},{HEIGHT - y - h / 2:.6g}"
    text = "".join(f" {key}={quoted(str(value))}" for key, value in more.items())
    label = label if label.startswith('"') else quoted(label)
    page.append(
        f'{name} [pos="{place}" width={w / 72:.4g} height={h / 72:.4g} label={label}{text}]'
    )
    return name


def say(
    page: list[str],
    x: float,
    y: float,
    text: str,
    size: float,
    color: str = INK,
    *,
    face: str = "Helvetica",
    bold: bool = False,
    to: str = "l",
) -> None:
    """Add a line of text that begins ("l") or ends ("r") at x, or has its middle there ("c")."""
    if not text:
        return
    w = text_width(text, size) * 1.3 + 8  # more than it takes in any face
    left = {"l": x, "r": x - w, "c": x - w / 2}[to]
    label = quoted(text) if to == "c" else f'{quoted(text)[:-1]}\\{to}"'
    more = {"fontname": face + "-Bold" * bold, "fontsize": f"{size:g}", "fontcolor": color}
    put(page, left, y, w, size * 1.4, label, **more)


def arrow(page: list[str], points: Sequence[tuple[float, float]], color: str, **more: Any) -> None:
    """Add a curve with a head: Bézier's, with two points between each two that it goes through."""
    (u, v), (x, y) = points[-2:]
    head = 7 / max(math.hypot(x - u, y - v), 7)
    way = [*points[:-1], (x + (u - x) * head, y + (v - y) * head)]
    ends = [put(page, *point, 0, 0, style="invis") for point in (points[0], points[-1])]
    bends = " ".join(f"{a:.6g},{HEIGHT - b:.6g}" for a, b in way)
    text = "".join(f" {key}={quoted(str(value))}" for key, value in more.items())
    page.append(
        f'{ends[0]} -> {ends[1]} [pos="e,{x:.6g},{HEIGHT - y:.6g} {bends}" color="{color}" '
        f'arrowsize="0.7"{text}]'
    )


def panel(page: list[str], x: float, y: float, w: float, h: float, *, sign: str, text: str) -> None:
    """Add the ground of a part of the page, with its sign in the corner."""
    ground = PARAMETER if sign in "WB" else DATA
    style = {"shape": "box", "style": "rounded,filled", "fillcolor": GROUP, "color": LINE}
    put(page, x, y, w, h, **style)
    chip = {"shape": "box", "style": "filled", "fillcolor": ground, "color": ground}
    bold = {"fontname": "Courier-Bold", "fontsize": "14", "fontcolor": GROUND}
    put(page, x + 12, y + 10, 26, 20, sign, **chip, **bold)
    say(page, x + 44, y + 11, text, 13, bold=True)


def begin(
    page: list[str], pen: float = 1, wide: float = 1, high: float = 1, slope: float = 0
) -> None:
    """Begin a group of boxes that lean like the plane they are in."""
    lean = f' orientation="90" skew="{skew_of(wide, high, slope):.4g}"' if slope else ""
    page.append(
        f'{{ node [shape="polygon" sides="4" style="filled" color="{LINE}" penwidth="{pen:g}" '
        f'fontcolor="{ON_TINT}"{lean}]'
    )


def slope_of(wide: float, high: float, columns: int, rows: int) -> float:
    """How much a plane of such boxes falls; so little that Graphviz can still draw it exactly."""
    return min(SLOPE, 0.2 * high / wide, 0.2 * high * rows / (wide * columns))


def skew_of(w: float, h: float, slope: float) -> float:
    """The skew of a box of which the sides are h high, the others w wide and sloping.

    From how Graphviz makes a polygon: the fall is k/2 / (√(1 + k²) + k/2) of the height, as long as
    that is at most 0.18.
    """
    f = slope * w / (h + slope * w)
    return float(2 * f / ((1 - f) ** 2 - 4 * f * f) ** 0.5)


def cell(v: float, top: float, name: str = "") -> tuple[str, dict[str, str]]:
    """What the box of a number says, if it has a name, and its colours."""
    ground = tint(v, top) if math.isfinite(v) else FAULT_GROUND
    if not name:
        return "", {"fillcolor": {GROUND: PAPER, FAULT_GROUND: FAULT}.get(ground, ground)}
    ink = {GROUND: INK, FAULT_GROUND: FAULT}.get(ground)
    style = {"fillcolor": ground, **({"fontcolor": ink} if ink else {})}
    return number_text(v), {**style, "fontsize": "9.5", "tooltip": f"{name} = {v:.6g}"}


def largest(a: Any) -> float:
    """The largest size among the finite numbers, against which the others are tinted."""
    numbers = a.astype(np.float64)
    return float(np.abs(numbers[np.isfinite(numbers)]).max(initial=0))


# --- the parts of the page ------------------------------------------------------------------------


def legend(page: list[str]) -> None:
    """What the colours mean, in the corner."""
    begin(page)
    for x, sign, v in ((WIDTH - 144, "+", 1.0), (WIDTH - 126, "-", -1.0)):
        put(page, x, 42, 18, 15, sign, fillcolor=tint(v, 1.4), fontsize=10)
    page.append("}")
    say(page, WIDTH - 24, 43, "tint: sign and size", 9, MUTED, to="r")


def chosen(n: int) -> list[int | None]:
    """The positions to show of n things, None for those that are left out.

    >>> chosen(3), chosen(26)
    ([0, 1, 2], [0, 1, 2, None, 25])
    """
    return [*range(n)] if n <= PLACES else [*range(PLACES - 2), None, n - 1]


def left_out(n: int) -> str:
    """How many those are, in words."""
    return f"{n - PLACES + 1:,} more"


class Plane(NamedTuple):
    """How a matrix is drawn: so many boxes down and across, each so large."""

    rows: int
    columns: int
    wide: float
    high: float
    slope: float
    printed: bool


def planes_of(matrices: list[Part], free: float) -> list[Plane]:
    """The planes of some matrices that may be `free` wide together; numbers in all or in none."""
    sizes = [[min(n, BLOCKS) for n in w.shape] for w in matrices]
    small = [max(w.shape) <= ENTRIES and w.numbers is not None for w in matrices]
    side = min(SIDE, TALL / max(n for n, _ in sizes))
    room = free - side * sum(k for (_, k), printed in zip(sizes, small) if not printed)
    columns = sum(k for (_, k), printed in zip(sizes, small) if printed)
    if room < NARROW * columns:
        small = [False] * len(small)
    side = min(side, free / sum(k for _, k in sizes))
    wide = min(WIDE, room / max(columns, 1))
    planes = []
    for (n, k), printed in zip(sizes, small):
        w, h = (wide, min(HIGH, TALL / n)) if printed else (side, side)
        planes.append(Plane(n, k, w, h, slope_of(w, h, k, n), printed))
    return planes


def weights(page: list[str], parts: Parts) -> None:
    """The weight matrices as planes, and the signal that passes through them."""
    top, tall = 76, 248
    panel(page, 24, top, WIDTH - 48, tall, sign="W", text="weights")
    text = "W[i] connects layer i with layer i+1: a row for each neuron in, a column for each out"
    say(page, WIDTH - 36, top + 13, text, 10, MUTED, to="r")
    n = len(parts.weights)
    shown = chosen(n)
    drawn = [parts.weights[i] for i in shown if i is not None]
    gap, indices, dots = 80, 16, 40
    free = WIDTH - 72 - gap * (len(shown) + 1) - (indices + 8) * len(drawn) - dots * (None in shown)
    planes = planes_of(drawn, free)
    if any((plane.rows, plane.columns) != w.shape for plane, w in zip(planes, drawn)):
        text = "a square is the mean of a block"
        say(page, WIDTH - 36, top + tall - 22, text, 10, MUTED, to="r")
    x = 36.0 + (free - sum(plane.columns * plane.wide for plane in planes)) / 2
    middle = top + 137.0  # of the planes, where the signal passes
    start = middle
    for i in shown:
        if i is None:
            signal(page, (x, start), (x + gap - 8, middle), ("", "", ""))
            say(page, x + gap + dots / 2, middle - 16, "...", 18, MUTED, to="c")
            say(page, x + gap + dots / 2, middle + 8, left_out(n), 9.5, MUTED, to="c")
            x, start = x + gap + dots, middle
            continue
        plane = planes.pop(0)
        width = plane.columns * plane.wide
        fall = plane.slope * width
        signal(page, (x, start), (x + gap - 4, middle - fall / 2), neurons(parts, i))
        x += gap + indices
        y = middle - (plane.rows * plane.high + fall) / 2
        draw_plane(page, parts.weights[i], plane, x, y)
        if i == 0:
            point_out(page, parts.weights[0], plane, x, y, top + tall - 37)
        x, start = x + width + 8, middle + fall / 2
    signal(page, (x, start), (x + gap - 8, middle), neurons(parts, n))


def signal(
    page: list[str],
    start: tuple[float, float],
    end: tuple[float, float],
    words: tuple[str, str, str],
) -> None:
    """The arrow into a plane, with the layer that it comes from."""
    (x, y), (u, v) = start, end
    bend, at = (u - x) / 2, (x + u) / 2 - 3
    arrow(page, [start, (x + bend, y), (u - bend, v), end], DATA, penwidth=1.6)
    say(page, at, min(y, v) - 20, words[0], 10.5, to="c", bold=True)
    say(page, at, max(y, v) + 6, words[1], 9.5, MUTED, to="c")
    say(page, at, max(y, v) + 19, words[2], 9.5, MUTED, to="c")


def neurons(parts: Parts, i: int) -> tuple[str, str, str]:
    """What layer i is, how wide, and what function comes last in it."""
    n = len(parts.weights)
    size = parts.weights[i].shape[0] if i < n else parts.weights[-1].shape[1]
    name = "x, layer 0" if not i else f"y, layer {n}" if i == n else f"layer {i}"
    after = parts.after[i - 1] if i else ""
    return name, f"{size:,} neuron{'s' * (size != 1)}", after


def draw_plane(page: list[str], w: Part, plane: Plane, x: float, y: float) -> None:
    """A matrix as a plane, with its upper left corner at (x, y)."""
    width, height, slope = plane.columns * plane.wide, plane.rows * plane.high, plane.slope
    whole = {"tooltip": f"{w.name}  {size_text(w.shape)}"}
    begin(page, 1.4, width, height, slope)
    put(page, x + 5, y - 4, width, height + slope * width, **whole, color=LINE, fillcolor=LINE)
    put(page, x, y, width, height + slope * width, **whole, color=DATA, fillcolor=GROUND)
    page.append("}")
    if w.numbers is not None:
        shown = w.numbers if plane.printed else block_means(w.numbers.astype(np.float64))
        entries(page, w, shown, plane, x, y)
    last = (plane.rows - 1, plane.columns - 1)
    for r in range(plane.rows) if plane.printed else (0, last[0]):
        n = r if r < last[0] else w.shape[0] - 1
        say(page, x - 4, y + (r + 0.5) * plane.high - 6, str(n), SMALL, MUTED, to="r")
    for c in range(plane.columns) if plane.printed else (0, last[1]):
        n = c if c < last[1] else w.shape[1] - 1
        at = x + (c + 0.5) * plane.wide
        say(page, at, y - 17 + slope * (at - x), str(n), SMALL, MUTED, to="c")
    say(page, x - 8, y - 38, w.name, 13, face="Courier", bold=True)
    at = x + 0.6 * 13 * len(w.name)
    say(page, at, y - 36, size_text(w.shape), 11, MUTED)


def entries(page: list[str], a: Part, numbers: Any, plane: Plane, x: float, y: float) -> None:
    """Numbers of an array in their boxes, or the means of its blocks as colours."""
    wide, high, slope = plane.wide, plane.high, plane.slope
    top = largest(numbers)
    begin(page, 0.6, wide, high, slope)
    for r, row in enumerate(numbers.tolist()):
        for c, v in enumerate(row):
            at = f"{r}, {c}" if len(a.shape) > 1 else f"{c}"
            text, style = cell(v, top, f"{a.name}[{at}]" * plane.printed)
            left, upper = x + c * wide, y + r * high + c * slope * wide
            put(page, left, upper, wide, high + slope * wide, text, **style)
    page.append("}")


def point_out(page: list[str], w: Part, plane: Plane, x: float, y: float, below: float) -> None:
    """One entry of a plane, in a frame, and what it means."""
    r, c = pointed(w)
    k, j = r * plane.rows // w.shape[0], c * plane.columns // w.shape[1]
    left, upper = x + j * plane.wide, y + k * plane.high + plane.slope * j * plane.wide
    begin(page, 2.2, plane.wide, plane.high, plane.slope)
    size = (plane.wide, plane.high + plane.slope * plane.wide)
    put(page, left, upper, *size, style="solid", color=GRADIENT)
    page.append("}")
    at = (left + plane.wide, upper + size[1])
    text = entry_text(w, r, c) if w.numbers is not None else f"{w.name}[{r}, {c}]"
    turn, end = (at[0], below + 6), (at[0] + 20, below + 12)
    arrow(page, [at, at, turn, turn, turn, turn, end], GRADIENT, penwidth=1.4)
    say(page, end[0] + 6, below - 1, text, 12, GRADIENT, face="Courier", bold=True)
    text = f"the weight from neuron {r} of layer 0 to neuron {c} of layer 1"
    say(page, end[0] + 6, below + 15, text, 10, GRADIENT)


def samples(page: list[str], parts: Parts) -> None:
    """The input: a row for each sample."""
    left, top, wide, tall = 24, 336, 244, 196
    panel(page, left, top, wide, tall, sign="x", text="input")
    x = parts.activations[0]
    say(page, left + wide - 12, top + 13, size_text(x.shape), 11, MUTED, to="r")
    say(page, left + 12, top + tall - 22, parts.notes[0], 10, MUTED)
    if x.numbers is None:
        begin(page)
        for k in range(3):
            put(page, left + 40, top + 54 + 30 * k, wide - 80, 24, style="dashed", color=FRAME)
        page.append("}")
        return
    n, k = x.numbers.shape
    each = min(WIDE - 10.0, (wide - 50) / k)
    if each >= NARROW:
        rows = n if n <= PLACES else PLACES - 1
        numbers, plane = x.numbers[:rows], Plane(rows, k, each, 22, 0, True)
    else:
        numbers = block_means(x.numbers.astype(np.float64))
        rows, k = numbers.shape
        plane = Plane(rows, k, min(14, 196 / k), min(20, 112 / rows), 0, False)
    at, y = left + 6 + (wide - k * plane.wide) / 2, top + 103 - plane.high * rows / 2
    entries(page, x, numbers, plane, at, y)
    for r in range(rows * plane.printed):
        say(page, at - 5, y + 22 * r + 5, str(r), SMALL, MUTED, to="r")
    if plane.printed and rows < n:
        say(page, at, y + 22 * rows + 4, f"... {n - rows:,} more", 9.5, MUTED)


def signals(page: list[str], parts: Parts) -> None:
    """The activations: a bar for each layer, as long as it has neurons, a slab for the samples."""
    left, top, wide, tall = 280, 336, 378, 196
    panel(page, left, top, wide, tall, sign="A", text="activations")
    say(page, left + 12, top + tall - 22, parts.notes[1], 10, MUTED)
    text = "A[i] is what layer i puts out"
    say(page, left + wide - 12, top + 13, text, 10, MUTED, to="r")
    stack(page, parts.activations, left, top + 40, wide, deep=True)


def biases(page: list[str], parts: Parts) -> None:
    """The biases: a bar for each layer but the input."""
    left, top, wide, tall = 670, 336, WIDTH - 694, 196
    panel(page, left, top, wide, tall, sign="B", text="biases")
    text = "one number for each neuron; layer 0 has none"
    say(page, left + 12, top + tall - 22, text, 10, MUTED)
    text = "B[i] is added in layer i+1"
    say(page, left + wide - 12, top + 13, text, 10, MUTED, to="r")
    stack(page, parts.biases, left, top + 40, wide)


def stack(
    page: list[str], bars: list[Part], left: float, top: float, wide: float, *, deep: bool = False
) -> None:
    """Bars on top of each other, each in the middle, as long as it has numbers."""
    shown = chosen(len(bars))
    each_shown = [bars[i] for i in shown if i is not None]
    longest = max(b.shape[-1] if b.shape else 1 for b in each_shown)
    names = 0.62 * 11 * max(len(b.name) for b in each_shown)
    room = wide - 32 - names - 70
    each = min(WIDE - 10, room / longest)
    step = 126 / max(len(shown), 3)
    high = min(21, step - 9)
    middle = left + 20 + names + room / 2
    y = top + (130 - step * len(shown)) / 2 + (step - high) / 2 + 2
    for i in shown:
        if i is None:
            say(page, middle, y + 3, f"... {left_out(len(bars))}", 9.5, MUTED, to="c")
            y += step
            continue
        b = bars[i]
        say(page, left + 12, y + 2, b.name, 11, face="Courier", bold=True)
        size = size_text(b.shape) if b.shape else "none"
        say(page, left + wide - 12, y + 3, size, 10.5, MUTED, to="r")
        if b.shape:
            length = max(b.shape[-1] * each, 30)
            x = middle - length / 2
            whole = {"fillcolor": GROUND, "tooltip": f"{b.name}  {size}"}
            begin(page)
            for k in (2, 1) if deep and b.shape[0] not in (0, 1) else ():
                put(page, x + 3 * k, y - 3 * k, length, high, **whole)
            line = {"style": "dashed", "color": FRAME} if b.numbers is None else {"color": DATA}
            put(page, x, y, length, high, **whole, **line)
            page.append("}")
        if b.numbers is not None:
            row, printed = b.numbers[:1], each >= NARROW
            row = row if printed else block_means(row.astype(np.float64))
            k = row.shape[1]
            entries(page, b, row, Plane(1, k, length / k, high, 0, printed), x, y)
        y += step


def formulas(page: list[str], parts: Parts) -> None:
    """How the boxes are put together, and how their shapes meet."""
    line = ["Z[i+1] = A[i] @ W[i] + B[i]", parts.rule, "y = Z of the last layer"]
    text = "    ".join(line) if parts.rule else "in each layer: x @ W + B"
    say(page, 24, 544, text, 11.5, face="Courier", bold=True)
    x, w, b = parts.activations[0].shape, parts.weights[0].shape, parts.biases[0].shape
    bias = f" + {size_text(b)}" if b else ""
    shapes = f"{size_text(x)} @ {size_text(w)}{bias} -> {size_text((*x[:-1], w[1]))}"
    say(page, 24, 564, f"shapes, layer 0 to 1:  {shapes}", 10.5, MUTED, face="Courier")
