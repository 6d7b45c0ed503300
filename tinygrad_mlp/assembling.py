"""A derived program as instructions, each with the buffer that it fills.

The values of a derivation become instructions, under the same names. A plan of which result may lie
where gives each its buffer: an array is used again once its value was read for the last time.
"""

import itertools
import math
import operator
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .deriving import Program
from .ops import SMALL, mse, relu
from .values import Number, Value, key_of, resolved

__all__ = ["Builder", "aligned", "placed", "shared_block"]

VIEWS = {np.transpose, np.swapaxes, np.reshape, np.expand_dims, np.squeeze, np.broadcast_to}
VIEWS |= {operator.getitem, np.einsum}  # of one operand
"""Ops whose result may share the memory of their first argument."""


class Instruction(NamedTuple):
    """One call of the emitted program."""

    result: str
    """The name it fills or binds."""
    text: str
    """The statement, with {out} where the buffer goes; an expression for what gets no buffer."""
    reads: tuple[str, ...]
    shape: tuple[int, ...] | None
    """Of the buffer to fill; None if the statement binds its name itself."""
    dtype: Any
    in_place: bool
    """Whether the output may be the memory of an argument of the same shape and dtype."""
    view_of: str | None


class Builder:
    """Turns the values of a derivation into instructions."""

    def __init__(self, program: Program) -> None:
        self.derivation = program._derivation
        self.names = self.derivation.identifiers()
        self.taken = set(self.names.values())
        self.scope: dict[str, Any] = {"np": np}
        self.steps: list[Instruction] = []
        self.made: dict[Any, str] = {}
        self.numbers = itertools.count(1)
        for v in self.derivation.lines:
            self.emit(v, self.names[id(v)])

    def constant(self, value: Any, prefix: str = "k") -> str:
        """A name for an object that the program needs."""
        for name, known in self.scope.items():
            if known is value:
                return name
        name = self.fresh(prefix)
        self.scope[name] = value
        return name

    def fresh(self, prefix: str) -> str:
        """A name that the program has not."""
        names = (f"{prefix}{n}" for n in self.numbers)
        return next(name for name in names if name not in self.taken)

    def number(self, a: Any, dtype: Any) -> str:
        """A number as a 0-d array, which a ufunc takes faster than a number."""
        key = ("number", repr(a), str(dtype))
        if key not in self.made:
            self.made[key] = self.constant(np.array(a, dtype))
        return self.made[key]

    def function(self, op: Any) -> str:
        """A function of NumPy by its own name."""
        self.scope[op.__name__] = op
        return str(op.__name__)

    def operand(self, a: Any, dtype: Any) -> str:
        """The name of an operand of a ufunc."""
        if isinstance(a, Value):
            return self.name(a)
        a = fixed(a)
        return self.number(a, a.dtype if isinstance(a, np.generic) else dtype)

    def name(self, v: Value) -> str:
        """The name of a value, computed before if it has no line."""
        if id(v) in self.names:
            return self.names[id(v)]
        key = (v.op, tuple(map(key_of, v.args)), tuple(map(key_of, v.kwargs.items())))
        if key not in self.made:
            self.made[key] = self.fresh("h_")
            self.emit(v, self.made[key])
        return self.made[key]

    def add(self, name: str, text: str, reads: Any, v: Any, **how: Any) -> None:
        """Append an instruction that makes `v`."""
        step = {"shape": v.shape, "dtype": v.dtype, "in_place": False, "view_of": None} | how
        self.steps.append(Instruction(name, text, tuple(reads), **step))

    def emit(self, v: Value, name: str) -> None:
        """The instructions that compute `v` under `name`."""
        op, args = v.op, v.args
        if op is relu and v.shape:
            op, args = np.maximum, (args[0], Number(0))
        if op is mse and len(args) == 2 and not v.kwargs:
            return self.mean_square(v, name)
        scaled = self.scaled(v)
        if scaled is not None:
            op, args = np.multiply, (scaled[0], Number(scaled[1]))
        if op is np.matmul and all(isinstance(a, Value) and len(a.shape) == 2 for a in args):
            a, b = map(self.name, args)
            fast = math.prod(v.shape) <= SMALL and all(a.dtype == v.dtype for a in args)
            text = f"{a}.dot({b}, {{out}})" if fast else f"{self.function(op)}({a}, {b}, {{out}})"
            return self.add(name, text, (a, b), v)
        if op is np.sum and v.shape and isinstance(args[0], Value):
            return self.reduction(v, name)
        if isinstance(op, np.ufunc) and op.nout == 1 and v.shape and op is not np.ldexp:
            # operands in the result's dtype, but for comparisons, which make booleans
            dtype = next((a.dtype for a in args if isinstance(a, Value)), v.dtype)
            if op is np.multiply and v.dtype.kind == "f":
                args = tuple(map(self.slope, args))
            names = [self.operand(a, dtype) for a in args]
            reads = [n for n, a in zip(names, args, strict=True) if isinstance(a, Value)]
            out = "out={out}" if op in (np.maximum, np.minimum) else "{out}"  # as NumPy wants it
            text = f"{self.function(op)}({', '.join(names)}, {out})"
            return self.add(name, text, reads, v, in_place=True)
        return self.call(v, name)

    def slope(self, a: Any) -> Any:
        """The mask of a small relu as floats: a product with booleans would cast them, slowly."""
        if isinstance(a, Value) and a.op is np.greater and id(a) not in self.names:
            x, zero = a.args
            small = isinstance(x, Value) and x.op is relu and math.prod(x.shape) <= 512
            if small and isinstance(zero, Number) and zero.number == 0:
                return Value(np.sign, (x,), {}, np.broadcast_to(np.zeros((), x.dtype), x.shape))
        return a

    def scaled(self, v: Value) -> tuple[Value, float] | None:
        """`v` as a value times a number, through several products and quotients."""
        factor, x = 1.0, v
        while x.op in (np.multiply, np.divide) and (x is v or id(x) not in self.names):
            a, b = x.args
            if isinstance(a, Value) and not isinstance(b, Value):
                n = fixed(b)
                factor = factor * n if x.op is np.multiply else factor / n if n else math.nan
                x = a
            elif isinstance(b, Value) and not isinstance(a, Value) and x.op is np.multiply:
                factor, x = factor * fixed(a), b
            else:
                break
        usable = x is not v and x.shape == v.shape and x.dtype == v.dtype
        return (x, factor) if usable and v.shape and math.isfinite(factor) else None

    def mean_square(self, v: Value, name: str) -> None:
        """The loss from the differences, which the backward pass has use for too."""
        y, t = v.args
        e = Value(np.subtract, (y, t), {}, np.broadcast_to(np.zeros((), y.dtype), y.shape))
        e.dtype = np.result_type(y.dtype, t.dtype) if isinstance(t, Value) else y.dtype
        difference = self.name(e)
        batch = self.constant(e.dtype.type(y.shape[0] if y.shape else 1), "batch")
        text = f"{difference}.ravel().dot({difference}.ravel()) / {batch}"
        self.add(name, text, [difference], v, shape=None)

    def reduction(self, v: Value, name: str) -> None:
        """A sum; over the first axis of a matrix, a product with ones."""
        x = v.args[0]
        reads = [self.name(x)]
        axis = fixed(v.args[1]) if len(v.args) > 1 else None
        keepdims = bool(v.kwargs.get("keepdims", False))
        if axis == 0 and len(x.shape) == 2 and not keepdims and x.dtype.kind == "f":
            ones = self.number_array(x.shape[0], x.dtype)
            return self.add(name, f"{ones}.dot({reads[0]}, {{out}})", reads, v)
        self.scope["total"] = np.add.reduce
        text = f"total({reads[0]}, axis={axis!r}, out={{out}}, keepdims={keepdims})"
        return self.add(name, text, reads, v)

    def number_array(self, n: int, dtype: Any) -> str:
        """A vector of ones."""
        key = ("ones", n, str(dtype))
        if key not in self.made:
            self.made[key] = self.constant(np.ones(n, dtype), "ones")
        return self.made[key]

    def call(self, v: Value, name: str) -> None:
        """Any other op, which makes an array of its own."""
        words = [self.anything(a) for a in v.args]
        more = [f"{k}={self.anything(a)}" for k, a in v.kwargs.items()]
        reads = [self.name(a) for a in [*v.args, *v.kwargs.values()] if isinstance(a, Value)]
        if v.op is operator.getitem:
            text = f"{words[0]}[{', '.join(words[1:]) or '()'}]"
        elif v.op is np.transpose and len(words) == 1:
            text = f"{words[0]}.T"
        elif v.op in (np.concatenate, np.stack):
            keywords = {k: fixed(a) for k, a in v.kwargs.items()}
            text = f"{self.constant(v.op, 'f')}([{', '.join(words)}], **{keywords!r})"
        else:
            words += ["None"] * (3 - len(words)) if v.op is np.clip else more
            fun = self.constant(getattr(v.op, "__wrapped__", v.op), "f")
            text = f"{fun}({', '.join(words)})"
        shared = reads[0] if v.op in VIEWS and reads else None
        self.add(name, text, reads, v, shape=None, view_of=shared)

    def anything(self, a: Any) -> str:
        """An argument of a call: a name, or an object under a name of its own."""
        if isinstance(a, Value):
            return self.name(a)
        a = fixed(a)
        spelled = a is None or (isinstance(a, (int, float)) and math.isfinite(a))
        return repr(a) if spelled else self.constant(a, "c")


