"""Many cards as few: what goes together, what runs are, and that the graph stays one."""

import html
import re
import time
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_mlp import MLP, Tensor, boxing, draw, grad, mse, scope
from tinygrad_mlp.arranging import everything
from tinygrad_mlp.boxing import general, span
from tinygrad_mlp.cards import Card, Row
from tinygrad_mlp.errors import RenderError
from tinygrad_mlp.folding import FEW, fold, spread

SVG = "{http://www.w3.org/2000/svg}"


def mlp(n, numbers=True):
    """The cards of an MLP of n layers, each with its own W and a relu but the last."""
    cards = [Card("A[0]", "4×2", "input")]
    for i in range(n):
        scope = f"layer {i}"
        above = len(cards) - 1
        ones = np.full((2, 2), i + 1.0) if numbers else None
        cards.append(Card(f"W[{i}]", "2×2", "parameter", value=ones, gradient=ones))
        last = i == n - 1
        z = "y" if last else f"Z[{i + 1}]"
        formula = f"{cards[above].name} @ W[{i}]"
        at = len(cards)
        cards.append(
            Card(
                z,
                "4×2",
                scope=scope,
                formula=formula,
                value=ones,
                parents=(above, at - 1),
                spine=above,
                carries=(above, at - 1) if i else (at - 1,),
                backward=(Row(at - 1, f"dW[{i}]", f"dW[{i}] = ..."),),
            )
        )
        if not last:
            relu = Card(f"A[{i + 1}]", "4×2", scope=scope, formula=f"relu({z})", value=ones)
            cards.append(relu._replace(parents=(at,), spine=at, carries=(at,)))
    at = len(cards) - 1
    cards.append(Card("t", "4×2", "target"))
    loss = Card("L", "scalar", "loss", formula="mse(y, t)", parents=(at, at + 1), spine=at)
    cards.append(loss._replace(carries=(at,), backward=(Row(at, "dy", "dy = 2 * (y - t)"),)))
    return cards


def chain(functions, start="input"):
    """The cards of a chain without scopes."""
    cards = [Card("x", "2", start)]
    for i, fun in enumerate(functions):
        above = len(cards) - 1
        formula = f"{fun}({cards[above].name})"
        cards.append(Card(f"h{i}", "2", formula=formula, parents=(above,), spine=above))
    above = len(cards) - 1
    cards.append(Card("L", "scalar", "loss", formula="sum(h)", parents=(above,), spine=above))
    return cards


def names(cards, expand=()):
    return [card.name for card in fold(cards, expand)[0]]


def box(cards, name, expand=()):
    return next(card for card in fold(cards, expand)[0] if card.name == name)


# --- layers ---------------------------------------------------------------------------------------


def test_a_scope_becomes_a_box_and_like_ones_in_a_row_one_box():
    folded, note = fold(mlp(26))
    assert [card.name for card in folded] == ["A[0]", "layer 0..24", "layer 25", "t", "L"]
    assert [card.times for card in folded] == [1, 25, 1, 1, 1]
    assert [card.parents for card in folded] == [(), (0,), (1,), (), (2, 3)]
    assert [card.spine for card in folded] == [None, 0, 1, None, 2]
    assert [card.carries for card in folded] == [(), (), (1,), (), (2,)]
    assert folded[-1].backward == (Row(2, "dy", "dy = 2 * (y - t)"),)
    assert note == (
        "80 cards folded into 5; a double rim is a run of like layers; "
        'open one with expand="layer 0"'
    )


def test_a_box_says_its_lines_shapes_and_weights_and_a_run_with_the_number_of_the_layer():
    run, last = fold(mlp(26))[0][1:3]
    assert run.lines == ("Z[i+1] = A[i] @ W[i]  # i = 0..24", "A[i+1] = relu(Z[i+1])")
    assert run.notes == ("100 weights = 25 × 4: W[i] 2×2",)
    assert run.shape == last.shape == "4×2 → 4×2"
    assert last.lines == ("y = A[25] @ W[25]",)
    assert last.notes == ("4 weights: W[25] 2×2",)
    assert {run.role, last.role} == {"layer"}


