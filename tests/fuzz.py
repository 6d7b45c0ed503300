"""Random input for all that takes some: ``python -m tests.fuzz --seconds 60 graphs names``.

An area is a function of a random generator: it makes one case, does with it what a person could,
and raises if anything but an answer or a sentence comes of it. A failure prints the line that
repeats it. The default suite runs a few seeds of each area (test_fuzz.py), CI some more.
"""

import argparse
import contextlib
import io
import json
import os
import re
import sys
import tempfile
import time
import traceback
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from calls import CALLS
from graphs import ALL_STEPS, SHAPES, arrays_for, build
from mistakes import by_hand, right_passes  # noqa: F401  # they enter themselves in the table
from mistakes.registry import PASSES

from tinygrad_mlp import (
    MLP,
    SGD,
    Adam,
    Tensor,
    TinygradMLPError,
    cli,
    compare,
    derive,
    draw,
    grad,
    jit,
    mse,
    no_grad,
    play,
    scope,
)
from tinygrad_mlp.console import finite
from tinygrad_mlp.data import load_csv
from tinygrad_mlp.errors import RenderError
from tinygrad_mlp.graph import toposort
from tinygrad_mlp.primitives import PRIMITIVES
from tinygrad_mlp.reductions import interval
from tinygrad_mlp.saving import load, save

__all__ = ["AREAS", "PRIMITIVES", "once"]

Rng = np.random.Generator


class Found(Exception):
    """Something that should not be."""


def require(fact: Any, text: str) -> None:
    """As assert, also under -O."""
    if not fact:
        raise Found(text)


def pick(rng: Rng, things: Any) -> Any:
    return things[rng.integers(len(things))]


# --- graphs ---------------------------------------------------------------------------------------


def graphs(rng: Rng) -> None:
    """A random graph: gradients against differences, and every reading of it."""
    seed = int(rng.integers(2**31))
    arrays = arrays_for(seed, int(rng.integers(1, 6)))
    loss, leaves = build(seed, arrays)
    with np.errstate(all="ignore"):  # cbrt at 0 has no slope
        loss.backward()
    if not all(np.isfinite(w.grad).all() for w in leaves if w.grad is not None):
        return
    slopes(seed, arrays, leaves, rng)
    expected = {w.name: w.grad for w in leaves if w.grad is not None}
    program = derive(loss)
    found = program.values()
    for name, gradient in program.results.items():
        np.testing.assert_allclose(found[gradient], expected[name], rtol=1e-9, atol=1e-9)
    for line in program.lines:
        program.why(line.name)
        if np.size(found[line.name]):
            program.explain(line.name, tuple(int(rng.integers(n)) for n in line.shape))
    for form in ("text", "markdown", "latex"):
        program.formulas(form)
    compile(program.worksheet(), "worksheet", "exec")
    json.dumps(program.to_dict(), allow_nan=False)
    for level in ("line", "op"):
        repr(draw(loss, level, pick(rng, ["TB", "LR"]), pick(rng, ["grads", "values", "shapes"])))
    if not seed % 8:
        play(loss)


def slopes(seed: int, arrays: Any, leaves: Any, rng: Rng) -> None:
    """The gradients along a random direction, against differences with two steps.

    Where these two disagree there is a kink or a jump between, or the curve is too steep to say.
    """
    way = {w.name: rng.standard_normal(w.shape) for w in leaves}

    def along(h: float) -> float:
        moved = arrays | {name: arrays[name] + h * way[name] for name in way}
        return float(build(seed, moved)[0].data)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        fine, coarse = ((along(h) - along(-h)) / (2 * h) for h in (1e-6, 1e-5))
    slope = sum(float(np.sum(w.grad * way[w.name])) for w in leaves if w.grad is not None)
    require_slope(slope, fine, coarse, "slope")


def compiled(rng: Rng) -> None:
    """A random graph without a graph: as a function of its source, and as a program of jit."""
    seed, n = int(rng.integers(2**31)), int(rng.integers(2, 6))
    arrays = arrays_for(seed, n)
    first = pick(rng, list(ALL_STEPS))
    given = [Tensor(arrays["x"], name="x")]  # names without brackets: each is an argument
    given += [Tensor(arrays[name], True, re.sub(r"\W", "", name)) for name in SHAPES]
    with np.errstate(all="ignore"):
        loss, _ = build(seed, arrays, first, given)
        loss.backward()
        program, names = derive(loss), {}
        exec(program.source(), names)
        of_name = {t.name: t for t in given}
        if all(name in of_name for name in program.inputs):
            found = names["backward"](*(of_name[name].data for name in program.inputs))
            found = found if len(program.results) > 1 else [found]
            for name, g in zip(program.results, found, strict=True):
                near(g, of_name[name].grad, f"source of {seed}: d{name}")
        params = [Tensor(arrays[name].copy(), True, name) for name in SHAPES]
        kind = pick(rng, [None, lambda p: SGD(p, 0.01, momentum=0.9), lambda p: Adam(p, 0.01)])
        optimizer = kind and kind(params)
        run = jit(lambda x: build(seed, arrays, first, [x, *params])[0], optimizer)
        twins = [Tensor(arrays[name].copy(), True, name) for name in SHAPES]
        other = kind and kind(twins)
        for x in (arrays["x"], arrays["x"] * 0.9, arrays["x"]):
            value = run(x)
            for p in twins:
                p.grad = None
            loss = build(seed, arrays, first, [Tensor(x, name="x"), *twins])[0]
            loss.backward()
            near(value, loss.data, f"jit of {seed}: loss")
            for p, q in zip(params, twins):
                require((p.grad is None) == (q.grad is None), f"jit of {seed}: {p.name}")
                if q.grad is not None:
                    near(p.grad, q.grad, f"jit of {seed}: d{p.name}")
            if other:
                other.step()


