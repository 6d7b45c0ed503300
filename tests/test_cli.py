"""The command line as a person uses it, mistakes included."""

import builtins
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import interrupt, unmeasured

import tinygrad_mlp
from tinygrad_mlp import __main__, cli, demo, files
from tinygrad_mlp.manual import ManualMLP

ROOT = Path(__file__).parent.parent
PYTHON = [sys.executable, "-m", "tinygrad_mlp"]
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and shells of POSIX")

PNG = b"\x89PNG\r\n\x1a\n"

# In the style of the drawing: a forward pass row by row, in lists.
ROWS = """
import numpy as np

class MLP:
    def __init__(self, sizes):
        self.W = [np.zeros(shape) for shape in zip(sizes, sizes[1:])]
        self.B = [np.zeros(n) for n in sizes[1:]]

    def forward(self, x):
        self.A = [x]
        for k in range(len(self.W) - 1):
            rows = [np.maximum(0, row.dot(self.W[k]) + self.B[k]) for row in self.A[k]]
            self.A.append(rows)
        return [row.dot(self.W[-1]) + self.B[-1] for row in self.A[-1]]

    def backward(self, y, t):
        self.DW, self.DB = [], []
        delta = 2 * (y - t) / y.shape[0]
        for i in reversed(range(len(self.W))):
            self.DW.append(self.A[i].T.dot(delta))
            self.DB.append(delta.sum(axis=0))
            delta = delta.dot(self.W[i].T) * (self.A[i] > 0)
        self.DW.reverse()
        self.DB.reverse()
"""
WRONG = ROWS.replace(" / y.shape[0]", "")

