"""What must hold for hours and under blows: memory, threads, Ctrl-C, odd consoles and modes."""

import gc
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fuzz import HAND
from helpers import interrupt, no_cycles, unmeasured

from tinygrad_mlp import (
    MLP,
    SGD,
    Adam,
    ManualMLP,
    Player,
    compare,
    derive,
    draw,
    jit,
    mse,
    play,
    save,
)
from tinygrad_mlp.saving import write_whole

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

RNG = np.random.default_rng(0)
X, T = RNG.normal(size=(8, 3)), RNG.normal(size=(8, 2))


def small_loss():
    net = MLP([3, 4, 2], rng=0)
    loss = mse(net(X), T)
    loss.backward()
    return loss


# --- memory ---------------------------------------------------------------------------------------


def eager(net, optimizer):
    def step():
        loss = mse(net(X), T)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def compiled(net, optimizer):
    step = jit(lambda x, t: mse(net(x), t), optimizer)
    return lambda: step(X, T)


def growth(step, n):
    """So many more blocks of memory are in use after n steps; the collector is off."""
    for _ in range(100):
        step()
    gc.collect()
    gc.disable()
    try:
        before = sys.getallocatedblocks()
        for _ in range(n):
            step()
        return sys.getallocatedblocks() - before
    finally:
        gc.enable()


@pytest.mark.parametrize("make", [eager, compiled])
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_ten_thousand_steps_hold_no_more_memory_than_a_hundred(make, kind):
    net = MLP([3, 4, 2], rng=0)
    assert growth(make(net, kind(net.parameters(), lr=1e-3)), 10_000) < 100


def test_a_step_that_keeps_its_loss_would_be_noticed():
    net, kept = MLP([3, 4, 2], rng=0), []
    assert growth(lambda: kept.append(mse(net(X), T)), 100) > 100


READINGS = {
    "derive": derive,
    "draw": draw,
    "draw ops": lambda loss: draw(loss, "op"),
    "play": play,
    "compare": lambda loss: compare({"dW[0]": np.zeros((3, 4))}, loss),
    "compare a class": lambda _: compare(ManualMLP, sizes=(3, 4, 2)),
    "explain": lambda loss: derive(loss).explain("dW[0]", (0, 0)),
    "worksheet": lambda loss: derive(loss).worksheet(),
}


@pytest.mark.dot
@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
def test_what_is_no_longer_used_is_freed_without_the_collector(reading):
    """Counted after a first time, which fills caches and imports."""
    for _ in range(2):
        reading(small_loss())
    with no_cycles():
        loss = small_loss()
        result = reading(loss)
        del loss, result


# --- threads --------------------------------------------------------------------------------------


@pytest.mark.dot
def test_readings_in_threads_are_those_of_one_thread():
    def work(seed):
        net = MLP([3, 4, 2], rng=seed)
        loss = mse(net(X), T)
        loss.backward()
        texts = [str(derive(loss)), draw(loss).source, play(loss).html]
        return [*texts, bool(compare({"dW[0]": net.W[0].grad}, loss)), net.W[0].grad.tolist()]

    alone = [work(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == alone


# --- Ctrl-C ---------------------------------------------------------------------------------------


def interrupted_at(k, call):
    """Run `call` with Ctrl-C at the k-th line of `write_whole`; whether it came that far."""
    left, before = k, sys.gettrace()  # that of coverage

    def trace(frame, event, _):
        nonlocal left
        if frame.f_code is not write_whole.__code__:
            return None
        if event == "line":
            left -= 1
            if left < 0:
                sys.settrace(before)
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


PLAYER = Player("<p>a page", "a page")
WRITERS = {
    "save": (lambda path: save(path, {"w": np.zeros(9)}), "a.npz"),
    "draw": (lambda path: draw(small_loss()).write(path), "a.dot"),
    "play": (lambda path: PLAYER.write(path), "a.html"),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it is left open
@pytest.mark.parametrize(("write", "name"), WRITERS.values(), ids=WRITERS)
def test_ctrl_c_at_any_line_of_writing_leaves_the_old_file_or_the_new_one(write, name, tmp_path):
    path = tmp_path / name
    write(path)
    new = path.read_bytes()
    path.write_bytes(b"old")
    stops = 0
    # up to the last line, which removes what was beside it: an interrupt there leaves that
    while interrupted_at(stops, lambda: write(path)):
        assert path.read_bytes() in (b"old", new)
        for other in set(os.listdir(tmp_path)) - {name}:
            assert other.endswith(".tmp")
            os.unlink(tmp_path / other)
        stops += 1
        path.write_bytes(b"old")
    assert stops > 5
    assert os.listdir(tmp_path) == [name]


COMMANDS = [
    "train --data digits --sizes 64,16,10 --epochs 9999 -q -o a.npz --checkpoint c.npz",
    "draw --sizes 2,4,4,1 --level op -o a.png",
    "play --sizes 2,4,1 -o a.html",
    "derive --sizes 3,5,2 -o a.py",
]


@POSIX
@pytest.mark.dot
@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_at_any_moment_ends_with_130_and_no_half_a_file(command, tmp_path):
    """From when Python has loaded the package; before that, it is Python's own."""
    program = "import sys, tinygrad_mlp.cli as c; print(flush=True); sys.exit(c.main(sys.argv[1:]))"
    rng = random.Random(0)
    seen = set()
    for _ in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", program, *command.split()],
            env={**unmeasured(), "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        child.stdout.readline()
        time.sleep(rng.uniform(0, 0.3))
        _, err = interrupt(child)
        assert child.returncode in (0, 130, -signal.SIGINT)  # the last, when all is done
        assert b"Traceback" not in err
        assert {p.name for p in tmp_path.iterdir()} <= {command.split()[-1], "a.npz"}
        seen.add(child.returncode)
    assert 130 in seen or "train" not in command  # which alone is sure to be met at work


# --- consoles and modes of Python -----------------------------------------------------------------

CALLS = [
    "--help",
    "demo -o demo",
    "draw --sizes 2,2",
    "draw --sizes 2,2 -o e.svg",
    "play --sizes 2,2 -o e.html",
    "derive --sizes 2,2",
    "derive --sizes 2,2 --format latex",
    "derive --sizes 2,2 --json",
    "compare hand.py --sizes 2,3,1",
    "train --data penguins --sizes 3,4,1 --epochs 2 -o m.npz",
    "predict m.npz --data penguins",
    "compare nöt.py --sizes 2,1",
]
MODES = {
    "ascii": ({"PYTHONIOENCODING": "ascii"}, []),
    "cp1252": ({"PYTHONIOENCODING": "cp1252:strict"}, []),
    "C": ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, []),
    "without assertions": ({}, ["-O"]),
    "without docstrings": ({}, ["-OO"]),
    "warnings are errors": ({}, ["-W", "error", "-X", "dev"]),
}


@pytest.mark.dot
@pytest.mark.long
@pytest.mark.parametrize(("env", "flags"), MODES.values(), ids=MODES)
def test_every_command_in_any_mode_and_on_any_console(env, flags, tmp_path):
    (tmp_path / "hand.py").write_text(HAND, "utf-8")
    for call in CALLS:
        done = subprocess.run(
            [sys.executable, *flags, "-m", "tinygrad_mlp", *call.split()],
            env={**os.environ, "PYTHONPATH": str(ROOT), **env},
            cwd=tmp_path,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == (2 if "nöt" in call else 0), (call, done.stderr)
        assert b"Traceback" not in done.stderr
        assert b"Warning" not in done.stderr, (call, done.stderr)
