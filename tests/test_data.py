import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_mlp import data
from tinygrad_mlp.data import (
    batches,
    load_csv,
    load_digits,
    load_penguins,
    one_hot,
    shift,
    standardize,
    train_test_split,
)
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
    raw = damage((FOLDER / "digits.npz").read_bytes())
    (tmp_path / "digits.npz").write_bytes(raw)
    monkeypatch.setattr(data, "_FOLDER", tmp_path)
    with pytest.raises(DataError, match=rf"digits\.npz is damaged \({len(raw)} bytes.*install"):
        load_digits()


def test_missing_digits_are_an_error_that_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "_FOLDER", tmp_path)
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


# --- tables ---------------------------------------------------------------------------------------


def written(folder, text):
    path = folder / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_penguins_are_columns_and_least_squares_fits_them_as_published():
    p = load_penguins()
    assert p.species.tolist()[:1] == ["Adelie"]
    assert {a.shape for a in p} == {(342,)}
    assert {a.dtype for a in p[1:]} == {np.dtype(np.float64)}
    x = np.stack([np.ones(342), *p[1:4]], axis=1)
    rest = p.body_mass_g - x @ np.linalg.lstsq(x, p.body_mass_g)[0]
    assert 1 - rest.var() / p.body_mass_g.var() == pytest.approx(0.761, abs=0.0005)


def test_damaged_penguins_are_an_error_that_says_so(tmp_path, monkeypatch):
    (tmp_path / "penguins.csv").write_text("species\n")
    monkeypatch.setattr(data, "_FOLDER", tmp_path)
    with pytest.raises(DataError, match=r"^load_penguins: penguins\.csv is damaged \(8 bytes"):
        load_penguins()


def test_a_table_is_read_by_columns_numbers_as_numbers(tmp_path):
    text = '\ufeffname, x ,y\r\n"Ada, L.",1, 2e3\r\n\r\n"a ""b""\nc",,-inf\r\n'
    columns = load_csv(written(tmp_path, text))
    assert list(columns) == ["name", "x", "y"]
    assert columns["name"].tolist() == ["Ada, L.", 'a "b"\nc']
    np.testing.assert_array_equal(columns["x"], [1, np.nan])
    np.testing.assert_array_equal(columns["y"], [2000, -np.inf])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "has no rows"),
        ("a,b\n", "has no rows"),
        ("a,b,a\n1,2,3\n", "two columns are named 'a'"),
        ("a,b\n1,2\n1\n", "row 2 has 1 values, the first line names 2 columns: a, b"),
        (b"a\n\xff\xfe\x00", "is no CSV file: it is not text"),
        ("a\n" + "1" * 200_000, "is no CSV file: field larger than field limit"),
    ],
)
def test_what_is_no_table_is_an_error_that_says_where(text, expected, tmp_path):
    with pytest.raises(DataError, match=rf"t\.csv.*{expected}"):
        load_csv(written(tmp_path, text))


# --- preparing ------------------------------------------------------------------------------------


@given(st.integers(2, 40), st.floats(0.01, 0.99), st.integers(0, 5))
def test_a_split_keeps_every_sample_once_beside_its_target(n, size, seed):
    x = np.arange(n)
    if int(np.ceil(n * size)) == n:
        with pytest.raises(DataError, match=f"leaves 0 to learn from and {n} to judge by"):
            train_test_split(x, test_size=size)
        return
    x_train, x_test, t_train, t_test = train_test_split(x, 10 * x, test_size=size, rng=seed)
    np.testing.assert_array_equal(t_train, 10 * x_train)
    np.testing.assert_array_equal(t_test, 10 * x_test)
    assert sorted([*x_train, *x_test]) == list(range(n))
    assert n * size <= len(x_test) < n * size + 1


