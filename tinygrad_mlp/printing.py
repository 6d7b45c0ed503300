"""Values as text: lines with the names of the code, and the source of a function in plain NumPy."""

import builtins
import keyword
import math
import operator
import re
import unicodedata
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from .errors import MissingVJPError
from .formatting import module_of, name_of
from .graph import Node
from .ops import astype, mse, relu
from .values import WEAK, Length, Number, Value, is_number, operands, reads

__all__ = [
    *("Derivation", "Line", "Parameter", "Printer", "fresh", "is_parameter", "live"),
    *("mangle", "parameters", "result_groups", "shape_comment"),
]


class Line(NamedTuple):
    """One line of a program: ``name = text``."""

    name: str
    """As in the code: ``dW[1]``."""
    text: str
    """The right-hand side, with display names: ``A[1].T @ dy``."""
    code: str
    """The right-hand side, with identifiers: ``A1.T @ dy``."""
    op: str
    """Name of the outermost op."""
    args: tuple[str, ...]
    """Names of the lines and inputs it reads, in order."""
    shape: tuple[int, ...]
    dtype: str
    role: str
    """"forward" or "backward"."""
    of: str
    """What a gradient is the gradient of: ``W[1]``; otherwise ''."""


# --- names ----------------------------------------------------------------------------------------

RESERVED = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "np"}
"""Names that an identifier must not hide."""


def fresh(text: str, taken: Any, names: dict[str, int] | None = None, gap: str = "_") -> str:
    """`text`, or with a number at its end if that is taken; `names` remembers the last number."""
    base, n = text, 1 if names is None else names.get(text, 1)
    while text in taken:
        n += 1
        text = f"{base}{gap}{n}"
    if names is not None:
        names[base] = n
    return text


def mangle(values: Sequence[Value]) -> dict[int, str]:
    """An identifier for each value: ASCII, unique, shadowing nothing."""
    taken = set(RESERVED)
    last: dict[str, int] = {}
    result = {}
    for v in values:
        text = unicodedata.normalize("NFKD", str(v.name)).encode("ascii", "ignore").decode()
        text = re.sub(r"\W", "", text)
        text = fresh(text if text[:1].isalpha() else f"v{text}", taken, last)
        taken.add(text)
        result[id(v)] = text
    return result


# --- printing -------------------------------------------------------------------------------------

INFIX = {
    np.matmul: ("@", 5),
    np.multiply: ("*", 5),
    np.divide: ("/", 5),
    np.floor_divide: ("//", 5),
    np.add: ("+", 4),
    np.subtract: ("-", 4),
    np.bitwise_and: ("&", 3),
    np.bitwise_or: ("|", 2),
    np.greater: (">", 1),
    np.greater_equal: (">=", 1),
    np.less: ("<", 1),
    np.less_equal: ("<=", 1),
    np.equal: ("==", 1),
    np.not_equal: ("!=", 1),
}
"""Ops written between their operands, and how tightly each binds."""

UNARY, POWER, ATOM = 6, 7, 8

Form = tuple[str, tuple[int, ...], int]
FORMS: dict[Any, Form] = {
    **{op: (f"%s {sign} %s", (n + (n == 1), n + 1), n) for op, (sign, n) in INFIX.items()},
    np.negative: ("-%s", (UNARY,), UNARY),
    np.power: ("%s ** %s", (ATOM, UNARY), POWER),
    np.transpose: ("%s.T", (ATOM,), ATOM),
    np.reshape: ("%s.reshape(%s)", (ATOM, 0), ATOM),
    astype: ("%s.astype(%s)", (ATOM, 0), ATOM),
}
"""How an op is written: with places for its operands, how tightly each must bind, and it itself."""

METHODS = {np.sum: "sum", np.mean: "mean", np.max: "max", np.min: "min"}


def whole_shape(v: Value) -> tuple[Length, ...]:
    """The lengths of all axes of `v`."""
    return tuple(Length(v, i) for i in range(len(v.shape)))


