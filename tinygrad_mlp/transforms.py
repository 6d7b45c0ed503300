"""Derivatives of Tensors, and of functions of arrays.

`grad` differentiates a Tensor that was computed. The others take a function and return its
derivative, a function again, or the derivative at a point. What they have in common:

- An argument, and what the function returns, is an array, a number or a Tensor, or a dict, list or
  tuple of such, nested as you like (a *tree*); derivatives come in the same structure. A list of
  numbers is a list, not an array.
- Arrays in, arrays out; Tensors in, Tensors out. If one of them requires a gradient, so does the
  result, which is how derivatives of derivatives come about. At the top level a Tensor that the
  function reads without having it as an argument, such as a weight, counts as a constant; inside
  another transform nothing does.
- The derivative of what does not depend on an argument is zero, not an error.
- `no_grad` around a transform makes its result a constant; inside the function it cuts the graph.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np

from .errors import GradientError, ShapeError
from .formatting import describe, name_of
from .graph import MODE, OFF, ON, Node, backward_pass, record_all, toposort
from .tensor import Tensor, as_array, owned, plain

__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]

Function = Callable[..., Any]
Argnums = int | Sequence[int]


def grad(
    y: Tensor,
    xs: Tensor | Sequence[Tensor],
    grad_y: Any = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> list[Any]:
    """Gradients of `y` with respect to `xs`, without touching any ``.grad``.

    Parameters
    ----------
    y : Tensor
        A scalar, unless `grad_y` is given.
    xs : Tensor or sequence of Tensor
        Leaves or intermediates.
    grad_y : array, optional
        Cotangent of `y`, of its shape.
    create_graph : bool
        Return Tensors that can be differentiated again.
    allow_unused : bool
        Return None for an x that `y` does not depend on, instead of raising.

    Returns
    -------
    list
        For each x an array of its shape and dtype, or a Tensor with `create_graph`.

    Raises
    ------
    GradientError
        If `y` does not depend on one of `xs`, and wherever :meth:`Tensor.backward` does.

    Examples
    --------
    >>> x = Tensor(2.0, requires_grad=True)
    >>> (dx,) = grad(x**3, x, create_graph=True)
    >>> dx.item(), grad(dx, x)[0]
    (12.0, array(12.))
    """
    wanted = [xs] if isinstance(xs, Tensor) else list(xs)
    seed = y._seed(grad_y, "grad()")
    if create_graph and isinstance(grad_y, Tensor):
        seed = grad_y
    result = cotangents({y: seed}, wanted, record_all() if create_graph else None)
    for x, g in zip(wanted, result):
        if g is None and not allow_unused:
            raise GradientError(
                f"grad: {describe(y, 'y')} does not depend on {describe(x, 'x')}, or x requires no "
                f"gradient; with allow_unused=True its gradient is None."
            )
    return result


def cotangents(seeds: dict[Node, Any], xs: list[Any], recorder: Any = None) -> list[Any]:
    """The cotangents of `xs` in one backward pass; None for an x that no seed depends on.

    They are arrays that nobody else holds, or with a `recorder`, such as `record_all`, Tensors.
    """
    if recorder is None:
        found = backward_pass(seeds, None, xs)
        taken = set(map(id, seeds.values()))
        return [None if x not in found else owned(found[x], x.dtype, taken) for x in xs]
    with recorder:
        seeds = {y: g if isinstance(g, Tensor) else Tensor(g) for y, g in seeds.items()}
        found = backward_pass(seeds, None, xs, create_graph=True)
    result: list[Any] = []
    for x in xs:
        g = found.get(x)
        if g is not None:
            g = g if g._data.dtype == x._data.dtype else g.astype(x.dtype)
            g.name = g.name or (x.name and f"d{x.name}")
        result.append(g)
    return result


# --- trees ----------------------------------------------------------------------------------------


def mapped(f: Function, tree: Any, *others: Any) -> Any:
    """`f` of every leaf of `tree`, and of the leaves at the same places of `others`.

    >>> mapped(lambda a, b: a + b, {"w": 1.0, "b": [2.0]}, {"w": 10.0, "b": [20.0]})
    {'w': 11.0, 'b': [22.0]}
    """
    if not isinstance(tree, (dict, list, tuple)):
        return f(tree, *others)
    if isinstance(tree, dict):
        if any(not isinstance(other, dict) or other.keys() != tree.keys() for other in others):
            raise ShapeError(f"must be a dict with the keys {', '.join(map(repr, tree))}.")
        return {k: mapped(f, v, *(other[k] for other in others)) for k, v in tree.items()}
    if any(not isinstance(o, (list, tuple)) or len(o) != len(tree) for o in others):
        raise ShapeError(f"must be a {type(tree).__name__} of length {len(tree)}.")
    parts = [mapped(f, *leaves) for leaves in zip(tree, *others)]
    return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)


def flat(tree: Any) -> list[Any]:
    """The leaves of `tree`, in order."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if not isinstance(tree, (list, tuple)):
        return [tree]
    leaves: list[Any] = []
    for part in tree:  # most parts are leaves, and are worth no call
        leaves += flat(part) if isinstance(part, (dict, list, tuple)) else (part,)
    return leaves


