"""`tinygrad-mlp derive`: a network or a person's loss, in every format, or one line that helps."""

import json
from pathlib import Path

import numpy as np
import pytest

from tinygrad_mlp import cli

FILE = """\
import numpy as np
from tinygrad_mlp import Tensor

def loss():
    print("aside")
    w = Tensor([1.0, 2.0], True, "w")
    return (w * w).sum()

def broken():
    return [1] / 0

def number():
    return 1.0

def stops():
    raise SystemExit("enough")

def vector():
    return Tensor([1.0, 2.0], True, "w") * 2
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.py"
    path.write_text(FILE, "utf-8")
    return path


def run(capsys, *args):
    status = cli.main(["derive", *map(str, args)])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_listing_is_what_comes_by_default(capsys):
    status, out, err = run(capsys, "--sizes", "3,5,2")
    assert (status, err) == (0, "")
    assert out.startswith("forward\n    Z[1] = A[0] @ W[0] + B[0]")
    assert "dW[0] = A[0].T @ dZ[1]" in out


@pytest.mark.parametrize(
    ("args", "start"),
    [
        (("--format", "markdown"), "| | formula"),
        (("--format", "latex"), "\\begin{aligned}"),
        (("--format", "python"), "import numpy as np"),
        (("--loop",), "import numpy as np"),
        (("--worksheet",), "import numpy as np"),
    ],
)
def test_formats(capsys, args, start):
    status, out, _ = run(capsys, "--sizes", "3,5,5,2", *args)
    assert status == 0
    assert out.startswith(start)
    assert ("reversed(range" in out) == ("--loop" in args)
    assert ("dy = ..." in out) == ("--worksheet" in args)


def test_with_json_a_file_has_its_own_form_and_the_document_names_it(capsys, tmp_path):
    path = str(tmp_path / "exercise.py")
    status, out, _ = run(capsys, "--sizes", "3,2", "--json", "--worksheet", "-o", path)
    document = json.loads(out)
    assert (status, document["file"]) == (0, path)
    assert document["program"]["lines"]
    assert "dW0 = ..." in Path(path).read_text("utf-8")


def test_json_is_one_document(capsys):
    for args in (["--json"], ["--format", "json"]):
        _, out, _ = run(capsys, "--sizes", "3,2", "--batch", "4", *args)
        document = json.loads(out)
        assert document["command"] == "derive"
        assert document["program"]["batch"] == 4


@pytest.mark.parametrize(
    ("name", "start"),
    [("b.py", "import"), ("b.md", "| |"), ("b.tex", "\\begin"), ("b.json", "{"), ("b", "forward")],
)
def test_the_name_of_the_file_says_the_format(capsys, tmp_path, name, start):
    path = tmp_path / name
    status, out, _ = run(capsys, "--sizes", "3,4,2", "-o", path)
    assert (status, out.strip()) == (0, str(path))
    assert path.read_text("utf-8").startswith(start)


def test_a_written_file_runs(capsys, tmp_path):
    path = tmp_path / "backward.py"
    run(capsys, "--sizes", "3,4,2", "-o", path)
    scope: dict = {}
    exec(path.read_text("utf-8"), scope)
    W, B = [np.ones((3, 4)), np.ones((4, 2))], [np.zeros(4), np.zeros(2)]
    DW, _ = scope["backward"](W, B, np.ones((6, 3)), np.ones((6, 2)))
    assert DW[0].shape == (3, 4)


def test_the_loss_of_a_person(capsys, file):
    status, out, err = run(capsys, f"{file}:loss")
    assert status == 0
    assert "dw = w + w" in out
    assert err == "aside\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (":broken", "net.py, line 10: TypeError: unsupported operand"),
        (":number", "net.py: number() must return a Tensor, not float"),
        (":stops", "net.py, line 16: SystemExit: enough"),
        (":los", "net.py has no function los. Did you mean loss?"),
        (":zzz", "net.py has no function zzz."),
        (":vector", "scalar"),
        ("", "say which function of net.py makes the loss"),
    ],
)
def test_what_is_wrong_with_the_file_is_said_in_one_line(capsys, file, name, message):
    status, out, err = run(capsys, f"{file}{name}")
    assert (status, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_a_syntax_error_has_its_line(capsys, file):
    file.write_text("x = 1\ndef loss(:\n", "utf-8")
    _, _, err = run(capsys, f"{file}:loss")
    assert "net.py, line 2: SyntaxError" in err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "give either --sizes 3,5,2 or FILE:FUNCTION"),
        (("--sizes", "3,2", "net.py:loss"), "give either"),
        (("--sizes", "3,2", "--format", "text", "--loop"), "make Python, not text"),
        (("--sizes", "3,2", "--json", "--worksheet"), "make Python, not json"),
    ],
)
def test_wrong_use(capsys, args, message):
    status, out, err = run(capsys, *args)
    assert (status, out) == (2, "")
    assert message in err
