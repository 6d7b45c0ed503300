"""The picture: what stands where, what it says, and that nothing else changes."""

import html
import re
import time
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import golden
from test_linewise import named, residual, small, tied

from tinygrad_mlp import (
    MLP,
    Tensor,
    compare,
    derive,
    drawing,
    grad,
    graph,
    mse,
    play,
    relu,
    scope,
    softmax,
)
from tinygrad_mlp.charting import svg_ids, to_dot
from tinygrad_mlp.drawing import draw
from tinygrad_mlp.errors import RenderError
from tinygrad_mlp.linewise import line_cards
from tinygrad_mlp.values import clean

SVG = "{http://www.w3.org/2000/svg}"


HOSTILE = [
    '<b>|{x}"q"&\\N',
    "two\nlines\r\nand\ttabs",
    "\x00\x01\x1b[31mred\x7f",
    "\ud800 lone surrogate",
    "🎉👩‍🚀",
    "重み行列",
    "",
    " ",
    "x" * 10_000,
    "\\",
    "\\\\G\\L\\E\\T\\H\\l",
    "&lt;&#92;&amp;",
    "-->",
    "]]>",
    "</TABLE>>]; n0 -> n1 [label=<",
    '"',
    "a:b:c",
    "\u202egnp.evil",
    "￾￿",
    "digraph {",
    "e\u0301\u0332\u20d0",
]


def hostile_net():
    """Every hostile name on a leaf, on a result and as a group."""
    h = Tensor([0.5, -1.5], True, "x")
    for name in HOSTILE:
        w = Tensor([1.5, 0.5], True, name)
        h = h * w
        h.name = name
        h.scope = name
    loss = h.sum()
    loss.backward()
    return loss


def attention():
    """One head, with a way around it."""
    rng = np.random.default_rng(0)
    x = Tensor(rng.normal(size=(3, 4)), name="x")
    with scope("attention"):
        q, k, v = (named(x @ Tensor(rng.normal(size=(4, 4)), True, f"W{n}"), n) for n in "qkv")
        h = named(named(softmax(q @ k.T / 2.0), "s") @ v + x, "h")
    return mse(h, Tensor(np.zeros((3, 4)), name="t"))


def indexing():
    """A cross-entropy written by hand."""
    rng = np.random.default_rng(0)
    x = Tensor(rng.normal(size=(4, 3)), name="x")
    e = np.exp(named(x @ Tensor(rng.normal(size=(3, 5)), True, "W"), "z"))
    p = named(e / e.sum(axis=1, keepdims=True), "p")
    return -np.log(p[np.arange(4), np.array([0, 2, 1, 4])]).mean()


def checked(loss=None):
    """A comparison: the mask of relu was forgotten."""
    loss = loss or small()
    truth = derive(loss).values()
    yours = {**truth, "dZ[1]": truth["dA[1]"]}
    yours["dW[0]"] = truth["A[0]"].T @ yours["dZ[1]"]
    status = {"dZ[1]": "wrong", "dW[0]": "follows"}
    text = {"dW[0]": "follows from dZ[1]"}
    cause = SimpleNamespace(
        text="the mask A[1] > 0 is missing",
        yours="dZ[1] = dA[1]",
        autograd="dZ[1] = dA[1] * (A[1] > 0)",
        line="net.py:24",
        gradients=("dZ[1]",),
    )
    marks = {
        name: SimpleNamespace(
            status=status.get(name, "same"),
            yours=yours[name],
            truth=truth[name],
            text=text.get(name, ""),
        )
        for name in ("dy", "dW[1]", "dB[1]", "dA[1]", "dZ[1]", "dW[0]", "dB[0]")
    }
    return SimpleNamespace(marks=marks, causes=[cause], loss=loss)


def compared(**changed):
    """What `compare` says if the mask of relu was forgotten, or of other gradients."""
    loss = small()
    truth = derive(loss).values()
    dz = truth["dA[1]"]
    mine = {"dW[0]": truth["A[0]"].T @ dz, "dB[0]": dz.sum(axis=0)}
    return compare({**{k: truth[k] for k in ("dW[1]", "dB[1]")}, **mine, **changed}, loss)


def drawn(check, **options):
    return draw(check.loss, check=check, **options)


