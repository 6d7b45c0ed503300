"""Colours that can be read, and the text of names and numbers."""

import numpy as np
import pytest

from tinygrad_mlp import cards, paint, styling
from tinygrad_mlp.paint import tint
from tinygrad_mlp.styling import block_means, number_text, one_line

PAIRS = [  # ink, ground, where
    *((ink, ground, f"header {role}") for role, (ground, ink) in cards.HEADERS.items()),
    (paint.INK, paint.GROUND, "formulas, zeros, the headline"),
    (paint.MUTED, paint.GROUND, "captions, comments, notes, legend"),
    (paint.MUTED, paint.GROUP, "names of groups"),
    (paint.GRADIENT, paint.GROUND, "captions of gradients"),
    (paint.GRADIENT, paint.GRADIENT_GROUND, "formulas of gradients"),
    (paint.SHAPE, paint.GRADIENT_GROUND, "their comments"),
    (paint.FAULT, paint.FAULT_GROUND, "faults"),
    (paint.FAULT, paint.GROUND, "captions of what is wrong"),
    (paint.MATCH, paint.GROUND, "captions of what is right"),
    (paint.MATCH, paint.RESULT, "gradient matches"),
    (paint.INK, paint.GROUP, "headers of chips"),
    (paint.GRADIENT, paint.GROUND, "sums of terms"),
    (paint.SHAPE, paint.GROUND, "their comments"),
]


def contrast(a, b):
    """The ratio of WCAG 2."""

    def luminance(color):
        c = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        c = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
        return c @ [0.2126, 0.7152, 0.0722]

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


GREEN_BLIND = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
)
"""Deuteranopia, on linear light: Machado, Oliveira and Fernandes, 2009."""


def green_blind(color):
    """A colour as it is seen without green cones."""
    c = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    c = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    c = np.clip(GREEN_BLIND @ c, 0, 1)
    c = np.where(c <= 0.0031308, 12.92 * c, 1.055 * c ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(255 * v):02x}" for v in c)


@pytest.mark.parametrize("role", cards.HEADERS)
def test_a_header_can_be_read_without_green_cones(role):
    ground, ink = cards.HEADERS[role]
    assert green_blind("#ffffff") == "#ffffff"
    for day in (True, False):
        seen = ground if day else paint.NIGHT[ground]
        text = ink if day or ink == paint.GROUND else paint.NIGHT[ink]
        assert contrast(green_blind(text), green_blind(seen)) >= 4.5


def test_blue_and_orange_stay_apart_without_green_cones():
    plus, minus = (green_blind(tint(v, 1.0)) for v in (1.0, -1.0))
    assert int(plus[5:], 16) - int(minus[5:], 16) > 100  # blue is seen as blue


def test_contrast_of_black_on_white_is_21():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize(("ink", "ground", "where"), PAIRS)
def test_text_can_be_read_by_day_and_by_night(ink, ground, where):
    assert contrast(ink, ground) >= 4.5, where
    night = paint.NIGHT[ground]
    assert contrast(ink if ink == paint.GROUND else paint.NIGHT[ink], night) >= 4.5, where


@pytest.mark.parametrize("v", [-1, -0.5, -1e-3, 1e-3, 0.5, 1])
def test_numbers_can_be_read_on_their_tint(v):
    assert contrast(paint.ON_TINT, tint(v, 1)) >= 4.5


def test_inks_of_tinted_cells_stay_as_they_are_at_night():
    assert paint.ON_TINT not in paint.NIGHT
    assert paint.PAPER not in paint.NIGHT
    assert all(tint(v, 1) not in paint.NIGHT for v in np.linspace(-1, 1, 201) if v)


def test_style_sheet_maps_every_colour_and_touches_only_our_pictures():
    style = paint.style_sheet()
    assert all(f'[fill="{day}"]{{fill:{night}}}' in style for day, night in paint.NIGHT.items())
    assert style.count(".tinygrad-mlp ") == style.count("[") == 2 * len(paint.NIGHT) + 1


def test_tint_grows_with_size_and_turns_with_sign():
    assert tint(0, 1) == "#ffffff"
    blue = [int(tint(v, 1)[1:3], 16) for v in (0.1, 0.5, 1)]
    orange = [int(tint(-v, 1)[5:7], 16) for v in (0.1, 0.5, 1)]
    assert blue == sorted(blue, reverse=True)
    assert orange == sorted(orange, reverse=True)


@pytest.mark.parametrize(
    ("v", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1.00"),
        (-0.25, "-0.25"),
        (0.005, "0.01"),
        (0.0049, "5e-3"),
        (-0.0001, "-1e-4"),
        (1e-300, "1e-300"),
        (9999.0, "9999.00"),
        (12345.0, "1.2e4"),
        (1e10, "1.0e10"),
        (7, "7"),
        (10**9, "1.0e9"),
        (True, "True"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
    ],
)
def test_numbers_are_short_and_never_look_like_zero(v, text):
    assert number_text(v) == text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("W[0]", "W[0]"),
        ("", ""),
        ("\x00\x1b\ud800", ""),
        ("two\nlines\tand\u00a0more", "two lines and more"),
        ("\u202eevil", "evil"),
        ("重み 🎉", "重み 🎉"),
        ("x" * 10_000, "x" * 39 + "…"),
        (7, "7"),
    ],
)
def test_names_become_one_short_legal_line(name, shown):
    assert one_line(name) == shown


@pytest.mark.parametrize("shape", [(1, 128), (15, 3), (64, 100), (14, 14), (29, 1)])
def test_block_means_keep_the_mean_of_their_entries(shape):
    a = np.random.default_rng(0).normal(size=shape)
    means = block_means(a)
    assert means.shape == tuple(min(n, styling.HEAT) for n in shape)
    for i, rows in enumerate(np.split(a, starts(shape[0]))):
        for j, part in enumerate(np.split(rows, starts(shape[1]), axis=1)):
            np.testing.assert_allclose(means[i, j], part.mean(), rtol=1e-12, atol=1e-15)


def starts(n):
    blocks = min(n, styling.HEAT)
    return [i * n // blocks for i in range(1, blocks)]
