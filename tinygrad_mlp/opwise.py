"""The ops of a graph as cards: one for each op and leaf."""

import itertools
import operator
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import graph
from .cards import Card, faults_of, one_line, size_text, spine_of
from .errors import GradientError
from .formatting import SIGNS, describe, name_of
from .graph import Node
from .primitives import PRIMITIVES, Each, parameters_of

__all__ = ["ancestors", "op_cards"]


def op_cards(result: Any, show: str) -> tuple[list[Card], list[str]]:
    """The graph of a result, or of a list of them, as cards in the order of creation; and notes."""
    results = result if isinstance(result, list) else [result]
    nodes = ancestors(*results)
    items, parents = with_arrays(nodes)
    spine = spine_of(parents, [getattr(a, "requires_grad", True) for a in items])
    roles = roles_of(items, parents, spine)
    names = names_of(items, roles)
    gradients, notes = gradients_of(results, nodes, show)
    uses = Counter(p for group in parents for p in group)
    first_use: dict[int, int] = {}
    for i, group in enumerate(parents):
        for p in group:
            first_use.setdefault(p, items[i].index)
    name_at = {id(item): name for item, name in zip(items, names)}
    cards = []
    for i, item in enumerate(items):
        node = item if isinstance(item, Node) else CONSTANT
        data = item._data if isinstance(item, Node) else item
        gradient = gradients.get(node)
        said = []
        if graph.changed_at(item) > first_use.get(i, node.index):
            said.append("overwritten since it was used")
        if gradients and node.requires_grad and gradient is None:
            said.append("no gradient reaches it")
        value = None if show == "shapes" else data
        formula, comment = formula_of(node, name_at)
        card = Card(
            name=names[i],
            shape=size_text(data.shape),
            role=roles[i],
            scope=one_line(node.scope or ""),
            uses=uses[i],
            formula=formula,
            comment=comment,
            value=value,
            gradient=gradient,
            parents=tuple(dict.fromkeys(parents[i])),
            spine=spine[i],
            carries=carried(node, parents[i], gradients),
            notes=tuple(said),
            faults=(*faults_of(names[i], value), *faults_of(f"d{names[i]}", gradient)),
        )
        cards.append(card)
    return cards, [one_line(note, 200) for note in notes]


class Constant:
    """What a plain array has in place of a node."""

    op = scope = name = None
    args = needs = ()
    requires_grad = False
    index = 0


CONSTANT: Any = Constant()


def ancestors(*results: Node) -> list[Node]:
    """The results and all they were computed from, in the order of creation."""
    seen = set(results)
    found = list(seen)
    for node in found:  # grows while it is walked
        fresh = [p for p in graph.parents(node) if p not in seen]
        fresh = list(dict.fromkeys(fresh))
        seen.update(fresh)
        found += fresh
    return sorted(found, key=graph.by_index)


def operands(node: Node) -> Iterator[tuple[int, Any]]:
    """The nodes and arrays that an op was called with, each with its position."""
    for i, a in enumerate(node.args):
        for b in a if isinstance(a, (list, tuple)) else (a,):
            if isinstance(b, Node) or (isinstance(getattr(b, "shape", 0), tuple) and b.shape):
                yield i, b


def with_arrays(nodes: list[Node]) -> tuple[list[Any], list[list[int]]]:
    """What gets a card, and its parents: the nodes, and plain arrays before their first use."""
    items: list[Any] = []
    parents: list[list[int]] = []
    number: dict[int, int] = {}
    for node in nodes:
        used = []
        for _, a in operands(node):
            if id(a) not in number:  # a plain array: the nodes among the operands came before
                number[id(a)] = len(items)
                items.append(a)
                parents.append([])
            used.append(number[id(a)])
        number[id(node)] = len(items)
        items.append(node)
        parents.append(used)
    return items, parents


def roles_of(items: list[Any], parents: list[list[int]], spine: list[int | None]) -> list[str]:
    """What each card is, in a word; '' for a result on the way."""
    start = len(items) - 1
    used = {p for group in parents for p in group}
    while (above := spine[start]) is not None:
        start = above
    targets = set()
    for i, group in enumerate(parents):
        for (position, _), p in zip(operands(items[i]) if group else (), group):
            if parameter_name(items[i].op, position) in TARGETS:
                targets.add(p)
    roles = []
    for i, item in enumerate(items):
        if parents[i]:
            role = "" if i in used else "loss" if item._data.size == 1 else "result"
        elif getattr(item, "requires_grad", False):
            role = "parameter"
        elif i in targets:
            role = "target"
        else:
            data = getattr(item, "name", None) or (i == start and item.dtype.kind == "f")
            role = "input" if data else "constant"
        roles.append(role)
    return roles


TARGETS = ("t", "labels")
"""What ops call the parameter that a prediction is compared with."""


def parameter_name(op: Any, position: int) -> str:
    """What `op` calls its argument, as far as its rules say."""
    rules = PRIMITIVES.get(op) or ()
    if isinstance(rules, Each) or not any(rules):
        return ""
    names = parameters_of(op)[0]
    return names[position] if position < len(names) else ""


