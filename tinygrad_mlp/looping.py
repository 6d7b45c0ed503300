"""A derivation as source with loops: runs of equal layers, over lists, as one writes it by hand."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from .emitting import Function, emit, folded
from .printing import RESERVED, Derivation, fresh
from .values import Value, reads

__all__ = ["emit_loops"]

PERIOD = 24
"""So many lines has a layer at most."""


class Entry(NamedTuple):
    """A place in a list: ``A[2]``."""

    base: str
    place: int


class Entries(dict[int, str]):
    """Identifiers, with the entries of lists as they are called where the loop variable is `at`."""

    def __init__(self, ids: dict[int, str], of: dict[int, Entry], variable: str) -> None:
        super().__init__(ids)
        self.of, self.variable = of, variable
        self.at: int | None = None
        self.lists: set[str] | None = None  # all

    def get(self, key: int, default: Any = None) -> Any:
        """The text for one value."""
        entry = self.of.get(key)
        if entry is None or (self.lists is not None and entry.base not in self.lists):
            return super().get(key, default)
        if self.at is None:
            return f"{entry.base}[{entry.place}]"
        shift = entry.place - self.at
        sign = "" if shift == 0 else f" {'-' if shift < 0 else '+'} {abs(shift)}"
        return f"{entry.base}[{self.variable}{sign}]"


class Run(NamedTuple):
    """Equal groups of lines, one after the other: one loop."""

    start: int
    period: int
    times: int
    first: int
    step: int


def emit_loops(d: Derivation, name: str) -> str:
    """The function with a loop over each run of equal layers; plain where there is none."""
    f = Function(d, name)
    of = entries(f)
    variable = fresh("i", {*f.printer.taken, *(e.base for e in of.values())})
    names = Entries(f.ids, of, variable)
    f.printer.identifiers = names
    other = twins(f, names)
    runs = runs_of(f, names)
    lists = {names.of[k].base for r in runs for k in touched(f, r) if k in names.of}
    ids = {f.ids[id(v)] for v in [*d.inputs, *f.lines] if id(v) not in names.of}
    whole = {p.name for p in f.parameters if p.is_list}
    if not runs or (lists & (ids | set(RESERVED) | {p.name for p in f.parameters} - whole)):
        return emit(d, name)
    names.lists = lists
    used = {k for r in runs for k in touched(f, r)}
    other = {k: e for k, e in other.items() if k in used}
    names.of = {k: e for k, e in names.of.items() if k in other or f.shown[k] == f"{e[0]}[{e[1]}]"}
    return f.source(
        [
            *(row for row in f.unpacked() if row.split(" = ")[-1] not in lists),
            *made(f, names, lists - whole),
            *loop_rows(f, names, runs, other),
            *returned(f, names, lists),
        ]
    )


def entries(f: Function) -> dict[int, Entry]:
    """The inputs and lines that are called as entries of lists are."""
    found = {}
    most = len(f.lines) + len(f.d.inputs)
    for v in [*f.d.inputs, *f.lines]:
        match = re.fullmatch(r"([A-Za-z][A-Za-z0-9_]*)\[(\d{1,6})\]", str(v.name))
        if match and int(match[2]) <= most:
            found[id(v)] = Entry(match[1], int(match[2]))
    return found


def relative(f: Function, names: Entries, v: Value, at: int) -> str:
    """The line of `v` where the loop variable is `at`."""
    names.at = at
    return f"{names.get(id(v))} = {f.printer.definition(v)[0]}"


def twins(f: Function, names: Entries) -> dict[int, Entry]:
    """Lines under another name that continue a list: y is Z[3], and so dy is dZ[3]."""
    last: dict[str, Value] = {}
    for v in f.lines:
        if id(v) in names.of and not v.backward:
            last[names.of[id(v)].base] = v
    found: dict[int, Entry] = {}
    for v in f.lines:
        if id(v) in names.of or v.backward:
            continue
        for base, w in last.items():
            k = names.of[id(w)].place
            if v.op is w.op and tail(relative(f, names, v, k + 1)) == tail(
                relative(f, names, w, k)
            ):
                found[id(v)] = Entry(base, k + 1)
                found.update({id(g): Entry(f"d{base}", k + 1) for g in f.lines if g.of == v.name})
                break
        if found:
            break
    names.of.update(found)
    return found


def tail(row: str) -> str:
    """The right-hand side."""
    return row.split(" = ", 1)[1]


def runs_of(f: Function, names: Entries) -> list[Run]:
    """The runs of equal layers, each as long as it can be."""
    runs = []
    s = 0
    while s < len(f.lines):
        longest = max(
            (run_at(f, names, s, p) for p in range(1, PERIOD + 1)),
            key=lambda r: r.times * r.period if r.times > 1 else 0,
        )
        if longest.times > 1:
            runs.append(longest)
            s += longest.times * longest.period
        else:
            s += 1
    return runs


def run_at(f: Function, names: Entries, s: int, period: int) -> Run:
    """The run of groups of `period` lines from line `s` on; one group is none."""
    lines, of = f.lines, names.of
    none = Run(s, period, 1, 0, 0)
    if s + 2 * period > len(lines):
        return none
    a, b = of.get(id(lines[s])), of.get(id(lines[s + period]))
    if a is None or b is None or a.base != b.base or abs(b.place - a.place) != 1:
        return none
    step = b.place - a.place
    group = lines[s : s + period]
    first = min(of[k].place for v in group for k in map(id, [v, *reads(v)]) if k in of)
    rows = [relative(f, names, v, first) for v in group]
    count = 1
    while s + (count + 1) * period <= len(lines):
        following = lines[s + count * period : s + (count + 1) * period]
        at = first + count * step
        if any(
            v.op is not w.op or v.backward != w.backward or relative(f, names, w, at) != row
            for v, w, row in zip(group, following, rows)
        ):
            break
        count += 1
    return Run(s, period, count, first, step)


def touched(f: Function, r: Run) -> set[int]:
    """What the lines of a run define and read."""
    lines = f.lines[r.start : r.start + r.period * r.times]
    return {id(a) for v in lines for a in (v, *reads(v))}


def made(f: Function, names: Entries, lists: Iterable[str]) -> list[str]:
    """Statements that make the lists."""
    rows = []
    inputs = {names.of[id(v)]: f.ids[id(v)] for v in f.d.inputs if id(v) in names.of}
    for base in sorted(lists, key=lambda b: (len(b), b)):
        length = 1 + max(e.place for e in names.of.values() if e.base == base)
        given = [inputs.get(Entry(base, k)) for k in range(length)]
        while given and given[-1] is None:
            given.pop()
        start = f"[{', '.join(map(str, given))}] + " if given else ""
        rest = length - len(given)
        rows.append(f"{base} = {start}[None] * {rest}" if rest else f"{base} = {start[:-3]}")
    return rows


def loop_rows(f: Function, names: Entries, runs: list[Run], other: dict[int, Entry]) -> list[str]:
    """The lines, those of a run in a loop."""
    rows: list[str] = []
    starts = {r.start: r for r in runs}
    s = 0
    kept = names.of
    while s < len(f.lines):
        r = starts.get(s)
        if r is not None:
            ends = sorted((r.first, r.first + (r.times - 1) * r.step))
            span = f"range({f'{ends[0]}, ' if ends[0] else ''}{ends[1] + 1})"
            rows.append(f"for {names.variable} in {span if r.step > 0 else f'reversed({span})'}:")
            group = f.lines[s : s + r.period]
            rows += [f"    {relative(f, names, v, r.first)}" for v in group]
            inside = f.lines[s : s + r.period * r.times]
            names.at = None
            rows += [f"{f.ids[id(v)]} = {names.get(id(v))}" for v in inside if id(v) in other]
            s += r.period * r.times
            continue
        v = f.lines[s]
        names.at = None
        target = names.get(id(v))
        names.of = {k: e for k, e in kept.items() if k not in other}  # outside, y is called y
        text = f.printer.definition(v)[0]
        names.of = kept
        rows.append(f"{f'{f.ids[id(v)]} = ' if id(v) in other else ''}{target} = {text}")
        s += 1
    return rows


def returned(f: Function, names: Entries, lists: set[str]) -> list[str]:
    """The return statement, with lists where they hold the gradients and nothing else."""
    names.at = None
    parts = []
    for is_list, members in f.groups:
        texts = [names.get(id(g)) for g in members]
        base = str(texts[0]).split("[")[0]
        length = sum(e.base == base for e in names.of.values())
        if is_list and base in lists and texts == [f"{base}[{k}]" for k in range(length)]:
            parts.append(base)
        else:
            parts.append(f"[{', '.join(texts)}]" if is_list else texts[0])
    return folded(f"return {', '.join(parts)}")