def test_bars_stand_for_the_layers_on_one_scale():
    run, last = fold(mlp(4))[0][1:3]
    assert run.bars == (
        ("|A| mean", "value", (0.25, 0.5, 0.75), "1 to 3"),
        ("|dW| mean", "gradient", (0.25, 0.5, 0.75), "1 to 3"),
    )
    assert last.bars[0] == ("|A| mean", "value", (1.0,), "4")
    assert fold(mlp(4, numbers=False))[0][1].bars == ()


def test_the_share_of_zeros_is_shown_where_there_are_any():
    cards = mlp(4)
    cards = [
        card._replace(value=np.array([[0.0, 1.0]])) if card.name[:2] == "A[" else card
        for card in cards
    ]
    assert fold(cards)[0][1].bars[-1] == ("zeros", "value", (0.5, 0.5, 0.5), "50% to 50%")


def test_of_a_long_run_some_layers_get_bars_the_first_and_the_last_among_them():
    shares = fold(mlp(1001))[0][1].bars[0][2]
    assert len(shares) == boxing.BARS
    assert (shares[0], shares[-1]) == (1 / 1001, 1000 / 1001)


def test_numbers_that_are_not_finite_do_not_reach_the_scale_and_faults_are_counted():
    cards = mlp(5)
    bad = np.array([[np.nan]])
    for i, card in enumerate(cards):
        if card.name in ("A[2]", "A[3]"):
            cards[i] = card._replace(value=bad, faults=(f"{card.name}: 1 nan", "dA: 1 nan"))
    run = fold(cards)[0][1]
    assert run.faults == ("A[2]: 1 nan", "and 3 more")
    assert run.bars[0] == ("|A| mean", "value", (0.2, 0.0, 0.0, 0.8), "1 to 4")


def test_two_like_layers_are_drawn_one_by_one():
    assert names(mlp(3)) == ["A[0]", "layer 0", "layer 1", "layer 2", "t", "L"]


def test_layers_of_other_shapes_formulas_or_names_are_no_run():
    cards = mlp(8)
    cards[1] = cards[1]._replace(shape="3×2")
    assert names(cards)[1:3] == ["layer 0", "layer 1..6"]
    cards = [
        card._replace(formula=card.formula.replace("relu(Z[3]", "tanh(Z[3]")) for card in cards
    ]
    assert names(cards)[1:-3] == ["layer 0", "layer 1", "layer 2", "layer 3..6"]
    cards = [
        card._replace(scope=card.scope.replace("layer", "block")) if i > 15 else card
        for i, card in enumerate(mlp(8))
    ]
    assert names(cards)[1:-3] == ["layer 0..4", "block 5", "block 6"]


def test_where_names_do_not_count_with_the_layers_the_first_stands_for_all():
    cards = mlp(8)
    odd = {f"Z[{i}]": f"Z[{3 * i}]" for i in range(1, 8)}
    cards = [
        card._replace(
            name=odd.get(card.name, card.name),
            formula=re.sub(r"Z\[\d+\]", lambda found: odd[found[0]], card.formula),
        )
        for card in cards
    ]
    run = fold(cards)[0][1]
    assert run.lines == ("Z[3] = A[0] @ W[0]", "A[1] = relu(Z[3])")
    assert run.notes[0] == "the lines of A[1]; the others are alike"


def test_many_lines_are_shortened():
    cards = [card._replace(scope="all") for card in chain("abcdefghij")]
    lines = box([*cards[:-1], cards[-1]._replace(scope="")], "all").lines
    assert lines[0] == "h0 = a(x)"
    assert lines[4:] == ("... 5 lines ...", "h9 = j(h8)")
    assert len(lines) == boxing.LINES


# --- scopes in scopes, and left and entered again -------------------------------------------------


