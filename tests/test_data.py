import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_mlp import data
from tinygrad_mlp.data import batches, load_digits, one_hot
from tinygrad_mlp.errors import DataError, ShapeError

FOLDER = Path(data.__file__).parent


def test_digits_have_the_published_shapes_ranges_and_class_counts():
    digits = load_digits()
    assert digits.train_images.shape == (3823, 8, 8)
    assert digits.train_labels.shape == (3823,)
    assert digits.test_images.shape == (1797, 8, 8)
    assert digits.test_labels.shape == (1797,)
    assert {array.dtype for array in digits} == {np.dtype(np.uint8)}
    for images in (digits.train_images, digits.test_images):
        assert (images.min(), images.max()) == (0, 16)
    # The counts per class that UCI's description of the data set states.
    np.testing.assert_array_equal(
        np.bincount(digits.train_labels), [376, 389, 380, 389, 387, 376, 377, 387, 380, 382]
    )
    np.testing.assert_array_equal(
        np.bincount(digits.test_labels), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    )


def test_no_digit_is_in_both_parts():
    digits = load_digits()
    train = {image.tobytes() for image in digits.train_images}
    test = {image.tobytes() for image in digits.test_images}
    assert len(train) == 3823
    assert len(test) == 1797
    assert not train & test


def test_digits_are_those_that_the_label_says():
    """The nearest training image names 98.0 % of the test images; with shuffled labels, 10 %."""
    digits = load_digits()
    train = digits.train_images.reshape(-1, 64).astype(np.float64)
    test = digits.test_images.reshape(-1, 64).astype(np.float64)
    distance = (train**2).sum(axis=1) - 2 * test @ train.T
    guess = digits.train_labels[distance.argmin(axis=1)]
    assert np.mean(guess == digits.test_labels) == pytest.approx(0.980, abs=0.0005)


@pytest.mark.parametrize(
    "damage",
    [lambda _raw: b"", lambda raw: raw[:1000], lambda raw: raw[:-1] + b"x", lambda _raw: b"x" * 99],
    ids=["empty", "cut short", "one byte off", "not a zip"],
)
def test_damaged_digits_are_an_error_that_says_so(damage, tmp_path, monkeypatch):
    path = tmp_path / "digits.npz"
    raw = damage((FOLDER / "digits.npz").read_bytes())
    path.write_bytes(raw)
    monkeypatch.setattr(data, "_DIGITS", path)
    with pytest.raises(DataError, match=rf"digits\.npz is damaged \({len(raw)} bytes.*install"):
        load_digits()


def test_missing_digits_are_an_error_that_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "_DIGITS", tmp_path / "digits.npz")
    with pytest.raises(DataError, match=r"digits\.npz cannot be read \(No such file"):
        load_digits()


@pytest.mark.parametrize("name", ["digits.npz", "penguins.csv"])
def test_the_readme_beside_the_data_holds_the_checksum_of_each_file(name):
    checksum = hashlib.sha256((FOLDER / name).read_bytes()).hexdigest()
    section = (FOLDER / "README.md").read_text("utf-8").split(f"## {name}\n")[1].split("\n## ")[0]
    assert f"`{checksum}`" in section


def test_penguins_have_the_published_counts():
    species = np.loadtxt(
        FOLDER / "penguins.csv", dtype=str, delimiter=",", skiprows=1, usecols=0
    ).tolist()
    counts = {name: species.count(name) for name in sorted(set(species))}
    assert counts == {"Adelie": 151, "Chinstrap": 68, "Gentoo": 123}


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.integers(0, n - 1), min_size=1))
    )
)
def test_one_hot_rows_sum_to_one_and_their_argmax_is_the_label(case):
    n_classes, labels = case
    rows = one_hot(labels, n_classes)
    assert rows.shape == (len(labels), n_classes)
    np.testing.assert_array_equal(rows.sum(axis=1), 1)
    np.testing.assert_array_equal(rows.argmax(axis=1), labels)


def test_one_hot_has_the_dtype_asked_for_and_takes_unsigned_labels():
    labels = np.array([255, 0], dtype=np.uint8)
    assert one_hot(labels, 256).dtype == np.float64
    assert one_hot(labels, 256, np.float32).dtype == np.float32
    np.testing.assert_array_equal(one_hot(labels, 256).argmax(axis=1), labels)


def test_one_hot_of_a_matrix_gains_a_last_axis():
    np.testing.assert_array_equal(one_hot([[1, 0]], 2), [[[0, 1], [1, 0]]])


@pytest.mark.parametrize("label", [-1, 3])
def test_one_hot_refuses_a_label_that_is_no_class(label):
    with pytest.raises(DataError, match=rf"label {label} .*n_classes = 3 allows 0 to 2"):
        one_hot([0, label, 2], 3)


@pytest.mark.parametrize("labels", [[0.0, 1.0], [True, False], ["a"]])
def test_one_hot_refuses_labels_that_are_not_integers(labels):
    with pytest.raises(DataError, match="must be integers"):
        one_hot(labels, 3)


@given(st.integers(0, 40), st.integers(1, 50), st.integers(0, 5))
def test_batches_hold_every_sample_once_beside_its_target(n, batch_size, seed):
    x = np.arange(n)
    seen = list(batches(x, 10 * x, batch_size, seed))
    assert all(len(x_batch) == batch_size for x_batch, _ in seen[:-1])
    for x_batch, t_batch in seen:
        np.testing.assert_array_equal(t_batch, 10 * x_batch)
    assert sorted(i for x_batch, _ in seen for i in x_batch) == list(range(n))


def test_batches_come_in_an_order_that_the_rng_decides():
    x = np.arange(100)

    def order(rng):
        return np.concatenate([x_batch for x_batch, _ in batches(x, x, 7, rng)]).tolist()

    assert order(0) == order(0) == order(np.random.default_rng(0)) != order(1)
    rng = np.random.default_rng(0)
    assert order(rng) != order(rng)
    assert order(None) != x.tolist()


def test_batches_are_copies():
    x = np.zeros((4, 2))
    for x_batch, t_batch in batches(x, x, 4, 0):
        x_batch += 1
        t_batch += 1
    np.testing.assert_array_equal(x, 0)


def test_batches_refuses_lengths_that_differ_before_the_first_batch():
    with pytest.raises(ShapeError, match=r"x \(3, 2\) has 3 rows, t \(4,\) has 4"):
        batches(np.zeros((3, 2)), np.zeros(4), 2, 0)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batches_refuses_a_batch_size_below_one(batch_size):
    with pytest.raises(DataError, match=f"batch_size = {batch_size}; it must be at least 1"):
        batches(np.zeros(3), np.zeros(3), batch_size, 0)