def near(a: Any, b: Any, what: str, far: float = 1e-8) -> None:
    """Equal up to rounding of a long computation; what is not finite is nowhere in particular."""
    size = np.max(np.abs(b), where=np.isfinite(b), initial=1)
    if np.isfinite(b).all() and size < 1e8:
        np.testing.assert_allclose(a, b, rtol=far, atol=far * size, err_msg=what)


def functions(rng: Rng) -> None:
    """A function of NumPy with any arguments: value, gradient, derivation, second derivative."""
    kind = pick(rng, list(CALLS))
    what, f, arrays = CALLS[kind](rng)
    what = f"{kind}: {what} of {[a.shape for a in arrays]}"
    tensors = [Tensor(a, True, n) for a, n in zip(arrays, "abc")]
    plain, got = outcome(lambda: f(*arrays)), outcome(lambda: f(*tensors))
    if isinstance(got, Exception):
        usual = isinstance(got, TinygradMLPError) or isinstance(plain, Exception)
        require(usual and str(got).strip(), f"{what}: {got!r}; NumPy: {plain!r}")
        return
    if isinstance(plain, Exception):
        return
    require(type(got) is Tensor, f"{what}: {type(got)}")
    np.testing.assert_allclose(got.data, plain, rtol=1e-9, atol=1e-11, err_msg=what)
    if not got.requires_grad or not got.size:
        return
    g, ways = rng.normal(size=got.shape), [rng.normal(size=a.shape) for a in arrays]

    def slope(moved: Any, h: float) -> Any:
        """Along `ways`, of the gradient: what the second derivative should be."""
        shifted = [Tensor(a + h * v, True) for a, v in zip(moved, ways)]
        with np.errstate(all="ignore"):
            grads = grad((f(*shifted) * g).sum(), shifted, allow_unused=True)
        return sum(np.nansum(d * v) for d, v in zip(grads, ways) if d is not None)

    def value(h: float) -> Any:
        with np.errstate(all="ignore"):
            return np.nansum(f(*(a + h * v for a, v in zip(arrays, ways))) * g)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        first = [(value(h) - value(-h)) / (2 * h) for h in (1e-6, 1e-5)]
        second = [(slope(arrays, h) - slope(arrays, -h)) / (2 * h) for h in (1e-6, 1e-5)]
        require_slope(slope(arrays, 0.0), *first, f"{what}: first derivative")
        loss = (got * g).sum()
        wanted = [t for t in tensors if grad(loss, t, allow_unused=True)[0] is not None]
        grads = grad(loss, wanted, create_graph=True)
        along = {id(t): v for t, v in zip(tensors, ways)}
        total = sum(((d * along[id(t)]).sum() for d, t in zip(grads, wanted)), Tensor(0.0))
        twice = grad(total, tensors, allow_unused=True) if total.requires_grad else ()
        curve = sum((np.nansum(d * v) for d, v in zip(twice, ways) if d is not None), 0.0)
        require_slope(curve, *second, f"{what}: second derivative")
        derived = derive(loss, wanted)
        values = derived.values()
        for t, d in zip(wanted, grads):
            near(values[derived.results[t.name]], d.data, f"{what}: derived d{t.name}", 1e-9)


def require_slope(slope: Any, fine: Any, coarse: Any, what: str) -> None:
    """Where two differences agree there is neither kink nor jump between, and the slope is this."""
    size = 1 + abs(fine)
    if np.isfinite(fine) and np.isfinite(coarse) and abs(fine - coarse) < 1e-5 * size:
        require(abs(slope - fine) < 1e-3 * size, f"{what}: {slope}, by differences {fine}")


# --- shapes, dtypes, indices ----------------------------------------------------------------------

DTYPES = ["f8", "f8", "f4", "f2", "g", ">f8", "c16", "i8", "u1", "?"]
NUMBERS = [0.0, -0.0, 1.0, -1.5, np.nan, np.inf, -np.inf, 1e300, 1e-310]


ORDINARY = (ValueError, IndexError, TypeError, OverflowError, AttributeError)


