import importlib.util
import io
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tinygrad_mlp import (
    MLP,
    SGD,
    Adam,
    AdamW,
    Linear,
    Module,
    RMSprop,
    Schedule,
    Tensor,
    cross_entropy,
    load,
    mse,
    save,
)
from tinygrad_mlp.data import batches, load_digits, shift
from tinygrad_mlp.errors import DataError, GradientError, RenderError, ShapeError
from tinygrad_mlp.optim import cosine
from tinygrad_mlp.training import accuracy, fit, plot_history, r_squared

rng = np.random.default_rng(0)
X = rng.normal(size=(50, 3))
T = np.tanh(X[:, :2]) + 0.1 * X[:, 1:]
VALID = (X[:20] + 0.1, T[:20])
SIZES = [3, 6, 2]


def equal(a, b):
    """Two networks or states, bit for bit."""
    a, b = (m.state_dict() if isinstance(m, Module) else m for m in (a, b))
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def by_hand(net, optimizer, epochs, rng, x=X, t=T, batch_size=8):
    losses = []
    for _ in range(epochs):
        total = 0.0
        for x_batch, t_batch in batches(x, t, batch_size, rng):
            optimizer.zero_grad()
            loss = mse(net(x_batch), t_batch)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x_batch)
        losses.append(total / len(x))
    return losses


# --- what fit does --------------------------------------------------------------------------------


def test_fit_is_the_loop_that_one_would_write():
    net, other = MLP(SIZES, rng=0), MLP(SIZES, rng=0)
    history = fit(net, (X, T), mse, Adam(net.parameters(), 0.01), 4, batch_size=8, rng=1)
    losses = by_hand(other, Adam(other.parameters(), 0.01), 4, np.random.default_rng(1))
    assert history == {"loss": losses}
    assert equal(net, other)


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_a_compiled_step_gives_the_same_numbers(kind):
    nets = [MLP(SIZES, rng=0), MLP(SIZES, rng=0)]
    histories = [
        fit(net, (X, T), mse, kind(net.parameters(), 0.01), 4, rng=1, jit=jit)
        for net, jit in zip(nets, (False, True))
    ]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-12)
    for a, b in zip(*(net.parameters() for net in nets)):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-10, atol=1e-12)


def test_data_can_be_a_function_that_makes_the_batches_of_an_epoch():
    net, other = MLP(SIZES, rng=0), MLP(SIZES, rng=0)
    seen = []

    def noisy(rng):
        x = X + rng.normal(size=X.shape)
        seen.append(x)
        return [(x[:30].tolist(), T[:30]), (x[30:], T[30:])]

    history = fit(net, noisy, mse, SGD(net.parameters(), 0.01), 2, rng=1)
    optimizer, losses = SGD(other.parameters(), 0.01), []
    for x in seen:
        total = 0.0
        for part in (slice(30), slice(30, None)):
            optimizer.zero_grad()
            loss = mse(other(x[part]), T[part])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x[part])
        losses.append(total / 50)
    assert history["loss"] == losses
    assert equal(net, other)
    assert not np.array_equal(*seen)


def test_lists_are_data_too():
    net, other = MLP(SIZES, rng=0), MLP(SIZES, rng=0)
    fit(net, (X.tolist(), T.tolist()), mse, SGD(net.parameters(), 0.01), 1, rng=1)
    fit(other, (X, T), mse, SGD(other.parameters(), 0.01), 1, rng=1)
    assert equal(net, other)


def test_validation_is_measured_after_each_epoch_and_changes_nothing():
    net, other = MLP(SIZES, rng=0), MLP(SIZES, rng=0)
    history = fit(
        net,
        (X, T),
        mse,
        Adam(net.parameters(), 0.01),
        3,
        rng=1,
        validation=VALID,
        metric=r_squared,
    )
    expected = {"val_loss": [], "val_r_squared": []}

    def look(_):
        y = other(VALID[0]).data
        expected["val_loss"].append(mse(y, VALID[1]))
        expected["val_r_squared"].append(r_squared(y, VALID[1]))

    losses = fit(other, (X, T), mse, Adam(other.parameters(), 0.01), 3, [look], rng=1)
    assert history == {**losses, **expected}
    assert list(history) == ["loss", "val_loss", "val_r_squared"]
    assert equal(net, other)


class Moody(Module):
    def __init__(self):
        self.inner = Linear(3, 2, rng=0)
        self.seen = ""

    def forward(self, x):
        self.seen += "t" if self.training and self.inner.training else "e"
        return self.inner(x)


