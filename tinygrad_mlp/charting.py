"""Cards as a picture: which stands where, the arrows between them, and what is said above them."""

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import paint
from .cards import HEADERS, Card, card_label, findings
from .styling import one_line, text_width
from .tables import cell, escape, font, row, table

if TYPE_CHECKING:
    from .rendering import Drawing

__all__ = ["summary", "svg_ids", "to_dot"]

HEAT_LIMIT = 60
"""In a graph of more cards, large arrays are four figures instead of a heat map."""

GRAPH = {
    "bgcolor": paint.GROUND,
    "class": paint.CLASS,
    "fontname": "Helvetica",
    "labeljust": "l",
    "labelloc": "t",
    "newrank": "true",
    "outputorder": "edgesfirst",
    "pad": "0.25",
    "ranksep": "0.5",
    "splines": "spline",
}
BACKWARD = f'color="{paint.GRADIENT}" penwidth="1.5" style="dashed" constraint="false"'
CHAIN = f'color="{paint.PARAMETER}" style="dotted" dir="none" constraint="false"'


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
        edge_attr={"color": paint.DATA, "penwidth": "1.4", "arrowsize": "0.7"},
    )
    drawing.style = paint.style_sheet()
    drawing.listing = listing(cards, [*([whole] if whole else []), *notes])
    drawing.titles = {f"n{k}": spoken(card) for k, card in enumerate(cards)}
    drawing.alt = alt_text(cards, notes, whole)
    sides = sides_of(cards)
    scopes = [
        card.scope or (cards[sides[i]].scope if i in sides else "") for i, card in enumerate(cards)
    ]
    spine = in_line(cards)
    at, groups = nodes(cards, sides, spine, scopes, down)
    body = groups.pop("")
    for k, (scope, lines) in enumerate(groups.items()):
        label = font(scope, paint.MUTED, 12, tag="B")
        body += [
            f"subgraph cluster_{k} {{",
            f'\tgraph [id="c-{k}" style="rounded,filled" fillcolor="{paint.GROUP}" '
            f'color="{paint.LINE}" margin="14" labeljust="l" label=<{label}>]',
            *(f"\t{line}" for line in lines),
            "}",
        ]
    ways = (forward(cards, sides, spine, at, scopes, down), backward(cards, sides, at, down))
    drawing.body = [f"\t{line}\n" for line in (*body, *ways[0], *ways[1])]
    return drawing


# --- where cards stand ----------------------------------------------------------------------------


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


def leaves_of(sides: dict[int, int]) -> dict[int, list[int]]:
    """Op -> the leaves that stand beside it."""
    found: dict[int, list[int]] = {}
    for leaf, op in sides.items():
        found.setdefault(op, []).append(leaf)
    return found


def in_line(cards: list[Card]) -> set[int]:
    """The cards that stand in line: from the last one up."""
    spine = set()
    at: int | None = len(cards) - 1
    while at is not None:
        spine.add(at)
        at = cards[at].spine
    return spine


def nodes(
    cards: list[Card], sides: dict[int, int], spine: set[int], scopes: list[str], down: bool
) -> tuple[list[str], dict[str, list[str]]]:
    """What arrows call each card, and for each scope its lines of DOT."""
    at = [f"n{i}" for i in range(len(cards))]
    labels = [card_label(card, i, len(cards) <= HEAT_LIMIT) for i, card in enumerate(cards)]
    groups: dict[str, list[str]] = {"": []}

    def node(i: int, more: str = "") -> str:
        return f'n{i} [id="n-{i}"{more} label=<{labels[i]}>]'

    for op, leaves in leaves_of(sides).items():
        lines = groups.setdefault(scopes[leaves[0]], [])
        if len(leaves) > 1 and down:  # one node, else the arrows of one would run around the others
            rows = [
                f'<TR><TD PORT="n{i}" ID="n-{i}" TITLE="{escape(spoken(cards[i]))}">{labels[i]}'
                f"</TD></TR>"
                for i in leaves
            ]
            lines.append(
                f's{op} [label=<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="8" CELLPADDING="0">'
                f"{''.join(rows)}</TABLE>>]"
            )
            names = [f"s{op}"]
            for i in leaves:
                at[i] = f"s{op}:n{i}"
        else:
            lines += map(node, leaves)
            names = [at[i] for i in leaves]
        if scopes[leaves[0]] == scopes[op]:  # in its group: else a layer's weights drift off
            lines.append(f"{{rank=same; {'; '.join(names)}; n{op}}}")
    for i in range(len(cards)):
        if i not in sides:
            groups.setdefault(scopes[i], []).append(node(i, ' group="spine"' * (i in spine)))
    return at, groups


