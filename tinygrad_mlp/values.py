"""Values: what a recorded graph says, cleaned up.

`Lowering` turns recorded nodes into values: an op applied to values, each distinct one once,
constants folded, no-ops gone, sizes kept as what they are the sizes of.
"""

import functools
import math
import operator
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import ops
from .formatting import module_of, name_of
from .graph import Node, Size
from .primitives import PRIMITIVES, parameters_of

__all__ = [
    *("CALLED", "SIGNS", "WEAK", "Length", "Lowering", "Number", "Value", "operands"),
    *(
        "applied",
        "clean",
        "evaluate",
        "is_number",
        "is_plain",
        "is_sum",
        "parts",
        "reads",
        "resolved",
    ),
]


class Value:
    """An op applied to values: a node of the derivation. Inputs have no op."""

    __slots__ = (
        *("args", "backward", "dtype", "kwargs", "name", "node", "of", "op", "shape", "unnamed"),
    )

    def __init__(self, op: Any, args: tuple[Any, ...], kwargs: dict[str, Any], like: Any) -> None:
        self.op = op
        self.args = args
        self.kwargs = kwargs
        self.shape = tuple(map(int, like.shape))
        self.dtype = like.dtype
        self.name: str | None = None
        self.node: Any = None  # what it was lowered from
        self.of = ""  # the name of what it is the gradient of
        self.backward = False
        self.unnamed = False  # its name was made up


class Number(NamedTuple):
    """A number that stands in the text; `dtype` if it is one that widens, as np.float64(2) does."""

    number: Any
    dtype: Any = None


class Length(NamedTuple):
    """A length read from `value`: of one axis, or (None) the number of entries."""

    value: Any
    axis: int | None


SIGNS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv}
"""What lengths are computed with: ("+", a, b, c) is a sum."""

CALLED: dict[Any, Callable[..., Any]] = {
    **{operator.getitem: ops.getitem, np.clip: ops.clip},
    **{np.concatenate: ops.concatenate, np.stack: ops.stack},
}
"""Ops that are not called with the recorded arguments as they stand, but so."""


def resolved(a: Any, value: Callable[[Value], Any]) -> Any:
    """An argument as the object that it is, where ``value(v)`` is what a value is.

    >>> n = Length(Value(np.exp, (), {}, np.ones((2, 3))), 1)
    >>> resolved((("+", n, Number(1), Number(1)), slice(None, n)), lambda v: v)
    (5, slice(None, 3, None))
    """
    if isinstance(a, Value):
        return value(a)
    if isinstance(a, Number):
        return a.number if a.dtype is None else a.dtype.type(a.number)
    if isinstance(a, Length):
        shape = np.shape(value(a.value))
        return math.prod(shape) if a.axis is None else shape[a.axis]
    if isinstance(a, slice):
        return slice(*(resolved(b, value) for b in (a.start, a.stop, a.step)))
    if not isinstance(a, tuple):
        return a
    if a and isinstance(a[0], str):
        return functools.reduce(SIGNS[a[0]], [resolved(b, value) for b in a[1:]])
    return tuple([resolved(b, value) for b in a])


WEAK = {
    *(np.add, np.subtract, np.multiply, np.divide, np.floor_divide, np.matmul, np.negative),
    *(np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal, np.power),
    *(np.bitwise_and, np.bitwise_or, np.where, np.clip, np.maximum, np.minimum, np.broadcast_to),
}
"""Ops that take plain numbers as well as arrays."""


def operands(v: Value) -> tuple[Any, ...]:
    """The arguments of `v`, plain numbers with a dtype where its op needs an array."""
    if v.op in WEAK:
        return v.args
    first = len(v.args) if name_of(v.op) in vars(np) else 1  # what follows are settings
    typed = [Number(a.number, v.dtype) if is_plain(a) else a for a in v.args[:first]]
    return (*typed, *v.args[first:])


def applied(v: Value, value: Callable[[Value], Any]) -> Any:
    """What the op of `v` makes of its arguments, where ``value(a)`` is what a value is."""
    kwargs = {k: resolved(a, value) for k, a in v.kwargs.items()}
    return CALLED.get(v.op, v.op)(*(resolved(a, value) for a in operands(v)), **kwargs)


def evaluate(lines: list[Value], inputs: dict[int, Any]) -> dict[int, Any]:
    """What the lines are for these inputs, by identity, beside the inputs."""
    known = dict(inputs)
    for v in lines:
        known[id(v)] = applied(v, functools.partial(looked_up, known))
    return known


def looked_up(known: dict[int, Any], v: Value) -> Any:
    """What `v` is, by what is known; a function that calls itself by name makes no cycle."""
    return known[id(v)] if id(v) in known else applied(v, functools.partial(looked_up, known))


LONGEST = 40
"""So many characters of a name are shown."""


