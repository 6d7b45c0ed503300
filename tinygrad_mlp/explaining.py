"""One number of a program, written out with the numbers that it was computed from.

An entry of an array is an expression in entries of other arrays. It is written twice: with names
and running indices, and with the numbers themselves.
"""

import functools
import itertools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .errors import ShapeError
from .formatting import name_of, nearest
from .ops import mse, relu
from .printing import ATOM, INFIX, POWER, UNARY, Derivation, Form, Printer
from .values import Length, Number, Value, applied, resolved

__all__ = ["evaluated", "explain", "explained", "found"]

TERMS = 8
"""So many terms of a sum are written; of more the first and the last."""

LETTERS = "kjmpqrsabcdefghuvwxyz"
SUM, PRODUCT = 4, 5
Text = tuple[str, int]
Index = tuple[Any, ...]

FORMS: dict[Any, Form] = {
    np.negative: ("-%s", (UNARY,), UNARY),
    np.power: ("%s**%s", (ATOM, UNARY), POWER),
    relu: ("max(%s, 0)", (0,), ATOM),
    np.absolute: ("abs(%s)", (0,), ATOM),
    np.maximum: ("max(%s, %s)", (0, 0), ATOM),
    np.minimum: ("min(%s, %s)", (0, 0), ATOM),
    np.where: ("where(%s, %s, %s)", (0, 0, 0), ATOM),
    **{
        f: (f"{f.__name__}(%s)", (0,), ATOM)
        for f in (np.exp, np.log, np.sqrt, np.tanh, np.sign, np.square)
    },
}
"""As `printing.FORMS`."""


class Beyond(Exception):
    """An op whose entries are not written out."""


def explain(d: Derivation, arrays: dict[str, Any], name: str, index: Sequence[int]) -> str:
    """The entry of one line as a sum, see :meth:`Program.explain`."""
    known = {str(v.name): v for v in [*d.inputs, *d.lines]}
    v = found("explain: no line or input", name, known)
    place = within(name, index, np.shape(arrays[name]))
    return " = ".join(explained(v, arrays, place)[0])


def found(trouble: str, name: str, known: Mapping[str, Any]) -> Any:
    """What is known by this name; an error that names what may be meant, if there is nothing."""
    if name not in known:
        close = nearest(name, list(known))
        hint = f"did you mean {close!r}?" if close else f"there are {', '.join(known)}."
        raise ShapeError(f"{trouble} {name!r:.60}; {hint}")
    return known[name]


def explained(
    v: Value, arrays: dict[str, Any], place: tuple[int, ...]
) -> tuple[list[str], list[tuple[str, Index]]]:
    """What equals an entry: its name, its sum in names, in numbers, the total; and what it read.

    The second is a list of names and places of entries; of a long sum, of the written terms only.
    """
    total = number(np.asarray(arrays[str(v.name)])[place])
    parts = [f"{v.name}{brackets(place)}"]
    numbers = Writer(arrays, number)
    if v.op is not None:
        try:
            parts.append(Writer(arrays, None).definition(v, place)[0])
            parts.append(numbers.definition(v, place)[0])
        except Beyond:
            parts[1:] = [Printer().definition(v)[0]]
            numbers.read.clear()
    return list(dict.fromkeys([*parts, total])), numbers.read


