"""Compare a person's backward pass with autograd: which gradients are right, which are not.

There is no fixed tolerance: `rounding` says for every entry how far two right programs may differ.

1. `subject_of` wraps the person's code, whatever form it has; what happens while it runs is noted.
2. `judge` holds an array against the `Truth`, which gives a `Row`.
3. A `Comparison` is the table of rows; `accounting` says why some of them are wrong.
"""

import copy
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .accounting import account, account_of_gradients, account_of_second
from .errors import GradientError, ShapeError
from .formatting import describe, nearest
from .graph import Node, changed_at, check_overwritten, toposort
from .judging import Comparison, Mark, Row, as_array, judge
from .ops import mse, relu
from .probing import batches, drawn, plain, widths
from .rounding import coarsest, truths
from .subjects import Network, Raised, Subject, Trial, entries, subject_of, title_of, trial
from .tensor import Tensor

__all__ = ["Claim", "check_unchanged", "compare", "compare_claims", "precision"]


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
    explain: bool = True,
    layout: str = "in,out",
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
        Whether to make two more calls, on other data and weights, one with another batch size. They
        show what a first one cannot: a mistake that `x` hides, or one that comes from what an
        earlier call left behind.
    explain : bool
        Whether to look for the cause of a difference.
    layout : {"in,out", "out,in"}
        "out,in" if the weights of `manual`, and their gradients, have the outputs in rows, as in
        PyTorch; biases are then (n_out,) or columns (n_out, 1).

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
    if layout not in ("in,out", "out,in"):
        raise ShapeError(f"compare: layout={layout!r}: use 'in,out' or 'out,in'.")
    turned = layout == "out,in"
    if isinstance(manual, Mapping):
        return compare_gradients(manual, x, sigma, explain, turned)
    if (x is None) != (t is None):
        raise ShapeError("compare: give both x and t, or neither.")
    try:
        subject = subject_of(manual, reference, sizes, turned)
    except Raised as raised:
        row = Row(title_of(manual), verdict=f"WRONG: {raised}")
        return Comparison(f"compare   {row.name}", [row], sigma=sigma)
    call = trial(subject, x, t, rng=0)
    first = judged(subject, call, sigma)
    if not first and explain:
        account(subject, call, first, sigma)
    if not probes:
        first.blind_spots.append("one call only: what it leaves behind for the next does not show")
    elif first:
        return later_calls(subject, call, first, sigma, explain)
    return first


def later_calls(
    subject: Subject, call: Trial, first: Comparison, sigma: float, explain: bool
) -> Comparison:
    """The verdict on a second call and on one with another batch size, after a first was right."""
    # they may write into the arrays of the first
    call.out.DW, call.out.DB = copy.deepcopy((call.out.DW, call.out.DB))
    n = len(call.x)
    other = next(batch for batch in batches(widths(subject.W)) if batch != n)
    for batch, agreed in (
        (n, "a first call agrees; this is a second, on other data"),
        (other, f"calls with batch {n} agree; this is one with another batch size"),
    ):
        subject.use(*drawn(subject.W, subject.B, rng=1))
        later = trial(subject, *plain(subject, batch), rng=1)
        report = judged(subject, later, sigma)
        if not report:
            if explain:
                account_of_second(subject, call, later, report, sigma)
            report.notes.insert(0, agreed)
            return report
        first.notes += [note for note in report.notes if note not in first.notes]
        first.blind_spots = [spot for spot in first.blind_spots if spot in report.blind_spots]
    first.notes.append("a second call, on other data, and one with another batch size: same")
    return first


def judged(subject: Subject, call: Trial, limit: float) -> Comparison:
    """The verdict on one call."""
    out, L = call.out, len(subject.W)
    claims = [Claim("y", "forward", out.y, call.y, False)] if isinstance(subject, Network) else []
    DW, DB = entries(out.DW), entries(out.DB)
    for i in reversed(range(L)):
        dw, db = (gradients[i] if i < len(gradients) else None for gradients in (DW, DB))
        claims.append(Claim(f"DW[{i}]", f"A[{i}].T @ delta", dw, call.net.W[i]))
        claims.append(Claim(f"DB[{i}]", "delta.sum(axis=0)", db, call.net.B[i]))
    title = (
        f"compare   {subject.name} {'-'.join(map(str, widths(subject.W)))}   batch {len(call.x)}"
    )
    result = compare_claims(title, claims, call.loss, limit)
    for name, gradients in (("DW", DW), ("DB", DB)):
        for i in range(L, len(gradients)):
            result.table.append(Row(f"{name}[{i}]", verdict="WRONG: one too many"))
    result.notes += out.notes + ([out.form] if out.form else [])
    return result


def compare_gradients(
    gradients: Mapping[Any, Any], loss: Any, limit: float, explain: bool, turned: bool
) -> Comparison:
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
        if turned and nodes[0].op is None and len(nodes[0].shape) == 2 == np.ndim(given):
            claims.append(Claim(str(name), "", np.transpose(given), nodes[0]))
        else:
            claims.append(Claim(str(name), "", given, nodes[0]))
    claims.sort(key=lambda c: (used[c.node], c.node.op is None, c.node.index), reverse=True)
    result = compare_claims(f"compare   {len(claims)} gradients", claims, loss, limit)
    if not result and explain:
        arrays = {claim.node: as_array(claim.given) for claim in claims}
        theirs = {node: a for node, (a, problem) in arrays.items() if not problem}
        account_of_gradients(loss, theirs, result, limit)
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
    notes = coarser(order, claims, dtype)
    wanted = [(claim.node, claim.gradient) for claim in claims]
    right, note = truths(loss, wanted, dtype, limit)
    table, blind, marks = [], blind_spots(order), {}
    for claim, truth in zip(claims, right):
        row = judge(claim.name, claim.formula, claim.given, truth, limit)
        table.append(row)
        if claim.gradient:
            status = "same" if row.ok else "wrong"
            yours = as_array(claim.given)[0] if row.shape is not None else None
            key = f"d{claim.node.name}" if claim.node.name else claim.name
            text = re.sub("^same", "agrees", re.sub("^WRONG(: )?", "", row.verdict)) or "differs"
            marks[key] = Mark(status, yours, truth.right, text)
        if claim.gradient and np.max(abs(truth.right)) < 10 * limit * np.max(truth.sigma):
            blind.append(f"{claim.name} is zero up to rounding")
    return Comparison(
        f"{title}   {dtype}",
        table,
        [*notes, note] if note else notes,
        blind,
        sigma=limit,
        marks=marks,
        loss=loss,
    )


def precision(order: list[Node], claims: list[Claim]) -> Any:
    """The coarsest floating point type among the weights and the claims."""
    return coarsest(order, [as_array(claim.given)[0] for claim in claims])


def coarser(order: list[Node], claims: list[Claim], dtype: Any) -> list[str]:
    """What is to be said where gradients are of a coarser type than the weights."""
    weights = coarsest(order, [])
    names = [c.name for c in claims if as_array(c.given)[0].dtype == dtype]
    if dtype == weights or not names:
        return []
    some = ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
    return [
        f"{some}: {dtype}, where the weights are {weights}; so all are compared at the "
        f"precision of {dtype}"
    ]


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
