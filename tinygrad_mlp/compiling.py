"""Run a derived program without a graph, every array allocated once: `jit`.

A function is traced once for each set of shapes and dtypes. The derived program becomes a list of
instructions with buffers (`assembling`); what is emitted is the derived text with the buffers as
outputs, under the same names.
"""

import threading
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from .assembling import Builder, aligned, placed, shared_block
from .deriving import Program, derive
from .errors import GradientError, ShapeError
from .formatting import describe
from .graph import base_of, sealed, wrote
from .optim import BLOCK, SGD, Optimizer
from .tensor import Tensor

__all__ = ["Compiled", "jit"]

ndarray = np.ndarray


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
        builder = Builder(self.program)
        self.tensors = [x.node for x, _ in derivation.results]
        self.optimizer = optimizer
        self.allocate()
        own = {id(t): name for t, name in zip(inputs, names, strict=True)}
        renamed = {}
        for v in derivation.inputs:
            name = builder.names[id(v)]
            if id(v.node) in own:
                renamed[own[id(v.node)]] = name
            else:
                builder.scope[name] = getattr(v.node, "_data", v.node)
        results = [builder.names[id(g)] for _, g in derivation.results]
        steps = list(placed(builder, dict(zip(results, self.grads, strict=True))))
        self.watch = Watch(function)
        self.kinds = [(a.shape, a.dtype) for a in args]
        self.bound = [(t, t._data) for t in self.tensors]
        self.slopes = list(zip(self.tensors, self.grads, strict=True))
        signature = ", ".join(renamed.get(n, f"_{n}") for n in names)
        top = builder.names[id(derivation.loss)]
        needed = {top}
        for step, _ in reversed(steps):
            if step.result in needed:
                needed.update(step.reads)
        rows = [row for _, row in steps] + self.update(builder)
        forward = [row for step, row in steps if step.result in needed]
        self.source = "\n    ".join([f"def run({signature}):", *rows, f"return {top}"]) + "\n"
        value = "\n    ".join([f"def value({signature}):", *forward, f"return {top}"]) + "\n"
        exec(compile(self.source + value, "<compiled>", "exec"), builder.scope)
        self.run = builder.scope.pop("run")  # which holds the scope
        self.value = builder.scope.pop("value")

    def allocate(self) -> None:
        """One block of memory for all gradients; with plain SGD another for all parameters.

        So a step is two calls. Gradients of several dtypes have arrays of their own.
        """
        tensors, o = self.tensors, self.optimizer
        self.block: Any = None
        self.parameters: Any = None
        self.memory: Any = None  # what owns the parameters
        if len({t.dtype for t in tensors}) > 1:
            self.grads = [np.empty(t.shape, t.dtype) for t in tensors]
            return
        self.block, self.grads = shared_block(tensors)
        plain = type(o) is SGD and not o.state[0]
        if plain and {id(p) for p in o.params} == {id(t) for t in tensors}:
            self.parameters, arrays = shared_block(tensors)
            self.memory = base_of(self.parameters)
            for t, array in zip(tensors, arrays, strict=True):
                array[...] = t._data
                t._data = array

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

    def update(self, builder: Builder) -> list[str]:
        """The statements of the optimizer's step."""
        if self.parameters is None:
            return []
        n = self.block.size
        scratch = aligned(min(n, BLOCK), self.block.dtype)
        blocks = [
            (self.parameters[i : i + BLOCK], self.block[i : i + BLOCK], scratch[: n - i])
            for i in range(0, n, BLOCK)
        ]
        builder.scope |= {"sgd": self.optimizer, "rate": np.zeros((), self.block.dtype)}
        builder.scope |= {"multiply": np.multiply, "subtract": np.subtract}
        step = ["multiply(gradients, rate, step)", "subtract(parameters, step, parameters)"]
        if len(blocks) == 1:
            builder.scope |= zip(("parameters", "gradients", "step"), blocks[0])
        else:
            builder.scope["blocks"] = blocks
            each = "for parameters, gradients, step in blocks:"
            step = [each, *(f"    {row}" for row in step)]
        return ["rate[...] = sgd.lr", *step]


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
    >>> from tinygrad_mlp import MLP, SGD, mse
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
