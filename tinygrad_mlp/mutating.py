"""Ways to write a line wrongly: every small change of its expression, whatever the op.

A change takes something away (a factor, a term, a transpose, a sum over the batch), puts something
else in its place (any value of the same shape, or a function of one), or adds something. Nothing
here knows a network: what relu, tanh or softmax need falls out of their rules as they are derived.
"""

from collections.abc import Callable, Collection, Iterator
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from . import ops
from .formatting import name_of
from .rewriting import (
    ALL,
    CLASSIC,
    LIKELY,
    NOT_FIRST,
    NOT_LAST,
    ODD,
    Rewrite,
    averaged,
    functions,
    keeping,
    overwritten,
    part,
    rows,
    samples,
    slopes,
    some_rows,
    times,
)
from .simulating import Simulator, apply, copied, leaves, rooted, shown
from .values import Length, Number, Value, reads

__all__ = ["Change", "changes", "places", "substituted"]


class Change(NamedTuple):
    """Another expression for one line."""

    line: Value
    new: Any
    rank: float
    text: str
    key: tuple[Any, ...]
    """What kind of change it is, and where in the line."""
    make: Callable[[Any], Any] | None = None
    """The expression for a coefficient that is still to be found."""
    leaf: Value | None = None
    """The named value that another stands for."""
    put: Any = None
    """What stands for it; a function of the coefficient, if there is one."""


def changes(line: Value, sim: Simulator, given: Collection[Value]) -> dict[tuple[Any, ...], Change]:
    """Every change of `line`, by key; the values of those `given` are compared themselves."""
    context = Context(line, sim, given)
    found: dict[tuple[Any, ...], Change] = {}

    def add(
        way: tuple[Any, ...], row: Rewrite, put: Callable[[Any], Any], leaf: Value | None = None
    ) -> None:
        make, key = row.make, (*way, *row.key)
        made = None if make is None else lambda c: put(make(c))
        if key not in found:
            found[key] = Change(
                line, put(row.new), row.rank, row.text, key, made, leaf, make or row.new
            )

    root = rooted(line)
    for path, node in places(root):
        for row in context.rewrites(node, path, root):
            add((path,), row, partial(replaced, root, path))
    for leaf in reads(root):
        for row in context.substitutions(leaf):
            add(
                ("leaf", context.relative(leaf)),
                row,
                partial(substituted, root, leaf),
                leaf,
            )
    for row in context.all_shifted(root):
        add(("leaves",), row, lambda new: new)
    return found


# --- places in an expression ----------------------------------------------------------------------


def places(root: Value) -> Iterator[tuple[tuple[int, ...], Value]]:
    """Every op in an expression, with the way to it: numbers of arguments."""
    stack: list[tuple[tuple[int, ...], Value]] = [((), root)]
    while stack:
        path, node = stack.pop()
        yield path, node
        for i, a in enumerate(node.args):
            if isinstance(a, Value) and a.name is None:
                stack.append(((*path, i), a))


def replaced(root: Value, path: tuple[int, ...], new: Any) -> Any:
    """`root` with what is at `path` replaced."""
    if not path:
        return new
    args = list(root.args)
    args[path[0]] = replaced(args[path[0]], path[1:], new)
    return copied(root, args)


def substituted(a: Any, old: Value, new: Any) -> Any:
    """An expression with `new` for `old`."""
    if a is old:
        return new
    if isinstance(a, Value) and a.name is None:
        return copied(a, [substituted(b, old, new) for b in a.args])
    return a


def is_factor(root: Value, path: tuple[int, ...]) -> bool:
    """Whether what is at `path` is multiplied with something of its shape."""
    for i in path[:-1]:
        root = root.args[i]
    others = [a.shape for a in root.args if isinstance(a, Value)]
    return bool(path) and root.op is np.multiply and len(others) == 2 and others[0] == others[1]


def scales(root: Value, path: tuple[int, ...]) -> bool:
    """Whether a factor at `path` is one of the whole expression."""
    for i in path:
        if root.op not in (np.multiply, np.divide):
            return False
        root = root.args[i]
    return True


# --- the changes of one line ----------------------------------------------------------------------