def within(name: str, index: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The index, counted from the front; an error if there is no such entry."""
    index = index if isinstance(index, (tuple, list)) else (index,)
    try:
        place = tuple(map(operator.index, index))
    except TypeError as error:
        raise ShapeError(f"explain: {name}[{index}]: an index is made of integers.") from error
    if len(place) != len(shape):
        raise ShapeError(
            f"explain: {name} {shape} has {len(shape)} axes; the index {place} has {len(place)}."
        )
    if any(not -n <= i < n for i, n in zip(place, shape)):
        raise ShapeError(f"explain: {name} {shape} has no entry {place}.")
    return tuple([i % n for i, n in zip(place, shape)])


def brackets(index: Index) -> str:
    """An index as text; a scalar has none."""
    return f"[{','.join(map(str, index))}]" if index else ""


def number(x: Any) -> str:
    """A number, short."""
    return f"{x or 0:.4g}" if isinstance(x, (float, np.floating)) else str(int(x))  # no -0


class Writer:
    """Entries as text: with names, or with the numbers if `show` says how to write one."""

    def __init__(self, arrays: dict[str, Any], show: Callable[[Any], str] | None) -> None:
        self.arrays, self.show = arrays, show
        self.letters: list[str] = []  # those that run already
        self.read: list[tuple[str, Index]] = []  # entries whose numbers were written

    def shape(self, a: Any) -> tuple[int, ...]:
        """The shape an operand has in this run."""
        return np.shape(evaluated(a, self.arrays)) if isinstance(a, Value) else ()

    def text(self, a: Any, index: Index, least: int = 0) -> str:
        """One entry of an operand, in parentheses if it binds less than `least`."""
        text, binds = self.entry(a, index)
        return f"({text})" if binds < least else text

    def entry(self, a: Any, index: Index) -> Text:
        """One entry of an operand."""
        if isinstance(a, Number):
            text = f"{a.number:.6g}" if isinstance(a.number, float) else str(a.number)
            return text, ATOM if text[0] != "-" else UNARY
        if not isinstance(a, Value):  # a length, or arithmetic on lengths
            return (str(evaluated(a, self.arrays)) if self.show else Printer().text(a, ATOM)), ATOM
        shape = self.shape(a)  # a stretched operand has fewer axes, or axes of one
        index = index[len(index) - len(shape) :]
        index = tuple([0 if n == 1 else i for i, n in zip(index, shape)])
        if a.name is None:
            return self.definition(a, index)
        if self.show is None:
            return f"{a.name}{brackets(index)}", ATOM
        self.read.append((a.name, index))
        text = self.show(np.asarray(self.arrays[a.name])[index])
        return text, ATOM if text[0] != "-" else UNARY

    def definition(self, v: Value, index: Index) -> Text:
        """One entry of what the op of `v` makes."""
        op, args = v.op, v.args
        if op is np.matmul:
            return self.product(args, index)
        if op in INFIX:
            return self.infix(op, args, index)
        if op is np.where and self.show is not None:  # the entry that is chosen
            return self.entry(args[1 if entry_of(args[0], self.arrays, index) else 2], index)
        if op in FORMS:
            template, least, binds = FORMS[op]
            return template % tuple(self.text(a, index, n) for a, n in zip(args, least)), binds
        if op in (np.sum, np.mean):
            return self.reduced(v, index)
        if op is mse and len(args) == 2 and not v.kwargs:
            return self.mse(args)
        return self.entry(*self.moved(v, index))

    def infix(self, op: Any, args: tuple[Any, ...], index: Index) -> Text:
        """Two entries with a sign between them; of a comparison, whether it holds."""
        sign, binds = INFIX[op]
        if self.show is not None and binds < SUM:
            return str(int(op(*(entry_of(a, self.arrays, index) for a in args)))), ATOM
        left = self.text(args[0], index, binds + (binds < SUM))
        gap = "" if self.show is not None and binds == PRODUCT else " "
        return f"{left}{gap}{sign}{gap}{self.text(args[1], index, binds + 1)}", binds

    def sum(self, sizes: Sequence[int], term: Callable[[Index], Text], first: str) -> Text:
        """A sum over running indices: with Σ, the first called `first`; or term by term."""
        if self.show is None:
            place: list[Any] = []
            running = []
            for j, size in enumerate(sizes):
                names = [c for c in (first if j == 0 else "", *LETTERS) if c not in self.letters]
                letter = next(c for c in names if c)
                place.append(letter if size != 1 else 0)
                if size != 1:
                    running.append(letter)
                    self.letters.append(letter)
            text, binds = term(tuple(place))
            if not running:
                return text, binds
            return f"Σ_{','.join(running)} {f'({text})' if binds < PRODUCT else text}", SUM
        count = math.prod(sizes)
        indices = itertools.product(*map(range, sizes))
        if count > TERMS:
            head = list(itertools.islice(indices, 3))
            tail = [tuple(map(int, np.unravel_index(k, sizes))) for k in (count - 2, count - 1)]
            terms = [*(self.term(term, i) for i in head), "…", *(self.term(term, i) for i in tail)]
        else:
            terms = [self.term(term, i) for i in indices]
        return " + ".join(terms) or "0", ATOM if count < 2 else SUM

    def term(self, term: Callable[[Index], Text], index: Index) -> str:
        """One term of a sum."""
        text, binds = term(index)
        return f"({text})" if binds < PRODUCT else text

    def product(self, args: tuple[Any, ...], index: Index) -> Text:
        """One entry of a matrix product: the sum over the axis in the middle."""
        a, b = args
        left, right = len(self.shape(a)), len(self.shape(b))
        rows = index[: len(index) - (right > 1)]
        columns = index[len(index) - 1 :] if right > 1 else ()
        stack = rows[:-1] if left > 1 else rows

        def term(k: Index) -> Text:
            x = self.text(a, (*rows, *k) if left > 1 else k, PRODUCT)
            y = self.text(b, (*stack, *k, *columns) if right > 1 else k, UNARY)
            return (f"{x} * {y}" if self.show is None else f"{x}*{y}"), PRODUCT

        over_batch = isinstance(a, Value) and a.name is None and a.op is np.transpose
        return self.sum(self.shape(a)[-1:], term, "n" if over_batch else "k")

    def reduced(self, v: Value, index: Index) -> Text:
        """One entry of a sum or mean over axes."""
        options = [*v.args[1:], v.kwargs.get("axis")]
        axis = options[0].number if isinstance(options[0], Number) else options[0]
        shape = self.shape(v.args[0])
        axes: Any = axis if isinstance(axis, tuple) else (axis,)
        axes = range(len(shape)) if axis is None or not shape else axes
        over = sorted({operator.index(getattr(i, "number", i)) % len(shape) for i in axes})
        kept = [i for i in range(len(shape)) if i not in over]
        rest = [index[i] for i in kept] if v.kwargs.get("keepdims") else list(index)
        sizes = [shape[i] for i in over]

        def term(running: Index) -> Text:
            place = {**dict(zip(kept, rest)), **dict(zip(over, running))}
            return self.entry(v.args[0], tuple([place[i] for i in range(len(shape))]))

        text, binds = self.sum(sizes, term, "k" if over and over[0] else "n")
        if v.op is np.sum:
            return text, binds
        return f"({text}) / {math.prod(sizes)}", PRODUCT

    def mse(self, args: tuple[Any, ...]) -> Text:
        """The mean of the squared errors."""
        y, t = args
        shape = self.shape(y)

        def term(index: Index) -> Text:
            return f"({self.text(y, index)} - {self.text(t, index, PRODUCT)})**2", POWER

        text, binds = self.sum(shape, term, "n")
        count = self.text(Length(y, 0), (), ATOM) if shape else "1"
        return f"{text if binds > SUM else f'({text})'} / {count}", PRODUCT

    def moved(self, v: Value, index: Index) -> tuple[Any, Index]:
        """Which entry of its argument an entry is, for ops that move entries around."""
        a = v.args[0]
        shape = self.shape(a)
        if v.op in (np.copy, np.broadcast_to) or name_of(v.op) == "astype":
            return a, index
        if not isinstance(a, Value) or v.op not in MOVES:
            raise Beyond
        places = np.arange(math.prod(shape)).reshape(shape)
        out = evaluated(Value(v.op, (places, *v.args[1:]), v.kwargs, places), self.arrays)
        if any(isinstance(i, str) for i in index):
            if v.op is np.reshape or not all(map(is_whole, v.args[1:])):
                raise Beyond
            return a, shifted(out, shape, index)
        return a, tuple(map(int, np.unravel_index(int(out[index]), shape))) if shape else ()


MOVES = {np.transpose, np.swapaxes, np.reshape, np.expand_dims, np.squeeze, operator.getitem}


def is_whole(part: Any) -> bool:
    """Whether a part of an index keeps neighbours neighbours."""
    if isinstance(part, slice):
        return part.step is None or part.step == Number(1)
    return not isinstance(part, (Value, list))


def shifted(out: Any, shape: tuple[int, ...], index: Index) -> Index:
    """The entry of the argument for an index with letters; `out` holds the places of entries."""
    base = list(map(int, np.unravel_index(int(out[(0,) * out.ndim]), shape)))
    result: list[Any] = list(base)
    for axis, i in enumerate(index):
        if out.shape[axis] > 1:
            one = tuple([int(k == axis) for k in range(out.ndim)])
            step = np.subtract(np.unravel_index(int(out[one]), shape), base)
            to = int(np.flatnonzero(step)[0])
            start = base[to]
            result[to] = i + start if isinstance(i, int) else f"{i}+{start}" if start else i
    return tuple(result)


def entry_of(a: Any, arrays: dict[str, Any], index: Index) -> Any:
    """One entry of an operand, stretched as far as the index reaches."""
    value = np.asarray(evaluated(a, arrays))
    place = index[len(index) - value.ndim :]
    return value[tuple([0 if n == 1 else i for i, n in zip(place, value.shape)])]


def evaluated(a: Any, arrays: dict[str, Any]) -> Any:
    """The value of an operand."""
    return resolved(a, functools.partial(value_in, arrays))


def value_in(arrays: dict[str, Any], v: Value) -> Any:
    """The array of a name; without one, what the op makes of its arguments."""
    if v.name is not None:
        return arrays[v.name]
    return applied(v, functools.partial(value_in, arrays))
