"""Run a derived program without a graph, every array allocated once: `jit`.

A function is traced once for each set of shapes and dtypes. The derived program becomes a list of
instructions; a plan of which result may lie where gives each its buffer; what is emitted is the
derived text with the buffers as outputs, under the same names.
"""

import math
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .deriving import Program, derive
from .errors import GradientError, ShapeError
from .formatting import describe
from .graph import base_of, sealed, wrote
from .ops import SMALL, mse, relu
from .optim import BLOCK, SGD, Optimizer
from .tensor import Tensor
from .values import Number, Value, key_of, resolved

__all__ = ["Compiled", "jit"]

ndarray = np.ndarray
VIEWS = {np.transpose, np.swapaxes, np.reshape, np.expand_dims, np.squeeze, np.broadcast_to}
VIEWS |= {np.einsum}  # of one operand
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
        self.count = 0
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
        self.count += 1
        while f"{prefix}{self.count}" in self.taken:
            self.count += 1
        return f"{prefix}{self.count}"

    def number(self, a: Any, dtype: Any) -> str:
        """A number as a 0-d array, which a ufunc takes faster than a number."""
        key = ("number", repr(a), str(dtype))
        if key not in self.made:
            self.made[key] = self.constant(np.array(a, dtype))
        return self.made[key]

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
        if op is relu:
            reads = [self.name(args[0])]
            text = f"maximum({reads[0]}, {self.number(0, v.dtype)}, out={{out}})"
            self.scope["maximum"] = np.maximum
            return self.add(name, text, reads, v, in_place=True)
        if op is mse and len(args) == 2 and not v.kwargs:
            return self.mean_square(v, name)
        scaled = self.scaled(v)
        if scaled is not None:
            x, factor = scaled
            reads = [self.name(x)]
            self.scope["multiply"] = np.multiply
            text = f"multiply({reads[0]}, {self.number(factor, v.dtype)}, {{out}})"
            return self.add(name, text, reads, v, in_place=True)
        if op is np.matmul and all(isinstance(a, Value) and len(a.shape) == 2 for a in args):
            reads = [self.name(a) for a in args]
            fast = math.prod(v.shape) <= SMALL and all(a.dtype == v.dtype for a in args)
            self.scope["matmul"] = np.matmul
            text = "{}.dot({}, {{out}})" if fast else "matmul({}, {}, {{out}})"
            return self.add(name, text.format(*reads), reads, v)
        if op is np.sum and v.shape and isinstance(args[0], Value):
            return self.reduction(v, name)
        if isinstance(op, np.ufunc) and op.nout == 1 and v.shape and op is not np.ldexp:
            # operands in the result's dtype, but for comparisons, which make booleans
            dtype = next((a.dtype for a in args if isinstance(a, Value)), v.dtype)
            names = [self.operand(self.slope(a), dtype) for a in args]
            self.scope[op.__name__] = op
            reads = [n for n, a in zip(names, args, strict=True) if isinstance(a, Value)]
            out = "out={out}" if op in (np.maximum, np.minimum) else "{out}"  # as NumPy wants it
            text = f"{op.__name__}({', '.join(names)}, {out})"
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
        fun = getattr(v.op, "__wrapped__", v.op) if not isinstance(v.op, np.ufunc) else v.op
        if v.op in (np.concatenate, np.stack):
            fun = v.op
            inner = [self.name(a) for a in v.args]
            keywords = {k: fixed(a) for k, a in v.kwargs.items()}
            text = f"{self.constant(fun, 'f')}([{', '.join(inner)}], **{keywords!r})"
            return self.add(name, text, inner, v, shape=None)
        if v.op.__name__ == "getitem":
            index = [self.anything(a) for a in v.args[1:]]
            x = self.name(v.args[0])
            reads = [x, *(self.name(a) for a in v.args[1:] if isinstance(a, Value))]
            return self.add(
                name, f"{x}[{', '.join(index) or '()'}]", reads, v, shape=None, view_of=x
            )
        if v.op is np.transpose and len(v.args) == 1:
            x = self.name(v.args[0])
            return self.add(name, f"{x}.T", [x], v, shape=None, view_of=x)
        words = [self.anything(a) for a in v.args]
        words += [f"{k}={self.anything(a)}" for k, a in v.kwargs.items()]
        if v.op is np.clip:
            words += ["None"] * (3 - len(words))
        reads = [self.name(a) for a in [*v.args, *v.kwargs.values()] if isinstance(a, Value)]
        shared = reads[0] if v.op in VIEWS and reads else None
        text = f"{self.constant(fun, 'f')}({', '.join(words)})"
        return self.add(name, text, reads, v, shape=None, view_of=shared)

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
    free: dict[Any, list[Any]] = {}
    owner: dict[str, Any] = {}
    for i, step in enumerate(builder.steps):
        ending = [n for n in {root.get(n, n) for n in step.reads} if last[n] == i and n in owner]
        if step.shape is None:
            release(ending, owner, free)
            if step.view_of in builder.scope and step.text.endswith(".T"):
                builder.scope[step.result] = builder.scope[step.view_of].T  # for good
                continue
            if step.result in kept:
                builder.scope[step.result] = kept[step.result]
                yield step, f"{step.result}[...] = {step.text}"
            else:
                yield step, f"{step.result} = {step.text}"
            continue
        key = (step.shape, step.dtype)
        if step.result in kept:
            array = kept[step.result]
        else:
            if step.in_place:
                ending = release(ending, owner, free, key)
            array = free[key].pop() if free.get(key) else None
            if array is None:
                array = aligned(math.prod(step.shape), step.dtype).reshape(step.shape)
            owner[step.result] = array
        release(ending, owner, free)
        builder.scope[step.result] = array
        yield step, step.text.replace("{out}", step.result)


