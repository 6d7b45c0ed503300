"""The graph as a picture: cards with the numbers of the forward and the backward pass.

The graph is read into `Card`s, plain data that hold every word and number of the picture: line by
line of the derived program (`linewise`) or op by op (`opwise`). Here the cards are written as DOT.
"""

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .arranging import WEIGHT, everything
from .cards import (
    CLASS,
    DATA,
    FAULT,
    FAULT_GROUND,
    GRADIENT,
    GROUND,
    GROUP,
    HEADERS,
    INK,
    LINE,
    MUTED,
    ON_TINT,
    PARAMETER,
    Card,
    card_label,
    escape,
    findings,
    font,
    one_line,
    row,
    style_sheet,
    tint,
)
from .errors import RenderError
from .folding import fold
from .formatting import describe
from .graph import Node
from .linewise import line_cards

if TYPE_CHECKING:
    from .rendering import Drawing

__all__ = ["checkable", "draw", "svg_ids", "to_dot"]

LIMIT = 500
"""So many cards are drawn; their layout takes seconds, and grows faster than their number."""

MANY = 40
"""A graph of more cards is folded, unless a level is asked for."""

OPS_IN_A_LINE = 8
"""So many ops stand in one line at most: for a card a line, a graph of more is not even derived."""

DERIVED = 1500
"""To be folded, a graph of so many ops is derived; a larger one is folded op by op, in no time."""

HEAT_LIMIT = 60
"""In a graph of more cards, large arrays are four figures instead of a heat map."""


def draw(
    loss: Any,
    level: str = "auto",
    direction: str = "TB",
    show: str = "auto",
    expand: Any = None,
    check: Any = None,
) -> "Drawing":
    """Draw how `loss` was computed and how its gradient goes back: values, gradients, formulas.

    A card is a line of the program that `derive` writes, with the same words: its value, beside it
    its gradient, and below them the lines of the backward pass that carry the gradient on. A
    parameter that is used again has a chip there, with its term of the gradient.

    Nothing is changed: no gradient, no name, no array. All numbers are computed afresh, by one
    backward pass with a cotangent of 1 for `loss`, from what the inputs hold now; what earlier
    passes have added up in ``.grad`` is not shown. Where an array was overwritten since, the
    picture says so.

    Parameters
    ----------
    loss : Tensor or list of Tensor
        Usually a scalar; any other result is drawn without gradients. Of several results the graph
        that leads to them is drawn: with what ``grad(..., create_graph=True)`` returns, that is the
        graph of the backward pass, ``draw([loss, *grads])``.
    level : {"auto", "layer", "line", "op"}
        A box per layer, a card per line of the derived program, or a card per op. A layer is what
        was computed in one `scope` or module; without any, steps that repeat. Like layers in a row
        are one box with a double rim, in which bars stand for each of them. "auto" is "line" for up
        to 40 cards, else "layer".
    direction : {"TB", "LR"}
        From top to bottom, or from left to right.
    show : {"auto", "grads", "values", "shapes"}
        What the cards hold. "grads": everything. "values": the forward pass alone. "shapes":
        formulas without numbers. "auto" is "grads" if a backward pass has been run, else "values".
    expand : str, Tensor or list of these, optional
        What stays open where the rest is folded: a layer ("layer 3"), what is in it, or a whole run
        ("layer 3..22").
    check : Comparison, optional
        What `compare` returned for a backward pass written by hand: each of its gradients stands
        on the card it belongs to. Where it goes wrong first, both are shown, wrong entries boxed,
        with the cause; what only follows from that has a thin frame.

    Returns
    -------
    Drawing
        A `graphviz.Digraph`. ``.write("net.svg")`` writes it (also .png, .pdf and .dot), a notebook
        shows it, ``.source`` is the DOT text.

    Raises
    ------
    RenderError
        If `loss` is no Tensor, there are more than 500 cards, or an option has no such value.

    Examples
    --------
    >>> from tinygrad_mlp import Tensor
    >>> x, w = Tensor([[1.0, 2.0]], name="x"), Tensor([[3.0], [4.0]], True, name="w")
    >>> y = x @ w
    >>> y.name = "y"
    >>> draw(y)
    x           # 1×2  input
    w           # 2×1  parameter
    y = x @ w   # 1×1  loss
    no gradient yet: call backward()
    """
    one_of("level", level, ("auto", "op", "line", "layer"))
    one_of("direction", direction, ("TB", "LR"))
    one_of("show", show, ("auto", "grads", "values", "shapes"))
    if check is not None:
        checkable("draw", loss, check)
    results = list(loss) if isinstance(loss, (list, tuple)) else [loss]
    for result in results or [loss]:
        if not isinstance(result, Node):
            raise RenderError(
                f"draw: a Tensor is drawn, usually the loss, not {describe(result)[:60]}."
            )
    if expand is not None and level not in ("auto", "layer"):
        raise RenderError(
            f"draw(expand=..., level={level!r}): what is folded can be opened; use level='layer'."
        )
    nodes = len(everything(results))
    if nodes > {"op": LIMIT, "line": LIMIT * OPS_IN_A_LINE}.get(level, nodes):
        raise too_large(results[-1], nodes, "ops")
    large = nodes > DERIVED and level != "line" and check is None
    cards, notes = line_cards(
        results,
        "grads" if check is not None and show == "auto" else show,
        getattr(check, "marks", None),
        longest=1 if level == "op" or large else WEIGHT,
        large=large,
    )
    if check is not None:
        cards = with_causes(cards, check.causes)
    whole = ""
    if level == "layer" or expand is not None or (level == "auto" and len(cards) > MANY):
        whole = summary(cards)
        folded = fold(cards, parts_of(expand, cards))
        note = folded.note
        if level == "layer" and not note:
            note = 'nothing repeats and nothing has a name: with scope("block 1"): ... gives one'
        cards, whole = folded.cards, "; ".join(filter(None, (whole, note)))
    if len(cards) > LIMIT:
        raise too_large(results[-1], len(cards), "cards after folding" if whole else "cards")
    return to_dot(cards, notes, direction, check, whole)


