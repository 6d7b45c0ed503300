"""A person's file, run in a process of its own, with its objects at hand as if they were here.

The process (`serving`) is asked for attributes and calls, one at a time, and answers with numbers.
It is trusted with nothing else: whatever the file does there, print, patch, exit, hang, the verdict
is reached here, by whoever judges the numbers. Questions and answers are arrays and JSON, never
pickles; they pass through pipes that the file does not have as standard input and output.
"""

import contextlib
import inspect
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from . import serving
from .errors import DataError
from .serving import decode, encode, receive, send

__all__ = ["Process", "Remote", "Stopped"]

PRINTED = 20_000
"""So many bytes of what the file prints are kept."""


class Stopped(BaseException):
    """The file gives no more answers. No `Exception`: to go on judging would make no sense."""


class Process:
    """A running file with a backward pass; a context manager, at whose end the process is ended.

    Parameters
    ----------
    path : path
        The file. It imports from its own folder, as a script does.
    timeout : float
        Seconds, for all that is asked of it.
    others : sequence of path
        Files that it may not open, beside those of this package.

    Attributes
    ----------
    printed : str
        What the file has printed; complete after the end.
    """

    def __init__(self, path: Path, timeout: float, others: Sequence[Path] = ()) -> None:
        self.path = path.absolute()
        self.others = [os.fspath(other.absolute()) for other in others]
        self.timeout = timeout
        self.printed = ""
        self._stopped: Stopped | None = None

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-u", "-B", "-X", "utf8", serving.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that all it starts can be ended with it
        )
        self._replies: queue.Queue[bytes | None] = queue.Queue()
        self._text: list[bytes] = []
        self._readers = [
            threading.Thread(target=collect, args=(self._child.stdout, self._replies)),
            threading.Thread(target=drain, args=(self._child.stderr, self._text)),
        ]
        self._deadline = time.monotonic() + self.timeout
        self._timer = threading.Timer(self.timeout, end, [self._child])  # also while we write
        for thread in (*self._readers, self._timer):
            thread.daemon = True
            thread.start()
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        self._timer.cancel()
        with contextlib.suppress(OSError):
            self._child.stdin.close()  # type: ignore[union-attr]  # at which it ends
        if kind is None or issubclass(kind, Exception):  # it waits for a question
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(1)
        end(self._child)
        for reader in self._readers:
            reader.join(1)  # longer only if something that got away still holds the pipe
        self.printed = b"".join(self._text).decode("utf-8", "replace")

    def load(self, name: str | None, sizes: Sequence[int] = ()) -> Any:
        """Run the file and return what in it is called `name`, as an object or function here.

        Parameters
        ----------
        name : str or None
            "" for the only thing that looks right; None for nothing.
        sizes : sequence of int
            What a class is called with.

        Raises
        ------
        DataError
            If there is nothing like that in the file.
        Stopped
            If the file itself fails.
        """
        path = os.fspath(self.path)
        reply = self.ask("load", path=path, name=name, sizes=list(sizes), others=self.others)
        if "misuse" in reply:
            raise DataError(reply["misuse"])
        if "story" in reply:
            raise Stopped(reply["story"])
        if name is None:
            return None
        if reply["object"]:
            return Remote(self, 0, reply["name"])
        return self.function(0, "", reply["name"], reply["parameters"])

    def lines(self, **parts: Any) -> dict[str, Any]:
        """What `serving.run_lines` makes of a function of the file, once that is loaded."""
        return dict(self.ask("lines", of=0, file=os.fspath(self.path), **parts))

    def ask(self, do: str, **parts: Any) -> Any:
        """One question, one answer; after a `Stopped`, nothing but that."""
        try:
            if self._stopped:
                raise self._stopped
            reply = self._answer(encode({"do": do, **parts}))
        except Stopped as stopped:
            self._stopped = stopped
            raise
        if "error" in reply:
            raise_there(reply["error"], self.path)
        return reply

    def _answer(self, question: bytes) -> dict[str, Any]:
        file = self.path.name
        with contextlib.suppress(OSError):  # it has ended; the missing answer will tell
            send(self._child.stdin, question)
        block = None
        with contextlib.suppress(queue.Empty):
            block = self._replies.get(timeout=max(self._deadline - time.monotonic(), 0))
        if block is None and time.monotonic() >= self._deadline:
            raise Stopped(
                f"{file} did not finish within {self.timeout:g} s (--timeout), and was stopped."
            )
        if block is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(1)
            status = self._child.poll()
            raise Stopped(f"{file} ended before it had given an answer (exit status {status}).")
        try:
            return dict(decode(block))
        except Exception as problem:
            raise Stopped(f"{file}: its answer cannot be read ({problem}).") from problem

    def function(self, of: int, attribute: str, name: str, parameters: Any) -> Callable[..., Any]:
        """A function there as a function here. It counts as one of the file in a traceback."""

        def call(*args: Any) -> Any:
            return self.ask("call", of=of, attribute=attribute, args=list(args))["value"]

        namespace: dict[str, Any] = {"call": call}
        source = "def function(*args):\n    return call(*args)\n"
        exec(compile(source, self.path, "exec"), namespace)
        function: Any = namespace["function"]
        function.__name__ = name
        function._owner = self  # its lines are not those of the file
        if parameters is not None:
            function.__signature__ = inspect.Signature(
                [
                    inspect.Parameter(p, getattr(inspect.Parameter, kind), default=default)
                    for p, kind, has_default in parameters
                    for default in [None if has_default else inspect.Parameter.empty]
                ]
            )
        return function  # type: ignore[no-any-return]


class Remote:
    """An object in the process: its attributes are read, set and called there."""

    def __init__(self, process: Process, number: int, name: str) -> None:
        self.__dict__.update(_owner=process, _number=number, __name__=name)

    def __getattr__(self, attribute: str) -> Any:
        try:
            reply = self._owner.ask("get", of=self._number, attribute=attribute)
        except Exception as error:
            raise AttributeError(str(error)) from error
        if "value" in reply:
            return reply["value"]
        return self._owner.function(self._number, attribute, attribute, reply["parameters"])

    def __setattr__(self, attribute: str, value: Any) -> None:
        try:
            self._owner.ask("set", of=self._number, attribute=attribute, value=value)
        except Exception as error:  # with weights of its own it could make everything zero
            raise Stopped(f"{self.__name__}.{attribute} cannot be set: {error}") from error

    def __deepcopy__(self, memo: Any) -> "Remote":
        number = self._owner.ask("copy", of=self._number)["value"]
        return Remote(self._owner, number, self.__name__)


def raise_there(error: dict[str, Any], path: Path) -> None:
    """Raise as if it happened here: an error of that name, with the person's line at its end."""
    kind = type(error["type"], (Exception,), {})
    source = "\n" * (error["line"] - 1) + "raise error"
    exec(compile(source, path, "exec"), {"error": kind(error["text"])})


def collect(stream: Any, replies: "queue.Queue[bytes | None]") -> None:
    """Pass on what arrives; None at the end."""
    with stream:
        while (block := receive(stream)) is not None:
            replies.put(block)
    replies.put(None)


def drain(stream: Any, text: list[bytes]) -> None:
    """Read to the end, keeping the beginning."""
    left = PRINTED
    with stream:
        while block := stream.read1(65536):
            text.append(block[:left])
            left -= len(text[-1])


def end(child: "subprocess.Popen[bytes]") -> None:
    """End the process and all in its group."""
    if sys.platform == "win32":  # pragma: no cover  # there are no such groups
        child.kill()
    else:
        with contextlib.suppress(OSError):  # nobody is left
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()
