"""Boxes that stand for many cards: what is on the card of a box, or of a run of like ones."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .cards import Bars, Card
from .styling import figure

__all__ = ["TIMES", "Box", "box_cards", "hashed", "original", "span", "template"]

TIMES = 3
"""Fewer like layers in a row are drawn one by one."""

LINES, BARS = 6, 40
"""The lines of code in a box, and the bars that stand for the layers of a run."""

NAME = re.compile(r"[^\W\d]\w*(?:\[\d+\]|\.\w+)*")


class Box:
    """Cards that are drawn as one."""

    def __init__(self, key: str, time: int, open: bool) -> None:
        self.key = key  # the scope that its cards are in; '' for a card that stands alone
        self.time = time  # later than that of every box that it reads from
        self.open = open  # stays as it is
        self.read_at = math.inf  # the time of the first box that reads from it
        self.ops: list[int] = []
        self.leaves: list[int] = []  # that nothing else uses
        self.parents: dict[int, None] = {}  # boxes, in order
        self.outside: dict[int, None] = {}  # cards in other boxes or in none, in order

    @property
    def cards(self) -> list[int]:
        """All that are in it."""
        return [*self.leaves, *self.ops]


# --- names that count -----------------------------------------------------------------------------


def hashed(name: str) -> str:
    """A name with # for its numbers."""
    return re.sub(r"\d+", "#", name)