def residual(n, prefix=""):
    """Blocks x + inner(x), whose parts have scopes of their own."""
    cards = [Card("x", "2", "input")]
    for i in range(n):
        x = len(cards) - 1
        scope, name = f"{prefix}blocks[{i}]", cards[x].name
        at = len(cards)
        cards.append(Card(f"{scope}.inner.W", "2×2", "parameter"))
        formula = f"{name} @ {scope}.inner.W"
        cards.append(Card(f"a{i}", "2", "", f"{scope}.inner", 0, formula, parents=(x, at), spine=x))
        formula = f"{name} + a{i}"
        cards.append(Card(f"h{i}", "2", "", scope, 0, formula, parents=(x, at + 1), spine=at + 1))
    last = len(cards) - 1
    cards.append(Card("L", "scalar", "loss", formula="sum", parents=(last,), spine=last))
    return cards


@pytest.mark.parametrize("prefix", ["", "net.", "a.b."])
def test_what_lies_deeper_belongs_to_the_block_and_what_all_share_tells_nothing_apart(prefix):
    cards = residual(6, prefix)
    assert names(cards) == ["x", f"{prefix}blocks[0..5]", "L"]
    run = box(cards, f"{prefix}blocks[0..5]")
    assert run.lines == (
        f"a[i] = h[i-1] @ {prefix}blocks[i].inner.W  # i = 0..5",
        "h[i] = h[i-1] + a[i]",
    )


def test_a_scope_that_what_reads_from_it_leads_back_to_becomes_two_boxes():
    cards = [
        Card("x", "2", "input"),
        Card("a", "2", scope="A", formula="f(x)", parents=(0,), spine=0),
        Card("b", "2", scope="A", formula="f(a)", parents=(1,), spine=1),
        Card("c", "2", scope="B", formula="f(b)", parents=(2,), spine=2),
        Card("d", "2", scope="A", formula="f(c)", parents=(3,), spine=3),
        Card("e", "2", scope="A", formula="f(d)", parents=(4,), spine=4),
        Card("L", "scalar", "loss", formula="sum(e)", parents=(5,), spine=5),
    ]
    assert names(cards) == ["x", "A", "c", "A (part 2)", "L"]


def test_a_scope_that_is_entered_again_without_that_is_one_box():
    cards = [
        Card("x", "2", "input"),
        Card("a", "2", scope="A", formula="f(x)", parents=(0,), spine=0),
        Card("b", "2", scope="B", formula="f(x)", parents=(0,), spine=0),
        Card("c", "2", scope="A", formula="f(a, b)", parents=(1, 2), spine=1),
        Card("L", "scalar", "loss", formula="sum(c)", parents=(3,), spine=3),
    ]
    assert names(cards) == ["x", "b", "A", "L"]


def test_a_skip_over_boxes_keeps_them_in_order():
    cards = mlp(9)
    cards[-1] = cards[-1]._replace(parents=(*cards[-1].parents, 3, 9))  # from layers 0 and 2
    folded = fold(cards)[0]
    assert [card.name for card in folded][1] == "layer 0..7"
    assert folded[-1].parents == (2, 3, 1)


# --- without scopes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("functions", "found"),
    [
        (["tanh"] * 100, ["h0..99"]),
        (["tanh", "sin"] * 50, ["h1..99"]),
        (["a", "b", "c", "a", "b", "c", "a", "b", "c", "d"], ["h2..8", "h9"]),
        (["a", "b", "c", "d"], ["h0", "h1", "h2", "h3"]),
        (["e", *["a", "b"] * 3, *["c"] * 4], ["h0", "h2..6", "h7..10"]),
    ],
)
def test_steps_that_repeat_are_found(functions, found):
    assert names(chain(functions)) == ["x", *found, "L"]


def test_a_run_does_not_fork():
    cards = chain(["tanh"] * 5)[:-1]
    twin = Card("k", "2", formula="tanh(h3)", parents=(4,), spine=4)
    loss = Card("L", "scalar", "loss", formula="sum(h4 * k)", parents=(5, 6), spine=5)
    assert names([*cards, twin, loss]) == ["x", "h0..4", "k", "L"]


def test_the_last_card_stays_the_last_and_other_results_stay():
    cards = chain(["tanh"] * 9)
    late = Card("R", "2", "result", formula="exp(x)", parents=(0,), spine=0)
    assert names([*cards, late]) == ["x", "h0..8", "L", "R"]


