"""A file in a process of its own: objects there as objects here, and what can go wrong between."""

import copy
import inspect
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tinygrad_mlp import compare, running, serving
from tinygrad_mlp.errors import DataError
from tinygrad_mlp.running import Process, Stopped
from tinygrad_mlp.serving import decode, encode

THING = """
import numpy as np
class Array:
    def __init__(self, a): self.a = a
    def detach(self): return self
    def numpy(self): return self.a
class Odd:
    def numpy(self): raise ValueError
class Thing:
    def __init__(self, sizes, more=1):
        self.sizes, self.more = sizes, more
        self.items = [np.float32([1, 2]), [3, 4.5], None, (True, "é")]
        self.odd = [Array(np.arange(3)), Odd(), {1}, object, {"a": np.array("b")}]
    def forward(self, x): return x * 2
    def backward(self, y, t, *, scale=1): self.grown = y + t
    def fail(self, a):
        return (
            self.no_such_thing(a))
    @property
    def broken(self): return 1 / 0
"""


@pytest.fixture
def start(tmp_path):
    """A function that runs a source text."""

    def start(source, timeout=20.0):
        path = tmp_path / "thing.py"
        path.write_text(source, "utf-8")
        return Process(path, timeout)

    return start


def test_an_object_there_is_like_an_object_here(start):
    with start(THING) as p:
        thing = p.load("", (3, 2))
        assert thing.__name__ == "Thing"
        assert (thing.sizes, thing.more) == ([3, 2], 1)
        np.testing.assert_array_equal(thing.forward(np.eye(2)), 2 * np.eye(2))
        thing.backward(np.ones(2), np.ones(2))
        np.testing.assert_array_equal(thing.grown, [2, 2])
        thing.grown = [np.zeros(3), None]
        assert thing.grown[1] is None
        assert str(inspect.signature(thing.backward)).startswith("(y, t, *, scale=")
        assert not hasattr(thing, "no_such_thing")
        assert not hasattr(thing, "broken")
        assert hasattr(thing, "items")


def test_what_comes_back_is_what_was_there_as_far_as_it_can_be_sent(start):
    with start(THING) as p:
        thing = p.load("Thing", (3, 2))
        items = thing.items
        assert items[0].dtype == np.float32
        assert items[1:] == [[3, 4.5], None, [True, "é"]]
        numbers, *rest = thing.odd
        np.testing.assert_array_equal(numbers, [0, 1, 2])
        assert rest == ["<Odd>", "<set>", "<type>", {"a": "<ndarray>"}]


def test_a_copy_is_another_object(start):
    with start(THING) as p:
        thing = p.load("", (3, 2))
        twin = copy.deepcopy(thing)
        twin.more = 5
        assert (thing.more, twin.more) == (1, 5)
        assert twin.__name__ == "Thing"


def test_an_error_there_is_an_error_here_at_the_line_of_the_file(start):
    with start(THING) as p:
        thing = p.load("", (3, 2))
        with pytest.raises(Exception, match="no attribute 'no_such_thing'") as caught:
            thing.fail(1)
        assert caught.type.__name__ == "AttributeError"
        last = caught.traceback[-1]
        assert (last.path.name, last.lineno + 1) == ("thing.py", 18)
        assert thing.more == 1  # it goes on


def test_a_cause_names_no_line_of_what_stands_here_for_a_function_there(start):
    source = (
        "import numpy as np\n"
        "def backward(W, B, x, t):\n"
        "    d = 2 * (x @ W[0] + B[0] - t)\n"
        "    return [x.T @ d], [d.sum(axis=0)]\n"
    )
    with start(source) as p:
        (cause,) = compare(p.load("", ()), sizes=(3, 2)).causes
        assert "len(y)" in cause.text
        assert (cause.line, cause.source) == ("", "")


def test_functions_factories_and_objects(start):
    source = THING + (
        "def make(sizes): return Thing(sizes, 7)\n"
        "def plain(): return Thing([1], 8)\n"
        "thing = Thing([1], 9)\n"
        "def gradients(W, B, x, t): return [x], [t]\n"
        "exec_like = min\n"
    )
    with start(source) as p:
        assert p.load("make", (3, 2)).more == 7
    with start(source) as p:
        assert p.load("plain", (3, 2)).more == 8
    with start(source) as p:
        assert p.load("thing", (3, 2)).more == 9
    with start(source) as p:
        gradients = p.load("gradients", (3, 2))
        assert gradients.__name__ == "gradients"
        assert list(inspect.signature(gradients).parameters) == ["W", "B", "x", "t"]
        assert gradients([], [], 1.5, np.ones(2))[0] == [1.5]
    with start(source) as p:
        assert p.load("exec_like", (3, 2))(2, 1) == 1  # its signature is unknown


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        ("x = (", "", "line 1: .*never closed"),
        ("", "", "it defines nothing"),
        ("", "Net", "has no Net.$"),
        ("class Net: pass", "Ned", "has no Ned. Did you mean thing.py:Net"),
        (
            "def backward(): pass\ndef gradients(): pass",
            "",
            "has backward and gradients: say which",
        ),
    ],
)
def test_what_is_not_there_is_a_data_error(start, source, name, words):
    with pytest.raises(DataError, match=words), start(source) as p:
        p.load(name, (3, 2))