def checkable(call: str, loss: Any, check: Any) -> None:
    """Raise if `check` is no comparison, or one of another graph."""
    if not (hasattr(check, "marks") and hasattr(check, "causes")):
        raise RenderError(
            f"{call}(check={describe(check)[:60]}): give what compare() returns, "
            f"c = compare(...), then {call}(c.loss, check=c)."
        )
    if check.loss is None:
        raise RenderError(
            f"{call}(check=...): there is no graph to draw, as no gradient was compared; "
            f"print(check) says why."
        )
    results = list(loss) if isinstance(loss, (list, tuple)) else [loss]
    if not all(isinstance(a, Node) for a in results):
        return  # which is said next
    if not any(node is check.loss for node in everything(results)):
        raise RenderError(
            f"{call}(check=...): the comparison is of another graph than this one; "
            f"its own is {call}(check.loss, check=check)."
        )


def parts_of(expand: Any, cards: list[Card]) -> list[str]:
    """The names of what is to stay open: what was asked for, and where a check found a cause.

    Where it found none, the first that differs, walking backward: the same mistake in every layer
    would leave nothing folded.
    """
    asked = expand if isinstance(expand, (list, tuple)) else [] if expand is None else [expand]
    names = []
    for part in asked:
        name = (part.scope or part.name) if isinstance(part, Node) else part
        if not isinstance(name, str):
            what = "this Tensor has no name" if isinstance(part, Node) else describe(part)[:60]
            raise RenderError(
                f"draw(expand=...): {what}; give the name of a layer or a card, or a Tensor with a "
                f"name, or a list of these."
            )
        names.append(one_line(name))
    caused = [card.name for card in cards if card.cause]
    wrong = [c.name for c in cards if getattr(c.mark, "status", "") in ("wrong", "unknown")]
    return names + (caused or wrong[-1:])


