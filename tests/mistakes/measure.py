"""Run `compare` on every pass of the set: `python -m tests.mistakes.measure [--markdown] [--json]`.

Found: it says no to a wrong pass. Exact: the gradients it calls wrong are those that are wrong.
The cause is `right` if what it says fits the mistake, `one of` if the right one is among several,
`part` if it is one of two mistakes, `other words` if it is true but not what the mistake is called,
`unknown` if there is none. It is `wrong` if it is false: if what it says does not give the person's
numbers on data that `compare` has not seen.
"""

import argparse
import functools
import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mlp import Comparison, derive

from . import by_hand, by_hand_graphs, mutants, right_passes  # noqa: F401  # they enter themselves
from .evaluating import judged_causes, listening
from .nets import NETS
from .registry import PASSES, Pass
from .running import compared, gradients, identifier, is_mapping, judged

# ruff: noqa: T201

mutants.load()

TOKEN = r"[\w.]+(?:\[[^]]*\])?|[*<>=]+|\S"
"""Pieces of a formula: a name with its index, an operator, a parenthesis."""

NAME = r"\bd[A-Za-z]\w*\[\d+\]|\bdy\b|\bh\d+\b"
"""Of a gradient, in a text."""

TRUE = ("right", "one of")  # verdicts on a cause that tell nothing false


@dataclass
class Outcome:
    """What `compare` made of a pass."""

    entry: Pass
    comparison: Any
    expected: list[str]
    got: list[str]
    cause: str  # right, one of, part, unknown, wrong; empty for a right pass
    line: str  # right, other, or empty: the line of the file that a cause names
    seconds: float

    @property
    def found(self) -> bool:
        """Whether the verdict is right."""
        return bool(self.got) != self.entry.right

    @property
    def exact(self) -> bool:
        """Whether exactly the wrong gradients are called wrong."""
        return set(self.got) == set(self.expected)


def measure(entry: Pass, **options: Any) -> Outcome:
    """Compare one pass; the options are those of `compare`."""
    net = NETS[entry.net]
    expected = judged(entry, net) if entry.wrong is None else entry.wrong
    net.loss()
    start = time.process_time()
    with listening() as told:
        comparison = compared(entry, net, **options)
    seconds = time.process_time() - start
    got = [name.replace("DW", "dW").replace("DB", "dB") for name in comparison.wrong]
    cause = "" if entry.right else verdict(entry, comparison, told)
    return Outcome(entry, comparison, expected, got, cause, line_of(entry, comparison), seconds)


# --- the verdict on a cause -----------------------------------------------------------------------


def text_of(cause: Any) -> str:
    """What a cause says: its text, and where the two formulas differ."""
    one, other = (re.findall(TOKEN, code) for code in (cause.yours, cause.autograd))
    parts = SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    changed = [" ".join(one[i:j] + other[k:n]) for tag, i, j, k, n in parts if tag != "equal"]
    return " ; ".join([cause.text, *changed])


def says(description: str, text: str) -> bool:
    """Whether each group of a description, "mask|relu & missing", has a word in `text`."""
    groups = description.split(" & ")
    return all(re.search(group, text, re.IGNORECASE) for group in groups)


def causes(comparison: Any) -> list[Any]:
    """The causes that name something: an exception that is only passed on does not."""
    told = [c for c in comparison.causes if not c.text.lower().startswith("unknown")]
    return [c for c in told if " raised " not in c.text or ".T" in c.text or "missing" in c.text]


def verdict(entry: Pass, comparison: Any, told: Sequence[Any] = ()) -> str:
    """What the causes of a comparison are worth."""
    named = causes(comparison)
    if not named:
        return "unknown"
    false, beside = judged_causes(entry, NETS[entry.net], comparison, told)
    if false:
        return "wrong"
    mistakes = [[entry.cause, *entry.twins], *([[entry.also]] if entry.also else [])]
    fits: list[Any] = []
    certain, met = not beside, 0
    for descriptions in mistakes:
        placed = [c for c in named if in_place(entry, c)]
        by_text = [c for c in placed if any(says(d, text_of(c)) for d in descriptions)]
        by_text += [c for c in named if c not in by_text and same_line(entry, c)]
        by_effect = [
            c for c in placed for same in c.same_effect for d in descriptions if says(d, same)
        ]
        met += bool(by_text or by_effect)
        certain &= bool(by_text) or not by_effect
        fits += by_text or by_effect
    strangers = [c for c in named if all(c is not fit for fit in fits)]
    if not fits:
        return "other words"
    if met < len(mistakes):
        return "part"
    return "right" if certain and not strangers else "one of"