def filled(tree: Any, leaves: Any) -> Any:
    """A tree of the structure of `tree` with these leaves."""
    rest = iter(leaves)
    return mapped(lambda _: next(rest), tree)


# --- one run of the function ----------------------------------------------------------------------

INSIDE: ContextVar[bool] = ContextVar("tinygrad_mlp.inside", default=False)
"""Whether a function is running that a transform differentiates."""


@contextmanager
def recording() -> Iterator[None]:
    """Record what a gradient needs, also under `no_grad`."""
    mode, inside = MODE.set(max(ON, MODE.get())), INSIDE.set(True)
    try:
        yield
    finally:
        MODE.reset(mode)
        INSIDE.reset(inside)


class Run(NamedTuple):
    """What one call of the function left behind."""

    y: Any  # tree of Tensors, what the function returned
    x: Any  # tuple of trees of Tensors, what is differentiated by
    graph: bool  # whether results can be differentiated again
    wrap: bool  # whether results are Tensors

    def out(self, tree: Any) -> Any:
        """Derivatives as the caller gets them."""
        if self.graph:
            return mapped(lambda a: a if isinstance(a, Node) else Tensor(a), tree)
        return mapped(Tensor, tree) if self.wrap else tree

    def recorder(self) -> Any:
        """What records results that can be differentiated again, sizes too; None for arrays."""
        return record_all() if self.graph else None

    def value(self) -> Any:
        """What the function returned, as the caller gets it: arrays that nobody else holds."""
        return self.out(mapped(lambda y: y if self.graph else y._data.copy(), self.y))


def run(
    name: str, f: Function, args: Any, argnums: Any, kwargs: dict[str, Any], more: Any = ()
) -> Run:
    """Call `f`, with fresh Tensors for the arguments `argnums`.

    Fresh, since `f` may hold the same Tensor in a second way, which counts as a constant. `more`
    are further Tensors that results depend on.
    """
    recorded, nested = MODE.get() != OFF, INSIDE.get()
    given = [a for a in flat((args, kwargs, more)) if isinstance(a, Node)]

    def variable(a: Any) -> Any:
        value = as_array(plain(a))
        if value.dtype.kind in "iubc":
            raise GradientError(
                f"{name}: argument {i}, {describe(a)}, is not floating point and has no "
                f"derivative. Write 1.0 for 1, pass x.astype(float), or leave it to the function "
                f"to hold: lambda x: f(x, labels)."
            )
        if not isinstance(a, Tensor):
            return Tensor(value, True)
        t: Tensor = +a if a.requires_grad else Tensor(value, True)
        t.name = a.name
        return t

    def output(a: Any) -> Tensor:
        try:
            return a if isinstance(a, Tensor) else Tensor(a)
        except ShapeError as error:
            raise GradientError(
                f"{name}: {name_of(f)} returned {a!r:.60}. It must return a Tensor, an array or a "
                f"number, or a dict, list or tuple of them."
            ) from error

    chosen: dict[int, Any] = {}
    with recording():
        for i in argnums:
            if not -len(args) <= i < len(args):
                raise GradientError(f"{name}: there is no argument {i}: {len(args)} were given.")
            chosen[i % len(args)] = mapped(variable, args[i])
        y = mapped(output, f(*(chosen.get(i, a) for i, a in enumerate(args)), **kwargs))
    x = tuple(chosen[i % len(args)] for i in argnums)
    graph = recorded and (any(a.requires_grad for a in given) or (nested and reaches_out(y, x)))
    return Run(y, x, graph, graph or bool(given))


