"""The graph as a picture: a card for every op and leaf, with its numbers.

First the graph is read into `Card`s, plain data that hold every word and number of the picture;
then the cards are written as DOT.
"""

import itertools
import operator
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import graph
from .cards import (
    CLASS,
    DATA,
    GRADIENT,
    GROUND,
    GROUP,
    HEADERS,
    INK,
    LINE,
    MUTED,
    ON_TINT,
    Card,
    card_label,
    clean,
    faults_of,
    font,
    row,
    size_text,
    style_sheet,
    tint,
)
from .errors import GradientError, RenderError, TinygradMLPError
from .formatting import SIGNS, describe, name_of
from .graph import Node
from .primitives import PRIMITIVES, Each, parameters_of

if TYPE_CHECKING:
    from .rendering import Drawing

__all__ = ["draw"]

LIMIT = 500
"""So many cards are drawn; their layout takes seconds, and grows faster than their number."""

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
    """Draw the graph that `loss` was computed by: every op and leaf, with value and gradient.

    Nothing is changed: no gradient, no name, no array. The gradients shown are those of one
    backward pass, computed afresh from the recorded values with a cotangent of 1 for `loss`; what
    earlier passes have added up in ``.grad`` is not shown.

    Parameters
    ----------
    loss : Tensor
        Usually a scalar; any other result is drawn without gradients, unless it retains its own.
    level : {"auto", "op"}
        A card per op.
    direction : {"TB", "LR"}
        From top to bottom, or from left to right.
    show : {"auto", "grads", "values", "shapes"}
        What the cards hold. "auto" is "grads" if a backward pass has been run, else "values".

    Returns
    -------
    Drawing
        A `graphviz.Digraph`. ``.write("net.svg")`` writes it (also .png, .pdf and .dot), a notebook
        shows it, ``.source`` is the DOT text.

    Raises
    ------
    RenderError
        If `loss` is no Tensor, the graph has more than 500 cards, or an option has no such value.
    TinygradMLPError
        For what cannot be drawn yet: `expand`, `check`, other levels.

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
    for option, value, default in (("expand", expand, None), ("check", check, None)):
        if value is not default:
            raise TinygradMLPError(f"draw({option}=...) is not available yet.")
    if level in ("line", "layer"):
        raise TinygradMLPError(f"draw(level={level!r}) is not available yet; 'op' is.")
    one_of("level", level, ("auto", "op"))
    one_of("direction", direction, ("TB", "LR"))
    one_of("show", show, ("auto", "grads", "values", "shapes"))
    if not isinstance(loss, Node):
        raise RenderError(f"draw: a Tensor is drawn, usually the loss, not {describe(loss)[:60]}.")
    cards, notes = cards_of(loss, show)
    return to_dot(cards, notes, direction)


def one_of(option: str, value: Any, known: Sequence[str]) -> None:
    """Raise if an option has no such value."""
    if value not in known:
        raise RenderError(f"draw({option}={value!r}): use one of {', '.join(map(repr, known))}.")


# --- reading the graph ----------------------------------------------------------------------------


def cards_of(root: Node, show: str) -> tuple[list[Card], list[str]]:
    """The graph of `root` as cards in the order of creation, and what must be said about it."""
    nodes = ancestors(root)
    items, parents = with_arrays(nodes)
    if len(items) > LIMIT:
        raise RenderError(
            f"draw: the graph of {describe(root)} has {len(items):,} cards; at most {LIMIT} are "
            f"drawn. Draw a part of it, draw(h) of an early result h, or a net with fewer layers."
        )
    spine = spine_of(items, parents)
    roles = roles_of(items, parents, spine)
    names = names_of(items, roles)
    gradients, notes = gradients_of(root, nodes, show)
    uses = Counter(p for group in parents for p in group)
    first_use: dict[int, int] = {}
    for i, group in enumerate(parents):
        for p in group:
            first_use.setdefault(p, items[i].index)
    name_at = {id(item): name for item, name in zip(items, names)}
    cards = []
    for i, item in enumerate(items):
        node = item if isinstance(item, Node) else CONSTANT
        data = item._data if isinstance(item, Node) else item
        gradient = gradients.get(node)
        said = []
        if graph.changed_at(item) > first_use.get(i, node.index):
            said.append("overwritten since it was used")
        if gradients and node.requires_grad and gradient is None:
            said.append("no gradient reaches it")
        value = None if show == "shapes" else data
        formula, comment = formula_of(node, name_at)
        card = Card(
            name=names[i],
            shape=size_text(data.shape),
            role=roles[i],
            scope=clean(node.scope or ""),
            uses=uses[i],
            formula=formula,
            comment=comment,
            value=value,
            gradient=gradient,
            parents=tuple(dict.fromkeys(parents[i])),
            spine=spine[i],
            carries=carried(node, parents[i], gradients),
            notes=tuple(said),
            faults=(*faults_of(names[i], value), *faults_of(f"d{names[i]}", gradient)),
        )
        cards.append(card)
    return cards, [clean(note, 200) for note in notes]


class Constant:
    """What a plain array has in place of a node."""

    op = scope = name = None
    args = needs = ()
    requires_grad = False
    index = 0


CONSTANT: Any = Constant()


def ancestors(root: Node) -> list[Node]:
    """`root` and all it was computed from, in the order of creation."""
    seen = {root}
    found = [root]
    for node in found:  # grows while it is walked
        fresh = [p for p in graph.parents(node) if p not in seen]
        fresh = list(dict.fromkeys(fresh))
        seen.update(fresh)
        found += fresh
    return sorted(found, key=graph.by_index)


def operands(node: Node) -> Iterator[tuple[int, Any]]:
    """The nodes and arrays that an op was called with, each with its position."""
    for i, a in enumerate(node.args):
        for b in a if isinstance(a, (list, tuple)) else (a,):
            if isinstance(b, Node) or (isinstance(getattr(b, "shape", 0), tuple) and b.shape):
                yield i, b


def with_arrays(nodes: list[Node]) -> tuple[list[Any], list[list[int]]]:
    """What gets a card, and its parents: the nodes, and plain arrays before their first use."""
    items: list[Any] = []
    parents: list[list[int]] = []
    number: dict[int, int] = {}
    for node in nodes:
        used = []
        for _, a in operands(node):
            if id(a) not in number:  # a plain array: the nodes among the operands came before
                number[id(a)] = len(items)
                items.append(a)
                parents.append([])
            used.append(number[id(a)])
        number[id(node)] = len(items)
        items.append(node)
        parents.append(used)
    return items, parents


def spine_of(items: list[Any], parents: list[list[int]]) -> list[int | None]:
    """For each card the parent that it stands below; the other parents stand beside it.

    The one at the end of the longest way, so that a block stands in line and what skips it goes
    around; among leaves a Tensor that needs no gradient, the data that come in, else the first.
    """
    spine: list[int | None] = []
    depth: list[int] = []
    for group in parents:
        data_first = sorted(group, key=lambda p: getattr(items[p], "requires_grad", True))
        above = max(data_first, key=depth.__getitem__, default=None)
        spine.append(above)
        depth.append(0 if above is None else depth[above] + 1)
    return spine


def roles_of(items: list[Any], parents: list[list[int]], spine: list[int | None]) -> list[str]:
    """What each card is, in a word; '' for a result on the way."""
    last = len(items) - 1
    start = last
    while (above := spine[start]) is not None:
        start = above
    targets = set()
    for i, group in enumerate(parents):
        for (position, _), p in zip(operands(items[i]) if group else (), group):
            if parameter_name(items[i].op, position) in TARGETS:
                targets.add(p)
    roles = []
    for i, item in enumerate(items):
        if parents[i]:
            role = "" if i < last else "loss" if item._data.size == 1 else "result"
        elif getattr(item, "requires_grad", False):
            role = "parameter"
        elif i in targets:
            role = "target"
        else:
            data = getattr(item, "name", None) or (i == start and item.dtype.kind == "f")
            role = "input" if data else "constant"
        roles.append(role)
    return roles


TARGETS = ("t", "labels")
"""What ops call the parameter that a prediction is compared with."""


def parameter_name(op: Any, position: int) -> str:
    """What `op` calls its argument, as far as its rules say."""
    rules = PRIMITIVES.get(op) or ()
    if isinstance(rules, Each) or not any(rules):
        return ""
    names = parameters_of(op)[0]
    return names[position] if position < len(names) else ""


def gradients_of(root: Node, nodes: list[Node], show: str) -> tuple[dict[Any, Any], list[str]]:
    """The gradients to show, of one backward pass; without any, the reason."""
    if show in ("values", "shapes"):
        return {}, []
    if root.op is None:
        return {}, ["a leaf: nothing here requires a gradient, or it was computed under no_grad"]
    if not root.requires_grad:
        return {}, ["no gradient: nothing here requires one"]
    if show == "auto" and all(node.grad is None for node in nodes):
        return {}, ["no gradient yet: call backward()"]
    data = root._data
    if data.size == 1:
        seed = np.ones_like(data)
    elif root.retains_grad and root.grad is not None:
        seed = root.grad
    else:
        return {}, [f"no gradient: {describe(root)} is no scalar, and retains none of its own"]
    wanted = [node for node in nodes if node.requires_grad]
    try:
        with np.errstate(all="ignore"):  # what comes of it is marked on the cards
            return graph.backward_pass(root, seed, wanted), []
    except GradientError as error:
        return {}, [f"no gradient: {error}"]


def carried(node: Any, group: list[int], gradients: dict[Any, Any]) -> tuple[int, ...]:
    """The parents that a backward pass carries the cotangent of `node` to."""
    if node not in gradients:
        return ()
    used = zip(operands(node), group)
    return tuple(
        dict.fromkeys(
            p for (i, a), p in used if i in node.needs and isinstance(a, Node) and a in gradients
        )
    )


def names_of(items: list[Any], roles: list[str]) -> list[str]:
    """A name of its own for everything: the one it was given, else one from its op or role."""
    taken = {
        name_of(getattr(item, "op", None)) for item in items
    }  # exp1 = np.exp(x), not exp = ...
    numbers: dict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))

    def fresh(base: str, joint: str) -> str:
        if base in taken:
            base = next(s for k in numbers[base] if (s := f"{base}{joint}{k}") not in taken)
        taken.add(base)
        return base

    names = [clean(getattr(item, "name", None) or "") for item in items]
    names = [name and fresh(name, "_") for name in names]
    return [
        name or fresh(default_name(item, role), "") for name, item, role in zip(names, items, roles)
    ]


def default_name(item: Any, role: str) -> str:
    """What to call something that was given no name."""
    if role in DEFAULT_NAMES:
        return DEFAULT_NAMES[role]
    layer = re.fullmatch(r"layer (\d+)", item.scope or "")
    if item.op is np.matmul and layer:
        return f"M[{int(layer[1]) + 1}]"  # of Z[i+1] = A[i] @ W[i] + B[i]
    return name_of(item.op)


DEFAULT_NAMES = {"loss": "loss", "result": "result", "target": "t", "input": "x"}
DEFAULT_NAMES |= {"parameter": "p", "constant": "c"}


def formula_of(node: Any, name_at: dict[int, str]) -> tuple[str, str]:
    """How a result was made, written as NumPy, and the shapes that went in; '' for a leaf.

    The shapes are left out where they are those of the result.
    """
    op = node.op
    if op is None:
        return "", ""
    name = name_of(op)
    of_numpy = getattr(np, name, None) is op
    texts = []
    for i, a in enumerate(node.args):
        word = parameter_name(op, i)
        texts.append(f"{word}=" * (word in WORDED) + argument_text(a, name_at))
    sizes = [size_text(a.shape) for _, a in operands(node)]
    if op is not np.matmul and len({*sizes, *[size_text(node._data.shape)][len(sizes) > 1 :]}) == 1:
        sizes = []
    sizes_text = ", ".join(sizes)
    if of_numpy and name in SIGNS and len(texts) == 2:
        sign = f" {SIGNS[name]} "
        return sign.join(texts), sign.join(sizes) if len(sizes) == 2 else ""
    if op is np.negative:
        return f"-{texts[0]}", ""
    if op is operator.getitem:
        return f"{texts[0]}[{', '.join(texts[1:]) or '()'}]", sizes_text
    if op is np.transpose and node.args[1:] in ((), (None,)):
        return f"{texts[0]}.T", sizes_text
    if isinstance(PRIMITIVES.get(op), Each):
        texts = [f"[{', '.join(texts)}]"]
    texts += [f"{k}={argument_text(v, name_at)}" for k, v in node.kwargs.items()]
    texts = [text for text in texts if text != "axis=None"]
    return f"{'np.' * of_numpy}{name}({', '.join(texts)})", sizes_text


WORDED = ("axis", "reduction")
"""Arguments that are written with their name."""


def argument_text(a: Any, name_at: dict[int, str]) -> str:
    """An argument of an op as it would be written."""
    if id(a) in name_at:
        return name_at[id(a)]
    if isinstance(a, tuple):
        inner = ", ".join(argument_text(b, name_at) for b in a)
        return f"({inner},)" if len(a) == 1 else f"({inner})"
    if isinstance(a, list):
        return f"[{', '.join(argument_text(b, name_at) for b in a)}]"
    if isinstance(a, slice):
        start, stop, step = ("" if b is None else str(b) for b in (a.start, a.stop, a.step))
        return f"{start}:{stop}" + (f":{step}" if step else "")
    if isinstance(a, np.dtype | type):
        return np.dtype(a).name
    if a is Ellipsis:
        return "..."
    text = str(a) if hasattr(a, "dtype") else repr(a)
    return f"({text})" if text.startswith("-") else text


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


def to_dot(cards: list[Card], notes: list[str], direction: str) -> "Drawing":
    """The picture of the cards."""
    from .rendering import Drawing  # graphviz takes longer to load than all of ours

    down = direction == "TB"
    drawing = Drawing(
        graph_attr={
            **GRAPH,
            "rankdir": direction,
            "nodesep": "0.35" if down else "0.45",
            "label": f"<{title(cards, notes)}>",
        },
        node_attr={"shape": "plain", "fontname": "Helvetica"},
        edge_attr={"color": DATA, "penwidth": "1.4", "arrowsize": "0.7"},
    )
    drawing.style = style_sheet()
    drawing.listing = listing(cards, notes)
    sides = sides_of(cards)
    scopes = [card.scope for card in cards]
    for leaf, op in sides.items():
        scopes[leaf] = scopes[leaf] or scopes[op]
    spine = spine_below(cards)
    heat = len(cards) <= HEAT_LIMIT
    groups: dict[str, list[str]] = {"": []}
    levels: dict[int, list[str]] = {}
    for i, card in enumerate(cards):
        group = ' group="spine"' if i in spine else ""
        groups.setdefault(scopes[i], []).append(
            f'n{i} [id="n{i}"{group} label=<{card_label(card, heat)}>]'
        )
        if i in sides and scopes[i] == scopes[sides[i]]:
            levels.setdefault(sides[i], []).append(f"n{i}")
    for op, leaves in levels.items():  # in their group: else a layer's weights drift off one rank
        groups[scopes[op]].append(f"{{rank=same; {'; '.join(leaves)}; n{op}}}")
    body = [f"\t{line}\n" for line in groups.pop("")]
    for k, (scope, lines) in enumerate(groups.items()):
        label = font(scope, MUTED, 12, tag="B")
        body.append(
            f'\tsubgraph cluster_{k} {{\n\t\tgraph [id="c{k}" style="rounded,filled" '
            f'fillcolor="{GROUP}" color="{LINE}" margin="14" labeljust="l" label=<{label}>]\n'
        )
        body += [f"\t\t{line}\n" for line in lines]
        body.append("\t}\n")
    body += [f"\t{line}\n" for line in edges(cards, sides, spine, down)]
    drawing.body = body
    return drawing


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


def edges(cards: list[Card], sides: dict[int, int], spine: set[int], down: bool) -> Iterator[str]:
    """Arrows of the forward pass, then of the backward pass, which have no say in the layout."""
    into, out = (":e", ":w") if down else (":n", ":s")
    for i, card in enumerate(cards):
        for p in card.parents:
            start, end = f"n{p}", f"n{i}"
            more = ""
            if sides.get(p) == i and not down and not cards[p].scope:
                start, end, more = (
                    end + out,
                    start + into,
                    " dir=back",
                )  # else it comes to lie above
            elif sides.get(p) == i:
                start, end = start + into, end + out
            elif p == card.spine and i in spine:
                more = " weight=50"
            yield f'{start} -> {end} [id="f-n{p}-n{i}" class="fwd"{more}]'
    for i, card in reversed(list(enumerate(cards))):
        ports = {p: f":r{k}" for k, (p, _, _) in enumerate(card.backward)}
        for p in card.carries:
            port = ports.get(p, ":b")
            if sides.get(p) == i:
                start, end = port + ":w", ":s" if down else ":w"
            elif p == card.spine:
                start, end = port + (":e" if down else ":w"), ":e"
            else:
                start, end = ports.get(p, ""), ""
            yield (
                f'n{i}{start} -> n{p}{end} [id="b-n{i}-n{p}" class="bwd" color="{GRADIENT}" '
                f'penwidth="1.5" style="dashed" constraint="false"]'
            )


def title(cards: list[Card], notes: list[str]) -> str:
    """Headline, what must be said, and the legend, as a table."""
    last = cards[-1]
    backward = any(card.gradient is not None for card in cards)
    head = f"{last.name}, forward{' and backward' if backward else ''}"
    rows = [row(font(head, INK, 17, tag="B")), row(font(summary(cards), MUTED, 11))]
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
    rows.append(
        row(
            f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="4" CELLPADDING="2">'
            f"<TR>{''.join(legend)}</TR></TABLE>"
        )
    )
    return (
        f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{"".join(rows)}</TABLE>'
    )


def summary(cards: list[Card]) -> str:
    """How large the graph is, in words."""
    ops = sum(bool(card.parents) for card in cards)
    parameters = [card for card in cards if card.role == "parameter"]
    parts = [counted(ops, "op"), counted(len(parameters), "parameter")]
    return ", ".join(parts)


def counted(n: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "op"), counted(2, "op")
    ('1 op', '2 ops')
    """
    return f"{n} {noun}{'s' * (n != 1)}"


def listing(cards: list[Card], notes: list[str]) -> str:
    """The cards as lines of text."""
    codes = [f"{card.name} = {card.formula}" if card.formula else card.name for card in cards]
    width = min(max(map(len, codes)), 60)
    lines = [
        f"{code:{width}}   # {'  '.join(filter(None, (card.shape, card.role, *card.faults)))}"
        for code, card in zip(codes, cards)
    ]
    return "\n".join(lines + notes)