# --- arrows ---------------------------------------------------------------------------------------


def forward(
    cards: list[Card],
    sides: dict[int, int],
    spine: set[int],
    at: list[str],
    scopes: list[str],
    down: bool,
) -> Iterator[str]:
    """Arrows of the forward pass, and between the uses of a parameter."""
    previous: dict[int, int] = {}
    groups = leaves_of(sides)
    for i, card in enumerate(cards):
        for p in card.parents:
            start, end, more = at[p], at[i], ""
            if sides.get(p) != i:
                more = " weight=50" * (p == card.spine and i in spine)
            elif down:
                start, end = f"{start}:e", f"{end}:w"
            else:
                # Which of two cards in one rank lies above is for the direction of the arrow to
                # say: one way in a group, the other way outside of any.
                above = len(groups[i]) > 1 and p == groups[i][0]
                start, end = f"{start}:{'ns'[above]}", f"{end}:{'sn'[above]}"
                if above == bool(scopes[p]):
                    start, end, more = end, start, " dir=back"
            yield f'{start} -> {end} [id="f-{p}-{i}" class="fwd"{more}]'
        if card.same is not None:  # a chain of the uses, or they would tangle
            p = previous.get(card.same, card.same)
            previous[card.same] = i
            yield f'{at[p]} -> {at[i]} [id="l-{p}-{i}" class="same" {CHAIN}]'


def backward(cards: list[Card], sides: dict[int, int], at: list[str], down: bool) -> Iterator[str]:
    """Arrows of the backward pass, which have no say in the layout."""
    groups = leaves_of(sides)
    for i, card in reversed(list(enumerate(cards))):
        ports = {row.parent: f":r{k}" for k, row in enumerate(card.backward)}
        for p in card.carries:
            start, end = ports.get(p, ""), ""
            if sides.get(p) == i:
                first, last = p == groups[i][0], p == groups[i][-1]
                start = f"{ports.get(p, ':b')}:w"
                end = ":w" if not down else ":s" if last else ":n" if first else ":w"
            elif p == card.spine:
                start, end = f"{ports.get(p, ':b')}:{'e' if down else 'w'}", ":e"
            yield f'n{i}{start} -> {at[p]}{end} [id="b-{i}-{p}" class="bwd" {BACKWARD}]'


def svg_ids(cards: list[Card], direction: str = "TB") -> dict[str, list[str]]:
    """What belongs to each line of the program in the SVG: name -> ids.

    Of a line of the forward pass its card (n-3; a_n-3 in a stack), header (a_h-3), numbers (a_v-3)
    and the arrows to it (f-1-3); of a gradient its numbers (a_g-1), the rows that compute it
    (a_r-3-0) and the arrows from them (b-3-1).
    """
    ids: dict[str, list[str]] = {}
    groups = leaves_of(sides_of(cards)).values() if direction == "TB" else ()
    stacked = {leaf for group in groups if len(group) > 1 for leaf in group}
    for k, card in enumerate(cards):
        letters = [letter for letter, *_ in card.arrays]
        shown = ids.setdefault(card.line, [])
        shown += ["a_" * (k in stacked) + f"n-{k}", f"a_h-{k}", *[f"a_v-{k}"] * ("v" in letters)]
        shown += [f"f-{p}-{k}" for p in card.parents]
        ids.setdefault(card.slope, []).extend(f"a_{s}-{k}" for s in letters if s != "v")
        for i, (parent, line, *_) in enumerate(card.backward):
            arrow = [] if parent is None else [f"b-{k}-{parent}"]
            ids.setdefault(line, []).extend([f"a_r-{k}-{i}", *arrow])
    ids.pop("", None)  # of numbers that are in no line
    return ids