def same_line(entry: Pass, cause: Any) -> bool:
    """Whether `yours`, put in the place of the changed line of a derived source, has its value."""
    if not entry.target or "[i]" in entry.target or "=" not in cause.yours:
        return False
    left, right = (side.strip() for side in cause.yours.split("=", 1))
    *names, change = entry.after.split(" = ")
    if identifier(left) not in {identifier(name) for name in (entry.target, *names)}:
        return False
    program = derive(NETS[entry.net].loss())
    scope: dict[str, Any] = {"np": np}
    scope |= {k: v for k, v in entry.code.__globals__.items() if callable(v)}
    scope |= {identifier(name): a for name, a in program.values().items()}
    if "y" in scope:
        scope |= {"batch": len(scope["y"]), "outputs": np.shape(scope["y"])[-1]}
    code = re.sub(r"(?<!\.)\b(\w+)\[(\d+)\]", r"\1\2", right)  # W[0], but not y.shape[0]
    try:
        values = [eval(compile(text.strip(), "line", "eval"), scope) for text in (code, change)]
        alike = np.shape(values[0]) == np.shape(values[1]) or np.ndim(values[1]) == 0
        return bool(alike and np.allclose(*values))
    except Exception:  # it is written in another way
        return False


@functools.cache
def places(net: str, target: str, given: frozenset[str]) -> frozenset[str]:
    """Lines that a mistake in the line `target` may as well be in, for those `given` tell nothing.

    That is so if what is given depends on the same lines: without dZ[1] and dA[1], who can say
    which of the two is wrong?
    """
    rows = [row for row in derive(NETS[net].loss()).lines if row.role == "backward"]
    reach: dict[str, set[str]] = {row.name: {row.name} & given for row in rows}
    for row in reversed(rows):
        for name in row.args:
            if name in reach:
                reach[name] |= reach[row.name]
    meant = [n for n in reach if re.fullmatch(re.escape(target).replace("i", r"\d+"), n)]
    return frozenset(n for n in reach if any(reach[n] == reach[m] for m in meant))


def in_place(entry: Pass, cause: Any) -> bool:
    """Whether a cause, if it says which line of a derived source is wrong, says the right one."""
    if not entry.target or "_" in entry.target:
        return True
    if line_of(entry, Comparison("", [], causes=[cause])) == "right":
        return True
    sides = [code.split("=", 1)[0].strip() for code in (cause.yours, cause.autograd) if "=" in code]
    lines = {row.name for row in derive(NETS[entry.net].loss()).lines}
    if not any(side in lines or re.fullmatch(NAME, side) for side in sides):
        sides = re.findall(NAME, cause.text)
    net = NETS[entry.net]
    known = {f"d{name}" for name in net.parameters}
    if is_mapping(entry, net):
        known = set(gradients(entry.code, net, True))
    return not sides or bool({*sides} & places(entry.net, entry.target, frozenset(known)))


def line_of(entry: Pass, comparison: Any) -> str:
    """Whether a cause names the line of the file that is wrong."""
    numbers = [int(c.line.rpartition(":")[2]) for c in causes(comparison) if ":" in c.line]
    if entry.right or not numbers:
        return ""
    return "right" if set(numbers) & set(entry.lines) else "other"


def causes_of(comparison: Any) -> Iterable[str]:
    """The causes as lines of text."""
    for c in comparison.causes:
        yield " | ".join(filter(None, [c.text, c.yours, c.autograd, c.line, *c.same_effect]))


# --- figures --------------------------------------------------------------------------------------


class Figures(NamedTuple):
    """Of a set of outcomes."""

    wrong: int  # passes that are wrong
    right: int
    found: float  # of the wrong ones
    exact: float
    cause: dict[str, int]
    line: dict[str, int]
    false_alarms: list[str]
    median: float  # seconds of one comparison
    slowest: float

    @property
    def causes_right(self) -> float:
        """Part of the wrong passes whose cause is right, or among those named."""
        return sum(self.cause.get(name, 0) for name in TRUE) / max(self.wrong, 1)

    @property
    def causes_wrong(self) -> float:
        """Part of the wrong passes for which another cause is named."""
        return self.cause.get("wrong", 0) / max(self.wrong, 1)

    def __str__(self) -> str:
        kinds = ", ".join(f"{n} {name}" for name, n in sorted(self.cause.items()))
        lines = ", ".join(f"{n} {name}" for name, n in sorted(self.line.items()))
        return (
            f"{self.wrong} wrong: found {self.found:.1%}, exact {self.exact:.1%}; causes: {kinds} "
            f"({self.causes_right:.1%} right, {self.causes_wrong:.1%} wrong); "
            f"lines: {lines or 'none'}\n"
            f"{self.right} right: false alarms {self.false_alarms or 'none'}\n"
            f"time: median {self.median:.3f} s, largest {self.slowest:.3f} s"
        )


def summary(outcomes: Sequence[Outcome]) -> Figures:
    """Figures of all."""
    wrong = [o for o in outcomes if not o.entry.right]
    right = [o for o in outcomes if o.entry.right]
    n = max(len(wrong), 1)
    return Figures(
        len(wrong),
        len(right),
        sum(o.found for o in wrong) / n,
        sum(o.exact for o in wrong) / n,
        dict(Counter(o.cause for o in wrong)),
        dict(Counter(o.line for o in wrong if o.line)),
        [o.entry.name for o in right if not o.found],
        statistics.median(o.seconds for o in outcomes),
        max(o.seconds for o in outcomes),
    )