def large():
    """Arrays of more than 36 numbers, with zeros."""
    x = Tensor(np.arange(-20.0, 20.0).reshape(10, 4) / 8, name="x")
    w = Tensor(np.arange(-6.0, 6.0).reshape(4, 3) / 4, True, "W")
    return named(named(relu(x @ w), "A") * 0.5, "y").sum()


def faulty():
    """An infinite value, and what comes of it."""
    z = Tensor([[0.0, 1.0]], True, "z")
    with np.errstate(all="ignore"):
        return named(1.0 / z, "r").sum()


def recorded():
    """A loss, and the backward pass as a graph."""
    loss = small()
    leaves = [n for n in drawing.everything([loss]) if n.requires_grad and n.op is None]
    return [loss, *grad(loss, leaves, create_graph=True)]


PICTURES = {
    "line_TB": lambda: draw(small()),
    "line_LR": lambda: draw(small(), direction="LR"),
    "ops_TB": lambda: draw(small(), "op"),
    "ops_LR": lambda: draw(small(), "op", "LR"),
    "values": lambda: draw(small(), show="values"),
    "shapes": lambda: draw(small(), show="shapes"),
    "tied": lambda: draw(tied(), show="grads"),
    "residual": lambda: draw(residual(), show="grads"),
    "check": lambda: drawn(checked()),
    "compared": lambda: drawn(compared()),
    "large": lambda: draw(large(), show="grads"),
    "faulty": lambda: draw(faulty(), show="grads"),
    "recorded": lambda: draw(recorded()),
}


# --- the text -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PICTURES)
def test_dot_text_is_the_golden_one(name):
    """After an intended change: REDRAW=1 pytest tests/test_drawing.py, and read the difference."""
    source = PICTURES[name]().source
    assert source == golden(f"{name}.dot", source)


def test_the_same_graph_gives_the_same_text():
    first = draw(small()).source
    kept = [Tensor(0.0) for _ in range(1000)]  # other addresses, other numbers
    assert draw(small()).source == first
    assert len(kept) == 1000


def test_the_listing_is_the_forward_pass_in_the_words_of_the_program():
    assert draw(tied(), show="grads").listing == (
        "x               # 2×2  input\n"
        "W               # 2×2  parameter\n"
        "Z = x @ W       # 2×2\n"
        "A = relu(Z)     # 2×2\n"
        "y = A @ W       # 2×2\n"
        "t               # 2×2  target\n"
        "L = mse(y, t)   # scalar  loss"
    )


def test_parameters_of_one_line_stand_in_one_node_beside_it():
    source = draw(small()).source
    assert "{rank=same; s3; n3}" in source
    assert "s3:n1:e -> n3:w" in source
    assert 'n3:r0:w -> s3:n1:n [id="b-3-1"' in source
    assert 'n3:r1:w -> s3:n2:s [id="b-3-2"' in source


def test_in_lr_they_stand_above_and_below_it():
    source = draw(small(), direction="LR").source
    assert "n3:n -> n1:s" in source
    assert "n2:n -> n3:s" in source
    assert "{rank=same; n1; n2; n3}" in source
    assert 'n9:s -> n8:n [id="f-8-9" class="fwd" dir=back]' in source


def test_of_three_leaves_the_one_in_the_middle_is_reached_from_the_left():
    u, v, w = (Tensor(np.ones(2), True, name) for name in "uvw")
    h = named(np.tanh(Tensor(np.ones(2), name="x")), "h")
    source = draw(np.exp(named(h + u + v + w, "y")).sum(), show="grads").source
    assert "s4:n2:e -> n4:w" in source
    assert re.search(r"n4:r\d:w -> s4:n2:w ", source)


def test_a_leaf_of_another_group_stays_there():
    w, u = Tensor(np.ones(2), True, "w"), Tensor(np.ones(2), True, "u")
    w.scope = "store"
    h = named(np.exp(u), "h")
    h.scope = "use"
    y = named(h * w, "y")
    y.scope = "use"
    source = draw(y.sum()).source
    assert "rank=same" not in source
    group = re.search(r">store<.*?\n\t\}", source, re.S)[0]
    assert "n2 [" in group


def test_a_chip_hangs_on_its_parameter_by_a_dotted_line():
    source = draw(tied(), show="grads").source
    assert 'n1 -> n4 [id="l-1-4" class="same" color="#0072b2" style="dotted"' in source
    assert "dW += A.T @ dy" in source
    assert "dW = A.T @ dy + x.T @ dZ" in source


