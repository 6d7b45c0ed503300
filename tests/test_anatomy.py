"""The boxes of a network on one page: which, how large, with which numbers, and where."""

import ast
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from tests.test_styling import contrast
from tinygrad_mlp import (
    MLP,
    Linear,
    ManualMLP,
    Sequential,
    Tanh,
    anatomy,
    draw_anatomy,
    paint,
    styling,
)
from tinygrad_mlp.anatomy import HEIGHT, WIDTH
from tinygrad_mlp.errors import RenderError

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden" / "anatomy.dot"


def small(forward=True):
    """A net with numbers that binary fractions hold exactly."""
    net = ManualMLP([2, 3, 1])
    net.W = [np.array([[0.5, -1.0, 0.0], [0.25, 0.75, -0.125]]), np.array([[2.0], [-0.5], [1.0]])]
    net.B = [np.array([0.0, 0.5, -0.25]), np.array([-0.25])]
    if forward:
        net.forward(np.array([[1.0, 2.0], [-1.0, 0.5]]))
    return net


def trained(sizes, batch=0, kind=MLP):
    net = kind(sizes, rng=0)
    if batch:
        net(np.random.default_rng(0).normal(size=(batch, sizes[0])))
    return net


NETS = {
    "small": lambda: small(),
    "before a forward pass": lambda: small(False),
    "one weight": lambda: trained([1, 1], 1),
    "large": lambda: trained([64, 128, 64, 10], 32),
    "many layers": lambda: trained([3, *[5] * 25, 2], 4),
    "784 in": lambda: trained([784, 30, 10], 1),
    "five": lambda: trained([2, 4, 6, 4, 3, 1], 3),
    "wide": lambda: Sequential(Linear(4, 8, rng=0), Tanh(), Linear(8, 3, rng=1, bias=False)),
}


def attributes(line):
    return dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', line)) | dict(
        re.findall(r"(\w+)=([\d.e+-]+)[ \]]", line)
    )


def boxes(source):
    """The boxes in DOT text, each with all its attributes."""
    group = {}
    found = []
    for line in source.splitlines():
        line = line.strip()
        if line.startswith("{ node"):
            group = attributes(line)
        elif line == "}":
            group = {}
        elif re.match(r"n\d+ \[", line):
            found.append(group | attributes(line))
    assert len(found) > 30
    return found


def texts(net):
    return [b["label"] for b in boxes(draw_anatomy(net).source) if b["label"]]


# --- the text -------------------------------------------------------------------------------------


def test_dot_text_is_the_golden_one():
    """After an intended change: draw_anatomy(small()).write("tests/golden/anatomy.dot")."""
    assert draw_anatomy(small()).source == GOLDEN.read_text("utf-8")


def test_the_same_network_gives_the_same_text():
    assert draw_anatomy(small()).source == draw_anatomy(small()).source


def test_listing_has_every_box_with_its_shape():
    assert draw_anatomy(small()).listing == (
        "A[0]   2×2   layer 0, the input x\n"
        "W[0]   2×3   from layer 0 to layer 1; W[0][1, 2] = -0.12\n"
        "B[0]   3     added to layer 1\n"
        "A[1]   2×3   layer 1, after relu\n"
        "W[1]   3×1   from layer 1 to layer 2\n"
        "B[1]   1     added to layer 2"
    )


def test_who_hears_the_picture_is_told_what_is_on_it():
    assert draw_anatomy(small()).alt.startswith(
        "ManualMLP: 2 → 3 → 1 neurons; 13 parameters: 2 weight matrices and 2 bias vectors; "
        "A[0] 2×2 layer 0, the input x; W[0] 2×3 from layer 0 to layer 1"
    )
    assert draw_anatomy(trained([3, *[5] * 25, 2])).alt.endswith("; B[2] 5 added to layer 3; ...")