FUNCTION = """
def backward(W, B, x, t):
    delta = 2 * (x @ W[0] + B[0] - t) / len(x)
    return [x.T @ delta], [delta.sum(axis=0)]
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Each test in an empty folder of its own, with short training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "EPOCHS", 2)


@pytest.fixture
def run(capsys):
    """Run the command line here: exit status, standard output, standard error."""

    def run(*args):
        status = cli.main([str(a) for a in args])
        return status, *capsys.readouterr()

    return run


def process(*args, measured=True, **kwargs):
    """Run it in a process of its own."""
    own = {"PYTHONPATH": str(ROOT), **kwargs.pop("env", {})}
    env = {**(os.environ if measured else unmeasured()), **own}
    return subprocess.Popen([*PYTHON, *args], env=env, **{"stderr": subprocess.PIPE, **kwargs})


def write(name, text):
    Path(name).write_text(text, "utf-8")
    return name


# --- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [[], ["demo"], ["draw"], ["compare"]], ids=str)
def test_help_goes_to_standard_output_and_has_examples(run, command):
    status, out, err = run(*command, "--help")
    assert (status, err) == (0, "")
    assert "examples:\n  tinygrad-mlp " in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_the_examples_of_the_help_are_accepted(command):
    examples = re.findall(
        r"^ *tinygrad-mlp (.*?)(?: [|>].*)?$", cli.COMMANDS[command].__doc__, re.M
    )
    assert len(examples) >= 2
    for example in examples:
        assert cli.parser().parse_args(example.split()).command == command


def test_version(run):
    assert run("--version") == (0, f"tinygrad-mlp {tinygrad_mlp.__version__}\n", "")


def test_no_command_shows_which_there_are(run):
    status, out, err = run()
    assert (status, out) == (2, "")
    assert all(command in err for command in cli.COMMANDS)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["comapre", "net.py"], "comapre.*Did you mean compare"),
        (["xyz"], "invalid choice: 'xyz'.*demo.*draw.*compare"),
        (["draw", "--sizes", "3,2", "--level", "ops"], "invalid choice: 'ops'"),
        (["compare", "--sizes", "3,2"], "required: FILE"),
        (["draw", "--sizes", "3"], "'3'.*at least two"),
        (["draw", "--sizes", "0,3"], "'0,3'.*from 1 on"),
        (["draw", "--sizes", "3,-1"], "'3,-1'"),
        (["draw", "--sizes", "three,two"], "'three,two'.*such as 3,5,2"),
        (["draw", "--sizes", "3,2", "--batch", "0"], "--batch: '0'.*above 0"),
        (["draw", "--sizes", "3,2", "--batch", "1.5"], "--batch: '1.5'.*whole number"),
        (["draw", "--sizes", "3,2", "--seed", "-1"], "--seed: '-1'"),
        (["draw", "--sizes", "3,2", "--sed", "1"], "unrecognized arguments: --sed"),
        (["compare", "net.py", "--sizes", "3,2", "--timeout", "nan"], "--timeout: 'nan'"),
        (["compare", "net.py", "--sizes", "3,2", "--timeout", "-1"], "--timeout: '-1'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_use_is_said_in_a_line_and_exits_with_2(run, args, words):
    status, out, err = run(*args)
    assert (status, out) == (2, "")
    assert re.search(words, err)
    assert "--help" in err
    assert len(err.splitlines()) == 2
    assert "Traceback" not in err


# --- demo -----------------------------------------------------------------------------------------


@pytest.mark.dot
def test_demo_learns_checks_and_draws(run, monkeypatch):
    monkeypatch.setattr(demo, "EPOCHS", 30)
    status, out, err = run("demo")
    assert status == 0
    accuracy = float(re.search(r"reads ([\d.]+) % correctly", out)[1])
    assert accuracy >= 96
    assert "seed 0" in out
    assert "PASS  all 7 agree" in out
    assert re.search(r"reads \d, is \d", out)
    assert "##" in out
    losses = list(map(float, re.findall(r" loss (\d\.\d+)", err)))
    assert losses == sorted(losses, reverse=True)
    assert len(losses) == 7
    files = re.findall(r"tinygrad-mlp-demo\S+", out)
    assert files == [
        f"tinygrad-mlp-demo{os.sep}{n}"
        for n in ("graph.svg", "graph.png", "play.html", "backward.py", "loss.png")
    ]
    assert sorted(map(str, Path().rglob("*.*"))) == sorted(files)
    assert "<svg" in Path(files[0]).read_text("utf-8")
    assert all(Path(file).read_bytes().startswith(PNG) for file in (files[1], files[4]))
    assert "dW[1] = A[1].T @ dy" in out
    scope = {}
    exec(Path(files[3]).read_text("utf-8"), scope)
    shapes = [(2, 4), (4, 1)], [(4,), (1,)], [(7, 2), (7, 1)]
    W, B, (x, t) = ([np.ones(s) for s in group] for group in shapes)
    DW, DB = scope["backward"](W, B, x, t)
    assert [g.shape for g in DW + DB] == shapes[0] + shapes[1]
    assert max(map(len, out.splitlines())) <= 88


@pytest.mark.slow
def test_demo_reads_the_digits_of_others_whatever_the_seed(monkeypatch):
    monkeypatch.setattr(demo, "EPOCHS", 30)
    digits = demo.load_digits()
    accuracies = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        net = demo.MLP(demo.SIZES, rng=rng, dtype=np.float32)
        start = time.process_time()
        history = demo.learn(net, digits, rng, quiet=True)
        assert time.process_time() - start < 2 * 5  # on two cores, of a shared machine
        assert len(history["loss"]) == 30
        accuracies.append(np.mean(demo.guess(net, digits.test_images) == digits.test_labels))
    assert np.median(accuracies) >= 0.965


@pytest.mark.slow
@pytest.mark.dot
def test_demo_as_json_is_one_document_and_the_seed_decides(run):
    status, out, err = run("demo", "--json", "-q", "-o", "there", "--seed", "3")
    document = json.loads(out)
    assert (status, err) == (0, "")
    assert document["seed"] == 3
    assert document["comparison"]["ok"] is True
    assert len(document["loss"]) == document["epochs"] == 2
    assert 0.5 < document["accuracy"] < 1
    assert [Path(f).exists() for f in document["files"]] == [True] * 5
    again = json.loads(run("demo", "--json", "-q", "-o", "there", "--seed", "3")[1])
    other = json.loads(run("demo", "--json", "-q", "-o", "there", "--seed", "4")[1])
    assert again["loss"] == document["loss"] != other["loss"]


def test_demo_without_a_renderer_leaves_dot_and_one_line(run, monkeypatch):
    from tinygrad_mlp import rendering

    monkeypatch.setattr(rendering, "find_pure", lambda: None)
    monkeypatch.setattr(rendering, "find_system", lambda: None)
    status, out, err = run("demo")
    assert status == 0
    assert f"tinygrad-mlp-demo{os.sep}graph.dot" in out
    assert ".svg" not in out
    assert Path("tinygrad-mlp-demo/graph.dot").read_text("utf-8").startswith("digraph")
    [line] = [line for line in err.splitlines() if "pip install" in line]
    assert "tinygrad-mlp[render]" in line


def test_demo_without_the_package_graphviz_draws_nothing_and_says_so(run, monkeypatch):
    real = builtins.__import__

    def without(name, globals=None, locals=None, fromlist=(), level=0):
        if name == "graphviz" or (level and name.endswith("rendering")):
            raise ImportError(name)
        return real(name, globals, locals, fromlist, level)

    monkeypatch.setattr(builtins, "__import__", without)
    status, out, err = run("demo")
    assert status == 0
    assert "PASS" in out
    assert "pip install graphviz" in err
    assert list(Path("tinygrad-mlp-demo").iterdir()) == []


@pytest.mark.slow
def test_demo_without_matplotlib_and_tqdm(run, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    status, out, err = run("demo")
    assert status == 0
    assert "loss.png" not in out
    assert "pip install matplotlib" in err
    assert "epoch  1" in err
    assert run("demo", "-q")[2] == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.slow
def test_demo_on_a_terminal_has_a_progress_bar(run, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert run("demo")[0] == 0
    bar = terminal.getvalue()
    assert "100%" in bar
    assert re.search(r" loss 0\.\d+, val_loss 0\.\d+, val_accuracy 0\.\d+", bar)


@pytest.mark.slow
def test_demo_fails_if_the_gradients_differ(run, monkeypatch):
    class Wrong(ManualMLP):
        def backward(self, y, t):
            super().backward(y, t)
            self.DB[0] = -self.DB[0]

    monkeypatch.setattr(demo, "ManualMLP", Wrong)
    status, out, _ = run("demo", "-q")
    assert status == 1
    assert "FAIL  1 of 7 differ" in out


def test_demo_into_a_file_is_refused_before_any_work(run):
    write("file", "kept")
    status, out, err = run("demo", "-o", "file")
    assert (status, out) == (2, "")
    assert err == "tinygrad-mlp: file is a file; -o names a folder.\n"
    assert Path("file").read_text() == "kept"


def test_the_first_that_is_misread_is_shown_if_there_is_one():
    digits = demo.load_digits()
    read = digits.test_labels.copy()
    assert ", is" not in demo.sample(digits, read)
    read[5] = (read[5] + 1) % 10
    assert f"reads {read[5]}, is {digits.test_labels[5]}" in demo.sample(digits, read)
    captions = demo.sample(digits, read).splitlines()[-1]
    assert captions.count("reads") == 4
    assert captions.count(", is") == 1


# --- draw -----------------------------------------------------------------------------------------


def test_draw_prints_dot_and_says_what_it_drew(run):
    status, out, err = run("draw", "--sizes", "3,5,2", "--batch", "2", "--seed", "7")
    assert status == 0
    assert out.startswith("digraph")
    assert all(name in out for name in ("W[0]", "dW[0]", "B[1]", "2×3"))
    assert err == "MLP([3, 5, 2]), batch 2, seed 7\n"
    assert run("draw", "--sizes", "3,5,2", "--batch", "2", "--seed", "7", "-q") == (0, out, "")
    assert run("draw", "--sizes", "3,5,2", "--batch", "2", "--seed", "8", "-q")[1] != out


@pytest.mark.dot
@pytest.mark.parametrize(
    ("suffix", "start"), [("svg", b"<?xml"), ("png", PNG), ("dot", b"digraph")]
)
def test_draw_writes_what_the_suffix_says(run, suffix, start):
    status, out, _ = run("draw", "--sizes", "3,2", "-o", f"net.{suffix}")
    assert (status, out) == (0, f"net.{suffix}\n")
    assert Path(out.strip()).read_bytes().startswith(start)


def test_draw_as_json(run):
    status, out, err = run("draw", "--sizes", "3,2", "--json")
    document = json.loads(out)
    assert (status, err) == (0, "")
    assert document["dot"].startswith("digraph")
    assert (document["sizes"], document["batch"], document["seed"]) == ([3, 2], 3, 0)
    assert json.loads(run("draw", "--sizes", "3,2", "--json", "-o", "n.dot")[1])["file"] == "n.dot"


LOSS = """
from tinygrad_mlp import Tensor

