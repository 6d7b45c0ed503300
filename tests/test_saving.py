import io
import json
import os
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from helpers import Foreign

from tinygrad_mlp import MLP, SGD, Adam, Linear, RMSprop, Tensor, load, mse, save, saving
from tinygrad_mlp.errors import DataError, ShapeError

X = np.random.default_rng(0).normal(size=(6, 3))


def same(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        return all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        np.testing.assert_array_equal(a, b, strict=True)
        return True
    return a == b


def test_a_network_comes_back_bit_for_bit(tmp_path):
    net = MLP([3, 5, 2], rng=0, dtype=np.float32)
    save(tmp_path / "model", net)
    assert os.listdir(tmp_path) == ["model"]  # the name is taken as it is, nothing beside it
    other = MLP([3, 5, 2], rng=1, dtype=np.float32)
    saved = load(tmp_path / "model", other)
    assert same(saved.state, net.state_dict())
    assert same(other.state_dict(), net.state_dict())
    assert saved.extra == {}
    with np.load(tmp_path / "model") as arrays:  # an npz that NumPy reads
        np.testing.assert_array_equal(arrays["net/W[0]"], net.W[0].data)


def test_what_is_saved_beside_it_comes_back_nested_as_it_was(tmp_path):
    extra = {
        "epoch": 3,
        "note": "Übung",
        "nothing": None,
        "yes": True,
        "lists": [1, [2.5, [np.arange(3, dtype=np.uint8)]], []],
        "dict": {"dict": {"array": "a"}, "array": np.ones((2, 0), np.float32)},
        "huge": 2**127,
        "file": np.float64(1.0) * np.eye(2),
        "text": np.array(["a", "bc"]),
        "zero": np.zeros(()),
    }
    save(tmp_path / "a.npz", {"file": np.ones(2)}, **extra)
    saved = load(tmp_path / "a.npz")
    assert same(saved.state, {"file": np.ones(2)})
    assert same(saved.extra, extra)


def test_numbers_of_numpy_tuples_and_tensors_come_back_as_what_python_has(tmp_path):
    save(tmp_path / "a.npz", {"w": Tensor([1.0], requires_grad=True)}, n=np.int64(3), t=(1, 2))
    saved = load(tmp_path / "a.npz")
    assert same(saved.extra, {"n": 3, "t": [1, 2]})
    assert same(saved.state, {"w": np.array([1.0])})


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.MT19937, np.random.Philox])
def test_a_random_generator_goes_on_where_it_was(kind, tmp_path):
    rng = np.random.Generator(kind(0))
    rng.normal(size=3)
    save(tmp_path / "a.npz", {}, rng=rng.bit_generator.state)
    other = np.random.Generator(kind(1))
    other.bit_generator.state = load(tmp_path / "a.npz").extra["rng"]
    np.testing.assert_array_equal(rng.normal(size=9), other.normal(size=9))


def test_the_same_content_gives_the_same_bytes(tmp_path):
    for name in "ab":
        save(tmp_path / name, MLP([3, 2], rng=0), epoch=1)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("net", "extra", "text"),
    [
        ({"w": 1.0, "v": np.ones(1), "u": None}, {}, r"no arrays: w, u\."),
        ({}, {"f": print}, r"extra/f is <built-in function print>: give NumPy arrays.*pickled"),
        ({}, {"f": [1, {"a": np.array([None])}]}, r"extra/f/1/a is array \(1,\): give"),
        ({}, {"f": {1: 2}}, r"extra/f is {1: 2}: give .*dicts \(of text -> value\)"),
        ({"w": Foreign([1.0])}, {}, r"net/w is array \(1,\): give NumPy arrays"),
    ],
)
def test_what_needs_pickle_is_refused_and_writes_nothing(net, extra, text, tmp_path):
    with pytest.raises(DataError, match=text):
        save(tmp_path / "a.npz", net, **extra)
    assert os.listdir(tmp_path) == []


def test_a_file_of_another_network_changes_nothing(tmp_path):
    save(tmp_path / "a.npz", MLP([3, 2], rng=0))
    net, layer = MLP([3, 4], rng=1), Linear(3, 2)
    before = net.state_dict()
    with pytest.raises(ShapeError, match=r"W\[0\] is \(3, 4\), given \(3, 2\)"):
        load(tmp_path / "a.npz", net)
    with pytest.raises(DataError, match=r"missing: W, B; unexpected: W\[0\]"):
        load(tmp_path / "a.npz", layer)
    assert same(net.state_dict(), before)


