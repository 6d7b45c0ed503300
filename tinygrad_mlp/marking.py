"""Mark gradients line by line, as they are worked out: `cmp`, and `cmp_lines` for many at once.

A gradient that differs is held against two things: autograd's, and what the rules make of the
person's own gradients further up. What agrees with the second only follows from a mistake above.
"""

import math
import re
from fractions import Fraction
from typing import Any, Self

import numpy as np

from .checking import Claim, check_unchanged, compare_claims, precision
from .errors import GradientError
from .formatting import describe, nearest
from .graph import LAST, Node, toposort, unbroadcast
from .judging import Comparison, Row, as_array, judge, number
from .ops import relu
from .primitives import PRIMITIVES
from .rounding import Truth, run_again, truths
from .tensor import Tensor

__all__ = ["cmp", "cmp_lines"]

LIMIT = 10
"""Standard deviations of rounding."""


def cmp(name: str, manual: Any, tensor: Tensor, loss: Tensor | None = None) -> bool:
    """Compare one gradient with autograd's, and print a line about it.

    Parameters
    ----------
    name : str
        What to print at the beginning of the line.
    manual : array
        The gradient that was worked out by hand.
    tensor : Tensor
        What it is the gradient of, a parameter or an intermediate.
    loss : Tensor, optional
        The scalar that was differentiated; by default what ``backward()`` was last called on.

    Returns
    -------
    bool
        Whether they agree up to rounding.

    Raises
    ------
    GradientError
        If `tensor` is not part of the graph of the loss, or the loss is not known.

    Notes
    -----
    Autograd's gradient is computed again from the recorded graph. That of an intermediate needs no
    ``retain_grad()``, and a ``.grad`` that holds a sum of several passes does no harm.

    Examples
    --------
    >>> x = Tensor([1.0, -2.0, 3.0], requires_grad=True)
    >>> s = x * x
    >>> L = s.sum()
    >>> L.backward()
    >>> cmp("ds", np.ones(3), s), cmp("dx", 2.0 * np.ones(3), x), cmp("dx", -2 * x.numpy(), x)
    ds           same      (3,)          max diff        0       0 sigmas
    dx           WRONG     (3,)          max diff        6   1e+15 sigmas
    dx           WRONG     (3,)          max diff       12   2e+15 sigmas  x -1
    (True, False, False)
    """
    if loss is None:
        last = LAST.get()
        loss = last and last()
        if loss is None:
            raise GradientError(
                f"cmp({name!r}, ...): the gradient of which loss? Call loss.backward() before, or "
                f"give it: cmp({name!r}, manual, tensor, loss)."
            )
    lines = cmp_lines(loss)
    row = lines.row(lines.claim(name, manual, tensor))
    print(line(row))  # noqa: T201  # what it is for
    return row.ok


def line(row: Row) -> str:
    """The line of one gradient."""
    verdict, _, hint = row.verdict.partition(": ")
    if row.ok and row.max_diff:
        verdict = "rounding"
    shape = "" if row.shape is None else str(row.shape)
    text = f"{row.name:12} {verdict:9} {shape:12}"
    if row.max_diff is not None:
        diff, sigmas = number(row.max_diff, ".2g"), number(row.sigmas, ".2g")
        text += f"  max diff {diff:>8} {sigmas:>7} sigmas"
    return f"{text}  {hint}".rstrip()