def with_causes(cards: list[Card], causes: Sequence[Any]) -> list[Card]:
    """The cards, each cause on the card of the gradient that it is in the formula of."""
    found = list(cards)
    whole = [(k, card) for k, card in reversed(list(enumerate(cards))) if card.same is None]
    at = {card.line: k for k, card in whole} | {card.slope: k for k, card in whole}
    for cause in causes:
        named = [text.partition(" = ")[0] for text in (cause.autograd, cause.yours) if text]
        places = [at[name] for name in [*named, *cause.gradients] if name in at]
        for k in places[:1]:
            said = [f"{cause.line}: " * bool(cause.line) + cause.text]
            said += [f"yours: {cause.yours}"] * bool(cause.yours)
            said += [f"autograd: {cause.autograd}"] * bool(cause.autograd)
            found[k] = found[k]._replace(cause=(*found[k].cause, *said))
    return found


def too_large(loss: Node, n: int, what: str) -> RenderError:
    """The error for a graph that a picture would be no help with."""
    way = "Fold it with level='layer', or"
    if what.endswith("folding"):
        way = "Name its parts, with scope('block 1'): ..., so that like ones are folded, or"
    return RenderError(
        f"draw: the graph of {describe(loss)} has {n:,} {what}; at most {LIMIT} cards are drawn. "
        f"{way} draw a part of it, draw(h) of an early result h."
    )


def one_of(option: str, value: Any, known: Sequence[str]) -> None:
    """Raise if an option has no such value."""
    if value not in known:
        raise RenderError(f"draw({option}={value!r}): use one of {', '.join(map(repr, known))}.")


# --- the graph as DOT -----------------------------------------------------------------------------

GRAPH = {
    "bgcolor": GROUND,
    "class": CLASS,
    "fontname": "Helvetica",
    "labeljust": "l",
    "labelloc": "t",
    "newrank": "true",
    "outputorder": "edgesfirst",
    "pad": "0.25",
    "ranksep": "0.5",
    "splines": "spline",
}


def to_dot(
    cards: list[Card],
    notes: list[str],
    direction: str = "TB",
    check: Any = None,
    whole: str = "",
) -> "Drawing":
    """The picture of the cards; of folded ones, `whole` says what they were before."""
    from .rendering import Drawing  # graphviz takes longer to load than all of ours

    down = direction == "TB"
    drawing = Drawing(
        graph_attr={
            **GRAPH,
            "rankdir": direction,
            "nodesep": "0.35" if down else "0.45",
            "label": f"<{title(cards, notes, check, whole)}>",
        },
        node_attr={"shape": "plain", "fontname": "Helvetica"},
        edge_attr={"color": DATA, "penwidth": "1.4", "arrowsize": "0.7"},
    )
    drawing.style = style_sheet()
    drawing.listing = listing(cards, [*([whole] if whole else []), *notes])
    drawing.titles = {f"n{k}": spoken(card) for k, card in enumerate(cards)}
    drawing.alt = alt_text(cards, notes, whole)
    sides = sides_of(cards)
    scopes = [card.scope for card in cards]
    for leaf, op in sides.items():
        scopes[leaf] = scopes[leaf] or scopes[op]
    spine = spine_below(cards)
    heat = len(cards) <= HEAT_LIMIT
    labels = [card_label(card, i, heat) for i, card in enumerate(cards)]
    at = [f"n{i}" for i in range(len(cards))]
    groups: dict[str, list[str]] = {"": []}
    for op, leaves in beside(sides).items():
        lines = groups.setdefault(scopes[leaves[0]], [])
        nodes = [at[leaf] for leaf in leaves]
        if len(leaves) > 1 and down:
            nodes = [f"s{op}"]
            lines.append(f"{nodes[0]} [label=<{stack(leaves, cards, labels)}>]")
            for leaf in leaves:
                at[leaf] = f"{nodes[0]}:n{leaf}"
        else:
            lines += [f'n{leaf} [id="n-{leaf}" label=<{labels[leaf]}>]' for leaf in leaves]
        if scopes[leaves[0]] == scopes[op]:  # in its group: else a layer's weights drift off
            lines.append(f"{{rank=same; {'; '.join(nodes)}; n{op}}}")
    for i in range(len(cards)):
        if i not in sides:
            group = ' group="spine"' if i in spine else ""
            lines = groups.setdefault(scopes[i], [])
            lines.append(f'n{i} [id="n-{i}"{group} label=<{labels[i]}>]')
    body = [f"\t{line}\n" for line in groups.pop("")]
    for k, (scope, lines) in enumerate(groups.items()):
        label = font(scope, MUTED, 12, tag="B")
        body.append(
            f'\tsubgraph cluster_{k} {{\n\t\tgraph [id="c-{k}" style="rounded,filled" '
            f'fillcolor="{GROUP}" color="{LINE}" margin="14" labeljust="l" label=<{label}>]\n'
        )
        body += [f"\t\t{line}\n" for line in lines]
        body.append("\t}\n")
    body += [f"\t{line}\n" for line in edges(cards, sides, spine, at, scopes, down)]
    drawing.body = body
    return drawing