def test_a_run_of_steps_counts_them_as_its_name_does():
    run = box(chain(["tanh", "sin"] * 50), "h1..99")
    assert run.lines == ("h0 = tanh(x)", "h1 = sin(h0)")
    assert run.notes == ("the lines of h1; the others are alike",)
    assert box(chain(["tanh"] * 9), "h0..8").lines == ("h[i] = tanh(h[i-1])  # i = 0..8",)


def test_it_is_said_when_nothing_was_folded():
    assert fold(chain("abcd"))[1] == ""
    assert fold(chain("abcd"))[0] == chain("abcd")


def recurrent(n):
    """Steps that share W; x[0] and so on come in. Chips stand for its later uses."""
    cards = [Card("h0", "2", "input"), Card("W", "2×2", "parameter", gradient=np.ones((2, 2)))]
    h = 0
    for i in range(n):
        x = len(cards)
        cards.append(Card(f"x{i}", "2", "input"))
        w = 1
        if i:
            w = len(cards)
            cards.append(Card("W", "2×2", "parameter", gradient=np.eye(2) * i, same=1))
        formula = f"tanh(x{i} + {cards[h].name} @ W)"
        cards.append(
            Card(f"h{i + 1}", "2", formula=formula, parents=(x, h, w), spine=h, carries=(h, w))
        )
        h = len(cards) - 1
    cards.append(Card("L", "scalar", "loss", formula="sum", parents=(h,), spine=h))
    return cards


def test_what_several_boxes_share_has_a_card_of_its_own():
    folded = fold(recurrent(30))[0]
    assert [card.name for card in folded] == ["h0", "W", "x0", "h1", "h2..30", "L"]
    assert folded[4].parents == (3, 1)
    assert folded[4].carries == (3, 1)
    assert folded[4].notes == ()
    assert folded[4].bars[0][0] == "|dW| mean"  # of the terms


def test_few_inputs_stay_outside_many_go_into_their_boxes():
    inputs = [f"x{i}" for i in range(5)]
    assert sorted(names(recurrent(5))) == sorted(["h0", "W", *inputs, "h1", "h2..5", "L"])
    assert "x1" not in names(recurrent(30))


def test_chips_are_drawn_where_their_card_is():
    cards = recurrent(30)
    folded = fold(cards, "h10")[0]
    at = {card.name: i for i, card in enumerate(folded)}
    chips = [card for card in folded if card.same is not None]
    assert [card.name for card in chips] == ["W"]
    assert chips[0].same == 1
    assert folded[at["h10"]].parents[-1] == at["h10"] - 1


# --- opening --------------------------------------------------------------------------------------


def test_a_layer_is_opened_by_its_scope_by_what_is_in_it_or_with_the_whole_run():
    cards = mlp(8)
    opened = ["A[0]", "layer 0..2", "W[3]", "Z[4]", "A[4]", "layer 4..6", "layer 7", "t", "L"]
    assert names(cards, "layer 3") == opened
    assert names(cards, ["Z[4]"]) == opened
    assert box(cards, "Z[4]", "layer 3").scope == "layer 3"  # drawn in its group
    assert box(cards, "L").scope == ""
    whole = names(cards, "layer 0..6")
    assert whole == [card.name for card in cards[:-4]] + ["layer 7", "t", "L"]


def test_a_card_without_a_scope_is_opened_alone():
    assert names(chain(["tanh"] * 10), ["h4", "h6"]) == [
        *("x", "h0..3", "h4", "h5", "h6", "h7..9", "L"),
    ]


def test_scopes_are_opened_to_the_depth_that_was_asked_for():
    cards = residual(6)
    opened = names(cards, "blocks[2]")
    assert opened[3:6] == ["blocks[2].inner.W", "a2", "h2"]
    inner = fold(cards, "blocks[2].inner")[0]
    assert [card.name for card in inner][3:6] == ["blocks[2].inner.W", "a2", "h2"]
    assert [card.scope for card in inner][3:6] == ["", "blocks[2].inner", ""]


def test_a_scope_whose_name_begins_with_a_dot_can_be_opened():
    cards = [card._replace(scope=f".{card.scope}") if card.scope else card for card in mlp(8)]
    assert "Z[4]" in names(cards, ".layer 3")


