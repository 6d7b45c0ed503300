"""Text for people: names, shapes and what to do about shapes that do not fit."""

from typing import Any

__all__ = ["describe", "module_of", "name_of", "nearest", "shape_text", "spelled"]


def name_of(fun: Any) -> str:
    """The name of an op as a person would call it.

    >>> import numpy as np
    >>> name_of(np.matmul)
    'matmul'
    """
    return getattr(fun, "__name__", str(fun))


def spelled(fun: Any) -> str:
    """A function with its module, as code has it.

    >>> import numpy as np
    >>> spelled(np.linalg.inv), spelled(np.matmul)
    ('np.linalg.inv', 'np.matmul')
    """
    return f"{module_of(fun)}.{name_of(fun)}".replace("numpy", "np", 1)


def module_of(fun: Any) -> str:
    """The name of its module; the ufuncs of NumPy before 2.2 have none.

    >>> module_of(nearest)
    'tinygrad_mlp.formatting'
    """
    return str(getattr(fun, "__module__", "numpy"))


def describe(a: Any, default: str = "") -> str:
    """Name and shape of an array or Tensor, or the value of anything else.

    >>> import numpy as np
    >>> describe(np.zeros((7, 5)), "x"), describe(2.0), describe([np.zeros(2), 1])
    ('x (7, 5)', '2.0', '[array (2,), 1]')
    """
    if isinstance(a, (list, tuple)):
        return f"[{', '.join(describe(b) for b in a)}]"
    if not hasattr(a, "shape"):
        return repr(a)
    kind = "Tensor" if hasattr(a, "requires_grad") else "array"
    return f"{getattr(a, 'name', None) or default or kind} {tuple(a.shape)}"


def nearest(word: str, words: list[str]) -> str:
    """The one of `words` that is spelled most like `word`, or ''.

    >>> nearest("maximun", ["minimum", "maximum"])
    'maximum'
    """
    import difflib

    return next(iter(difflib.get_close_matches(word, words, n=1)), "")


SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**", "matmul": "@"}


def shape_text(op: str, args: tuple[Any, ...], reason: str) -> str:
    """What `op` was given, why it does not fit, and what would.

    >>> import numpy as np
    >>> print(shape_text("matmul", (np.zeros((7, 5)), np.zeros((4, 3))), ""))
    matmul: a (7, 5) @ b (4, 3): a has 5 columns, b has 4 rows; they must be equal.
    >>> print(
    ...     shape_text(
    ...         "add",
    ...         (
    ...             np.zeros((7, 1)),
    ...             np.zeros(3),
    ...         ),
    ...         "no idea",
    ...     )
    ... )
    add: a (7, 1) + b (3,): no idea
    """
    if len(args) == 2 and all(hasattr(a, "shape") for a in args):
        a, b = args
        left, right = getattr(a, "name", None) or "a", getattr(b, "name", None) or "b"
        given = f"{op}: {describe(a, 'a')} {SIGNS.get(op, 'and')} {describe(b, 'b')}"
        if op == "matmul":
            return f"{given}: {matmul_reason(left, a.shape, right, b.shape)}"
        return f"{given}: {broadcast_reason(a.shape, right, b.shape) or reason}"
    return f"{op}({', '.join(describe(a) for a in args)}): {reason}"


def matmul_reason(left: str, a: tuple[int, ...], right: str, b: tuple[int, ...]) -> str:
    """Which sizes of a matrix product disagree, and a transpose that would fit."""
    if not a or not b:
        return "a matrix product needs at least one axis on each side; use * for a scalar."
    n, k = a[-1], b[-2] if len(b) > 1 else b[0]
    if n == k:
        return "the leading axes do not broadcast."
    columns = f"{left} has {n} {'columns' if len(a) > 1 else 'entries'}"
    rows = f"{right} has {k} {'rows' if len(b) > 1 else 'entries'}"
    text = f"{columns}, {rows}; they must be equal."
    if len(b) > 1 and b[-1] == n:
        return f"{text} {right}.T {(*b[:-2], b[-1], b[-2])} would fit."
    if len(a) > 1 and a[-2] == k:
        return f"{text} {left}.T {(*a[:-2], a[-1], a[-2])} would fit."
    return text


def broadcast_reason(a: tuple[int, ...], right: str, b: tuple[int, ...]) -> str:
    """Which axes of two shapes do not broadcast, or '' if all do."""
    for i in range(1, min(len(a), len(b)) + 1):
        if a[-i] != b[-i] and 1 not in (a[-i], b[-i]):
            text = f"axis {-i} is {a[-i]} against {b[-i]}; they must be equal, or one of them 1."
            if len(b) == 1 and len(a) == 2 and a[0] == b[0]:
                return f"{text} {right}.reshape({b[0]}, 1) would fit, or keepdims=True before."
            return text
    return ""
