"""The lines of a derived program as cards: one for each line of the forward pass and each input.

A card holds the lines of the backward pass that carry its gradient on to what it was made from.
Where a value is used on several cards, each of them holds its term of the sum.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from . import graph
from .arranging import arranged_results
from .cards import Card, Row, faults_of, one_line, size_text, spine_of
from .deriving import Program, derive
from .errors import TinygradMLPError
from .formatting import describe
from .printing import Derivation, Printer, is_parameter
from .values import Number, Value, clean, hints_of, reads

__all__ = ["line_cards", "with_lines"]

TARGETS = ("t", "labels")
"""What ops call the parameter that a prediction is compared with."""


class Place(NamedTuple):
    """What a card shows, and where it comes from."""

    value: Value
    parents: tuple[int, ...] = ()
    same: int | None = None  # a chip: a later use of the parameter on that card


def line_cards(
    loss: Any, show: str = "auto", marks: Any = None, program: Program | None = None
) -> tuple[list[Card], list[str]]:
    """A graph as cards, and what must be said about all of them.

    Every number is computed afresh from what the inputs hold now, so that no card contradicts its
    formula, whatever has been written into ``.grad`` or into an array since.

    Parameters
    ----------
    loss : Tensor or list of Tensor
        Of several results the forward pass is shown.
    show : {"auto", "grads", "values", "shapes"}
        "values" leaves the backward pass out, "shapes" the numbers; "auto" is "grads" if a
        backward pass has been run, else "values".
    marks : mapping, optional
        Name of a gradient -> what a comparison says of it.
    program : Program, optional
        What was derived from `loss`, if it has been already.

    Returns
    -------
    list of Card, list of str
    """
    results = loss if isinstance(loss, list) else [loss]
    show, notes = shown(results, show)
    with np.errstate(all="ignore"):  # what comes of it is marked on the cards
        return cards_of(results, program or program_of(results), show, marks or {}, notes)


def program_of(results: list[Any]) -> Program:
    """The program of a loss; of what has no gradient, its forward pass alone."""
    if not without_gradient(results):
        return derive(results[0])
    return Program(arranged_results(results))


def without_gradient(results: list[Any]) -> str:
    """Why there is no backward pass, if there is none."""
    if len(results) > 1:
        return "no gradient: there are several results"
    if not results[0].requires_grad:
        return "no gradient: nothing here requires one"
    if results[0]._data.size != 1:
        return f"no gradient: {describe(results[0])} is no scalar"
    return ""


def cards_of(
    results: list[Any], program: Program, show: str, marks: Any, notes: list[str]
) -> tuple[list[Card], list[str]]:
    """The cards of a program."""
    d = program._derivation
    places = places_of(d)
    text = {row.name: row.text for row in program.lines}
    rows = Rows(d, places, text, show != "values")
    arrays, terms = arrays_of(program, rows, show)
    parents = [place.parents for place in places]
    late = [is_parameter(place.value) for place in places]
    spine = spine_of(parents, late)
    roles = roles_of(d, places, spine)
    cards = []
    for i, (value, above, same) in enumerate(places):
        name = str(value.name)
        slope = rows.slopes[i]
        array = None if same is not None else arrays.get(name)
        gradient = gradient_of(slope, value, arrays) if same is None else terms.get(i)
        last = value is d.loss and same is None
        if last and show == "grads" and d.gradients:
            gradient = np.ones_like(arrays[name])
        marked = marks.get(f"d{name}") if same is None else None
        said = [] if same is not None else notes_of(rows, i, show == "grads")
        card = Card(
            name=name,
            shape=size_text(value.shape),
            role=roles[i],
            scope="" if same is not None or roles[i] in ("input", "target") else scope_of(value),
            uses=len(rows.users[i]),
            formula=text.get(name, ""),
            comment=sizes_text(value) if value.op else "",
            value=array,
            gradient=gradient,
            parents=above,
            spine=spine[i],
            carries=tuple(dict.fromkeys(rows.carries[i])),
            backward=tuple(rows.on[i]),
            notes=tuple(said),
            faults=(*faults_of(name, array), *faults_of(f"d{name}", gradient)),
            line=name,
            slope=str(slope.name) if isinstance(slope, Value) else f"d{name}" if last else "",
            caption=caption_of(name, slope),
            total=rows.totals.get(i, ()),
            same=same,
            mark=marked,
        )
        cards.append(card)
    return cards, notes + overwritten(results[-1], d, arrays)


def shown(results: list[Any], show: str) -> tuple[str, list[str]]:
    """What is shown, and why no gradient is."""
    why = without_gradient(results)
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


def with_lines(cards: list[Card], loss: Any) -> list[Card]:
    """Cards of ops with the lines of the backward pass, where these speak of the same values."""
    try:
        with np.errstate(all="ignore"):
            program = derive(loss)
    except TinygradMLPError:  # then the picture does without
        return cards
    at = {card.name: k for k, card in enumerate(cards)}
    known = {*at, *(f"d{name}" for name in at)}
    users: dict[int, list[int]] = defaultdict(list)
    for k, card in enumerate(cards):
        for p in card.carries:
            users[p].append(k)
    found = list(cards)
    for line in program.lines:
        x = at.get(line.of, -1)
        if len(users[x]) == 1 and line.name == f"d{line.of}" and known.issuperset(line.args):
            (k,) = users[x]
            row = Row(x, line.name, f"{line.name} = {line.text}", size_text(line.shape))
            found[k] = found[k]._replace(backward=(*found[k].backward, row))
    return found


# --- which cards there are ------------------------------------------------------------------------


def places_of(d: Derivation) -> list[Place]:
    """A place for every line of the forward pass, and before it for what it is the first to read.

    A parameter that another line has read gets a chip as well, beside this one.
    """
    places: list[Place] = []
    at: dict[int, int] = {}
    for v in d.lines:
        if v.backward:
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
    return places


def roles_of(d: Derivation, places: list[Place], spine: list[int | None]) -> list[str]:
    """What each card is, in a word; '' for a result on the way."""
    start = len(places) - 1
    while (above := spine[start]) is not None:
        start = above
    ends = {*range(len(places))} - {p for place in places for p in place.parents}
    targets = {id(v) for place in places if place.parents for v in targets_of(place.value)}
    roles = []
    for i, (v, _, _) in enumerate(places):
        if v.op is not None:
            last = "loss" if d.gradients or not v.shape else "result"
            roles.append(last if i in ends else "")
        elif is_parameter(v):
            roles.append("parameter")
        elif id(v) in targets:
            roles.append("target")
        else:
            roles.append(
                "constant" if v.unnamed and (i != start or v.dtype.kind != "f") else "input"
            )
    return roles


def scope_of(v: Value) -> str:
    """The group that a line stands in: that of its last op, or of one before that in the line."""
    stack = [v]
    while stack:
        u = stack.pop()
        scope = getattr(u.node, "scope", None)
        if scope:
            return one_line(scope)
        stack += [a for a in u.args if isinstance(a, Value) and a.name is None]
    return ""


def targets_of(v: Value) -> Iterator[Value]:
    """What a prediction is compared with in the definition of `v`."""
    stack = [v]
    while stack:
        u = stack.pop()
        hints = hints_of(u.op)
        for i, a in enumerate(u.args):
            if isinstance(a, Value) and a.name is None:
                stack.append(a)
            elif isinstance(a, Value) and i < len(hints) and hints[i] in TARGETS:
                yield a


# --- the lines of the backward pass ---------------------------------------------------------------


class Rows:
    """Which card holds which line of the backward pass, or which term of it."""

    def __init__(
        self, d: Derivation, places: list[Place], text: dict[str, str], backward: bool
    ) -> None:
        self.d, self.places, self.text = d, places, text
        n = len(places)
        self.users: list[list[int]] = [[] for _ in range(n)]  # of the first card of each value
        self.seen_at: list[dict[int, int]] = [{} for _ in range(n)]  # user -> the card beside it
        for i, place in enumerate(places):
            for p in place.parents:
                main = places[p].same
                main = p if main is None else main
                self.users[main].append(i)
                self.seen_at[main][i] = p
        self.slopes = [d.gradients.get(str(p.value.name)) if backward else None for p in places]
        self.on: list[list[Row]] = [[] for _ in range(n)]
        self.carries: list[list[int]] = [[] for _ in range(n)]
        self.totals: dict[int, tuple[Row, ...]] = {}
        self.terms: dict[int, list[Value]] = {}  # chip, or first card of a parameter -> its terms
        if backward:
            self.sources = sources_of(d)
            self.fill()

    def fill(self) -> None:
        """Put every line on its card."""
        made: dict[int, list[tuple[int, Row, list[Value]]]] = defaultdict(list)
        for x, slope in enumerate(self.slopes):
            if slope is not None and self.places[x].same is None and self.users[x]:
                for entry in self.entries(x, slope):
                    made[id(slope)].append(entry)
        home: dict[int, int] = {}  # a step on the way -> the card of the first line that reads it
        for v in reversed(self.d.lines):
            if id(v) in home:
                step = Row(None, str(v.name), f"{v.name} = {self.text[str(v.name)]}", sizes_text(v))
                made[id(v)].append((home[id(v)], step, [v]))
            for i, row, values in reversed(made.pop(id(v), [])):
                self.on[i].append(row)
                for r in (r for value in values for r in named(value, v)):
                    if r.backward and not r.of:
                        home[id(r)] = i
        for entries in made.values():  # gradients that are numbers
            for i, row, _ in entries:
                self.on[i].append(row)
        for rows in self.on:
            rows.reverse()

    def entries(self, x: int, slope: Any) -> Iterator[tuple[int, Row, list[Value]]]:
        """The card, the row and the values of every term of the gradient of card `x`."""
        name, users = str(self.places[x].value.name), self.users[x]
        if isinstance(slope, Number):
            self.carries[users[-1]].append(x)
            yield users[-1], Row(x, "", f"d{name} = {slope.number:g}"), []
            return
        if slope.of != name:  # one array for two values
            owner = next((user for user in users if self.slopes[user] is slope), users[-1])
            self.carries[owner].append(x)
            yield owner, Row(x, str(slope.name), f"d{name} = {slope.name}"), []
            return
        line = f"{slope.name} = {self.text[str(slope.name)]}"
        shares = self.shares(x, slope)
        if len(shares) < 2:
            owner = next(iter(shares), users[-1])
            for user in users:
                if user == owner or id(self.slopes[user]) in self.sources[id(slope)]:
                    self.carries[user].append(x)
            yield owner, Row(x, str(slope.name), line, sizes_text(slope)), [slope]
            return
        steps = [
            Row(None, str(v.name), f"{v.name} = {self.text[str(v.name)]}", "a part of the sum")
            for v in addends(slope)[1]
        ]
        self.totals[x] = (*steps[::-1], Row(None, str(slope.name), line, "the sum"))
        printer = Printer()
        count = sum(map(len, shares.values()))
        k = 0
        for user, terms in shares.items():
            beside = self.seen_at[x][user]
            self.carries[user].append(beside)
            self.terms[beside] = terms
            sum_text = " + ".join(printer.text(term, 5) for term in terms)
            which = ", ".join(str(k + 1 + i) for i in range(len(terms)))
            k += len(terms)
            sizes = sizes_text(terms[0]) if len(terms) == 1 and not terms[0].name else ""
            comment = ", ".join(filter(None, (sizes, f"term {which} of {count}")))
            yield user, Row(beside, str(slope.name), f"{slope.name} += {sum_text}", comment), terms

    def shares(self, x: int, slope: Value) -> dict[int, list[Value]]:
        """The terms of a gradient by the card that each comes from; {} if that is not clear."""
        found: dict[int, list[Value]] = {}
        if len(self.users[x]) == 1:
            return {self.users[x][0]: [slope]}
        for term in addends(slope)[0]:
            read: set[int] = set()
            for r in named(term, slope):
                read |= self.through(r)
            owners = [u for u in self.users[x] if id(self.slopes[u]) in read] or [
                u for u in self.users[x] if not isinstance(self.slopes[u], Value)
            ]
            alike = [self.likeness(user, read) for user in owners]
            if not alike or alike.count(max(alike)) > 1:
                return {}
            found.setdefault(owners[alike.index(max(alike))], []).append(term)
        return found

    def through(self, r: Value) -> set[int]:
        """What a term reads with `r`: it, or what a step on the way was made from."""
        return self.sources[id(r)] if r.backward and not r.of else {id(r)}

    def likeness(self, user: int, read: set[int]) -> tuple[int, bool]:
        """How much of what a term reads stands on a card; and whether its gradient is its own."""
        v, slope = self.places[user].value, self.slopes[user]
        own = sum(id(r) in read for r in (v, v, *reads(v)))  # most rules read their own result
        return own, isinstance(slope, Value) and slope.of == v.name


def named(v: Value, besides: Value) -> list[Value]:
    """What a term of `besides` reads: itself, if it has a name."""
    return [v] if v.name is not None and v is not besides else reads(v)


def sources_of(d: Derivation) -> dict[int, set[int]]:
    """For each line of the backward pass what it is made from, through steps."""
    sources: dict[int, set[int]] = {}
    for v in d.lines:
        if v.backward:
            found: set[int] = set()
            for r in reads(v):
                found |= sources[id(r)] if r.backward and not r.of else {id(r)}
            sources[id(v)] = found
    return sources


def addends(v: Value) -> tuple[list[Value], list[Value]]:
    """The terms of a sum, and the steps that hold a part of it; of anything else, itself."""
    found: list[Value] = []
    steps: list[Value] = []
    stack = [v]
    while stack:
        u = stack.pop()
        step = u.name is not None and u.backward and not u.of
        inner = u is v or u.name is None or step
        if inner and u.op is np.add and all(isinstance(a, Value) for a in u.args):
            stack += u.args[::-1]
            steps += [u] * step
        else:
            found.append(u)
    return found, steps


def sizes_text(v: Value) -> str:
    """The shapes that come together in a line, where they say more than that of the result.

    Products of matrices and what is added to them, sums, backward lines.
    """
    found = sizes(v, 6)
    if "@" in found:
        return found
    shapes = [a.shape for a in v.args if isinstance(a, Value)]
    if len(shapes) == 1 and shapes[0] != v.shape:
        return f"{size_text(shapes[0])} → {size_text(v.shape)}"
    return size_text(v.shape) if v.backward else ""


def sizes(v: Any, depth: int) -> str:
    """The shapes in place of the names: 3×2 @ 2×4 + 4."""
    if v.op in SIGNS and (v.name is None or depth == 6) and depth:
        left, right = v.args
        if isinstance(left, Value) and isinstance(right, Value):
            texts = [sizes(a, depth - 1) for a in (left, right)]
            if v.op is np.matmul or "@" in texts[0] + texts[1]:
                return f" {SIGNS[v.op]} ".join(
                    f"({text})" if v.op is np.matmul and " " in text else text for text in texts
                )
    return size_text(v.shape)


SIGNS = {np.matmul: "@", np.add: "+"}


# --- numbers --------------------------------------------------------------------------------------


def arrays_of(program: Program, rows: Rows, show: str) -> tuple[dict[str, Any], dict[int, Any]]:
    """The arrays of inputs and lines by name, and the terms of the gradients of chips by place."""
    if show == "shapes":
        return {}, {}
    d = program._derivation
    names: dict[int, list[str]] = {}
    extra: list[Value] = []  # terms have no lines of their own in the program
    for i, terms in rows.terms.items():
        if rows.places[i].same is not None:
            names[i] = []
            for k, term in enumerate(terms):
                if term.name is None:
                    term, unnamed = Value(term.op, term.args, term.kwargs, term), term
                    term.name, term.backward = f"term {k} beside {i}", unnamed.backward
                    extra.append(term)
                names[i].append(str(term.name))
    whole = Program(d._replace(lines=[*d.lines, *extra])) if extra else program
    arrays = whole.values()
    return arrays, {
        i: np.broadcast_to(sum(arrays[name] for name in group), rows.places[i].value.shape)
        for i, group in names.items()
    }


def gradient_of(slope: Any, value: Value, arrays: dict[str, Any]) -> Any:
    """The array of a gradient, if it is shown."""
    if slope is None or not arrays:
        return None
    if isinstance(slope, Number):
        return np.full(value.shape, slope.number, value.dtype)
    return arrays[str(slope.name)]


def caption_of(name: str, slope: Any) -> str:
    """What stands above a gradient: dy; of another value with the same gradient, dF = dy."""
    if not isinstance(slope, Value) or slope.of == name:
        return getattr(slope, "name", None) or f"d{name}"
    return f"d{name} = {slope.name}"


def notes_of(rows: Rows, i: int, grads: bool) -> list[str]:
    """What must be said about one card."""
    v = rows.places[i].value
    said = []
    if v.node is not None and rows.users[i]:
        user = rows.places[rows.users[i][0]].value.node
        if user is not None and graph.changed_at(v.node) > user.index:
            said.append("overwritten since it was used")
    if grads and v.op is None and is_parameter(v) and str(v.name) not in rows.d.gradients:
        said.append("no gradient reaches it")
    return said


def overwritten(loss: Any, d: Derivation, arrays: dict[str, Any]) -> list[str]:
    """Whether the numbers are other ones than those that were recorded, in words."""
    name = str(d.loss.name)
    new = arrays.get(name)
    if new is None or np.allclose(loss._data, new, rtol=1e-5, atol=0, equal_nan=True):
        return []
    return [
        f"arrays were overwritten since {clean(name)} was computed: "
        f"all numbers here are computed afresh from what they hold now"
    ]
