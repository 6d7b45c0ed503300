"""A few cases of each area of fuzz.py, and what it has found."""

import re
import warnings
from pathlib import Path

import fuzz
import numpy as np
import pytest

from tinygrad_mlp import (
    MLP,
    DataError,
    RenderError,
    ShapeError,
    Tensor,
    cli,
    derive,
    draw,
    load,
    mse,
    save,
    scope,
)
from tinygrad_mlp.modelling import learn, load_model

FEW = {"graphs": 4, "shapes": 150, "indices": 100, "names": 6, "arguments": 40}
FEW |= {"functions": 60, "compiled": 3, "pictures": 3, "passes": 5, "verdicts": 2}
FEW |= {"tables": 15, "archives": 12, "programs": 3}
MANY = 25


def cases(area, stop, start=0):
    for seed in range(start, stop):
        fuzz.once(area, seed)


@pytest.mark.dot
@pytest.mark.parametrize("area", list(fuzz.AREAS))
def test_a_few_random_cases(area):
    cases(area, FEW[area])


@pytest.mark.dot
@pytest.mark.slow
@pytest.mark.parametrize("area", list(fuzz.AREAS))
def test_more_random_cases(area):
    cases(area, MANY * FEW[area], FEW[area])


@pytest.fixture
def run(capsys):
    """Run the command line in a folder with a few files: exit status, output, errors."""
    with fuzz.workplace():
        yield lambda *args: (cli.main([str(a) for a in args]), *capsys.readouterr())


# --- that the fuzzers can fail --------------------------------------------------------------------


def test_a_wrong_gradient_is_found(monkeypatch):
    rules = fuzz.PRIMITIVES[np.tanh]
    monkeypatch.setitem(
        fuzz.PRIMITIVES, np.tanh, tuple(lambda g, y, a, r=r: 1.02 * r(g, y, a) for r in rules)
    )
    with pytest.raises(fuzz.Found, match=r"slope: .*, by differences"):
        cases("graphs", 4)


def test_a_traceback_of_the_command_line_is_found(monkeypatch):
    monkeypatch.setitem(cli.COMMANDS, "draw", lambda _: 1 / 0)
    with pytest.raises(fuzz.Found, match="ZeroDivisionError"):
        fuzz.called(["draw"])


def test_a_value_that_is_not_numpys_is_found(monkeypatch):
    monkeypatch.setattr(fuzz, "ALL_STEPS", {np.sin: lambda a, _: np.sin(a) + hasattr(a, "op")})
    with pytest.raises(AssertionError, match="sin of "):
        cases("shapes", 20)


def test_a_wrong_second_derivative_is_found(monkeypatch):
    rules = fuzz.PRIMITIVES[np.matmul]
    plain = lambda a: getattr(a, "_data", a)  # noqa: E731
    cut = tuple(lambda g, y, a, b, r=r: r(g, y, plain(a), plain(b)) for r in rules)
    monkeypatch.setitem(fuzz.PRIMITIVES, np.matmul, cut)
    monkeypatch.setattr(fuzz, "CALLS", {"products": fuzz.CALLS["products"]})
    with pytest.raises(fuzz.Found, match="second derivative"):
        cases("functions", 40)


def test_a_program_that_is_not_the_graph_is_found(monkeypatch):
    monkeypatch.setattr(fuzz, "jit", lambda f, _: lambda x: f(Tensor(x + 1e-3, name="x")).data)
    with pytest.raises(AssertionError, match=r"jit of .*: loss"):
        cases("compiled", 3)


@pytest.mark.parametrize("area", ["passes", "verdicts"])
def test_a_verdict_that_is_always_the_same_is_found(area, monkeypatch):
    compare = fuzz.compare
    for ok, words in ((True, "not found|no pass|graph"), (False, "a false alarm")):

        def answer(*args, ok=ok, **how):
            report = compare(*args, **how)
            return type(
                "Report",
                (),
                {
                    "ok": ok,
                    "wrong": [],
                    "__str__": lambda _: "",
                    "to_dict": report.to_dict,
                },
            )()

        monkeypatch.setattr(fuzz, "compare", answer)
        with pytest.raises(fuzz.Found, match=words):
            cases(area, 12)