@pytest.mark.parametrize("mode", [True, False])
def test_the_net_trains_in_training_mode_and_is_judged_in_the_other(mode):
    net = Moody().train(mode)
    fit(net, (X, T), mse, SGD(net.parameters(), 0.01), 2, batch_size=25, validation=VALID)
    assert net.seen == "ttette"
    assert net.training is net.inner.training is mode


def test_a_schedule_steps_once_in_an_epoch():
    net = MLP(SIZES, rng=0)
    optimizer = SGD(net.parameters(), 0.1)
    rates = []
    schedule = Schedule(optimizer, lambda k: 1 / (1 + k))
    fit(net, (X, T), mse, optimizer, 3, [lambda _: rates.append(optimizer.lr)], schedule=schedule)
    np.testing.assert_allclose(rates, [0.1 / 2, 0.1 / 3, 0.1 / 4])


def test_a_callback_sees_the_history_and_ends_the_training_by_true():
    net = MLP(SIZES, rng=0)
    lengths = []
    stops = [lambda h: lengths.append(len(h["loss"])), lambda h: len(h["loss"]) == 3, lambda _: 1]
    history = fit(net, (X, T), mse, SGD(net.parameters(), 0.01), 9, stops)
    assert lengths == [1, 2, 3]
    assert len(history["loss"]) == 3


def test_patience_ends_the_training_with_the_weights_of_the_best_epoch():
    net = MLP(SIZES, rng=0)
    states = []
    history = fit(
        net,
        (X[:5], T[:5]),  # too few: it learns them by heart
        mse,
        Adam(net.parameters(), 0.05),
        500,
        [lambda _: states.append(net.state_dict())],
        rng=0,
        validation=VALID,
        patience=7,
    )
    best = int(np.argmin(history["val_loss"]))
    assert len(history["loss"]) == best + 1 + 7 < 500
    assert equal(net, states[best])


def test_patience_without_validation_watches_the_loss_itself():
    net = MLP(SIZES, rng=0)
    optimizer = SGD(net.parameters(), 0.0)
    history = fit(net, (X, T), mse, optimizer, 50, batch_size=50, patience=4, rng=0)
    assert 5 <= len(history["loss"]) < 20  # rounding: the order of the sums


# --- what is wrong --------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_is_an_error_and_undoes_the_epoch():
    net = MLP(SIZES, rng=0)
    after = []
    x = X.copy()
    data = [(x, T), (x, T)]

    def spoil(_):
        after.append(net.state_dict())
        x[3, 0] = np.nan

    with pytest.raises(GradientError, match=r"^fit: the loss of epoch 2, batch 1 is nan; the netw"):
        fit(net, lambda _: data, mse, SGD(net.parameters(), 0.01), 5, [spoil])
    assert equal(net, after[0])
    assert len(after) == 1


def test_a_validation_loss_that_is_not_finite_is_an_error():
    net = MLP(SIZES, rng=0)
    before = net.state_dict()
    with pytest.raises(GradientError, match="the loss of the validation data is nan"):
        fit(net, (X, T), mse, SGD(net.parameters(), 0.01), validation=(X * np.nan, T))
    assert equal(net, before)


@pytest.mark.parametrize(
    ("how", "error", "text"),
    [
        ({"metric": accuracy}, DataError, "metric= is measured on validation data: give val"),
        ({"resume": True}, DataError, "resume=True goes on from a file: give checkpoint=path"),
        ({"data": (X[:0], T[:0])}, DataError, "no data to learn from: an epoch has no samples"),
        ({"data": lambda _: []}, DataError, "no data to learn from: an epoch has no samples"),
        ({"data": (X, T[1:])}, ShapeError, r"x \(50, 3\) has 50 rows, t \(49, 2\) has 49"),
        ({"batch_size": 0}, DataError, "batch_size = 0"),
    ],
)
def test_what_does_not_go_together_is_refused(how, error, text):
    net = MLP(SIZES, rng=0)
    with pytest.raises(error, match=text):
        fit(net, how.pop("data", (X, T)), mse, SGD(net.parameters(), 0.01), **how)


# --- interrupted ----------------------------------------------------------------------------------


