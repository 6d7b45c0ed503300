"""Check derivatives of any function, of any order, against differences; and a test for homework.

Two ways to a slope that use no rule at all:

- The complex step, imag f(x + ih) / h, has no rounding error to speak of. It is believed where the
  function runs on complex numbers and where it agrees, in one random direction, with the other way:
  np.abs and its like would lie.
- Central differences with four steps. Where they do not agree with each other, or where the slopes
  to the left and to the right differ, the entry lies at a kink, and no number is right or wrong.
"""

import operator
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .checking import compare
from .errors import GradientError
from .formatting import name_of
from .graph import no_grad, toposort
from .tensor import Tensor, as_array, plain
from .transforms import filled, flat, recording, vjp
from .values import CALLED

__all__ = ["Report", "assert_gradients_match", "gradcheck"]

Function = Callable[..., Any]

STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
"""The error of a step is about h⁴ + 1e-16 / h. A kink nearer than 2e-5 cannot be told from one at
the point itself."""


class Report(NamedTuple):
    """What `gradcheck` compared. Always true: what is wrong is raised."""

    entries: int  # that agree
    kinks: list[str]  # entries without a derivative, which were left out

    def __str__(self) -> str:
        """One line, and one for each kink."""
        left_out = [f"left out, at a kink: {kink}" for kink in self.kinks]
        return "\n".join([f"gradcheck: {self.entries} entries agree", *left_out])


class Wrong(NamedTuple):
    """An entry whose derivative is wrong."""

    order: int
    where: str
    rule: float
    slope: float

    def __str__(self) -> str:
        return f"{self.where}: rule gives {self.rule:.6g}, differences give {self.slope:.6g}"


def gradcheck(f: Function, *args: Any, order: int = 2, rtol: float = 1e-6) -> Report:
    """Check the derivatives of `f` at `args`, by every entry of every argument.

    The outputs are weighted with random cotangents and summed. Order 1 compares the VJP with
    differences of `f`; order 2 takes the VJP as the function, of the arguments and the cotangents,
    and compares its VJP with its differences; and so on.

    Parameters
    ----------
    f : callable
        Takes Tensors, returns Tensors; both may be in trees.
    *args : trees of arrays, numbers or Tensors
        Floating point is converted to float64, whatever its precision; everything else is passed on
        as it is and counts as a constant.
    order : int
        Highest order of derivatives.
    rtol : float
        Relative error of an entry, beyond rounding, that counts as wrong.

    Returns
    -------
    Report
        True, with the number of entries and a line for each one at a kink, which is no failure as
        long as the rule gives something between the slopes on both sides.

    Raises
    ------
    GradientError
        At the first wrong entry. Every op of the graph is then checked alone; the message names the
        one that is wrong, its argument, the entry and both values.

    Examples
    --------
    >>> import numpy as np
    >>> print(gradcheck(lambda x, w: np.tanh(x @ w), np.ones((1, 2)), np.ones((2, 2))))
    gradcheck: 14 entries agree

    A rule that is wrong is found by name:

    >>> from tinygrad_mlp import defvjp, primitive
    >>> @primitive
    ... def cube(x):
    ...     return x**3
    >>> defvjp(cube, lambda g, _y, x: g * x**2)
    >>> gradcheck(lambda x: np.exp(cube(x)), 0.5)
    Traceback (most recent call last):
    ...
    tinygrad_mlp.errors.GradientError: gradcheck: <lambda>, order 1: cube, argument 0, entry ():
    rule gives 0.0314326, differences give 0.0942977
    """
    leaves = flat(args)
    arrays = [as_array(plain(a)) for a in leaves]
    floating = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]
    xs = [np.array(arrays[i], np.float64) for i in floating]
    labels = [label for i, arg in enumerate(args) for label in places(f"argument {i}", arg)]

    def outputs(*values: Any) -> list[Any]:
        whole = leaves.copy()
        for i, value in zip(floating, values):
            whole[i] = value
        ys = flat(f(*filled(args, whole)))
        return [y for y in ys if as_array(plain(y)).dtype.kind in "fc"]

    with np.errstate(all="ignore"):  # at the edge of a domain; what comes of it is looked at
        report, wrong = examine(outputs, xs, [labels[i] for i in floating], order, rtol)
        if wrong:
            whole = f"gradcheck: {name_of(f)}, order {wrong.order}"
            found = culprit(outputs, xs, wrong.order, rtol)
            hint = "Every op is right by itself: did a value leave the graph (detach, .data)?"
            raise GradientError(f"{whole}: {found}" if found else f"{whole}, {wrong}. {hint}")
    return report