def test_nothing_in_the_network_is_changed():
    net = trained([3, 4, 2], 5)
    before = [(p.data.copy(), p.grad, p.name) for p in net.parameters()]
    kept = list(net.A)
    draw_anatomy(net)
    for p, (data, grad, name) in zip(net.parameters(), before):
        np.testing.assert_array_equal(p.data, data)
        assert (p.grad, p.name) == (grad, name)
    assert all(a is b for a, b in zip(net.A, kept))


def test_every_number_of_a_small_network_stands_on_its_box_and_in_full_in_its_tooltip():
    net = small()
    found = {b.get("tooltip"): b["label"] for b in boxes(draw_anatomy(net).source)}
    for name, arrays in (("W", net.W), ("B", net.B), ("A", [net.A[0], net.A[1][:1]])):
        for i, array in enumerate(arrays):
            for at, v in np.ndenumerate(array):
                place = ", ".join(map(str, at))
                assert found[f"{name}[{i}][{place}] = {v:.6g}"] == styling.number_text(v.item())
    assert not any(text and text.startswith("A[1][1, ") for text in found)  # behind sample 0


# --- what is shown of which network ---------------------------------------------------------------


def test_the_entry_of_the_sheet_is_pointed_out_or_the_nearest_there_is():
    said = texts(trained([3, 4, 2]))
    assert any(text.startswith("W[0][1, 2] = ") for text in said)
    assert "the weight from neuron 1 of layer 0 to neuron 2 of layer 1\\l" in said
    said = texts(trained([1, 2]))
    assert "the weight from neuron 0 of layer 0 to neuron 1 of layer 1\\l" in said


def test_before_a_forward_pass_the_activations_are_empty_and_the_way_to_fill_them_is_said():
    said = texts(small(False))
    assert "filled by a forward pass: call net(x)\\l" in said
    assert said.count("batch×2\\r") == 2  # x is A[0]
    said = texts(small())
    assert "x is A[0] as it came in\\l" in said
    assert "sample 0 in front, 1 behind it; the output y is not in A\\l" in said
    assert "the output y is not in A\\l" in texts(trained([3, 4, 2], 1))


def test_true_shapes_are_written_where_the_numbers_do_not_fit():
    said = texts(trained([64, 128, 64, 10], 32))
    assert {"64×128\\l", "128×64\\l", "64×10\\l", "32×64\\r", "32×128\\r", "128\\r"} <= set(said)
    assert "a square is the mean of a block\\r" in said
    assert "a square is the mean of a block\\r" not in texts(trained([3, *[5] * 6, 2]))


def test_of_many_layers_the_first_ones_and_the_last_are_drawn_and_the_rest_counted():
    said = texts(trained([3, *[5] * 25, 2], 4))
    drawn = {text for text in said if re.fullmatch(r"[WAB]\[\d+\]\\l", text)}
    assert drawn == {f"{name}[{i}]\\l" for name in "WAB" for i in (0, 1, 2, 25)}
    assert said.count("22 more") + said.count("... 22 more") == 3
    assert "MLP: 27 layers, 3 to 2 neurons\\l" in said


