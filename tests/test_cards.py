"""What is on a card: words, numbers, frames, and that it is what Graphviz reads."""

import re
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest
from test_tables import cells_of

from tinygrad_mlp import paint
from tinygrad_mlp.cards import Card, Row, card_label


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
    assert f'COLOR="{paint.FAULT}" BGCOLOR' in card_label(card)
    assert paint.FAULT not in card_label(card._replace(faults=()))


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
    assert text.count(f'BORDER="2" COLOR="{paint.FAULT}"') == 1
    assert text.startswith(
        f'<TABLE BORDER="4" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3" COLOR="{paint.FAULT}"'
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
        f'BORDER="1" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3" COLOR="{paint.FAULT}"' in text
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


def test_long_formulas_go_over_several_lines():
    formula = " + ".join(f"long_name_{i}" for i in range(8))
    text = card_label(Card("y", "2", formula=formula))
    assert text.count('<BR ALIGN="LEFT"/>') == 1
    assert "…" not in text
    assert "…" in card_label(Card("y", "2", formula=formula * 9))
