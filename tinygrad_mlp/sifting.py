"""What is wrong with gradients before their numbers are looked at, and what numbers alone tell.

Lists in another order, gradients that are missing, zero, not finite, integers, or one array.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .judging import Cause, as_array

__all__ = ["arranged", "sifted"]


class Order(NamedTuple):
    """A way in which a list of gradients may be in another order than the weights."""

    text: str
    take: Callable[[list[Any]], list[Any]]


ORDERS = (
    Order("", lambda a: a),
    Order(
        "{} is in reverse order, from the last layer to the first (not reversed at the end)",
        lambda a: a[::-1],
    ),
    Order(
        "{} begins with the last layer's: it is shifted by one (rotated)", lambda a: a[1:] + a[:1]
    ),
    Order(
        "{} ends with the first layer's: it is shifted by one (rotated)", lambda a: a[-1:] + a[:-1]
    ),
)


def arranged(name: str, given: list[Any], right: list[Any]) -> tuple[list[Any], str]:
    """A list of gradients in the order of the weights, and what had to be done to it."""
    n = len(right)
    options: list[tuple[str, list[Any]]] = []
    for order in ORDERS:
        if len(given) == n:
            options.append((order.text.format(name), order.take(given)))
    if len(given) < n:
        some = f"{name} has {len(given)} gradients for {n} layers: "
        options.append(
            (
                some + "the last are missing (the loop stops early?)",
                [*given, *[None] * (n - len(given))],
            )
        )
        options.append(
            (
                some + "those of the first layers are missing (the loop stops early?)",
                [*[None] * (n - len(given)), *given],
            )
        )
        back = given[::-1]
        options.append(
            (
                some + "and they are in reverse order (not reversed)",
                [*[None] * (n - len(given)), *back],
            )
        )
        options.append(
            (
                some + "and they are in reverse order (not reversed)",
                [*back, *[None] * (n - len(given))],
            )
        )
    if len(given) > n:
        some = f"{name} has {len(given)} gradients for {n} layers: "
        more = some + "it was not emptied before; those of an earlier call are in it"
        options.append((more if len(given) % n == 0 else some + "too many", given[-n:]))
        options.append((more if len(given) % n == 0 else some + "too many", given[:n]))
        options.append((some + "and they are in reverse order (not reversed)", given[::-1][:n]))
        options.append((some + "and they are in reverse order (not reversed)", given[::-1][-n:]))

    def score(option: tuple[str, list[Any]]) -> tuple[int, int]:
        values = fitting = 0
        for a, b in zip(option[1], right):
            array, problem = as_array(a)
            if not problem and array.shape == b.shape:
                fitting += 1
                size = np.max(abs(b), initial=0.0)
                values += bool(np.max(abs(array - b), initial=0.0) <= 1e-6 * size)
        return values, fitting

    scores = [score(option) for option in options]
    best = max(range(len(options)), key=lambda k: (scores[k], -k))
    if len(given) == n and best:
        turned = score(("", [as_array(a)[0].T for a in given]))
        by_shape = scores[best][1] == n > max(scores[0][1], turned[1])
        if scores[best][0] < n and not by_shape:  # with some in place, none was moved
            best = 0
    return options[best][1], options[best][0]


# --- arrays ---------------------------------------------------------------------------------------


def sifted(given: dict[str, Any], right: dict[str, Any], below: dict[str, Any]) -> list[Cause]:
    """What can be said of arrays one by one.

    Parameters
    ----------
    given, right : dict of str to array
        By the names of the gradients; what is given may be anything.
    below : dict of str to array
        For the gradient of a bias, the activation of that layer.
    """
    found = []
    arrays = {}
    for name, a in given.items():
        array, problem = as_array(a)
        if not problem:
            arrays[name] = array
    for (one, a), (other, b) in itertools.combinations(arrays.items(), 2):
        if a.size and np.shares_memory(a, b):
            text = f"{one} and {other} share their memory: what is written into one is in the other"
            found.append(Cause(text, gradients=(one, other)))
    whole = tuple(k for k, a in arrays.items() if a.dtype.kind in "iu")
    if whole:
        text = (
            f"{', '.join(whole)}: integers ({arrays[whole[0]].dtype}), so that what is written "
            f"into them is truncated; the arrays or the targets are not floating point"
        )
        found.append(Cause(text, gradients=whole))
    empty = tuple(
        k for k, a in arrays.items() if k not in whole and not a.any() and np.any(right.get(k, 0))
    )
    if empty:
        text = (
            f"{', '.join(empty)}: zero everywhere. Nothing is ever added there (the loop stops "
            f"before this layer?), or what reaches it is multiplied by zero"
        )
        found.append(Cause(text, gradients=empty))
    odd = tuple(k for k, a in arrays.items() if a.dtype.kind == "f" and not np.isfinite(a).all())
    if odd:
        text = f"{', '.join(odd)}: nan or infinite"
        for k in odd:
            a = below.get(k)
            if a is not None and np.array_equal(~np.isfinite(arrays[k]), (a == 0).any(axis=0)):
                text += ", just where a unit is 0 for a sample: a division by zero (0 / 0)"
                break
        found.append(Cause(text, gradients=odd))
    return found
