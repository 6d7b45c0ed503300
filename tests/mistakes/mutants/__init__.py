"""Derived backward passes with one line changed by a script, once, and kept since.

`truth.json` holds for each file what was changed, and which gradients are wrong for it.
"""

import importlib
import inspect
import json
from pathlib import Path

from ..mutating import KINDS
from ..registry import PASSES, Pass

__all__ = ["load"]

TRUTH = Path(__file__).with_name("truth.json")


def load() -> None:
    """Enter all of them in the table."""
    for name, facts in json.loads(TRUTH.read_text("utf-8")).items():
        module = importlib.import_module(f".{name}", __name__)
        PASSES[name] = Pass(
            name,
            facts["net"],
            module.backward,
            facts["kind"],
            False,
            cause=KINDS[facts["kind"]],
            listed=False,
            made="by a script",
            target=facts["target"],
            before=facts["before"],
            after=facts["after"],
            wrong=facts["wrong"],
            file=f"{name}.py",
            source=inspect.getsource(module),
            first=1,
        )
