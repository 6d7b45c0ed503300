"""The boxes of a network as plain arrays, weights, biases and activations, and words on them."""

import math
from typing import Any, NamedTuple

import numpy as np

from .errors import RenderError
from .formatting import describe, name_of
from .manual import ManualMLP
from .nn import Linear, Sequential, title
from .pages import Part
from .styling import number_text, one_line, size_text
from .tensor import plain

__all__ = ["Parts", "entry_text", "headline", "listing", "parts_of", "pointed", "subtitle"]


class Parts(NamedTuple):
    """What the page shows."""

    kind: str
    weights: list[Part]
    biases: list[Part]  # with an empty shape where there is none
    activations: list[Part]  # A[0] is x; without numbers before a forward pass
    after: list[str]  # the function after each layer, '' for none
    notes: tuple[str, str]  # below x and below A
    rule: str  # how A comes about


def parts_of(net: Any) -> Parts:
    """The boxes of a network, as plain arrays."""
    activations: list[Part] = []
    rule, word, kept = "", "", "filled by a forward pass: call net(x)"
    if isinstance(net, Sequential):
        weights, biases, after = layers_of(net)
        kept = "not kept by a Sequential"
    else:
        weights, biases, activations = (
            [part(f"{name}[{i}]", a) for i, a in enumerate(listed(net, name))] for name in "WBA"
        )
        if isinstance(net, ManualMLP):
            word = "relu"
        elif getattr(net, "activation", None):
            word = one_line(name_of(net.activation), 16)
        rule = f"A[i+1] = {word}(Z[i+1])" * bool(word)
        after = [word] * (len(weights) - 1) + [""]
    if not weights:
        given = (
            f"the class {net.__name__}" if isinstance(net, type) else one_line(describe(net), 60)
        )
        raise RenderError(
            f"draw_anatomy: {given} holds no weights: give a network, such as MLP([3, 4, 2]), a "
            f"ManualMLP, a Sequential with Linear layers, or an object with lists W and B."
        )
    for w in weights:
        if len(w.shape) != 2 or 0 in w.shape:
            raise RenderError(
                f"draw_anatomy: {w.name} has shape {w.shape}; weights are matrices, (n_in, n_out)."
            )
    n, known = len(weights), len(activations)
    notes = ("one row for each sample", kept)
    if activations:
        batch = math.prod(activations[0].shape[:-1])
        said = [f"sample 0 in front, {batch - 1:,} behind it"] * (batch > 1)
        said += ["the output y is not in A"] * (known == n)
        notes = ("x is A[0] as it came in", "; ".join(said))
    activations += [Part(f"A[{i}]", ("batch", weights[i].shape[0])) for i in range(known, n)]
    biases += [Part(f"B[{i}]", ()) for i in range(len(biases), n)]
    return Parts(one_line(type(net).__name__, 24), weights, biases, activations, after, notes, rule)


def listed(net: Any, name: str) -> list[Any]:
    """The arrays in a list of a network; none if there is no such list."""
    found = getattr(net, name, None)
    return list(found) if isinstance(found, (list, tuple, np.ndarray)) else []


def layers_of(net: Sequential) -> tuple[list[Part], list[Part], list[str]]:
    """The weights and biases of the Linear layers, and what stands after each."""
    weights, biases, after = [], [], []
    for k, layer in enumerate(net.layers):
        if isinstance(layer, Linear):
            weights.append(part(f"layers[{k}].W", layer.W))
            name = f"layers[{k}].B"
            biases.append(Part(name, ()) if layer.B is None else part(name, layer.B))
            after.append("")
        elif after:
            after[-1] = one_line(f"{after[-1]} {title(layer)}", 16)
    return weights, biases, after


def part(name: str, value: Any) -> Part:
    """An array, or a Tensor, or rows in a list, as a box."""
    array = plain(value)
    array = np.asarray(array) if isinstance(array, (list, tuple)) else array
    shape = tuple(array.shape)
    numbers = None
    if isinstance(array, np.ndarray) and array.dtype.kind in "fiub" and array.size:
        numbers = array.reshape(-1, shape[-1] if shape else 1)
    return Part(name, shape or (1,), numbers)


def headline(parts: Parts) -> str:
    """What it is, in a line."""
    sizes = [parts.weights[0].shape[0], *(w.shape[1] for w in parts.weights)]
    if len(sizes) > 7:
        return f"{parts.kind}: {len(sizes)} layers, {sizes[0]:,} to {sizes[-1]:,} neurons"
    return f"{parts.kind}: {' → '.join(f'{n:,}' for n in sizes)} neurons"


def subtitle(parts: Parts) -> str:
    """How much there is."""
    found = [b for b in parts.biases if b.shape]
    total = sum(math.prod(p.shape) for p in (*parts.weights, *found))
    return (
        f"{total:,} parameters: {len(parts.weights)} weight matri"
        f"{'ces' if len(parts.weights) != 1 else 'x'} and {len(found)} bias vector"
        f"{'s' if len(found) != 1 else ''}"
    )


def pointed(w: Part) -> tuple[int, int]:
    """The entry that is pointed out: [1, 2], or the nearest there is."""
    return min(1, w.shape[0] - 1), min(2, w.shape[1] - 1)


def listing(parts: Parts) -> str:
    """The page in lines of text."""
    lines = []
    for i, (w, b, a) in enumerate(zip(parts.weights, parts.biases, parts.activations)):
        after = f", after {parts.after[i - 1]}" if i and parts.after[i - 1] else ""
        lines.append(
            (a.name, size_text(a.shape), f"layer {i}{after}" if i else "layer 0, the input x")
        )
        entry = f"; {entry_text(w, *pointed(w))}" if not i and w.numbers is not None else ""
        lines.append((w.name, size_text(w.shape), f"from layer {i} to layer {i + 1}{entry}"))
        if b.shape:
            lines.append((b.name, size_text(b.shape), f"added to layer {i + 1}"))
    widths = [max(len(line[k]) for line in lines) for k in (0, 1)]
    return "\n".join(f"{n:{widths[0]}}   {s:{widths[1]}}   {text}" for n, s, text in lines)


def entry_text(w: Part, r: int, c: int) -> str:
    """An entry and its number."""
    return f"{w.name}[{r}, {c}] = {number_text(w.numbers[r, c].item())}"
