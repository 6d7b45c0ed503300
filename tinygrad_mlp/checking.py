"""Compare a person's backward pass with autograd: which gradients are right, which are not.

There is no fixed tolerance: `rounding` says for every entry how far two right programs may differ.

1. `subject_of` wraps the person's code, whatever form it has; what happens while it runs is noted.
2. `judge` holds an array against the `Truth`, which gives a `Row`.
3. A `Comparison` is the table of rows. The search for causes will fill its list `causes`.
"""

import copy
import html
import inspect
import itertools
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .errors import GradientError, ShapeError, TinygradMLPError
from .formatting import describe, nearest
from .graph import Node, changed_at, check_overwritten, no_grad, toposort
from .nn import MLP
from .ops import mse, relu
from .rounding import Truth, recording, truths
from .tensor import Tensor

__all__ = ["Comparison", "Row", "compare", "probe"]

SIZES = (4, 6, 5, 3)
"""The network for a class that is given without sizes. No two widths are equal, and there are more
than two outputs: with one or two, some mistakes look alike."""

FORMS = (
    "a class or factory that takes sizes or nothing; an object with W, B, forward(x), "
    "backward(y, t), DW and DB; a function (W, B, x, t) -> (DW, DB); or a dict {'dW[0]': gradient} "
    "together with the loss"
)


class Row(NamedTuple):
    """One gradient (or the output y) as the person has it, against autograd."""

    name: str
    formula: str = ""
    shape: tuple[int, ...] | None = None  # of the person's array
    max_diff: float | None = None
    sigmas: float | None = None  # the largest difference, in standard deviations of rounding
    verdict: str = "same"  # or "same ...", or "WRONG ..."

    @property
    def ok(self) -> bool:
        """Whether it agrees."""
        return self.verdict.startswith("same")


@dataclass(repr=False)
class Comparison:
    """The outcome of :func:`compare`: true if every gradient agrees; prints as a table.

    Attributes
    ----------
    table : list of Row
        Walking backward: y first, the first layer last.
    notes : list of str
        What was noticed on the way, such as weights that the backward pass changed.
    blind_spots : list of str
        Which mistakes the data could not show.
    causes : list
        Explanations of a difference; none are looked for yet.
    sigma : float
        The limit, in standard deviations of rounding.
    """

    title: str
    table: list[Row]
    notes: list[str] = field(default_factory=list)
    blind_spots: list[str] = field(default_factory=list)
    causes: list[Any] = field(default_factory=list)
    sigma: float = 10

    @property
    def ok(self) -> bool:
        """Whether every gradient agrees with autograd's, up to rounding."""
        return not self.wrong

    @property
    def wrong(self) -> list[str]:
        """Names of all that differ."""
        return [row.name for row in self.table if not row.ok]

    @property
    def where(self) -> str:
        """Name of the first that differs, walking backward; '' if none does."""
        return next(iter(self.wrong), "")

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        cells = [("gradient", "", "yours", "max |diff|", "in sigmas", "")]
        for row in self.table:
            shape = "" if row.shape is None else str(row.shape)
            diff, sigmas = number(row.max_diff, ".1e"), number(row.sigmas, ".1f")
            cells.append((row.name, row.formula, shape, diff, sigmas, row.verdict))
        sides = [max(map(len, column)) for column in zip(*cells)]
        lines = [self.title, ""]
        for line in cells:
            padded = [f"{cell:{way}{n}}" for cell, way, n in zip(line, "<<<>><", sides) if n]
            lines.append("  ".join(["", *padded]).rstrip())
        lines.append("")
        if self.ok:
            largest = max(row.sigmas or 0 for row in self.table)
            lines.append(
                f"PASS  all {len(self.table)} agree up to rounding "
                f"(largest {largest:.1f} sigmas, limit {self.sigma:g})"
            )
        else:
            lines.append(f"FAIL  {len(self.wrong)} of {len(self.table)} differ")
            lines.append(f"WHERE {self.where} is the first that differs, walking backward")
        lines += [f"NOTE  {note}" for note in self.notes]
        lines += [f"BLIND {spot}" for spot in self.blind_spots]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = []
        for line in map(html.escape, str(self).splitlines()):
            wrong = "WRONG" in line or line.startswith("FAIL")
            lines.append(f'<b style="color: #b00020">{line}</b>' if wrong else line)
        return "<pre>" + "\n".join(lines) + "</pre>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; ``version`` says which form it has. No number is None."""
        rows = [{**row._asdict(), "ok": row.ok} for row in self.table]
        for row in rows:
            row["shape"] = None if row["shape"] is None else list(row["shape"])
            row["max_diff"], row["sigmas"] = finite(row["max_diff"]), finite(row["sigmas"])
        return {
            "version": 1,
            "ok": self.ok,
            "title": self.title,
            "sigma": self.sigma,
            "wrong": self.wrong,
            "where": self.where,
            "causes": self.causes,
            "notes": self.notes,
            "blind_spots": self.blind_spots,
            "rows": rows,
        }