class cmp_lines:
    """Collect gradients that were worked out by hand, and mark them together.

    ``with cmp_lines(loss) as cmp:`` collects what ``cmp("dZ[1]", array)`` or
    ``cmp("my name", array, tensor)`` is given, and prints a table at the end, from the loss to the
    inputs. Of what differs it says whether the mistake was made there, or only follows from one
    further up: whether it agrees with what the rules make of your own gradients.

    Parameters
    ----------
    loss : Tensor
        A scalar that requires a gradient.
    quiet : bool
        Print nothing.

    Attributes
    ----------
    comparison : Comparison
        The table; there is one from the end of the block on.

    Raises
    ------
    GradientError
        If `loss` is no scalar that requires a gradient; in a call, if there is no Tensor of that
        name in its graph. A gradient that is wrong raises nothing.

    Examples
    --------
    >>> from tinygrad_mlp import MLP, mse
    >>> rng = np.random.default_rng(0)
    >>> x, t, net = rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), MLP([3, 4, 2], rng=0)
    >>> y = net(x)
    >>> with cmp_lines(mse(y, t), quiet=True) as cmp:
    ...     dy = 2 * (y.numpy() - t)
    ...     agrees = cmp("dy", dy), cmp("dB[1]", dy.sum(axis=0))
    >>> agrees
    (False, False)
    >>> for row in cmp.comparison.table:
    ...     print(row.name, row.verdict)
    dy WRONG: x 5
    dB[1] WRONG: follows from dy
    """

    def __init__(self, loss: Tensor, quiet: bool = False) -> None:
        if not isinstance(loss, Tensor) or not loss.requires_grad or loss.size != 1:
            given = describe(loss) if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
            raise GradientError(
                f"cmp: the loss is a scalar Tensor that requires a gradient, not {given}."
            )
        self.loss, self.quiet = loss, quiet
        self.claims: list[Claim] = []
        self.order = toposort(loss)
        self.used: dict[Any, float] = {loss: math.inf}  # node -> number of its first use
        for node in self.order:
            self.used |= {node.args[i]: node.index for i in node.needs}

    def __enter__(self) -> Self:
        return self

    def __call__(self, name: str, manual: Any, tensor: Tensor | None = None) -> bool:
        """Take a gradient; whether it agrees."""
        kept = manual.copy() if isinstance(manual, np.ndarray) else manual  # delta may live on
        claim = self.claim(name, kept, tensor)
        self.claims.append(claim)
        return compare_claims("", [claim], self.loss, LIMIT).ok

    def __exit__(self, *_: object) -> None:
        if self.claims:
            self.comparison = self.marked(self.claims)
            if not self.quiet:
                print(self.comparison)  # noqa: T201  # what it is for

    def claim(self, name: str, manual: Any, tensor: Tensor | None) -> Claim:
        """What is said to be the gradient of `tensor`, or of the Tensor that `name` means."""
        call = f"cmp({name!r}, ...)"
        check_unchanged(self.order, call)
        node: Any = tensor
        if tensor is None:
            node = self.named(name, call)
        elif not isinstance(tensor, Tensor):
            raise GradientError(
                f"{call}: the gradient is that of a Tensor, not of a {type(tensor).__name__}."
            )
        elif tensor not in self.used:
            raise GradientError(
                f"{call}: {describe(self.loss, 'the loss')} does not depend on "
                f"{describe(tensor)}, or that requires no gradient."
            )
        return Claim(name, "", manual, node)

    def named(self, name: str, call: str) -> Any:
        """The node whose gradient is called `name`: dW[0], W[0], DW[0], dW0, or delta for dZ."""
        nodes: dict[str, list[Node]] = {}
        for node in self.used:
            if node.name:
                nodes.setdefault(f"d{node.name}", []).append(node)
        meant = [key for key in nodes if spelled(name) in (spelled(key), spelled(key)[1:])]
        delta = re.fullmatch(r"delta(\d+)", spelled(name))
        if delta and not meant:  # that of the last layer is dy
            last = int(delta[1]) - 1
            after = f"dZ[{last}]" in nodes or (last == 0 and "dZ[1]" not in nodes)
            meant = [k for k in (f"dZ[{delta[1]}]", "dy" if after else "") if k in nodes][:1]
        found = [node for key in meant for node in nodes[key]]
        if len(found) != 1:
            close = nearest(name, list(nodes))
            hint = f" Did you mean {close}?" if close and not found else ""
            known = f" Known are {', '.join(sorted(nodes))}." if nodes else ""
            raise GradientError(
                f"{call}: {len(found) or 'no'} Tensors are called so.{hint}{known} Others need a "
                f"name, t.name = 'h', or are given themselves: cmp({name!r}, array, tensor)."
            )
        return found[0]

    def row(self, claim: Claim) -> Row:
        """The row of one gradient by itself."""
        return self.marked([claim]).table[0]

    def marked(self, claims: list[Claim]) -> Comparison:
        """All rows, from the loss to the inputs, each wrong one with what can be said about it."""
        claims = sorted(
            claims, key=lambda c: (self.used[c.node], c.node.op is None, c.node.index), reverse=True
        )
        s = "" if len(claims) == 1 else "s"
        result = compare_claims(f"compare   {len(claims)} gradient{s}", claims, self.loss, LIMIT)
        if not result.ok:
            explained(result, claims, self.loss)
        return result


def spelled(name: str) -> str:
    """A name without what its spellings differ in."""
    text = re.sub(r"\W", "", name)
    return re.sub(r"^D(?=.)", "d", text)


# --- what is wrong with it ------------------------------------------------------------------------


def explained(result: Comparison, claims: list[Claim], loss: Tensor) -> None:
    """Say in each wrong row of `result` what follows from where, and what is true of the rest."""
    dtype = precision(toposort(loss), claims)
    right, _ = truths(loss, [(claim.node, True) for claim in claims], dtype, LIMIT)
    new, gradients = run_again(loss, np.float64)
    own: dict[Node, tuple[Any, Row]] = {}
    for claim, row in zip(claims, result.table):
        if row.max_diff is not None and math.isfinite(row.max_diff):
            own[new[claim.node]] = (np.asarray(as_array(claim.given)[0], float), row)
    expected = carried(new[loss], own)
    others = {
        f"d{node.name}": gradients[again]
        for node, again in new.items()
        if node.name and again in gradients
    }
    for i, (claim, truth) in enumerate(zip(claims, right)):
        row, again = result.table[i], new[claim.node]
        if row.ok:
            continue
        wanted, sources = expected.get(again, (truth.right, []))
        rest = {k: g for k, g in others.items() if g is not gradients.get(again)}
        text = hint(claim.given, truth, wanted, sources, rest, inactive(again, new))
        result.table[i] = noted(row, text)


