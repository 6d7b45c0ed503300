"""What a notebook shows of a Tensor."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from tests.test_styling import contrast
from tinygrad_mlp import Tensor, paint
from tinygrad_mlp.showing import html_of


def shown(t):
    """The words of the HTML, which has to be well formed."""
    return [text for text in ET.fromstring(t._repr_html_()).itertext() if text.strip()]


def test_small_arrays_are_shown_entry_by_entry_with_what_they_are():
    t = Tensor([[0.5, -1.0], [0.0, 2.0]], requires_grad=True, name="W[0]")
    words = ["W[0]", "2×2, float64, requires a gradient", "0.50", "-1.00", "0", "2.00"]
    assert [text.strip() for text in shown(t)] == words
    assert shown(t * 2)[0] == "2×2, float64, made by multiply"
    assert shown(Tensor(3)) == ["scalar, int64", "3"]
    assert len(shown(Tensor(np.ones((2, 2, 3))))) == 1 + 12


def test_larger_arrays_are_shown_in_figures():
    assert shown(Tensor(np.ones((40, 2)))) == ["40×2, float64", "mean 1  sd 0, 1 to 1"]
    assert shown(Tensor(np.ones((1, 9)))) == ["1×9, float64", "mean 1  sd 0, 1 to 1"]
    assert shown(Tensor(np.full(50, np.nan)))[1] == "no finite number"
    assert shown(Tensor(np.zeros((0, 3)))) == ["0×3, float64", "empty"]
    assert shown(Tensor(np.full(50, 1e308)))[1].startswith("mean inf")


def test_what_is_no_real_number_of_numpys_is_named_only():
    assert shown(Tensor(np.ones(2, complex))) == ["2, complex128"]


def test_what_is_not_finite_is_said_and_does_not_dull_the_rest():
    t = Tensor([1.0, np.nan, np.inf])
    assert shown(t)[1:] == ["1.00", "nan", "inf"]
    assert paint.tint(1.0, 1.0) in html_of(t)


def test_names_stay_text():
    assert shown(Tensor(1.0, name="<script>alert(1)</script>"))[0].startswith("<script>")
    assert len(shown(Tensor(1.0, name="x" * 10_000))[0]) == 40


@pytest.mark.parametrize("v", [-1.0, -1e-3, 0.0, 0.5, 1.0])
def test_numbers_on_a_tint_can_be_read_and_others_have_the_ink_of_the_page(v):
    found = html_of(Tensor([v, 1.0]))
    if v:
        assert f"background:{paint.tint(v, 1.0)};color:{paint.ON_TINT}" in found
        assert contrast(paint.ON_TINT, paint.tint(v, 1.0)) >= 4.5
    else:
        assert found.count("color:") == 1


def test_nothing_of_the_graph_is_looked_at():
    t = Tensor(np.ones(2), requires_grad=True)
    for _ in range(5000):
        t = t * 1.0
    assert "made by multiply" in html_of(t)
