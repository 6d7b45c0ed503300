"""The lines of a derived program as cards: one for each line of the forward pass and each input.

A card holds the lines of the backward pass that carry its gradient on to what it was made from.
Where a value is used on several cards, each of them holds its term of the sum.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import graph
from .arranging import WEIGHT, arranged_results
from .cards import Card, faults_of, spine_of
from .deriving import Program, derived
from .errors import GradientError
from .formatting import describe
from .printing import Derivation, Printer, is_parameter
from .sharing import Place, Rows, sizes_text
from .styling import one_line, size_text
from .values import Number, Value, clean, hints_of, reads

__all__ = ["line_cards"]

TARGETS = ("t", "labels")
"""What ops call the parameter that a prediction is compared with."""


def line_cards(
    results: list[Any],
    show: str = "auto",
    marks: Any = None,
    program: Program | None = None,
    *,
    longest: int = WEIGHT,
    large: bool = False,
) -> tuple[list[Card], list[str]]:
    """A graph as cards, and what must be said about all of them.

    Every number is computed afresh from what the inputs hold now, so that no card contradicts its
    formula, whatever has been written into ``.grad`` or into an array since.

    Parameters
    ----------
    results : list of Tensor
        Of several the forward pass is shown.
    show : {"auto", "grads", "values", "shapes"}
        "values" leaves the backward pass out, "shapes" the numbers; "auto" is "grads" if a
        backward pass has been run, else "values".
    marks : mapping, optional
        Name of a gradient -> what a comparison says of it.
    program : Program, optional
        What was derived from the result, if it has been already.
    longest : int
        So many ops stand in one line at most.
    large : bool
        Show what was recorded, and gradients without the lines that make them: a derivation of very
        many ops takes seconds.

    Returns
    -------
    list of Card, list of str
    """
    why = without_gradient(results)
    show, notes = shown(results, show, why)
    with np.errstate(all="ignore"):  # what comes of it is marked on the cards
        if program is None and not large:
            try:
                program = (
                    Program(arranged_results(results, longest))
                    if why
                    else derived(results[0], longest=longest)
                )
            except GradientError as error:  # a rule that cannot be run on Tensors
                notes.append(one_line(f"the backward pass is not written out: {error}", 200))
        if program is None:
            d, arrays = recorded(results, show, notes, longest)
            return cards_of(d, show, marks or {}, lambda _: arrays), notes
        d = program._derivation
        cards = cards_of(d, show, marks or {}, functools.partial(arrays_of, program))
        return cards, notes + overwritten(results[-1], d.loss, cards)


def recorded(
    results: list[Any], show: str, notes: list[str], longest: int
) -> tuple[Derivation, dict[Any, Any]]:
    """The forward pass with the numbers that are there, and the gradients of one backward pass."""
    d = arranged_results(results, longest)
    nodes = {str(v.name): v.node for v in (*d.inputs, *d.lines)}
    arrays = {name: getattr(node, "_data", node) for name, node in nodes.items()}
    gradients: dict[str, Value] = {}
    if show == "grads":
        wanted = {n: node for n, node in nodes.items() if getattr(node, "requires_grad", False)}
        try:
            seed = np.ones_like(results[0]._data)
            found = graph.backward_pass(results[0], seed, wanted.values())
        except GradientError as error:
            notes.append(one_line(f"no gradient: {error}", 200))
            found = {}
        for name, node in wanted.items():
            if node in found:
                gradients[name] = Value(None, (), {}, found[node])
                gradients[name].name, gradients[name].of = f"d{name}", name
                arrays[f"d{name}"] = found[node]
    return d._replace(gradients=gradients), arrays


def without_gradient(results: list[Any]) -> str:
    """Why there is no backward pass, if there is none."""
    if len(results) > 1:
        return "no gradient: there are several results"
    if results[0].op is None or not results[0].requires_grad:
        return "no gradient: nothing requires one, or it was computed under no_grad"
    if results[0]._data.size != 1:
        return f"no gradient: {describe(results[0])} is no scalar"
    return ""


def shown(results: list[Any], show: str, why: str) -> tuple[str, list[str]]:
    """What is shown, and why no gradient is."""
    if show == "auto":
        if not why and all(node.grad is None for node in reached(results[0])):
            why = "no gradient yet: call backward()"
        show = "grads"
    if why and show == "grads":
        return "values", [why] * (len(results) == 1)  # who asks for several knows that
    return show, []


def reached(loss: Any) -> Iterator[Any]:
    """The nodes that a backward pass would reach."""
    yield loss
    for node in graph.toposort(loss):
        yield from (node.args[i] for i in node.needs)


def cards_of(
    d: Derivation, show: str, marks: Any, numbers: Callable[["Rows"], dict[Any, Any]]
) -> list[Card]:
    """The cards of a derivation."""
    places = places_of(d)
    printer = Printer()
    text = {str(v.name): printer.definition(v)[0] for v in d.lines}
    rows = Rows(d, places, text, show != "values")
    arrays = {} if show == "shapes" else numbers(rows)
    spine = spine_of([p.parents for p in places], [is_parameter(p.value) for p in places])
    roles = roles_of(d, places, spine)
    cards = []
    for i, (value, above, same) in enumerate(places):
        name, slope = str(value.name), rows.slopes[i]
        card = Card(
            name=name,
            shape=size_text(value.shape),
            role=roles[i],
            formula=text.get(name, ""),
            comment=sizes_text(value) if value.op else "",
            gradient=gradient_of(i, rows, arrays),
            parents=above,
            spine=spine[i],
            carries=tuple(dict.fromkeys(rows.carries[i])),
            backward=tuple(rows.on[i]),
            line=name,
            slope=str(slope.name) if isinstance(slope, Value) else "",
            caption=caption_of(name, slope),
            same=same,
        )
        if value is d.loss and show == "grads" and d.gradients:
            card = card._replace(gradient=np.ones_like(arrays[name]), slope=f"d{name}")
        if same is None:
            card = card._replace(
                value=arrays.get(name),
                scope="" if roles[i] in ("input", "target") else scope_of(value),
                uses=len(rows.users[i]),
                notes=tuple(notes_of(rows, i, show == "grads")),
                mark=marks.get(f"d{name}"),
            )
        faults = (*faults_of(name, card.value), *faults_of(f"d{name}", card.gradient))
        cards.append(card._replace(faults=faults))
    return cards


# --- which cards there are ------------------------------------------------------------------------


def places_of(d: Derivation) -> list[Place]:
    """A place for every line of the forward pass, and before it for what it is the first to read.

    A parameter that another line has read gets a chip as well, beside this one.
    """
    places: list[Place] = []
    at: dict[int, int] = {}
    read: set[int] = set()  # by the backward pass alone, for its shape
    for v in d.lines:
        if v.backward:
            read.update(map(id, reads(v)))
            continue
        above = []
        for r in reads(v):
            first = at.get(id(r))
            if first is None or (r.op is None and is_parameter(r)):
                at.setdefault(id(r), len(places))
                above.append(len(places))
                places.append(Place(r, same=first))
            else:
                above.append(first)
        at[id(v)] = len(places)
        places.append(Place(v, tuple(above)))
    read.update(at)
    return places + [Place(v) for v in d.inputs if id(v) not in read]  # results that are leaves


def roles_of(d: Derivation, places: list[Place], spine: list[int | None]) -> list[str]:
    """What each card is, in a word; '' for a result on the way."""
    start = len(places) - 1
    while (above := spine[start]) is not None:
        start = above
    used = {p for place in places for p in place.parents}
    targets = {id(v) for place in places if place.parents for v in targets_of(place.value)}
    roles = []
    for i, (v, _, _) in enumerate(places):
        if v.op is not None:
            last = "loss" if d.gradients or not v.shape else "result"
            roles.append("" if i in used else last)
        elif is_parameter(v):
            roles.append("parameter")
        elif id(v) in targets:
            roles.append("target")
        else:
            inner = v.unnamed and (i != start or v.dtype.kind != "f")
            roles.append("constant" if inner else "input")
    return roles


def inside(v: Value) -> Iterator[Value]:
    """The ops that stand together in the line of `v`, last first."""
    stack = [v]
    while stack:
        yield (u := stack.pop())
        stack += [a for a in u.args if isinstance(a, Value) and a.name is None]


def scope_of(v: Value) -> str:
    """The group that a line stands in: that of its last op, or of one before that in the line."""
    return next((one_line(u.node.scope) for u in inside(v) if getattr(u.node, "scope", None)), "")


def targets_of(v: Value) -> Iterator[Value]:
    """What a prediction is compared with in the definition of `v`."""
    for u in inside(v):
        named_args = zip(u.args, hints_of(u.op))
        yield from (a for a, hint in named_args if hint in TARGETS and isinstance(a, Value))


# --- numbers --------------------------------------------------------------------------------------


def arrays_of(program: Program, rows: Rows) -> dict[Any, Any]:
    """The arrays of inputs and lines by name, and of chips, by place, their terms of gradients."""
    extra: dict[int, Value] = {}  # terms have no lines of their own in the program
    for i, terms in rows.terms.items():
        if rows.places[i].same is not None:
            whole = functools.reduce(lambda a, b: Value(np.add, (a, b), {}, a), terms)
            extra[i] = Value(np.copy, (whole,), {}, whole)
            extra[i].name, extra[i].backward = f"term beside {i}", True
    if extra:
        program = Program(rows.d._replace(lines=[*rows.d.lines, *extra.values()]))
    arrays: dict[Any, Any] = dict(program.values())
    for i, v in extra.items():
        arrays[i] = np.broadcast_to(arrays[str(v.name)], rows.places[i].value.shape)
    return arrays


def gradient_of(i: int, rows: Rows, arrays: dict[Any, Any]) -> Any:
    """The array of a gradient, if it is shown; of a chip, its term."""
    (value, _, same), slope = rows.places[i], rows.slopes[i]
    if same is not None or slope is None or not arrays:
        return arrays.get(i)
    if isinstance(slope, Number):
        return np.full(value.shape, slope.number, value.dtype)
    return arrays[str(slope.name)]


def caption_of(name: str, slope: Any) -> str:
    """What stands above a gradient: dy; of another value with the same gradient, dF = dy."""
    if not isinstance(slope, Value):
        return f"d{name}"
    return str(slope.name) if slope.of == name else f"d{name} = {slope.name}"


def notes_of(rows: Rows, i: int, grads: bool) -> Iterator[str]:
    """What must be said about one card."""
    v = rows.places[i].value
    if v.node is not None and rows.users[i]:
        user = rows.places[rows.users[i][0]].value.node
        if user is not None and graph.changed_at(v.node) > user.index:
            yield "overwritten since it was used"
    if grads and v.op is None and is_parameter(v) and str(v.name) not in rows.d.gradients:
        yield "no gradient reaches it"


def overwritten(loss: Any, v: Value, cards: list[Card]) -> list[str]:
    """Whether the numbers are other ones than those that were recorded, in words."""
    new = next(card.value for card in cards if card.line == v.name)
    if new is None or np.allclose(loss._data, new, rtol=1e-5, atol=0, equal_nan=True):
        return []
    return [
        f"arrays were overwritten since {clean(v.name)} was computed: "
        f"all numbers here are computed afresh from what they hold now"
    ]