def finite(value: float | None) -> float | None:
    """`value` if JSON has it, else None."""
    return value if value is not None and math.isfinite(value) else None


def number(value: float | None, spec: str) -> str:
    """`value` as text of a few characters, or nothing."""
    if value is None:
        return ""
    return f"{value:{spec if value < 1e5 else '.0e'}}"


# --- the front door -------------------------------------------------------------------------------


def compare(
    manual: Any,
    x: Any = None,
    t: Any = None,
    *,
    reference: Any = None,
    sizes: Sequence[int] | None = None,
    sigma: float = 10,
    probes: bool = True,
    explain: bool = True,  # noqa: ARG001  # there is no search for causes yet
) -> Comparison:
    """Compare a hand-written backward pass with autograd.

    Parameters
    ----------
    manual : class, factory, object, function or dict
        - A class or factory, called with `sizes` or with nothing; or an object, which is copied and
          stays as it is. Either has what `ManualMLP` has: ``W``, ``B``, ``forward(x)``,
          ``backward(y, t)``, ``DW``, ``DB``. Lists of rows in the place of matrices are accepted.
        - A function ``(W, B, x, t) -> (DW, DB)``; needs `sizes` or `reference`.
        - A dict of gradients worked out by hand, with the loss as the second argument:
          ``compare({"dW[1]": g, "dB[1]": h}, loss)``. Keys are names of Tensors, with or without
          the d; intermediates such as "dZ[1]" and "dy" are among them.
    x, t : array, optional
        Input (batch, n_in) and targets (batch, n_out). By default those of :func:`probe`.
    reference : MLP, optional
        The network to compare with, whose weights `manual` then gets. By default a relu network
        with the weights of `manual`.
    sizes : sequence of int, optional
        Widths of the network, input first.
    sigma : float
        The limit for a difference, in standard deviations of rounding.
    probes : bool
        Whether to make a second call, on other data and weights. It shows what a first one cannot:
        a mistake that `x` hides, or one that comes from what an earlier call left behind.
    explain : bool
        Whether to look for the cause of a difference. That is still to come; `causes` stays empty.

    Returns
    -------
    Comparison
        True if all agree. A mistake of `manual`, an exception too, is found in its table and notes.

    Raises
    ------
    TinygradMLPError
        If the call itself makes no sense: `manual` has none of these forms, `x` does not fit the
        network, or no Tensor has the name of a gradient.

    Notes
    -----
    A sum of n rounded products has the standard deviation ``u max(1, √n / 2) Σ|products|``, where u
    is half the distance from 1 to the next number, in the coarsest floating point type among
    gradients and weights. These are carried along the graph, forward and backward, as variances of
    independent errors. A unit whose z is 0 up to rounding may count as active or not. If the graph
    has other ops than matmul, add, relu and mse, its difference in float32 is the measure instead.

    Examples
    --------
    >>> from tinygrad_mlp.manual import ManualMLP
    >>> bool(compare(ManualMLP, sizes=(3, 5, 2)))
    True
    >>> def without_division(W, B, x, t):
    ...     delta = 2 * (x @ W[0] + B[0] - t)
    ...     return [x.T @ delta], [delta.sum(axis=0)]
    >>> compare(without_division, sizes=(3, 2)).wrong
    ['DW[0]', 'DB[0]']
    """
    if isinstance(manual, Mapping):
        return compare_gradients(manual, x, sigma)
    if (x is None) != (t is None):
        raise ShapeError("compare: give both x and t, or neither.")
    try:
        subject = subject_of(manual, reference, sizes)
    except Raised as raised:
        row = Row(title_of(manual), verdict=f"WRONG: {raised}")
        return Comparison(f"compare   {row.name}", [row], sigma=sigma)
    first = compare_call(subject, x, t, sigma, rng=0)
    if not probes:
        first.blind_spots.append("one call only: what it leaves behind for the next does not show")
    elif first:
        subject.use(*drawn(subject.W, subject.B, rng=1))
        second = compare_call(subject, None, None, sigma, rng=1)
        if not second:
            second.notes.insert(0, "a first call agrees; this is a second, on other data")
            return second
        first.notes += [note for note in second.notes if note not in first.notes]
        first.notes.append("a second call, on other data: same")
        first.blind_spots = [spot for spot in first.blind_spots if spot in second.blind_spots]
    return first