def test_size_of_the_text_does_not_grow_with_the_network():
    sizes = [len(draw_anatomy(trained([n] * (n // 20 + 2), 8)).source) for n in (200, 400)]
    assert sizes[1] < 1.01 * sizes[0]


def test_a_sequential_shows_its_linear_layers_under_their_names():
    said = texts(NETS["wide"]())
    assert {"layers[0].W\\l", "layers[2].W\\l", "layers[0].B\\l", "none\\r", "Tanh"} <= set(said)
    assert "not kept by a Sequential\\l" in said
    listing = draw_anatomy(NETS["wide"]()).listing
    assert "A[1]          batch×8   layer 1, after Tanh" in listing
    assert "layers[2].B" not in listing


def test_what_comes_before_the_first_linear_layer_is_no_layer():
    said = texts(Sequential(np.tanh, Linear(2, 2, rng=0), np.tanh, Tanh()))
    assert "layers[1].W\\l" in said
    assert "tanh Tanh" in said


def test_another_activation_is_named():
    net = MLP([2, 3, 1], rng=0, activation=np.tanh)
    assert any("A[i+1] = tanh(Z[i+1])" in text for text in texts(net))


class Sheet:
    """A class of a person's own, in the style of lists of rows."""

    def __init__(self, **lists):
        vars(self).update(lists)


def test_rows_in_lists_and_missing_lists_are_drawn_as_far_as_they_go():
    net = Sheet(W=[[[1.0, 2.0]], [[3.0], [4.0]]], A=[[[1.0], [2.0]], np.ones((2, 2)), [[1.0]] * 2])
    said = texts(net)
    assert "in each layer: x @ W + B\\l" in said
    assert said.count("none\\r") == 2
    assert "sample 0 in front, 1 behind it\\l" in said  # y is in A here
    assert "Sheet: 1 → 2 → 1 neurons\\l" in said
    half = texts(Sheet(W=net.W, B=[[0.0, 1.0]], A=net.A[:1]))
    assert "batch×2\\r" in half


def test_rows_that_are_left_out_of_the_input_are_counted():
    assert "... 28 more\\l" in texts(trained([2, 1], 32))


def test_what_is_not_finite_is_a_fault():
    net = small()
    net.W[0][0, 0] = np.nan
    net.B[0][1] = np.inf
    found = {b.get("tooltip"): b for b in boxes(draw_anatomy(net).source)}
    assert found["W[0][0, 0] = nan"]["fillcolor"] == paint.FAULT_GROUND
    assert found["B[0][1] = inf"]["fontcolor"] == paint.FAULT
    large = trained([64, 64, 1])
    large.W[0].data[0, 0] = np.nan
    fills = [b.get("fillcolor") for b in boxes(draw_anatomy(large).source)]
    assert fills.count(paint.FAULT) == 1


class Elsewhere:
    """An array that cannot be looked at here."""

    shape = (2, 3)


def test_arrays_that_are_not_numpys_and_complex_ones_are_drawn_empty():
    net = Sheet(W=[Elsewhere(), np.ones((3, 1), complex)], B=[], A=[np.zeros((0, 2))])
    drawing = draw_anatomy(net)
    assert re.search(r"^W\[0\] +2×3 +from layer 0 to layer 1$", drawing.listing, re.M)
    assert "W[0][1, 2]\\l" in texts(net)


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (ManualMLP, "the class ManualMLP holds no weights"),
        (3, "3 holds no weights"),
        (Tanh(), "holds no weights"),
        (Sequential(Tanh()), "holds no weights"),
        (Sheet(W=[]), "holds no weights"),
        (Sheet(W=[np.ones(3)]), r"W\[0\] has shape \(3,\)"),
        (Sheet(W=[np.ones((3, 0))]), r"W\[0\] has shape \(3, 0\)"),
    ],
)
def test_what_has_no_matrices_is_refused_in_one_line(net, words):
    with pytest.raises(RenderError, match=rf"^draw_anatomy: .*{words}[^\n]*$"):
        draw_anatomy(net)


def test_names_cannot_break_the_text():
    net = Sheet(W=[np.ones((2, 2))], B=[np.ones(2)])
    net.activation = type("f", (), {"__name__": 'a"&\\N<b>'})()
    assert '"A[i+1] = a\\"&amp;\\\\N<b>(Z[i+1])' in draw_anatomy(net).source.replace("    ", '"')


# --- how it looks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETS)
def test_everything_lies_on_the_page_and_no_text_is_smaller_than_11_pixels(kind):
    """Where the picture is 1,400 pixels wide."""
    pixel = 1400 / WIDTH
    for box in boxes(draw_anatomy(NETS[kind]()).source):
        x, y = map(float, box["pos"].split(","))
        w, h = 72 * float(box["width"]), 72 * float(box["height"])
        if box["label"]:
            assert pixel * float(box["fontsize"]) >= 11
            size = float(box["fontsize"]) * 0.6 * len(box["label"].removesuffix("\\l"))
            w = w if box["label"][-2:] in ("\\l", "\\r") else max(w, size)
            if box["label"].endswith("\\l"):  # its own width counts, not the room it is given
                x, w = x - w / 2 + size / 2, size
        assert x - w / 2 >= -0.1
        assert x + w / 2 <= WIDTH + 0.1
        assert y - h / 2 >= -0.1
        assert y + h / 2 <= HEIGHT + 0.1


@pytest.mark.parametrize("kind", NETS)
def test_text_can_be_read_by_day_and_by_night(kind):
    grounds = {paint.GROUND, paint.GROUP}
    for box in boxes(draw_anatomy(NETS[kind]()).source):
        if not box["label"]:
            continue
        ink = box.get("fontcolor", paint.INK)
        for ground in {box["fillcolor"]} if "fillcolor" in box else grounds:
            assert contrast(ink, ground) >= 4.5, box
            night = ink if ink == paint.GROUND else paint.NIGHT.get(ink, ink)
            assert contrast(night, paint.NIGHT.get(ground, ground)) >= 4.5, box


def corners(svg):
    """The corners of the leaning boxes, by what they say."""
    found = {}
    for group in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}g"):
        link = group.find("{*}a")
        polygon = link is not None and link.find("{*}polygon")
        if polygon is not None and polygon is not False:
            name = link.get("{http://www.w3.org/1999/xlink}title").split(" ")
            points = [tuple(map(float, p.split(","))) for p in polygon.get("points").split()[:4]]
            found[" ".join(name[:2])] = sorted(points)
    return found


@pytest.mark.dot
@pytest.mark.parametrize("sizes", [[2, 3, 1], [1, 8, 8], [8, 1], [8, 8]])
def test_the_boxes_of_a_plane_meet_without_gaps(sizes):
    """Graphviz draws what was worked out: the corners of neighbours are the same points."""
    net = trained(sizes)
    at = corners(draw_anatomy(net).pipe("svg", encoding="utf-8"))
    rows, columns = net.W[0].shape
    for r in range(rows):
        for c in range(columns):
            upper, lower, right_upper, right_lower = at[f"W[0][{r}, {c}]"]
            if c + 1 < columns:
                assert at[f"W[0][{r}, {c + 1}]"][:2] == [
                    pytest.approx(p, abs=0.15) for p in (right_upper, right_lower)
                ]
            if r + 1 < rows:
                below = at[f"W[0][{r + 1}, {c}]"]
                assert below[0] == pytest.approx(lower, abs=0.15)
                assert below[2] == pytest.approx(right_lower, abs=0.15)
            assert right_upper[1] > upper[1]  # it falls to the right


@pytest.mark.dot
@pytest.mark.parametrize("kind", NETS)
def test_every_kind_of_network_can_be_rendered(kind, tmp_path):
    svg = draw_anatomy(NETS[kind]()).write(tmp_path / "net.svg").read_text("utf-8")
    root = ET.fromstring(svg)
    assert root.get("width") == f"{WIDTH}pt"
    assert root.get("height") == f"{HEIGHT}pt"


@pytest.mark.dot
def test_the_picture_in_the_tutorial_is_that_of_its_network():
    """In its words and numbers; after a change: write("docs/_static/anatomy.svg")."""
    page = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    assert 'src="_static/anatomy.svg"' in page
    assert "net = ManualMLP([3, 4, 2], rng=0)" in page
    rows = re.search(r"^>>> rows = (\[.*\])$", page, re.M)[1]
    net = ManualMLP([3, 4, 2], rng=0)
    net.forward(np.array(ast.literal_eval(rows), float))
    drawn = draw_anatomy(net).pipe("svg", encoding="utf-8")
    there = (ROOT / "docs" / "_static" / "anatomy.svg").read_text("utf-8")
    old, new = (re.findall(r"<text[^>]*>(.*?)<", svg) for svg in (there, drawn))
    assert old == new


def test_module_offers_one_function():
    assert anatomy.__all__ == ["draw_anatomy"]