def test_a_large_scope_is_opened_by_one_level():
    cards = [card._replace(scope=f"net.{card.scope}") if card.scope else card for card in mlp(30)]
    cards[-1] = cards[-1]._replace(scope="end")
    assert names(cards) == ["A[0]", "net", "t", "L"]
    assert len(cards) > FEW
    assert names(cards, "net") == ["A[0]", "net.layer 0..28", "net.layer 29", "t", "L"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("layr 3", "'layr 3'.*Did you mean 'layer 3'.*'layer 0', 'layer 1'"),
        ("layer 90..99", "'layer 90..99'"),
        ("", "nothing here is called that"),
    ],
)
def test_what_is_not_there_cannot_be_opened(asked, words):
    with pytest.raises(RenderError, match=words):
        fold(mlp(8), asked)
    with pytest.raises(RenderError, match=r"called that\.$"):
        fold(chain("ab"), "zzz")


@pytest.mark.parametrize(
    ("first", "last", "name"),
    [
        ("layer 3", "layer 22", "layer 3..22"),
        ("blocks[0].up", "blocks[9].up", "blocks[0..9].up"),
        ("tanh", "tanh9", "tanh ... tanh9"),
        ("a1b1", "a2b2", "a1b1 ... a2b2"),
        ("q", "k", "q ... k"),
        ("q", "q", "q"),
    ],
)
def test_a_run_is_called_after_its_first_and_last(first, last, name):
    assert span(first, last) == name


def test_a_range_is_not_spelled_out_without_end():
    assert spread("layer 3..4") == ["layer 3", "layer 4"]
    assert len(spread("layer 0..99999999999")) < 200_000


# --- any graph ------------------------------------------------------------------------------------


@st.composite
def graphs(draw):
    """Cards of a graph in which everything leads to the last, with scopes as they come."""
    n = draw(st.integers(2, 40))
    scopes = draw(
        st.lists(st.sampled_from(["", "s 0", "s 1", "s 2", "a", "a.b", "a.c", "b[0].x", "b[1].x"]))
    )
    cards = []
    unused = []
    for i in range(n):
        if not cards or (i < n - 1 and draw(st.integers(0, 3)) == 0):
            mains = [k for k, c in enumerate(cards) if c.role == "parameter" and c.same is None]
            same = draw(st.sampled_from(mains)) if mains and draw(st.booleans()) else None
            role = draw(st.sampled_from(["parameter", "input", "target", "constant"]))
            name = f"p{i}" if same is None else cards[same].name
            role = role if same is None else "parameter"
            cards.append(Card(name, "2", role, same=same))
        else:
            some = draw(st.lists(st.integers(max(0, i - 6), i - 1), min_size=1, max_size=3))
            parents = tuple(dict.fromkeys(unused if i == n - 1 else some))
            scope = draw(st.sampled_from(scopes or [""]))
            formula = " + ".join(cards[p].name for p in parents)
            card = Card(f"h{i}", "2", "", scope, 0, formula, parents=parents, spine=parents[0])
            cards.append(card._replace(carries=parents))
            unused = [u for u in unused if u not in parents]
        unused.append(i)
    return cards


@given(graphs(), st.integers(0, 100))
def test_every_way_stays_and_parents_come_first(cards, asked):
    expand = [cards[asked % len(cards)].name] if asked < 50 else []
    folded, note = fold(cards, expand)
    assert (folded, note) == fold(cards, expand)
    for i, card in enumerate(folded):
        assert all(p < i for p in (*card.parents, card.spine or 0) if i)
        assert i not in card.carries
    assert folded[-1].name == cards[-1].name
    reached = set()
    stack = [len(folded) - 1]
    while stack:
        i = stack.pop()
        if i not in reached:
            reached.add(i)
            same = folded[i].same
            stack += [*folded[i].parents, *([] if same is None else [same])]
    assert reached == set(range(len(folded)))
    assert len(folded) <= len(cards)
    assert bool(note) == any(card.role == "layer" for card in folded)


def seconds(cards):
    start = time.process_time()
    fold(cards)
    return time.process_time() - start