def fixed(a: Any) -> Any:
    """An argument that is no value, as the object that it is; shapes are fixed here."""
    return resolved(a, lambda v: v)


def aligned(n: int, dtype: Any) -> Any:
    """An array of `n` entries that begins at a multiple of 64 bytes, as the products like it."""
    size = np.dtype(dtype).itemsize
    raw = np.empty(n * size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + n * size].view(dtype)


def placed(builder: Builder, kept: dict[str, Any]) -> Iterator[tuple[Instruction, str]]:
    """Give every instruction its buffer; those in `kept` have one of their own.

    A buffer is free for the next result after the last instruction that reads it or a view of it;
    an elementwise instruction may write over an argument that it is the last to read.
    """
    root: dict[str, str] = {}
    for step in builder.steps:
        root[step.result] = root.get(step.view_of, step.view_of) if step.view_of else step.result
    last: dict[str, int] = {}
    for i, step in enumerate(builder.steps):
        for name in step.reads:
            last[root.get(name, name)] = i
    free: dict[Any, list[Any]] = {}  # by shape and dtype
    owner: dict[str, Any] = {}

    def give_back(names: list[str]) -> None:
        for name in names:
            array = owner.pop(name)
            free.setdefault((array.shape, array.dtype), []).append(array)

    for i, step in enumerate(builder.steps):
        ending = [n for n in {root.get(n, n) for n in step.reads} if last[n] == i and n in owner]
        array = kept.get(step.result)
        if step.shape is None:
            if step.view_of in builder.scope and step.text.endswith(".T"):
                array = builder.scope[step.view_of].T  # for good
            elif array is None:
                yield step, f"{step.result} = {step.text}"
            else:
                yield step, f"{step.result}[...] = {step.text}"
        else:
            key = (step.shape, step.dtype)
            if array is None:
                if step.in_place:
                    give_back([n for n in ending if (owner[n].shape, owner[n].dtype) == key])
                fresh = not free.get(key)
                array = aligned(math.prod(step.shape), step.dtype) if fresh else free[key].pop()
                array = array.reshape(step.shape)
                ending = [n for n in ending if n in owner]
                owner[step.result] = array
            yield step, step.text.replace("{out}", step.result)
        if array is not None:
            builder.scope[step.result] = array
        give_back(ending)


def shared_block(tensors: list[Any]) -> tuple[Any, list[Any]]:
    """One block of memory for tensors of one dtype, and in it an array like each of them."""
    block = aligned(sum(t.size for t in tensors), tensors[0].dtype)
    arrays, start = [], 0
    for t in tensors:
        arrays.append(block[start : start + t.size].reshape(t.shape))
        start += t.size
    return block, arrays