def places(prefix: str, tree: Any) -> list[str]:
    """What to call each leaf of `tree`: argument 0['w'][1]."""
    if isinstance(tree, dict):
        items = list(tree.items())
    elif isinstance(tree, (list, tuple)):
        items = list(enumerate(tree))
    else:
        return [prefix]
    return [place for key, value in items for place in places(f"{prefix}[{key!r}]", value)]


def examine(
    f: Function, xs: list[Any], labels: list[str], order: int, rtol: float
) -> tuple[Report, Wrong | None]:
    """Compare all orders of `f`, which takes arrays and returns a list; stop at a wrong entry."""
    rng = np.random.default_rng(0)
    count = 0
    kinks: list[str] = []
    for level in range(1, order + 1):
        ys, pullback = vjp(f, *xs)
        weights = [rng.normal(size=y.shape) for y in ys]
        rules = pullback(weights)
        noise = float(sum(np.finfo(y.dtype).eps * np.abs(y * w).sum() for y, w in zip(ys, weights)))
        if not np.isfinite(noise):
            raise GradientError(
                f"gradcheck, order {level}: the function is not finite here; move the point"
                + (f", or check order={level - 1} only." if level > 1 else ".")
            )
        total = weighted(f, weights)
        # Terms that cancel leave rounding behind, which is no error of the entry.
        floor = 1e3 * noise + 1e-13 * max(float(np.abs(c).max(initial=0)) for c in (*rules, noise))
        for i, rule in enumerate(rules):
            exact = complex_slopes(total, xs, i, noise, rng)
            for index in np.ndindex(rule.shape):
                where, c = f"{labels[i]}, entry {index}", rule[index]
                one = np.zeros(rule.shape)
                one[index] = 1
                value = line(total, xs, i, one)
                if close(c, exact[index], rtol, floor) or close(
                    c, central(value, STEPS[0]), rtol, 10 * noise / STEPS[0]
                ):
                    count += 1
                    continue
                slope, error, jump = differences(value, noise)
                if close(c, slope, rtol, error):
                    count += 1
                elif np.isnan(slope) or abs(c - slope) <= 0.6 * jump:  # half, and some rounding
                    kinks.append(f"order {level}, {where}")
                else:
                    return Report(count, kinks), Wrong(level, where, c, slope)
        f, xs = pulling(f, len(xs)), [*xs, *weights]
        labels = [*labels, *(f"cotangent {i} of order {level}" for i in range(len(weights)))]
    return Report(count, kinks), None


def weighted(f: Function, weights: list[Any]) -> Function:
    """The sum of all that `f` returns, times `weights`, as a number."""

    @no_grad()
    def total(*xs: Any) -> Any:
        return sum(np.sum(plain(y) * w) for y, w in zip(f(*map(Tensor, xs)), weights))

    return total


def pulling(f: Function, n: int) -> Function:
    """The VJP of `f` as a function of its `n` arguments and of the cotangents."""
    return lambda *zs: list(vjp(f, *zs[:n])[1](list(zs[n:])))


def close(a: Any, b: Any, rtol: float, atol: float) -> bool:
    """Whether two slopes agree; NaN never does."""
    return bool(abs(a - b) <= rtol * max(abs(a), abs(b)) + atol)


# --- slopes without rules -------------------------------------------------------------------------