def test_the_chips_of_a_parameter_hang_in_a_chain():
    w, h = Tensor(np.ones((2, 2)), True, "W"), Tensor(np.ones((1, 2)), name="h[0]")
    for i in range(3):
        h = named(np.tanh(h @ w), f"h[{i + 1}]")
    links = re.findall(r'"(l-\d+-\d+)"', draw(h.sum()).source)
    assert links == ["l-1-3", "l-3-5"]


def test_the_legend_explains_what_is_there():
    grads, values, shapes = (draw(small(), show=s).source for s in ("grads", "values", "shapes"))
    assert " gradient" in grads
    assert " gradient" in shapes  # the formulas of the backward pass are there
    assert " gradient" not in values
    assert "tint" in grads
    assert "tint" not in shapes
    assert "differs" not in grads


def test_before_backward_it_says_so_and_there_is_no_zero_for_a_gradient():
    source = draw(small(backward=False)).source
    assert "no gradient yet: call backward()" in source
    assert "dW[0]" not in source
    assert "bwd" not in source


def test_a_comparison_gives_the_headline_and_the_counts():
    source = drawn(checked()).source
    assert "Your backward pass, checked" in source
    assert "7 gradients: 5 match, 2 differ, 1 cause" in source
    assert source.count("gradient matches") == 5
    assert "net.py:24: the mask A[1] &gt; 0 is missing" in source
    assert "yours: dZ[1] = dA[1]<" in source
    assert "autograd: dZ[1] = dA[1] * (A[1] &gt; 0)" in source
    assert "differs" in source
    right = SimpleNamespace(marks={"dy": checked().marks["dy"]}, causes=[], loss=small())
    assert "1 gradient: 1 matches" in drawn(right).source


def test_a_comparison_shows_yours_beside_autograds_where_the_mistake_is_and_what_follows():
    check = compared()
    made = check.marks["dZ[1]"]
    np.testing.assert_array_equal(made.yours, derive(check.loss).values()["dA[1]"])
    source = drawn(check).source
    assert "4 gradients: 2 match, 2 differ, 1 cause<" in source
    assert source.count("follows from dZ[1]<") == 2
    [card] = [line for line in source.splitlines() if "yours: dZ[1]<" in line]
    assert 'BORDER="4"' in card
    assert ">autograd<" in card
    assert card.count("the ReLU mask") == 1  # said once


def test_what_no_cause_is_known_of_is_shown_all_the_same():
    check = compared(**{"dB[0]": np.array([3.0, 5.0]), "dW[0]": np.array([[3.0, 7.0], [9.0, 1.0]])})
    assert not check.causes
    assert check.marks["dB[0]"].status == "unknown"
    source = drawn(check).source
    assert "2 differ, cause of 2 unknown, begin with dB[0]<" in source
    assert source.count("differs; the cause is unknown<") == 2
    assert source.count(">autograd<") == 2
    spoken = drawn(check).titles
    assert any("differs; the cause is unknown" in text for text in spoken.values())


def test_a_cause_of_the_forward_pass_stands_on_the_card_of_its_line():
    check = checked()
    cause = check.causes[0]
    cause.yours, cause.autograd = "A[1] = tanh(Z[1])", "A[1] = relu(Z[1])"
    [card] = [line for line in drawn(check).source.splitlines() if "yours: A[1] = tanh" in line]
    assert 'ID="v-4"' in card


def test_what_no_card_is_for_is_said_in_the_headline_in_full():
    check = checked()
    check.causes[0].text = "backward raised " + "a very long message " * 9
    check.causes[0].gradients = ()
    check.causes[0].yours = check.causes[0].autograd = ""
    head = drawn(check).source.partition("legend")[0]
    assert "<B>net.py:24: backward raised" in head
    assert head.count("long") == 9


def test_a_comparison_of_another_graph_and_one_of_none_are_refused():
    check = checked()
    for call in (draw, play):
        name = call.__name__
        with pytest.raises(
            RenderError, match=rf"of another graph.*{name}\(check.loss, check=check"
        ):
            call(small(), check=check)
        check_of_none = SimpleNamespace(marks={}, causes=[], loss=None)
        with pytest.raises(RenderError, match=r"no gradient was compared; print\(check\)"):
            call(small(), check=check_of_none)
        with pytest.raises(RenderError, match=rf"give what compare\(\).*{name}\(c.loss, check=c\)"):
            call(small(), check=SimpleNamespace(marks={}))
    with pytest.raises(RenderError, match="a Tensor is drawn"):
        draw(3.0, check=check)
    x = Tensor(1.0)
    both = draw([x, check.loss], check=check)
    assert "Your backward pass" in both.source


