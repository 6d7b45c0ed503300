"""What a command says: its result on standard output, progress and notes on standard error."""

import contextlib
import importlib.util
import json
import math
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Answer", "answered", "note", "put", "reporting", "show"]

OK, FAILED, MISUSE, INTERRUPTED = 0, 1, 2, 130


class Answer(NamedTuple):
    """What comes of a command."""

    document: dict[str, Any]
    """With --json the one document on standard output; if it is empty, the text is shown."""
    text: str
    """The result."""
    note: str = ""
    """Something beside the result, for standard error."""
    status: int = OK


def put(text: str, stream: Any) -> None:
    """Write. That nobody reads it any more (``| head``) is no error, and changes no status."""
    if stream is not None:
        try:
            stream.write(text)
            stream.flush()
        except OSError as error:  # let the rest go nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if not isinstance(error, BrokenPipeError):
                raise


def show(text: str) -> None:
    """A part of the result."""
    put(f"{text}\n", sys.stdout)


def note(text: str) -> None:
    """Something beside the result; where it cannot be written, the result still counts."""
    with contextlib.suppress(OSError):
        put(f"{text}\n", sys.stderr)


def answered(answer: Answer, as_json: bool, quiet: bool) -> int:
    """Show an answer; the exit status."""
    if as_json and answer.document:
        show(json.dumps(finite(answer.document), indent=2, allow_nan=False))
    else:
        show(answer.text)
    if answer.note and not quiet:
        note(answer.note)
    return answer.status


def finite(value: Any) -> Any:
    """`value` with None for what JSON has no number for.

    >>> finite({"a": [1.5, float("nan")]})
    {'a': [1.5, None]}
    """
    if isinstance(value, dict):
        return {key: finite(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def reporting(quiet: bool, every: int) -> Callable[[dict[str, list[float]]], None]:
    """A callback of `fit` that notes the numbers of an epoch now and then, if no bar shows them."""
    bar = sys.stderr is not None and sys.stderr.isatty() and importlib.util.find_spec("tqdm")

    def report(history: dict[str, list[float]]) -> None:
        epoch = len(history["loss"])
        if not (quiet or bar) and (epoch == 1 or epoch % every == 0):
            texts = [f"{name} {values[-1]:.4f}" for name, values in history.items()]
            note(f"   epoch {epoch:2}   {'   '.join(texts)}")

    return report