def any_array(rng: Rng, shape: Any = None) -> Any:
    """An array of any shape, dtype and layout, with odd numbers in it now and then."""
    if shape is None:
        shape = tuple(rng.integers(0, 4, size=rng.integers(0, 4)).tolist())
    a = rng.normal(size=shape) * 2
    if rng.random() < 0.3:
        a = np.where(rng.random(shape) < 0.3, pick(rng, NUMBERS), a)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        a = np.asarray(a).astype(pick(rng, DTYPES))
    layout = rng.integers(4)
    if layout == 1:
        a = np.asfortranarray(a)
    elif layout == 2 and a.ndim:
        a = np.repeat(a, 2, axis=0)[::2]
    elif layout == 3:
        a.flags.writeable = False
    return a


def outcome(f: Callable[[], Any]) -> Any:
    """What it returns, or the error that it raises; warnings of NumPy aside."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return f()
        except Exception as error:
            return error


WIDENED = (np.cov, np.corrcoef, np.quantile, np.percentile, np.diff, np.interp, interval)
"""What NumPy computes in float64 whatever it is given; with Tensors the dtype stays."""


INFINITE = (np.modf, np.dot, np.interp, interval)
"""Where inf and nan are other things to NumPy: the fraction of inf is 0, so is inf times 0 in a dot
product, and on a line between inf and something there is inf."""


def shapes(rng: Rng) -> None:
    """An op on arrays of any shape and dtype: NumPy's value, or an error with a message."""
    key = pick(rng, list(ALL_STEPS))
    step = ALL_STEPS[key]
    a = any_array(rng)
    b = any_array(rng, a.shape if rng.random() < 0.6 else None)
    tensors = [Tensor(v, v.dtype.kind == "f", n) for v, n in ((a, "a"), (b, "b"))]
    got = outcome(lambda: step(*tensors))
    with no_grad():
        plain = outcome(lambda: step(a, b))
    exact = a.dtype.kind == b.dtype.kind == "f" and a.size  # others get no gradient, may widen
    what = f"{getattr(key, '__name__', key)} of {a.dtype} {a.shape}, {b.dtype} {b.shape}"
    if isinstance(got, Exception):
        likewise = isinstance(got, ORDINARY) and (isinstance(plain, Exception) or not exact)
        usual = isinstance(got, TinygradMLPError) or likewise
        require(usual, f"{what}: {got!r}; NumPy: {plain!r}")
        require(str(got).strip(), f"{what}: {type(got).__name__} without a word")
        return
    if isinstance(plain, Exception) or not isinstance(got, Tensor):
        return  # more is allowed than NumPy allows, as is a plain answer
    if not exact:
        return
    require(got.shape == np.shape(plain), f"{what}: shape {got.shape}, NumPy: {np.shape(plain)}")
    if key in INFINITE and not (np.isfinite(a).all() and np.isfinite(b).all()):
        return
    same = np.can_cast(got.dtype, np.asarray(plain).dtype, "equiv")  # in either byte order
    require(same or key in WIDENED, f"{what}: {got.dtype}, NumPy: {np.asarray(plain).dtype}")
    size = np.max(np.abs(plain), where=np.isfinite(plain), initial=1)
    near = 200 * max(float(np.finfo(v.dtype).eps) for v in (got, a, b))
    np.testing.assert_allclose(got.data, plain, rtol=near, atol=near * size, err_msg=what)
    if got.requires_grad:
        done = outcome(lambda: got.backward(np.ones_like(got.data)))
        usual = done is None or isinstance(done, TinygradMLPError)
        require(usual or isinstance(done, np.linalg.LinAlgError), f"{what}: backward: {done!r}")
        for v in tensors:
            if v.grad is not None:
                same = v.grad.shape == v.shape and v.grad.dtype == v.dtype
                require(same, f"{what}: gradient {v.grad.dtype} {v.grad.shape}")


def any_index(rng: Rng, shape: Any, depth: int = 0) -> Any:
    """Something in brackets: mostly what fits the shape, now and then what does not."""
    n = int(pick(rng, shape)) if shape else 1
    kind = rng.integers(15)
    if kind < 3 and depth == 0:
        parts = rng.integers(0, len(shape) + 2)
        return tuple(any_index(rng, shape, 1) for _ in range(parts))
    if kind < 5:
        return int(rng.integers(-n - 1, n + 1))
    if kind < 7:
        ends = [None, *range(-n - 2, n + 3)]
        return slice(pick(rng, ends), pick(rng, ends), pick(rng, [None, 1, 2, -1, -2, 0]))
    if kind == 7:
        return rng.integers(-n, max(n, 1), size=rng.integers(0, 4, size=rng.integers(1, 3)))
    if kind == 8:
        return rng.random(shape if rng.random() < 0.7 else shape[:1]) < 0.5
    if kind == 9:
        return rng.integers(-n, max(n, 1), size=rng.integers(0, 4)).tolist()
    odd = [None, Ellipsis, True, False, 0.0, "x", np.int64(0), Tensor([0]), [], [[0, 0], [0, 0]]]
    return pick(rng, odd)


