"""The Tensor: an array that remembers the op and the arguments that made it.

`record` applies an op and makes the node; the class hands NumPy's operators, functions and methods
to it. Everything about derivatives is in `ops` (the rules) and `graph` (the walk).
"""

import operator
import sys
from collections.abc import Callable, Iterator
from typing import Any
from weakref import ref

import numpy as np

from .errors import GradientError, MissingVJPError, ShapeError, TinygradMLPError
from .formatting import describe, name_of, nearest, shape_text, spelled
from .graph import (
    ALL,
    COUNTER,
    LAST,
    MODE,
    NO_KWARGS,
    OFF,
    SEALED,
    Node,
    Size,
    backward_pass,
    parents,
    unsealed,
    wrote,
)
from .ops import astype, clip, concatenate, getitem, product, stack
from .primitives import FORWARDS, HINTS, PRIMITIVES, Each, parameters_of

__all__ = ["Tensor"]

Function = Callable[..., Any]
ndarray = np.ndarray
PLAIN = (float, ndarray)
ONES = {d: np.dtype(d).type(1) for d in "efd"}
POSITIONS = ((), (0,), (1,), (0, 1))  # which of two arguments require a gradient


def as_array(value: Any) -> Any:
    """`value` itself if it is an array of any library, else a NumPy array."""
    if isinstance(value, (ndarray, np.generic)) or not hasattr(value, "__array_function__"):
        return np.asarray(value)
    return value


def shape_of(t: Node) -> Any:
    """Lengths of the axes; while a derivation is traced, they know what they are the lengths of."""
    shape = t._data.shape
    return shape if MODE.get() < ALL else tuple([Size(n, t, i) for i, n in enumerate(shape)])


def size_of(t: Node) -> int:
    """Number of entries; while a derivation is traced, it knows of what."""
    size: int = t._data.size
    return size if MODE.get() < ALL else Size(size, t)


# --- recording ------------------------------------------------------------------------------------


def binary(op: Function, fun: Function, a: Any, b: Any) -> "Tensor":
    """`record` for two operands, without its loops: a training step is made of these."""
    bits = 0
    if isinstance(a, Node):
        x = a._data
        if a.requires_grad:
            bits = 1
    else:
        a = operand(a)
        x = plain(a)
    if isinstance(b, Node):
        y = b._data
        if b.requires_grad:
            bits += 2
    elif type(b) in PLAIN:
        y = b
    else:
        b = operand(b)
        y = plain(b)
    try:
        data = fun(x, y)
    except ValueError as error:
        raise misfit(op, (a, b), error) from error
    out: Tensor = new(Tensor)  # from here on as made
    out._data = data if type(data) is ndarray else as_array(data)
    mode = MODE.get()
    if (bits and mode) or mode >= ALL:
        out.op = op
        out.args = (a, b)
        out.values = (x, y)
        out.needs = POSITIONS[bits]
        out.requires_grad = bits > 0
    else:
        out.op = None
        out.args = out.values = out.needs = ()
        out.requires_grad = False
    out.kwargs = NO_KWARGS
    out.retains_grad = False
    out.grad = out.name = out.scope = None
    out.index = next(COUNTER)
    return out


def record(op: Function, fun: Function, args: Any, kwargs: dict[str, Any] = NO_KWARGS) -> "Tensor":
    """Apply `fun` to the arrays behind `args`; the result remembers `op`, `args` and `kwargs`.

    `op` is the function that the rules are registered for, `fun` a way to compute it.
    """
    rules = PRIMITIVES.get(op)
    if rules is None:
        raise MissingVJPError(f"{name_of(op)} has no VJP rule: add defvjp({name_of(op)}, ...).")
    needs = [i for i, a in enumerate(args) if isinstance(a, Node) and a.requires_grad]
    if rules and needs and needs[-1] >= len(rules):
        raise MissingVJPError(f"{name_of(op)} has no VJP rule for its argument {needs[-1]}.")
    values = tuple([plain(a) for a in args])
    try:
        data = fun(*values, **kwargs)
    except ValueError as error:
        raise misfit(op, args, error) from error
    return made(data, op, args, values, tuple([i for i in needs if rules and rules[i]]), kwargs)