@pytest.mark.slow
def test_twenty_thousand_cards_are_folded_in_linear_time():
    small, large = (
        min(seconds(chain(["tanh", "sin"] * n)) for _ in range(2)) for n in (2500, 10000)
    )
    assert large < 8 * small
    assert large < 3  # 0.3 where nothing else runs


def test_the_number_that_counts_is_found_among_others():
    assert general(["a1[2].W", "a1[3].W", "a1[9].W"], 9, 1) == "a1[i].W"
    assert general(["0.05 * a1[2]", "0.05 * a2[3]", "0.05 * a8[9]"], 9, 0) == "0.05 * a[i][i+1]"
    assert general(["a1", "a1", "b1"], 3, 0) == general(["a1", "a2", "a9"], 9, 0) == ""


# --- in a picture ---------------------------------------------------------------------------------


def deep(sizes, backward=True):
    net = MLP(sizes, rng=0)
    x = np.random.default_rng(0).normal(size=(4, sizes[0]))
    loss = mse(net(x), Tensor(np.zeros((4, sizes[-1])), name="t"))
    if backward:
        loss.backward()
    return loss


def listed(drawing):
    return [line.split("  ")[0] for line in drawing.listing.splitlines()]


def test_a_graph_of_more_than_40_cards_is_folded_and_a_smaller_one_is_not():
    assert listed(draw(deep([2] * 10)))[1] == "W[0]"  # 39 cards
    assert listed(draw(deep([2] * 11)))[:3] == ["A[0]", "layer 0..8", "layer 9"]
    assert listed(draw(deep([2] * 11), "line"))[1] == "W[0]"
    assert listed(draw(deep([2] * 3), "layer"))[:3] == ["A[0]", "layer 0", "layer 1"]


def test_a_picture_says_how_large_the_graph_was_and_how_to_open_a_box():
    drawing = draw(deep([2] * 11))
    whole = (
        "20 lines, 20 parameters; 42 cards folded into 5; a double rim is a run of like layers; "
        'open one with expand="layer 0"'
    )
    assert drawing.listing.splitlines()[-1] == whole
    assert whole in drawing.alt
    assert html.escape(whole) in drawing.source


@pytest.mark.parametrize("expand", ["layer 3", ["W[3]"], "Z[4]"])
def test_a_part_is_opened_by_name(expand):
    assert {"layer 0..2", "W[3]", "layer 4..8"} <= set(listed(draw(deep([2] * 11), expand=expand)))


def test_a_part_is_opened_by_a_tensor_in_it():
    loss = deep([2] * 11)
    z = loss.parents[0].parents[0].parents[0].parents[0]
    assert (z.name, z.scope) == ("Z[9]", "layer 8")
    assert "W[8]" in listed(draw(loss, expand=z))
    h = chain_of(30)
    assert "h9 = np.tanh(h8)" in listed(draw(h, expand=[named(h, "h9")]))


def named(loss, name):
    while loss.name != name:
        loss = loss.parents[0]
    return loss


def chain_of(n):
    """The sum of a chain without scopes, named h0, h1 and so on."""
    h = Tensor(np.ones(2), requires_grad=True, name="x")
    for i in range(n):
        h = np.tanh(h)
        h.name = f"h{i}"
    return h.sum()


def test_the_name_of_a_parameter_opens_the_layer_that_uses_it():
    bare = deep([2] * 11)
    for node in everything([bare]):
        node.scope = node.scope if node.op else ""
    for loss, asked in ((deep([2] * 11), "W[3]"), (bare, "W[3]"), (bare, "B[3]")):
        found = {text.rstrip() for text in listed(draw(loss, expand=asked))}
        assert {"layer 0..2", "Z[4] = A[3] @ W[3] + B[3]", "layer 4..8"} <= found