def clean(name: Any) -> str | None:
    """A name fit for one line of text: printable, short, or None if nothing is left.

    >>> clean("W[0]"), clean("two" + chr(10) + "lines"), clean(" ")
    ('W[0]', 'two lines', None)
    """
    if name is None:
        return None
    text = "".join(
        " " if c.isspace() else c for c in str(name)[:1000] if c.isspace() or c.isprintable()
    )
    text = " ".join(unicodedata.normalize("NFC", text).split())
    return (text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…") or None


# --- from the recorded graph to values, cleaned up ------------------------------------------------

ELEMENTWISE = {np.add, np.subtract, np.multiply, np.divide, np.power, np.maximum, np.minimum}


class Lowering:
    """Turns recorded nodes into values: equal ones once, constants folded, no-ops gone."""

    def __init__(self) -> None:
        self.made: dict[Any, Any] = {}  # what an argument became, by identity
        self.same: dict[Any, Value] = {}  # (op, arguments) -> the one value
        self.inputs: list[Value] = []
        self.alive: list[Any] = []  # keeps identities unique

    def input(self, a: Any, name: str | None, node: Any = None) -> Value:
        """A value that comes from outside."""
        if id(a) not in self.made:
            value = Value(None, (), {}, a)
            value.name, value.node = clean(name), node if node is not None else a
            self.made[id(a)] = value
            self.inputs.append(value)
            self.alive.append(a)
        return self.made[id(a)]  # type: ignore[no-any-return]  # a Value, put there above

    def argument(self, a: Any, hint: str | None = None) -> Any:
        """One argument of an op as a value, a number, a length, or what it is (slices, None)."""
        if isinstance(a, Node):
            return self.made[id(a)]
        if isinstance(a, Size):
            return self.size(a)
        if isinstance(a, tuple):
            return tuple(self.argument(b) for b in a)
        if isinstance(a, slice):
            return slice(*(self.argument(b) for b in (a.start, a.stop, a.step)))
        if isinstance(a, (np.generic, np.ndarray)) and a.ndim == 0:
            return Number(a.item(), a.dtype)
        if hasattr(a, "shape") and not isinstance(a, (np.dtype, type)):
            return self.input(a, hint)
        if isinstance(a, (int, float)) and not isinstance(a, bool):
            return Number(a)
        return a

    def size(self, a: Size) -> Any:
        """A traced length, or arithmetic on lengths; a sum, however long, is flat."""
        source = a.source
        if is_sum(a):
            terms: list[Any] = []
            rest: Any = a
            while is_sum(rest):
                terms.append(self.argument(rest.source[2]))
                rest = rest.source[1]
            terms.append(self.argument(rest))
            terms = [b for b in terms[::-1] if not is_number(b, 0)]
            return ("+", *terms) if len(terms) > 1 else terms[0]
        if isinstance(source[0], str):
            sign, left, right = source[0], *(self.argument(b) for b in source[1:])
            if sign in ("*", "//") and is_number(right, 1):
                return left
            return (sign, left, right)
        value = self.made[id(source[0])]
        if isinstance(value, Number):
            return Number(int(a))
        return Length(value, source[1] if len(source) > 1 else None)

    def lower(self, node: Node) -> None:
        """Give `node` its value."""
        self.alive.append(node)
        if node.op is None:
            if node._data.ndim == 0 and not node.requires_grad and node.name is None:
                self.made[id(node)] = Number(node._data.item(), node._data.dtype)
            else:
                self.input(node, node.name)
            return
        hints = hints_of(node.op)
        args = tuple(
            self.argument(a, hints[i] if i < len(hints) else None) for i, a in enumerate(node.args)
        )
        while node.op in BARE and args[-1] is None:  # a default written out
            args = args[:-1]
        kwargs = {k: self.argument(v) for k, v in node.kwargs.items()}
        value = self.value(node.op, args, kwargs, node._data)
        if isinstance(value, Value):
            if value.name is None:
                value.name = clean(node.name)
            if value.node is None:
                value.node = node
        self.made[id(node)] = value

    def value(self, op: Any, args: tuple[Any, ...], kwargs: dict[str, Any], like: Any) -> Any:
        """The value of an application, simplified."""
        args = tuple([weakest(a, args) for a in args])
        if args and all(isinstance(a, Number) for a in args) and op in FOLDABLE and not like.shape:
            finite = np.isfinite(like)  # else Python would raise where NumPy has inf or nan
            return Number(FOLDABLE[op](*(a.number for a in args)) if finite else like.item())
        simpler = simplified(op, args, like)
        if simpler is not None:
            return simpler
        if op in ELEMENTWISE:  # a stretched operand stretches by itself
            for i in (0, 1):
                new = unstretched(args[i], args[1 - i], like)
                args = (new, args[1]) if i == 0 else (args[0], new)
            simpler = simplified(op, args, like)
            if simpler is not None:
                return simpler
        if op in FOLDABLE and not any(isinstance(a, Value) for a in args):  # numbers and lengths
            args = tuple([Number(a.number, like.dtype) if is_plain(a) else a for a in args])
        key = (op, tuple(map(key_of, args)), tuple((k, key_of(v)) for k, v in kwargs.items()))
        if key not in self.same:
            self.same[key] = Value(op, args, kwargs, like)
        return self.same[key]


BARE = {np.sum, np.mean, np.max, np.min, np.transpose, np.squeeze, np.clip}
"""Functions for which None is what a trailing argument is by default."""

FOLDABLE: dict[Any, Callable[..., Any]] = {
    np.add: operator.add,
    np.subtract: operator.sub,
    np.multiply: operator.mul,
    np.divide: operator.truediv,
    np.negative: operator.neg,
}


def hints_of(op: Any) -> Sequence[str | None]:
    """Names for unnamed arrays among the arguments: those of our own ops, as `t` in mse(y, t)."""
    if module_of(op).startswith("numpy") or not isinstance(PRIMITIVES.get(op), tuple):
        return ()
    return parameters_of(op)[0] if PRIMITIVES[op] else ()


def is_sum(a: Any) -> bool:
    """Whether `a` is a traced sum of lengths; the source of a length is a node, or a sign."""
    return isinstance(a, Size) and isinstance(a.source[0], str) and a.source[0] == "+"


def weakest(a: Any, args: tuple[Any, ...]) -> Any:
    """A number without its dtype, where leaving that out changes nothing."""
    if not isinstance(a, Number) or a.dtype is None:
        return a
    arrays = [b.dtype for b in args if isinstance(b, Value)]
    if arrays and np.result_type(*arrays) != np.result_type(*arrays, a.dtype):
        return a
    return Number(a.number)


def is_plain(a: Any) -> bool:
    """Whether `a` is a float without a dtype."""
    return isinstance(a, Number) and a.dtype is None and isinstance(a.number, float)


def is_number(a: Any, number: float) -> bool:
    """Whether `a` is this number."""
    return isinstance(a, Number) and a.number == number


def simplified(op: Any, args: tuple[Any, ...], like: Any) -> Any:
    """A simpler value that equals op(*args), or None."""
    a = args[0] if args else None
    b = args[1] if len(args) > 1 else None

    def fits(v: Any) -> bool:
        return isinstance(v, Value) and v.shape == tuple(like.shape) and v.dtype == like.dtype

    if (op is np.multiply and is_number(a, 1) and fits(b)) or (op is np.add and is_number(a, 0)):
        return b if fits(b) else None
    if (op in (np.multiply, np.divide) and is_number(b, 1)) or (
        op in (np.add, np.subtract) and is_number(b, 0)
    ):
        return a if fits(a) else None
    if op is np.power and is_number(b, 1):
        return a if fits(a) else None
    if op is np.broadcast_to and isinstance(a, Number) and not like.shape:
        return a
    if op in (np.reshape, np.broadcast_to) or name_of(op) == "astype":
        return a if fits(a) else None
    if op is np.transpose and len(args) == 1 and isinstance(a, Value):
        inner = a.args[0] if a.op is np.transpose and len(a.args) == 1 else None
        return inner if fits(inner) else (a if len(a.shape) < 2 else None)
    if op is np.negative and isinstance(a, Value) and a.op is np.negative:
        return a.args[0]
    return None


def unstretched(a: Any, other: Any, like: Any) -> Any:
    """The operand before np.broadcast_to, where the other operand stretches it all the same."""
    if not (isinstance(a, Value) and a.op is np.broadcast_to and isinstance(other, Value)):
        return a
    source = a.args[0]
    if other.shape == tuple(like.shape):
        if isinstance(source, Value):
            return source
        return weakest(Number(source.number, a.dtype), (other,))
    return a


def key_of(a: Any) -> Any:
    """What makes two arguments the same."""
    if isinstance(a, Value):
        return id(a)
    if isinstance(a, Length):
        return ("len", id(a.value), a.axis)
    if isinstance(a, slice):
        return ("slice", *map(key_of, (a.start, a.stop, a.step)))
    if isinstance(a, tuple) and not isinstance(a, Number):
        return tuple(map(key_of, a))
    return (type(a).__name__, repr(a))


def parts(v: Value) -> list[Any]:
    """The values and numbers among the arguments of `v`; a length stands for its value."""
    found: list[Any] = []
    stack: list[Any] = [*v.args, *v.kwargs.values()][::-1]
    while stack:
        a = stack.pop()
        if isinstance(a, (Value, Number)):
            found.append(a)
        elif isinstance(a, Length):
            found.append(a.value)
        elif isinstance(a, slice):
            stack += [a.step, a.stop, a.start]
        elif isinstance(a, tuple):
            stack += a[::-1]
    return found


def reads(v: Value) -> list[Value]:
    """The named values in the definition of `v`, in order, each once."""
    found: dict[int, Value] = {}
    stack = parts(v)[::-1]
    while stack:
        a = stack.pop()
        if isinstance(a, Value) and a.name is not None:
            found.setdefault(id(a), a)
        elif isinstance(a, Value):
            stack += parts(a)[::-1]
    return list(found.values())