def test_a_cause_stands_on_the_card_of_its_line_even_if_nobody_compared_that():
    check = checked()
    cause = check.causes[0]
    del check.marks["dZ[1]"]
    assert 'BORDER="4"' in drawn(check).source
    for names in (
        ("dQ[3]", "dW[0]"),
        ("dQ[3]",),
    ):  # of what has no card the first gradient that has
        cause.yours, cause.autograd, cause.line, cause.gradients = "", "", "", names
        source = drawn(check).source
        assert ('BORDER="4"' in source) is (len(names) == 2)
        assert "the mask A[1] &gt; 0 is missing" in source  # in the headline at least


def test_the_graph_of_a_comparison_is_drawn_with_gradients_before_any_backward():
    source = drawn(checked(small(backward=False))).source
    assert "no gradient yet" not in source
    assert "autograd" in source


def test_several_results_are_the_headline():
    loss = small()
    for level in ("line", "op"):
        source = draw(recorded(), level=level).source
        head = re.search(r'POINT-SIZE="17"><B>(.*?)</B>', source)[1]
        assert head.count(",") == 4
        assert "forward" not in head
        assert "bwd" not in source
    many = [loss * float(i) for i in range(2, 9)]
    assert ", 3 more<" in draw(many).source
    assert draw(tuple(many)).source == draw(many).source


def test_a_tensor_used_twice_by_one_op_has_one_arrow():
    x = Tensor([1.0, 2.0], True, "x")
    source = draw((x * x).sum(), "op").source
    assert source.count("n0 -> n1") == 1


def test_a_constant_without_a_scope_joins_the_group_of_its_line():
    h = named(np.tanh(Tensor([1.0, 2.0], True, "x")), "h")
    y = named(h * np.ones(2), "y")
    y.scope = "layer 0"
    source = draw(np.exp(y).sum()).source
    group = re.search(r"cluster_0 \{(.*?)\n\t\}", source, re.S)[1]
    assert re.findall(r"^\t+n(\d+) \[", group, re.M) == ["2", "3"]


def test_a_residual_block_stands_in_line_and_its_skip_goes_around():
    lines = draw(residual(), show="grads").source.split("\n")
    weighted = [re.search(r'id="(.*?)"', line)[1] for line in lines if "weight=50" in line]
    assert weighted == ["f-0-2", "f-2-3", "f-3-5", "f-5-6", "f-6-8"]
    assert any(line.startswith('\tn6:r1 -> n3 [id="b-6-3"') for line in lines)


def test_heat_maps_give_way_where_there_are_many_cards():
    def wide(n):
        h = Tensor(np.ones((10, 10)), True, "x")
        for _ in range(n - 2):
            h = np.tanh(h)
        return draw(h.sum(), "op").source

    assert 'WIDTH="5" HEIGHT="5"' in wide(60)
    assert 'WIDTH="5" HEIGHT="5"' not in wide(61)


def test_hostile_names_leave_the_tables_whole():
    source = draw(hostile_net(), "op").source
    tables = re.findall(r"label=<(<.*?>)>\]?$", source, re.M)
    assert len([ET.fromstring(text) for text in tables]) > 2 * len(HOSTILE)
    assert not re.search(r"(?<!\\)\\(?:\\\\)*[NGLETHlnr]", source.replace('\\"', ""))
    assert "x" * 39 + "…" in source
    assert "x" * 40 not in source


# --- nothing changes ------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [small, tied, residual, attention, indexing])
def test_drawing_changes_nothing(make):
    loss = make()
    loss.backward()
    nodes = drawing.everything([loss])
    slots = [slot for slot in graph.Node.__slots__ if slot != "__weakref__"]

    def state():
        return [[id(getattr(n, slot)) for slot in slots] for n in nodes]

    before, numbers = state(), [(n._data.copy(), np.copy(n.grad)) for n in nodes]
    for options in ({}, {"direction": "LR", "show": "grads"}, {"level": "op"}):
        draw(loss, **options)
    assert state() == before
    for n, (data, slope) in zip(nodes, numbers):
        np.testing.assert_array_equal(n._data, data)
        np.testing.assert_array_equal(np.copy(n.grad), slope)


