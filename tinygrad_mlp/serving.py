"""What runs in a process of its own, started by `running`: a person's file, and answers about it.

A script that needs nothing of this package: the file must not find in this process what could work
out its gradients. What stands for the package says so when it is used, and from `guard` on neither
the package nor another person's file can be opened, nor a program started. That keeps honest people
honest, and is no prison: whoever writes machine code gets out of any Python.
"""

import ast
import contextlib
import copy
import difflib
import importlib.machinery
import inspect
import io
import json
import os
import sys
import traceback
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["decode", "encode", "receive", "run_lines", "send", "stored"]

LONGEST = 1 << 32
"""Bytes of a message; what claims to be longer is none."""

PACKAGE = "tinygrad_mlp"

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


# --- questions and answers ------------------------------------------------------------------------


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
        guard([Path(__file__).parent, *map(Path, question["others"])])
        module = load(path)
        if question["name"] is None:
            objects.append(module)
            return {}
        name, target = pick(module, path.name, question["name"])
        net = made(target, question["sizes"])
        objects.append(net)
        is_object = passes(net) or not callable(net)
        return {"name": name, "object": is_object, "parameters": parameters(net)}
    target = objects[question["of"]]
    if do == "copy":
        objects.append(copy.deepcopy(target))
        return {"value": len(objects) - 1}
    if do == "lines":
        parts = {key: part for key, part in question.items() if key not in ("do", "of")}
        return run_lines(**parts, namespace=vars(target))
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
        close = difflib.get_close_matches(name, defined, n=1)
        raise Misuse(f"{file} has no {name}.{f' Did you mean {file}:{close[0]}?' if close else ''}")
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


# --- a worksheet ----------------------------------------------------------------------------------


def run_lines(
    source: str,
    function: str,
    inputs: dict[str, Any],
    wanted: Sequence[str],
    fills: dict[str, Any],
    namespace: dict[str, Any],
    file: str,
) -> dict[str, Any]:
    """Run a function statement by statement, to the first that fails or is not filled in.

    Parameters
    ----------
    source : str
        The file, and in it the name of the `function`.
    inputs : dict
        Its arguments.
    wanted : sequence of str
        Names of variables to report.
    fills : dict
        Number of a statement that is not to be run -> values, by name, to go on with.
    namespace : dict
        The globals of the function; they stay as they are.

    Returns
    -------
    dict
        "values": what the wanted variables held, up to the assignment of the next one. Either
        "returned", or "stop", the number of a statement, with its "failure" if it raised something.
    """
    tree = ast.parse(source)
    [body] = [f.body for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == function]
    scope = {**namespace, **copy.deepcopy(inputs)}
    values: dict[str, Any] = {}
    current: set[str] = set()
    for number, statement in enumerate(body):
        names = stored(statement).intersection(wanted)
        if str(number) in fills:
            scope.update(copy.deepcopy(fills[str(number)]))
        else:
            try:
                if isinstance(statement, ast.Return):
                    value = statement.value and compile(
                        ast.Expression(statement.value), file, "eval"
                    )
                    return {"values": values, "returned": value and eval(value, scope)}
                exec(compile(ast.Module([statement], []), file, "exec"), scope)
            except (Exception, SystemExit) as error:
                return {"values": values, "stop": number, "failure": located(error, Path(file))}
            if any(scope.get(name) is ... for name in names):
                return {"values": values, "stop": number}
        current = names or current
        values |= {name: copy.deepcopy(scope.get(name)) for name in current}
    return {"values": values, "returned": None}


def stored(statement: ast.stmt) -> set[str]:
    """The names that a statement assigns to."""
    names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
    return {node.id for node in names if isinstance(node.ctx, ast.Store)}


# --- what the file cannot have --------------------------------------------------------------------


class Absent(types.ModuleType):
    """Stands for our package, or something in it: may be imported, but not used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self.__name__}.{name}")

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise ImportError(
            f"{self.__name__} is not there while your backward pass is compared with it. Write it "
            f"out with NumPy; what you only try out belongs under if __name__ == '__main__'"
        )

    __mro_entries__ = __call__  # as a base class


class Finder:
    """Finds what is absent, instead of the package."""

    def find_spec(self, name: str, *_: Any) -> Any:
        """A spec for each module of the package."""
        if name.partition(".")[0] == PACKAGE:
            return importlib.machinery.ModuleSpec(name, self)  # type: ignore[arg-type]
        return None

    def create_module(self, spec: Any) -> Any:
        """The module, which counts as a package, for other modules are asked for in it."""
        module = Absent(spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module: Any) -> None:
        """Nothing is to be run."""


PROGRAMS = {
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork"),
    *("os.forkpty", "os.startfile", "pty.spawn"),
}


def guard(paths: Sequence[Path]) -> None:
    """Refuse, from now on, to touch these files and folders, and other programs."""
    finder = Finder()
    sys.meta_path.insert(0, finder)
    refused = {identity(os.stat(p)) for path in paths for p in [path, *path.rglob("*")]}
    own, stat, same = os.getpid(), os.stat, identity  # as they are before the file can change them
    proc = stat("/proc").st_dev if os.path.isdir("/proc/self") else None

    def look(path: str) -> None:  # pragma: no cover  # what a hook does is not traced
        try:
            found = stat(path)
        except (OSError, ValueError):
            return
        mine = path.startswith(("/proc/self/", f"/proc/{own}/")) and ".." not in path
        system = path.startswith("/proc") and path.count("/") < 3  # of no process
        if same(found) in refused or (found.st_dev == proc and not mine and not system):
            raise PermissionError(
                f"{path} is not to be touched while the backward pass is compared"
            )

    def hook(event: str, args: tuple[Any, ...]) -> None:  # pragma: no cover  # as above
        if event == "import":
            if args[0].partition(".")[0] == PACKAGE and args[3][:1] != [finder]:
                raise ImportError(f"{args[0]} is not there while the backward pass is compared")
        elif event in PROGRAMS or (event in ("os.kill", "os.killpg") and args[0] != own):
            raise PermissionError(f"{event} is not to be used while the backward pass is compared")
        elif event == "open" or event.startswith("os."):
            for path in args:
                if isinstance(path, (str, bytes)):
                    path = os.fsdecode(path)
                    look(path)
                    look(path.rpartition("/")[0] or ".")

    def refuse(*_: Any) -> None:
        raise PermissionError("no program is to be started while the backward pass is compared")

    with contextlib.suppress(ImportError):  # Windows has no such module
        import _posixsubprocess

        vars(_posixsubprocess)["fork_exec"] = refuse  # which multiprocessing calls without asking
    sys.addaudithook(hook)


def identity(found: os.stat_result) -> tuple[int, int]:
    """What two paths to the same file share."""
    return found.st_dev, found.st_ino


if __name__ == "__main__":
    serve()
