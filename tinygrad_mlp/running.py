"""A person's file, run in a process of its own, with its objects at hand as if they were here.

The process is asked for attributes and calls, one at a time, and answers with numbers. It is
trusted with nothing else: whatever the file does there, print, patch, exit, hang, the verdict is
reached here, by whoever judges the numbers. Questions and answers are arrays and JSON, never
pickles; they pass through pipes that the file does not have as standard input and output.

The functions from `serve` on run in that process, those above do not.
"""

import contextlib
import copy
import inspect
import io
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from .errors import DataError
from .formatting import nearest

__all__ = ["Process", "Remote", "Stopped"]

PRINTED = 20_000
"""So many bytes of what the file prints are kept."""

LONGEST = 1 << 32
"""Bytes of a message; what claims to be longer is none."""

# No script in this package: its folder, with nn.py and data, would be where the file imports from.
BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); from tinygrad_mlp.running import serve; "
    "del sys.path[0]; serve()"
)


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

    Attributes
    ----------
    printed : str
        What the file has printed; complete after the end.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self.path = path.absolute()
        self.timeout = timeout
        self.printed = ""
        self._stopped: Stopped | None = None

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-u", "-X", "utf8", "-c", BOOT, str(Path(__file__).parents[1])],
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

    def load(self, name: str, sizes: Sequence[int]) -> Any:
        """Run the file and return what in it is called `name`, as an object or function here.

        Parameters
        ----------
        name : str
            "" for the only thing that looks right.
        sizes : sequence of int
            What a class is called with.

        Raises
        ------
        DataError
            If there is nothing like that in the file.
        Stopped
            If the file itself fails.
        """
        reply = self.ask("load", path=os.fspath(self.path), name=name, sizes=list(sizes))
        if "misuse" in reply:
            raise DataError(reply["misuse"])
        if "story" in reply:
            raise Stopped(reply["story"])
        if reply["object"]:
            return Remote(self, 0, reply["name"])
        return self.function(0, "", reply["name"], reply["parameters"])

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
        self._owner.ask("set", of=self._number, attribute=attribute, value=value)

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


# --- messages -------------------------------------------------------------------------------------


def send(stream: Any, block: bytes) -> None:
    """Write a message, its length first."""
    stream.write(len(block).to_bytes(8, "big") + block)
    stream.flush()


def receive(stream: Any) -> bytes | None:
    """The next message; None if there is no more, or half a one; b"" if this is none of ours."""
    length = int.from_bytes(stream.read(8), "big")
    if length > LONGEST:
        return b""
    block: bytes = stream.read(length)
    return block if length and len(block) == length else None


def encode(message: Any) -> bytes:
    """Lists, dicts, arrays, numbers, text and None as bytes; of anything else its type.

    >>> decode(encode({"W": [np.eye(2), None], "name": "net", "odd": {1}}))
    {'W': [array([[1., 0.],
           [0., 1.]]), None], 'name': 'net', 'odd': '<set>'}
    """
    arrays: list[Any] = []
    tree = json.dumps(flat(message, arrays))
    buffer = io.BytesIO()
    np.savez(buffer, *arrays, tree=np.array(tree))
    return buffer.getvalue()


def flat(value: Any, arrays: list[Any]) -> Any:
    """`value` for JSON, with arrays replaced by their numbers."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {"dict": {str(k): flat(v, arrays) for k, v in value.items()}}
    if isinstance(value, (list, tuple)):
        return {"list": [flat(v, arrays) for v in value]}
    try:
        value = value.detach() if hasattr(value, "detach") else value
        array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    except Exception:
        array = np.asarray(None)
    if array.dtype.kind not in "fiubc":
        return f"<{type(value).__name__}>"
    arrays.append(array)
    return {"array": len(arrays) - 1}


def decode(block: bytes) -> Any:
    """What `encode` was given. Nothing in it is run."""
    with np.load(io.BytesIO(block), allow_pickle=False) as file:
        return full(json.loads(str(file["tree"])), file)


def full(value: Any, file: Any) -> Any:
    """The inverse of `flat`."""
    if not isinstance(value, dict):
        return value
    [(kind, content)] = value.items()
    if kind == "array":
        return file[f"arr_{content}"]
    if kind == "list":
        return [full(v, file) for v in content]
    return {k: full(v, file) for k, v in content.items()}


# --- in the process of its own --------------------------------------------------------------------


class Misuse(Exception):
    """There is nothing in the file that could be run."""


def serve() -> None:
    """Answer until nothing more is asked. What the file prints goes to standard error."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    objects: list[Any] = []
    path = Path()
    while block := receive(questions):
        question = decode(block)
        path = Path(question.get("path", path))
        try:
            answer = encode(respond(question, objects))
        except Misuse as error:
            answer = encode({"misuse": str(error)})
        except BaseException as error:  # SystemExit as well: it is not for the file to say
            told = {"error": located(error, path)} if objects else {"story": story(error, path)}
            answer = encode(told)
        send(answers, answer)
    os._exit(0)  # its threads, and what it registered with atexit, might wait for ever


