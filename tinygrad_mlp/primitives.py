"""The table of rules: which functions the graph records, and the VJP of each.

A *rule* is plain NumPy. For a function ``y = f(a, b, axis=0)`` the rule of argument ``a`` is

    lambda g, y, a, b, axis=0: ...        # cotangent of y  ->  cotangent of a

with the parameter names of ``f``. Two conventions carry information:

- A parameter whose *numbers* the rule does not read starts with an underscore (``_y``, ``_a``);
  its shape and dtype may be read. So the graph knows which values a backward pass still needs.
- The result is a new array, the cotangent ``g`` itself, or a view of ``g``; never an array the rule
  keeps. It may have more axes or longer axes than the argument: the backward pass sums it back.
"""

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

__all__ = [
    *("FORWARDS", "HINTS", "PRIMITIVES", "Rule"),
    *("applied", "defvjp", "parameters_of", "primitive", "reads"),
]

Rule = Callable[..., Any]

PRIMITIVES: dict[Any, Sequence[Any]] = {}
"""Function -> one rule per argument. None: the derivative is zero. No rules at all: the function is
piecewise constant, and its result never requires a gradient."""

FORWARDS: dict[Any, Callable[..., Any]] = {}
"""NumPy function -> the same written with others, that have rules: no node of its own."""

HINTS: dict[str, str] = {}
"""Name of a NumPy function that has neither -> what to use instead."""


class Each(Sequence[Rule]):
    """The rules of a function of any number of arrays: one rule, told which argument is meant."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def __getitem__(self, i: Any) -> Any:
        return functools.partial(self.rule, i)

    def __len__(self) -> int:
        return sys.maxsize


def defvjp(fun: Callable[..., Any], *rules: Rule | None, each: Rule | None = None) -> None:
    """Register the VJP rules of `fun`, one per differentiable argument, in order.

    Parameters
    ----------
    fun : callable
        A NumPy function or ufunc, or a function made by :func:`primitive`.
    *rules : callable or None
        ``rule(g, y, *args, **kwargs)`` returns the cotangent of one argument, see the module's
        docstring. None says that the derivative is zero. Arguments after the last rule cannot
        require a gradient. Without any rule `fun` counts as piecewise constant.
    each : callable, optional
        Instead of `rules`, for any number of arrays: ``each(i, g, y, *arrays, **kwargs)`` returns
        the cotangent of array number i.

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mlp import Tensor, defvjp
    >>> defvjp(np.float_power, lambda g, _y, x, n: g * n * np.float_power(x, n - 1))
    >>> x = Tensor(2.0, requires_grad=True)
    >>> np.float_power(x, 3).backward()
    >>> x.grad
    array(12.)
    """
    PRIMITIVES[fun] = Each(each) if each else rules
    parameters_of.cache_clear()


def primitive(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Make `fun`, written in plain NumPy, one op of the graph; a decorator.

    Called with arrays it is `fun`. Called with a Tensor among its arguments it is recorded as one
    node, whose rules :func:`defvjp` registers.

    Parameters
    ----------
    fun : callable
        Takes and returns arrays; must not change its arguments.

    Returns
    -------
    callable

    Examples
    --------
    >>> import numpy as np
    >>> from tinygrad_mlp import Tensor, defvjp, primitive
    >>> @primitive
    ... def cube(x):
    ...     return x * x * x
    >>> defvjp(cube, lambda g, _y, x: g * 3 * x**2)
    >>> x = Tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    array(12.)
    """

    @functools.wraps(fun)
    def op_of_one(x: Any) -> Any:
        return x._unary(op_of_one, fun) if hasattr(x, "_unary") else fun(x)

    if fun.__code__.co_argcount == 1 and not fun.__code__.co_flags & inspect.CO_VARARGS:
        return op_of_one

    @functools.wraps(fun)
    def op(*args: Any, **kwargs: Any) -> Any:
        for a in args:
            if hasattr(a, "_record"):
                return a._record(op, fun, args, kwargs)
        for a in kwargs.values():
            record = getattr(a, "_record", None)
            if record is not None:
                return record(op, fun, args, kwargs)
        return fun(*args, **kwargs)

    return op


def applied(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`fun` itself where FORWARDS has a front door for it: one node, or NumPy's own result."""
    record = next((a._record for a in args if hasattr(a, "_record")), None)
    return record(fun, fun, args, kwargs) if record else fun(*args, **kwargs)


@functools.cache
def parameters_of(
    fun: Callable[..., Any],
) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, Any]]:
    """Names of positional and keyword-only parameters of `fun` and their defaults, by its rules."""
    rule = next(rule for rule in PRIMITIVES[fun] if rule)
    n = rule.__code__.co_argcount
    names = [name.lstrip("_") for name in rule.__code__.co_varnames]
    positions, keywords = names[2:n], names[n : n + rule.__code__.co_kwonlyargcount]
    defaults = dict(zip(reversed(positions), reversed(rule.__defaults__ or ()), strict=False))
    return tuple(positions), tuple(keywords), defaults


def reads(rule: Rule, n_args: int) -> tuple[bool, ...]:
    """Whether `rule` reads the numbers of the output and of each of `n_args` arguments.

    >>> reads(lambda g, _y, _a, b: g * b, 2)
    (False, False, True)
    """
    skip = 1
    if isinstance(rule, functools.partial):  # of Each: the number of the argument comes first
        rule, skip = rule.func, 2
    code = rule.__code__
    names = code.co_varnames[skip : code.co_argcount]
    if code.co_flags & inspect.CO_VARARGS:
        more = code.co_varnames[code.co_argcount + code.co_kwonlyargcount]
        names += (more,) * (n_args + 1 - len(names))
    return tuple(i >= len(names) or not names[i].startswith("_") for i in range(n_args + 1))