def test_two_backward_calls_change_no_picture():
    loss = tied()
    loss.backward()
    first = draw(loss).source
    loss.backward()
    assert draw(loss).source == first


# --- ids, and words for who hears the picture -----------------------------------------------------


@pytest.mark.dot
@pytest.mark.parametrize("direction", ["TB", "LR"])
@pytest.mark.parametrize("make", [small, tied, residual, attention])
def test_every_id_of_a_line_is_in_the_svg(make, direction):
    read, said = line_cards([make()], "grads")
    svg = to_dot(read, said, direction).pipe("svg", encoding="utf-8")
    there = {g.get("id") for g in ET.fromstring(svg).iter(f"{SVG}g")}
    named_ids = svg_ids(read, direction)
    assert {name for ids in named_ids.values() for name in ids} <= there
    assert next(iter(named_ids)) == read[0].name
    program = derive(make())
    assert set(named_ids) >= {row.name for row in program.lines} | set(program.inputs)


def test_a_line_has_its_card_numbers_rows_and_arrows():
    read, _ = line_cards([tied()], "grads")
    found = svg_ids(read)
    assert found["Z"] == ["n-2", "a_h-2", "a_v-2", "f-0-2", "f-1-2"]
    assert found["dZ"] == ["a_g-2", "a_r-3-0", "b-3-2"]
    assert set(found["dW"]) == {
        *("a_g-1", "a_r-1-0", "a_g-4", "a_r-2-0", "b-2-1", "a_r-5-1", "b-5-4")
    }
    assert "a_n-1" in svg_ids(line_cards([small()], "grads")[0])["W[0]"]
    assert "n-1" in svg_ids(line_cards([small()], "grads")[0], "LR")["W[0]"]


def test_both_arrays_of_a_wrong_gradient_have_an_id():
    check = compared()
    cards, _ = line_cards([check.loss], "grads", check.marks)
    ids = svg_ids(cards)
    assert [i for i in ids["dZ[1]"] if i.startswith("a_t")] == ["a_t-3"]
    assert not any(i.startswith("a_t") for i in ids["dW[0]"] + ids["dW[1]"])
    svg = html.unescape(drawn(check).pipe("svg").decode())
    assert all(f'id="{i}"' in svg for i in ids["dZ[1]"])
    a, b = Tensor(3.0, True, "a"), Tensor(4.0, True, "b")
    read, _ = line_cards([named(a * b, "d") + 1.0], "grads")
    assert read[-1].backward[0].line == ""
    assert "" not in svg_ids(read)


@pytest.mark.dot
def test_who_hears_the_picture_is_told_what_it_shows():
    svg = ET.fromstring(draw(small()).pipe("svg"))
    assert svg.get("role") == "img"
    assert svg.get("aria-label").startswith("Graph of L, 4 lines, 4 parameters; Z[1] = A[0] @ W[0]")
    titles = {title.text for title in svg.iter(f"{SVG}title")}
    assert "Z[1], 2×2, = A[0] @ W[0] + B[0]" in titles
    assert not any(re.fullmatch(r"[ns]\d+", title) for title in titles)


def test_a_long_program_is_told_in_part():
    x = h = Tensor([1.0], True, "x")
    for i in range(20):
        h = named(np.tanh(h), f"h[{i}]")
    label = draw(h.sum()).alt
    assert x.grad is None
    assert "10 more" in label
    assert label.count("=") == 11


# --- the picture ----------------------------------------------------------------------------------


def net_of(*sizes):
    rng = np.random.default_rng(0)
    t = Tensor(rng.normal(size=(32, sizes[-1])), name="t")
    return mse(MLP(sizes, rng=0)(rng.normal(size=(32, sizes[0]))), t)


def digits():
    return net_of(64, 128, 64, 10)


def deep():
    return net_of(64, *[128] * 25, 10)