def bare(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(map(bare, index))
    return index.data if isinstance(index, Tensor) else index


def indices(rng: Rng) -> None:
    """Anything in brackets: NumPy's entries and a gradient that goes back to them, or an error."""
    shape = tuple(rng.integers(0, 4, size=rng.integers(0, 4)).tolist())
    a = rng.normal(size=shape)
    index = any_index(rng, shape)
    t = Tensor(a, True, "a")
    got, plain = outcome(lambda: t[index]), outcome(lambda: a[bare(index)])
    what = f"a{shape}[{index!r}]"
    if isinstance(plain, Exception) or isinstance(got, Exception):
        both = isinstance(got, Exception) and isinstance(plain, Exception)
        require(both, f"{what}: {got!r}; NumPy: {plain!r}")
        usual = isinstance(got, (TinygradMLPError, IndexError, ValueError, TypeError))
        require(usual and str(got).strip(), f"{what}: {got!r}")
        return
    np.testing.assert_array_equal(got.data, plain, err_msg=what)
    g = rng.normal(size=got.shape)
    expected = np.zeros(shape)
    with (
        warnings.catch_warnings()
    ):  # NumPy 2.0 only warns of a place out of bounds in an empty index
        warnings.simplefilter("ignore", DeprecationWarning)
        got.backward(g)
        np.add.at(expected, bare(index), g)
    np.testing.assert_allclose(t.grad, expected, atol=1e-12, err_msg=what)
    if got.size:
        derived = derive((t[index] * g).sum())
        np.testing.assert_allclose(derived.values()["da"], expected, atol=1e-12, err_msg=what)


# --- names ----------------------------------------------------------------------------------------

PIECES = [
    *("W[0]", "len", "np", "lambda", "dW", "y", "L", "x", "_", "A[0]; import os", "W" * 80),
    *('"', "'", "`", "\\", "\\n", "\n", "\r", "\t", "\0", "\x1b[31m", "{", "}", "|", "<", ">"),
    *("&", "&amp;", "&#0;", "]]>", "-->", "</script>", "<!--", "</style>", "<b>", "%s", "%", "$"),
    *("${a}", "{{x}}", "#", "\u202e", "\u200b", "\ufeff", "\ud800", "\udfff", "\uffff", "é"),
    *("e\u0301", "名", "🙂", "ﬁ", "²", "∂", "Σ", "०", "-", " ", "", "/", "..", "$HOME", "*", "~"),
]


def any_name(rng: Rng) -> str:
    return "".join(pick(rng, PIECES) for _ in range(rng.integers(1, 4)))


def names(rng: Rng, rendered: float = 0.15) -> None:
    """A network whose parts are called anything: in pictures, pages, formulas and code."""
    called = [any_name(rng) for _ in range(5)]
    x = Tensor(rng.normal(size=(2, 3)), name=called[0])
    w, b = (Tensor(rng.normal(size=s), True, n) for s, n in (((3, 2), called[1]), (2, called[2])))
    with scope(any_name(rng) or "s"):
        z = x @ w + b
    z.name = called[3]
    loss = mse(np.tanh(z), Tensor(np.zeros((2, 2)), name=called[4]))
    loss.backward()
    level, direction = pick(rng, ["auto", "layer", "line", "op"]), pick(rng, ["TB", "LR"])
    picture = draw(loss, level, direction)
    str(picture)
    printed(str(picture))
    program = derive(loss)
    for form in ("text", "markdown", "latex"):
        printed(program.formulas(form))
    scope_of: dict[str, Any] = {}
    exec(compile(program.source(), "source", "exec"), scope_of)
    compile(program.worksheet(), "worksheet", "exec")
    found = program.values()
    for name, gradient in program.results.items():
        leaf = w if name == program.inputs[0] or found[gradient].shape == w.shape else b
        np.testing.assert_allclose(found[gradient], leaf.grad, atol=1e-12)
    page = play(loss).html
    page.encode("utf-8", "strict")
    require(page.count("<script") == page.count("</script>") == 2, "a name has reached the page")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.npz"
        save(path, dict.fromkeys(called, w), names=called)
        require(load(path).extra["names"] == called, "names do not come back")
        require(set(load(path).state) == set(called), "names of arrays do not come back")
    if rng.random() < rendered:
        ET.fromstring(picture.pipe("svg"))


def printed(text: str) -> None:
    """As a console gets it; no name may ring its bell or move its cursor."""
    text.encode("utf-8", "replace")
    steering = re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)
    require(not steering, f"a control character is printed: {steering and steering[0]!r}")