class Printer:
    """Expressions as text: with display names, or with `identifiers` as code for NumPy alone."""

    forms: Mapping[Any, Form] = FORMS

    def __init__(self, identifiers: dict[int, str] | None = None) -> None:
        self.identifiers = identifiers
        self.standalone = identifiers is not None
        if self.standalone:
            self.forms = {**FORMS, relu: ("np.maximum(%s, 0)", (0,), ATOM)}
        self.taken = {*RESERVED, *(identifiers or {}).values()}
        self.helpers: dict[Any, str] = {}  # functions the code calls that NumPy has not

    def text(self, a: Any, least: int = 0) -> str:
        """`a`, in parentheses if it binds less than `least`."""
        text, binds = self.expression(a)
        return f"({text})" if binds < least else text

    def expression(self, a: Any) -> tuple[str, int]:
        """The text of `a` and how tightly it binds."""
        if isinstance(a, Value):
            if a.name is None:
                return self.definition(a)
            return (self.identifiers or {}).get(id(a), a.name), ATOM
        if isinstance(a, Number):
            return number_text(a)
        if isinstance(a, Length):
            return self.length(a), ATOM
        if isinstance(a, slice):
            return f"slice({self.text(a.start)}, {self.text(a.stop)}, {self.text(a.step)})", ATOM
        if isinstance(a, tuple) and a and isinstance(a[0], str):
            binds = 4 if a[0] in "+-" else 5
            rest = [self.text(b, binds + 1) for b in a[2:]]
            return f" {a[0]} ".join([self.text(a[1], binds), *rest]), binds
        if isinstance(a, tuple):
            return self.shape(a), ATOM
        if a is Ellipsis:
            return "...", ATOM
        if isinstance(a, (np.dtype, type)):
            return f"np.{np.dtype(a).name}", ATOM
        if not is_literal(a):
            raise MissingVJPError(f"derive: {type(a).__name__} {a!r:.60} cannot be written out.")
        return repr(a), ATOM

    def part(self, a: Any) -> str:
        """One part of an index."""
        if not isinstance(a, slice):
            return self.text(a)
        parts = ["" if b is None else self.text(b) for b in (a.start, a.stop, a.step)]
        return ":".join(parts if parts[2] else parts[:2])

    def length(self, a: Length) -> str:
        """A size: ``len(y)``, ``y.shape[1]`` or ``y.size``."""
        name = self.text(a.value, ATOM)
        if a.axis is None:
            return f"{name}.size"
        return f"{name}.shape[{a.axis}]" if a.axis else f"len({self.text(a.value)})"

    def shape(self, a: tuple[Any, ...]) -> str:
        """A tuple; the sizes of one value in order are its shape."""
        first = a[0] if a else None
        if isinstance(first, Length) and a == whole_shape(first.value):
            return f"{self.text(first.value, ATOM)}.shape"
        inner = ", ".join(self.text(b) for b in a)
        return f"({inner},)" if len(a) == 1 else f"({inner})"

    def definition(self, v: Value) -> tuple[str, int]:
        """The op of `v` applied to its arguments."""
        op, args = v.op, operands(v)
        if op in WEAK or isinstance(args[0], Value):
            form = self.formed(op, args)
            if form is not None:
                return form
        if op is operator.getitem:
            index = ", ".join(self.part(b) for b in args[1:]) or "()"
            return f"{self.text(args[0], ATOM)}[{index}]", ATOM
        if op in METHODS and isinstance(args[0], Value):
            given = self.rest(args[1:], v.kwargs, ("axis",))
            return f"{self.text(args[0], ATOM)}.{METHODS[op]}({given})", ATOM
        if op is np.broadcast_to and isinstance(args[0], Number):
            like = self.like(args[1])
            if like is not None and like.dtype == v.dtype:
                ones = is_number(args[0], 1)
                function = "np.ones_like(" if ones else "np.full_like("
                number = "" if ones else f", {self.text(args[0])}"
                return f"{function}{self.text(like)}{number})", ATOM
            dtype = "" if v.dtype == np.float64 else f", {self.text(v.dtype)}"
            return f"np.full({self.text(args[1])}, {self.text(args[0])}{dtype})", ATOM
        if op is np.clip:  # np.clip(a, low) is no call that NumPy knows
            bounds = [self.text(b) for b in (*args[1:], None)[:2]]
            return f"np.clip({self.text(args[0])}, {', '.join(bounds)})", ATOM
        if op in (np.concatenate, np.stack):
            inner = ", ".join(self.text(b) for b in args)
            axis = "".join(f", {k}={self.text(b)}" for k, b in v.kwargs.items() if b != Number(0))
            return f"np.{op.__name__}([{inner}]{axis})", ATOM
        if self.standalone and op is mse:
            return self.mse(v)
        return f"{self.function(op)}({self.rest(args, v.kwargs)})", ATOM

    def formed(self, op: Any, args: tuple[Any, ...]) -> tuple[str, int] | None:
        """The op in its form, if it has one for so many operands."""
        template, least, binds = self.forms.get(op, ("", (), ATOM))
        if not template or len(args) != len(least):
            return None
        return template % tuple(map(self.text, args, least)), binds

    def like(self, shape: Any) -> Any:
        """The value that `shape` is the whole shape of, if there is one."""
        if isinstance(shape, tuple) and shape and isinstance(shape[0], Length):
            value = shape[0].value
            return value if shape == whole_shape(value) else None
        return None

    def rest(self, args: Any, kwargs: dict[str, Any], keywords: tuple[str, ...] = ()) -> str:
        """The arguments of a call, the first ones as these keywords."""
        parts = [
            f"{keywords[i]}={self.text(a)}" if i < len(keywords) else self.text(a)
            for i, a in enumerate(args)
        ]
        return ", ".join([*parts, *(f"{k}={self.text(a)}" for k, a in kwargs.items())])

    def function(self, op: Any) -> str:
        """The name to call `op` by."""
        name = name_of(op)
        if getattr(np, name, None) is op:
            return f"np.{name}"
        if not self.standalone:
            return name
        if not module_of(op).startswith("numpy"):
            return self.helpers.setdefault(op, fresh(name, {*self.taken, *self.helpers.values()}))
        return f"np.{module_of(op).partition('.')[2]}.{name}"

    def mse(self, v: Value) -> tuple[str, int]:
        """Mean squared error in NumPy."""
        y, t = (self.text(a, 5) for a in v.args[:2])
        reduction = v.kwargs.get("reduction", v.args[2] if len(v.args) > 2 else "batchmean")
        squares = f"(({y} - {t}) ** 2)"
        if reduction == "none":
            return squares[1:-1], POWER
        if reduction == "sum":
            return f"{squares}.sum()", ATOM
        y = self.text(v.args[0], ATOM)
        count = f"{y}.size" if reduction == "mean" else f"len({y})" if v.args[0].shape else "1"
        return f"{squares}.sum() / {count}", 5