def test_where_a_check_found_a_mistake_the_layer_is_open():
    loss = deep([2] * 11)
    wrong = SimpleNamespace(status="wrong", yours=np.ones((4, 2)), truth=np.ones((4, 2)), text="!")
    cause = SimpleNamespace(text="!", yours="", autograd="dW[7] = ...", line="", gradients=())
    check = SimpleNamespace(marks={"dZ[4]": wrong}, causes=[cause], loss=loss)
    drawing = draw(loss, check=check)
    opened = ["Z[8] = A[7] @ W[7] + B[7]"]
    assert {"layer 0..6", *opened} <= {text.rstrip() for text in listed(drawing)}
    assert "1 gradient: 0 match, 1 differs" in drawing.source
    assert "differ: dZ[4]<" in drawing.source
    check.causes, check.where = [], "dZ[4]"
    check.marks = dict.fromkeys(("dZ[1]", "dZ[2]", "dZ[3]", "dZ[4]", "dZ[5]", "dZ[6]"), wrong)
    drawing = draw(loss, check=check)  # the last is the first, walking backward
    assert {"layer 0..4", "Z[6] = A[5] @ W[5] + B[5]"} <= {t.rstrip() for t in listed(drawing)}
    assert "differ: dZ[1], dZ[2], dZ[3] and 2 more<" in drawing.source
    assert "cards folded into" in drawing.source


def test_what_is_too_large_even_folded_is_refused_with_what_helps():
    x = Tensor(np.ones(2), requires_grad=True)
    for i in range(600):
        x = x + i * i % 997
        x.name = f"x{i}"
    with pytest.raises(RenderError, match=r"cards after folding; at most 500.*scope\('block 1'\)"):
        draw(x.sum())


def test_a_thousand_layers_are_folded_op_by_op_and_look_the_same():
    """Deriving so many takes seconds."""
    drawing = draw(deep([4] * 501, backward=False))
    assert listed(drawing)[:3] == ["A[0]", "layer 0..498", "layer 499"]
    assert "Z[i+1] = M[i+1] + B[i]" in drawing.source


def test_twenty_thousand_ops_are_drawn_in_about_a_second():
    loss = chain_of(20_000)
    start = time.process_time()
    drawing = draw(loss)
    took = time.process_time() - start
    assert listed(drawing)[:3] == ["x", "h0..19999", "L = h19999.sum()"]
    assert took < 5  # about 1 where nothing else runs


@pytest.mark.slow
def test_time_is_linear_in_the_number_of_parameters_too():
    def seconds(n):
        loss = deep([2] * n)
        start = time.process_time()
        draw(loss)
        return time.process_time() - start

    assert seconds(4000) < 8 * min(seconds(1000), seconds(1000))


@pytest.mark.dot
@pytest.mark.parametrize("direction", ["TB", "LR"])
def test_folded_pictures_are_rendered(direction, tmp_path):
    drawing = draw(deep([2] * 11), direction=direction, expand="layer 3")
    svg = ET.fromstring(drawing.write(tmp_path / "net.svg").read_text("utf-8"))
    sizes = {float(text.get("font-size")) for text in svg.iter(f"{SVG}text")}
    assert min(sizes) >= 9
    if direction == "TB":  # scaled to 1,400 pixels
        assert 1400 / float(svg.get("width").removesuffix("pt")) * min(sizes) >= 11


def test_a_folded_picture_changes_nothing_and_is_the_same_each_time():
    loss = deep([2] * 11)
    assert draw(loss).source == draw(loss).source
    assert draw(deep([2] * 11)).source == draw(loss).source


def test_where_there_is_nothing_to_fold_it_is_said_how_to_give_names():
    x = Tensor([1.0, 2.0], requires_grad=True, name="x")
    drawing = draw(np.exp(x).sum(), "layer")
    assert "nothing repeats and nothing has a name: with scope" in drawing.listing
    with scope("soft"):
        y = np.exp(x) / np.exp(x).sum()
    assert "soft" in listed(draw(y.sum(), "layer"))


def test_of_several_results_each_keeps_its_card():
    net = MLP([2] * 11, rng=0)
    loss = mse(net(np.ones((4, 2))), Tensor(np.zeros((4, 2)), name="t"))
    found = listed(draw([loss, *grad(loss, net.W[3:5], create_graph=True)]))
    assert "layer 0..3" in found
    assert [name for name in found if re.match(r"L |dW", name)] == [
        "L = mse(y, t)",
        "dW[4] = A[4].T @ h3",
        "dW[3] = A[3].T @ (h3 @ W[4].T * (A[4] > 0))",
    ]
