"""A derivation as something to try changes on: evaluate its lines, some of them rewritten.

An *expression* is a value without a name (see `values`): an op applied to named lines, inputs and
other expressions. A change gives lines other expressions; everything below is computed again.
"""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from . import ops
from .printing import Derivation, Printer, is_parameter
from .values import CALLED, SIGNS, Length, Number, Value, reads

__all__ = [
    "Expression",
    "Simulator",
    "apply",
    "copied",
    "leaves",
    "rooted",
    "same_form",
    "shown",
    "value_of",
]

Expression = Any
"""A Value, Number or Length."""

PRINTER = Printer()


def apply(op: Any, *args: Any, **kwargs: Any) -> Value:
    """A new expression, of the shape and dtype of its first operand; shapes are only for print."""
    like = next((a for a in args if isinstance(a, Value)), None)
    return Value(op, args, kwargs, np.empty(()) if like is None else like)


def copied(v: Value, args: Iterable[Any]) -> Value:
    """The op of `v` with other arguments."""
    return Value(v.op, tuple(args), v.kwargs, v)


def rooted(line: Value) -> Value:
    """The definition of `line` as an expression of its own."""
    return copied(line, line.args)


def leaves(a: Expression) -> list[Value]:
    """The named values in an expression, each once."""
    if not isinstance(a, Value):
        return [a.value] if isinstance(a, Length) else []
    return [a] if a.name is not None else reads(a)


def shown(a: Expression) -> str:
    """The text of an expression."""
    return a.name if isinstance(a, Value) and a.name is not None else PRINTER.text(a)


class Simulator:
    """The lines of a derivation, on any data.

    Attributes
    ----------
    lines : list of Value
        Forward, then backward.
    named : dict
        Name -> line or input.
    batch, outputs : int
        Sizes of the batch and of what the loss is computed from, when derived.
    """

    def __init__(self, derivation: Derivation) -> None:
        self.derivation = derivation
        self.lines = derivation.lines
        self.named: dict[str, Value] = {str(v.name): v for v in [*derivation.inputs, *self.lines]}
        self.gradient = dict(derivation.results)
        self.gradient |= {self.named[v.of]: v for v in self.lines if v.of in self.named}
        self.number = {v: k for k, v in enumerate(self.lines)}
        self.below: dict[Value, set[Value]] = {v: {v} for v in [*derivation.inputs, *self.lines]}
        for v in reversed(self.lines):  # from the last, so that what is below is complete
            for a in reads(v):
                self.below[a] |= self.below[v]
        self.readers = Counter(a for v in self.lines for a in reads(v))
        forward = [v for v in self.lines if not v.backward and v is not derivation.loss]
        self.targets = {*reads(derivation.loss)}.difference(*map(reads, forward))
        """What the loss alone reads: no forward pass is made of it."""
        data = [v.shape[0] for v in derivation.inputs if v.shape and not is_parameter(v)]
        last = [a.shape[-1] for a in derivation.loss.args if isinstance(a, Value) and a.shape]
        self.batch = int(derivation.batch or (data[0] if data else 1))
        self.outputs = int(last[0] if last else 1)
        self._alias: dict[str, Value] = {}
        self._layers: dict[Value, tuple[str, int | None]] = {}
        self._name_the_last()

    def _name_the_last(self) -> None:
        """Other names of what a chain ends in: the line after A[2], Z[2] is Z[3], even if named y.

        It is found by being made from W[2] just as Z[2] is made from W[1].
        """
        for v in self.lines:
            if index_of(str(v.name)) is None:
                for other in self.lines:
                    k = step(other, v) if other is not v and same_form(v, other) else None
                    if k is not None and index_of(str(other.name)) is not None:
                        self._alias.setdefault(bumped(str(other.name), k), v)
        for name, v in list(self._alias.items()):
            if v in self.gradient:
                self._alias.setdefault(f"d{name}", self.gradient[v])

    @functools.cached_property
    def depth(self) -> int:
        """The number of the last layer."""
        return max((index_of(name) or 0 for name in self.named), default=0)

    def shifted(self, v: Value, k: int) -> Value | None:
        """What `v` is called `k` layers on: W[1] for W[0] and k = 1; without a number, itself."""
        name = str(v.name)
        if k == 0:
            return v
        if index_of(name) is None:
            name = next((n for n, w in self._alias.items() if w is v), "")
            if not name:
                return v
        name = bumped(name, k)
        return self.named.get(name) or self._alias.get(name)

    def layer(self, v: Value) -> tuple[str, int | None]:
        """The name of a value without the number of its layer, and that number."""
        if v not in self._layers:
            name = str(v.name)
            if index_of(name) is None:
                name = next((n for n, w in self._alias.items() if w is v), name)
            k = index_of(name)
            self._layers[v] = (name if k is None else name.replace(f"[{k}]", "[]", 1), k)
        return self._layers[v]

    def alike(self, v: Value, line: Value) -> bool:
        """Whether `v` is the same line of another layer."""
        if v is line or self.layer(v)[0] != self.layer(line)[0]:
            return False
        pairs = zip(in_order(rooted(v)), in_order(rooted(line)))
        return same_form(rooted(v), rooted(line)) and all(
            self.layer(a)[0] == self.layer(b)[0] for a, b in pairs if a.op is None or b.op is None
        )

    def moved(self, new: Expression, line: Value, other: Value) -> Expression:
        """An expression for `line` as it would be for `other`, a line like it; None if it cannot.

        What the lines read in the same place stands for each other, the rest is as many layers on.
        """
        places = dict(zip(in_order(rooted(line)), in_order(rooted(other))))
        (_, k), (_, m) = self.layer(line), self.layer(other)
        return self.carried(new, (m or 0) - (k or 0), places)

    def carried(self, a: Expression, k: int, places: Mapping[Value, Value] = {}) -> Expression:
        """An expression with all values `k` layers on; None if one does not exist."""
        if isinstance(a, Length):
            value = self.carried(a.value, k, places)
            return None if value is None else Length(value, a.axis)
        if isinstance(a, slice):
            return slice(*(self.carried(b, k, places) for b in (a.start, a.stop, a.step)))
        if isinstance(a, tuple) and not isinstance(a, Number):
            return tuple(self.carried(b, k, places) for b in a)
        if not isinstance(a, Value):
            return a
        if a in places:
            return places[a]
        if a.name is not None:
            return self.shifted(a, k) if a in self.below else a
        args = [self.carried(b, k, places) for b in a.args]
        lost = any(b is None and c is not None for b, c in zip(args, a.args))
        return None if lost else copied(a, args)

    def run(
        self, inputs: Mapping[Value, Any], changed: Mapping[Value, Expression] = {}
    ) -> dict[Value, Any]:
        """All lines on these inputs, in float64; some of them changed."""
        env = {
            v: np.asarray(a, np.float64) if np.asarray(a).dtype.kind == "f" else np.asarray(a)
            for v, a in inputs.items()
        }
        with np.errstate(all="ignore"):
            for v in self.lines:
                env[v] = value_of(changed[v], env) if v in changed else computed(v, env)
        return env

    def run_on(self, arrays: Mapping[str, Any]) -> dict[Value, Any]:
        """The same, for inputs by their names."""
        return self.run({v: arrays[str(v.name)] for v in self.derivation.inputs})

    def of(self, v: Value, env: Mapping[Any, Any]) -> Any:
        """The definition of `v`, on what `env` holds."""
        return computed(v, env)


