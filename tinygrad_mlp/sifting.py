"""What is wrong with gradients before their numbers are looked at, and what numbers alone tell.

Lists in another order, gradients that are missing, zero, not finite, integers, or one array.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from .judging import Cause, as_array

__all__ = ["arranged", "sifted"]


def orders(name: str, given: list[Any], right: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    """Orders in which a list with a gradient for each layer may be, and what to say of them."""
    shifted = "it is shifted by one (rotated)"
    yield "", given
    yield (
        f"{name} is in reverse order, from the last layer to the first (not reversed at the end)",
        given[::-1],
    )
    yield f"{name} begins with the last layer's: {shifted}", given[1:] + given[:1]
    yield f"{name} ends with the first layer's: {shifted}", given[-1:] + given[:-1]
    for off in (alike, shaped):
        odd = [i for i, (a, b) in enumerate(zip(given, right)) if not off(a, b)]
        if len(odd) == 2:
            i, j = odd
            swapped = list(given)
            swapped[i], swapped[j] = given[j], given[i]
            yield f"{name}[{i}] and {name}[{j}] are exchanged", swapped


def shaped(a: Any, b: Any) -> bool:
    """Whether `a` is an array of the shape of `b`."""
    array, problem = as_array(a)
    return not problem and array.shape == b.shape


def alike(a: Any, b: Any) -> bool:
    """Whether it has its numbers, too."""
    size = np.max(abs(b), initial=0.0)
    return shaped(a, b) and bool(np.max(abs(as_array(a)[0] - b), initial=0.0) <= 1e-6 * size)


def arranged(name: str, given: list[Any], right: list[Any]) -> tuple[list[Any], str]:
    """A list of gradients in the order of the weights, and what had to be done to it."""
    n = len(right)
    options = list(orders(name, given, right)) if len(given) == n else []
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

    def score(some: list[Any]) -> tuple[int, int]:
        pairs = list(zip(some, right))
        return sum(alike(*pair) for pair in pairs), sum(shaped(*pair) for pair in pairs)

    scores = [score(some) for _, some in options]
    best = max(range(len(options)), key=lambda k: (scores[k], -k))
    if len(given) == n and best:
        # All numbers tell an order, or all shapes where those of the list as it stands do not fit;
        # for a list in reverse, which is the commonest, more numbers than as it stands will do.
        (values, shapes), (now, fitting) = scores[best], scores[0]
        turned = score([as_array(a)[0].T for a in given])
        surely = values == n or (best == 1 and values > max(now, turned[0]))
        if not surely and (shapes < n or shapes <= max(fitting, turned[1])):
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
    unset = tuple(k for k, a in arrays.items() if not (a.ndim or a) and np.ndim(right.get(k, 0)))
    if unset:
        text = (
            f"{', '.join(unset)}: the number 0, where an array is due. It is never set (the loop "
            f"stops before this layer?)"
        )
        found.append(Cause(text, gradients=unset))
    whole = tuple(k for k, a in arrays.items() if a.dtype.kind in "iu" and a.ndim)
    if whole:
        text = (
            f"{', '.join(whole)}: integers ({arrays[whole[0]].dtype}), so that what is written "
            f"into them is truncated; the arrays or the targets are not floating point"
        )
        found.append(Cause(text, gradients=whole))
    columns = tuple(
        k
        for k, a in arrays.items()
        if a.ndim == 2 and a.shape[1:] == (1,) and k in right and alike(a[:, 0], right[k])
    )
    if columns:
        text = (
            f"{', '.join(columns)}: the values are right, but in a column, "
            f"{arrays[columns[0]].shape} instead of {right[columns[0]].shape} (keepdims)"
        )
        found.append(Cause(text, gradients=columns))
    empty = tuple(
        k
        for k, a in arrays.items()
        if k not in whole + unset and not a.any() and np.any(right.get(k, 0))
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