def compare_call(subject: "Subject", x: Any, t: Any, limit: float, rng: int) -> Comparison:
    """One call of the person's code, against autograd on the same weights and data."""
    W, B = subject.W, subject.B
    net = MLP(widths(W), rng=0, activation=subject.activation)
    net.W = [Tensor(w, True, f"W[{i}]") for i, w in enumerate(W)]
    net.B = [Tensor(b, True, f"B[{i}]") for i, b in enumerate(B)]
    if x is None:
        x, t = probe(net, rng)
    with no_grad():
        x, t = np.asarray(x), np.asarray(t)
    with recording(), np.errstate(all="ignore"):
        y = net(x)
        loss = mse(y, t)
    out = subject.attempt(x, t)

    claims = [Claim("y", "forward", out.y, y, False)] if isinstance(subject, Network) else []
    DW, DB = entries(out.DW), entries(out.DB)
    for i in reversed(range(len(W))):
        dw, db = (gradients[i] if i < len(gradients) else None for gradients in (DW, DB))
        claims.append(Claim(f"DW[{i}]", f"A[{i}].T @ delta", dw, net.W[i]))
        claims.append(Claim(f"DB[{i}]", "delta.sum(axis=0)", db, net.B[i]))
    title = f"compare   {subject.name} {'-'.join(map(str, widths(W)))}   batch {len(x)}"
    result = compare_claims(title, claims, loss, limit)
    for name, gradients in (("DW", DW), ("DB", DB)):
        for i in range(len(W), len(gradients)):
            result.table.append(Row(f"{name}[{i}]", verdict="WRONG: one too many"))
    result.notes += out.notes
    return result


def compare_gradients(gradients: Mapping[Any, Any], loss: Any, limit: float) -> Comparison:
    """Named gradients against those of the recorded graph of `loss`."""
    call = "compare({'dW[0]': gradient, ...}, loss)"
    if not isinstance(loss, Tensor) or not loss.requires_grad or loss.size != 1:
        given = describe(loss) if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise GradientError(
            f"{call}: the second argument is the loss, a scalar Tensor that requires a gradient, "
            f"not {given}."
        )
    if not gradients:
        raise GradientError(f"{call}: no gradient is given.")
    order = toposort(loss)
    check_unchanged(order, call)
    # node -> number of its first use: walking backward, there its gradient is complete
    used: dict[Any, float] = {loss: math.inf}
    for node in order:
        used |= {node.args[i]: node.index for i in node.needs}
    named: dict[Any, list[Node]] = {}
    for node in used:
        if node.name:
            named.setdefault(f"d{node.name}", []).append(node)
    claims = []
    for name, given in gradients.items():
        nodes = named.get(name) or named.get(f"d{name}", [])
        if len(nodes) != 1:
            close = nearest(str(name), list(named))
            raise GradientError(
                f"{call}: {len(nodes) or 'no'} Tensors are called {name!r}. "
                f"{f'Did you mean {close}? ' if close and not nodes else ''}"
                f"Known are {', '.join(sorted(named))}; others need a name first: t.name = 'w'."
            )
        claims.append(Claim(str(name), "", given, nodes[0]))
    claims.sort(key=lambda c: (used[c.node], c.node.op is None, c.node.index), reverse=True)
    result = compare_claims(f"compare   {len(claims)} gradients", claims, loss, limit)
    left = {node for node in used if node.op is None} - {claim.node for claim in claims}
    if left:
        names = sorted(f"d{node.name}" if node.name else describe(node) for node in left)
        result.blind_spots.append(f"not given, so not compared: {', '.join(names)}")
    return result


