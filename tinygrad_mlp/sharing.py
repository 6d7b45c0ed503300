"""Which card holds which line of the backward pass, or which term of it.

A line goes back through the card that its gradient came through. Where a value is used on several
cards, its gradient is a sum, and each of them holds its term.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .cards import Row
from .printing import Derivation, Printer
from .styling import size_text
from .values import Number, Value, reads

__all__ = ["Place", "Rows", "sizes_text"]


class Place(NamedTuple):
    """What a card shows, and where it comes from."""

    value: Value
    parents: tuple[int, ...] = ()
    same: int | None = None  # a chip: a later use of the parameter on that card


class Rows:
    """Which card holds which line of the backward pass, or which term of it."""

    def __init__(
        self, d: Derivation, places: list[Place], text: dict[str, str], backward: bool
    ) -> None:
        self.d, self.places, self.text = d, places, text
        n = len(places)
        self.users: list[list[int]] = [[] for _ in range(n)]  # of the first card of each value
        self.beside: dict[tuple[int, int], int] = {}  # value, user -> the card of it that it reads
        for i, place in enumerate(places):
            for p in place.parents:
                main = places[p].same
                main = p if main is None else main
                self.users[main].append(i)
                self.beside[main, i] = p
        self.slopes = [d.gradients.get(str(p.value.name)) if backward else None for p in places]
        self.on: list[list[Row]] = [[] for _ in range(n)]
        self.carries: list[list[int]] = [[] for _ in range(n)]
        self.terms: dict[int, list[Value]] = {}  # chip, or first card of a value -> its terms
        if backward:
            self.sources = sources_of(d)
            self.fill()

    def fill(self) -> None:
        """Put every line on its card, in the order of the program, steps before what reads them."""
        order = {id(v): k for k, v in enumerate(self.d.lines)}
        found = []
        for x, slope in enumerate(self.slopes):
            if slope is not None and self.places[x].same is None and self.users[x]:
                found += [(order.get(id(slope), -1), *entry) for entry in self.entries(x, slope)]
        said: set[int] = set()
        for _, user, row, stack in sorted(found, key=lambda e: (e[0], e[2].parent is not None)):
            steps = []
            while stack:
                r = stack.pop()
                if r.backward and not r.of and id(r) not in said:
                    said.add(id(r))
                    steps.append(r)
                    stack += reads(r)
            steps.sort(key=lambda v: order[id(v)])
            self.on[user] += [*(self.row(v) for v in steps), row]

    def row(self, v: Value, parent: int | None = None, comment: str = "") -> Row:
        """A line as it is."""
        name = str(v.name)
        return Row(parent, name, f"{name} = {self.text[name]}", comment or sizes_text(v))

    def entries(self, x: int, slope: Any) -> Iterator[tuple[int, Row, list[Value]]]:
        """For every term of the gradient of card `x` its card, its row, and what it reads."""
        name, users = str(self.places[x].value.name), self.users[x]
        if (
            isinstance(slope, Value) and slope.of == name and slope.op is None
        ):  # of what is too large for lines
            for user in users:
                self.carries[user] += [self.beside[x, user]] * (self.slopes[user] is not None)
            return
        shares = {} if isinstance(slope, Number) or slope.of != name else self.shares(x, slope)
        if len(shares) > 1:
            yield from self.terms_of(x, slope, shares)
            return
        owner, carriers, read = next(iter(shares), users[-1]), [], []
        if isinstance(slope, Number):
            row = Row(x, "", f"d{name} = {slope.number:g}")
        elif slope.of != name:  # one array for two values
            owner = next((user for user in users if self.slopes[user] is slope), owner)
            row = Row(x, str(slope.name), f"d{name} = {slope.name}")
        else:
            row, read = self.row(slope, x), reads(slope)
            carriers = [u for u in users if id(self.slopes[u]) in self.sources[id(slope)]]
        for user in {owner, *carriers}:
            self.carries[user].append(x)
        yield owner, row, read

    def terms_of(
        self, x: int, slope: Value, shares: dict[int, list[Value]]
    ) -> Iterator[tuple[int, Row, list[Value]]]:
        """The rows of a gradient of which several cards hold a term, and of the sum."""
        for step in addends(slope)[1][::-1]:
            yield x, self.row(step, comment="a part of the sum"), []
        yield x, self.row(slope, comment="the sum"), []
        count, k = sum(map(len, shares.values())), 0
        for user, terms in shares.items():
            chip = self.beside[x, user]
            self.carries[user].append(chip)
            self.terms[chip] = terms
            which = f"term {', '.join(str(k + 1 + i) for i in range(len(terms)))} of {count}"
            k += len(terms)
            if len(terms) == 1 and not terms[0].name and (sizes := sizes_text(terms[0])):
                which = f"{sizes}, {which}"
            text = " + ".join(Printer().text(term, 5) for term in terms)
            read = [r for term in terms for r in named(term, slope)]
            yield user, Row(chip, str(slope.name), f"{slope.name} += {text}", which), read

    def shares(self, x: int, slope: Value) -> dict[int, list[Value]]:
        """The terms of a gradient by the card that each comes from; {} if that is not clear."""
        users = self.users[x]
        if len(users) == 1:
            return {users[0]: [slope]}
        found: dict[int, list[Value]] = {}
        for term in addends(slope)[0]:
            read = made_from(named(term, slope), self.sources)
            owners = [u for u in users if id(self.slopes[u]) in read] or [
                u for u in users if not isinstance(self.slopes[u], Value)
            ]
            alike = [self.likeness(user, read) for user in owners]
            if not alike or alike.count(max(alike)) > 1:
                return {}
            found.setdefault(owners[alike.index(max(alike))], []).append(term)
        return found

    def likeness(self, user: int, read: set[int]) -> tuple[int, bool]:
        """How much of what a term reads stands on a card; and whether its gradient is its own."""
        v, slope = self.places[user].value, self.slopes[user]
        own = sum(id(r) in read for r in (v, v, *reads(v)))  # most rules read their own result
        return own, isinstance(slope, Value) and slope.of == v.name


def named(v: Value, besides: Value) -> list[Value]:
    """What a term of `besides` reads: itself, if it has a name."""
    return [v] if v.name is not None and v is not besides else reads(v)


def made_from(values: list[Value], sources: dict[int, set[int]]) -> set[int]:
    """The values, and in place of steps on the way what these are made from."""
    steps = [v for v in values if v.backward and not v.of]
    return {id(v) for v in values if v not in steps}.union(*(sources[id(v)] for v in steps))


def sources_of(d: Derivation) -> dict[int, set[int]]:
    """For each line of the backward pass what it is made from, through steps."""
    sources: dict[int, set[int]] = {}
    for v in d.lines:
        if v.backward:
            sources[id(v)] = made_from(reads(v), sources)
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


SIGNS = {np.matmul: "@", np.add: "+"}


def sizes(v: Any, depth: int) -> str:
    """The shapes in place of the names: 3×2 @ 2×4 + 4."""
    inner = depth == 6 or (v.name is None and depth)
    if v.op in SIGNS and inner and all(isinstance(a, Value) for a in v.args):
        texts = [sizes(a, depth - 1) for a in v.args]
        if v.op is np.matmul:
            texts = [f"({text})" if " " in text else text for text in texts]
        if v.op is np.matmul or "@" in "".join(texts):
            return f" {SIGNS[v.op]} ".join(texts)
    return size_text(v.shape)