def pictures(rng: Rng) -> None:
    """A random graph whose values are called anything: at every level, whole, folded and opened."""
    seed = int(rng.integers(2**31))
    loss, _ = build(seed, arrays_for(seed, int(rng.integers(1, 6))))
    nodes = toposort(loss)
    places = [any_name(rng) or "s" for _ in range(3)]
    for node in nodes:
        node.name = any_name(rng) if rng.random() < 0.3 else node.name
        node.scope = pick(rng, places) if rng.random() < 0.7 else ""
    if rng.random() < 0.5:
        with np.errstate(all="ignore"):
            loss.backward()
    sources = []
    for level in ("auto", "layer", "line", "op"):
        how = pick(rng, ["TB", "LR"]), pick(rng, ["auto", "grads", "values", "shapes"])
        picture = draw(loss, level, *how)
        printed(str(picture))
        sources.append(picture.source)
        require(draw(loss, level, *how).source == picture.source, "another picture the second time")
        if rng.random() < 0.1:
            ET.fromstring(picture.pipe("svg"))
    where = pick(rng, [node.scope or "" for node in nodes])
    with contextlib.suppress(RenderError):  # that it is no part of the picture
        sources.append(draw(loss, "layer", expand=where).source)
    for source in sources:
        source.encode("utf-8", "strict")


# --- verdicts -------------------------------------------------------------------------------------

ORDINARY_NETS = {"plain", "deep", "wide", "near_fit", "square", "tiny", "huge"}


def passes(rng: Rng) -> None:
    """Right and wrong backward passes on networks of any size and scale: the verdict is true."""
    known = [p for p in PASSES.values() if p.made == "by hand" and p.net in ORDINARY_NETS]
    right = rng.random() < 0.4
    chosen = pick(rng, [p for p in known if p.right == right])
    sizes = tuple(rng.integers(1, 7, size=rng.integers(2, 6)).tolist())
    batch = int(rng.integers(1, 9))
    net = MLP(sizes, rng=rng)
    for p in net.parameters():
        p.data = (p.data + 0.3 * rng.normal(size=p.shape)) * 10 ** rng.uniform(-1.5, 1.5)
    x = rng.normal(size=(batch, sizes[0])) * 10 ** rng.uniform(-4, 4)
    y = net(x)
    t = y.data + rng.normal(size=y.shape) * np.abs(y.data).max() * 10 ** rng.uniform(-4, 2)
    loss = mse(y, t)
    loss.backward()
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
        report = compare(chosen.code, x, t, reference=net)
    what = f"{chosen.name} {sizes} batch {batch}\n{report}"
    printed(str(report))
    json.dumps(finite(report.to_dict()), allow_nan=False)
    if right:
        require(report.ok, f"a false alarm: {what}")
        return
    found = outcome(lambda: handed_in(chosen.code, net, x, t))
    if isinstance(found, Exception) or not all(np.isfinite(a).all() for a in found):
        require(not report.ok, f"no pass: {found!r}: {what}")
        return
    expected = [p.grad for p in [*net.W, *net.B]]
    far = any(
        np.shape(a) != b.shape or np.abs(a - b).max() > 1e-6 * np.abs(b).max()
        for a, b in zip(found, expected)
    )
    require(not (far and report.ok), f"not found: {what}")
    if rng.random() < 0.05:
        draw(report.loss, check=report)
        play(report.loss, check=report)


def handed_in(code: Any, net: MLP, x: Any, t: Any) -> list[Any]:
    """The gradients that a function or class makes with these weights."""
    W, B = ([p.data.copy() for p in ps] for ps in (net.W, net.B))
    if isinstance(code, type):
        mine = code(net.sizes)
        mine.W, mine.B = W, B
        mine.backward(mine.forward(x.copy()), t.copy())
        return [np.asarray(a, float) for a in [*mine.DW, *mine.DB]]
    DW, DB = code(W, B, x.copy(), t.copy())
    return [np.asarray(a, float) for a in [*DW, *DB]]


def verdicts(rng: Rng) -> None:
    """Gradients of a random graph: right ones pass, one that is a little off does not."""
    seed = int(rng.integers(2**31))
    loss, leaves = build(seed, arrays_for(seed, int(rng.integers(1, 6))))
    with np.errstate(all="ignore"):
        loss.backward()
        leaves = [w for w in leaves if w.grad is not None]
        if not all(np.isfinite(w.grad).all() and np.abs(w.grad).max() < 1e6 for w in leaves):
            return
        program = derive(loss)
        values = program.values()  # added up in another order here and there
        given = {f"d{w.name}": values[program.results[w.name]] for w in leaves}
        report = compare(given, loss, explain=False)
        require(report.ok, f"graph {seed}: a false alarm\n{report}")
        w = pick(rng, leaves)
        wrong = w.grad.copy()
        place = tuple(int(rng.integers(n)) for n in w.shape)
        wrong[place] += pick(rng, [-1, 1]) * 10 ** rng.uniform(-4, 1) * np.abs(w.grad).max() + 1e-6
        report = compare(given | {f"d{w.name}": wrong}, loss, explain=rng.random() < 0.2)
        require(report.wrong == [f"d{w.name}"], f"graph {seed}: {w.name} at {place}\n{report}")
        printed(str(report))


# --- command line ---------------------------------------------------------------------------------