def markdown(outcomes: Sequence[Outcome], rows: bool = True) -> str:
    """The tables of the documentation: a row per mistake, and one per kind of change."""
    verdicts = ["right", "one of", "other words", "part", "unknown", "wrong"]
    lines = []
    written = [o for o in outcomes if not o.entry.right and o.entry.made == "by hand"]
    if rows and written:
        lines += table("mistake", "network", "wrong gradients", "cause named")
        for o in written:
            names = "all" if everything(o) else listed(o.expected)
            cause = o.cause if o.exact else f"{o.cause}, other gradients"
            lines.append(f"| {' | '.join([o.entry.about, o.entry.net, names, cause])} |")
        lines.append("")
    scripted = [o for o in outcomes if o.entry.made != "by hand"]
    if scripted:
        lines += table("changed in one line", "number", "found", "exact", *verdicts)
        for kind in sorted({o.entry.about for o in scripted}):
            some = [o for o in scripted if o.entry.about == kind]
            counts = [len(some), sum(o.found for o in some), sum(o.exact for o in some)]
            counts += [sum(o.cause == name for o in some) for name in verdicts]
            lines.append(f"| {kind} | {' | '.join(map(str, counts))} |")
        lines.append("")
    return "\n".join(lines)


def listed(names: Sequence[str]) -> str:
    """`dW[0]` … `dW[3]` `dy`: neighbours in one."""
    runs: list[list[str]] = []
    for name in names:
        last = runs[-1][-1] if runs else ""
        n = re.search(r"\[(\d+)\]$", last)
        if n and name == f"{last[: n.start()]}[{int(n[1]) + 1}]":
            runs[-1].append(name)
        else:
            runs.append([name])
    parts = [f"`{r[0]}` … `{r[-1]}`" if len(r) > 2 else " ".join(f"`{n}`" for n in r) for r in runs]
    return " ".join(parts)


def table(*columns: str) -> list[str]:
    """The first two lines of a table."""
    return [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]


def networks() -> str:
    """The table of the networks."""
    counts = Counter((p.net, p.right) for p in PASSES.values())
    lines = table("network", "what is special", "wrong passes", "right passes")
    for net in NETS.values():
        numbers = f"{counts[net.name, False]} | {counts[net.name, True]}"
        lines.append(f"| {net.name} | {net.about} | {numbers} |")
    return "\n".join([*lines, ""])


def everything(outcome: Outcome) -> bool:
    """Whether all gradients of the parameters are wrong."""
    return {f"d{name}" for name in NETS[outcome.entry.net].parameters} <= set(outcome.expected)


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """For JSON."""
    entry = outcome.entry
    return {
        "name": entry.name,
        "net": entry.net,
        "about": entry.about,
        "is_right": entry.right,
        "listed": entry.listed,
        "made": entry.made,
        "expected": outcome.expected,
        "got": outcome.got,
        "found": outcome.found,
        "exact": outcome.exact,
        "cause": outcome.cause,
        "line": outcome.line,
        "causes": list(causes_of(outcome.comparison)),
        "seconds": round(outcome.seconds, 4),
    }


# --- each hypothesis removed in turn --------------------------------------------------------------


def without_each(
    hypotheses: Sequence[str],
    without: Callable[[str], AbstractContextManager[Any]],
    entries: Sequence[Pass],
    seed: int = 0,
    sample: int = 8,
) -> dict[str, list[Outcome]]:
    """Measure again with each hypothesis removed; what then is named instead must not mislead.

    Parameters
    ----------
    hypotheses : sequence of str
        Names of all that the search knows.
    without : callable
        ``with without(name):`` the search does not know this one.
    entries : sequence of Pass
        Wrong ones whose cause is right with all hypotheses.
    seed, sample : int
        Which are drawn for each hypothesis, and how many.

    Returns
    -------
    dict
        Hypothesis -> outcomes; `wrong` ones among them are misleading.
    """
    rng = np.random.default_rng(seed)
    found = {}
    for name in hypotheses:
        drawn = rng.choice(len(entries), size=min(sample, len(entries)), replace=False)
        with without(name):
            found[name] = [measure(entries[i]) for i in sorted(drawn)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--markdown", action="store_true", help="the tables of the documentation")
    parser.add_argument("--json", action="store_true", help="every outcome")
    parser.add_argument("--show", default="wrong part other", help="verdicts on causes to list")
    parser.add_argument("names", nargs="*", help="passes; all by default")
    given = parser.parse_args()
    outcomes = [measure(PASSES[name]) for name in given.names or PASSES]
    if given.markdown:
        print(networks(), markdown(outcomes), sep="\n")
    elif given.json:
        print(json.dumps([as_dict(o) for o in outcomes], indent=1))
    else:
        for o in outcomes:
            if (
                not o.found
                or not o.exact
                or o.cause.split(" ")[0] in given.show.split()
                or given.names
            ):
                print(f"{o.entry.name} ({o.entry.net}): {o.entry.about}")
                print(f"    {'found' if o.found else 'NOT FOUND'}, {o.got}, expected {o.expected}")
                for line in causes_of(o.comparison):
                    print(f"    {o.cause}: {line}")
                if given.names:
                    print(o.comparison)
        print(summary(outcomes))


if __name__ == "__main__":
    main()