def gradients_of(
    results: list[Any], nodes: list[Node], show: str
) -> tuple[dict[Any, Any], list[str]]:
    """The gradients to show, of one backward pass; without any, the reason."""
    if show in ("values", "shapes") or len(results) > 1:
        return {}, []
    root = results[0]
    if root.op is None:
        return {}, ["a leaf: nothing here requires a gradient, or it was computed under no_grad"]
    if not root.requires_grad:
        return {}, ["no gradient: nothing here requires one"]
    if show == "auto" and all(node.grad is None for node in nodes):
        return {}, ["no gradient yet: call backward()"]
    data = root._data
    if data.size == 1:
        seed = np.ones_like(data)
    elif root.retains_grad and root.grad is not None:
        seed = root.grad
    else:
        return {}, [f"no gradient: {describe(root)} is no scalar, and retains none of its own"]
    wanted = [node for node in nodes if node.requires_grad]
    try:
        with np.errstate(all="ignore"):  # what comes of it is marked on the cards
            return graph.backward_pass(root, seed, wanted), []
    except GradientError as error:
        return {}, [f"no gradient: {error}"]


def carried(node: Any, group: list[int], gradients: dict[Any, Any]) -> tuple[int, ...]:
    """The parents that a backward pass carries the cotangent of `node` to."""
    if node not in gradients:
        return ()
    used = zip(operands(node), group)
    return tuple(
        dict.fromkeys(
            p for (i, a), p in used if i in node.needs and isinstance(a, Node) and a in gradients
        )
    )


def names_of(items: list[Any], roles: list[str]) -> list[str]:
    """A name of its own for everything: the one it was given, else one from its op or role."""
    taken = {
        name_of(getattr(item, "op", None)) for item in items
    }  # exp1 = np.exp(x), not exp = ...
    numbers: dict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))

    def fresh(base: str, joint: str) -> str:
        if base in taken:
            base = next(s for k in numbers[base] if (s := f"{base}{joint}{k}") not in taken)
        taken.add(base)
        return base

    names = [one_line(getattr(item, "name", None) or "") for item in items]
    names = [name and fresh(name, "_") for name in names]
    return [
        name or fresh(default_name(item, role), "") for name, item, role in zip(names, items, roles)
    ]


def default_name(item: Any, role: str) -> str:
    """What to call something that was given no name."""
    if role in DEFAULT_NAMES:
        return DEFAULT_NAMES[role]
    layer = re.fullmatch(r"layer (\d+)", item.scope or "")
    if item.op is np.matmul and layer:
        return f"M[{int(layer[1]) + 1}]"  # of Z[i+1] = A[i] @ W[i] + B[i]
    return name_of(item.op)


DEFAULT_NAMES = {"loss": "loss", "result": "result", "target": "t", "input": "x"}
DEFAULT_NAMES |= {"parameter": "p", "constant": "c"}


def formula_of(node: Any, name_at: dict[int, str]) -> tuple[str, str]:
    """How a result was made, written as NumPy, and the shapes that went in; '' for a leaf.

    The shapes are left out where they are those of the result.
    """
    op = node.op
    if op is None:
        return "", ""
    name = name_of(op)
    of_numpy = getattr(np, name, None) is op
    texts = []
    for i, a in enumerate(node.args):
        word = parameter_name(op, i)
        texts.append(f"{word}=" * (word in WORDED) + argument_text(a, name_at))
    sizes = [size_text(a.shape) for _, a in operands(node)]
    if op is not np.matmul and len({*sizes, *[size_text(node._data.shape)][len(sizes) > 1 :]}) == 1:
        sizes = []
    sizes_text = ", ".join(sizes)
    if of_numpy and name in SIGNS and len(texts) == 2:
        sign = f" {SIGNS[name]} "
        return sign.join(texts), sign.join(sizes) if len(sizes) == 2 else ""
    if op is np.negative:
        return f"-{texts[0]}", ""
    if op is operator.getitem:
        return f"{texts[0]}[{', '.join(texts[1:]) or '()'}]", sizes_text
    if op is np.transpose and node.args[1:] in ((), (None,)):
        return f"{texts[0]}.T", sizes_text
    if isinstance(PRIMITIVES.get(op), Each):
        texts = [f"[{', '.join(texts)}]"]
    texts += [f"{k}={argument_text(v, name_at)}" for k, v in node.kwargs.items()]
    texts = [text for text in texts if text != "axis=None"]
    return f"{'np.' * of_numpy}{name}({', '.join(texts)})", sizes_text


WORDED = ("axis", "reduction")
"""Arguments that are written with their name."""


def argument_text(a: Any, name_at: dict[int, str]) -> str:
    """An argument of an op as it would be written."""
    if id(a) in name_at:
        return name_at[id(a)]
    if isinstance(a, tuple):
        inner = ", ".join(argument_text(b, name_at) for b in a)
        return f"({inner},)" if len(a) == 1 else f"({inner})"
    if isinstance(a, list):
        return f"[{', '.join(argument_text(b, name_at) for b in a)}]"
    if isinstance(a, slice):
        start, stop, step = ("" if b is None else str(b) for b in (a.start, a.stop, a.step))
        return f"{start}:{stop}" + (f":{step}" if step else "")
    if isinstance(a, np.dtype | type):
        return np.dtype(a).name
    if a is Ellipsis:
        return "..."
    text = str(a) if hasattr(a, "dtype") else repr(a)
    return f"({text})" if text.startswith("-") else text