def loss():
    w = Tensor([1.0, 2.0], True, "w")
    return (w * w).sum()
"""


def test_draw_the_loss_of_a_person_in_either_direction_and_level(run):
    write("net.py", LOSS)
    status, out, err = run("draw", "net.py:loss", "--direction", "LR", "--level", "op")
    assert (status, err) == (0, "")
    assert "rankdir=LR" in out
    assert "dw" in out  # the gradients of one pass, though none has been run
    assert "dw" not in run("draw", "net.py:loss", "--show", "values")[1]
    assert "sizes" not in json.loads(run("draw", "net.py:loss", "--json")[1])


def test_draw_folds_layers_and_leaves_open_what_is_asked_for(run):
    deep = ("draw", "--sizes", "2,2,2,2,2,2", "-q")
    out = run(*deep, "--level", "layer")[1]
    assert "layer 0..3" in out
    assert "dZ[2] = " not in out
    assert "dZ[2] = " in run(*deep, "--expand", "layer 1")[1]
    status, _, err = run(*deep, "--expand", "layer 9")
    assert status == 2
    assert "nothing here is called that" in err


def test_draw_opens_what_it_wrote(run, monkeypatch):
    opened = []
    monkeypatch.setattr(cli.webbrowser, "open", opened.append)
    assert run("draw", "--sizes", "3,2", "-o", "net.dot", "--open")[0] == 0
    assert opened == [Path("net.dot").resolve().as_uri()]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "draw: give either --sizes 3,5,2 or FILE:FUNCTION"),
        (("--sizes", "3,2", "net.py:loss"), "draw: give either"),
        (("net.py",), r"draw: say which function of net\.py makes the loss"),
        (("--sizes", "3,2", "--open"), "draw: --open needs a file"),
    ],
)
def test_draw_says_what_is_missing(run, args, words):
    write("net.py", LOSS)
    status, out, err = run("draw", *args)
    assert (status, out) == (2, "")
    assert re.match(f"tinygrad-mlp: {words}", err)


@pytest.mark.parametrize(
    ("output", "words"),
    [("net.gif", r"suffix.*\.svg"), ("net", "suffix"), ("none/net.svg", "no folder none")],
)
def test_draw_says_what_is_wrong_with_the_output(run, output, words):
    status, out, err = run("draw", "--sizes", "3,2", "-o", output)
    assert (status, out) == (2, "")
    assert re.match(f"tinygrad-mlp: .*{words}", err)
    assert list(Path().iterdir()) == []


def test_a_network_that_does_not_fit_in_memory_is_refused(run):
    status, _, err = run("draw", "--sizes", "1000000000,1000000000")
    assert status == 2
    assert "not enough memory" in err


def test_what_the_system_refuses_is_said(run, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device", "net.svg")

    monkeypatch.setitem(cli.COMMANDS, "draw", full)
    status, _, err = run("draw", "--sizes", "3,2")
    assert status == 2
    assert err == "tinygrad-mlp: net.svg: No space left on device.\n"


# --- compare: right and wrong ---------------------------------------------------------------------


def test_compare_passes_the_code_of_the_drawing_and_notes_the_lists(run):
    write("net.py", ROWS)
    status, out, err = run("compare", "net.py", "--sizes", "3,5,5,2")
    assert status == 0
    assert "PASS  all 7 agree" in out
    assert "lists of rows were made arrays" in out
    assert "net.py, line 18: delta" in out  # their line, not one of ours
    assert "running.py" not in out
    assert re.search(r"net.py, seed (\d+) \(--seed \1 repeats it\)\n$", out)
    assert err == ""


def test_compare_fails_wrong_gradients(run):
    write("net.py", WRONG)
    status, out, _ = run("compare", "net.py:MLP", "--sizes", "3,5,5,2")
    assert status == 1
    assert "FAIL  6 of 7 differ" in out


def test_compare_takes_a_function(run):
    write("f.py", FUNCTION)
    assert run("compare", "f.py", "--sizes", "3,2")[0] == 0
    write("f.py", FUNCTION.replace("2 *", "3 *"))
    assert run("compare", "f.py:backward", "--sizes", "3,2")[0] == 1


def test_compare_as_json_is_one_document(run):
    write(
        "net.py",
        ROWS.replace("self.DW, self.DB = [], []", "print('{}'); self.DW, self.DB = [], []"),
    )
    status, out, err = run("compare", "net.py", "--sizes", "3,5,2", "--json", "-q", "--seed", "5")
    document = json.loads(out)
    assert (status, err) == (0, "")
    assert document["ok"] is True
    assert (document["seed"], document["file"]) == (5, "net.py")
    assert {row["name"] for row in document["rows"]} == {"y", "DW[0]", "DW[1]", "DB[0]", "DB[1]"}
    assert "{}" in document["printed"]
    write("net.py", "import sys; sys.exit(0)")
    status, out, _ = run("compare", "net.py", "--sizes", "3,5,2", "--json")
    document = json.loads(out)
    assert (status, document["ok"]) == (1, False)
    assert "SystemExit" in document["error"]


def test_compare_finds_what_an_earlier_call_left_behind(run):
    """One object for all calls: lists that grow are a mistake of the second."""
    kept = ROWS.replace("self.DW, self.DB = [], []", "pass").replace(
        "self.B = [np.zeros(n) for n in sizes[1:]]",
        "self.B = [np.zeros(n) for n in sizes[1:]]; self.DW, self.DB = [], []",
    )
    write("net.py", kept)
    assert run("compare", "net.py", "--sizes", "3,5,2")[0] == 1


def test_compare_makes_nan_a_failure_and_json_of_it(run):
    write("net.py", ROWS.replace("delta = 2 *", "delta = np.nan *"))
    status, out, _ = run("compare", "net.py", "--sizes", "3,5,2", "--json")
    assert status == 1
    assert "NaN" not in out
    assert json.loads(out)["ok"] is False


# --- compare: files that cannot be compared -------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("nett.py", "there is no file nett.py. Did you mean net.py"),
        ("zzzzzz.txt", "there is no file zzzzzz.txt.$"),
        ("none/net.py", "there is no folder none"),
        ("empty", "the folder empty has no Python files"),
        ("net.py:sizes", "net.py has no sizes"),
        ("net.py:MPL", "net.py has no MPL. Did you mean net.py:MLP"),
        ("net.py:xyz", "net.py has no xyz.$"),
        ("broken.py", "broken.py, line 1: .*never closed"),
        ("zero.py", "zero.py.*null bytes"),
        ("two.py", "two.py has One and Two: say which, as in two.py:One"),
        ("other.py", "no class with forward and backward.*it has helper, Half"),
        ("empty.py", "no class with forward.*it defines nothing"),
        ("other.py:Half", "Half is none of the forms"),
        ("other.py:number", "number is none of the forms"),
        ("odd.py", "cannot be called as backward.y, t"),
        ("transposed.py", "for the transpose"),
    ],
)
def test_compare_says_in_a_line_what_there_is_not(run, file, words):
    write("net.py", ROWS)
    Path("empty").mkdir()
    write("broken.py", "f(")
    write("zero.py", "a = 1\0")
    both = "forward = backward = lambda self, *args: None"
    write("two.py", f"class One:\n  {both}\nclass Two:\n  {both}")
    write("other.py", "def helper(): pass\nclass Half:\n  def forward(self, x): pass\nnumber = 3")
    write("empty.py", "from math import sin")
    write("odd.py", ROWS.replace("backward(self, y, t)", "backward(self, t)"))
    write("transposed.py", ROWS.replace("zip(sizes, sizes[1:])", "zip(sizes[1:], sizes)"))
    status, out, err = run("compare", file, "--sizes", "3,5,2")
    assert (status, out) == (2, "")
    assert re.match(f"tinygrad-mlp: .*{words}", err)
    assert len(err.splitlines()) == 1


def test_a_colon_in_a_file_name_is_no_name_in_the_file():
    write("a:b", "")
    assert files.located("a:b") == (Path("a:b"), "")
    write("net.py", "")
    assert files.located("net.py") == (Path("net.py"), "")
    assert files.located("net.py:MLP") == (Path("net.py"), "MLP")
    assert files.located(f"{Path('net.py').absolute()}:MLP")[1] == "MLP"


# --- compare: files that do not want to be compared -----------------------------------------------

FORGED = 'print("PASS  all 7 agree"); print(\'{"ok": true}\'); '


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("1 / 0", "bad.py, line 1:\n +1 / 0\n +ZeroDivisionError: division by zero\n"),
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        (FORGED + "import sys; sys.exit(0)", "SystemExit: 0"),
        (FORGED + "import os; os._exit(0)", r"before it had given an answer \(exit status 0\)"),
        (FORGED + "raise KeyboardInterrupt", "KeyboardInterrupt"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
            r"exit status -15",
        ),
        (
            "import atexit, os\natexit.register(os._exit, 0)\n" + WRONG,
            "FAIL  6 of 7 differ",
        ),
        (WRONG + "        import sys; sys.exit(0)", "SystemExit: 0 .bad.py, line 25: import sys"),
        (WRONG + "        import os; os._exit(0)", "before it had given an answer"),
        (WRONG + "        raise BaseException('no')", "BaseException: no .bad.py, line 25"),
        (ROWS.replace("self.B = [np", "1 / 0; self.B = [np"), "line 7:\n.*\n +ZeroDivisionError"),
        (
            "import numpy, tinygrad_mlp.checking as c\nc.compare = lambda *a, **k: True\n"
            "numpy.array_equal = numpy.allclose = lambda *a, **k: True\n" + WRONG,
            "FAIL  6 of 7 differ",
        ),
        (
            "import numpy\nnumpy.savez = print\n" + ROWS,
            "before it had given an answer|cannot be read",
        ),
        (
            "import os\nfor fd in range(3, 12):\n  try: os.write(fd, b'x' * 8 + b'PASS')\n"
            "  except OSError: pass\n" + ROWS,
            "cannot be read",
        ),
        (
            "import os\nfor fd in range(3, 12):\n"
            "  try: os.write(fd, (4).to_bytes(8, 'big') + b'PASS')\n"
            "  except OSError: pass\n" + ROWS,
            "cannot be read",
        ),
        ("class MLP:\n  W = B = forward = backward = None", "no class with forward"),
        (ROWS.replace("self.DW.reverse()", "self.DW = 'PASS'"), "missing"),
        (ROWS.replace("self.DW.reverse()", "self.DW = {1: 2}"), "missing"),
        (ROWS.replace("self.DW.reverse()", "self.DW = [None] * 3"), "missing"),
        (ROWS.replace("self.DW.reverse()", "self.DW = [self] * 3"), "WRONG"),
        (ROWS.replace("self.DW.reverse()", "self.DW = [1]; self.DW[0] = self.DW"), "missing"),
    ],
)
def test_no_trick_passes(run, source, words):
    write("bad.py", source)
    status, out, err = run("compare", "bad.py", "--sizes", "3,5,5,2", "--timeout", "3")
    assert status in (1, 2)
    assert not re.search("^PASS", out, re.MULTILINE)
    assert re.search(words, out + err)
    assert "Traceback" not in out


def test_what_a_file_prints_is_shown_as_its_own(run):
    write("net.py", "print('PASS\\x1b[2J')\nfor i in range(30): print(i)\n" + WRONG)
    status, out, err = run("compare", "net.py", "--sizes", "3,5,5,2")
    assert status == 1
    assert "PASS" not in out
    assert "net.py printed:\n  | PASS?[2J\n  | 0\n" in err
    assert "  | ... and 11 more lines" in err
    assert "\x1b" not in err
    assert run("compare", "net.py", "--sizes", "3,5,5,2", "-q")[2] == ""


def test_a_file_has_no_input_and_its_own_arguments_and_neighbours(run):
    write("neighbour.py", "factor = 2")
    write("data.py", "raise Exception('not this one')")
    source = ROWS.replace("2 * (y", "neighbour.factor * (y")
    head = "import sys, neighbour\nassert sys.stdin.read() == '' and len(sys.argv) == 1\n"
    write("net.py", head + source)
    assert run("compare", "net.py", "--sizes", "3,5,2")[:1] == (0,)


def test_a_file_that_never_ends_is_stopped(run):
    write("loop.py", "print('before the loop')\nwhile True: pass\n")
    start = time.perf_counter()
    status, out, err = run("compare", "loop.py", "--sizes", "3,2", "--timeout", "1")
    assert status == 1
    assert time.perf_counter() - start < 10
    assert "loop.py did not finish within 1 s" in out
    assert "FAIL" in out
    assert "before the loop" in err


def gone(pid):
    """Whether there is no such process any more, or only its remains, within five seconds."""
    for _ in range(50):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


@pytest.mark.slow
def test_a_file_that_prints_for_ever_is_stopped_too(run):
    write("loud.py", "while True: print('loud ' * 100)")
    status, _, err = run("compare", "loud.py", "--sizes", "3,2", "--timeout", "1")
    assert status == 1
    assert len(err) < 10_000


# --- terminals and pipes --------------------------------------------------------------------------


@POSIX
@pytest.mark.parametrize("args", [["draw", "--sizes", "9,99,9"], ["--help"], ["draw", "--help"]])
def test_a_closed_pipe_is_quiet(args):
    reader, writer = os.pipe()
    os.close(reader)
    child = process(*args, stdout=writer)
    os.close(writer)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 0
    assert b"Error" not in err
    assert b"Traceback" not in err


@pytest.mark.slow
@POSIX
def test_a_closed_pipe_makes_no_pass_of_a_failure():
    write("net.py", WRONG)
    reader, writer = os.pipe()
    os.close(reader)
    child = process("compare", "net.py", "--sizes", "3,5,2", stdout=writer)
    os.close(writer)
    assert child.communicate(timeout=60)[1] == b""
    assert child.returncode == 1


@POSIX
def test_standard_output_may_be_closed():
    command = f'exec "{sys.executable}" -m tinygrad_mlp draw --sizes 3,2 >&- 2>&-'
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run(command, shell=True, env=env, check=False).returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux")
@pytest.mark.parametrize(
    ("args", "stream", "status"),
    [
        (["derive", "--sizes", "2,1"], "stdout", 2),
        (["--help"], "stdout", 2),
        (["derive", "no.py:loss"], "stderr", 2),
        (["draw", "--sizes", "2,1"], "stderr", 0),
    ],
)
def test_a_full_disk_is_told_by_the_status(args, stream, status):
    with open("/dev/full", "wb") as full:
        child = process(*args, **{"stdout": subprocess.DEVNULL, stream: full})
        err = child.communicate(timeout=60)[1] or b""
    assert child.returncode == status
    assert b"Traceback" not in err
    assert (b"No space left" in err) == (stream == "stdout" and args != ["--help"])


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_console_of_any_encoding_will_do(encoding):
    child = process(
        *("draw", "--sizes", "3,2"),
        env={"PYTHONIOENCODING": encoding},
        stdout=subprocess.PIPE,
    )
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert out.decode(encoding).startswith("digraph")


@POSIX
def test_ctrl_c_ends_the_demo_without_a_traceback_or_half_a_file():
    child = process("demo", measured=False, stdout=subprocess.PIPE, env={"PYTHONUNBUFFERED": "1"})
    assert b"epoch  1" in child.stderr.readline()
    _, err = interrupt(child)
    assert child.returncode == 130
    assert b"Traceback" not in err
    assert [path.name for path in Path("tinygrad-mlp-demo").iterdir()] == []


def test_ctrl_c_in_a_function_that_makes_the_loss_ends_quietly(run):
    write("slow.py", "def loss():\n    raise KeyboardInterrupt\n")
    assert run("draw", "slow.py:loss") == (130, "", "")


@POSIX
def test_ctrl_c_ends_a_comparison_and_the_file():
    write("loop.py", "import os\nopen('pid', 'w').write(str(os.getpid()))\nwhile True: pass")
    args = ("compare", "loop.py", "--sizes", "3,2")
    child = process(*args, measured=False, stdout=subprocess.PIPE)
    for _ in range(600):
        if Path("pid").exists() and Path("pid").read_text():
            break
        time.sleep(0.1)
    _, err = interrupt(child)
    assert child.returncode == 130
    assert b"Traceback" not in err
    assert gone(int(Path("pid").read_text()))


def test_ctrl_c_while_the_command_line_is_loaded_leaves_no_traceback(monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", interrupted)
    assert __main__.main() == 130


def test_the_module_and_the_command_are_the_same():
    child = process("--version", stdout=subprocess.PIPE)
    assert child.communicate(timeout=60)[0].decode().split()[1] == tinygrad_mlp.__version__
