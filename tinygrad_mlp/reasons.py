"""One sentence for each line of a program: why it looks as it does.

Forward, it says what the outermost op does. Backward, it says how what the line is the gradient of
was used, which is the reason for the transpose, the sum, the mask, or the second term. The words
belong to the ops, whatever network they stand in.
"""

import math
import operator
from collections.abc import Container, Iterable, Mapping
from typing import Any

import numpy as np

from . import functional
from .formatting import name_of
from .ops import astype, mse, relu
from .primitives import PRIMITIVES
from .printing import INFIX, Derivation, Printer, is_parameter
from .values import Number, Value, reads

__all__ = ["reasons"]

LONG = 32
"""An operand whose text is longer is not written into a sentence."""

F: Any = functional
MOVING = {np.reshape, np.transpose, np.swapaxes, np.squeeze, np.expand_dims}
JOINING = {np.concatenate, np.stack}
CHOOSING = {np.where, np.clip, np.maximum, np.minimum}

SLOPES: dict[Any, str] = {
    np.exp: "the result itself",
    np.log: "1 / {x}",
    np.sqrt: "1 / (2 * sqrt({x}))",
    np.square: "2 * {x}",
    np.absolute: "the sign of {x}",
    np.tanh: "1 - tanh({x}) ** 2",
    F.sigmoid: "s * (1 - s), where s is the result",
    F.softplus: "sigmoid({x})",
}
"""The derivative of what works entry by entry."""

DOES: dict[Any, str] = {
    relu: "negative entries become 0, the others stay as they are",
    F.softmax: "each row becomes positive shares that sum to 1",
    F.log_softmax: "each row becomes the logarithms of positive shares that sum to 1",
    np.max: "only the largest entries count",
    np.min: "only the smallest entries count",
    np.maximum: "of each pair of entries the larger is taken",
    np.minimum: "of each pair of entries the smaller is taken",
    np.where: "each entry is taken from one of two arrays",
    np.clip: "what lies beyond the bounds is set to them",
    np.broadcast_to: "the entries are copied to fill a larger shape",
    np.copy: "the same numbers, in an array of their own",
    operator.getitem: "some entries are picked out",
    **dict.fromkeys(MOVING, "the entries stay the same and only move"),
    **dict.fromkeys(JOINING, "the parts are put together into one array"),
}
"""What an op does, where that does not depend on its arguments."""

PLACEWISE: dict[Any, str] = {
    np.add: "added",
    np.subtract: "subtracted",
    np.multiply: "multiplied, which is not the product of matrices",
    np.divide: "divided",
    np.power: "raised to the power",
    np.negative: "turned around in sign",
}

PASSES_BACK: dict[Any, Any] = {
    relu: "where relu cut {x} off at 0 no gradient passes, elsewhere it passes unchanged",
    mse: (
        "the derivative of a square is twice what is squared{over}",
        "the derivative of a square is twice what is squared, with the other sign for what is "
        "subtracted{over}",
    ),
    F.cross_entropy: "softmax and logarithm together have the derivative share given minus true "
    "share{over}",
    F.softmax: "raising one entry of {x} lowers the other shares, for they sum to 1: hence the sum "
    "that is subtracted",
    F.log_softmax: "every entry of {x} also raises the sum that all are compared with, so its "
    "share of the whole gradient is subtracted",
    np.multiply: "{x} was multiplied by {other}, so its gradient is, too",
    np.divide: (
        "{x} was divided by {other}, so its gradient is, too",
        "the derivative of 1 / {x} is -1 / {x} ** 2",
    ),
    np.subtract: ("", "{x} was subtracted, so the sign of its gradient changes"),
    np.negative: "the sign was turned around, so the gradient's is, too",
    np.sum: "every entry counts once in the sum, so each gets its gradient",
    np.mean: "every entry counts 1 / {n} in the mean, and gets that share of the gradient",
    np.max: "only the largest entries decided the result, so they alone get the gradient",
    np.min: "only the smallest entries decided the result, so they alone get the gradient",
    operator.getitem: "only the entries of {x} that were picked out get a gradient, the others 0",
    **dict.fromkeys(MOVING, "the entries of {x} only moved, so their gradients move back"),
    **dict.fromkeys(JOINING, "{x} gets the part of the gradient that belongs to its place"),
    **dict.fromkeys(CHOOSING, "the gradient passes only where the entry of {x} was taken"),
    **dict.fromkeys((np.add, np.positive, np.copy, np.broadcast_to, astype), ""),
    **{f: f"the derivative of {name_of(f)} is {slope}" for f, slope in SLOPES.items()},
}
"""How a gradient passes an op; where that depends on the argument, one text for each."""