def made(
    data: Any, op: Any, args: Any, values: Any, needs: tuple[int, ...], kwargs: dict[str, Any]
) -> "Tensor":
    """The node of one application; a bare constant where no gradient will pass."""
    mode = MODE.get()
    if mode < ALL and not (needs and mode):
        op, args, values, needs, kwargs = None, (), (), (), NO_KWARGS
    out: Tensor = new(Tensor)
    out._data = data if type(data) is ndarray else as_array(data)
    out.op = op
    out.args = args
    out.values = values
    out.needs = needs
    out.kwargs = kwargs
    out.requires_grad = needs != ()
    out.retains_grad = False
    out.grad = out.name = out.scope = None
    out.index = next(COUNTER)
    return out


def plain(a: Any) -> Any:
    """The array behind a Tensor, the int in a Size; anything else as it is."""
    return a._data if isinstance(a, Node) else int(a) if isinstance(a, Size) else a


def operand(a: Any) -> Any:
    """An operand as it is recorded: an array written as a list becomes one."""
    return np.asarray(a) if isinstance(a, (list, tuple)) else a


def misfit(op: Function, args: Any, error: ValueError) -> ValueError:
    """NumPy's complaint with the op, the names and the shapes; our own as it is."""
    if isinstance(error, TinygradMLPError):
        return error
    return ShapeError(shape_text(name_of(op), args, str(error)))


def owned(c: Any, dtype: Any, taken: set[int]) -> Any:
    """`c` as a gradient: of this dtype, contiguous, writable, and held by nobody else."""
    if (
        type(c) is ndarray
        and c.base is None
        and c.dtype is dtype
        and id(c) not in taken
        and c.flags.carray
    ):
        taken.add(id(c))
        return c
    if not isinstance(c, (ndarray, np.generic)):
        return c.astype(dtype)  # another array library
    if dtype.kind != "f" or c.dtype.kind == "c":
        raise GradientError(f"the gradient of a {dtype} array is {c.dtype}: use real floats.")
    return np.array(c, dtype, order="C")


def operators(op: Function, fun: Function) -> tuple[Callable[[Any, Any], "Tensor"], ...]:
    """The methods of an operator: ``self + other`` and ``other + self``."""
    return lambda a, b: binary(op, fun, a, b), lambda a, b: binary(op, fun, b, a)


def operation(op: Function, fun: Function) -> Callable[..., "Tensor"]:
    """The method of an operator on one side only, or of one that is piecewise constant."""
    return lambda *args: record(op, fun, args)


def method(fun: Function) -> Callable[..., Any]:
    """NumPy's function `fun` as a method."""
    return lambda self, *args, **kwargs: dispatch(fun, (self, *args), kwargs)


def query(name: str) -> Callable[..., Any]:
    """The method of a question about values, answered outside the graph."""
    return lambda self, *args, **kwargs: getattr(unsealed(self), name)(*args, **kwargs)


def in_place(fun: Function) -> Callable[["Tensor", Any], Any]:
    """The method of t += v and its like: under `no_grad` it changes the array, else t = t + v."""

    def change(self: "Tensor", other: Any) -> Any:
        if MODE.get() == OFF:
            self.data = fun(self.data, plain(other))
            return self
        if self.requires_grad and self.op is None:
            raise GradientError(
                f"{describe(self)} is a leaf that requires a gradient; changing it in place would "
                f"lose it. Use t.data -= ..., or put the change under no_grad."
            )
        return NotImplemented

    return change


def asked_by_numpy_testing() -> bool:
    """Whether ``np.testing.assert_...`` wants an array: a question, which cuts no graph."""
    return str(sys._getframe(2).f_globals.get("__name__")).startswith("numpy.testing")


