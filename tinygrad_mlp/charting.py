"""Cards as a picture: which stands where, the arrows between them, and what is said above them."""

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import paint
from .cards import HEADERS, Card, card_label, findings, named_part
from .styling import one_line, text_width
from .tables import cell, font, row, table

if TYPE_CHECKING:
    from .rendering import Drawing

__all__ = ["cause_text", "summary", "svg_ids", "to_dot"]

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
    detail: str = "",
) -> "Drawing":
    """The picture of the cards; of folded ones, `whole` says what they were before.

    `detail` is that of arrays: "all", "cells", "figures"; it depends on the number of cards.
    """
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
    layout = Layout(cards, down)
    groups = layout.nodes(detail or ("all" if len(cards) <= HEAT_LIMIT else "cells"))
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
    drawing.body = [f"\t{line}\n" for line in (*body, *layout.forward(), *layout.backward())]
    return drawing


class Layout:
    """Where cards stand: in line from the last one up, parameters and other leaves beside it."""

    def __init__(self, cards: list[Card], down: bool) -> None:
        self.cards, self.down = cards, down
        self.sides: dict[int, int] = {}  # leaf -> the first that uses it, unless that is below it
        placed = set()
        for i, card in enumerate(cards):
            for p in card.parents:
                if p not in placed and p != card.spine and not cards[p].parents:
                    self.sides[p] = i
                placed.add(p)
        self.leaves: dict[int, list[int]] = {}  # op -> the leaves that stand beside it
        for leaf, op in self.sides.items():
            self.leaves.setdefault(op, []).append(leaf)
        self.scopes = [
            card.scope or cards[self.sides.get(i, i)].scope for i, card in enumerate(cards)
        ]
        self.spine = set()
        at: int | None = len(cards) - 1
        while at is not None:
            self.spine.add(at)
            at = cards[at].spine
        self.stacked = {  # in one node, else the arrows of one would run around the others
            leaf: op
            for op, leaves in self.leaves.items()
            for leaf in leaves
            if down and len(leaves) > 1
        }
        self.at = [
            f"s{self.stacked[i]}:n{i}" if i in self.stacked else f"n{i}" for i in range(len(cards))
        ]

    def nodes(self, detail: str) -> dict[str, list[str]]:
        """For each scope its lines of DOT."""
        labels = [card_label(card, i, detail) for i, card in enumerate(self.cards)]
        groups: dict[str, list[str]] = {"": []}

        def node(i: int, more: str = "") -> str:
            return f'n{i} [id="n-{i}"{more} label=<{labels[i]}>]'

        for op, leaves in self.leaves.items():
            lines = groups.setdefault(self.scopes[leaves[0]], [])
            if leaves[0] in self.stacked:
                names = [f"s{op}"]
                rows = [
                    f'<TR><TD PORT="n{i}"{named_part("n", i, title=spoken(self.cards[i]))}>'
                    f"{labels[i]}</TD></TR>"
                    for i in leaves
                ]
                look = 'BORDER="0" CELLBORDER="0" CELLSPACING="8" CELLPADDING="0"'
                lines.append(f"s{op} [label=<<TABLE {look}>{''.join(rows)}</TABLE>>]")
            else:
                names = [self.at[i] for i in leaves]
                lines += map(node, leaves)
            if self.scopes[leaves[0]] == self.scopes[op]:  # else a layer's weights drift off
                lines.append(f"{{rank=same; {'; '.join(names)}; n{op}}}")
        for i, scope in enumerate(self.scopes):
            if i not in self.sides:
                groups.setdefault(scope, []).append(node(i, ' group="spine"' * (i in self.spine)))
        return groups

    def forward(self) -> Iterator[str]:
        """Arrows of the forward pass, and between the uses of a parameter."""
        previous: dict[int, int] = {}
        for i, card in enumerate(self.cards):
            for p in card.parents:
                start, end, more = self.at[p], self.at[i], ""
                if self.sides.get(p) != i:
                    more = " weight=50" * (p == card.spine and i in self.spine)
                elif self.down:
                    start, end = f"{start}:e", f"{end}:w"
                else:
                    # Which of two cards in one rank lies above is for the direction of the arrow
                    # to say: one way in a group, the other way outside of any.
                    above = len(self.leaves[i]) > 1 and p == self.leaves[i][0]
                    start, end = f"{start}:{'ns'[above]}", f"{end}:{'sn'[above]}"
                    if above == bool(self.scopes[p]):
                        start, end, more = end, start, " dir=back"
                yield f'{start} -> {end} [id="f-{p}-{i}" class="fwd"{more}]'
            if card.same is not None:  # a chain of the uses, or they would tangle
                p = previous.get(card.same, card.same)
                previous[card.same] = i
                yield f'{self.at[p]} -> {self.at[i]} [id="l-{p}-{i}" class="same" {CHAIN}]'

    def backward(self) -> Iterator[str]:
        """Arrows of the backward pass, which have no say in the layout."""
        for i, card in reversed(list(enumerate(self.cards))):
            ports = {row.parent: f":r{k}" for k, row in enumerate(card.backward)}
            for p in card.carries:
                start, end = ports.get(p, ""), ""
                if self.sides.get(p) == i:
                    beside = self.leaves[i]
                    start = f"{ports.get(p, ':b')}:w"
                    end = ":s" if p == beside[-1] else ":n" if p == beside[0] else ":w"
                    end = end if self.down else ":w"
                elif p == card.spine:
                    start, end = f"{ports.get(p, ':b')}:{'e' if self.down else 'w'}", ":e"
                yield f'n{i}{start} -> {self.at[p]}{end} [id="b-{i}-{p}" class="bwd" {BACKWARD}]'


def svg_ids(cards: list[Card], direction: str = "TB") -> dict[str, list[str]]:
    """What belongs to each line of the program in the SVG: name -> ids.

    Of a line of the forward pass its card (n-3; a_n-3 in a stack), header (a_h-3), numbers (a_v-3)
    and the arrows to it (f-1-3); of a gradient its numbers (a_g-1), the rows that compute it
    (a_r-3-0) and the arrows from them (b-3-1).
    """
    ids: dict[str, list[str]] = {}
    stacked = Layout(cards, direction == "TB").stacked
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
            causes += textwrap.wrap(one_line(cause_text(cause), 300), 100)
    texts = [(head, paint.INK, 17, "B"), *((text, paint.MUTED, 11, "") for text in said)]
    texts += [(text, paint.FAULT, 11, "B") for text in causes]
    texts += [(note, paint.GRADIENT, 11, "B") for note in notes]
    rows = [row(font(text, color, size, tag=tag)) for text, color, size, tag in texts]
    rows.append(row(legend(cards, gradients), ' CELLPADDING="4"'))
    return (
        f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{"".join(rows)}</TABLE>'
    )


def cause_text(cause: Any) -> str:
    """What went wrong, and in which line of the person's file."""
    return f"{cause.line}: " * bool(cause.line) + str(cause.text)


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
