"""`tinygrad-mlp train` and `predict`, and the models of tables behind them."""

import csv
import io
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import interrupt, unmeasured

from tinygrad_mlp import MLP, cli, load, save
from tinygrad_mlp.data import load_digits, load_penguins

SHORT = ("--epochs", "3", "-q")
rng = np.random.default_rng(0)
X = rng.normal(size=(60, 2))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys):
    def run(*args):
        status = cli.main([str(a) for a in args])
        return status, *capsys.readouterr()

    return run


def table(file="t.csv", **columns):
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values()))
    return file


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


# --- what comes out -------------------------------------------------------------------------------


def test_a_column_of_numbers_is_learnt_and_predicted_in_its_unit(run):
    mass = 4000 + 500 * (X[:, 0] - X[:, 1])
    file = table(length=200 + 10 * X[:, 0], name=["a"] * 60, depth=X[:, 1], mass=mass)
    status, out, err = run("train", "--data", file, "--sizes", "2,16,1", "-o", "m.npz", "--jit")
    assert status == 0
    assert "m.npz: mass of t.csv, R² 0.9" in out
    assert out.count("\n") == 1
    assert "left out, since they hold text: name" in err
    assert [line.split()[1] for line in err.splitlines() if "epoch" in line] == [
        *("1", "10", "20", "30", "40", "50")
    ]
    # other columns, in another order
    table("new.csv", more=X[:, 0], depth=X[:, 1], length=200 + 10 * X[:, 0])
    status, out, err = run("predict", "m.npz", "--data", "new.csv")
    assert (status, err) == (0, "")
    rows = rows_of(out)
    assert list(rows[0]) == ["mass"]
    rest = np.array([float(row["mass"]) for row in rows]) - mass
    assert np.std(rest) < 0.3 * np.std(mass)
    assert abs(np.mean(rest)) < 50


@pytest.mark.parametrize("text", [True, False])
def test_classes_are_learnt_from_text_and_from_numbers(run, text):
    classes = (X[:, 0] > 0).astype(int)
    names = np.array(["no, never", "yes"])[classes] if text else classes
    file = table(answer=names, a=X[:, 0], b=X[:, 1])
    args = ("train", "--data", file, "--sizes", "2,8,2", "-o", "m.npz", "--target", "answer", "-q")
    status, out, err = run(*args)
    assert (status, err) == (0, "")
    assert "m.npz: answer of t.csv, " in out
    assert "% right on data it has not learnt from" in out
    rows = rows_of(run("predict", "m.npz", "--data", file)[1])
    assert list(rows[0]) == ["answer", "probability"]
    assert np.mean([row["answer"] == str(name) for row, name in zip(rows, names)]) > 0.95
    assert all(0.5 <= float(row["probability"]) <= 1 for row in rows)


def test_an_npz_holds_a_matrix_and_targets_of_several_numbers(run):
    np.savez("d.npz", x=X, t=X @ [[1, 2, 0], [0, 1, 1]])
    assert run("train", "--data", "d.npz", "--sizes", "2,9,3", "-o", "m.npz", *SHORT)[0] == 0
    status, out, _ = run("predict", "m.npz", "--data", "d.npz", "--json")
    document = json.loads(out)
    assert status == 0
    assert (document["command"], document["model"], document["data"]) == (
        "predict",
        "m.npz",
        "d.npz",
    )
    assert list(document["predictions"]) == ["t[0]", "t[1]", "t[2]"]
    assert {len(values) for values in document["predictions"].values()} == {60}
    saved = load("m.npz")
    net = MLP(saved.extra["sizes"])
    net.load_state_dict(saved.state)
    y = net((X - X.mean(axis=0)) / X.std(axis=0)).data  # about: the model knows four fifths
    assert np.corrcoef(y[:, 1], document["predictions"]["t[1]"])[0, 1] > 0.99