# --- what they found: NumPy's functions -----------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda a: np.convolve(a, [1.0, 2.0]),
        lambda a: np.repeat(a, 2, axis=-1),
        lambda a: np.take(a, [0, -1, 0], axis=0),
        lambda a: np.resize(a[None][:0], (2, 3)),
        lambda a: np.full_like(np.ones((2, 2), np.float32), a) if type(a) is float else a,
    ],
)
def test_a_number_has_one_axis_where_numpy_says_so(f):
    t = Tensor(1.5, True)
    y = f(t)
    np.testing.assert_array_equal(y.data, f(np.float64(1.5)))
    y.sum().backward()
    assert t.grad.shape == ()


def test_full_like_keeps_the_dtype():
    t = Tensor([1, 2])
    y = np.full_like(t, 2.5)
    np.testing.assert_array_equal(y.data, np.full_like(t.data, 2.5), strict=True)


def test_differences_of_truth_values_are_whether_they_differ():
    t = Tensor([True, False, False])
    np.testing.assert_array_equal(np.diff(t).data, np.diff(t.data), strict=True)


@pytest.mark.parametrize("f", [np.median, lambda a: np.quantile(a, 0.5)])
def test_there_is_no_median_of_nothing(f):
    with pytest.raises(ShapeError, match=r"quantile: w \(0,\) is empty along axis None"):
        f(Tensor(np.zeros(0), True, "w"))


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize(("n", "k"), [(2, 3), (3, 2), (1, 4), (2, 5), (5, 2), (4, 4)])
def test_a_correlation_with_something_longer_is_that_of_numpy(n, k, mode):
    a, v = np.arange(1.0, n + 1), np.arange(2.0, k + 2) ** 2
    t = Tensor(a, True, "a")
    y = np.correlate(t, v, mode)
    np.testing.assert_array_equal(y.data, np.correlate(a, v, mode))
    y[0].backward()
    np.testing.assert_allclose(t.grad @ a, y.data[0])  # it is linear


def test_no_difference_is_the_array_as_it_is():
    t = Tensor([1.0, 2.0], True)
    np.testing.assert_array_equal(np.diff(t, 0, append=5.0).data, np.diff(t.data, 0, append=5.0))
    with pytest.raises(ShapeError, match=r"diff: n=-1: how often, 0 or more"):
        np.diff(t, -1)


@pytest.mark.parametrize("f", [np.var, np.nanvar])
@pytest.mark.parametrize("ddof", [1, 2, 3])
def test_a_variance_of_too_few_is_that_of_numpy(f, ddof):
    a = np.array([[1.0, 3.0]])
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(
            f(Tensor(a, True), axis=1, ddof=ddof).data, f(a, axis=1, ddof=ddof)
        )


def test_what_divides_by_zero_in_the_graph_does_so_in_its_derivation():
    a = Tensor(np.ones((1, 3)), True, "a")
    with np.errstate(all="ignore"):
        loss = np.var(a, axis=0, ddof=1).sum()
        assert np.isnan(derive(loss).values()["da"]).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_number_that_is_scattered_has_the_dtype_of_its_array(dtype):
    a = Tensor(np.arange(3.0, dtype=dtype), True, "a")
    found = derive(a[1] * 2.5).values()["da"]
    np.testing.assert_array_equal(found, np.array([0, 2.5, 0], dtype), strict=True)


# --- what they found: pictures --------------------------------------------------------------------


@pytest.mark.dot
@pytest.mark.parametrize("seed", [4, 7, 25])
def test_groups_that_data_leave_and_enter_again_are_drawn(seed):
    """Graphviz gives up on some of them (init_rank, routesplines)."""
    fuzz.once("pictures", seed)


@pytest.mark.parametrize("name", ["..", ".", "a..b", "/.."])
def test_a_scope_of_dots_is_a_scope_and_nothing_is_none(name):
    with scope(name):
        loss = mse(Tensor(np.ones((2, 1)), True, "w") * 2.0, np.ones((2, 1)))
    assert draw(loss, "layer", expand=name).source
    with pytest.raises(RenderError, match="nothing here is called that"):
        draw(loss, "layer", expand="")