# --- words ----------------------------------------------------------------------------------------


def title(cards: list[Card], notes: list[str], check: Any, whole: str) -> str:
    """Headline, what must be said, and the legend, as a table."""
    last = [card.name for card in cards if card.role in ("loss", "result")] or [cards[-1].name]
    gradients = any(card.gradient is not None or card.carries for card in cards)
    names = last if len(last) <= 5 else [*last[:4], f"{len(last) - 4} more"]
    head = ", ".join(names) + ", forward" * (len(last) == 1) + " and backward" * gradients
    said, causes = [whole or summary(cards)], []
    if check is not None:
        head, said = "Your backward pass, checked", [verdict(check), *filter(None, [whole])]
        for cause in check.causes[:3]:
            text = f"{cause.line}: " * bool(cause.line) + cause.text
            causes += textwrap.wrap(one_line(text, 300), 100)
    texts = [(head, paint.INK, 17, "B"), *((text, paint.MUTED, 11, "") for text in said)]
    texts += [(text, paint.FAULT, 11, "B") for text in causes]
    texts += [(note, paint.GRADIENT, 11, "B") for note in notes]
    rows = [row(font(text, color, size, tag=tag)) for text, color, size, tag in texts]
    rows.append(row(legend(cards, gradients), ' CELLPADDING="4"'))
    return (
        f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{"".join(rows)}</TABLE>'
    )


def legend(cards: list[Card], gradients: bool) -> str:
    """What the colours mean that are there."""
    roles = {card.role or "result" for card in cards}
    parts = [(role, *colors) for role, colors in HEADERS.items() if role in roles]
    parts.append(("→ forward", "", paint.MUTED))
    parts += [("← gradient", "", paint.GRADIENT)] * gradients
    if any(card.value is not None for card in cards):
        parts += [
            (sign, paint.tint(v, 1.4), paint.ON_TINT) for sign, v in (("+", 1.0), ("-", -1.0))
        ]
        parts.append(("tint: sign and size", "", paint.MUTED))
    if any(card.status not in ("", "same") for card in cards):
        parts.append(("differs", paint.FAULT_GROUND, paint.FAULT))
    cells, whole = "", 0
    for text, ground, ink in parts:
        look = f' BGCOLOR="{ground}"' * bool(ground)
        look += f' BORDER="2" COLOR="{paint.FAULT}"' * (ink == paint.FAULT)
        wide = round(0.9 * text_width(text, 9)) + (10 if ground else 4)
        cells += cell(font(text, ink, 9, tag="B" * bool(ground)), wide, 15, look) + cell("", 4, 15)
        whole += wide + 4
    return table(f"<TR>{cells}</TR>", whole, 15).text


def verdict(check: Any) -> str:
    """What a comparison came to, in counts."""
    states = [mark.status for mark in check.marks.values() if mark.truth is not None]
    wrong, right = len(states) - states.count("same"), states.count("same")
    parts = [f"{counted(len(states), 'gradient')}: {right} match" + "es" * (right == 1)]
    if wrong:
        parts += [f"{wrong} differ" + "s" * (wrong == 1)]
        parts += [counted(len(check.causes), "cause")] * bool(check.causes)
        unknown = states.count("unknown")
        parts += [f"cause of {unknown} unknown"] * bool(unknown)
        parts += [] if check.causes else [f"begin with {check.where}"]
    return ", ".join(parts)


def summary(cards: list[Card]) -> str:
    """How large the graph is, in words."""
    made = sum(bool(card.parents) for card in cards)
    parameters = sum(card.role == "parameter" and card.same is None for card in cards)
    return f"{counted(made, 'line')}, {counted(parameters, 'parameter')}"


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


def alt_text(cards: list[Card], notes: list[str], whole: str) -> str:
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