def line(total: Function, xs: list[Any], i: int, direction: Any) -> Function:
    """`total` along a straight line through `xs`."""
    return lambda t: total(*xs[:i], xs[i] + t * direction, *xs[i + 1 :])


def central(value: Function, h: float) -> Any:
    """The slope at 0 from four points, right up to h⁴."""
    return (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)


def differences(value: Function, noise: float) -> tuple[float, float, float]:
    """The slope at 0, how wrong it may be, and by how much it differs from left to right.

    NaN where the steps do not agree on a slope.
    """
    slopes = [central(value, h) for h in STEPS]
    jumps = [(value(h) - 2 * value(0.0) + value(-h)) / h for h in STEPS]
    gaps = np.abs(np.diff(slopes))
    k = int(np.argmin(np.where(np.isnan(gaps), np.inf, gaps)))
    slope, h = slopes[k], STEPS[k + 1]
    if not gaps[k] <= max(1e-6 * abs(slope), 100 * noise / h):
        return np.nan, np.nan, np.nan
    # In a smooth function a jump is h f'': a tenth of it at a tenth of the step.
    return slope, gaps[k] + 10 * noise / h, abs(10 * jumps[k + 1] - jumps[k]) / 9


def complex_slopes(total: Function, xs: list[Any], i: int, noise: float, rng: Any) -> Any:
    """All slopes along argument `i` by the complex step; NaN where it cannot be believed."""
    x, h = xs[i], 1e-30
    slopes = np.full(x.shape, np.nan)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # an imaginary part that is dropped is a warning
            for index in np.ndindex(x.shape):
                one = np.zeros(x.shape)
                one[index] = 1
                slopes[index] = np.imag(line(total, xs, i, one)(1j * h)) / h
    except Exception:  # whatever a function makes of numbers that it was not written for
        return np.full(x.shape, np.nan)
    v = rng.normal(size=x.shape) * np.where(x == 0, 1, np.minimum(abs(x), 1))
    slope, error, _ = differences(line(total, xs, i, v), noise)
    return slopes if close(np.sum(slopes * v), slope, 1e-6, error) else np.full(x.shape, np.nan)


# --- which op it was ------------------------------------------------------------------------------


def culprit(f: Function, xs: list[Any], order: int, rtol: float) -> str:
    """The first op of the graph of `f` that is wrong by itself, and where; '' if none is."""
    with recording():
        ys = f(*(Tensor(x, requires_grad=True) for x in xs))
    nodes = {node for y in ys if isinstance(y, Tensor) for node in toposort(y)}
    for node in sorted(nodes, key=operator.attrgetter("index")):

        def local(*zs: Any, node: Any = node) -> list[Any]:
            values = list(node.values)
            for i, z in zip(node.needs, zs):
                values[i] = z
            return [CALLED.get(node.op, node.op)(*values, **node.kwargs)]

        inputs = [np.array(node.values[i], np.float64) for i in node.needs]
        labels = [f"argument {i}" for i in node.needs]
        _, wrong = examine(local, inputs, labels, order, rtol)
        if wrong:
            name = name_of(node.op)
            return f"{'np.' if getattr(np, name, None) is node.op else ''}{name}, {wrong}"
    return ""


# --- for a test of a backward pass ----------------------------------------------------------------


def assert_gradients_match(manual: Any, x: Any = None, t: Any = None, **options: Any) -> None:
    """Fail, with the whole report, unless a hand-written backward pass agrees with autograd.

    Parameters
    ----------
    manual, x, t, **options
        As :func:`compare` takes them.

    Raises
    ------
    AssertionError
        If a gradient differs. Its message is the report; pytest shows no line of this function.

    Examples
    --------
    >>> from tinygrad_mlp import ManualMLP
    >>> assert_gradients_match(ManualMLP, sizes=(3, 5, 2))
    """
    __tracebackhide__ = True  # pytest then points at the line of the test
    comparison = compare(manual, x, t, **options)
    if not comparison:
        raise AssertionError(f"a gradient differs from autograd's\n\n{comparison}")