def test_a_failing_file_stops_with_the_way_through_the_persons_files(start, tmp_path):
    (tmp_path / "helper.py").write_text("def f():\n    return {}['key']\n")
    with pytest.raises(Stopped) as caught, start("import helper\n\nhelper.f()") as p:
        p.load("", (3, 2))
    assert str(caught.value).splitlines() == [
        *("thing.py, line 3:", "    helper.f()"),
        *("helper.py, line 2:", "    return {}['key']"),
        "KeyError: 'key'",
    ]


def test_after_a_stop_there_is_nothing_but_the_same_stop(start):
    source = THING + "    def leave(self): import os; os._exit(3)\n"
    with start(source) as p:
        thing = p.load("Thing", (3, 2))
        for _ in range(2):
            with pytest.raises(Stopped, match="exit status 3"):
                thing.leave()
        with pytest.raises(Stopped, match="exit status 3"):
            _ = thing.more
        with pytest.raises(Stopped, match="exit status 3"):
            thing.more = 2


@pytest.mark.slow
def test_a_file_that_closes_the_pipe_and_stays_is_not_waited_for(start):
    source = "import os, time\nos.closerange(3, 30)\ntime.sleep(60)"
    begin = time.perf_counter()
    with pytest.raises(Stopped, match="before it had given"), start(source) as p:
        p.load("", (3, 2))
    assert time.perf_counter() - begin < 15


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_file_that_stops_listening_is_not_waited_for(start):
    """More than a pipe holds can then not be written."""
    with start(THING, 1.5) as p:
        p.load("Thing", (3, 2))
        p._child.send_signal(signal.SIGSTOP)
        with pytest.raises(Stopped, match=r"within 1.5 s"):
            p.ask("set", of=0, attribute="a", value=np.zeros(10**6))


def test_a_thread_that_stays_does_not_hold_up_the_end(start):
    source = (
        THING + "import threading, time\nthreading.Thread(target=time.sleep, args=[60]).start()"
    )
    begin = time.perf_counter()
    with start(source) as p:
        assert p.load("Thing", (3, 2)).more == 1
    assert time.perf_counter() - begin < 10


def test_what_is_printed_is_kept_up_to_a_limit(start):
    with start(THING + "print('first'); print('é' * 100_000)") as p:
        p.load("Thing", (3, 2))
    assert p.printed.startswith("first\né")
    assert len(p.printed.encode()) <= running.PRINTED + 3


def test_the_file_sees_itself_as_a_script_would(start):
    source = THING + (
        "import sys\nfrom pathlib import Path\n"
        "assert sys.stdin.read() == ''\n"
        "Thing.seen = [sys.argv, __file__, sys.path]\n"
    )
    with start(source) as p:
        argv, file, path = p.load("Thing", (3, 2)).seen
    assert (argv, file, path[0]) == ([str(p.path)], str(p.path), str(p.path.parent))
    command = [sys.executable, "-P", "-c", "import json, sys; print(json.dumps(sys.path))"]
    plain = subprocess.run(command, capture_output=True, text=True, check=True)
    assert path[1:] == json.loads(plain.stdout)


# --- messages -------------------------------------------------------------------------------------


def test_messages_keep_dtypes_shapes_and_odd_numbers():
    arrays = [np.zeros((0, 3), np.float32), np.array(1 + 2j), np.array([np.nan, -np.inf])]
    for before, after in zip(arrays, decode(encode(arrays)), strict=True):
        np.testing.assert_array_equal(before, after, strict=True)
    assert decode(encode({"a": 10**30, "b": -0.0, "c": ["x\ud800", ()]})) == {
        **{"a": 10**30, "b": -0.0, "c": ["x\ud800", []]}
    }


def test_a_pickle_is_not_read():
    buffer = io.BytesIO()
    np.savez(buffer, tree=np.array([{"a"}], object))
    with pytest.raises(ValueError, match="allow_pickle"):
        decode(buffer.getvalue())


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (b"", None),
        (b"123", None),
        ((5).to_bytes(8, "big") + b"1234", None),
        ((4).to_bytes(8, "big") + b"1234", b"1234"),
        (b"x" * 30, b""),
    ],
)
def test_half_a_message_is_none_and_a_foreign_one_is_empty(sent, received):
    assert serving.receive(io.BytesIO(sent)) == received


def test_the_process_runs_the_same_python(start):
    with start(THING + "import sys\nThing.python = sys.executable") as p:
        assert Path(p.load("Thing", (3, 2)).python) == Path(sys.executable)