def beside(sides: dict[int, int]) -> dict[int, list[int]]:
    """Op -> the leaves that stand beside it."""
    found: dict[int, list[int]] = {}
    for leaf, op in sides.items():
        found.setdefault(op, []).append(leaf)
    return found


def stack(leaves: list[int], cards: list[Card], labels: list[str]) -> str:
    """Several cards in one node, else the arrows of one would run around the others."""
    rows = [
        f'<TR><TD PORT="n{i}" ID="n-{i}" TITLE="{escape(spoken(cards[i]))}">{labels[i]}</TD></TR>'
        for i in leaves
    ]
    return (
        f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="8" CELLPADDING="0">{"".join(rows)}</TABLE>'
    )


def sides_of(cards: list[Card]) -> dict[int, int]:
    """Leaf -> the op that it stands beside: the first that uses it, unless it stands below it."""
    sides: dict[int, int] = {}
    placed = set()
    for i, card in enumerate(cards):
        for p in card.parents:
            if p not in placed and p != card.spine and not cards[p].parents:
                sides[p] = i
            placed.add(p)
    return sides


def spine_below(cards: list[Card]) -> set[int]:
    """The cards that stand in line: from the last one up."""
    spine = set()
    at: int | None = len(cards) - 1
    while at is not None:
        spine.add(at)
        at = cards[at].spine
    return spine


def edges(
    cards: list[Card],
    sides: dict[int, int],
    spine: set[int],
    at: list[str],
    scopes: list[str],
    down: bool,
) -> Iterator[str]:
    """Arrows of the forward pass, then of the backward pass, which have no say in the layout."""
    rank = {
        leaf: (k, len(group)) for group in beside(sides).values() for k, leaf in enumerate(group)
    }
    previous: dict[int, int] = {}
    for i, card in enumerate(cards):
        for p in card.parents:
            start, end, more = at[p], at[i], ""
            if sides.get(p) == i:
                start, end, more = beside_edge(start, end, *rank[p], down, bool(scopes[p]))
            elif p == card.spine and i in spine:
                more = " weight=50"
            yield f'{start} -> {end} [id="f-{p}-{i}" class="fwd"{more}]'
        if card.same is not None:  # a chain of the uses, or they would tangle
            p = previous.get(card.same, card.same)
            previous[card.same] = i
            yield (
                f'{at[p]} -> {at[i]} [id="l-{p}-{i}" class="same" color="{PARAMETER}" '
                f'style="dotted" dir="none" constraint="false"]'
            )
    for i, card in reversed(list(enumerate(cards))):
        ports = {row.parent: f":r{k}" for k, row in enumerate(card.backward)}
        for p in card.carries:
            port = ports.get(p, ":b")
            if sides.get(p) == i:
                start, end = port + ":w", ":w"
                if down:
                    k, n = rank[p]
                    end = ":s" if k == n - 1 else ":n" if k == 0 else ":w"
            elif p == card.spine:
                start, end = port + (":e" if down else ":w"), ":e"
            else:
                start, end = ports.get(p, ""), ""
            yield (
                f'n{i}{start} -> {at[p]}{end} [id="b-{i}-{p}" class="bwd" color="{GRADIENT}" '
                f'penwidth="1.5" style="dashed" constraint="false"]'
            )