# --- what they found: files -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["\ud800", "\ud800\udfff", "a\0b", "a\\b", "\u202e", "a\nb", ""])
def test_any_name_is_saved(name, tmp_path):
    """An entry of a zip cannot have any name, a parameter can."""
    save(tmp_path / "a.npz", {name: np.ones(2), "w": np.zeros(1)}, **{"x": {name: np.zeros(3)}})
    state, extra = load(tmp_path / "a.npz")
    assert (list(state), list(extra["x"])) == ([name, "w"], [name])
    assert (state[name].shape, extra["x"][name].shape) == ((2,), (3,))


def test_two_paths_of_one_text_are_two_entries(tmp_path):
    save(tmp_path / "a.npz", {}, **{"a/b": np.zeros(1), "a": {"b": np.ones(2)}})
    extra = load(tmp_path / "a.npz").extra
    assert (extra["a/b"].shape, extra["a"]["b"].shape) == ((1,), (2,))


def test_a_file_that_cannot_be_written_is_named_and_not_the_one_beside_it(tmp_path):
    with pytest.raises(OSError, match=re.escape(f"{str(tmp_path)!r}")):
        save(tmp_path, MLP([2, 1], rng=0))


X, T = np.arange(16.0).reshape(8, 2), np.arange(8) % 2


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": X[:1], "t": T[:1]}, "has one row; it takes two"),
        ({"x": X, "t": T[:0]}, r"x has 8 rows, the shape of t is \(0,\)"),
        ({"x": X, "t": np.zeros((8, 0))}, r"x has 8 rows, the shape of t is \(8, 0\)"),
        ({"x": X, "t": np.float64(1)}, r"x has 8 rows, the shape of t is \(\)"),
        ({"x": X, "t": T.astype("M8[s]")}, r"t must be numbers, or a column of text, not datetime"),
        ({"x": X, "t": T.astype(complex)}, "t must be numbers, or a column of text, not complex"),
        ({"x": X, "t": np.array([["a", "b"]] * 8)}, r"a column of text, not <U1 \(8, 2\)"),
    ],
)
def test_targets_that_cannot_be_learnt_are_said(arrays, words, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=words):
        learn(str(tmp_path / "a.npz"), (2, 2), epochs=1)


def test_odd_names_of_columns_and_classes_are_quoted(tmp_path):
    (tmp_path / "a.csv").write_text('"a\nb",,t\n1,2,"c\nd"\n2,3,e\n', "utf-8")
    with pytest.raises(DataError, match=r"no column zz\. There are 'a\\nb', '', t\."):
        learn(str(tmp_path / "a.csv"), (2, 2), "zz", epochs=1)
    with pytest.raises(DataError, match=r"has 2 classes: 'c\\nd', e\.$"):
        learn(str(tmp_path / "a.csv"), (2, 3), epochs=1)


@pytest.mark.parametrize(
    "change",
    [
        {"columns": True},
        {"columns": [1]},
        {"target": 0},
        {"classes": ["a"]},
        {"mean": "x"},
        {"std": np.zeros(2)},
        {"t_mean": None, "classes": None},
        {"sizes": []},
        {"sizes": [1e9, 1e9]},
    ],
    ids=str,
)
def test_a_model_that_was_changed_is_none(change, tmp_path):
    path = tmp_path / "m.npz"
    good = {"sizes": (2, 2), "columns": ["a", "b"], "target": "t", "classes": ["c", "d"]}
    scales = {"mean": np.zeros(2), "std": np.ones(2), "t_mean": np.zeros(1), "t_std": np.ones(1)}
    save(path, MLP([2, 2], rng=0), **good, **scales)
    assert load_model(path)[1].classes == ["c", "d"]
    save(path, MLP([2, 2], rng=0), **(good | scales | change))
    with pytest.raises(DataError, match=r"m\.npz holds no model of tinygrad-mlp train"):
        load_model(path)