@pytest.mark.dot
@pytest.mark.parametrize("make", [small, tied, residual, attention, indexing, digits, deep])
def test_all_text_has_eleven_pixels_when_the_picture_is_1400_wide(make):
    svg = ET.fromstring(draw(make(), show="grads").pipe("svg"))
    wide = float(svg.get("viewBox").split()[2])
    sizes = [float(text.get("font-size")) for text in svg.iter(f"{SVG}text")]
    assert min(sizes) * 1400 / wide >= 11


@pytest.mark.dot
def test_so_it_has_with_a_comparison():
    svg = ET.fromstring(drawn(compared()).pipe("svg"))
    sizes = [float(text.get("font-size")) for text in svg.iter(f"{SVG}text")]
    assert min(sizes) * 1400 / float(svg.get("viewBox").split()[2]) >= 11


@pytest.mark.dot
def test_the_svg_is_the_same_each_time_and_dark_where_the_reader_wishes():
    first, second = (draw(small()).pipe("svg") for _ in range(2))
    assert first == second
    assert b"prefers-color-scheme:dark" in first


@pytest.mark.dot
@pytest.mark.parametrize("direction", ["TB", "LR"])
def test_hostile_names_are_drawn_as_they_are(direction):
    picture = draw(hostile_net(), direction=direction)
    assert picture.pipe("png").startswith(b"\x89PNG")
    text = " ".join("".join(ET.fromstring(picture.pipe("svg")).itertext()).split())
    assert [name for name in HOSTILE if (clean(name) or "") not in text] == []


# --- sizes ----------------------------------------------------------------------------------------


def chain(n):
    """So many lines."""
    h = Tensor([1.0, 2.0], True, "x")
    for i in range(n):
        h = named(np.tanh(h), f"h[{i}]")
    return h.sum()


def test_up_to_500_cards_are_drawn():
    assert draw(chain(498), "line").source.count(" label=<<TABLE") == 500 + 1  # and the headline
    with pytest.raises(RenderError, match=r"501 cards; at most 500 .* level='layer', or draw a"):
        draw(chain(499), "line")


def test_a_very_long_chain_is_refused_at_once():
    loss = chain(20_000)
    start = time.perf_counter()
    for level in ("op", "line"):
        with pytest.raises(RenderError, match="20,002 ops; at most 500 cards"):
            draw(loss, level)
    assert time.perf_counter() - start < 2


@pytest.mark.slow
def test_time_grows_with_the_number_of_cards_not_faster(monkeypatch):
    monkeypatch.setattr(drawing, "LIMIT", 10**9)

    def seconds(n):
        loss, best = chain(n), []
        for _ in range(2):
            start = time.perf_counter()
            assert draw(loss, "line", show="grads").source
            best.append(time.perf_counter() - start)
        return min(best)

    seconds(100)
    assert seconds(600) < 8 * seconds(150)


# --- options --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"level": "line", "expand": "layer 0"}, "expand=.*level='layer'"),
        ({"expand": "layer 9"}, "'layer 9'.*nothing here is called that.*'layer 0', 'layer 1'"),
        ({"expand": 3}, "expand=.*: 3; give the name of a layer"),
        ({"expand": Tensor(1.0)}, "expand=.*: this Tensor has no name; give"),
        ({"level": "ops"}, r"level='ops'.*use one of 'auto', 'op'"),
        ({"direction": "RL"}, r"direction='RL'.*'TB', 'LR'"),
        ({"show": "all"}, r"show='all'.*'auto', 'grads', 'values', 'shapes'"),
        ({"check": object()}, "check=.*compare"),
    ],
)
def test_options_that_are_not_there_are_refused(options, text):
    with pytest.raises(RenderError, match=text):
        draw(small(), **options)


def test_a_check_is_drawn_op_by_op_too():
    source = drawn(checked(), level="op").source
    assert source.count("gradient matches") == 5
    assert "yours: dZ[1] = dA[1]<" in source


@pytest.mark.parametrize("thing", [3.0, np.zeros(3), None, "net", [], [None]])
def test_something_else_than_a_tensor_is_refused(thing):
    with pytest.raises(RenderError, match="a Tensor is drawn, usually the loss, not"):
        draw(thing)


def test_a_card_per_line_is_what_auto_means():
    assert draw(small(), level="line").source == draw(small()).source
    assert draw(small(), level="op").source != draw(small()).source


def test_a_leaf_is_one_card():
    source = draw(Tensor([1.0, 2.0], True, "w")).source
    assert source.count(" label=<<TABLE") == 1 + 1
