"""Take away one kind of change, or another explanation, that `compare` knows: what is said then?"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from tinygrad_mlp import accounting, diagnosing

from .measure import measure
from .registry import Pass

__all__ = ["needed", "without"]

OTHER: dict[str, Callable[..., Any]] = {
    "sifted": lambda *_: [],
    "coarse": lambda *_: [],
    "weighted": lambda *_: [],
    "unsteady": lambda *_: [],
}
"""Explanations that are no change of a line, and what stands for them when they are taken away."""


def kind_of(key: Sequence[Any]) -> str:
    """What kind of change has this key."""
    words = [k for k in key if isinstance(k, str) and k not in ("leaf", "leaves", "one")]
    return " ".join(words[: 1 + (words[0] in ("f", "op", "rows"))])


@contextmanager
def without(name: str) -> Iterator[None]:
    """`compare` does not know this."""
    if name in OTHER:
        with patch.object(accounting, name, OTHER[name]):
            yield
        return
    every = diagnosing.changes

    def fewer(*args: Any) -> dict[Any, Any]:
        return {key: c for key, c in every(*args).items() if kind_of(key) != name}

    with patch.object(diagnosing, "changes", fewer):
        yield


def needed(entries: Sequence[Pass]) -> dict[str, list[Pass]]:
    """Kind -> those of the passes whose cause, which is right, is of that kind."""
    found: dict[str, list[Pass]] = defaultdict(list)
    for entry in entries:
        names: list[str] = []

        def noted(*args: Any, names: list[str] = names, **kwargs: Any) -> Any:
            result = diagnosing.diagnose(*args, **kwargs)
            names += [kind_of(f.match.change.key) for f in result.found]
            return result

        with patch.object(accounting, "diagnose", noted):
            outcome = measure(entry)
        if not names:
            for name in OTHER:
                with without(name):
                    names += [name] * (measure(entry).cause != outcome.cause)
        for name in {*names} if outcome.cause in ("right", "one of") else ():
            found[name].append(entry)
    return found