def reaches_out(y: Any, x: Any) -> bool:
    """Whether `y` depends on a leaf that requires a gradient and is none of `x`."""
    roots, own = flat(y), set(flat(x))
    nodes = {node for root in roots for node in toposort(root)}
    below = {node.args[i] for node in nodes for i in node.needs}
    return any(a.requires_grad and not a.needs for a in (below | set(roots)) - own)


def pulled(ys: Any, gs: Any, xs: list[Any], graph: Any = None) -> list[Any]:
    """The cotangents of `xs` for the cotangents `gs` of all `ys`, zero where there is none.

    They are Tensors if `graph` says how to record them.
    """
    seeds: dict[Node, Any] = {}
    for y, g in zip(ys, gs):
        if getattr(y, "requires_grad", False):
            seeds[y] = seeds[y] + g if y in seeds else g
    found = cotangents(seeds, xs, graph)
    return [np.zeros_like(x._data) if c is None else c for c, x in zip(found, xs)]


def fitting(name: str, what: str, like: Any, tree: Any) -> list[Any]:
    """The leaves of `tree`, a tangent or cotangent of `like`, in its shapes and dtypes."""
    vs: list[Any] = []

    def leaf(a: Any, v: Any) -> None:
        v = v if isinstance(v, Node) else as_array(v)
        like = as_array(plain(a))
        if v.shape != like.shape:
            raise ShapeError(f"{v.shape} for {describe(a)}: the shapes must be equal.")
        vs.append(v if v.dtype == like.dtype else v.astype(like.dtype))

    try:
        mapped(leaf, like, tree)
        return vs
    except ShapeError as error:
        raise ShapeError(f"{name}: {what} {error}") from None


def numbers(argnums: Argnums) -> tuple[int, ...]:
    """`argnums` as a tuple."""
    return (argnums,) if isinstance(argnums, int) else tuple(argnums)


def of_one(argnums: Argnums, trees: Any) -> Any:
    """The only one of `trees` where `argnums` is a number."""
    return trees[0] if isinstance(argnums, int) else trees


# --- functions on functions -----------------------------------------------------------------------


def value_and_grad(f: Function, argnums: Argnums = 0) -> Function:
    """The function that returns the value of `f` and its gradient.

    Parameters
    ----------
    f : callable
        Returns a scalar.
    argnums : int or sequence of int
        The arguments to differentiate by. All others, and keywords, are passed on as they are.

    Returns
    -------
    callable
        Called like `f`; returns (value, gradient). The gradient has the structure of the argument;
        for a sequence of `argnums` it is a tuple of such. It is zero where `f` depends on nothing.

    Raises
    ------
    GradientError
        When called, if `f` returns no scalar, or if an argument is not floating point.

    Examples
    --------
    >>> import numpy as np
    >>> def f(p):
    ...     return np.sum(np.square(p["w"])) + p["b"]
    >>> value, gradient = value_and_grad(f)({"w": np.array([1.0, 2.0]), "b": 3.0})
    >>> value, gradient
    (array(8.), {'w': array([2., 4.]), 'b': array(1.)})

    By a Tensor that requires a gradient, the gradient can be differentiated again:

    >>> from tinygrad_mlp import Tensor
    >>> x = Tensor(2.0, requires_grad=True)
    >>> _, dx = value_and_grad(lambda x: x**3)(x)
    >>> grad(dx, x)
    [array(12.)]
    """
    return lambda *args, **kwargs: value_and_gradient("value_and_grad", f, argnums, args, kwargs)