SIZES = ["3,5,2", "2,1", "1,1", "2,3", "2", "", "a", "2,0", "-1,2", "2,,1", "2.5,1", " 3,2", "3, 2"]
SIZES += ["1" * 30 + ",2", "٣,2", "99999999,99999999"]
VALUES = {
    "--sizes": SIZES,
    "--batch": ["1", "3", "0", "-1", "x", "1e3", "2.0", ""],
    "--seed": ["0", "7", "-1", "x", str(2**70), "1.5"],
    "--level": ["auto", "layer", "line", "op", "lines"],
    "--direction": ["TB", "LR", "tb"],
    "--show": ["grads", "values", "shapes", "all"],
    "--expand": ["layer 0", "0", "", "layer 9"],
    "--format": ["text", "markdown", "latex", "python", "json", "xml"],
    "--timeout": ["5", "0", "-1", "nan", "inf", "x"],
    "--epochs": ["1", "2", "0", "x"],
    "--target": ["t", "x", "kind", "", "nothing"],
    "--data": ["digits", "penguins", "a.csv", "b.npz", "no.csv", "no.npz", "folder", "", "loss.py"],
    "--checkpoint": ["c.npz", "b.npz", "folder", "no/c.npz", "text.txt"],
    "--html": ["r.html", "folder", "no/r.html"],
    "--loss": ["loss.py:loss", "loss.py:nothing", "loss.py", "no.py:loss", "loss.py:number"],
    "-o": ["o.svg", "o.dot", "o.html", "o.py", "o.md", "o.npz", "o.svgg", "folder", "no/o.svg"],
}
VALUES["-o"] += ["folder/o.html", "", ".", "..", "x" * 300 + ".dot", "text.txt/o.dot"]
FLAGS = ["--json", "-q", "--worksheet", "--loop", "--hint", "--csv", "--jit", "--help", "--what"]
GIVEN = ["loss.py:loss", "loss.py:nothing", "loss.py:number", "loss.py:exits", "loss.py:fails"]
GIVEN += ["loss.py", "no.py:loss", "folder", "folder:loss", "a.csv:loss", "a.csv", "m.npz", "b.npz"]
GIVEN += ["", ":", "loss.py:", ":loss", "text.txt", "loss.py:stops", "loss.py:loss:loss"]

LOSS = """
import sys
import numpy as np
from tinygrad_mlp import Tensor, mse

def loss():
    print("printed \\x1b[31m")
    w = Tensor(np.ones((3, 2)), True, "w")
    return mse(np.ones((4, 3)) @ w, np.zeros((4, 2)))

def number(): return 3.0
def exits(): sys.exit(3)
def fails(): return np.ones(2) @ np.ones(3)
def stops(): raise GeneratorExit("stopped")
def needs(x): return x
"""


@contextlib.contextmanager
def workplace() -> Any:
    """An empty folder to be in, with a few files."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            Path("folder").mkdir()
            Path("text.txt").write_text("text", "utf-8")
            Path("loss.py").write_text(LOSS, "utf-8")
            Path("a.csv").write_text("x,kind,t\n" + "1,b,0.5\n2,a,1\n3,b,2\n" * 4, "utf-8")
            np.savez("b.npz", x=np.arange(24.0).reshape(8, 3), t=np.arange(8) % 2)
            save("m.npz", MLP([2, 1], rng=0))
            yield Path(folder)
        finally:
            os.chdir(before)


def called(argv: list[str]) -> tuple[int, str, str]:
    """The command line here; fails if it raises, or answers with another status than it may."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = cli.main(argv)
        except BaseException as error:
            raise Found(f"{argv}: {error!r}") from error
    texts = out.getvalue(), err.getvalue()
    require(status in (0, 1, 2), f"{argv}: status {status}")
    require("Traceback" not in texts[1], f"{argv}: a traceback:\n{texts[1]}")
    if status == 2:
        require(texts[1].strip(), f"{argv}: status 2 and no reason")
        require("tinygrad-mlp" in texts[1], f"{argv}: whose message is that? {texts[1]}")
        require(len(texts[1]) < 3000, f"{argv}: a message of {len(texts[1])} characters")
    elif "--json" in argv and "--csv" not in argv and "--help" not in argv:
        json.loads(texts[0])
    left = [name for name in os.listdir() if name.endswith(".tmp")]
    require(not left, f"{argv}: left behind: {left}")
    return status, *texts


COMMANDS = [name for name in cli.COMMANDS if name != "demo"]


def arguments(rng: Rng) -> None:
    """Any arguments, in any order: an answer, or a line that says what is wrong with them."""
    command = pick(rng, [*COMMANDS, "draw", "derive", "play", "drow"])
    argv = []
    for _ in range(rng.integers(0, 5)):
        kind = rng.random()
        if kind < 0.6:
            option = pick(rng, list(VALUES))
            argv += [option, pick(rng, VALUES[option])]
        elif kind < 0.8:
            argv.append(pick(rng, FLAGS))
        else:
            argv.append(pick(rng, GIVEN))
    if rng.random() < 0.5:  # what the command needs, so that it gets further
        if command in ("draw", "play", "derive"):
            argv = [*pick(rng, [["--sizes", "2,1"], ["loss.py:loss"]]), *argv]
        if command in ("play", "train") and "-o" not in argv:
            argv += ["-o", pick(rng, ["o.html", "o.npz"])]
        if command == "train" and "--epochs" not in argv:
            argv += ["--epochs", "1"]
        if command == "train" and "--data" not in argv:
            argv += pick(rng, [["--data", "a.csv", "--sizes", "1,1"], ["--data", "b.npz"]])
    if command == "train" and ("--epochs" not in argv or argv[-1] == "--epochs"):
        argv = [*argv, "--epochs", "1"]
    with workplace():
        called([command, *argv])