class Stop(Exception):
    pass


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("at", [3, 4 * 7 * 2 + 9])
def test_ctrl_c_inside_a_step_leaves_all_as_after_the_last_whole_epoch(
    at, jit, tmp_path, monkeypatch
):
    net, other = MLP(SIZES, rng=0), MLP(SIZES, rng=0)
    r, s = np.random.default_rng(1), np.random.default_rng(1)
    optimizer, theirs = Adam(net.parameters(), 0.01), Adam(other.parameters(), 0.01)
    update, calls = Adam._update, iter(range(10**9))

    def interrupted(*args):
        if next(calls) == at:
            raise KeyboardInterrupt
        return update(*args)

    how = {"batch_size": 8, "jit": jit}  # 7 steps in an epoch, of 4 parameters each
    monkeypatch.setattr(Adam, "_update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(net, (X, T), mse, optimizer, 5, rng=r, checkpoint=tmp_path / "c", **how)
    monkeypatch.undo()
    epochs = at // 28
    fit(other, (X, T), mse, theirs, epochs, rng=s, **how)
    assert equal(net, other)
    assert os.listdir(tmp_path) == (["c"] if epochs else [])
    # and it goes on as if nothing had been
    fit(net, (X, T), mse, optimizer, 2, rng=r, **how)
    fit(other, (X, T), mse, theirs, 2, rng=s, **how)
    assert equal(net, other)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a file left open
def test_ctrl_c_at_any_moment_leaves_a_consistent_net(tmp_path):
    """A real SIGINT, from another thread, again and again."""
    net = MLP([3, 20, 2], rng=0)
    path = tmp_path / "c.npz"
    r = np.random.default_rng(1)
    states = [net.state_dict()]

    def keep(history):
        states[:] = [*states[-1:], net.state_dict()]
        if len(history["loss"]) == 1:
            threading.Timer(
                moments.uniform(0.001, 0.02), os.kill, (os.getpid(), signal.SIGINT)
            ).start()

    optimizer = Adam(net.parameters(), 0.001)
    moments = np.random.default_rng(2)
    for _ in range(8):
        with pytest.raises(KeyboardInterrupt):
            fit(net, (X, T), mse, optimizer, 10**6, [keep], rng=r, checkpoint=path)
        assert any(equal(net, state) for state in states)
        states = [net.state_dict()]
        if path.exists():
            load(path, MLP([3, 20, 2]))
        assert [name for name in os.listdir(tmp_path) if name != "c.npz"] == []


def test_an_error_in_a_callback_undoes_the_epoch():
    net = MLP(SIZES, rng=0)
    before = net.state_dict()

    def fail(_):
        raise Stop

    with pytest.raises(Stop):
        fit(net, (X, T), mse, SGD(net.parameters(), 0.01), 2, [fail])
    assert equal(net, before)


# --- checkpoints ----------------------------------------------------------------------------------

KINDS = {
    "sgd": lambda p: SGD(p, 0.02),
    "momentum": lambda p: SGD(p, 0.02, momentum=0.9),
    "adam": lambda p: Adam(p, 0.02),
    "adamw": lambda p: AdamW(p, 0.02),
    "rmsprop": lambda p: RMSprop(p, 0.002),
}


class Noisy(Module):
    """Draws numbers of its own, as Dropout does."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.inner = MLP(SIZES, rng=seed)

    def forward(self, x):
        return self.inner(x + 0.1 * self.rng.normal(size=np.shape(x)))


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_training_that_is_resumed_equals_training_that_never_stopped(kind, jit, tmp_path):
    def run(epochs, seed, path, **how):
        net = MLP(SIZES, rng=seed) if jit else Noisy(seed)
        optimizer = KINDS[kind](net.parameters())
        schedule = Schedule(optimizer, cosine(9))
        history = fit(
            net,
            lambda r: batches(X + 0.01 * r.normal(size=X.shape), T, 8, r),
            mse,
            optimizer,
            epochs,
            rng=seed,
            validation=VALID,
            schedule=schedule,
            patience=20,
            checkpoint=tmp_path / path,
            jit=jit,
            **how,
        )
        return net, history

    whole, history = run(7, 0, "whole")
    run(3, 0, "parts")
    run(3, 5, "parts", resume=True)  # nothing left to do
    resumed, resumed_history = run(7, 9, "parts", resume=True)  # other weights, another rng
    assert equal(whole, resumed)
    assert history == resumed_history
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "parts").read_bytes()


def test_a_net_that_draws_numbers_is_not_compiled():
    net = Noisy(0)
    with pytest.raises(GradientError, match="draws new numbers each time: leave jit=True out"):
        fit(net, (X, T), mse, SGD(net.parameters(), 0.1), jit=True)


def test_a_resume_knows_that_patience_had_run_out(tmp_path):
    def run():
        net = MLP(SIZES, rng=0)
        how = {"validation": VALID, "patience": 3, "checkpoint": tmp_path / "c", "resume": True}
        return net, fit(net, (X[:5], T[:5]), mse, Adam(net.parameters(), 0.05), 400, rng=0, **how)

    (net, history), (again, same_history) = run(), run()
    assert history == same_history
    assert len(history["loss"]) < 400
    assert equal(net, again)


def test_resume_without_a_file_starts_from_the_beginning(tmp_path):
    net = MLP(SIZES, rng=0)
    optimizer = SGD(net.parameters(), 0.01)
    history = fit(net, (X, T), mse, optimizer, 2, checkpoint=tmp_path / "c", resume=True)
    assert len(history["loss"]) == 2


def test_a_file_that_is_no_checkpoint_of_this_training_changes_nothing(tmp_path):
    net = MLP(SIZES, rng=0)
    before = net.state_dict()
    save(tmp_path / "model", net)
    adam = MLP(SIZES, rng=1)
    fit(adam, (X, T), mse, Adam(adam.parameters(), 0.1), 1, checkpoint=tmp_path / "adam")
    small = Linear(3, 2)
    fit(small, (X, T), mse, SGD(small.parameters(), 0.1), 1, checkpoint=tmp_path / "small")
    (tmp_path / "text").write_text("x")
    for name, text in {
        "model": "model is no checkpoint of fit\\(\\): it has no best",
        "adam": "the state is of Adam",
        "small": "belongs to other parameters",
        "text": "text is damaged",
    }.items():
        optimizer = SGD(net.parameters(), 0.01)
        with pytest.raises(DataError, match=text):
            fit(net, (X, T), mse, optimizer, 2, checkpoint=tmp_path / name, resume=True)
        assert equal(net, before)
        assert optimizer.lr == 0.01


KILLED = """
import sys
import numpy as np
from tinygrad_mlp import MLP, Adam, mse
from tinygrad_mlp.training import fit
x = np.random.default_rng(0).normal(size=(64, 8))
net = MLP([8, 32, 1], rng=0)
fit(net, (x, x[:, :1]), mse, Adam(net.parameters(), 0.01), int(sys.argv[2]), rng=0,
    checkpoint=sys.argv[1], resume=True)
"""


@pytest.mark.slow
def test_training_killed_by_9_again_and_again_ends_as_if_it_had_not_been(tmp_path):
    def start(name, epochs):
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.Popen([sys.executable, "-c", KILLED, tmp_path / name, epochs], env=env)

    with start("whole", "300") as child:
        assert child.wait() == 0
    path, moments = tmp_path / "killed", np.random.default_rng(0)
    for _ in range(3):
        before = path.read_bytes() if path.exists() else b""
        with start("killed", "300") as child:
            while child.poll() is None and (not path.exists() or path.read_bytes() == before):
                time.sleep(0.001)
            time.sleep(moments.uniform(0, 0.03))  # until the next save, or into it
            child.kill()
        load(path)
    with start("killed", "300") as child:
        assert child.wait() == 0
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "killed").read_bytes()


# --- the bar --------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, stream, **how):
    monkeypatch.setattr(sys, "stderr", stream)
    net = MLP(SIZES, rng=0)
    fit(net, (X, T), mse, SGD(net.parameters(), 0.01), 3, validation=VALID, **how)
    monkeypatch.undo()
    return "" if stream is None else stream.getvalue()


def test_a_bar_is_shown_on_a_terminal_and_only_there(monkeypatch):
    pytest.importorskip("tqdm")
    text = shown(monkeypatch, Terminal())
    assert "3/3" in text
    assert "loss " in text
    assert "val_loss " in text
    assert shown(monkeypatch, io.StringIO()) == ""
    assert shown(monkeypatch, None) == ""
    assert shown(monkeypatch, Terminal(), progress=False) == ""
    assert "3/3" in shown(monkeypatch, io.StringIO(), progress=True)


def test_without_tqdm_there_is_no_bar(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert shown(monkeypatch, Terminal()) == ""


# --- metrics and plot -----------------------------------------------------------------------------


def test_accuracy_takes_classes_and_one_hot_rows():
    y = np.array([[0.0, 1, 2], [5, 1, 2], [0, 3, 2], [0, 0, 1]])
    t = np.array([2, 0, 0, 2])
    assert accuracy(y, t) == accuracy(y, np.eye(3)[t]) == accuracy(y, t.tolist()) == 0.75


def test_r_squared_is_one_minus_what_is_left_of_the_variance():
    y, t = rng.normal(size=(2, 30, 2))
    expected = [1 - ((y - t)[:, k] ** 2).mean() / t[:, k].var() for k in range(2)]
    assert r_squared(y, t) == pytest.approx(np.mean(expected))
    assert r_squared(y[:, 0], t[:, 0]) == pytest.approx(expected[0])
    assert np.isnan(r_squared(t[:, 0], np.ones(30)))
    with pytest.raises(ShapeError, match=r"y \(30, 1\) and t \(30,\) must have one shape"):
        r_squared(y[:, :1], t[:, 0])


HISTORY = {"loss": [3.0, 1.0], "val_loss": [2.0, 1.5], "val_accuracy": [0.5, 0.75]}


@pytest.mark.parametrize("suffix", ["png", "svg", ""])
def test_a_history_is_plotted_into_a_file(suffix, tmp_path):
    pytest.importorskip("matplotlib")
    figure = plot_history(HISTORY, tmp_path / f"plot.{suffix}")
    left, right = figure.axes
    assert [line.get_ydata().tolist() for line in left.lines] == [[3.0, 1.0], [2.0, 1.5]]
    assert [line.get_ydata().tolist() for line in right.lines] == [[0.5, 0.75]]
    assert left.get_yscale() == "log"
    raw = (tmp_path / f"plot.{suffix}").read_bytes()
    assert raw.startswith(b"<?xml" if suffix == "svg" else b"\x89PNG")


def test_a_plot_needs_matplotlib_and_a_format_that_it_knows(tmp_path, monkeypatch):
    if importlib.util.find_spec("matplotlib"):
        with pytest.raises(RenderError, match=r"plot_history: .*'nothing' is not supported"):
            plot_history(HISTORY, tmp_path / "plot.nothing")
        assert os.listdir(tmp_path) == []
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RenderError, match=r"there is no matplotlib: pip install 'tinygrad-mlp\["):
        plot_history(HISTORY)


# --- what it is for -------------------------------------------------------------------------------


def test_a_network_of_1000_layers_trains():
    """Forward, backward and a step, without recursion; the loss goes down."""
    net = MLP([2, *[3] * 999, 1], rng=0, activation=np.tanh)
    assert len(net.W) == 1000
    for w in net.W[1:-1]:
        w.data = np.linalg.qr(w.data)[0]  # orthogonal: signals survive that many layers
    x = X[:8, :2]
    t = np.full((8, 1), 0.5)
    start = time.perf_counter()
    history = fit(net, (x, t), mse, SGD(net.parameters(), 0.001), 5, batch_size=8, rng=0)
    assert time.perf_counter() - start < 30
    assert history["loss"][-1] < history["loss"][0]
    assert all(np.isfinite(p.data).all() for p in net.parameters())
    assert all(np.any(p.grad) for p in net.W)


def test_the_classes_of_a_blob_are_learnt():
    t = (X[:, 0] > 0).astype(int)
    net = MLP([3, 8, 2], rng=0)
    history = fit(
        net,
        (X, t),
        cross_entropy,
        Adam(net.parameters(), 0.05),
        30,
        rng=0,
        validation=(X, t),
        metric=accuracy,
        jit=True,
    )
    assert history["val_accuracy"][-1] > 0.95
    assert isinstance(net(X), Tensor)


@pytest.mark.slow
@pytest.mark.parametrize(("moved", "epochs", "least"), [(False, 15, 0.965), (True, 30, 0.975)])
def test_digits_are_read_by_the_median_of_five_networks(moved, epochs, least):
    """As in examples/10_digits.py; each in less than ten seconds."""
    digits = load_digits()
    scores = []
    for seed in range(5):
        start = time.perf_counter()
        r = np.random.default_rng(seed)
        net = MLP([64, 192, 96, 10], rng=r, dtype=np.float32)
        optimizer = Adam(net.parameters(), lr=0.004)
        fit(
            net,
            lambda r: batches(
                rows(shift(digits.train_images, r) if moved else digits.train_images),
                digits.train_labels,
                64,
                r,
            ),
            cross_entropy,
            optimizer,
            epochs,
            rng=r,
            schedule=Schedule(optimizer, cosine(epochs)),
            jit=True,
        )
        scores.append(accuracy(net(rows(digits.test_images)).data, digits.test_labels))
        assert time.perf_counter() - start < 10
    assert np.median(scores) >= least, scores


def rows(images):
    return images.reshape(-1, 64).astype(np.float32) / 16