def value_and_gradient(
    name: str, f: Function, argnums: Argnums, args: Any, kwargs: dict[str, Any]
) -> Any:
    """`f` and its gradient at `args`; `name` is the transform that asks."""
    r = run(name, f, args, numbers(argnums), kwargs)
    y = scalar(name, f, r)
    c = pulled([y], [ones(y)], flat(r.x), r.recorder())
    return r.value(), of_one(argnums, r.out(filled(r.x, c)))


def ones(y: Tensor) -> Any:
    """The cotangent to start with."""
    return np.ones_like(y._data)


def scalar(name: str, f: Function, r: Run) -> Tensor:
    """What `f` returned, if that is a scalar."""
    y = r.y
    if isinstance(y, Tensor) and y.size == 1:
        return y
    given = "Tensor " + str(y.shape) if isinstance(y, Tensor) else f"a {type(y).__name__}"
    raise GradientError(
        f"{name}: {name_of(f)} must return a scalar, not {given}. Reduce it (mse(y, t), or "
        f"y.sum()), or take jacobian(f), or vjp(f, x) with a cotangent of its shape."
    )


def vjp(f: Function, *primals: Any) -> tuple[Any, Function]:
    """The value of `f` and its pullback, cotangent -> cotangents of the arguments.

    Parameters
    ----------
    f : callable
    *primals : trees
        The arguments of `f`, all differentiated by.

    Returns
    -------
    y : tree
    pullback : callable
        ``pullback(g)``, for `g` like `y`, returns a tuple, one cotangent like each primal.
        It may be called any number of times; the graph is held until it is dropped.

    Examples
    --------
    >>> import numpy as np
    >>> y, pullback = vjp(lambda x, w: x @ w, np.ones((2, 3)), np.ones(3))
    >>> y, pullback(np.array([1.0, 10.0]))[1]
    (array([3., 3.]), array([11., 11., 11.]))
    """
    copies = mapped(np.copy, primals)  # the pullback outlives the call
    r = run("vjp", f, copies, range(len(primals)), {})

    def pullback(g: Any) -> Any:
        gs = fitting("vjp", "cotangent", r.y, g)
        given = [a for a in flat(g) if isinstance(a, Node)]
        graph = MODE.get() != OFF and (r.graph or any(a.requires_grad for a in given))
        now = r._replace(graph=graph, wrap=graph or r.wrap or bool(given))
        return now.out(filled(r.x, pulled(flat(r.y), gs, flat(r.x), now.recorder())))

    return r.value(), pullback


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The value of `f` and its derivative along `tangents`, J v.

    Parameters
    ----------
    f : callable
    primals : tuple of trees
        The arguments of `f`.
    tangents : tuple of trees
        A direction for each, of the same structure and shapes.

    Returns
    -------
    y, dy : trees of one structure

    Raises
    ------
    ShapeError
        If the tangents differ from the primals in structure or shape.

    Notes
    -----
    The pullback u(g) = gᵀJ is linear in g, so its own pullback is J v, whatever g is: two backward
    passes instead of a second table of rules.

    Examples
    --------
    >>> import numpy as np
    >>> jvp(np.exp, (np.array([0.0, 1.0]),), (np.array([1.0, 0.0]),))
    (array([1.        , 2.71828183]), array([1., 0.]))
    """
    r, ts = along("jvp", f, primals, tangents)
    ys, xs = flat(r.y), flat(r.x)
    gs = [Tensor(np.zeros_like(y._data), y.requires_grad) for y in ys]
    us = pulled(ys, gs, xs, r.recorder() or recording())
    return r.value(), r.out(filled(r.y, pulled(us, ts, gs, r.recorder())))


def along(name: str, f: Function, primals: Any, tangents: Any) -> tuple[Run, list[Any]]:
    """The run of `f`, and the tangents as a list."""
    if not isinstance(primals, (list, tuple)):
        raise ShapeError(
            f"{name}: primals and tangents are tuples, one entry for each argument of the "
            f"function: {name}(f, (x,), (v,))."
        )
    ts = fitting(name, "tangent", primals, tangents)
    return run(name, f, primals, range(len(primals)), {}, tangents), ts


def jacobian(f: Function, argnums: Argnums = 0) -> Function:
    """The function that returns the Jacobian of `f`.

    Parameters
    ----------
    f : callable
    argnums : int or sequence of int
        The arguments to differentiate by.

    Returns
    -------
    callable
        Called like `f`; returns an array of shape ``out.shape + in.shape``. For trees, each leaf of
        the output is replaced by a tree like the argument. Costs one backward pass for each entry
        of the output.

    Examples
    --------
    >>> import numpy as np
    >>> jacobian(lambda x: x[:2] * x[2])(np.array([1.0, 2.0, 3.0]))
    array([[3., 0., 1.],
           [0., 3., 2.]])
    """
    return lambda *args, **kwargs: jacobians("jacobian", f, argnums, args, kwargs)


def jacobians(name: str, f: Function, argnums: Argnums, args: Any, kwargs: dict[str, Any]) -> Any:
    """The Jacobian of `f` at `args`; `name` is the transform that asks."""
    r = run(name, f, args, numbers(argnums), kwargs)
    xs = flat(r.x)

    def blocks(y: Tensor) -> Any:
        shape = y._data.shape
        if not (y.requires_grad and y._data.size):
            like = [np.zeros_like(x._data, shape=shape + x._data.shape) for x in xs]
        else:
            rows = []
            for i in range(y._data.size):
                seed = np.zeros_like(y._data)
                seed[np.unravel_index(i, shape)] = 1
                rows.append(pulled([y], [seed], xs, r.recorder()))
            like = [
                np.reshape(np.stack(row), shape + x._data.shape) for row, x in zip(zip(*rows), xs)
            ]
        return of_one(argnums, r.out(filled(r.x, like)))

    return mapped(blocks, r.y)


def hessian(f: Function, argnums: Argnums = 0) -> Function:
    """The function that returns the matrix of second derivatives of `f`.

    Parameters
    ----------
    f : callable
        Returns a scalar.
    argnums : int or sequence of int
        The arguments to differentiate by, twice.

    Returns
    -------
    callable
        Called like `f`; returns an array of shape ``in.shape + in.shape``. For trees, a tree like
        the argument with such a tree at each leaf: ``h["w"]["b"]``. Costs one backward pass for
        each entry of the argument; :func:`hvp` multiplies by the Hessian without building it.

    Examples
    --------
    >>> import numpy as np
    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 5.0]))
    array([[10.,  6.],
           [ 6.,  0.]])
    """

    def gradient(*args: Any, **kwargs: Any) -> Any:
        return value_and_gradient("hessian", f, argnums, args, kwargs)[1]

    return lambda *args, **kwargs: jacobians("hessian", gradient, argnums, args, kwargs)


def hvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The Hessian of `f` times a vector, H v, without building H.

    Parameters
    ----------
    f : callable
        Returns a scalar.
    primals : tuple of trees
        The arguments of `f`.
    tangents : tuple of trees
        The vector: of the same structure and shapes.

    Returns
    -------
    tuple of trees, like `primals`
        The derivative of vᵀ∇f: two backward passes, whatever the number of parameters.

    Examples
    --------
    >>> import numpy as np
    >>> hvp(lambda x: x[0] ** 2 * x[1], (np.array([3.0, 5.0]),), (np.array([1.0, 0.0]),))
    (array([10.,  6.]),)
    """
    r, ts = along("hvp", f, primals, tangents)
    xs = flat(r.x)
    y = scalar("hvp", f, r)
    slopes = pulled([y], [ones(y)], xs, r.recorder() or recording())
    return r.out(filled(r.x, pulled(slopes, ts, xs, r.recorder())))