def release(
    names: list[str], owner: dict[str, Any], free: dict[Any, list[Any]], only: Any = None
) -> list[str]:
    """Put buffers back, all of them or those of one kind; what is left is returned."""
    left = []
    for name in names:
        array = owner[name]
        key = (array.shape, array.dtype)
        if only is not None and key != only:
            left.append(name)
            continue
        del owner[name]
        free.setdefault(key, []).append(array)
    return left


class Plan:
    """A function compiled for one set of shapes."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], optimizer: Any) -> None:
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        if len(args) != len(names):
            raise TypeError(f"jit: {len(args)} arguments for a function of ({', '.join(names)}).")
        inputs = [Tensor(a, name=name) for name, a in zip(names, args, strict=True)]
        with sealed():
            loss = function(*inputs)
        if not isinstance(loss, Tensor) or loss.size != 1:
            raise GradientError(
                f"jit: the function must return a scalar loss, not {describe(loss, 'a Tensor')}."
            )
        self.program = derive(loss)
        derivation = self.program._derivation
        self.tensors = [x.node for x, _ in derivation.results]
        builder = Builder(self.program)
        self.optimizer = optimizer
        gradients = self.flat_gradients(derivation, builder)
        self.flat_parameters()
        own = {id(t): name for t, name in zip(inputs, names, strict=True)}
        parameters = []
        for v in derivation.inputs:
            name = builder.names[id(v)]
            if id(v.node) in own:
                parameters.append((own[id(v.node)], name))
            else:
                builder.scope[name] = getattr(v.node, "_data", v.node)
        placed_steps = list(placed(builder, gradients))
        self.watch = Watch(function)
        self.kinds = [(a.shape, a.dtype) for a in args]
        self.bound = [(t, t._data) for t in self.tensors]
        self.slopes = list(zip(self.tensors, self.grads, strict=True))
        renamed = dict(parameters)
        signature = ", ".join(renamed.get(n, f"_{n}") for n in names)
        top = builder.names[id(derivation.loss)]
        needed = {top}
        for step, _ in reversed(placed_steps):
            if step.result in needed:
                needed.update(step.reads)
        rows = [row for _, row in placed_steps]
        forward = [row for step, row in placed_steps if step.result in needed]
        rows += self.update(builder)
        self.source = "\n    ".join([f"def run({signature}):", *rows, f"return {top}"]) + "\n"
        value = "\n    ".join([f"def value({signature}):", *forward, f"return {top}"]) + "\n"
        exec(compile(self.source + value, "<compiled>", "exec"), builder.scope)
        self.run = builder.scope.pop("run")  # which holds the scope
        self.value = builder.scope.pop("value")

    def fits(self, args: tuple[Any, ...]) -> bool:
        """Whether the program was made for these shapes and dtypes."""
        if len(args) != len(self.kinds):
            return False
        for a, (shape, dtype) in zip(args, self.kinds):
            if type(a) is not ndarray or a.shape != shape or a.dtype is not dtype:
                return False
        return True

    def is_valid(self) -> bool:
        """Whether all that the program was made with is as it was, the parameters' arrays too."""
        if not self.watch.unchanged():
            return False
        for t, data in self.bound:  # noqa: SIM110  # a generator would cost 0.3 us more
            if t._data is not data:
                return False
        return True

    def flat_gradients(self, derivation: Any, builder: Builder) -> dict[str, Any]:
        """One block of memory for all gradients of a dtype; the arrays by name."""
        self.grads: list[Any] = []
        kept = {}
        dtypes = {t.dtype for t in self.tensors}
        self.block: Any = None
        if len(dtypes) == 1:
            self.block = aligned(sum(t.size for t in self.tensors), dtypes.pop())
        start = 0
        for x, g in derivation.results:
            if self.block is None:
                array = np.empty(x.shape, x.dtype)
            else:
                size = math.prod(x.shape)
                array = self.block[start : start + size].reshape(x.shape)
                start += size
            kept[builder.names[id(g)]] = array
            self.grads.append(array)
        return kept

    def flat_parameters(self) -> None:
        """With plain SGD: one block of memory for all parameters, so that a step is two calls."""
        self.parameters: Any = None
        self.memory: Any = None  # what owns them
        o = self.optimizer
        plain = type(o) is SGD and not o.state[0] and self.block is not None
        if not plain or {id(p) for p in o.params} != {id(t) for t in self.tensors}:
            return
        self.parameters = aligned(self.block.size, self.block.dtype)
        self.memory = base_of(self.parameters)
        start = 0
        for t in self.tensors:
            array = self.parameters[start : start + t.size].reshape(t.shape)
            array[...] = t._data
            t._data = array
            start += t.size

    def update(self, builder: Builder) -> list[str]:
        """The statements of the optimizer's step."""
        if self.parameters is None:
            return []
        n = self.block.size
        scratch = aligned(min(n, BLOCK), self.block.dtype)
        builder.scope |= {"sgd": self.optimizer, "multiply": np.multiply, "subtract": np.subtract}
        builder.scope["rate"] = np.zeros((), self.block.dtype)
        if n <= BLOCK:
            builder.scope |= {
                "parameters": self.parameters,
                "gradients": self.block,
                "step": scratch,
            }
            return [
                "rate[...] = sgd.lr",
                "multiply(gradients, rate, step)",
                "subtract(parameters, step, parameters)",
            ]
        builder.scope["blocks"] = [
            (
                self.parameters[i : i + BLOCK],
                self.block[i : i + BLOCK],
                scratch[: min(BLOCK, n - i)],
            )
            for i in range(0, n, BLOCK)
        ]
        return [
            "rate[...] = sgd.lr",
            "for parameters, gradients, step in blocks:",
            "    multiply(gradients, rate, step)",
            "    subtract(parameters, step, parameters)",
        ]