def noted(row: Row, text: str) -> Row:
    """The row with something said about it."""
    sign = "; " if ": " in row.verdict else ": "
    return row._replace(verdict=f"{row.verdict}{sign}{text}") if text else row


def carried(loss: Node, own: dict[Node, tuple[Any, Row]]) -> dict[Node, tuple[Any, list[str]]]:
    """What the rules make of the person's own gradients, and of which wrong ones.

    The backward pass, in which each of the person's gradients takes the place of autograd's for all
    that comes after it.
    """
    cotangents: dict[Node, Any] = {loss: (np.ones(loss.shape), [])}
    for node in toposort(loss):
        g, sources = cotangents[node]
        if node in own:
            g, row = own[node]
            sources = [] if row.ok else [row.name]
        for i in node.needs:
            a: Any = node.args[i]
            c = unbroadcast(
                PRIMITIVES[node.op][i](g, node._data, *node.values, **node.kwargs), a.shape
            )
            old, before = cotangents.get(a, (0.0, []))
            cotangents[a] = (old + c, list(dict.fromkeys([*before, *sources])))
    return cotangents


def scaled(truth: Truth, wanted: Any) -> Truth:
    """`truth` about `wanted` instead, with rounding in proportion to its size."""
    size = np.max(abs(truth.right), initial=0) or 1.0
    factor = max(1.0, float(np.max(abs(wanted), initial=0) / size))
    sigma, slack = truth.sigma * factor, truth.slack * factor
    if wanted.shape != truth.right.shape:  # another gradient altogether
        sigma, slack = np.max(sigma, initial=0), np.max(slack, initial=0)
    return Truth(wanted, sigma, slack)


def inactive(node: Tensor, new: dict[Node, Tensor]) -> Any:
    """Where the relu that is applied to `node` is 0; None if there is no such relu."""
    for after in new.values():
        if after.op is relu and after.args[0] is node:
            return after._data <= 0
    return None


def hint(
    given: Any, truth: Truth, wanted: Any, sources: list[str], others: Any, off: Any = None
) -> str:
    """What can be said about a wrong gradient, or ''.

    It should be `wanted`, given those of the person's that are wrong further up, the `sources`.
    """
    base, yours = scaled(truth, wanted), " and ".join(sources)
    if sources and judge("", "", given, base, LIMIT).ok:
        return f"follows from {yours}"
    text = likeness(as_array(given)[0], base, others, off)
    return f"{text}, given your {yours}" if text and sources else text


def likeness(a: Any, truth: Truth, others: dict[str, Any], off: Any) -> str:
    """One thing that is true of a wrong gradient, or ''."""

    def fits(b: Any, wanted: Any = truth.right) -> bool:
        return judge("", "", b, scaled(truth, wanted), LIMIT).ok

    if a.ndim and a.shape[1:] == truth.right.shape != a.shape and fits(a.sum(axis=0)):
        return "its sum over the first axis is right"
    same = [name for name, g in others.items() if g.shape == a.shape and fits(a, g)]
    if same:
        return f"equals {same[0]}"
    right = truth.right
    if a.shape != right.shape or not (right.any() and np.isfinite(a).all()):
        return ""
    ratio = float(np.vdot(right, a) / np.vdot(right, right))
    if fits(a, ratio * right):
        return f"x {ratio_text(ratio)}" if a.any() else "all zero"
    if a.ndim == 2 and fits(a.T):
        return "transposed"
    if fits(abs(a), abs(right)):
        return "only signs differ"
    wrong = abs(a - right) > LIMIT * truth.sigma + truth.slack
    if off is not None and not (wrong & ~off).any():
        return f"only inactive units differ ({np.count_nonzero(wrong)} of {a.size} entries)"
    for axis, kind in enumerate({1: ("entries",), 2: ("rows", "columns")}.get(a.ndim, ())):
        lines = np.flatnonzero(wrong.any(axis=1 - axis) if a.ndim == 2 else wrong)
        if 2 * len(lines) <= wrong.shape[axis]:
            return f"only in {kind} {', '.join(map(str, lines))}"
    return ""


def ratio_text(ratio: float) -> str:
    """A factor as people write it: 7, -1, 1/7, 0.32."""
    near = Fraction(ratio).limit_denominator(10_000)
    simple = 1 in (near.denominator, abs(near.numerator))
    close = abs(float(near) - ratio) <= 1e-9 * abs(ratio)
    return str(near) if simple and close else f"{ratio:.6g}"
