"""What belongs to a backward pass of the set: its network, what is wrong in it, and why.

A cause is described by words that must be found in what `compare` says: "mask|relu & missing" asks
for one of the first two and for the third. The line that is wrong ends in a comment ``# <--``.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["BATCH", "MASK", "MISSING", "PASSES", "Pass", "right", "wrong"]

MISSING = (
    r"missing|without|forg[eo]t|left out|leaves out|not (applied|multiplied|divided|there|added)"
    r"|drop|lack|\bno\b|absent|omit|skip"
)
"""One way or another to say that something is not there."""

MASK = "mask|relu|slope|derivative|active"
BATCH = r"batch|len\(|samples|1 ?/ ?n"


@dataclass
class Pass:
    """A backward pass."""

    name: str
    net: str
    code: Any  # class, function (W, B, x, t), or of a graph: a function of its inputs by name
    about: str  # the mistake, or the odd style, in a few words
    right: bool
    cause: str = ""
    also: str = ""  # a second mistake in the same code
    twins: tuple[str, ...] = ()  # other causes that give the same numbers
    listed: bool = True  # whether it is one of the mistakes everybody knows
    made: str = "by hand"  # or "mutant"
    target: str = ""  # of a changed line: "dZ[1]"
    before: str = ""
    after: str = ""
    wrong: list[str] | None = None  # names of the wrong gradients, where they are kept
    file: str = ""
    first: int = 0  # line in the file
    source: str = ""
    tolerance: float | None = None  # for the oracle, where the pass is coarser than its net

    @property
    def lines(self) -> list[int]:
        """Numbers of the wrong lines in the file."""
        rows = enumerate(self.source.splitlines(), self.first)
        return [number for number, row in rows if row.rstrip().endswith("# <--")]


PASSES: dict[str, Pass] = {}


def add(code: Any, net: str, about: str, right: bool, **more: Any) -> Any:
    """Enter `code` in the table, and return it."""
    rows, first = inspect.getsourcelines(code)
    name = code.__name__
    if name in PASSES:
        raise ValueError(f"{name} is there twice")
    file = Path(inspect.getfile(code)).name
    PASSES[name] = Pass(
        name, net, code, about, right, file=file, first=first, source="".join(rows), **more
    )
    return code


def wrong(net: str, about: str, cause: str, **more: Any) -> Callable[[Any], Any]:
    """A wrong pass, to be compared on `net`."""
    return lambda code: add(code, net, about, False, cause=cause, **more)


def right(net: str, about: str, **more: Any) -> Callable[[Any], Any]:
    """A right pass."""
    return lambda code: add(code, net, about, True, **more)