class Watch:
    """What a function reads from outside by name, to see whether that changes between calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        scope = function.__globals__
        names = [n for n in function.__code__.co_names if n in scope and not is_code(scope[n])]
        self.globals = [(scope, n, scope[n]) for n in names]
        self.cells = [(c, c.cell_contents) for c in function.__closure__ or ()]
        objects = [v for *_, v in self.globals] + [v for _, v in self.cells]
        self.scalars = [(v, scalar_of(v)) for v in objects if scalar_of(v) is not None]

    def unchanged(self) -> bool:
        """Whether every name still means the same object, and every 0-d array the same number."""
        for cell, value in self.cells:
            if cell.cell_contents is not value:
                return False
        for scope, name, value in self.globals:
            if scope.get(name) is not value:
                return False
        return not self.scalars or all(scalar_of(v) == number for v, number in self.scalars)


def is_code(a: Any) -> bool:
    """Whether `a` is a module, a function or a class, which are taken to stay what they are."""
    return isinstance(a, (types.ModuleType, types.FunctionType, type))


def scalar_of(a: Any) -> Any:
    """The number in a 0-d array or Tensor that is a constant of the program; otherwise None."""
    if isinstance(a, Tensor) and not a.requires_grad:
        a = a._data
    return a.item() if isinstance(a, np.ndarray) and a.ndim == 0 else None


class Compiled:
    """What `jit` returns: call it with arrays.

    Attributes
    ----------
    source : str
        The text that ran last, in NumPy.
    program : Program
        The derivation it was made from.
    """

    def __init__(self, function: Any, optimizer: Optimizer | None, debug: bool) -> None:
        self.function = function
        self.optimizer = optimizer
        self.debug = debug
        self._plans: dict[Any, Plan] = {}
        self._lock = threading.Lock()
        self._plan: Plan | None = None

    def _planned(self, args: tuple[Any, ...]) -> tuple[Plan, tuple[Any, ...]]:
        """The plan for these shapes, new if what the function reads has changed, and the arrays."""
        plan = self._plan
        if plan is None or not plan.fits(args):
            args = tuple([array_of(a) for a in args])
            plan = self._plans.get(tuple([(a.shape, a.dtype) for a in args]))
        if plan is None or not plan.is_valid():
            plan = Plan(self.function, args, self.optimizer)
            self._plans[tuple([(a.shape, a.dtype) for a in args])] = plan
        self._plan = plan
        return plan, args

    def __call__(self, *args: Any) -> Any:
        """The loss; gradients are left in ``.grad`` of the parameters, replaced, not added."""
        with self._lock:
            plan, args = self._planned(args)
            expected = self._eager(args, plan) if self.debug else None
            loss = plan.run(*args)
            for t, g in plan.slopes:
                t.grad = g
            if expected is not None:
                compared(expected, [loss, *plan.grads])
            if plan.parameters is not None:
                wrote([plan.memory])
            elif self.optimizer is not None:
                self.optimizer.step()
            return loss

    def value(self, *args: Any) -> Any:
        """The loss alone: no gradients, no step."""
        with self._lock:
            plan, args = self._planned(args)
            return plan.value(*args)

    def _eager(self, args: tuple[Any, ...], plan: Plan) -> list[Any]:
        """Loss and gradients by the graph."""
        from .transforms import grad

        loss = self.function(*map(Tensor, args))
        return [loss.data, *grad(loss, plan.tensors)]

    @property
    def source(self) -> str:
        """The text of the last run."""
        return self._last().source

    @property
    def program(self) -> Program:
        """The derivation of the last run."""
        return self._last().program

    def _last(self) -> Plan:
        if self._plan is None:
            raise GradientError(
                "jit: nothing is compiled before the first call; call it with data."
            )
        return self._plan


def array_of(a: Any) -> Any:
    """An argument as an array; a Tensor must be a constant."""
    if isinstance(a, Tensor):
        if a.requires_grad:
            raise GradientError(
                f"jit: {describe(a)} requires a gradient; let the function read it."
            )
        return a._data
    return np.asarray(a)


def compared(expected: list[Any], got: list[Any]) -> None:
    """Complain where the compiled program does not compute what the graph does."""
    for a, b in zip(expected, got, strict=True):
        scale = float(np.max(np.abs(a), initial=0.0)) or 1.0
        if np.max(np.abs(a - b), initial=0.0) > 1e4 * np.finfo(np.asarray(a).dtype).eps * scale:
            raise GradientError(
                "jit: the compiled program and the graph differ: the function does something else "
                "than when it was traced. What it reads besides arrays and numbers is fixed."
            )


def jit(function: Any, optimizer: Optimizer | None = None, *, debug: bool = False) -> Compiled:
    """Compile a loss: forward, backward and the optimizer's step as NumPy without a graph.

    Parameters
    ----------
    function : callable
        ``function(x, t)`` returns a scalar loss and reads its parameters from outside.
    optimizer : Optimizer, optional
        Its step becomes part of the program. With plain SGD the parameters move into one block of
        memory.
    debug : bool
        Compute every call by the graph as well, and compare.

    Returns
    -------
    Compiled

    Raises
    ------
    GradientError
        If the function does not return a scalar loss.

    Examples
    --------
    >>> from tinygrad_mlp import MLP, SGD
    >>> net = MLP([2, 8, 1], rng=0)
    >>> run = jit(lambda x, t: mse(net(x), t), SGD(net.parameters(), lr=0.05))
    >>> x = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
    >>> t = x[:, :1] * x[:, 1:]
    >>> first = run(x, t)
    >>> for _ in range(50):
    ...     loss = run(x, t)
    >>> bool(loss < 0.2 * first)
    True
    """
    if not callable(function) or not hasattr(function, "__code__"):
        raise ShapeError(f"jit: {function!r} is not a Python function.")
    return Compiled(function, optimizer, debug)