def respond(question: dict[str, Any], objects: list[Any]) -> dict[str, Any]:
    """Do what is asked."""
    do = question["do"]
    if do == "load":
        path = Path(question["path"])
        name, target = pick(load(path), path.name, question["name"])
        net = made(target, question["sizes"])
        objects.append(net)
        is_object = passes(net) or not callable(net)
        return {"name": name, "object": is_object, "parameters": parameters(net)}
    target = objects[question["of"]]
    if do == "copy":
        objects.append(copy.deepcopy(target))
        return {"value": len(objects) - 1}
    attribute = question["attribute"]
    if do == "set":
        setattr(target, attribute, question["value"])
        return {}
    value = getattr(target, attribute) if attribute else target
    if do == "call":
        return {"value": value(*question["args"])}
    return {"parameters": parameters(value)} if callable(value) else {"value": value}


def load(path: Path) -> types.ModuleType:
    """Run the file as a module that no other import can ask for."""
    sys.argv = [os.fspath(path)]
    sys.path.insert(0, os.fspath(path.parent))
    module = types.ModuleType("__manual__")
    module.__file__ = os.fspath(path)
    sys.modules[module.__name__] = module
    try:
        code = compile(path.read_bytes(), path, "exec")
    except (SyntaxError, ValueError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise Misuse(f"{path.name}{where}: {getattr(error, 'msg', error)}.") from error
    exec(code, module.__dict__)
    return module


def pick(module: types.ModuleType, file: str, name: str) -> tuple[str, Any]:
    """What is meant: what is called `name`, else the only thing that looks right."""
    defined = {
        key: value
        for key, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ and callable(value)
    }
    if name and hasattr(module, name):
        return name, getattr(module, name)
    if name:
        close = nearest(name, list(defined))
        raise Misuse(f"{file} has no {name}.{f' Did you mean {file}:{close}?' if close else ''}")
    found = [key for key, value in defined.items() if isinstance(value, type) and passes(value)]
    found = found or [key for key in ("backward", "gradients") if key in defined]
    if len(found) == 1:
        return found[0], defined[found[0]]
    if found:
        raise Misuse(f"{file} has {' and '.join(found)}: say which, as in {file}:{found[0]}.")
    has = f"it has {', '.join(defined)}" if defined else "it defines nothing"
    raise Misuse(
        f"{file} has no class with forward and backward, and no function backward(W, B, x, t) that "
        f"returns (DW, DB); {has}. To name what is meant: {file}:NAME."
    )


def passes(value: Any) -> bool:
    """Whether `value` has the two passes."""
    return all(callable(getattr(value, name, None)) for name in ("forward", "backward"))


def made(target: Any, sizes: list[int]) -> Any:
    """The network of a class or a factory; anything else as it is."""
    if isinstance(target, type) or not passes(target):
        for args in ([sizes], []):
            if takes(target, args):
                return target(*args)
    return target


def takes(fun: Any, args: list[Any]) -> bool:
    """Whether `fun` can be called with `args`."""
    try:
        inspect.signature(fun).bind(*args)
    except (TypeError, ValueError):
        return False
    return True


def parameters(fun: Any) -> list[Any] | None:
    """Name, kind and whether there is a default, for each parameter; None if that is unknown."""
    try:
        found = inspect.signature(fun).parameters.values()
    except (TypeError, ValueError):
        return None
    return [[p.name, p.kind.name, p.default is not p.empty] for p in found]


def located(error: BaseException, path: Path) -> dict[str, Any]:
    """An error as plain data, with the last line of the file that it passed."""
    lines = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == os.fspath(path)
    ]
    return {"type": type(error).__name__, "text": str(error), "line": [1, *lines][-1]}


def story(error: BaseException, path: Path) -> str:
    """What went wrong, and the way there through the files in the person's folder.

    >>> story(ValueError("no"), Path("net.py"))
    'ValueError: no'
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).parent == path.parent][-3:]
    lines = [f"{Path(f.filename).name}, line {f.lineno}:\n    {f.line}" for f in own]
    return "\n".join([*lines, traceback.format_exception_only(error)[-1].strip()])