def test_digits_are_judged_by_the_digits_of_others(run):
    args = ("train", "--data", "digits", "--sizes", "64,32,10", "-o", "m.npz", "--jit", *SHORT)
    assert run(*args, "--json")[0] == 0
    rows = rows_of(run("predict", "m.npz", "--data", "digits")[1])
    labels = load_digits().test_labels
    assert len(rows) == 1797
    right = np.mean([int(row["t"]) == label for row, label in zip(rows, labels)])
    document = json.loads(run(*args, "--json")[1])
    assert document["history"]["val_accuracy"][-1] == right > 0.9
    assert document["sizes"] == [64, 32, 10]
    assert document["target"] == "t"
    assert document["file"] == "m.npz"
    assert len(document["history"]["loss"]) == 3


def test_penguins_are_a_table(run):
    args = ("train", "--data", "penguins", "--sizes", "3,8,1", *SHORT)
    assert run(*args, "-o", "a.npz")[0] == run(*args, "-o", "b.npz")[0] == 0
    assert Path("a.npz").read_bytes() == Path("b.npz").read_bytes()  # the seed decides
    run(*args, "-o", "b.npz", "--seed", "1")
    assert Path("a.npz").read_bytes() != Path("b.npz").read_bytes()
    rows = rows_of(run("predict", "a.npz", "--data", "penguins")[1])
    assert len(rows) == len(load_penguins().species)


def test_training_goes_on_from_a_checkpoint(run):
    args = ("train", "--data", "penguins", "--sizes", "3,8,1", "-q")
    run(*args, "-o", "whole.npz", "--epochs", "6")
    run(*args, "-o", "m.npz", "--epochs", "6", "--checkpoint", "c.npz")
    assert len(load("c.npz").extra["history"]["loss"]) == 6
    status, out, _ = run(*args, "-o", "again.npz", "--epochs", "6", "--checkpoint", "c.npz")
    assert status == 0
    assert "R²" in out
    assert Path("whole.npz").read_bytes() == Path("again.npz").read_bytes()


# --- what is wrong --------------------------------------------------------------------------------

GOOD = {"a": [1, 2, 3, 4], "b": [0.5, 1, 2, 1], "t": [0, 1, 2, 1]}


def save_npz(**arrays):
    np.savez("d.npz", **arrays)
    return "d.npz"


def raw(name, data):
    Path(name).write_bytes(data)
    return name