# --- files that are not ours, or not whole --------------------------------------------------------


class Trap:
    def __reduce__(self):
        return os.mkdir, ("trapped",)


def foreign_files():
    npz, npy, pickled, trapped = io.BytesIO(), io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(npz, a=np.ones(2))
    np.save(npy, np.ones(2))
    np.save(pickled, np.array([Trap()], object), allow_pickle=True)
    np.savez(trapped, a=np.array([Trap()], object))
    return {
        "empty": (b"", "is damaged, or was never"),
        "text": (b"W,B\n1,2\n", "is damaged, or was never"),
        "npy": (npy.getvalue(), "is damaged, or was never"),
        "pickle": (pickled.getvalue(), "is damaged, or was never"),
        "npz with pickle": (trapped.getvalue(), "is damaged, or was never"),
        "npz": (npz.getvalue(), r"was not written by .*numpy\.load\(\)"),
    }


@pytest.mark.parametrize("name", foreign_files())
def test_a_foreign_file_is_an_error_that_says_so_and_runs_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw, text = foreign_files()[name]
    (tmp_path / "f.npz").write_bytes(raw)
    with pytest.raises(DataError, match=rf"^load: f\.npz {text}"):
        load("f.npz")
    assert os.listdir(tmp_path) == ["f.npz"]