OPPOSITE = {
    np.greater: (np.greater_equal, np.less_equal, np.less, np.equal),
    np.greater_equal: (np.greater, np.less_equal, np.less, np.equal),
    np.less: (np.less_equal, np.greater_equal, np.greater),
    np.less_equal: (np.less, np.greater_equal, np.greater),
}
AXES = {"softmax": -1, "log_softmax": -1, "logsumexp": -1, "sum": None, "mean": None, "max": None}
"""Ops with an axis, and what it is by default."""

WORDS = {np.add: "added", np.subtract: "subtracted", np.multiply: "multiplied"}
WORDS[np.divide] = "divided"


class Context:
    """The changes of one line."""

    def __init__(self, line: Value, sim: Simulator, given: Collection[Value]) -> None:
        self.line, self.sim, self.given = line, sim, given
        below = sim.below[line]
        self.layer = sim.layer(line)
        self.pool = [
            v
            for v in sim.named.values()
            if v not in below and v.dtype.kind == "f" and self.is_near(v)
            if line.backward or v not in sim.targets
        ]
        self.inner = [
            b
            for v in sim.lines
            if not v.backward and v.shape == line.shape and self.is_near(v)
            for path, b in places(rooted(v))
            if path and b.dtype.kind == "f" and b.op is np.matmul
        ]
        of = sim.named.get(line.of)
        self.activation = next(
            (
                name_of(v.op)
                for v in sim.lines
                if not v.backward and v.args[:1] == (of,) and reads(v) == [of]
                if v.shape == line.shape
            ),
            "",
        )

    def relative(self, v: Value) -> tuple[str, int | None]:
        """What `v` is as seen from this line: W[], and so many layers on."""
        base, k = self.sim.layer(v)
        return base, None if k is None or self.layer[1] is None else k - self.layer[1]

    def is_near(self, v: Value) -> bool:
        """Whether a person may take `v` by mistake: not what is some layers away."""
        k = self.relative(v)[1]
        return k is None or -2 <= k <= 2 or self.sim.layer(v)[1] in (0, self.sim.depth)

    def is_rows(self, v: Value) -> bool:
        """Whether the first axis of `v` is the batch."""
        return len(v.shape) > 1 and v.shape[0] == self.sim.batch

    def same(self, shape: tuple[int, ...], *but: Value) -> list[Value]:
        """Values of that shape."""
        return [v for v in self.pool if v.shape == shape and all(v is not b for b in but)]

    def like(self, a: Value) -> list[Value]:
        """Values that may stand for `a`: of its shape, or of its kind."""
        base = self.sim.layer(a)[0]
        kind = [
            v
            for v in self.pool
            if self.sim.layer(v)[0] == base and v.shape != a.shape and len(v.shape) == len(a.shape)
        ]
        return [*self.same(a.shape, a), *kind]

    def factor(self, b: Any, rest: Any = None) -> str:
        """A factor or divisor, for people; `rest` is what is left without it."""
        if isinstance(b, Length):
            whole = "the size of the batch" if b.axis == 0 else "a size"
            return f"the division by {shown(b)}, {whole},"
        if isinstance(b, Value) and self.activation:
            if self.activation == "relu":
                return f"the ReLU mask {shown(b)}, the derivative of relu,"
            partly = any(not a.backward and a.shape == b.shape for a in leaves(rest))
            whole = f"{'a factor of ' if partly else ''}the derivative of {self.activation}"
            return f"{shown(b)}, {whole},"
        return f"the factor {shown(b)}"

    def for_(self, new: Any, old: Any) -> str:
        """One expression in the place of another."""
        if isinstance(new, Value) and new in old.args and old.op is np.multiply:
            [rest] = [shown(a) for a in old.args if a is not new] or [shown(new)]
            text = f"{shown(new)} in the place of {shown(old)}"
            return f"{text}: taken before {rest} (the mask) is applied"
        if isinstance(new, Value) and new.op is np.multiply and old in new.args:
            [rest] = [shown(a) for a in new.args if a is not old] or [shown(old)]
            text = f"{shown(new)} in the place of {shown(old)}"
            return f"{text}: the factor {rest} (a mask or slope) is applied here, too"
        if new in self.line.args and self.mask is not None:
            return (
                f"another mask: {shown(new)} > 0 in the place of {shown(self.mask)} (relu of the "
                f"gradient {shown(new)} itself)"
            )
        if self.mask is not None and old in reads(self.mask):
            return (
                f"another mask: {shown(substituted(self.mask, old, new))} in the place of "
                f"{shown(self.mask)}"
            )
        return f"{shown(new)} in the place of {shown(old)}"

    @cached_property
    def mask(self) -> Value | None:
        """The comparison in this line."""
        return next((n for _, n in places(rooted(self.line)) if n.op in OPPOSITE), None)

    # --- one op ---

    def rewrites(self, n: Value, path: tuple[int, ...], root: Value) -> Iterator[Rewrite]:
        """Other expressions for the op `n`."""
        s = shown(n)
        yield from self.shorter(n)
        yield from self.other_op(n)
        if is_factor(root, path):
            yield from self.slope(n)
        if n.op not in (*OPPOSITE, np.transpose):  # of a transpose it is the same without
            yield from functions(n)
        if self.is_rows(n):
            yield from rows(n)
        for b in self.same(n.shape):
            if (path or b.backward) and b not in n.args:
                text = f"{shown(b)} in the place of {s}"
                base, k = self.relative(b)
                if not path and k == 1 and base == self.layer[0]:
                    text += ": the gradient is not carried on from the layer above"
                yield Rewrite(("for", self.relative(b)), b, LIKELY, text)
        for b in self.same(n.shape[::-1]) if len(n.shape) == 2 else ():
            new = apply(np.transpose, b)
            text = f"{shown(new)} in the place of {s}"
            yield Rewrite(("for T", self.relative(b)), new, ODD, text)
        for i, a in enumerate(n.args):  # of a value that is used twice, one use
            if isinstance(a, Value) and a.name is not None and uses(root, a) > 1:
                for key, new, rank, text, make in self.substitutions(a):
                    if make is None:
                        yield Rewrite(("one", i, *key), replaced(n, (i,), new), rank, text)
        if n.op is np.multiply and not scales(root, path):
            yield from self.other_number(n)
        if not path:
            yield from self.more(n)

    def slope(self, n: Value) -> Iterator[Rewrite]:
        """Other slopes in the place of the factor `n`."""
        for b in [*self.same(n.shape), *(b for b in self.inner if b.shape == n.shape)]:
            key = self.relative(b) if b.name else shown(b)
            for label, new, what in slopes(b):
                if shown(new) == shown(n):
                    continue
                text = f"{shown(new)} ({what}) in the place of {self.factor(n)}".rstrip(",")
                rank = LIKELY - 0.1
                if self.activation and new in reads(n):
                    text = f"{self.activation} itself, {shown(new)}, in the place of its derivative"
                    text += f" {shown(n)}"
                    rank = CLASSIC
                elif b.op is np.matmul and b.name is None:
                    text = f"{text}: z without the bias, which is missing"
                elif self.activation == "relu" and label == ">":
                    text = f"the mask of something else: {text}"
                yield Rewrite(("slope", label, key), new, rank, text)

    def shorter(self, n: Value) -> Iterator[Rewrite]:
        """Something is missing in `n`."""
        op, args = n.op, n.args
        values = [a for a in args if isinstance(a, Value)]
        if op in (np.multiply, np.divide) and len(args) == 2:
            a, b = args
            if isinstance(a, Value):
                yield Rewrite(("drop", 1), a, CLASSIC, f"{self.factor(b, a)} is missing")
            if isinstance(b, Value) and op is np.multiply:
                text = f"{self.factor(a, b)} is missing"
                if isinstance(a, Value):
                    what = "the mask " if b.op in OPPOSITE else ""
                    text = f"{what}{shown(b)} replaces (overwrites) {shown(a)} instead of being "
                    text += "multiplied with it"
                yield Rewrite(("drop", 0), b, CLASSIC, text)
        elif op in (np.add, np.subtract) and len(args) == 2:
            yield from self.shorter_sum(n)
        elif (
            len(values) == 1 and values[0].shape == n.shape and op not in (np.transpose, *OPPOSITE)
        ):
            text = f"{name_of(op)} is missing around {shown(values[0])}"
            yield Rewrite(("drop", 0), values[0], CLASSIC, text)
            for key, new, rank, _, _ in functions(values[0]):
                if rank <= LIKELY or "clip" in str(key):
                    text = f"{shown(new)} in the place of {shown(n)}"
                    yield Rewrite(("other", *key), new, rank, text)

    def shorter_sum(self, n: Value) -> Iterator[Rewrite]:
        """A term of a sum is missing, or counts several times."""
        a, b = n.args
        if isinstance(a, Value):
            what = f"the target {shown(b)}" if shown(b) == "t" else f"the term {told(b)}"
            yield Rewrite(("drop", 1), a, CLASSIC, f"{what} is missing (forgotten)")
        if isinstance(b, Value):
            new = b if n.op is np.add else apply(np.negative, b)
            yield Rewrite(("drop", 0), new, CLASSIC, f"the term {told(a)} is missing")
            if isinstance(a, Value) and n.op is np.subtract:
                text = f"the term {shown(a)} is missing, and the sign of {shown(b)} is wrong"
                yield Rewrite(("drop", 2), b, LIKELY, text)
        for i in (0, 1):
            if isinstance(n.args[i], Value):
                yield Rewrite(
                    ("term", i),
                    n,
                    LIKELY,
                    f"the term {told(n.args[i])} counts another number of times",
                    counted(n, i),
                )

    def other_op(self, n: Value) -> Iterator[Rewrite]:
        """Another op than that of `n`."""
        op, args = n.op, n.args
        if op is np.transpose and len(args) == 1 and isinstance(args[0], Value):
            a = args[0]
            yield Rewrite(("no T",), a, CLASSIC, f"{shown(a)} is not transposed: .T is missing")
            shape = tuple(Length(a, i) for i in reversed(range(len(a.shape))))
            new = apply(np.reshape, a, shape)
            yield Rewrite(("reshape",), new, CLASSIC, f"{shown(a)} is reshaped, not transposed")
        elif op in OPPOSITE:
            yield from self.other_mask(n)
        elif op in WORDS and len(args) == 2:
            yield from self.other_arithmetic(n)
        elif op in (np.sum, np.mean):
            yield from self.other_sum(n)
        elif op is np.matmul:
            yield from self.other_product(n)
        elif op is np.where and len(args) == 3:
            yield from self.other_branch(n)
        elif op is ops.scattered:
            text = "gradients of what is indexed twice are not added up (np.add.at): the last one "
            new = apply(overwritten, *args)
            yield Rewrite(("last",), new, CLASSIC, f"{text}overwrites the others")
            text = "gradients of what is indexed twice are averaged (a mean), not added up"
            yield Rewrite(("mean",), apply(averaged, *args), LIKELY, text)
        if name_of(op) in AXES and isinstance(args[0], Value) and len(args[0].shape) == 2:
            yield from self.other_axis(n)

    def other_branch(self, n: Value) -> Iterator[Rewrite]:
        """Another choice than that of `n` between two values."""
        condition, a, b = n.args
        s = shown(condition)
        for key, new, text in (
            ("zero", (condition, a, Number(0.0)), f"0 in the place of {shown(b)} where {s} is not"),
            ("0 there", (condition, Number(0.0), b), f"0 in the place of {shown(a)} where {s}"),
            ("swap", (condition, b, a), f"{s} is inverted: {shown(a)} where it does not hold"),
        ):
            yield Rewrite((key,), apply(np.where, *new), CLASSIC, text)
        sides = [(one, other) for one, other in ((a, b), (b, a)) if isinstance(one, Value)]
        for i, (one, other) in enumerate(sides):
            text = f"{shown(one)} everywhere: {shown(other)} is missing, and the choice by {s}"
            yield Rewrite(("drop", i), one, CLASSIC, text)

    def other_number(self, n: Value) -> Iterator[Rewrite]:
        """Another number than that in a product."""
        for i, a in enumerate(n.args):
            if isinstance(a, Number) and isinstance(n.args[1 - i], Value):
                text = f"another number in the place of {shown(a)} in {shown(n)}"
                yield Rewrite(("number", i), n, LIKELY + 0.2, text, partial(with_argument, n, i))

    def other_axis(self, n: Value) -> Iterator[Rewrite]:
        """The same over the other axis."""
        now = n.kwargs.get("axis", n.args[1] if len(n.args) > 1 else AXES[name_of(n.op)])
        if isinstance(now, Number):
            now = now.number
        if now in (0, 1, -1, -2):
            other = Number(1 if now in (0, -2) else 0)
            kwargs = {k: v for k, v in n.kwargs.items() if k != "axis"}
            text = f"{name_of(n.op)} is over the wrong axis, {other.number} in the place of {now}"
            new = Value(n.op, (n.args[0], other), kwargs, n)
            yield Rewrite(("axis",), new, CLASSIC, text)

    def other_mask(self, n: Value) -> Iterator[Rewrite]:
        """Another comparison than `n`."""
        s, (a, b) = shown(n), n.args
        for limit in (1.0, 0.5, 0.1, 0.01) if isinstance(b, Number) else ():
            new = apply(n.op, a, Number(limit))
            text = f"another threshold in the mask: {shown(new)}, not {s}"
            yield Rewrite(("limit", limit), new, LIKELY, text)
        for other in OPPOSITE[n.op]:
            new = apply(other, a, b)
            inverted = name_of(other)[:4] != name_of(n.op)[:4]
            how = "the mask is inverted" if inverted else "another comparison in the mask"
            yield Rewrite(("op", name_of(other)), new, CLASSIC, f"{how}: {shown(new)}, not {s}")
        if n.shape:
            off = apply(np.less_equal, a, b)
            yield Rewrite(
                ("leak",),
                n,
                LIKELY,
                f"the slope where {s} does not hold is not 0, as in a leaky ReLU",
                plus(n, off),
            )

    def other_arithmetic(self, n: Value) -> Iterator[Rewrite]:
        """Another sign between the operands of `n`."""
        a, b = n.args
        if n.op is np.subtract:
            new = apply(np.subtract, b, a)
            yield Rewrite(("swap",), new, CLASSIC, f"the sign of {shown(n)}: it is {shown(new)}")
        for other, word in WORDS.items():
            if other is not n.op:
                new = apply(other, a, b)
                text = f"{word} instead of {WORDS[n.op]}: {shown(new)}"
                near = {n.op, other} in ({np.add, np.subtract}, {np.multiply, np.divide})
                yield Rewrite(("op", word), new, CLASSIC if near else LIKELY, text)
        if n.op is not np.divide or not isinstance(b, Length):
            return
        both = "the number of entries, batch times outputs (a mean over the outputs, too)"
        for axis, what in ((1, "the number of outputs"), (None, both)):
            size = Length(b.value, axis)
            if size != b and len(b.value.shape) > 1:
                new = apply(np.divide, a, size)
                text = f"divided by {what}, not by {shown(b)}"
                yield Rewrite(("size", axis), new, CLASSIC, text)
        new = apply(np.divide, n, b)
        yield Rewrite(("twice",), new, CLASSIC, f"divided by {shown(b)}, the batch, twice")

    def other_sum(self, n: Value) -> Iterator[Rewrite]:
        """Another reduction than the sum `n`."""
        a, s = n.args[0], shown(n)
        given = shown(a)
        for op in (np.sum, np.mean, np.max, np.min, np.prod):
            if op is not n.op:
                word = name_of(op)
                what = {"mean": "a mean over the batch", "sum": "a sum"}.get(word, f"the {word}")
                new = Value(op, n.args, n.kwargs, n)
                text = f"{what}, not the {name_of(n.op)} of {given}"
                yield Rewrite((word,), new, CLASSIC if op in (np.sum, np.mean) else LIKELY, text)
        if len(a.shape) < 2 or n.kwargs:
            return
        zero = Number(0)
        ones = apply(np.ones_like, apply(np.sum, a, zero))
        for key, new, text in (
            ("total", apply(np.sum, a), f"{given} is summed over both axes, to one number"),
            (
                "totals",
                times(apply(np.sum, a), ones),
                f"{given} is summed over both axes, in total",
            ),
            ("none", a, f"{given} is not summed over the batch: the sum is missing"),
            ("keepdims", keeping(np.sum, a, 0), "the sum keeps the batch axis (keepdims)"),
        ):
            yield Rewrite((key,), new, CLASSIC, text)
        for index, rank, which in samples(a):
            new = apply(np.sum, part(a, index), zero)
            yield Rewrite(("some", which), new, rank, f"{which} in {s}")
        for b in self.pool:
            if len(b.shape) == len(a.shape) and b.shape != a.shape:
                new = apply(np.sum, b, zero)
                text = f"{shown(b)} in the place of {given}"
                yield Rewrite(("of", self.relative(b)), new, ODD, text)

    def other_product(self, n: Value) -> Iterator[Rewrite]:
        """Another product than the matrix product `n`."""
        a, b = n.args
        if not isinstance(a, Value) or not isinstance(b, Value) or len(a.shape) * len(b.shape) != 4:
            return
        s = shown(n)
        yield Rewrite(("swap",), apply(np.matmul, b, a), LIKELY, f"the factors of {s} are swapped")
        if a.shape == b.shape:
            yield Rewrite(("entrywise",), times(a, b), LIKELY, f"elementwise product, not {s}")
        new = apply(np.transpose, n)
        yield Rewrite(("T",), new, CLASSIC, f"the result is transposed: {s}")
        shape = tuple(Length(n, i) for i in range(2))
        text = f"{s} is transposed and reshaped back"
        yield Rewrite(("T reshape",), apply(np.reshape, new, shape), ODD, text)
        if not a.shape[1] == self.sim.batch == b.shape[0]:
            return
        for op, word in ((np.sum, "summed"), (np.mean, "averaged")):
            new = apply(np.matmul, keeping(op, a, 1), keeping(op, b, 0))
            text = (
                f"each factor of {s} is {word} over the batch before the product (an outer product)"
            )
            yield Rewrite(("outer", word), new, LIKELY, text)
        for index, rank, which in samples(b):
            new = apply(np.matmul, part(a, ALL, index), part(b, index))
            yield Rewrite(("some", which), new, rank, f"{which} in {s}")
        for i, j in ((NOT_FIRST, NOT_LAST), (NOT_LAST, NOT_FIRST)):
            new = apply(np.matmul, part(a, ALL, i), part(b, j))
            text = f"the samples (rows) in {s} are shifted against each other"
            yield Rewrite(("shift", i is NOT_LAST), new, LIKELY, text)

    # --- more ---

    def more(self, n: Value) -> Iterator[Rewrite]:
        """Something multiplied with, or added to, the whole line."""
        s = str(self.line.name)
        text = f"{s} is multiplied by a constant factor"
        yield Rewrite(("scale",), n, LIKELY, text, lambda c: times(c, n))
        inner = [(path, b) for path, b in places(n) if path and b.shape == n.shape]
        named = [(self.relative(b), b) for b in self.same(n.shape)]
        wide = [b for b in self.pool if len(n.shape) == 2 and b.shape == n.shape[1:]]
        for rank, options in ((LIKELY + 0.3, inner), (LIKELY + 0.4, named)):
            for key, b in options:
                for label, new, what in slopes(b):
                    text = f"an extra factor {shown(new)} ({what}) in {s}"
                    yield Rewrite(("times", label, key), times(n, new), rank, text)
        for key, b in [*named, *((self.relative(b), b) for b in wide)]:
            for label, term in (("", b), ("sign", apply(np.sign, b))):
                yield Rewrite(
                    ("plus", label, key),
                    n,
                    LIKELY,
                    f"{shown(term)} is added to {s}",
                    plus(n, term),
                )
            if b in wide:
                text = f"an extra factor {shown(b)} in {s}"
                yield Rewrite(("times", key), times(n, b), ODD, text)
            if f"d{b.name}" == s:
                yield Rewrite(
                    ("clip",),
                    n,
                    LIKELY,
                    f"{s} is clipped",
                    lambda c: apply(np.clip, n, apply(np.negative, c), c),
                )
                yield Rewrite(
                    ("updated",),
                    b,
                    LIKELY,
                    f"{shown(b)}, updated by a step along its gradient, in the place of {s}",
                    plus(b, n),
                )
        text = f"a constant is added to {s}"
        yield Rewrite(("plus 1",), n, ODD, text, lambda c: apply(np.add, n, c))
        if self.line.backward:
            zeros = apply(np.zeros_like, n)
            yield Rewrite(
                ("zero",),
                zeros,
                LIKELY,
                f"the term {s} is left out (missing): nothing goes back through it",
            )
            if self.is_rows(n):
                for index, rank, which in samples(n):
                    yield Rewrite(("some", which), apply(some_rows, n, index), rank + 1, which)

    # --- named values ---

    def substitutions(self, a: Value) -> Iterator[Rewrite]:
        """Other values in the place of the named value `a`."""
        s, (base, k) = shown(a), self.sim.layer(a)
        for b in self.like(a):
            other, m = self.sim.layer(b)
            near = base.lstrip("d") == other.lstrip("d") or (k == m and k is not None)
            key = self.relative(b)
            yield Rewrite(("for", key), b, CLASSIC if near else LIKELY, self.for_(b, a))
            for label, new, _ in slopes(b) if b.shape == a.shape else ():
                if label in (">", "(1-)", "1-²"):
                    yield Rewrite(("for", label, key), new, ODD, self.for_(new, a))
        if a.dtype.kind != "f":
            yield from self.other_labels(a)
            return
        mask = self.mask
        here = a.backward and a not in self.given and self.sim.readers[a] == 1
        if not here:  # or it is the same as in the line that makes `a`
            if mask is None or a not in reads(mask) or uses(rooted(self.line), a) > 1:
                yield from functions(a)
            if self.is_rows(a):
                yield from rows(a)
        wide = [b for b in self.pool if len(a.shape) == 2 and b.shape == a.shape[1:]]
        for b in [*self.same(a.shape, a), *wide]:
            text = f"a multiple of {shown(b)} is added to {s}"
            if str(b.name) == f"d{a.name}":
                made = f"when {self.line.name} was made"
                text = f"{s} was already updated (learning rate {{rate}}) {made}"
            yield Rewrite(
                ("plus", self.relative(b)),
                a,
                LIKELY,
                text,
                plus(a, b),
            )

    def other_labels(self, a: Value) -> Iterator[Rewrite]:
        """Other integers than `a`: shifted, or of other samples."""
        s = shown(a)
        for k in (1, -1):
            new = apply(np.add, a, Number(k))
            yield Rewrite(("label", k), new, LIKELY, f"the labels {s} are off by {k}")
            new = apply(np.roll, a, Number(k), Number(0))
            yield Rewrite(("rows", k), new, LIKELY, f"the rows of {s} belong to other samples")
        new = part(a, slice(None, None, Number(-1)))
        yield Rewrite(("rows", "back"), new, LIKELY, f"the rows of {s} are in reverse order")

    def all_shifted(self, root: Value) -> Iterator[Rewrite]:
        """All values of one kind in the line, each in the place of the one before or after it."""
        kinds: dict[str, list[Value]] = {}
        for a in reads(root):
            kinds.setdefault(self.sim.layer(a)[0], []).append(a)
        for base, members in kinds.items():
            for k in (1, -1) if len(members) > 1 else ():
                new: Any = root
                for a in members:  # to stand-ins first: a shift must not be shifted again
                    b = self.sim.shifted(a, k)
                    if b is None or b in self.sim.below[self.line]:
                        break
                    new = substituted(new, a, copied(b, b.args) if b.op else b)
                else:
                    text = (
                        f"other indices: {base} shifted by {k}, in the place of {shown(members[0])}"
                    )
                    yield Rewrite(("shift", base, k), new, LIKELY, text)


def told(a: Any) -> str:
    """An expression, and what the names stand for that nobody gave."""
    whole = a
    for leaf in leaves(a):
        if leaf.backward and not leaf.of:
            whole = substituted(whole, leaf, rooted(leaf))
    return shown(a) if whole is a else f"{shown(a)} = {shown(whole)}"


def plus(a: Value, b: Value) -> Callable[[Any], Value]:
    """a + c b, as a function of c."""
    return lambda c: apply(np.add, a, times(c, b))


def with_argument(n: Value, i: int, c: Any) -> Value:
    """`n` with c as its argument number i."""
    return copied(n, [*n.args[:i], c, *n.args[i + 1 :]])


def counted(n: Value, i: int) -> Callable[[Any], Any]:
    """`n` with its argument number i taken c times, as a function of c."""
    return lambda c: replaced(n, (i,), times(c, n.args[i]))


def uses(root: Value, a: Value) -> int:
    """How often an expression reads `a`."""
    return sum(b is a for _, node in places(root) for b in node.args)