def test_a_model_of_columns_asks_for_columns(run):
    train = ["train", "--data", "a.csv", "--sizes", "1,1", "--epochs", "1", "-q", "-o", "o.npz"]
    assert run(*train)[0] == 0
    status, _, err = run("predict", "o.npz", "--data", "b.npz")
    assert status == 2
    assert "b.npz holds a matrix; the model takes columns by name: x; give a .csv." in err


# --- what they found: the command line ------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["derive", "loss.py:stops"], r"loss\.py, line 14: GeneratorExit: stopped$"),
        (["derive", "loss.py:needs"], r"loss\.py: TypeError: needs\(\) missing 1 required"),
        (["derive", "folder:loss"], r"folder is a folder; give a Python file"),
        (["draw", "folder"], r"folder is a folder; give a Python file"),
        (["derive", "--sizes", "2,1", "-o", "no/a.py"], r"no/a\.py .*: there is no folder no\."),
        (["draw", "--sizes", f"{10**30},2"], r"whole numbers from 1 on \(to 1,000,000,000\)"),
        (["draw", "--sizes", "2,1", "--batch", 10**30], r"--batch: .* \(up to 1,000,000,000\)"),
        (["compare", "loss.py", "--size", "2,1"], r"compare: .* --size 2,1\. Did you mean --sizes"),
        (["draw", "--sizes", "2,1", "--level", "ops"], r"'ops'.*Did you mean op\?"),
        (["--wat"], r"unrecognized arguments: --wat\nSee tinygrad-mlp --help"),
        (["predict", "n.npz", "--data", "a.csv"], r"no file n\.npz\. Did you mean [bm]\.npz\?"),
        (
            ["train", "--data", "b.csv", "--sizes", "1,1", "-o", "o"],
            r"b\.csv\. Did you mean a\.csv",
        ),
        (
            ["train", "--data", "a.csv", "--sizes", "1,1", "-o", "folder"],
            r"folder is a folder; give",
        ),
        (
            ["train", "--data", "a.csv", "--sizes", "1,1", "-o", "o", "--checkpoint", "folder"],
            "give",
        ),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_what_is_wrong_and_the_way_out(run, args, words):
    status, out, err = run(*args)
    assert (status, out) == (2, "")
    assert re.search(words, err.strip()), err


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="Linux")
@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("demo -o /proc/a/b", "/proc/a/b: no folder can be made in /proc."),
        ("derive --sizes 2,1 -o /proc/a", "could not be written: no file can be made in /proc."),
    ],
)
def test_where_nothing_can_be_made_it_is_not_said_that_something_is_missing(run, args, words):
    status, out, err = run(*args.split())
    assert (status, out) == (2, "")
    assert words in err


def test_a_place_that_may_not_be_written_is_said_before_the_training(run, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, _: Path(path).name != "folder")  # root may all
    train = ["train", "--data", "a.csv", "--sizes", "1,1", "--epochs", "1", "-o"]
    assert run(*train, "folder/m.npz")[::2] == (
        2,
        "tinygrad-mlp: folder/m.npz: it may not be written here.\n",
    )


def test_a_quantile_between_infinite_values_is_that_of_numpy():
    """It goes from the nearer of two entries, which keeps what is finite finite."""
    for row in ([-np.inf, -1.0, 0.5], [1.0, np.inf, np.inf], [2.0, np.inf], [1e300, -1e300, 0]):
        a = np.array(row)
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(
                np.quantile(Tensor(a), [0.25, 0.5, 0.7]).data, np.quantile(a, [0.25, 0.5, 0.7])
            )


def test_a_damaged_npz_is_closed_and_named(run):
    Path("c.npz").write_bytes(Path("b.npz").read_bytes()[:100])
    status, _, err = run("train", "--data", "c.npz", "--sizes", "3,2", "-o", "o.npz")
    assert (status, err) == (2, "tinygrad-mlp: c.npz is no npz file, or damaged (BadZipFile).\n")


def test_ctrl_c_in_a_file_is_ctrl_c(run):
    Path("loss.py").write_text("def loss(): raise KeyboardInterrupt", "utf-8")
    assert run("derive", "loss.py:loss") == (130, "", "")