def is_literal(a: Any) -> bool:
    """Whether `repr(a)` is code for `a`."""
    if isinstance(a, (list, tuple)):
        return all(map(is_literal, a))
    return a is None or a is Ellipsis or isinstance(a, (bool, int, str, bytes, complex))


def number_text(a: Number) -> tuple[str, int]:
    """A number as code; a whole float as an integer."""
    n = a.number
    if isinstance(n, bool) or not isinstance(n, (int, float)):
        return repr(n), ATOM
    if not math.isfinite(n):
        text = "np.nan" if n != n else ("np.inf" if n > 0 else "-np.inf")
    else:
        text = repr(int(n)) if float(n).is_integer() and abs(n) < 2**53 else repr(float(n))
    if a.dtype is not None:
        return f"np.{np.dtype(a.dtype).name}({text})", ATOM
    return text, ATOM if text[0] != "-" else UNARY


# --- shapes ---------------------------------------------------------------------------------------


def shape_comment(v: Value) -> str:
    """The shapes that the outermost op of `v` combines and makes: ``(3, 5) @ (5, 1) -> (3, 1)``."""
    shapes = [a.shape for a in v.args if isinstance(a, Value)]
    if v.op is np.matmul and len(shapes) == 2:
        return f"{shapes[0]} @ {shapes[1]} -> {v.shape}"
    if len(shapes) == 1 and shapes[0] != v.shape:
        return f"{shapes[0]} -> {v.shape}"
    return str(v.shape)


# --- a derivation ---------------------------------------------------------------------------------


class Parameter(NamedTuple):
    """A parameter of the emitted function: one input, or a list of inputs."""

    name: str
    inputs: list[Value]
    is_list: bool

    def default(self) -> Any:
        """The arrays it had when the program was derived."""
        arrays = [getattr(v.node, "_data", v.node) for v in self.inputs]
        return arrays if self.is_list else arrays[0]


class Derivation(NamedTuple):
    """Everything that was derived, named and in order, before it becomes text."""

    inputs: list[Value]
    lines: list[Value]
    """Forward, then backward."""
    results: list[tuple[Value, Value]]
    """(what it is the gradient of, the gradient)."""
    loss: Value
    batch: int | None
    """Length of the batch when derived, if the program is right for any other; else None."""
    smallest: int = 1
    """The smallest batch it is right for, if it is for others."""
    gradients: Mapping[str, Any] = MappingProxyType({})
    """Name of a value -> its gradient: a line, or a Number."""

    def identifiers(self) -> dict[int, str]:
        """An identifier for each input and line."""
        return mangle([*self.inputs, *self.lines])


def is_parameter(v: Value) -> bool:
    """Whether an input is a Tensor that requires a gradient; any other is data."""
    return isinstance(v.node, Node) and v.node.requires_grad


def parameters(d: Derivation, ids: dict[int, str]) -> list[Parameter]:
    """The parameters of the emitted function: W[0], W[1] ... as one list W, then the others."""
    groups: dict[str, list[Value]] = {}
    for v in d.inputs:
        match = re.fullmatch(r"([A-Za-z_]\w*)\[\d+\]", str(v.name))
        if match and is_parameter(v):
            groups.setdefault(match[1], []).append(v)
    lists = [
        Parameter(name, members, True)
        for name, members in groups.items()
        if [v.name for v in members] == [f"{name}[{i}]" for i in range(len(members))]
        and name not in RESERVED.union(ids.values())
    ]
    inside = {id(v) for p in lists for v in p.inputs}
    return lists + [Parameter(ids[id(v)], [v], False) for v in d.inputs if id(v) not in inside]


def live(d: Derivation) -> set[int]:
    """The values that the results are computed from."""
    stack = [v for _, v in d.results]
    seen = set(map(id, stack))
    while stack:
        for r in reads(stack.pop()):
            if id(r) not in seen:
                seen.add(id(r))
                stack.append(r)
    return seen


def result_groups(d: Derivation, taken: list[Parameter]) -> list[tuple[bool, list[Value]]]:
    """The gradients, grouped and ordered as the parameters are; those of intermediates last."""
    of = {id(x): g for x, g in d.results}
    groups = []
    for p in taken:
        members = [of.pop(id(v)) for v in p.inputs if id(v) in of]
        groups += [(p.is_list, members)] if members else []
    return groups + [(False, [g]) for g in of.values()]
