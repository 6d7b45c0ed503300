"""Run a pass: as `compare` is asked to, and as the oracle judges it."""

import copy
import inspect
import re
from typing import Any

import numpy as np

from tinygrad_mlp import Comparison, compare

from .nets import Net, wrong_of
from .registry import Pass


def identifier(name: str) -> str:
    """W[0] -> W0."""
    return re.sub(r"\W", "", name)


def arguments(code: Any, net: Net) -> list[Any]:
    """What the parameters of `code` stand for: an array, or the list of those with an index."""
    arrays = {name: a.copy() for name, a in net.arrays.items()}
    by_identifier = {identifier(name): a for name, a in arrays.items()}
    if net.is_mlp:
        by_identifier["A0"] = arrays["x"]
    return [
        by_identifier[p]
        if p in by_identifier
        else [a for name, a in arrays.items() if name.startswith(f"{p}[")]
        for p in inspect.signature(code).parameters
    ]


def is_mapping(entry: Pass, net: Net) -> bool:
    """Whether the pass gives gradients by name."""
    return not net.is_mlp or "return {" in entry.source


def by_name(DW: Any, DB: Any, n: int) -> dict[str, Any]:
    """The lists of gradients, each under its name; a missing one is None."""
    named: dict[str, Any] = {}
    for name, gradients in (("dW", DW), ("dB", DB)):
        gradients = list(gradients) if isinstance(gradients, (list, tuple)) else []
        gradients += [None] * (n - len(gradients))
        named |= {f"{name}[{i}]": a for i, a in enumerate(gradients)}
    return named


def gradients(code: Any, net: Net, mapping: bool) -> dict[str, Any]:
    """What `code` says on the data of `net`; y, too, if it is an object."""
    with np.errstate(all="ignore"):
        if mapping:
            return dict(code(*arguments(code, net)))
        W, B = copy.deepcopy(net.weights)
        x, t, n = net.arrays["x"].copy(), net.arrays["t"].copy(), len(W)
        if not hasattr(code, "forward"):
            try:
                return by_name(*code(W, B, x, t), n)
            except Exception:
                return by_name(None, None, n)
        code.W, code.B = W, B
        y = code.forward(x)
        result = {"y": copy.deepcopy(y)}
        try:
            code.backward(y, t)
        except Exception:
            if isinstance(y, list):  # rows of a list, made an array
                code.A = [np.array(a) for a in code.A]
                try:
                    code.backward(np.array(y), t)
                except Exception:
                    return result | by_name(None, None, n)
                return result | by_name(code.DW, code.DB, n)
            return result | by_name(None, None, n)
        return result | by_name(code.DW, code.DB, n)


def judged(entry: Pass, net: Net, tolerance: float | None = None) -> list[str]:
    """Names of what the oracle finds wrong; an MLP is tried on other data, too."""
    mapping = is_mapping(entry, net)
    tolerance = tolerance or entry.tolerance or net.tolerance
    code = entry.code(net.sizes) if isinstance(entry.code, type) else entry.code
    for place in [net] if mapping else [net, net.elsewhere()]:
        given = gradients(code, place, mapping)
        known = {name for name in given if name == "y" or name[1:] in place.parameters}
        surplus = [] if mapping else sorted(given.keys() - known)
        given = given if mapping else {k: a for k, a in given.items() if k in known}
        wrong = wrong_of(place, given, tolerance) + surplus
        if wrong:
            return wrong
    return []


def compared(entry: Pass, net: Net, **options: Any) -> Comparison:
    """`compare`, in the form that the pass has."""
    if is_mapping(entry, net):
        return compare(gradients(entry.code, net, True), net.loss(), **options)
    x, t = net.arrays["x"], net.arrays["t"]
    return compare(entry.code, x, t, reference=net.reference(), **options)