def test_a_split_is_random_by_the_rng_and_refuses_what_it_cannot_split():
    x = np.arange(50)
    assert train_test_split(x, rng=0)[1].tolist() == train_test_split(x, rng=0)[1].tolist()
    assert train_test_split(x, rng=0)[1].tolist() != train_test_split(x, rng=1)[1].tolist()
    with pytest.raises(ShapeError, match="arrays of 50, 49 rows; they must be equal"):
        train_test_split(x, x[1:])
    with pytest.raises(DataError, match="test_size = 0 of 50 samples leaves 50"):
        train_test_split(x, test_size=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standardized_columns_have_mean_zero_and_deviation_one(dtype):
    x = (np.random.default_rng(0).normal(size=(50, 3)) * [1, 100, 0] + [5, -1e4, 0.1]).astype(dtype)
    z, mean, std = standardize(x)
    assert z.dtype == mean.dtype == std.dtype == dtype
    np.testing.assert_allclose(z.mean(axis=0)[:2], 0, atol=1e-3)
    np.testing.assert_allclose(z.std(axis=0)[:2], 1, rtol=1e-4)
    np.testing.assert_allclose(z[:, 2], 0, atol=1e-6)  # constant
    assert std[2] == 1
    np.testing.assert_array_equal(z, (x - mean) / std)


def test_standardize_names_what_is_not_finite():
    for x, text in (
        (np.array([[0.0, 1.0], [2.0, np.nan]]), r"row 1 of column 1 \(from 0\) is nan"),
        (np.array([0.0, -np.inf]), r"row 1 \(from 0\) is -inf"),
        (np.zeros((0, 2)), r"x \(0, 2\) has no rows"),
    ):
        with pytest.raises(DataError, match=text):
            standardize(x)


def test_shifted_images_move_by_up_to_that_much_and_keep_what_stays_inside():
    """The centre of mass of a blot far from the border moves by as much as the image."""
    image = np.zeros((1, 9, 11))
    image[0, 4:6, 5:7] = [[1, 2], [3, 4]]
    moved = shift(np.repeat(image, 500, axis=0), rng=0, by=1.5)
    np.testing.assert_allclose(moved.sum(axis=(1, 2)), 10)
    for axis in (1, 2):
        distance = centre_of(moved, axis) - centre_of(image, axis)
        assert -1.5 <= distance.min() < -1.45
        assert 1.45 < distance.max() <= 1.5
        assert abs(distance.mean()) < 0.1
        assert np.std(distance) == pytest.approx(1.5 / 3**0.5, rel=0.1)
    y, x = (centre_of(moved, axis) for axis in (1, 2))
    assert abs(np.corrcoef(y, x)[0, 1]) < 0.15  # independent


def centre_of(a, axis):
    return (a.sum(axis=3 - axis) * np.arange(a.shape[axis])).sum(axis=1) / 10


def test_a_shift_by_a_fraction_shares_a_pixel_between_neighbours():
    class Fixed(np.random.Generator):
        def uniform(self, *_, size):
            return np.full(size, self.distances.pop())

    rng = Fixed(np.random.PCG64())
    rng.distances = [-0.25, 1.0]
    image = np.arange(1.0, 10).reshape(1, 3, 3)
    moved = shift(image, rng, by=1)
    up = np.array([[4.0, 5, 6], [7, 8, 9], [0, 0, 0]])
    left = np.array([[0.0, 4, 5], [0, 7, 8], [0, 0, 0]])
    np.testing.assert_array_equal(moved[0], 0.75 * up + 0.25 * left)


@pytest.mark.parametrize(("dtype", "expected"), [(np.uint8, np.float32), (np.float64, np.float64)])
def test_shift_by_nothing_copies_and_other_shapes_are_refused(dtype, expected):
    images = np.ones((3, 2, 2), dtype)
    moved = shift(images, 0, by=0)
    np.testing.assert_array_equal(moved, images.astype(expected), strict=True)
    moved += 1
    assert images.max() == 1
    with pytest.raises(ShapeError, match=r"shift: images \(3, 4\): the shape must be \(n, height"):
        shift(np.ones((3, 4)))