def check_unchanged(order: list[Node], call: str) -> None:
    """Raise if a value has changed since it was recorded: the forward pass is run again here."""
    check_overwritten(order)
    for node in order:
        for a in node.args:
            if isinstance(a, Node) and changed_at(a) > node.index:
                raise GradientError(
                    f"{call}: {describe(a)} was overwritten after the loss was computed from it. "
                    f"Compare before the optimizer's step, or run the forward pass again."
                )


class Claim(NamedTuple):
    """What the person says the gradient, or else the value, of a node is."""

    name: str
    formula: str
    given: Any
    node: Any
    gradient: bool = True


def compare_claims(title: str, claims: list[Claim], loss: Any, limit: float) -> Comparison:
    """A row for each claim, by the graph of `loss`."""
    order = toposort(loss)
    dtype = precision(order, claims)
    wanted = [(claim.node, claim.gradient) for claim in claims]
    right, note = truths(loss, wanted, dtype, limit)
    table, blind = [], blind_spots(order)
    for claim, truth in zip(claims, right):
        table.append(judge(claim.name, claim.formula, claim.given, truth, limit))
        if claim.gradient and np.max(abs(truth.right)) < 10 * limit * np.max(truth.sigma):
            blind.append(f"{claim.name} is zero up to rounding")
    return Comparison(f"{title}   {dtype}", table, [note] if note else [], blind, sigma=limit)


def precision(order: list[Node], claims: list[Claim]) -> Any:
    """The coarsest floating point type among the weights and the claims."""
    arrays = [node.values[i] for node in order for i in node.needs if node.args[i].op is None]
    arrays += [as_array(claim.given)[0] for claim in claims]
    dtypes = {a.dtype for a in arrays if a.dtype.kind == "f"} | {np.dtype(float)}
    return max(dtypes, key=lambda dtype: float(np.finfo(dtype).eps))


def blind_spots(order: list[Node]) -> list[str]:
    """Which mistakes make no difference on this graph, whose ops are `order`."""
    spots = []
    for node in order:
        if node.op is mse:
            shape = node.values[0].shape
            sizes = {n for op in order if op.op is np.matmul for n in op.values[1].shape}
            if shape[:1] == (1,):
                spots.append("batch 1: a factor of the batch size makes no difference")
            elif shape and shape[0] in sizes:
                spots.append(f"batch {shape[0]} is a width, too: a sum over the wrong axis fits")
            if shape[1:] == (1,):
                spots.append("one output: a mean over the outputs is the same as a sum")
        elif node.op is relu and (node._data > 0).all():
            spots.append(f"{node.name or 'a relu'}: all units are active, a mask changes nothing")
    return spots


# --- the verdict ----------------------------------------------------------------------------------


def judge(name: str, formula: str, given: Any, truth: Truth, limit: float) -> Row:
    """The row of one array; nothing is broadcast, and what cannot be judged is wrong."""
    a, problem = as_array(given)
    if problem:
        return Row(name, formula, verdict=f"WRONG: {problem}")
    right = truth.right
    row = Row(name, formula, a.shape)
    if not all(np.isfinite(part).all() for part in truth):
        return row._replace(verdict="WRONG: cannot be judged, autograd's own is not finite")
    if a.shape != right.shape:
        text = f"WRONG: shape {a.shape}, not {right.shape}"
        if a.size == right.size and judge("", "", a.reshape(right.shape), truth, limit).ok:
            text += "; the values are right"
        elif a.T.shape == right.shape and judge("", "", a.T, truth, limit).ok:
            text += "; its transpose is right"
        return row._replace(verdict=text)
    bad = a.size - np.count_nonzero(np.isfinite(a))
    if bad:
        return row._replace(verdict=f"WRONG: {bad} of {a.size} entries are nan or infinite")
    with np.errstate(all="ignore"):
        diff = np.abs(a - right)
        sigmas = np.max(diff / truth.sigma, initial=0)
        beyond = np.max((diff - truth.slack) / truth.sigma, initial=0)
    verdict = "same" if sigmas <= limit else "same up to the slope at 0"
    verdict = verdict if beyond <= limit else "WRONG"
    if a.dtype.kind != "f":
        verdict += f", but {a.dtype} instead of floating point"
    return row._replace(
        max_diff=float(np.max(diff, initial=0)), sigmas=float(sigmas), verdict=verdict
    )


