"""What is on a card: words, numbers, colours, and that it is what Graphviz reads."""

import re
import warnings
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest

from tinygrad_mlp import cards
from tinygrad_mlp.cards import (
    Card,
    Row,
    block,
    block_means,
    card_label,
    font,
    number_text,
    one_line,
    tint,
)

PAIRS = [  # ink, ground, where
    *((ink, ground, f"header {role}") for role, (ground, ink) in cards.HEADERS.items()),
    (cards.INK, cards.GROUND, "formulas, zeros, the headline"),
    (cards.MUTED, cards.GROUND, "captions, comments, notes, legend"),
    (cards.MUTED, cards.GROUP, "names of groups"),
    (cards.GRADIENT, cards.GROUND, "captions of gradients"),
    (cards.GRADIENT, cards.GRADIENT_GROUND, "formulas of gradients"),
    (cards.SHAPE, cards.GRADIENT_GROUND, "their comments"),
    (cards.FAULT, cards.FAULT_GROUND, "faults"),
    (cards.FAULT, cards.GROUND, "captions of what is wrong"),
    (cards.MATCH, cards.GROUND, "captions of what is right"),
    (cards.MATCH, cards.RESULT, "gradient matches"),
    (cards.INK, cards.GROUP, "headers of chips"),
    (cards.GRADIENT, cards.GROUND, "sums of terms"),
    (cards.SHAPE, cards.GROUND, "their comments"),
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
        seen = ground if day else cards.NIGHT[ground]
        text = ink if day or ink == cards.GROUND else cards.NIGHT[ink]
        assert contrast(green_blind(text), green_blind(seen)) >= 4.5


def test_blue_and_orange_stay_apart_without_green_cones():
    plus, minus = (green_blind(tint(v, 1.0)) for v in (1.0, -1.0))
    assert int(plus[5:], 16) - int(minus[5:], 16) > 100  # blue is seen as blue


def test_contrast_of_black_on_white_is_21():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize(("ink", "ground", "where"), PAIRS)
def test_text_can_be_read_by_day_and_by_night(ink, ground, where):
    assert contrast(ink, ground) >= 4.5, where
    night = cards.NIGHT[ground]
    assert contrast(ink if ink == cards.GROUND else cards.NIGHT[ink], night) >= 4.5, where


@pytest.mark.parametrize("v", [-1, -0.5, -1e-3, 1e-3, 0.5, 1])
def test_numbers_can_be_read_on_their_tint(v):
    assert contrast(cards.ON_TINT, tint(v, 1)) >= 4.5


def test_inks_of_tinted_cells_stay_as_they_are_at_night():
    assert cards.ON_TINT not in cards.NIGHT
    assert cards.PAPER not in cards.NIGHT
    assert all(tint(v, 1) not in cards.NIGHT for v in np.linspace(-1, 1, 201) if v)


def test_style_sheet_maps_every_colour_and_touches_only_our_pictures():
    style = cards.style_sheet()
    assert all(f'[fill="{day}"]{{fill:{night}}}' in style for day, night in cards.NIGHT.items())
    assert style.count(".tinygrad-mlp ") == style.count("[") == 2 * len(cards.NIGHT) + 1


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


def cells_of(text):
    """The texts in a table."""
    return ["".join(td.itertext()) for td in ET.fromstring(text).iter("TD")]


def parsed(array, heat=True):
    return cells_of(block("value", array, cards.MUTED, heat)[0])


def test_small_arrays_are_printed_entry_by_entry():
    assert parsed(np.array([[1.0, -2.5], [0.0, 1e-3]]))[2:] == ["1.00", "-2.50", "0", "1e-3"]
    assert parsed(np.float64(2))[2:] == ["2.00"]
    assert parsed(np.arange(24).reshape(2, 3, 4))[2:] == [str(i) for i in range(24)]
    assert parsed(np.array([True, False]))[2:] == ["True", "False"]
    assert parsed(np.array([3 + 4j]))[0] == "|value|"
    assert parsed(np.array([3 + 4j]))[-1] == "5.00"


@pytest.mark.parametrize(
    ("shape", "printed"), [((4, 8), True), ((4, 9), False), ((6, 6), True), ((37, 1), False)]
)
def test_an_array_is_printed_up_to_36_entries_and_8_columns(shape, printed):
    assert ("1.00" in parsed(np.ones(shape))) is printed


def test_large_arrays_are_a_heat_map_a_histogram_and_figures():
    a = np.arange(-50.0, 50.0).reshape(10, 10)
    text, width, height = block("value", a, cards.MUTED, True)
    assert text.count("<TD BGCOLOR=") == 100 + cards.BARS
    assert text.count(cards.BAR[cards.MUTED]) == cards.BARS
    assert cells_of(text)[-2:] == ["mean -0.5  sd 29", "-50 to 49  zeros 1%"]
    assert width > height > 50


def test_a_histogram_counts_what_numpy_counts():
    a = np.random.default_rng(0).normal(size=1000)
    text, _ = cards.histogram(a, cards.MUTED)
    heights = [
        int(td.attrib["HEIGHT"]) - 1
        for td in ET.fromstring(text).iter("TD")
        if "BGCOLOR" in td.attrib
    ]
    counts = np.histogram(a, cards.BARS)[0]
    assert heights == np.ceil(counts / counts.max() * 21).tolist()


def test_where_there_are_many_cards_large_arrays_are_figures_only():
    assert parsed(np.ones((10, 10)), heat=False) == ["value", "mean 1  sd 0", "1 to 1"]


def test_what_has_no_numbers_to_show_says_so():
    class Foreign:
        shape = (2,)

    assert parsed(np.zeros((0, 3))) == ["value", "empty"]
    assert parsed(Foreign()) == ["value", "test_cards array"]
    assert "no finite number" in parsed(np.full((10, 10), np.nan))
    assert "no histogram" in parsed(np.full((10, 10), np.inf))
    assert "no histogram" in parsed(np.array([[1e308] * 50, [-1e308] * 50]))


def test_what_is_no_number_is_marked():
    text = block("value", np.array([1.0, np.nan, -np.inf]), cards.MUTED, True)[0]
    assert text.count(cards.FAULT_GROUND) == text.count(cards.FAULT) == 2
    large = np.ones((10, 10))
    large[3, 4] = np.inf
    assert block("value", large, cards.MUTED, True)[0].count(f'BGCOLOR="{cards.FAULT}"') == 1
    assert cards.faults_of("W", large) == ("W: 1 inf",)
    assert cards.faults_of("W", np.array([np.nan, np.nan, np.inf])) == ("W: 2 nan, 1 inf",)
    assert cards.faults_of("W", np.array([1])) == cards.faults_of("W", None) == ()


def test_a_zero_in_a_heat_map_is_paper_which_stays_light_at_night():
    text = block("value", np.zeros((10, 10)), cards.MUTED, True)[0]
    assert text.count(f'<TD BGCOLOR="{cards.PAPER}"') == 100


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble, np.int8, np.uint64, bool])
@pytest.mark.parametrize("shape", [(3, 3), (20, 20)])
def test_every_dtype_is_shown_without_a_warning(dtype, shape):
    a = np.ones(shape, dtype)
    if a.dtype.kind == "f":
        a *= np.finfo(dtype).max
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parsed(a)