# --- evaluation -----------------------------------------------------------------------------------


def value_of(a: Expression, env: Mapping[Any, Any]) -> Any:
    """What an expression is on `env`."""
    if isinstance(a, Value):
        found = env.get(a)
        return computed(a, env) if found is None else found
    if isinstance(a, Number):
        return a.number
    if isinstance(a, Length):
        value = np.asarray(value_of(a.value, env))
        return value.size if a.axis is None else value.shape[a.axis]
    if isinstance(a, slice):
        return slice(*(value_of(b, env) for b in (a.start, a.stop, a.step)))
    if isinstance(a, tuple) and a and isinstance(a[0], str) and a[0] in SIGNS:
        result = value_of(a[1], env)
        for b in a[2:]:
            result = SIGNS[a[0]](result, value_of(b, env))
        return result
    if isinstance(a, tuple):
        return tuple(value_of(b, env) for b in a)
    return a


def computed(v: Value, env: Mapping[Any, Any]) -> Any:
    """The op of `v` applied to its arguments."""
    args: list[Any] = []
    for a in v.args:  # written out: this is where the time goes
        if type(a) is Value:
            found = env.get(a)
            args.append(computed(a, env) if found is None else found)
        else:
            args.append(a.number if type(a) is Number else value_of(a, env))
    if v.op is ops.astype:  # everything is float64
        return args[0]
    op = CALLED.get(v.op, v.op)
    if v.kwargs:
        return op(*args, **{k: value_of(a, env) for k, a in v.kwargs.items()})
    return op(*args)


# --- layers ---------------------------------------------------------------------------------------


def bumped(name: str, k: int) -> str:
    """`name` with its first index raised by `k`."""
    return re.sub(r"\[(\d+)\]", lambda m: f"[{int(m[1]) + k}]", name, count=1)


def index_of(name: str) -> int | None:
    """The number of the layer in a name."""
    match = re.search(r"\[(\d+)\]", name)
    return int(match[1]) if match else None


def same_form(a: Any, b: Any) -> bool:
    """Whether two definitions are alike but for the named values in them."""
    if not (isinstance(a, Value) and isinstance(b, Value)):
        return type(a) is type(b) and (not isinstance(a, Number) or a == b)
    if a.op is not b.op or len(a.args) != len(b.args):
        return False
    for p, q in zip(a.args, b.args):
        named = [isinstance(c, Value) and c.name is not None for c in (p, q)]
        if named[0] != named[1] or not (named[0] or same_form(p, q)):
            return False
    return True


def in_order(a: Expression) -> list[Value]:
    """The named values in an expression, wherever they stand."""
    if not isinstance(a, Value):
        return []
    return [a] if a.name is not None else [v for b in a.args for v in in_order(b)]


def step(a: Value, b: Value) -> int | None:
    """By how many layers the values that `b` reads are further on than those that `a` reads."""
    pairs = [(index_of(str(p.name)), index_of(str(q.name))) for p, q in zip(reads(a), reads(b))]
    steps = {q - p for p, q in pairs if p is not None and q is not None}
    return steps.pop() if len(steps) == 1 else None