STRETCHING: dict[Any, str] = {
    np.add: "added",
    np.maximum: "compared",
    np.minimum: "compared",
    np.broadcast_to: "copied",
    **dict.fromkeys((np.subtract, np.multiply, np.divide, np.power), "applied"),
}
"""Ops that use an argument several times where it is smaller than the result."""

# --- words ----------------------------------------------------------------------------------------


def say(a: Any, long: str = "the other factor", least: int = 0) -> str:
    """An operand as the listing has it, or other words if that is long."""
    text = Printer().text(a, least)
    return text if len(text) <= LONG else long


def listed(words: Iterable[str]) -> str:
    """Several words as in a sentence.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def sentence(text: str, names: Container[str]) -> str:
    """With a full stop; and a capital letter, unless it begins with something in code."""
    first = text.split(" ", 1)[0]
    plain = first.isalpha() and first not in names
    return f"{text[0].upper() if plain else text[0]}{text[1:]}."


def called(op: Any) -> str:
    """An op in a sentence: its sign or its name."""
    return INFIX[op][0] if op in INFIX else name_of(op)


def counted(n: int, noun: str) -> str:
    """A number of things, which are called `noun` if there are several.

    >>> counted(1, "rows of the batch"), counted(3, "columns")
    ('1 row of the batch', '3 columns')
    """
    return f"{n} {noun}" if n != 1 else f"1 {noun.replace('s', '', 1)}"


def averaged(c: Value) -> str:
    """What a loss divides by, in words; '' if nothing."""
    reduction = "batchmean" if c.op is mse else "mean" if c.op is F.cross_entropy else "none"
    reduction = c.kwargs.get("reduction", c.args[2] if len(c.args) > 2 else reduction)
    shape = getattr(c.args[0], "shape", ())
    if reduction == "mean" and c.op is mse:
        return f"the number of entries, {math.prod(shape)}"
    return f"the batch of {shape[0] if shape else 1}" if str(reduction).endswith("mean") else ""


# --- forward --------------------------------------------------------------------------------------


def forward(v: Value, batch: int) -> str:
    """What the outermost op of a line does."""
    op, args = v.op, v.args
    if op is np.add and isinstance(args[0], Value) and args[0].op is np.matmul and not args[0].name:
        return (
            f"{forward(args[0], batch)}; {say(args[1], 'the rest')} is added{stretch(v, 1, batch)}"
        )
    if op is np.matmul:
        a, b = (say(x, word) for x, word in zip(args, ("the left matrix", "the right one")))
        n = args[0].shape[-1]
        return f"each row of {a} meets each column of {b}, and the {n} products are summed"
    if op is mse:
        over = averaged(v)
        return f"the differences are squared and summed{over and ', divided by ' + over}"
    if op is F.cross_entropy:
        end = averaged(v) and f", averaged over {averaged(v)}"
        return f"minus the logarithm of the share that softmax gives the true class{end}"
    if op in (np.sum, np.mean):
        word = "summed" if op is np.sum else "averaged"
        n = math.prod(args[0].shape) // max(math.prod(v.shape), 1)
        return f"{n} entries are {word} for each entry of the result"
    if op in DOES:
        return DOES[op]
    stretched = [i for i, a in enumerate(args[:2]) if isinstance(a, Value) and a.shape != v.shape]
    if op in PLACEWISE and stretched:
        i = stretched[0]
        small = say(args[i], "the smaller operand")
        return f"place by place, and {small} is applied{stretch(v, i, batch)}"
    if op in PLACEWISE:
        return f"place by place, the entries are {PLACEWISE[op]}"
    if op in INFIX:
        return "place by place: 1 where it holds, 0 where not; no gradient passes"
    if op in SLOPES or isinstance(op, np.ufunc):
        return f"every entry by itself goes through {called(op)}"
    return f"{called(op)} is applied to {listed([say(a, 'the rest') for a in args[:1]])}"


def stretch(c: Value, i: int, batch: int) -> str:
    """How often an argument was used for its op to fit the others, in words; '' if once."""
    a = c.args[i]
    shape = a.shape if isinstance(a, Value) else ()
    if shape == c.shape:
        return ""
    n = math.prod(c.shape) // max(math.prod(shape), 1)
    return f" to each of the {n} {rows(c, batch) if shape == c.shape[1:] and shape else 'entries'}"


def rows(c: Value, batch: int) -> str:
    """What the rows of a matrix are."""
    return "rows of the batch" if len(c.shape) == 2 and c.shape[0] == batch else "rows"


def batch_of(d: Derivation) -> int:
    """How many samples there are: the rows of the first matrix that is no parameter; or 0."""
    data = (v for v in d.inputs if len(v.shape) > 1 and not is_parameter(v))
    return next((v.shape[0] for v in data), 0)


# --- backward -------------------------------------------------------------------------------------

Use = tuple[Value, int]
"""An op applied, and which of its arguments is meant."""


def uses_of(d: Derivation) -> dict[int, list[Use]]:
    """Where each value of the forward pass is used so that a gradient comes back."""
    uses: dict[int, list[Use]] = {}
    seen: set[int] = set()
    stack = [v for v in d.lines if not v.backward]
    for c in stack:  # grows while it is walked
        for i, a in enumerate(c.args):
            if not isinstance(a, Value):
                continue
            if carries(c.op, i):
                uses.setdefault(id(a), []).append((c, i))
            if a.name is None and id(a) not in seen:
                seen.add(id(a))
                stack.append(a)
    return uses


def carries(op: Any, i: int) -> bool:
    """Whether a gradient passes from the result of `op` to argument `i`."""
    rules = PRIMITIVES.get(op, ())
    return i < len(rules) and rules[i] is not None


def way_back(
    use: Use, uses: dict[int, list[Use]], lines: Mapping[str, Any], own: Value
) -> list[Use]:
    """The ops from a use on to the next value whose gradient has a line other than `own`."""
    way = [use]
    while True:
        slope = lines.get(str(way[-1][0].name), own)
        if isinstance(slope, Value) and slope.backward and slope.name and slope is not own:
            break
        after = uses.get(id(way[-1][0]), [])
        if len(after) != 1:
            break
        way += after
    return way


def backward(
    v: Value, x: Value, uses: dict[int, list[Use]], lines: Mapping[str, Any], batch: int
) -> str:
    """Why `v` is the gradient of `x`."""
    if v.op is np.copy and v.args[0].backward and v.args[0].name:
        return f"the same numbers as {v.args[0].name}, in an array of their own"
    ways = [way_back(use, uses, lines, v) for use in uses.get(id(x), [])]
    name = say(x)
    if len(ways) > 1:
        named = (next((str(c.name) for c, _ in way if c.name), "a longer line") for way in ways)
        ends = list(dict.fromkeys(named))
        where = listed(ends) if len(ends) <= 4 else f"{len(ends)} lines"
        times = "" if len(ends) == len(ways) else f" {len(ways)} times"
        return f"{name} is used{times} in {where}, so its gradient is the sum of {len(ways)} terms"
    clauses = [clause for way in ways for c, i in way if (clause := passes(c, i, batch))]
    if any(r.backward and not r.of for r in reads(v)):  # some of the way has a line of its own
        clauses = clauses[: 1 + (ways[0][0][0].op in MOVING)]
    if not clauses:
        return f"the gradient passes to {name} unchanged"
    if len(clauses) > 3:
        ops = dict.fromkeys(called(c.op) for c, i in reversed(ways[0]) if passes(c, i, batch))
        return f"the chain rule, back through {listed(ops)}, one factor each"
    return "; ".join(clauses)


def passes(c: Value, i: int, batch: int) -> str:
    """What the op of `c` does to a gradient on its way to argument `i`; '' if nothing."""
    op, x = c.op, c.args[i]
    name = say(x, "the operand")
    default = f"by the chain rule, times the derivative of {called(op)}"
    texts = PASSES_BACK.get(op, default)
    if op is np.matmul:
        text = through_matmul(c, i, batch)
    elif op is np.power:
        text = through_power(c, i)
    else:
        over = averaged(c)
        text = (texts[i] if isinstance(texts, tuple) else texts).format(
            x=say(x, "x", 6) if op in SLOPES else name,
            other=say(c.args[1 - i]) if op in INFIX else "",
            n=math.prod(x.shape) // max(math.prod(c.shape), 1),
            over=over and f", and the loss is divided by {over}",
        )
    if op in STRETCHING and (where := stretch(c, i, batch)):
        many = f"{name} was {STRETCHING[op]}{where}, so its gradient sums over all of them"
        text = f"{text}; {many}" if text else many
    return text


def through_matmul(c: Value, i: int, batch: int) -> str:
    """The other matrix comes back transposed, and the product sums over what both share."""
    a, b = c.args
    if len(a.shape) < 2 or len(b.shape) < 2:
        return f"in a product each factor gets the gradient times the other, {say(c.args[1 - i])}"
    if i == 1:
        text = (
            f"{say(a, 'the left factor')} is transposed so that the product sums over the "
            f"{counted(a.shape[-2], rows(c, batch))}: each adds what came in times its gradient"
        )
    else:
        text = (
            f"{say(b, 'the right factor')} is transposed to lead the gradient back from its "
            f"{counted(b.shape[-1], 'columns')} to its {counted(b.shape[-2], 'rows')}"
        )
    copies = math.prod(c.shape[:-2]) // max(math.prod(c.args[i].shape[:-2]), 1)
    name = say(c.args[i], "the operand")
    return text if copies < 2 else f"{text}; {name} served {copies} matrices, whose gradients add"


def through_power(c: Value, i: int) -> str:
    """n times the power below."""
    a, n = c.args
    name = say(a, "x", 6)
    if i:
        return f"the derivative by an exponent is the power times the logarithm of {name}"
    if isinstance(n, Number):
        less = say(Number(n.number - 1), least=6)
        power = "" if less == "1" else f" ** {less}"
        return f"the derivative of {name} ** {say(n)} is {say(n)} * {name}{power}"
    return f"the derivative of a power n of {name} is n times its power n - 1"


def reasons(d: Derivation) -> dict[str, str]:
    """For each line its sentence, by name.

    Parameters
    ----------
    d : Derivation

    Returns
    -------
    dict
        See :meth:`Program.why`.
    """
    uses, batch = uses_of(d), batch_of(d)
    known = {str(v.name): v for v in [*d.inputs, *d.lines]}
    of = {id(g): x for x, g in d.results}
    users: dict[int, list[str]] = {}
    for v in d.lines:
        for a in reads(v):
            users.setdefault(id(a), []).append(str(v.name))
    said: dict[str, str] = {}
    started = False
    for v in d.lines:
        x = of.get(id(v)) or known.get(v.of)
        if not v.backward:
            text = forward(v, batch)
        elif x is None:
            text = f"a part of {listed(users[id(v)][:4])}, written in a line of its own"
        else:
            text = backward(v, x, uses, d.gradients, batch)
        if v.backward and not started:
            started = True
            text = f"starting from d{d.loss.name} = 1: {text}"
        said[str(v.name)] = sentence(text, known)
    return said