@pytest.mark.parametrize("shape", [(1, 128), (15, 3), (64, 100), (14, 14), (29, 1)])
def test_block_means_keep_the_mean_of_their_entries(shape):
    a = np.random.default_rng(0).normal(size=shape)
    means = block_means(a)
    assert means.shape == tuple(min(n, cards.HEAT) for n in shape)
    for i, rows in enumerate(np.split(a, starts(shape[0]))):
        for j, part in enumerate(np.split(rows, starts(shape[1]), axis=1)):
            np.testing.assert_allclose(means[i, j], part.mean(), rtol=1e-12, atol=1e-15)


def starts(n):
    blocks = min(n, cards.HEAT)
    return [i * n // blocks for i in range(1, blocks)]


def test_no_text_makes_no_element():
    assert font("", cards.INK, 9) == ""


def test_a_card_has_places_for_formulas_of_gradients():
    card = Card("Z", "2", formula="A @ W", gradient=np.ones(2), carries=(0, 1))
    assert 'PORT="b"' in card_label(card)
    rows = (Row(0, "dA", "dA = dZ @ W.T", "2 @ 2×2"), Row(1, "", "dW = …"))
    text = card_label(card._replace(backward=rows), 7)
    assert 'ID="r-7-0" TITLE="dA"' in text
    assert "r-7-1" not in text  # of no line of a program
    assert 'PORT="b"' not in text
    assert 'PORT="r0"' in text
    assert 'PORT="r1"' in text
    assert cells_of(text)[-2:] == ["dA = dZ @ W.T  # 2 @ 2×2", "dW = …"]


def test_a_card_says_what_is_wrong_with_it():
    card = Card("W", "2", "parameter", uses=2, notes=("overwritten",), faults=("W: 1 nan",))
    assert cells_of(card_label(card)) == [
        "W  2  parameter, used 2 times",
        "overwritten",
        "W: 1 nan",
    ]
    assert f'COLOR="{cards.FAULT}" BGCOLOR' in card_label(card)
    assert cards.FAULT not in card_label(card._replace(faults=()))


@pytest.mark.parametrize(
    ("shape", "parents", "stacked"),
    [
        ((2, 2), (), False),
        ((2, 2), (0,), False),
        ((2, 4), (), True),  # beside its op it would take much room
        ((2, 4), (0,), False),
        ((4, 8), (0,), True),
        ((12, 3), (), False),  # high, but narrow
        ((9, 4), (0,), True),
    ],
)
def test_values_and_gradients_stand_side_by_side_if_there_is_room(shape, parents, stacked):
    array = np.full(shape, -0.25)
    card = Card("W", "", value=array, gradient=array, parents=parents)
    text = card_label(card, 3)
    both = re.search(r'<TR>(<TD [^>]*ID="v-3".*?)ID="g-3"', text)[1]
    tree = ET.fromstring(text)
    rows = [tr for tr in tree.iter("TR") if any(td.get("ID") == "v-3" for td in tr.findall("TD"))]
    assert len(rows[0].findall("TD")) == 2 - stacked
    assert both


def marked(status, yours=None, text="", **more):
    return SimpleNamespace(status=status, yours=yours, truth=None, text=text, **more)


def test_a_wrong_gradient_stands_beside_the_right_one_with_its_wrong_cells_boxed():
    right, wrong = np.array([1.0, 0.0, -2.0]), np.array([1.0, 3.0, -2.0])
    mark = marked("wrong", wrong, "the mask is missing")
    text = card_label(Card("Z", "3", value=right, gradient=right, slope="dZ", mark=mark))
    assert text.count(f'BORDER="2" COLOR="{cards.FAULT}"') == 1
    assert text.startswith(
        f'<TABLE BORDER="4" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3" COLOR="{cards.FAULT}"'
    )
    found = cells_of(text)
    assert [word for word in found if word in ("value", "yours: dZ", "autograd")] == [
        "value",
        "yours: dZ",
        "autograd",
    ]
    assert found[-1] == "the mask is missing"


def test_what_only_follows_has_a_thin_dashed_frame_and_no_second_array():
    g = np.array([1.0, 2.0])
    text = card_label(Card("W", "2", gradient=g, mark=marked("follows", 2 * g, "follows from dZ")))
    assert (
        f'BORDER="1" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3" COLOR="{cards.FAULT}"' in text
    )
    assert 'STYLE="dashed"' in text
    assert "autograd" not in text
    assert cells_of(text)[-1] == "follows from dZ"


def test_a_right_gradient_says_so_and_what_no_cause_is_known_of_is_framed():
    card = Card("W", "2", "parameter", gradient=np.ones(2))
    assert "gradient matches" in card_label(card._replace(mark=marked("same")))
    text = card_label(card._replace(mark=marked("unknown", 2 * np.ones(2), "differs")))
    assert ">yours: dW<" in text
    assert ">autograd<" in text
    assert 'BORDER="4"' in text
    assert cells_of(text)[-1] == "differs"


def test_a_gradient_of_another_shape_is_shown_but_not_boxed():
    mark = marked("wrong", np.ones((3, 2)), "transposed")
    text = card_label(Card("W", "2×3", gradient=np.ones((2, 3)), mark=mark))
    assert 'BORDER="2"' not in text
    assert "transposed" in text


def test_a_gradient_that_is_missing_leaves_the_right_one():
    text = card_label(Card("W", "2", gradient=np.ones(2), mark=marked("wrong", None, "missing")))
    assert "yours" not in text
    assert cells_of(text)[-1] == "missing"


def test_rounding_is_no_difference():
    a = np.array([[1.0, 1e-17, np.nan, np.inf]])
    b = np.array([1 + 1e-12, 0.0, np.nan, np.inf])
    assert cards.differing(a, b) == [[False] * 4]
    assert cards.differing(a, b + np.array([1, 0, 0, 0])) == [[True, False, False, False]]


def test_a_chip_is_dashed_and_says_what_it_is():
    card = Card("W", "2", "parameter", uses=0, gradient=np.ones(2), same=0)
    text = card_label(card)
    assert 'STYLE="dashed"' in text
    assert cells_of(text)[0] == "W  2  the same array"
    assert "its term of dW" in cells_of(text)


def test_equal_gradients_name_both():
    card = Card("F", "2", gradient=np.ones(2), caption="dF = dy")
    assert "dF = dy" in cells_of(card_label(card))


def test_many_cards_in_one_have_a_second_rim_and_their_lines():
    text = card_label(Card("layer 0..7", "", "layer", times=8, lines=("a = f(b)", "c = g(a)")))
    assert cells_of(text)[1] == "layer 0..7  × 8    layer"
    assert {"a = f(b)", "c = g(a)"} <= set(cells_of(text))
    assert ET.fromstring(text).get("CELLSPACING") == "3"


def bars_of(bars):
    """Width and height of what is filled."""
    return [
        (int(td.get("WIDTH")), int(td.get("HEIGHT")))
        for td in ET.fromstring(card_label(Card("layer", "", bars=(bars,)))).iter("TD")
        if td.get("BGCOLOR") in cards.BAR.values()
    ]


def test_a_figure_is_a_bar_that_lies_and_several_stand_side_by_side():
    assert bars_of(("zeros", "value", (0.5,), "50%")) == [(60, 10)]
    assert bars_of(("|dW|", "gradient", (0.0,), "0")) == [(1, 10)]
    assert bars_of(("|dW|", "gradient", (0.0, 0.5, 1.0), "0 to 1")) == [(40, 1), (40, 12), (40, 24)]


def test_long_formulas_go_over_several_lines():
    formula = " + ".join(f"long_name_{i}" for i in range(8))
    text = card_label(Card("y", "2", formula=formula))
    assert text.count('<BR ALIGN="LEFT"/>') == 1
    assert "…" not in text
    assert "…" in card_label(Card("y", "2", formula=formula * 9))