class Tensor(Node):
    """An array that remembers how it was computed, so that gradients can be carried back.

    What NumPy does with arrays is written as NumPy: ``x @ w + b``, ``np.exp(x)``, ``x[:, 0]``,
    ``x.sum(axis=0)``. The result is a Tensor that knows its op and arguments.

    Parameters
    ----------
    data : array, nested list or number
        An array of any library that speaks NumPy's protocols is kept as it is, shared, not copied.
    requires_grad : bool
        Whether :meth:`backward` computes ``.grad`` for this Tensor. Floating point only.
    name : str, optional
        Used in errors, pictures and derivations.
    dtype : dtype, optional
        Convert `data` first.

    Attributes
    ----------
    data : array
    grad : array or None
        Same shape and dtype as `data`; None until a backward pass, each of which adds to it.
    op : callable or None
        The function that made this Tensor; None on a leaf.
    args : tuple
        What `op` was called with. `parents` are the Tensors among them.

    Raises
    ------
    GradientError
        If `requires_grad` is asked of integers, booleans or complex numbers.
    ShapeError
        If `data` is no array of numbers.

    Examples
    --------
    >>> import numpy as np
    >>> w = Tensor([[1.0, 2.0]], requires_grad=True, name="w")
    >>> loss = np.square(w).sum()
    >>> loss.backward()
    >>> w.grad
    array([[2., 4.]])
    """

    __slots__ = ()

    def __init__(
        self, data: Any, requires_grad: bool = False, name: str | None = None, dtype: Any = None
    ) -> None:
        if isinstance(data, Node):
            if data.requires_grad:
                raise GradientError(f"Tensor({describe(data)}) would cut the graph; use detach().")
            data = data._data
        if type(data) is not ndarray:
            try:
                data = as_array(data)
            except ValueError as error:
                message = f"Tensor: the rows of the list differ in length ({error})."
                raise ShapeError(message) from error
        if dtype is not None and data.dtype != dtype:
            data = data.astype(dtype)
        kind = data.dtype.kind
        if kind not in "fiubc":
            raise ShapeError(f"Tensor: entries must be numbers, not {data.dtype}.")
        if requires_grad and kind != "f":
            raise GradientError(
                f"{f'Tensor {name}' if name else 'Tensor'} {data.shape} of {data.dtype} cannot "
                f"require a gradient, only floating point can. Write 1.0 instead of 1, or pass "
                f"dtype=float."
            )
        self._data = data
        self.requires_grad = requires_grad
        self.name = name
        self.grad = self.op = self.scope = None
        self.args = self.values = self.needs = ()
        self.kwargs = NO_KWARGS
        self.retains_grad = False
        self.index = next(COUNTER)

    # --- what it holds

    @property
    def data(self) -> Any:
        """The array. Assigning to it, or ``t.data -= …``, is noticed by the backward pass."""
        return unsealed(self)

    @data.setter
    def data(self, value: Any) -> None:
        if value is self._data:  # t.data -= step changes the array, then assigns it
            return wrote([value])
        value = as_array(value)
        if value.shape != self._data.shape:
            raise ShapeError(f"{describe(self)}.data = array {value.shape}: the shape must stay.")
        if value.dtype.kind not in ("fc" if self.requires_grad else "fiubc"):
            raise GradientError(f"{describe(self)}.data = {value.dtype}: not differentiable.")
        self._data = value
        wrote([self])

    parents = property(parents, doc="The Tensors among `args`, in order.")
    shape = property(lambda self: shape_of(self), doc="Lengths of the axes.")
    ndim = property(lambda self: self._data.ndim, doc="Number of axes.")
    size = property(lambda self: size_of(self), doc="Number of entries.")
    dtype = property(lambda self: self._data.dtype, doc="Type of the entries.")

    def numpy(self) -> Any:
        """The array itself, shared, outside the graph."""
        return unsealed(self)

    def item(self) -> Any:
        """The only entry as a Python number."""
        if self._data.size != 1:
            raise ShapeError(f"item(): {describe(self)} has {self.size} entries, not one.")
        return unsealed(self).item()

    def detach(self) -> "Tensor":
        """A Tensor on the same array, outside the graph."""
        return Tensor(self._data, name=self.name)

    __contains__ = query("__contains__")
    __bool__ = query("__bool__")
    __index__ = query("__index__")
    tolist = query("tolist")
    argmax = query("argmax")
    argmin = query("argmin")
    argsort = query("argsort")
    any = query("any")
    all = query("all")
    __hash__ = object.__hash__

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator["Tensor"]:
        return (self[i] for i in range(len(self)))

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __repr__(self) -> str:
        parts = [np.array2string(np.asarray(self._data), separator=", ", prefix="Tensor(")]
        parts += [f"name={self.name!r}"] if self.name else []
        parts += [f"shape={self.shape}", f"dtype={self.dtype}"]
        parts += ["requires_grad=True"] if self.requires_grad else []
        parts += [f"op={name_of(self.op)}"] if self.op else []
        return f"Tensor({', '.join(parts)})"

    def _repr_html_(self) -> str:
        from .showing import html_of  # for notebooks alone

        return html_of(self)

    def __reduce__(self) -> Any:
        return revived, (self._data, self.requires_grad, self.name, self.grad, self.scope)

    # --- gradients

    def backward(self, grad: Any = None) -> None:
        """Add the gradient of this Tensor to ``.grad`` of every leaf that requires one.

        Parameters
        ----------
        grad : array, optional
            Cotangent of this Tensor, of its shape. May be left out for a scalar, where it is 1.

        Raises
        ------
        GradientError
            If nothing requires a gradient, if this is no scalar and `grad` is missing, or if a
            value that a rule needs was overwritten since it was used.
        ShapeError
            If `grad` has another shape.

        Examples
        --------
        >>> x = Tensor(3.0, requires_grad=True)
        >>> (x * x).backward()
        >>> x.grad
        array(6.)
        """
        seed = self._seed(grad)
        if grad is None:
            LAST.set(ref(self))
        taken = {id(seed)}
        for leaf, g in backward_pass(self, seed).items():
            leaf.grad = owned(g if leaf.grad is None else leaf.grad + g, leaf._data.dtype, taken)

    def _seed(self, grad: Any = None, call: str = "backward()") -> Any:
        """The cotangent to start a backward pass with: `grad`, or 1 for a scalar."""
        data = self._data
        if not self.requires_grad:
            raise GradientError(
                f"{call}: {describe(self)} does not require a gradient: nothing it was "
                f"computed from does, or it was computed under no_grad."
            )
        if grad is None:
            if type(data) is ndarray and data.shape == () and data.dtype.char in ONES:
                return ONES[data.dtype.char]
            if data.size != 1:
                raise GradientError(
                    f"{call} needs a scalar loss; {describe(self)} is not one. Reduce it "
                    f"(loss = mse(y, t), or y.sum()), or pass the cotangent: "
                    f"y.backward(np.ones({self.shape}))."
                )
            return np.ones_like(data)
        grad = as_array(plain(grad))
        if grad.shape != data.shape:
            raise ShapeError(f"backward(): grad {grad.shape} for {describe(self)}: not one shape.")
        return grad if grad.dtype == data.dtype else grad.astype(data.dtype)

    def retain_grad(self) -> "Tensor":
        """Let backward passes fill ``.grad`` here too, though this is no leaf; returns itself."""
        self.retains_grad = True
        return self

    def zero_grad(self) -> None:
        """Forget the gradient: ``.grad`` is None again."""
        self.grad = None

    # --- NumPy's protocols

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if self.requires_grad and MODE.get() != OFF and not asked_by_numpy_testing():
            raise GradientError(
                f"{describe(self)} would leave the graph by becoming an array, its gradient lost. "
                f"Use t.numpy() or t.detach() to say so, np.stack([...]) to join Tensors."
            )
        return np.array(unsealed(self), dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        name = ufunc.__name__
        if "out" in kwargs:
            raise GradientError(
                f"np.{name}(..., out=...): the graph cannot see an array being changed in place. "
                f"Instead of a += t write a = a + t; instead of out=, assign the result."
            )
        if method != "__call__":
            raise MissingVJPError(f"np.{name}.{method} has no VJP rule; np.sum and np.max have.")
        return dispatch(ufunc, inputs, kwargs)

    def __array_function__(self, fun: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return dispatch(fun, args, kwargs)

    @staticmethod
    def _record(op: Function, fun: Function, args: Any, kwargs: Any) -> "Tensor":
        """Called by a `primitive` that finds a Tensor among its arguments."""
        if kwargs:
            return record(op, fun, *canonical(op, args, kwargs))
        rules = PRIMITIVES.get(op, ())
        if len(args) == 2 == len(rules) and None not in rules:
            return binary(op, fun, *args)
        return record(op, fun, args)

    def _unary(self, op: Function, fun: Function) -> "Tensor":
        """Called by a `primitive` of one argument, which is this Tensor."""
        if op not in PRIMITIVES:
            return record(op, fun, (self,))
        x, rules = self._data, PRIMITIVES[op]
        needs = (0,) if self.requires_grad and rules and rules[0] else ()
        return made(fun(x), op, (self,), (x,), needs, NO_KWARGS)

    # --- operators

    __add__, __radd__ = operators(np.add, operator.add)
    __sub__, __rsub__ = operators(np.subtract, operator.sub)
    __mul__, __rmul__ = operators(np.multiply, operator.mul)
    __truediv__, __rtruediv__ = operators(np.divide, operator.truediv)
    __pow__, __rpow__ = operators(np.power, operator.pow)
    __mod__, __rmod__ = operators(np.remainder, operator.mod)
    __matmul__, __rmatmul__ = operators(np.matmul, product)
    __neg__ = operation(np.negative, operator.neg)
    __pos__ = operation(np.positive, operator.pos)
    __abs__ = operation(np.absolute, operator.abs)
    __floordiv__ = operation(np.floor_divide, operator.floordiv)
    __lt__ = operation(np.less, operator.lt)
    __le__ = operation(np.less_equal, operator.le)
    __gt__ = operation(np.greater, operator.gt)
    __ge__ = operation(np.greater_equal, operator.ge)
    __eq__ = operation(np.equal, operator.eq)  # type: ignore[assignment]  # elementwise, as NumPy
    __ne__ = operation(np.not_equal, operator.ne)  # type: ignore[assignment]
    __and__ = __rand__ = operation(np.bitwise_and, operator.and_)
    __or__ = __ror__ = operation(np.bitwise_or, operator.or_)
    __invert__ = operation(np.invert, operator.invert)
    __iadd__ = in_place(operator.iadd)
    __isub__ = in_place(operator.isub)
    __imul__ = in_place(operator.imul)
    __itruediv__ = in_place(operator.itruediv)

    def __getitem__(self, index: Any) -> "Tensor":
        parts = index if isinstance(index, tuple) else (index,)
        return record(operator.getitem, getitem, (self, *parts))

    def __setitem__(self, index: Any, value: Any) -> None:
        if MODE.get() != OFF and (self.requires_grad or getattr(value, "requires_grad", False)):
            raise GradientError(
                f"{describe(self)}[...] = v: a change in place has no gradient. Write it as an "
                f"expression (np.where, np.concatenate), or put it under no_grad."
            )
        self._data[bare(index)] = plain(value)
        wrote([self._data])

    # --- NumPy's methods

    sum = method(np.sum)
    mean = method(np.mean)
    max = method(np.max)
    min = method(np.min)
    clip = method(np.clip)
    swapaxes = method(np.swapaxes)
    squeeze = method(np.squeeze)
    ravel = flatten = method(np.ravel)
    dot = method(np.dot)
    prod, cumsum, cumprod = method(np.prod), method(np.cumsum), method(np.cumprod)
    var, std, round = method(np.var), method(np.std), method(np.round)
    diagonal, trace = method(np.diagonal), method(np.trace)
    take, repeat = method(np.take), method(np.repeat)
    astype = astype
    T = property(lambda self: self._unary(np.transpose, np.transpose), doc="Axes reversed.")

    def reshape(self, *shape: Any) -> "Tensor":
        """The same entries in another shape; one size may be -1."""
        return record(np.reshape, np.reshape, (self, shape[0] if len(shape) == 1 else shape))

    def transpose(self, *axes: Any) -> "Tensor":
        """The axes in another order, reversed if none is given."""
        order = axes[0] if len(axes) == 1 else axes or None
        return record(np.transpose, np.transpose, (self, order))


new = Tensor.__new__


def revived(data: Any, requires_grad: bool, name: Any, grad: Any, scope: Any) -> Tensor:
    """A Tensor from its pickled parts, with a number of its own."""
    t = Tensor(data, requires_grad, name)
    t.grad, t.scope = grad, scope
    return t


# --- front doors ----------------------------------------------------------------------------------

FORWARDS |= {
    np.concatenate: lambda arrays, axis=0: joined(np.concatenate, concatenate, arrays, axis),
    np.stack: lambda arrays, axis=0: joined(np.stack, stack, arrays, axis),
    np.amax: np.max,
    np.amin: np.min,
    np.ravel: lambda a: np.reshape(a, -1),
}

QUERIES = {
    *(np.shape, np.ndim, np.size, np.argmax, np.argmin, np.argsort, np.searchsorted, np.bincount),
    *(np.isnan, np.isfinite, np.isinf, np.signbit, np.isclose, np.allclose, np.array_equal),
    *(np.array_equiv, np.any, np.all, np.count_nonzero, np.nonzero, np.flatnonzero, np.unique),
    *(np.result_type, np.can_cast, np.may_share_memory, np.shares_memory, np.iscomplexobj),
    *(np.isrealobj, np.array2string, np.array_repr, np.array_str),
}
"""Questions about values: answered with plain results, outside the graph."""

ALIASES = {"min": "a_min", "max": "a_max", "newshape": "shape"}
"""Other spellings of a keyword, tried where a function has no parameter of that name."""

HINTS |= {
    "copyto": "A change in place has no gradient: build the result with np.where or np.stack.",
}


def joined(op: Function, fun: Function, arrays: Any, axis: int | None) -> Tensor:
    """np.concatenate and np.stack: the arrays become the arguments."""
    return record(op, fun, tuple([operand(a) for a in arrays]), {"axis": axis})


def dispatch(fun: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Record a NumPy function that has rules; refuse any other, naming the nearest that has."""
    if fun in FORWARDS:
        try:
            return FORWARDS[fun](*args, **kwargs)
        except TypeError:
            check_call(fun, args, kwargs)
            raise
    if fun in PRIMITIVES:
        if isinstance(fun, np.ufunc):
            args = tuple([operand(a) for a in args])
        return record(fun, clip if fun is np.clip else fun, *canonical(fun, args, kwargs))
    if fun in QUERIES:
        if MODE.get() == SEALED and fun not in (np.shape, np.ndim, np.size):
            unsealed(next(a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)))
        return fun(*map(bare, args), **{k: bare(v) for k, v in kwargs.items()})
    name = spelled(fun)
    close = nearest(name, [spelled(f) for f in (*PRIMITIVES, *FORWARDS)])
    hint = HINTS.get(name_of(fun)) or (f"Did you mean {close}?" if close else "")
    raise MissingVJPError(
        f"{name} has no VJP rule. {hint}{' ' if hint else ''}Use one of the ops in docs/ops.md, "
        f"or add defvjp({name}, lambda g, y, a: ...)."
    )


def check_call(fun: Any, args: Any, kwargs: dict[str, Any]) -> None:
    """Raise if a call does not fit the function that FORWARDS has for it."""
    import inspect

    signature = inspect.signature(FORWARDS[fun])
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        name = f"{spelled(fun)}{signature}"
        raise MissingVJPError(f"{name} with Tensors: {error}; see docs/ops.md.") from error


def bare(a: Any) -> Any:
    """An argument of a question, or an index: Tensors in it as their arrays."""
    return type(a)(map(plain, a)) if isinstance(a, (list, tuple)) else plain(a)


def canonical(fun: Function, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The call with keywords turned into positions, as far as the rules have positions for them."""
    if not PRIMITIVES.get(fun) or isinstance(PRIMITIVES[fun], Each):
        return args, kwargs
    positions, keywords, defaults = parameters_of(fun)
    given = {k if k in positions + keywords else ALIASES.get(k, k): v for k, v in kwargs.items()}
    extra = [f"{k}=" for k in given if k not in positions + keywords]
    if extra or len(args) > len(positions):
        raise MissingVJPError(
            f"{name_of(fun)}: {(extra or ['so many arguments'])[0]} cannot be used with Tensors; "
            f"known are ({', '.join(positions + keywords)})."
        )
    filled = list(args)
    for name in positions[len(args) :]:
        if not given.keys() - keywords:
            break
        filled.append(given.pop(name, defaults.get(name)))
    return tuple(filled), given