def numbers_in(names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """What stands around the numbers in names, and each number in all; nothing if that differs.

    >>> numbers_in(["A[1].W2", "A[1].W3"]), numbers_in(["A1", "B2"])
    ((['A[', '].W', ''], [['1', '1'], ['2', '3']]), ([], []))
    """
    parts = [re.split(r"(\d+)", name) for name in names]
    if len({tuple(split[::2]) for split in parts}) > 1:
        return [], []
    return parts[0][::2], [list(column) for column in zip(*(split[1::2] for split in parts))]


def span(first: str, last: str) -> str:
    """What a run is called, from the names of its first and last.

    >>> span("layer 3", "layer 22"), span("q", "k"), span("q", "q")
    ('layer 3..22', 'q ... k', 'q')
    """
    around, numbers = numbers_in([first, last])
    if sum(a != b for a, b in numbers) == 1:
        shown = [a if a == b else f"{a}..{b}" for a, b in numbers]
        return "".join(text + number for text, number in zip(around, [*shown, ""]))
    return first if first == last else f"{first} ... {last}"


def counted(found: list[str], times: int) -> list[int]:
    """What a number that counts a run of so many is in its first; nothing of one that does not.

    From what it is in the second, the third and the last.
    """
    n, after, last = map(int, found)
    return [n - 1] if (after, last) == (n + 1, n + times - 2) else []


def general(texts: Sequence[str], times: int, base: int) -> str:
    """A text with i for the number that counts a run, Z[i+1]; '' where something else differs.

    From those of the second, the third and the last; `base` is what i is in the first.

    >>> general(["Z[2] = f(h1)", "Z[3] = f(h2)", "Z[9] = f(h8)"], 9, 0)
    'Z[i+1] = f(h[i])'
    """
    around, numbers = numbers_in(texts)
    text = "".join(around[:1])
    for found, after in zip(numbers, around[1:]):
        if len(set(found)) == 1:
            text += found[0] + after
            continue
        if not (first := counted(found, times)):
            return ""
        index = f"i{first[0] - base:+d}" if first[0] != base else "i"
        text += (index if text[-1:] == "[" else f"[{index}]") + after
    return text


def template(cards: Sequence[Card], card: Card, places: Any) -> str:
    """The formula of a card with places, or nothing, for the names in it."""
    names = {cards[p].name: f"<{places[p]}>" if places else "<>" for p in card.parents}
    return renamed(card.formula, names)


def renamed(code: str, names: Mapping[str, str]) -> str:
    """Code with other names.

    >>> renamed("A[1].T @ net.A[1]", {"A[1]": "A[i]"})
    'A[i].T @ net.A[1]'
    """

    def other(found: re.Match[str]) -> str:
        word = found[0]
        end = len(word)
        while end > 0:
            if word[:end] in names:
                return names[word[:end]] + word[end:]
            end = max(word.rfind(".", 0, end), word.rfind("[", 0, end))
        return word

    return NAME.sub(other, code)


def original(cards: Sequence[Card], p: int) -> int:
    """The card of an array, where `p` is the card of one more use of it."""
    same = cards[p].same
    return p if same is None else same


def words_of(cards: Sequence[Card], run: list[Box]) -> tuple[list[str], list[str], list[str]]:
    """The lines of a box, its parameters, and what is to be noted; of a run those of any of them.

    Where a name does not count like the layers, they are those of the first.
    """
    times = len(run)

    def texts(box: Box) -> tuple[list[str], list[str]]:
        ops, leaves = ([cards[i] for i in group] for group in (box.ops, box.leaves))
        weights = [f"{card.name} {card.shape}" for card in leaves if card.role == "parameter"]
        return [f"{card.name} = {card.formula}" for card in ops], weights

    if times == 1:
        return *texts(run[0]), []
    some = (run[1], run[2], run[-1])
    keys = [] if run[0].key[:1] == "\0" else [[box.key for box in some]]
    ops = zip(*([cards[i].name for i in box.ops] for box in some))
    bases = [
        [n for names in group for found in numbers_in(names)[1] for n in counted(found, times)]
        for group in (keys, ops)
    ]
    base = min(bases[0] or bases[1], default=0)
    lines, weights = (
        [general(text, times, base) for text in zip(*group)] for group in zip(*map(texts, some))
    )
    if all(lines) and all(weights) and lines != texts(some[0])[0]:
        lines[0] += f"  # i = {base}..{base + times - 1}"
        return lines, weights, []
    alike = f"the lines of {cards[run[0].ops[-1]].name}; the others are alike"
    return *texts(run[0]), [alike]


# --- the card of a box ----------------------------------------------------------------------------


def box_cards(cards: Sequence[Card], runs: list[list[Box]]) -> list[Card]:
    """The cards of boxes, or of runs of them; figures of one kind are drawn on one scale."""
    figures = [measures(cards, run) for run in runs]
    top = {"zeros": 1.0}
    for name in ("|A| mean", "|dW| mean"):
        every = [v for found in figures for v in found.get(name, ()) if np.isfinite(v)]
        top[name] = max(every, default=0.0)
    made: list[Card] = []
    taken: Counter[str] = Counter()
    for run, found in zip(runs, figures):
        bars = tuple(bars_of(name, values, top[name]) for name, values in found.items())
        card = box_card(cards, run)._replace(bars=bars)
        taken[card.name] += 1
        part = f" (part {taken[card.name]})" if taken[card.name] > 1 else ""
        made.append(card._replace(name=card.name + part))
    return made


def box_card(cards: Sequence[Card], run: list[Box]) -> Card:
    """A box, or a run of them, as a card."""
    first, last = run[0], run[-1]
    ends = [first.key, last.key]
    if not first.key or first.key[0] == "\0":
        ends = [cards[box.ops[-1]].name for box in (first, last)]
    lines, listed, notes = words_of(cards, run)
    if len(lines) > LINES:
        lines[LINES - 2 : -1] = [f"... {len(lines) - LINES + 1} lines ..."]
    inside = [cards[i] for box in run for i in box.cards]
    weights = [card for card in inside if card.role == "parameter" and card.same is None]
    if weights:
        total = sum(math.prod(map(int, re.findall(r"\d+", card.shape))) for card in weights)
        even = len(run) > 1 and len(weights) % len(run) == 0
        each = f" = {len(run)} × {total // len(run):,}" * even
        more = ", ..." * (len(listed) > 3)
        notes.append(f"{total:,} weights{each}: {', '.join(listed[:3])}{more}")
    faults = [fault for card in inside for fault in card.faults]
    if len(faults) > 1:
        faults = [faults[0], f"and {len(faults) - 1} more"]
    marked = [card.slope for card in inside if card.status not in ("", "same")]
    if marked:
        more = f" and {len(marked) - 3} more" * (len(marked) > 3)
        faults.append(f"differ: {', '.join(marked[:3])}{more}")
    carries = [p for box in run for i in box.ops for p in cards[i].carries]
    above = cards[first.ops[0]].spine
    into = cards[above].shape if above in first.outside else ""
    return Card(
        name=span(*ends),
        shape=" → ".join(filter(None, (into, cards[last.ops[-1]].shape))),
        role="layer",
        parents=tuple(i for box in run for i in box.outside),
        carries=tuple(q for p in carries for q in (p, original(cards, p))),
        notes=tuple(notes),
        faults=tuple(faults),
        times=len(run),
        lines=tuple(lines),
    )


def measures(cards: Sequence[Card], run: list[Box]) -> dict[str, list[float]]:
    """The figures of the layers of a run, of long ones of some of them."""
    count = min(len(run), BARS)
    found: dict[str, list[float]] = {"|A| mean": [], "|dW| mean": [], "zeros": []}
    for k in range(count):
        box = run[k * (len(run) - 1) // max(count - 1, 1)]
        values = measurable([cards[box.ops[-1]].value])
        leaves = [cards[i] for i in box.leaves]
        slopes = measurable([card.gradient for card in leaves if card.role == "parameter"])
        for name, arrays in (("|A| mean", values), ("|dW| mean", slopes)):
            if arrays:
                sizes = [float(np.abs(a).sum(dtype=np.float64)) for a in arrays]
                found[name].append(sum(sizes) / sum(a.size for a in arrays))
        found["zeros"] += [1 - np.count_nonzero(a) / a.size for a in values]
    return {
        name: values
        for name, values in found.items()
        if any(values) or (values and name != "zeros")
    }


def measurable(arrays: list[Any]) -> list[Any]:
    """Those that are arrays of numbers of NumPy's, and not empty."""
    ours = [a for a in arrays if isinstance(a, np.ndarray | np.generic)]
    return [a for a in ours if a.dtype.kind in "fiubc" and a.size]


def bars_of(name: str, values: list[float], top: float) -> Bars:
    """Figures as bars, one for each layer, with the first and the last in words."""
    shares = tuple(v / top if np.isfinite(v) and top else 0.0 for v in values)
    ends = (values[0], values[-1])[: len(values)]
    words = " to ".join(f"{v:.0%}" if name == "zeros" else figure(v) for v in ends)
    return name, "gradient" if name == "|dW| mean" else "value", shares, words