# --- files ----------------------------------------------------------------------------------------

CELLS = [
    "1",
    "-2.5",
    "",
    " ",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "x",
    '"',
    '"a,b"',
    '"a\nb"',
    "0x1",
    "1_0",
]
CELLS += ["\0", "é", "\ufeff", "#", "١", "1,5", "True", "a" * 200, "-", "1e-320", "1 2", "'"]


def damaged(rng: Rng, raw: bytes) -> bytes:
    """Bytes with some of them changed, gone, doubled or cut off."""
    data = bytearray(raw)
    for _ in range(rng.integers(1, 4)):
        i, j = sorted(rng.integers(0, len(data) + 1, size=2).tolist())
        kind = rng.integers(5)
        if kind == 0:
            del data[i:]
        elif kind == 1:
            del data[i : min(j, i + 20)]
        elif kind == 2:
            data[i:i] = data[i : min(j, i + 50)]
        elif i < len(data):
            data[i] = rng.integers(256)
        if not data:
            break
    return bytes(data)


def tables(rng: Rng) -> None:
    """CSV text with anything in its cells: columns that fit, or what is wrong and in which row."""
    columns = int(rng.integers(1, 4))
    names = [
        pick(rng, ["x", "y", "t", "kind", "", "x", " x", "é", "a,b", '"q"']) for _ in range(columns)
    ]
    rows = [
        [
            pick(rng, CELLS) if rng.random() < 0.2 else f"{rng.normal():.3g}"
            for _ in range(columns + (rng.random() < 0.03))
        ]
        for _ in range(rng.integers(0, 9))
    ]
    end = pick(rng, ["\n", "\r\n", "\r", "\n\n"])
    raw = end.join(",".join(row) for row in [names, *rows]).encode("utf-8", "replace")
    raw = damaged(rng, raw) if raw and rng.random() < 0.3 else raw
    raw = pick(rng, [b"\xef\xbb\xbf", b""]) + raw
    with workplace():
        Path("c.csv").write_bytes(raw)
        table = outcome(lambda: load_csv("c.csv"))
        if isinstance(table, Exception):
            require(isinstance(table, TinygradMLPError), f"{raw!r}: {table!r}")
            require("c.csv" in str(table), f"{raw!r}: which file? {table}")
        else:
            require(len({len(a) for a in table.values()}) <= 1, f"{raw!r}: columns of two lengths")
        sizes = f"{max(columns - 1, 1)},{pick(rng, '1123')}"
        train = ["train", "--data", "c.csv", "--sizes", sizes, "--epochs", "1", "-o", "o.npz"]
        status, _, err = called([*train, *pick(rng, [[], ["--json"], ["--target", "x"]])])
        if status == 2:
            require("c.csv" in err or "--" in err, f"{raw!r}: {err}")
        else:
            require(called(["predict", "o.npz", "--data", "c.csv"])[0] == 0, f"{raw!r}: predict")
            called(["predict", "o.npz", "--data", pick(rng, ["a.csv", "b.npz", "penguins"])])


def any_entry(rng: Rng) -> Any:
    shape = pick(rng, [(8, 3), (8,), (8, 1), (), (0, 3), (0,), (8, 3, 2), (1, 3), (8, 0), (7, 2)])
    if rng.random() < 0.1:
        return pick(rng, [np.array(["a", "b"] * 4), np.array(b"raw"), np.zeros(8, "M8[s]")])
    if rng.random() < 0.05:
        return np.zeros(8, [("a", "f8")])
    a = any_array(rng, shape)
    return a if rng.random() < 0.5 else rng.integers(0, 3, size=shape)


def archives(rng: Rng) -> None:
    """An npz with any arrays, or a damaged one: data, models and checkpoints alike."""
    with workplace():
        entries = {n: any_entry(rng) for n in ("x", "t", "u") if rng.random() < 0.85}
        np.savez("c.npz", **entries)
        raw = Path("c.npz").read_bytes()
        kind = rng.integers(4)
        if kind == 1:
            Path("c.npz").write_bytes(damaged(rng, raw))
        if kind > 1:
            called(["train", "--data", "a.csv", "--sizes", "1,1", "--epochs", "1", "-o", "m.npz"])
            raw = Path("m.npz").read_bytes()
            Path("c.npz").write_bytes(changed(rng, raw) if kind == 2 else damaged(rng, raw))
        got = outcome(lambda: load("c.npz"))
        if isinstance(got, Exception):
            require(isinstance(got, TinygradMLPError) and "c.npz" in str(got), f"{got!r}")
        train = ["train", "--sizes", pick(rng, ["3,1", "3,2", "1,1"]), "--epochs", "1"]
        status, _, _ = called([*train, "--data", "c.npz", "-o", "o.npz"])
        if status == 0:
            require(called(["predict", "o.npz", "--data", "c.npz"])[0] == 0, "its own data")
        called(["predict", "c.npz", "--data", pick(rng, ["a.csv", "b.npz"])])
        called([*train, "--data", "a.csv", "--checkpoint", "c.npz", "-o", "o.npz"])


