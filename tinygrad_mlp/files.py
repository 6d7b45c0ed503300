"""Files that people name on a command line: found, run, written, and quoted."""

import contextlib
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from .errors import DataError
from .formatting import nearest
from .tensor import Tensor

__all__ = ["absent", "files_in", "located", "loss_of", "said", "write"]


def loss_of(file: str, command: str) -> Tensor:
    """What FUNCTION in FILE returns; it runs here, what it prints goes to standard error."""
    path, name = located(file)
    if not name:
        raise DataError(
            f"{command}: say which function of {path.name} makes the loss: {file}:FUNCTION."
        )
    scope: dict[str, Any] = {"__name__": path.stem, "__file__": str(path)}
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            exec(compile(path.read_bytes(), str(path), "exec"), scope)
            if not callable(scope.get(name)):
                close = nearest(name, [k for k, v in scope.items() if callable(v)])
                hint = f" Did you mean {close}?" if close else ""
                raise DataError(f"{path.name} has no function {name}.{hint}")
            loss = scope[name]()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # it is a stranger's
        raise DataError(failure(error, path)) from error
    finally:
        sys.path.pop(0)
    if not isinstance(loss, Tensor):
        raise DataError(f"{path.name}: {name}() must return a Tensor, not {type(loss).__name__}.")
    return loss


def failure(error: BaseException, path: Path) -> str:
    """What went wrong in a person's file, and on which of its lines."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    if isinstance(error, DataError) and not lines:
        return str(error)
    where = f"{path.name}, line {lines[-1]}" if lines else path.name
    return f"{where}: {type(error).__name__}: {error}".rstrip(": ")


def files_in(text: str) -> list[str]:
    """The Python files of a folder; anything else as it is."""
    if not os.path.isdir(text):
        return [text]
    found = sorted(map(str, Path(text).glob("*.py")))
    if not found:
        raise DataError(f"the folder {text} has no Python files; give the files themselves.")
    return found


def located(text: str) -> tuple[Path, str]:
    """FILE[:NAME] as a file that is there, and a name or ''."""
    file, _, name = text.rpartition(":")
    if os.path.exists(text) or not (file and name.isidentifier()):  # C:\net.py has no name
        file, name = text, ""
    path = Path(file)
    if not path.exists():
        raise DataError(absent(path))
    if path.is_dir():
        raise DataError(f"{file} is a folder; give a Python file.")
    return path, name


def absent(path: Path) -> str:
    """That there is no such file, and which may be meant."""
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}."
    close = nearest(path.name, sorted(os.listdir(path.parent)))
    return f"there is no file {path}." + (f" Did you mean {path.parent / close}?" if close else "")


def said(printed: str, file: str) -> str:
    """What the file printed, as its own words: set off, and unable to steer the terminal."""
    lines = printed.rstrip().splitlines()
    if not lines:
        return ""
    more = [f"... and {len(lines) - 20} more lines"] if len(lines) > 20 else []
    lines = ["".join(c if c.isprintable() else "?" for c in line) for line in lines[:20]]
    return "\n".join([f"\n{file} printed:", *(f"  | {line[:200]}" for line in lines + more)])


def write(path: Path, text: str) -> None:
    """Write a file, whole or not at all."""
    from .rendering import write_whole

    write_whole(path, text.encode("utf-8", "replace"))