def as_array(given: Any) -> tuple[Any, str]:
    """`given` as an array of real numbers; or an empty one, and what is wrong with it."""
    problem = "missing"
    if given is not None:
        try:
            with no_grad():
                a = np.asarray(given)
            if a.dtype.kind in "fiub":
                return a, ""
            problem = f"entries are {a.dtype}, not real numbers"
        except Exception as error:
            problem = f"no array ({one_line(error)})"
    return np.empty(0), problem


def entries(gradients: Any) -> list[Any]:
    """The gradients of the layers as a list; empty if it is none."""
    stacked = isinstance(gradients, np.ndarray) and gradients.ndim > 0
    return list(gradients) if stacked or is_rows(gradients) else []


def is_rows(a: Any) -> bool:
    """Whether `a` is a list in the place of an array, or of arrays."""
    return isinstance(a, (list, tuple))


# --- data and weights -----------------------------------------------------------------------------


def probe(net: Any, rng: "int | np.random.Generator | None" = 0) -> tuple[Any, Any]:
    """Input and targets that are special in nothing, so that mistakes show.

    The batch size is a prime of at least 5 that is no width of a layer. No z is near 0, and every
    relu layer has active and inactive units, other ones for other samples and in other layers, as
    far as the weights allow. Targets are no integers, and about as far from y as y is from 0.

    Parameters
    ----------
    net : MLP, ManualMLP, or anything with lists `W` and `B`
    rng : None, int or numpy.random.Generator

    Returns
    -------
    x : array, shape (batch, n_in)
    t : array, shape (batch, n_out)
        Both in the dtype of the weights.

    Examples
    --------
    >>> x, t = probe(MLP((3, 5, 2), rng=0))
    >>> x.shape, t.shape
    ((7, 3), (7, 2))
    """
    rng = np.random.default_rng(rng)
    W, B = weights_of(net, "probe", type(net).__name__)
    sizes, dtype = widths(W), W[0].dtype
    primes = (n for n in itertools.count(5) if all(n % d for d in range(2, n)))
    batch = next(n for n in primes if n not in sizes)
    most = -1
    for i in range(20):
        # ever larger inputs, in case that the biases outweigh them
        x = (rng.standard_normal((16 * batch, sizes[0])) * 1.5**i).astype(dtype)
        y, *Z = reversed(preactivations(W, B, x))
        distances = [abs(z).min(axis=1) / (abs(z).mean() or 1.0) for z in Z]
        best = np.argsort(-np.min([np.ones(len(x)), *distances], axis=0))[:batch]
        masks = [z[best] > 0 for z in Z]
        alike = any(np.array_equal(m, n) for m, n in itertools.pairwise(masks))
        good = sum(bool((mask != mask[0]).any()) for mask in masks) + (not alike)
        if good > most:
            most, chosen, scale = good, x[best], abs(y[best]).mean() or 1.0
        if good > len(masks):
            break
    t = rng.standard_normal((batch, sizes[-1])) * scale
    return chosen, t.astype(dtype)


def preactivations(W: list[Any], B: list[Any], x: Any) -> list[Any]:
    """Z of every layer, the last of which is y; in float64."""
    Z: list[Any] = []
    for w, b in zip(W, B):
        a = np.maximum(Z[-1], 0) if Z else x.astype(float)
        Z.append(a @ w.astype(float) + b)
    return Z


def drawn(W: list[Any], B: list[Any], rng: int) -> tuple[list[Any], list[Any]]:
    """Weights and biases of the shapes and dtypes of `W` and `B`; no bias is zero."""
    generator = np.random.default_rng(rng)

    def like(a: Any, scale: float) -> Any:
        return (generator.standard_normal(a.shape) * scale).astype(a.dtype)

    return [like(w, (2 / len(w)) ** 0.5) for w in W], [like(b, 0.5) for b in B]


def widths(W: list[Any]) -> list[int]:
    """Number of neurons of each layer."""
    return [W[0].shape[0], *(w.shape[1] for w in W)]


