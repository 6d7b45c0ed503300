"""`tinygrad-mlp play`: a page of a network or of a person's loss, or one line that helps."""

import json

import pytest

from tinygrad_mlp import cli

FILE = """\
from tinygrad_mlp import Tensor

def loss():
    w = Tensor([1.0, 2.0], True, "w")
    return (w * w).sum()
"""

pytestmark = pytest.mark.dot


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(FILE, "utf-8")

    def play(*args):
        status = cli.main(["play", *args])
        out, err = capsys.readouterr()
        return status, out, err

    return play


def test_a_network_becomes_a_page(run, tmp_path):
    status, out, err = run("--sizes", "2,4,1", "-o", "net.html")
    assert (status, out) == (0, "net.html\n")
    assert err == "Player: L in 11 steps, 4 forward and 7 backward\n"
    assert (tmp_path / "net.html").read_text("utf-8").startswith("<!doctype html>")
    assert run("--sizes", "2,1", "-o", "net.html", "-q")[2] == ""


def test_the_loss_of_a_file_becomes_a_page(run, tmp_path):
    status, out, _ = run("net.py:loss", "-o", "w.html")
    assert (status, out) == (0, "w.html\n")
    assert "x + x" not in (page := (tmp_path / "w.html").read_text("utf-8"))
    assert "w + w" in page


def test_json_names_the_file_or_holds_the_page(run):
    document = json.loads(run("--sizes", "2,1", "-o", "net.html", "--json")[1])
    assert (document["command"], document["file"]) == ("play", "net.html")
    document = json.loads(run("net.py:loss", "--json")[1])
    assert document["html"].startswith("<!doctype html>")


def test_open_shows_the_page_in_a_browser(run, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(cli.webbrowser, "open", opened.append)
    assert run("--sizes", "2,1", "-o", "a page.html", "--open")[0] == 0
    assert opened == [f"{tmp_path.as_uri()}/a%20page.html"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["-o", "net.html"], "play: give either --sizes 3,5,2 or FILE:FUNCTION."),
        (["net.py:loss", "--sizes", "2,1", "-o", "net.html"], "give either --sizes"),
        (["net.py", "-o", "net.html"], "play: say which function of net.py makes the loss"),
        (["--sizes", "2,1"], "say where the page goes: -o net.html."),
        (["--sizes", "2,1", "--json", "--open"], "say where the page goes: -o net.html."),
        (["--sizes", "2,1", "-o", "net.svg"], "'net.svg' does not end in .html."),
        (["--sizes", "2,1", "-o", "no/net.html"], "there is no folder no."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_use_is_one_line(run, tmp_path, args, words):
    status, out, err = run(*args)
    assert (status, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["net.py"]