def changed(rng: Rng, raw: bytes) -> bytes:
    """A whole file of ours whose content was changed: other values, types, keys."""
    with np.load(io.BytesIO(raw)) as file:
        arrays = dict(file)
    document = json.loads(arrays["tinygrad_mlp"].tobytes())
    odd = [None, 0, -1, 1e400, "", "x", [], {}, [1, "a"], {"dict": {}}, {"array": "no"}, True]
    part = document[pick(rng, ["extra", "state", "arrays", "extra"])]
    if isinstance(part, dict) and part:
        key = pick(rng, list(part))
        if rng.random() < 0.2:
            del part[key]
        else:
            part[key] = pick(rng, odd)
    else:
        document[pick(rng, list(document))] = pick(rng, odd)
    arrays["tinygrad_mlp"] = np.frombuffer(json.dumps(document).encode(), np.uint8)
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


HAND = """
import numpy as np

class MLP:
    def __init__(self, sizes):
        self.W = [np.zeros(shape) for shape in zip(sizes, sizes[1:])]
        self.B = [np.zeros(n) for n in sizes[1:]]

    def forward(self, x):
        self.A = [x]
        for W, B in zip(self.W[:-1], self.B[:-1]):
            self.A.append(np.maximum(0, self.A[-1] @ W + B))
        return self.A[-1] @ self.W[-1] + self.B[-1]

    def backward(self, y, t):
        self.DW, self.DB = [], []
        delta = 2 * (y - t) / len(y)
        for i in reversed(range(len(self.W))):
            self.DW.insert(0, self.A[i].T @ delta)
            self.DB.insert(0, delta.sum(axis=0))
            delta = delta @ self.W[i].T * (self.A[i] > 0)
"""
TOKENS = [
    "self",
    "W",
    "i",
    "0",
    "1",
    "-1",
    "None",
    "x",
    "delta",
    "(",
    ")",
    "[",
    "]",
    ":",
    " ",
    "\n",
]
TOKENS += ["raise KeyError", "return", "np.nan", "1j", "'a'", "exit()", "1 / 0", "{}", "yield", "*"]
TOKENS += ["\0", "\x1b[2J", "é", "\ufeff", "print('x')", "import os", "lambda", "...", "@", "async"]


def programs(rng: Rng) -> None:
    """A backward pass with words exchanged: a verdict, or what is wrong with the file."""
    words = re.split(r"(\W)", HAND)
    for _ in range(rng.integers(1, 4)):
        words[rng.integers(len(words))] = pick(rng, TOKENS if rng.random() < 0.6 else words)
    raw = "".join(words).encode()
    raw = damaged(rng, raw) if rng.random() < 0.15 else raw
    with workplace():
        Path("hand.py").write_bytes(raw)
        how = pick(rng, [[], ["--json"], ["--hint"], ["--csv"], ["--html", "r.html"]])
        out = called(["compare", "hand.py", "--sizes", "2,3,1", "--timeout", "5", *how])[1]
        if how != ["--csv"]:
            printed(out)


AREAS: dict[str, Callable[[Rng], None]] = {
    "graphs": graphs,
    "compiled": compiled,
    "functions": functions,
    "shapes": shapes,
    "indices": indices,
    "names": names,
    "pictures": pictures,
    "passes": passes,
    "verdicts": verdicts,
    "arguments": arguments,
    "tables": tables,
    "archives": archives,
    "programs": programs,
}


def once(area: str, seed: int) -> None:
    """One case; what it raises is what was found."""
    with np.errstate(all="ignore"):  # what is infinite is, and NumPy says so
        AREAS[area](np.random.default_rng([seed, *area.encode()]))


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run areas in turn until the time is over; the exit status is 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("areas", nargs="*", metavar="area", help=", ".join(AREAS))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of the first case; then on from there")
    parser.add_argument("--most", type=int, default=5, help="failures of an area, then it stops")
    args = parser.parse_args()
    warnings.simplefilter("error")
    areas = args.areas or list(AREAS)
    failures = 0
    for area in areas:
        start, seed, bad = time.monotonic(), args.seed, 0
        while time.monotonic() - start < args.seconds / len(areas) and bad < args.most:
            try:
                once(area, seed)
            except Exception:
                bad += 1
                say(f"\n== python -m tests.fuzz {area} --seed {seed} --most 1")
                say("\n".join(traceback.format_exc().splitlines()[-14:]))
            seed += 1
        say(f"{area}: {seed - args.seed} cases, {bad} failures")
        failures += bad
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