def weights_of(owner: Any, call: str, name: str) -> tuple[list[Any], list[Any]]:
    """Copies of the weights and biases of `owner`, as floating point arrays that fit together."""
    try:
        with no_grad():
            W, B = ([np.array(a) for a in arrays] for arrays in (owner.W, owner.B))
        W, B = ([a if a.dtype.kind == "f" else a.astype(float) for a in c] for c in (W, B))
    except Exception as error:
        raise ShapeError(
            f"{call}: {name} needs lists of arrays W and B ({one_line(error)})."
        ) from error
    fits = len(W) == len(B) > 0 and all(w.ndim == 2 and w.size for w in W)
    fits = fits and all(w.shape[1] == after.shape[0] for w, after in itertools.pairwise(W))
    if not fits or any(b.shape not in ((w.shape[1],), (1, w.shape[1])) for w, b in zip(W, B)):
        raise ShapeError(
            f"{call}: {name}: W {[w.shape for w in W]}, B {[b.shape for b in B]} make no network. "
            f"W[i] is (n_in, n_out), with inputs in rows (PyTorch has the transpose), B[i] is "
            f"(n_out,), and n_in of W[i+1] is n_out of W[i]."
        )
    return W, B


# --- the person's code ----------------------------------------------------------------------------


class Raised(Exception):
    """The person's code raised; says in which call, what, and in which line."""


def call(what: str, fun: Callable[..., Any], *args: Any) -> Any:
    """``fun(*args)``; whatever it raises is a `Raised`."""
    try:
        with np.errstate(all="ignore"):
            return fun(*args)
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is this function
        own = [frame for frame in frames if frame.filename == frames[0].filename]
        text = f"{what} raised {one_line(error)}"
        if own:  # where it left the person's file
            text += f" ({Path(own[-1].filename).name}, line {own[-1].lineno}: {own[-1].line})"
        raise Raised(text) from error


def one_line(error: BaseException) -> str:
    """Type and message of an error."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


@dataclass
class Attempt:
    """What the person's code made of one batch; None where it did not get so far."""

    y: Any = None
    DW: Any = None
    DB: Any = None
    notes: list[str] = field(default_factory=list)


@dataclass
class Subject:
    """The person's code, with the weights of its next call: a function of (W, B, x, t)."""

    name: str
    activation: Any
    code: Any
    W: list[Any]
    B: list[Any]
    notes: list[str] = field(default_factory=list)  # for the next attempt

    def use(self, W: list[Any], B: list[Any]) -> None:
        """Take these weights."""
        self.W, self.B = W, B

    def attempt(self, x: Any, t: Any) -> Attempt:
        """One call on copies; what happens is noted, and nothing is raised."""
        out = Attempt(notes=self.notes)
        self.notes = []
        before = {"W": self.W, "B": self.B, "x": x, "t": t}
        after = copy.deepcopy(before)
        try:
            self.run(after, out)
        except Raised as raised:
            out.notes.append(str(raised))
        changed = [name for name, value in before.items() if not same(after[name], value)]
        if changed:
            out.notes.append(f"changed by your code: {', '.join(changed)}")
        return out

    def run(self, given: dict[str, Any], out: Attempt) -> None:
        """Call it with what is `given`, fill `out`, and leave in `given` what it has become."""
        result = call(self.name, self.code, *given.values())
        if is_rows(result) and len(result) == 2:
            out.DW, out.DB = result
        else:
            out.notes.append(f"{self.name} returned {describe(result)}, not (DW, DB)")


class Network(Subject):
    """An object with W, B, forward(x) and backward(y, t), which fills DW and DB."""

    def use(self, W: list[Any], B: list[Any]) -> None:
        """Hand it these weights, in its own dtype, and its own shapes if the sizes are the same."""
        dtype = self.W[0].dtype
        shapes = [b.shape for b in (self.B if widths(W) == widths(self.W) else B)]
        W = [w.astype(dtype) for w in W]
        B = [b.astype(dtype).reshape(shape) for b, shape in zip(B, shapes)]
        try:
            call("setting W", setattr, self.code, "W", copy.deepcopy(W))
            call("setting B", setattr, self.code, "B", copy.deepcopy(B))
            self.W, self.B = W, B  # not what it may say that it took
        except Raised as raised:
            self.notes.append(f"its own weights are used: {raised}")
            self.W, self.B = weights_of(self.code, "compare", self.name)

    def run(self, given: dict[str, Any], out: Attempt) -> None:
        """Forward, then backward."""
        try:
            self._run(given["x"], given["t"], out)
        finally:
            given["W"], given["B"] = getattr(self.code, "W", None), getattr(self.code, "B", None)

    def _run(self, x: Any, t: Any, out: Attempt) -> None:
        y = call("forward", self.code.forward, x)
        out.y = copy.deepcopy(y)
        A: Any = getattr(self.code, "A", None)
        lists = is_rows(y) or (is_rows(A) and any(map(is_rows, A)))
        kept = copy.deepcopy(self.code) if lists else None
        call("zero_grad", getattr(self.code, "zero_grad", lambda: None))
        try:
            call("backward", self.code.backward, y, t)
        except Raised as raised:
            if not lists:
                raise
            out.notes.append(f"lists of rows were made arrays after forward, because {raised}")
            self.code = kept
            y = call("making an array of y", np.array, out.y)
            if is_rows(A):
                call("making arrays of A", lambda: setattr(kept, "A", list(map(np.array, A))))
            call("backward", self.code.backward, y, t)
        else:
            if lists:
                out.notes.append("lists of rows are compared as arrays")
        if not same(y, out.y):
            out.notes.append("changed by backward: y")
        out.DW, out.DB = getattr(self.code, "DW", None), getattr(self.code, "DB", None)


