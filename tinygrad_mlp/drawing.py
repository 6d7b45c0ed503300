"""The graph as a picture: cards with the numbers of the forward and the backward pass.

The graph is read into `Card`s, plain data that hold every word and number of the picture, a line of
the derived program each (`linewise`). They are folded if there are many (`folding`), and written as
DOT (`charting`).
"""

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any

from .arranging import WEIGHT, everything
from .cards import Card
from .charting import cause_text, summary, to_dot
from .errors import RenderError
from .folding import fold
from .formatting import describe
from .graph import Node
from .linewise import line_cards
from .styling import one_line

if TYPE_CHECKING:
    from .rendering import Drawing

__all__ = ["checkable", "draw", "told_at", "with_causes"]

LIMIT = 500
"""So many cards are drawn; their layout takes seconds, and grows faster than their number."""

MANY = 40
"""A graph of more cards is folded, unless a level is asked for."""

DERIVED = 1500
"""A graph of more ops is folded op by op, without the lines of its backward pass, in no time."""

OPTIONS = {
    "level": ("auto", "op", "line", "layer"),
    "direction": ("TB", "LR"),
    "show": ("auto", "grads", "values", "shapes"),
}


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
    for option, value in (("level", level), ("direction", direction), ("show", show)):
        if value not in OPTIONS[option]:
            known = ", ".join(map(repr, OPTIONS[option]))
            raise RenderError(f"draw({option}={value!r}): use one of {known}.")
    if expand is not None and level not in ("auto", "layer"):
        raise RenderError(
            f"draw(expand=..., level={level!r}): what is folded can be opened; use level='layer'."
        )
    results = list(loss) if isinstance(loss, (list, tuple)) else [loss]
    for result in results or [loss]:
        if not isinstance(result, Node):
            raise RenderError(
                f"draw: a Tensor is drawn, usually the loss, not {describe(result)[:60]}."
            )
    nodes = len(everything(results))
    if nodes > {"op": LIMIT, "line": LIMIT * WEIGHT}.get(level, nodes):
        raise too_large(results[-1], nodes, "ops")
    marks, causes = {}, []
    if check is not None:
        checkable("draw", results, check)
        marks, causes = check.marks, check.causes
        show = "grads" if show == "auto" else show
    large = nodes > DERIVED and level != "line" and check is None
    longest = 1 if level == "op" or large else WEIGHT
    cards, notes = line_cards(results, show, marks, longest=longest, large=large)
    cards, whole = with_causes(cards, causes), ""
    if level == "layer" or expand is not None or (level == "auto" and len(cards) > MANY):
        whole = summary(cards)
        cards, note = fold(cards, parts_of(expand, cards))
        if level == "layer" and not note:
            note = 'nothing repeats and nothing has a name: with scope("block 1"): ... gives one'
        whole = "; ".join(filter(None, (whole, note)))
    if len(cards) > LIMIT:
        raise too_large(results[-1], len(cards), "cards after folding" if whole else "cards")
    return to_dot(cards, notes, direction, check, whole)


def checkable(call: str, results: list[Any], check: Any) -> None:
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
    wrong = [card.name for card in cards if card.status in ("wrong", "unknown")]
    return names + (caused or wrong[-1:])


def with_causes(cards: list[Card], causes: Sequence[Any]) -> list[Card]:
    """The cards, each cause on the card of the gradient that it is in the formula of."""
    found = list(cards)
    whole = [(k, card) for k, card in reversed(list(enumerate(cards))) if card.same is None]
    at = {card.line: k for k, card in whole} | {card.slope: k for k, card in whole}
    for cause in causes:
        for name in told_at(cause, at)[:1]:
            said = [cause_text(cause)]
            said += [f"yours: {cause.yours}"] * bool(cause.yours)
            said += [f"autograd: {cause.autograd}"] * bool(cause.autograd)
            card = found[at[name]]
            found[at[name]] = card._replace(cause=(*card.cause, *said))
    return found


def told_at(cause: Any, known: Container[str]) -> list[str]:
    """The lines that a cause is in, of those that are known; else the gradients it explains."""
    lines = [text.partition(" = ")[0] for text in (cause.autograd, cause.yours) if text]
    return [n for n in lines if n in known] or [n for n in cause.gradients if n in known]


def too_large(loss: Node, n: int, what: str) -> RenderError:
    """The error for a graph that a picture would be no help with."""
    way = "Fold it with level='layer', or"
    if what.endswith("folding"):
        way = "Name its parts, with scope('block 1'): ..., so that like ones are folded, or"
    return RenderError(
        f"draw: the graph of {describe(loss)} has {n:,} {what}; at most {LIMIT} cards are drawn. "
        f"{way} draw a part of it, draw(h) of an early result h."
    )