def test_a_missing_file_is_what_python_says(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.npz")


def test_a_newer_format_asks_for_an_upgrade(tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "FORMAT", 2)
    save(tmp_path / "a.npz", {})
    monkeypatch.undo()
    with pytest.raises(DataError, match=r"has format 2, this version of tinygrad-mlp reads 1: upg"):
        load(tmp_path / "a.npz")


def rewritten(path, change):
    with zipfile.ZipFile(path) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    change(entries)
    with zipfile.ZipFile(path, "w") as new:
        for name, raw in entries.items():
            new.writestr(name, raw)


def turned(entries):
    buffer = io.BytesIO()
    np.save(buffer, np.ones((2, 3)))
    entries["net/W[0].npy"] = buffer.getvalue()


@pytest.mark.parametrize(
    "change",
    [lambda e: e.pop("net/B[0].npy"), turned, lambda e: e.update({"more.npy": e["net/B[0].npy"]})],
    ids=["missing", "another shape", "one more"],
)
def test_arrays_that_are_not_those_listed_are_an_error(change, tmp_path):
    save(tmp_path / "a.npz", MLP([3, 2], rng=0))
    rewritten(tmp_path / "a.npz", change)
    with pytest.raises(DataError, match="is damaged") as info:
        load(tmp_path / "a.npz")
    assert str(info.value.__cause__) == "it holds other arrays than it lists"


def test_a_byte_that_is_off_or_missing_is_noticed_or_changes_nothing(tmp_path):
    """Anywhere in the file; what a flip may leave as it is are dates, versions, permissions."""
    save(tmp_path / "a.npz", {"w": np.arange(2.0)}, epoch=3)
    whole, expected = (tmp_path / "a.npz").read_bytes(), load(tmp_path / "a.npz")
    path = tmp_path / "b.npz"
    unnoticed = 0
    for i in range(len(whole)):
        flipped = whole[:i] + bytes([whole[i] ^ 0x55]) + whole[i + 1 :]
        for damaged in (flipped, whole[:i]) if i % 7 == 0 else (flipped,):
            path.write_bytes(damaged)
            try:
                got = load(path)
            except DataError:
                continue
            assert len(damaged) == len(whole)  # none that is cut short is read
            assert same([dict(a) for a in got], [dict(a) for a in expected])
            unnoticed += 1
    assert unnoticed < 0.3 * len(whole)  # of so small a file, much is book-keeping


# --- written whole or not at all ------------------------------------------------------------------

WRITER = """
import sys
import numpy as np
from tinygrad_mlp import save
n = 0
while True:
    n += 1
    save(sys.argv[1], {"w": np.full(300_000, float(n))}, n=n)
    if n == 1:
        print(flush=True)
"""


def test_kill_9_during_a_save_leaves_the_old_file_or_the_new_one(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "a.npz"
    for _ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, path],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        with child:
            child.stdout.readline()
            time.sleep(rng.uniform(0, 0.05))
            child.kill()
        saved = load(path)
        np.testing.assert_array_equal(saved.state["w"], np.full(300_000, float(saved.extra["n"])))


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_an_error_at_any_step_leaves_the_old_file_alone(call, tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    save(path, {}, n=1)

    def refused(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path) if call == "open" else os, call, refused)
    with pytest.raises(OSError, match="No space left"):
        save(path, {}, n=2)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == ["a.npz"]
    assert load(path).extra == {"n": 1}


def test_what_is_written_is_on_the_disk_before_it_has_the_name(tmp_path, monkeypatch):
    order = []
    for name in ("fsync", "replace"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, c=call, n=name: (order.append(n), c(*a)))
    save(tmp_path / "a.npz", {})
    assert order == ["fsync", "replace"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_a_pipe_or_a_device_stays_what_it_is(tmp_path):
    """Or a root's `-o /dev/null` would leave a file in its place."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    saving.write_whole(path, b"data")
    assert os.read(reader, 9) == b"data"
    os.close(reader)
    assert path.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*no: '.*a\.npz'$"):
        save(tmp_path / "no" / "a.npz", {})


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="Linux")
def test_a_folder_that_takes_no_files_is_said():
    with pytest.raises(FileNotFoundError, match=r"no file can be made in /proc: '/proc/a\.npz'$"):
        save("/proc/a.npz", {})


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "a.npz")
    save(tmp_path / "link", {})
    assert (tmp_path / "link").is_symlink()
    assert load(tmp_path / "a.npz").extra == {}


# --- optimizers -----------------------------------------------------------------------------------

OPTIMIZERS = [
    lambda p: SGD(p, 0.1),
    lambda p: SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    lambda p: Adam(p, 0.1, betas=(0.8, 0.9)),
    lambda p: RMSprop(p, 0.1, momentum=0.5),
]


def steps(net, optimizer, n):
    for _ in range(n):
        optimizer.zero_grad()
        mse(net(X), X[:, :2]).backward()
        optimizer.step()


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_training_that_is_saved_and_loaded_goes_on_as_if_it_had_not_been(make, tmp_path):
    net = MLP([3, 4, 2], rng=0)
    optimizer = make(net.parameters())
    steps(net, optimizer, 3)
    optimizer.lr = 0.05
    save(tmp_path / "a.npz", net, optimizer=optimizer.state_dict())
    steps(net, optimizer, 3)
    other = MLP([3, 4, 2], rng=1)
    resumed = type(optimizer)(other.parameters(), 1.0)
    resumed.load_state_dict(load(tmp_path / "a.npz", other).extra["optimizer"])
    steps(other, resumed, 3)
    assert same(net.state_dict(), other.state_dict())
    assert json.dumps(resumed.state_dict()["settings"]) == json.dumps(
        optimizer.state_dict()["settings"]
    )


def test_the_state_of_an_optimizer_is_a_copy():
    net = MLP([3, 2], rng=0)
    optimizer = Adam(net.parameters(), 0.1)
    steps(net, optimizer, 1)
    state = optimizer.state_dict()
    before = state["state"][0][0].copy()
    optimizer.load_state_dict(state)
    steps(net, optimizer, 1)
    np.testing.assert_array_equal(state["state"][0][0], before)
    assert state["counts"] == [1, 1]


def test_the_state_of_another_optimizer_or_of_other_parameters_is_refused():
    optimizer = Adam(MLP([3, 2]).parameters(), 0.1)
    with pytest.raises(DataError, match=r"^Adam\.load_state_dict: the state is of SGD\."):
        optimizer.load_state_dict(SGD(MLP([3, 2]).parameters(), 0.5).state_dict())
    for sizes in ([3, 4], [3, 2, 2]):
        with pytest.raises(DataError, match=r"other parameters: of shapes .*, here \[\(3, 2\), \("):
            optimizer.load_state_dict(Adam(MLP(sizes).parameters(), 0.5).state_dict())
    assert optimizer.lr == 0.1