@pytest.mark.parametrize(
    ("make", "args", "text"),
    [
        (lambda: "nothing.csv", "--sizes 2,1", r"no file nothing\.csv"),
        (lambda: "nothing.npz", "--sizes 2,1", r"no file nothing\.npz"),
        (lambda: "file.txt", "--sizes 2,1", r"file\.txt: give digits, penguins, or a file, \.csv"),
        (lambda: raw("a.npz", b"PK"), "--sizes 2,1", r"a\.npz is no npz file, or damaged \("),
        (
            lambda: raw("a.csv", b"\xff\xff"),
            "--sizes 2,1",
            r"a\.csv is no CSV file: it is not text",
        ),
        (lambda: save_npz(y=X), "--sizes 2,1", r"must hold numbers x .*; it holds y \(60, 2\)"),
        (lambda: save_npz(x=X[0], t=X[0]), "--sizes 2,1", r"it holds x \(2,\), t \(2,\)"),
        (lambda: save_npz(x=X[:0], t=X[:0]), "--sizes 2,2", r"d\.npz has no rows"),
        (lambda: save_npz(x=X), "--sizes 2,1", r"has no column t\. There are x"),
        (
            lambda: save_npz(x=X, t=X[:9]),
            "--sizes 2,2",
            r"x has 60 rows, the shape of t is \(9, 2\)",
        ),
        (
            lambda: save_npz(x=X, t=X),
            "--sizes 2,3",
            r"ends in 3, so t .* must be 3 numbers, or a class from 0 to 2; in row 1 it is 2 numbe",
        ),
        (lambda: save_npz(x=X * np.inf, t=X), "--sizes 2,2", r"row 1: x\[:, 0\] is -?inf"),
        (lambda: table(**GOOD), "--sizes 3,1", r"begins with 3, but t\.csv has 2 inputs: a, b\."),
        (lambda: save_npz(x=X, t=X), "--sizes 3,2", r"begins with 3, but d\.npz has 2 inputs\."),
        (lambda: table(**GOOD), "--sizes 2,2", "must be 2 numbers, or a class .* row 3 it is 2"),
        (lambda: table(**GOOD), "--sizes 2,1 --target tt", r"no column tt\. Did you mean t\?"),
        (
            lambda: table(a=["x", "y"], t=[1, 2]),
            "--sizes 1,1",
            "no column of numbers to learn from",
        ),
        (
            lambda: table(a=[1, "", ""], t=[1, 2, 3]),
            "--sizes 1,1",
            r"row 2: a is nan; .*\(2 of 3 r",
        ),
        (lambda: table(a=[1, 2], t=[1, ""]), "--sizes 1,1", "row 2: t is nan"),
        (lambda: table(a=[1, 2], t=["x", "y"]), "--sizes 1,3", "has 2 classes: x, y"),
        (
            lambda: table(a=range(12), t=list("abcdefghijkl")),
            "--sizes 1,3",
            r"has 12 classes: a, b, c, d, e, f, g, h, i, \.\.\.",
        ),
        (lambda: table(a=[1], t=[1]), "--sizes 1,1", "has one row; it takes two"),
        (lambda: table(**GOOD), "--sizes 2,1 -o no/m.npz", "there is no folder no"),
    ],
)
def test_wrong_data_are_one_line_that_helps_and_write_nothing(run, make, args, text):
    status, out, err = run("train", "-o", "m.npz", "--data", make(), *args.split())
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert re.search(text, err), err
    assert not Path("m.npz").exists()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: table(a=[], b=[]), "has no rows"),
        (lambda: table(a=[1]), "has no column b. There are a."),
        (lambda: table(a=[1], b=["x"]), "the column b must hold numbers, not 'x'"),
        (lambda: table(a=[1, 2], b=[1, ""]), "row 2: b is nan"),
        (lambda: "digits", "the model takes columns by name: a, b; give a .csv"),
    ],
)
def test_wrong_data_for_a_model_are_one_line_that_helps(run, make, text):
    file = table("good.csv", **GOOD)
    run("train", "--data", file, "--sizes", "2,1", "-o", "m.npz", *SHORT)
    status, out, err = run("predict", "m.npz", "--data", make())
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert text in err


def test_a_matrix_of_another_width_or_a_table_for_a_matrix_are_refused(run):
    save_npz(x=X, t=X)
    run("train", "--data", "d.npz", "--sizes", "2,2", "-o", "m.npz", *SHORT)
    np.savez("wide.npz", x=np.ones((3, 5)))
    assert (
        "wide.npz has 5 inputs, the model takes 2."
        in run("predict", "m.npz", "--data", "wide.npz")[2]
    )
    assert "takes a matrix x" in run("predict", "m.npz", "--data", table(**GOOD))[2]


def test_what_is_no_model_is_refused(run):
    save("net.npz", MLP([2, 1]))
    for model, text in {
        "net.npz": "net.npz holds no model of tinygrad-mlp train.",
        table(**GOOD): "load: t.csv is damaged, or was never written by tinygrad_mlp.save().",
        "none.npz": "there is no file none.npz. Did you mean net.npz?",
    }.items():
        assert run("predict", model, "--data", "digits") == (2, "", f"tinygrad-mlp: {text}\n")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_the_training_without_a_traceback_or_a_file():
    root = Path(cli.__file__).parent.parent
    args = ["train", "--data", "digits", "--sizes", "64,32,10", "-o", "m.npz", "--epochs", "9999"]
    child = subprocess.Popen(
        [sys.executable, "-m", "tinygrad_mlp", *args],
        env={**unmeasured(), "PYTHONPATH": str(root)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        child.stderr.readline()  # the first epoch
        time.sleep(0.05)
        out, err = interrupt(child)
    assert child.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert list(Path().iterdir()) == []