def beside_edge(
    leaf: str, op: str, k: int, n: int, down: bool, inside: bool
) -> tuple[str, str, str]:
    """The arrow from leaf `k` of `n` beside an op: from its left; in LR from above or below.

    Which of two cards in one rank of an LR picture lies above is for the direction of the arrow
    between them to say, and it is one way in a group and the other way outside of any.
    """
    if down:
        return f"{leaf}:e", f"{op}:w", ""
    above = k == 0 and n > 1
    ends = (f"{leaf}:s", f"{op}:n") if above else (f"{leaf}:n", f"{op}:s")
    return (*ends, "") if above != inside else (*ends[::-1], " dir=back")


def svg_ids(cards: list[Card], direction: str = "TB") -> dict[str, list[str]]:
    """What belongs to each line of the program in the SVG: name -> ids.

    Of a line of the forward pass its card (n-3; a_n-3 in a stack), header (a_h-3), numbers (a_v-3)
    and the arrows to it (f-1-3); of a gradient its numbers (a_g-1), the rows that compute it
    (a_r-3-0, of several terms a_s-1-0, too) and the arrows from them (b-3-1).
    """
    ids: dict[str, list[str]] = {}
    groups = beside(sides_of(cards)).values() if direction == "TB" else ()
    stacked = {leaf for group in groups if len(group) > 1 for leaf in group}
    for k, card in enumerate(cards):
        shown = [f"a_n-{k}" if k in stacked else f"n-{k}", f"a_h-{k}"] + [f"a_v-{k}"] * (
            card.value is not None
        )
        shown += [f"f-{p}-{k}" for p in card.parents]
        if card.line:
            ids.setdefault(card.line, []).extend(shown)
        if card.slope:
            ids.setdefault(card.slope, []).extend([f"a_g-{k}"] * (card.gradient is not None))
            if getattr(card.mark, "status", "") in ("wrong", "unknown") and (
                card.mark.yours is not None and card.gradient is not None
            ):
                ids[card.slope].append(f"a_t-{k}")
        for i, (parent, line, *_) in enumerate(card.backward):
            if line:
                arrow = [] if parent is None else [f"b-{k}-{parent}"]
                ids.setdefault(line, []).extend([f"a_r-{k}-{i}", *arrow])
    return ids


# --- words ----------------------------------------------------------------------------------------