def same(after: Any, before: Any) -> bool:
    """Whether an array, or each of a list, still has its values."""
    if is_rows(after) and is_rows(before) and len(after) == len(before):
        return all(map(np.array_equal, after, before))
    return np.array_equal(after, before)


def subject_of(manual: Any, reference: Any, sizes: Sequence[int] | None) -> Subject:
    """`manual` in one of its forms, made and given weights, ready to run."""
    name, activation = title_of(manual), getattr(reference, "activation", relu)
    start = None
    if reference is not None:
        start = weights_of(reference, "compare", "reference")
    elif sizes is not None:
        start = start_of(sizes)
    made = None
    if isinstance(manual, type) or not is_network(manual):
        makes = callable(manual) and (isinstance(manual, type) or not hasattr(manual, "W"))
        needs, takes = arity(manual) if makes else (2, 2)
        if needs == 4 and not isinstance(manual, type):
            if start is None:
                raise ShapeError(
                    f"compare: {name}(W, B, x, t) is a function: its weights need sizes=(3, 5, 2) "
                    f"or reference=net."
                )
            return Subject(name, activation, manual, *start)
        if needs < 2:
            start = start_of(SIZES) if needs and start is None else start
            args = (widths(start[0]),) if start and takes else ()
            made = call(f"{name}({', '.join(map(str, args))})", manual, *args)
    else:
        try:
            made = copy.deepcopy(manual)
        except Exception as error:
            raise TinygradMLPError(
                f"compare: {name} cannot be copied ({one_line(error)}); give its class instead."
            ) from error
    if not is_network(made):
        raise TinygradMLPError(f"compare: {name} is none of the forms that it takes: {FORMS}.")
    for method, arguments in (("forward", ("x",)), ("backward", ("y", "t"))):
        try:
            signature = inspect.signature(getattr(made, method))
            signature.bind(*arguments)
        except TypeError as error:
            raise TinygradMLPError(
                f"compare: {name}.{method}{signature} cannot be called as "
                f"{method}({', '.join(arguments)}): x (batch, n_in) is the input, y (batch, n_out) "
                f"what forward returned, t (batch, n_out) the targets."
            ) from error
    network = Network(name, activation, made, *weights_of(made, "compare", name))
    if start:
        network.use(*start)
    return network


def start_of(sizes: Sequence[int]) -> tuple[list[Any], list[Any]]:
    """Weights for a network of `sizes`."""
    return drawn(*weights_of(MLP(sizes, rng=0), "compare", "sizes"), rng=0)


def title_of(manual: Any) -> str:
    """Name of a class or function, or of the class of an object."""
    return str(getattr(manual, "__name__", type(manual).__name__))


def is_network(manual: Any) -> bool:
    """Whether `manual` has the methods and weights of `ManualMLP`."""
    return all(hasattr(manual, name) for name in ("W", "B", "forward", "backward"))


def arity(fun: Callable[..., Any]) -> tuple[int, int]:
    """How many positional arguments `fun` needs, and how many it takes."""
    try:
        parameters = inspect.signature(fun).parameters.values()
    except ValueError:  # some builtins do not say
        return 0, 0
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return sum(p.default is p.empty for p in positional), len(positional)
