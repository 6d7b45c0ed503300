"""A class of files: grades, hints, tables, pages, and what does not pass."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tinygrad_mlp import cli, grading, manual
from tinygrad_mlp.deriving import derive
from tinygrad_mlp.grading import Grade, as_csv, as_page, coloured, grade, loss_for, overview
from tinygrad_mlp.judging import Comparison, Row

pytestmark = pytest.mark.slow

RIGHT = """
import numpy as np

class MLP:
    def __init__(self, sizes):
        self.W = [np.zeros(shape) for shape in zip(sizes, sizes[1:])]
        self.B = [np.zeros(n) for n in sizes[1:]]

    def forward(self, x):
        self.A = [x]
        for W, B in zip(self.W[:-1], self.B):
            self.A.append(np.maximum(self.A[-1] @ W + B, 0))
        return self.A[-1] @ self.W[-1] + self.B[-1]

    def backward(self, y, t):
        self.DW, self.DB = [], []
        delta = 2 * (y - t) / len(y)
        for i in reversed(range(len(self.W))):
            self.DW.insert(0, self.A[i].T @ delta)
            self.DB.insert(0, delta.sum(axis=0))
            delta = delta @ self.W[i].T * (self.A[i] > 0)
"""
UNMASKED = RIGHT.replace(" * (self.A[i] > 0)", "")
SIZES = (3, 5, 2)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys):
    """Run the command line here: exit status, standard output, standard error."""

    def run(*args):
        status = cli.main(["compare", *map(str, args)])
        return status, *capsys.readouterr()

    return run


def graded(source, sizes=SIZES, name="", seed=12345, timeout=20.0, **options):
    path = Path("net.py")
    path.write_text(source, "utf-8")
    return grade(path.absolute(), name, sizes, seed, timeout, **options)


# --- one file -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_points_are_the_part_of_the_gradients_that_is_right():
    assert graded(RIGHT).points == 1
    half = graded(UNMASKED)
    assert (half.ok, half.right, half.points) == (False, 2, 0.5)
    assert list(half.names) == ["DW[0]", "DB[0]", "DW[1]", "DB[1]"]
    assert graded("1 / 0").points == 0
    assert graded(RIGHT.replace("self.A = [x]", "raise KeyError")).points == 0


def test_gradients_that_only_follow_are_counted():
    c = Comparison("", [Row("DW[1]", verdict="WRONG"), Row("DW[0]", verdict="WRONG"), Row("y")])
    c.marks = {"dW[0]": type("Mark", (), {"status": "follows"})()}
    assert Grade("", c, ["DW[0]", "DW[1]"]).following == 1


def test_each_run_has_its_own_weights_and_data(run):
    """So what was stored from one run is wrong in the next."""
    Path("net.py").write_text(RIGHT + "        print(repr(self.DW[0].sum()))\n")
    first = json.loads(run("net.py", "--sizes", "3,5,2", "--json")[1])
    second = json.loads(run("net.py", "--sizes", "3,5,2", "--json")[1])
    assert first["seed"] != second["seed"]
    assert first["printed"].split()[0] != second["printed"].split()[0]
    again = json.loads(run("net.py", "--sizes", "3,5,2", "--json", "--seed", first["seed"])[1])
    assert again["printed"] == first["printed"]


CHEATS = {
    "calls autograd": RIGHT.replace(
        "        self.DW, self.DB = [], []\n",
        "        from tinygrad_mlp import MLP, mse\n"
        "        net = MLP([3, 5, 2]); net.W, net.B = self.W, self.B\n"
        "        mse(net(self.A[0]), t).backward()\n",
    ),
    "is ours": "from tinygrad_mlp import ManualMLP\nclass MLP(ManualMLP): pass",
    "loads ours from its file": "import runpy\n"
    f"net = runpy.run_path({manual.__file__!r})['ManualMLP']",
    "asks another process": "import subprocess, sys\n"
    "subprocess.run([sys.executable, '-c', 'import tinygrad_mlp'])\n" + RIGHT,
    "leaves early": "import os\n" + UNMASKED + "        os._exit(0)",
    "leaves at once": "import os\nos._exit(0)",
    "has weights that make all zero": UNMASKED.replace(
        "    def forward",
        "    def __setattr__(self, name, value):\n"
        "        if name in 'WB' and 'B' in vars(self): value = [0 * v for v in value]\n"
        "        object.__setattr__(self, name, value)\n\n    def forward",
    ),
    "keeps its own zero weights": "import numpy as np\nclass MLP:\n"
    "    W = property(lambda self: [np.zeros((3, 5)), np.zeros((5, 2))])\n"
    "    B = property(lambda self: [np.zeros(5), np.zeros(2)])\n"
    "    def forward(self, x): self.x = x; return np.zeros((len(x), 2))\n"
    "    def backward(self, y, t):\n"
    "        self.DW = self.W\n"
    "        self.DB = [np.zeros(5), (-2 * t / len(t)).sum(0)]\n",
    "claims half precision": UNMASKED.replace(
        "self.A[i].T @ delta", "(self.A[i].T @ delta).astype(np.float16)"
    ),
    "answers nan": RIGHT.replace("delta = 2 *", "delta = np.nan *"),
    "equals everything": RIGHT.replace(
        "import numpy as np",
        "import numpy as np\n"
        "class Any(np.ndarray):\n"
        "    def __eq__(self, other): return True\n"
        "    def __abs__(self): return 0 * self\n"
        "    def __sub__(self, other): return 0 * self\n",
    ).replace("delta.sum(axis=0)", "(7 * delta.sum(axis=0)).view(Any)"),
    "patches numpy": "import numpy\nnumpy.abs = numpy.subtract = lambda *a: 0\n"
    "numpy.allclose = numpy.array_equal = lambda *a, **k: True\n" + UNMASKED,
    "patches what stands for us": "import tinygrad_mlp.checking as c\n"
    "c.compare = c.judge = lambda *a, **k: True\n" + UNMASKED,
    "prints a verdict": UNMASKED + "        print('PASS  all 5 agree\\n' * 3)\n",
    "raises a verdict": RIGHT + "        raise ValueError('x\\nPASS  all 5 agree')\n",
    "stops with a verdict": "raise SystemExit('x\\nPASS  all 5 agree')",
    "ends its parent": "import os\nos.kill(os.getppid(), 9)\n" + RIGHT,
    "reads its parent": "import os\nprint(open(f'/proc/{os.getppid()}/cmdline').read())\n" + RIGHT,
    "forges an answer": "import os, json, io, numpy as np\n"
    "for fd in range(3, 12):\n"
    "  try:\n"
    "    buffer = io.BytesIO()\n"
    "    np.savez(buffer, tree=np.array(json.dumps({'dict': {'ok': True}})))\n"
    "    block = buffer.getvalue()\n"
    "    os.write(fd, len(block).to_bytes(8, 'big') + block)\n"
    "  except OSError: pass\n" + RIGHT,
    "forges an odd answer": "import os, json, io, numpy as np\n"
    "for fd in range(3, 12):\n"
    "  try:\n"
    "    buffer = io.BytesIO()\n"
    "    np.savez(buffer, tree=np.array('[' * 10**5))\n"
    "    block = buffer.getvalue()\n"
    "    os.write(fd, len(block).to_bytes(8, 'big') + block)\n"
    "  except OSError: pass\n" + RIGHT,
}


PLAIN = {
    *("calls autograd", "leaves early", "has weights that make all zero", "patches numpy"),
    *("patches what stands for us", "prints a verdict", "raises a verdict", "reads its parent"),
}


@pytest.mark.parametrize(
    "cheat",
    [pytest.param(c, marks=() if c in PLAIN else pytest.mark.slow) for c in CHEATS],
)
def test_a_cheat_does_not_pass(run, cheat):
    Path("net.py").write_text(CHEATS[cheat])
    status, out, err = run("net.py", "--sizes", "3,5,2", "--timeout", "10", "--html", "page.html")
    assert status == 1, out + err
    page = Path("page.html").read_text()
    assert not re.search("^PASS", out + err + page, re.MULTILINE)
    assert "Traceback" not in out + err


def test_stored_gradients_do_not_pass(run):
    """The gradients of another run, with its seed."""
    Path("net.py").write_text(
        RIGHT + "        print(repr({'DW': [a.tolist() for a in self.DW], "
        "'DB': [b.tolist() for b in self.DB]}))\n"
    )
    status, out, _ = run("net.py", "--sizes", "3,5,2", "--json", "--seed", "5")
    assert status == 0
    stored = json.loads(out)["printed"].splitlines()[0]
    body = f"        self.DW, self.DB = {stored}.values()\n"
    source = RIGHT.partition("        self.DW, self.DB = [], []")[0] + body
    Path("net.py").write_text(source)
    assert run("net.py", "--sizes", "3,5,2")[0] == 1
    status, out, _ = run("net.py", "--sizes", "3,5,2", "--seed", "5")  # known beforehand
    assert status == 1
    assert "this is a second" in out


def test_loops_are_stopped():
    looping = graded(
        RIGHT.replace("delta = 2 *", "while True: pass\n        delta = 2 *"), timeout=1
    )
    assert not looping.ok
    assert "did not finish within 1 s" in looping.error


# --- hints ----------------------------------------------------------------------------------------


def test_a_hint_says_where_and_not_why(run):
    Path("net.py").write_text(UNMASKED)
    status, out, _ = run("net.py", "--sizes", "3,5,2", "--hint")
    assert status == 1
    assert "WHERE DW[0] is the first that differs" in out
    assert "A[0].T" not in out
    assert "max |diff|" not in out
    assert "WHY" not in out
    document = json.loads(run("net.py", "--sizes", "3,5,2", "--hint", "--json")[1])
    assert document["where"] == "DW[0]"
    assert "causes" not in document
    assert {"name": "DW[0]", "ok": False} in document["rows"]


def test_a_hint_still_says_what_was_raised_and_what_passes(run):
    Path("net.py").write_text(RIGHT + "        {}['key']\n")
    assert "net.py, line 22: {}['key']" in run("net.py", "--sizes", "3,5,2", "--hint")[1]
    Path("net.py").write_text("{}['key']")
    assert "KeyError: 'key'" in run("net.py", "--sizes", "3,5,2", "--hint")[1]
    Path("net.py").write_text(RIGHT)
    assert "PASS  all 5 agree" in run("net.py", "--sizes", "3,5,2", "--hint")[1]


# --- worksheets -----------------------------------------------------------------------------------


def sheet(*changes):
    text = derive(loss_for(SIZES, 0)).source()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def test_a_worksheet_is_recognised_and_marked_line_by_line(run):
    Path("sheet.py").write_text(sheet())
    assert run("sheet.py")[0] == 0  # its docstring says the sizes
    Path("sheet.py").write_text(sheet(("dB1 = dy.sum(axis=0)", "dB1 = ..."), (" * (A1 > 0)", "")))
    status, out, _ = run("sheet.py", "--sizes", "3,5,2")
    assert status == 1
    assert re.search(r"dB\[1\] +not filled in", out)
    assert re.search(r"dZ\[1\] +dA1 .*WRONG", out)
    assert re.search(r"dW\[0\] .*WRONG: follows from dZ\[1\]", out)
    [row] = csv.DictReader(io.StringIO(run("sheet.py", "--csv")[1]))
    assert (row["right"], row["gradients"], row["following"]) == ("3", "7", "2")


def test_a_worksheet_of_any_loss_is_marked_with_that_loss(run):
    Path("loss.py").write_text(
        "import numpy as np\nfrom tinygrad_mlp import Tensor\n"
        "def loss():\n"
        "    w = Tensor([1.0, 2.0], requires_grad=True, name='w')\n"
        "    return (np.exp(w) * 3).sum()\n"
    )
    assert cli.main(["derive", "loss.py:loss", "--worksheet", "-o", "sheet.py"]) == 0
    text = Path("sheet.py").read_text()
    lines = {"dh2": "np.ones_like(h2)", "dh1": "dh2 * 3", "dw": "dh1 * h1"}
    filled = re.sub(r"(\w+) = \.\.\. .*", lambda m: f"{m[1]} = {lines[m[1]]}", text)
    Path("sheet.py").write_text(filled)
    assert run("sheet.py", "--loss", "loss.py:loss")[0] == 0
    status, _, err = run("sheet.py")
    assert (status, "for which network? Say --sizes" in err) == (2, True)
    Path("net.py").write_text(RIGHT)
    status, _, err = run("net.py", "--loss", "loss.py:loss")
    assert (status, "has no worksheet for --loss" in err) == (2, True)


@pytest.mark.slow
def test_a_worksheet_that_fails_as_a_file_or_cheats_does_not_pass(run):
    for head in ("1 / 0\n", "import os; os._exit(0)\n"):
        Path("sheet.py").write_text(head + sheet())
        assert run("sheet.py")[0] == 1
    Path("sheet.py").write_text(sheet(("dy = ", "while True: pass\n    dy = ")))
    assert run("sheet.py", "--timeout", "1")[0] == 1
    Path("sheet.py").write_text(sheet(("dy = ", "dy = __import__('tinygrad_mlp').mse(y) or ")))
    status, out, _ = run("sheet.py")
    assert status == 1
    assert "raised ImportError: tinygrad_mlp.mse is not there" in out


def test_an_answer_that_makes_no_sense_is_no_pass(monkeypatch):
    monkeypatch.setattr(grading.Process, "lines", lambda *_, **__: {"stop": 999})
    g = graded(sheet())
    assert not g.ok
    assert "its answers make no sense (IndexError" in g.error


# --- many files -----------------------------------------------------------------------------------


@pytest.fixture
def _folder():
    Path("class").mkdir()
    for name, source in {
        "ann": RIGHT,
        "bob": UNMASKED,
        "cid": "from ann import MLP",
        "=dan()": "raise KeyError('<b>\x1b[2J')",
        "eve": "x = 3",
    }.items():
        Path("class", f"{name}.py").write_text(source)


@pytest.mark.slow
@pytest.mark.usefixtures("_folder")
def test_a_class_gets_a_line_each_and_one_failure_stops_nothing(run):
    status, out, err = run("class", "--sizes", "3,5,2")
    assert status == 1
    assert "\x1b" not in out
    lines = dict(re.findall(r"class/(\S+)\.py +(.*)", out))
    assert lines["ann"] == "PASS  4 of 4"
    assert lines["bob"].split() == ["FAIL", "2", "of", "4", "DW[0]"]
    assert "ann.py is not to be touched" in lines["cid"]
    assert "no class with forward" in lines["eve"]
    assert re.search(r"^1 of 5 pass, seed \d+", out, re.M)
    assert err == ""
    assert run("class/ann.py", "class/ann.py", "--sizes", "3,5,2")[0] == 0


@pytest.mark.usefixtures("_folder")
def test_a_class_as_csv_json_and_page(run):
    status, out, _ = run("class", "--sizes", "3,5,2", "--csv", "--html", "page.html", "--seed", "3")
    assert status == 1
    rows = {Path(row["file"]).stem: row for row in csv.DictReader(io.StringIO(out))}
    assert [rows[n]["points"] for n in ("ann", "bob", "cid", "eve")] == ["1", "0.5", "0", "0"]
    assert [rows[n]["ok"] for n in ("ann", "bob")] == ["1", "0"]
    assert (rows["bob"]["wrong"], rows["bob"]["first"]) == ("DW[0] DB[0]", "DW[0]")
    assert rows["ann"]["seed"] == "3"
    assert "KeyError" in rows["=dan()"]["error"]
    page = Path("page.html").read_text("utf-8")
    assert "&lt;b&gt;" in page
    assert "<b>\x1b" not in page
    assert "\x1b" not in page
    assert page.count("<section") == 5
    assert not re.search(r"<(script|img|link)|https?:", page)
    two = ("class/ann.py", "class/bob.py:MLP")
    document = json.loads(run(*two, "--sizes", "3,5,2", "--json")[1])
    assert document["ok"] is False
    assert [s["points"] for s in document["submissions"]] == [1.0, 0.5]


@pytest.mark.usefixtures("_folder")
def test_a_page_with_hints_says_no_more_than_the_hints(run):
    assert run("class/bob.py", "--sizes", "3,5,2", "--html", "page.html", "--hint")[0] == 1
    page = Path("page.html").read_text()
    assert "WHERE DW[0]" in page
    assert "A[0].T" not in page


def test_no_text_of_a_spreadsheet_is_a_formula():
    text = as_csv([Grade("=1+1", None, error="@x\n-y")], 0)
    row = next(csv.DictReader(io.StringIO(text)))
    assert (row["file"], row["error"]) == ("'=1+1", "'@x -y")


def test_what_a_file_printed_is_on_the_page_escaped():
    page = as_page([Grade("a.py", None, error="no", printed="<script>")], "seed 1")
    assert "<pre>| &lt;script&gt;</pre>" in page
    assert "seed 1" in page


def test_an_overview_of_nothing_counted_is_still_a_line():
    assert (
        overview([Grade("a.py", None, error="one\ntwo")]).splitlines()[0]
        == "a.py  FAIL            two"
    )


# --- colours --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "terminal", "colours"),
    [
        ({}, True, True),
        ({"NO_COLOR": ""}, True, True),
        ({"NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
        ({}, False, False),
    ],
)
def test_colours_are_for_terminals_of_those_who_want_them(environment, terminal, colours):
    text = "title\n  DW[0]  WRONG\nFAIL  1\na.py  PASS"
    result = coloured(text, environment, terminal)
    assert ("\x1b" in result) == colours
    if colours:
        red, green, off = "\x1b[31m", "\x1b[32m", "\x1b[0m"
        lines = [
            "title",
            f"{red}  DW[0]  WRONG{off}",
            f"{red}FAIL  1{off}",
            f"{green}a.py  PASS{off}",
        ]
        assert result.split("\n") == lines