def title(cards: list[Card], notes: list[str], check: Any = None, whole: str = "") -> str:
    """Headline, what must be said, and the legend, as a table."""
    last = [card.name for card in cards if card.role in ("loss", "result")] or [cards[-1].name]
    backward = any(card.gradient is not None or card.carries for card in cards)
    names = last if len(last) <= 5 else [*last[:4], f"{len(last) - 4} more"]
    head = f"{', '.join(names)}{'' if len(last) > 1 else ', forward'}"
    head += " and backward" * backward
    subtitle = whole or summary(cards)
    if check is not None:
        head, subtitle = verdict(check)
    said = dict.fromkeys(filter(None, (subtitle, whole)))
    rows = [row(font(head, INK, 17, tag="B")), *(row(font(text, MUTED, 11)) for text in said)]
    for cause in check.causes[:3] if check is not None else ():
        text = one_line(f"{cause.line}: " * bool(cause.line) + cause.text, 300)
        rows += [row(font(part, FAULT, 11, tag="B")) for part in textwrap.wrap(text, 100)]
    rows += [row(font(note, GRADIENT, 11, tag="B")) for note in notes]
    roles = {card.role or "result" for card in cards}
    legend = [
        f'<TD BGCOLOR="{ground}">{font(role, ink, 9, tag="B")}</TD>'
        for role, (ground, ink) in HEADERS.items()
        if role in roles
    ]
    legend.append(f"<TD>{font('→', MUTED, 9)}{font(' forward', MUTED, 9)}</TD>")
    if backward:
        legend.append(f"<TD>{font('←', GRADIENT, 9, tag='B')}{font(' gradient', GRADIENT, 9)}</TD>")
    if any(card.value is not None for card in cards):
        for sign, v in (("+", 1.0), ("-", -1.0)):
            mark = font(sign, ON_TINT, 9, tag="B")
            legend.append(f'<TD BGCOLOR="{tint(v, 1.4)}" WIDTH="16">{mark}</TD>')
        legend.append(f"<TD>{font('tint: sign and size', MUTED, 9)}</TD>")
    if any(getattr(card.mark, "status", "same") != "same" for card in cards):
        sample = font("differs", FAULT, 9, tag="B")
        legend.append(f'<TD BORDER="2" COLOR="{FAULT}" BGCOLOR="{FAULT_GROUND}">{sample}</TD>')
    rows.append(
        row(
            f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="4" CELLPADDING="2">'
            f"<TR>{''.join(legend)}</TR></TABLE>"
        )
    )
    return (
        f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{"".join(rows)}</TABLE>'
    )


def verdict(check: Any) -> tuple[str, str]:
    """What a comparison came to: a headline and the counts."""
    compared = [mark for mark in check.marks.values() if mark.truth is not None]
    states = [mark.status for mark in compared]
    wrong, right = len(states) - states.count("same"), states.count("same")
    parts = [f"{counted(len(states), 'gradient')}: {right} match" + "es" * (right == 1)]
    if wrong:
        parts += [f"{wrong} differ" + "s" * (wrong == 1)]
        parts += [counted(len(check.causes), "cause")] * bool(check.causes)
        unknown = states.count("unknown")
        parts += [f"cause of {unknown} unknown"] * bool(unknown)
        if not check.causes:
            parts.append(f"begin with {check.where}")
    return "Your backward pass, checked", ", ".join(parts)


def summary(cards: list[Card]) -> str:
    """How large the graph is, in words."""
    made = sum(bool(card.parents) for card in cards)
    lines = sum(bool(card.line and card.parents) for card in cards)
    parameters = [card for card in cards if card.role == "parameter" and card.same is None]
    steps = counted(lines, "line") if lines else counted(made, "op")
    return f"{steps}, {counted(len(parameters), 'parameter')}"


def counted(n: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "op"), counted(2, "op")
    ('1 op', '2 ops')
    """
    return f"{n:,} {noun}{'s' * (n != 1)}"


def spoken(card: Card) -> str:
    """A card in a few words, for who hears the picture or points at it."""
    said = [f"{card.name}, {card.shape}", card.role, card.formula and f"= {card.formula}"]
    return ", ".join(filter(None, [*said, *card.lines, *card.notes, *findings(card)]))


def alt_text(cards: list[Card], notes: list[str], whole: str = "") -> str:
    """The whole picture in words."""
    made = [
        f"{card.name} = {card.formula}" if card.formula else f"{card.name}: {card.lines[-1]}"
        for card in cards
        if card.formula or card.lines
    ]
    shown = made if len(made) <= 12 else [*made[:10], f"{len(made) - 11} more", made[-1]]
    return "; ".join([f"Graph of {cards[-1].name}, {whole or summary(cards)}", *shown, *notes])


def listing(cards: list[Card], notes: list[str]) -> str:
    """The cards as lines of text."""
    shown = [card for card in cards if card.same is None]
    codes = [f"{card.name} = {card.formula}" if card.formula else card.name for card in shown]
    width = min(max(map(len, codes)), 60)
    lines = [
        f"{code:{width}}   # {'  '.join(filter(None, (card.shape, card.role, *findings(card))))}"
        for code, card in zip(codes, shown)
    ]
    return "\n".join(lines + notes)
