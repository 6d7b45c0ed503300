"""Arrays as tables: numbers, heat maps, histograms, bars."""

import warnings
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from tinygrad_mlp import paint, tables
from tinygrad_mlp.cards import faults_of
from tinygrad_mlp.tables import bars, block, font


def cells_of(text):
    """The texts in a table."""
    return ["".join(td.itertext()) for td in ET.fromstring(text).iter("TD")]


def parsed(array, detail="all"):
    return cells_of(block("value", array, paint.MUTED, detail)[0])


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
    text, width, height, _ = block("value", a, paint.MUTED)
    assert text.count('WIDTH="5" HEIGHT="5" BGCOLOR') == 100
    assert text.count(tables.BAR[paint.MUTED]) == tables.HISTOGRAM
    assert cells_of(text)[-2:] == ["mean -0.5  sd 29", "-50 to 49  zeros 1%"]
    assert width > height > 50


def test_a_histogram_counts_what_numpy_counts():
    a = np.random.default_rng(0).normal(size=1000)
    text = tables.histogram(a, paint.MUTED).text
    heights = [
        int(td.attrib["HEIGHT"]) for td in ET.fromstring(text).iter("TD") if "BGCOLOR" in td.attrib
    ]
    counts = np.histogram(a, tables.HISTOGRAM)[0]
    assert heights == np.maximum(1, np.ceil(counts / counts.max() * 22)).tolist()


def test_where_there_are_many_cards_large_arrays_are_figures_only():
    words = ["value", "mean 1  sd 0", "1 to 1"]
    assert parsed(np.ones((10, 10)), "cells") == parsed(np.ones((2, 2)), "figures") == words
    assert parsed(np.ones((1, 2)), "cells")[-2:] == parsed(np.ones(2))[-2:] == ["1.00", "1.00"]
    assert parsed(np.float64(2), "figures")[-1] == "2.00"


def test_what_has_no_numbers_to_show_says_so():
    class Foreign:
        shape = (2,)

    assert parsed(np.zeros((0, 3))) == ["value", "empty"]
    assert parsed(Foreign()) == ["value", "test_tables array"]
    assert "no finite number" in parsed(np.full((10, 10), np.nan))
    assert "no histogram" in parsed(np.full((10, 10), np.inf))
    assert "no histogram" in parsed(np.array([[1e308] * 50, [-1e308] * 50]))


def test_what_is_no_number_is_marked():
    text = block("value", np.array([1.0, np.nan, -np.inf]), paint.MUTED)[0]
    assert text.count(paint.FAULT_GROUND) == text.count(paint.FAULT) == 2
    large = np.ones((10, 10))
    large[3, 4] = np.inf
    assert block("value", large, paint.MUTED)[0].count(f'BGCOLOR="{paint.FAULT}"') == 1
    assert faults_of("W", large) == ("W: 1 inf",)
    assert faults_of("W", np.array([np.nan, np.nan, np.inf])) == ("W: 2 nan, 1 inf",)
    assert faults_of("W", np.array([1])) == faults_of("W", None) == ()


def test_a_zero_in_a_heat_map_is_paper_which_stays_light_at_night():
    text = block("value", np.zeros((10, 10)), paint.MUTED)[0]
    assert text.count(f' BGCOLOR="{paint.PAPER}"></TD>') == 100


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble, np.int8, np.uint64, bool])
@pytest.mark.parametrize("shape", [(3, 3), (20, 20)])
def test_every_dtype_is_shown_without_a_warning(dtype, shape):
    a = np.ones(shape, dtype)
    if a.dtype.kind == "f":
        a *= np.finfo(dtype).max
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parsed(a)


def test_no_text_makes_no_element():
    assert font("", paint.INK, 9) == ""


def test_rounding_is_no_difference():
    a = np.array([[1.0, 1e-17, np.nan, np.inf]])
    b = np.array([1 + 1e-12, 0.0, np.nan, np.inf])
    assert tables.differing(a, b).tolist() == [[False] * 4]
    assert tables.differing(a, b + np.array([1, 0, 0, 0])).tolist() == [[True, False, False, False]]


def bars_of(figures):
    """Width and height of what is filled."""
    return [
        (int(td.get("WIDTH")), int(td.get("HEIGHT")))
        for td in ET.fromstring(bars(*figures).text).iter("TD")
        if td.get("BGCOLOR") in tables.BAR.values()
    ]


def test_a_figure_is_a_bar_that_lies_and_several_stand_side_by_side():
    assert bars_of(("zeros", "value", (0.5,), "50%")) == [(60, 10)]
    assert bars_of(("|dW|", "gradient", (0.0,), "0")) == [(1, 10)]
    assert bars_of(("|dW|", "gradient", (0.0, 0.5, 1.0), "0 to 1")) == [(39, 1), (39, 12), (39, 24)]
