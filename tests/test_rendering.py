"""From DOT text to files: which Graphviz is run, how it may fail, and how files are written."""

import os
import stat
import sys
import types
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tinygrad_mlp import rendering
from tinygrad_mlp.errors import RenderError
from tinygrad_mlp.rendering import Drawing, render, styled

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Make a program that stands in for Graphviz, and have it found first."""

    def make(code, name="dot"):
        path = tmp_path / name
        path.write_text(
            f"#!{sys.executable}\nimport sys, time\nread = sys.stdin.buffer.read\n{code}\n"
        )
        path.chmod(0o755)
        monkeypatch.setenv("TINYGRAD_MLP_DOT", str(path))
        return path

    return make


@pytest.fixture
def nothing(monkeypatch):
    """No Graphviz anywhere."""
    monkeypatch.delenv("TINYGRAD_MLP_DOT", raising=False)
    monkeypatch.setattr(rendering, "candidates", list)
    monkeypatch.setenv("PATH", "")


def picture():
    drawing = Drawing(body=['\tn0 [label="é"]\n'])
    drawing.listing = "n0"
    return drawing


ECHO = "print(sys.argv[1:], read().decode('utf-8').split())"


# --- running --------------------------------------------------------------------------------------


def test_the_text_goes_in_as_utf8_and_the_output_comes_back(program):
    program(ECHO)
    assert (
        picture().pipe("gif").decode()
        == "['-Kdot', '-Tgif'] ['digraph', '{', 'n0', '[label=\"é\"]', '}']\n"
    )


def test_dots_per_inch_are_for_png(program):
    program(ECHO)
    assert b"'-Tpng', '-Gdpi=96'" in picture().pipe("png")
    assert b"'-Gdpi=192'" in picture().pipe("png", dpi=192)
    assert b"dpi" not in picture().pipe("svg")


def test_svg_is_the_default():
    assert picture().format == "svg"


def test_an_encoding_gives_text(program):
    program("sys.stdout.buffer.write('<svg>é</svg>'.encode())")
    assert picture().pipe(encoding="utf-8") == "<svg>é</svg>"


def test_warnings_are_dropped(program, capfd):
    program("print('<svg/>'); print('Warning: fonts', file=sys.stderr)")
    assert picture().pipe("svg") == b"<svg/>\n"
    assert capfd.readouterr() == ("", "")


def test_a_failure_is_an_error_even_if_a_picture_came(program):
    path = program(
        "print('<svg/>'); print('Warning: w\\nError: bad label', file=sys.stderr); sys.exit(1)"
    )
    with pytest.raises(RenderError) as caught:
        picture().pipe("svg")
    assert str(caught.value) == f"{path} failed to draw svg (1): Error: bad label"


def test_what_graphviz_gives_up_on_is_drawn_more_plainly(program):
    """One thing after another is left out: see PLAINER."""
    program(
        "text = sys.stdin.read()\n"
        "left = [w for w in ('rank=true', 'rank=same', '=spline', 'polyline', '_') if w in text]\n"
        "print('Error: trouble in init_rank' if left else '', file=sys.stderr)\n"
        "print(text); sys.exit(bool(left))"
    )
    text = "newrank=true splines=spline subgraph cluster_0 {rank=same; a; b}"
    with pytest.raises(RenderError, match="trouble in init_rank"):  # the _ that is left
        render(text, "svg")
    assert render(text.replace("cluster_0", "cluster"), "svg").decode().split() == [
        *("newrank=false", "splines=line", "subgraph", "cluster", "{a;", "b}")
    ]
    assert rendering.PLAINER[-1] == ("subgraph cluster_", "subgraph group_")


def test_a_failure_without_a_word_is_an_error(program):
    program("sys.exit(3)")
    with pytest.raises(RenderError, match=r"failed to draw svg \(3\)"):
        picture().pipe("svg")


def test_a_program_that_does_not_end_is_stopped(program, monkeypatch):
    program("time.sleep(60)")
    monkeypatch.setattr(rendering, "TIME_LIMIT", 0.2)
    with pytest.raises(RenderError, match=r"no picture after 0\.2 s; draw a smaller part"):
        picture().pipe("svg")


def test_a_program_that_cannot_be_run_is_an_error(program):
    path = program("")
    path.write_text("#!/no/such/interpreter\n")
    with pytest.raises(RenderError, match="could not be run"):
        picture().pipe("svg")


# --- finding --------------------------------------------------------------------------------------


def test_the_variable_comes_first(program):
    path = program(ECHO)
    assert rendering.find_pure() == rendering.find_system() == str(path)


def test_a_pure_graphviz_in_the_variable_is_not_the_systems(program, monkeypatch):
    path = program(ECHO, "graphviz-pure")
    monkeypatch.setenv("PATH", "")
    assert rendering.find_pure() == str(path)
    assert rendering.find_system() is None


def test_a_wrong_variable_is_an_error(monkeypatch):
    monkeypatch.setenv("TINYGRAD_MLP_DOT", "/no/such/dot")
    with pytest.raises(
        RenderError, match="TINYGRAD_MLP_DOT=/no/such/dot: there is no such program"
    ):
        picture().pipe("svg")


def test_the_one_from_pip_is_found_without_path(monkeypatch, tmp_path):
    monkeypatch.delenv("TINYGRAD_MLP_DOT", raising=False)
    monkeypatch.setenv("PATH", "")
    there = tmp_path / "graphviz-pure"
    there.write_text("")
    there.chmod(0o755)
    monkeypatch.setattr(rendering, "candidates", lambda: [str(tmp_path / "moved"), str(there)])
    assert rendering.find_pure() == str(there)


def test_candidates_are_the_listed_file_then_the_folders_of_scripts(monkeypatch):
    listed = [
        types.SimpleNamespace(name=n, locate=lambda n=n: Path("/listed") / n)
        for n in ("LICENSE", "graphviz-pure", "graphviz-pure.exe")
    ]
    monkeypatch.setattr(rendering.importlib.metadata, "files", lambda _: listed)
    found = rendering.candidates.__wrapped__()
    assert found[:2] == [
        os.path.join(os.sep, "listed", n) for n in ("graphviz-pure", "graphviz-pure.exe")
    ]
    assert found[-1] == "graphviz-pure"
    assert len(found) == 5


def test_candidates_where_pip_knows_of_none(monkeypatch):
    def files(name):
        raise rendering.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(rendering.importlib.metadata, "files", files)
    assert len(rendering.candidates.__wrapped__()) == 3
    monkeypatch.setattr(rendering.importlib.metadata, "files", lambda _: None)
    assert len(rendering.candidates.__wrapped__()) == 3


def test_renderer_says_which_is_used(monkeypatch):
    monkeypatch.setattr(rendering, "find_pure", lambda: "pure")
    monkeypatch.setattr(rendering, "find_system", lambda: "system")
    monkeypatch.setattr(rendering, "run", lambda program, *_: program.encode())
    assert [render("", "png", renderer=r) for r in (None, "pure", "system")] == [
        b"pure",
        b"pure",
        b"system",
    ]
    assert [render("", f) for f in ("svg", "pdf", "ps")] == [b"pure", b"system", b"system"]
    monkeypatch.setattr(rendering, "find_pure", lambda: None)
    assert render("", "svg") == b"system"
    with pytest.raises(RenderError, match=r"No graphviz-pure found.*pip install"):
        render("", "svg", renderer="pure")
    with pytest.raises(RenderError, match="renderer='cairo': use 'pure'"):
        render("", "svg", renderer="cairo")


@pytest.mark.parametrize("format", ["svg", "png"])
@pytest.mark.usefixtures("nothing")
def test_without_any_graphviz_one_line_says_the_way_out(format):
    with pytest.raises(RenderError) as caught:
        picture().pipe(format)
    assert str(caught.value) == (
        f"No Graphviz found to draw {format.upper()}: pip install 'tinygrad-mlp[render]', or "
        f"install Graphviz with the system's package manager. write('net.dot') works without."
    )


@pytest.mark.usefixtures("nothing")
def test_without_the_systems_dot_it_is_said():
    for ask in (lambda: render("", "ps"), lambda: render("", "svg", renderer="system")):
        with pytest.raises(RenderError, match=r"No program dot found.*package manager"):
            ask()


@pytest.mark.usefixtures("nothing")
def test_dot_text_needs_no_graphviz(tmp_path):
    assert picture().write(tmp_path / "net.dot").read_text("utf-8") == picture().source


# --- pdf ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("nothing")
def test_pdf_without_dot_goes_through_svglib(monkeypatch):
    monkeypatch.setattr(rendering, "find_pure", lambda: "pure")
    monkeypatch.setattr(
        rendering, "run", lambda _, source, format, _dpi: f"{format} {source}".encode()
    )
    modules = {
        "svglib.svglib": types.SimpleNamespace(svg2rlg=lambda file: file.read()),
        "reportlab.graphics.renderPDF": types.SimpleNamespace(
            drawToString=lambda d: b"pdf of " + d
        ),
    }
    monkeypatch.setattr(rendering.importlib, "import_module", modules.__getitem__)
    assert render("text", "pdf") == b"pdf of svg text"


@pytest.mark.usefixtures("nothing")
def test_pdf_with_neither_names_both_ways(monkeypatch):
    monkeypatch.setitem(sys.modules, "svglib.svglib", None)
    with pytest.raises(
        RenderError, match=r"package manager, or pip install 'tinygrad-mlp\[render,pdf\]'"
    ):
        picture().pipe("pdf")


# --- svg ------------------------------------------------------------------------------------------


def test_the_style_sheet_goes_into_the_root():
    assert (
        styled('<?xml?><svg a=">"><g/></svg>'.replace('">"', '"1"'), "x{}")
        == '<?xml?><svg a="1"><style>x{}</style><g/></svg>'
    )
    assert styled("<svg/>", "") == "<svg/>"


@pytest.mark.dot
def test_titles_go_and_the_style_comes():
    drawing = picture()
    drawing.style = "g{}"
    svg = drawing.pipe("svg", encoding="utf-8")
    assert "<title>" not in svg
    assert ET.fromstring(svg.encode())[0].text == "g{}"


# --- writing --------------------------------------------------------------------------------------


@pytest.mark.dot
def test_suffixes_say_the_format(tmp_path):
    assert b"<svg" in picture().write(tmp_path / "a.svg").read_bytes()
    assert picture().write(str(tmp_path / "a.PNG")).read_bytes().startswith(PNG)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.PNG", "a.svg"]


@pytest.mark.dot
def test_a_png_of_twice_the_dots_is_twice_as_wide(tmp_path):
    def width(dpi):
        return int.from_bytes(
            picture().write(tmp_path / "a.png", dpi=dpi).read_bytes()[16:20], "big"
        )

    assert width(192) == pytest.approx(2 * width(96), abs=2)


@pytest.mark.parametrize("name", ["net.gif", "net", "net.svg.txt"])
def test_another_suffix_is_an_error(name, tmp_path):
    with pytest.raises(
        RenderError, match=r"net.*the suffix is not one of \.svg, \.png, \.pdf, \.dot"
    ):
        picture().write(tmp_path / name)


def test_who_wants_a_page_is_told_of_play(tmp_path):
    with pytest.raises(RenderError, match=r"\.dot\. A page that steps .* is play\(loss, path\)\.$"):
        picture().write(tmp_path / "net.html")


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(RenderError, match=r"there is no folder .*missing"):
        picture().write(tmp_path / "missing" / "net.dot")


def test_a_folder_in_the_place_of_the_file_is_an_error(tmp_path):
    (tmp_path / "net.dot").mkdir()
    with pytest.raises(RenderError, match="could not be written"):
        picture().write(tmp_path / "net.dot")
    assert [p.name for p in tmp_path.iterdir()] == ["net.dot"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="may write anywhere")
def test_a_read_only_folder_is_an_error(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(RenderError, match=r"net\.dot could not be written: Permission denied"):
        picture().write(tmp_path / "net.dot")
    tmp_path.chmod(stat.S_IRWXU)


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), OSError(28, "No space left on device")]
)
def test_what_the_system_refuses_is_one_line_and_the_old_file_stays(error, tmp_path, monkeypatch):
    path = tmp_path / "net.dot"
    path.write_text("old")

    def fsync(_):
        raise error

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(RenderError, match=rf"net\.dot could not be written: {error.strerror}\.$"):
        picture().write(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_picture_leaves_the_old_file(program, tmp_path):
    program("sys.exit(1)")
    path = tmp_path / "net.svg"
    path.write_text("old")
    with pytest.raises(RenderError):
        picture().write(path)
    assert path.read_text() == "old"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real.dot").write_text("old")
    link = tmp_path / "link.dot"
    link.symlink_to(tmp_path / "real.dot")
    picture().write(link)
    assert link.is_symlink()
    assert (tmp_path / "real.dot").read_text("utf-8") == picture().source


# --- as a Digraph, and in notebooks ---------------------------------------------------------------


def test_render_saves_the_text_and_the_picture(program, tmp_path, monkeypatch):
    program("print('<svg/>')")
    seen = []
    monkeypatch.setattr(
        Drawing, "_view", lambda _, path, *, format, quiet: seen.append((path, format, quiet))
    )
    saved = tmp_path / "out" / "net.gv"
    assert picture().render("net.gv", tmp_path / "out") == f"{saved}.svg"
    assert saved.read_text("utf-8") == picture().source
    assert (
        picture().render("net.gv", tmp_path / "out", cleanup=True, format="png") == f"{saved}.png"
    )
    assert not saved.exists()
    assert seen == []
    picture().view("net.gv", directory=tmp_path / "out")
    picture().view("net.gv", directory=tmp_path / "out", quiet_view=True)
    assert seen == [(f"{saved}.svg", "svg", False), (f"{saved}.svg", "svg", True)]


@pytest.mark.usefixtures("nothing")
def test_a_drawing_is_a_digraph_that_can_be_added_to():
    drawing = picture()
    with drawing.subgraph(name="more") as more:
        more.node("n1")
    assert "n1" in drawing.source
    assert drawing.copy().source == drawing.source


def test_in_a_terminal_it_shows_its_listing():
    assert repr(picture()) == str(picture()) == "n0"
    assert repr(Drawing()).startswith("<tinygrad_mlp.rendering.Drawing")
    assert str(Drawing()).startswith("digraph")


@pytest.mark.dot
def test_a_notebook_shows_svg_or_what_it_asks_for():
    assert "<svg" in picture()._repr_mimebundle_()["image/svg+xml"]
    assert picture()._repr_mimebundle_(include=["image/png"])["image/png"].startswith(PNG)


@pytest.mark.usefixtures("nothing")
def test_a_notebook_without_graphviz_shows_the_listing_and_the_way_out():
    bundle = picture()._repr_mimebundle_()
    assert list(bundle) == ["text/plain"]
    assert bundle["text/plain"].startswith("n0\n\nNo Graphviz found")
