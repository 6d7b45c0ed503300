"""From DOT text to a picture: finding a Graphviz, running it, writing the file.

Knows nothing of Tensors and imports graphviz, which takes time: only `drawing.draw` imports this
module, when it is called.
"""

import functools
import html
import importlib
import importlib.metadata
import io
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import graphviz

from . import saving
from .errors import RenderError

__all__ = ["FORMATS", "Drawing", "render", "write_whole"]

FORMATS = ("svg", "png", "pdf", "dot")
VARIABLE = "TINYGRAD_MLP_DOT"
"""Environment variable: the Graphviz to use before any other, as a path or a name on PATH."""

PURE = "graphviz-pure"
INSTALL = "pip install 'tinygrad-mlp[render]'"
TIME_LIMIT = 60.0  # seconds; 500 cards take a few
MONOSPACE = "ui-monospace,SFMono-Regular,Menlo,Consolas,Liberation Mono,Courier,monospace"


class Drawing(graphviz.Digraph):  # type: ignore[misc]  # graphviz has no type information
    """A picture of a graph: DOT text that writes and shows itself.

    A `graphviz.Digraph`, so ``.source``, ``.save`` and ``.subgraph`` are there; it is laid out by
    the Graphviz that comes with pip, so the same text gives the same picture everywhere.

    Attributes
    ----------
    source : str
        The DOT text.
    listing : str
        The same content in lines of text, for where no picture can be shown.
    style : str
        Style sheet that is put into an SVG.
    alt : str
        What the picture shows, in words, for those who cannot see it.
    titles : dict
        Name of a node in the DOT text -> what it is, in words.
    """

    listing = ""
    style = ""
    alt = ""
    titles: Mapping[str, str] = MappingProxyType({})
    _format = "svg"

    def write(
        self, path: str | os.PathLike[str], *, renderer: str | None = None, dpi: float = 96
    ) -> Path:
        """Write the picture; the suffix of `path` says as what.

        Parameters
        ----------
        path : path
            Ends in .svg, .png, .pdf or .dot. The file is there in full or not at all.
        renderer : {None, "pure", "system"}
            Which Graphviz; by default the one from pip, then the ``dot`` of the system, which is
            also asked for PDF.
        dpi : float
            Dots per inch of a PNG; 192 for print.

        Returns
        -------
        pathlib.Path

        Raises
        ------
        RenderError
            If the suffix is another, no Graphviz is found or it fails, or the folder is missing or
            read-only.
        """
        path = Path(path)
        format = path.suffix[1:].lower()
        if format not in FORMATS:
            raise RenderError(
                f"write({os.fspath(path)!r}): the suffix is not one of "
                f"{', '.join('.' + known for known in FORMATS)}."
                + " A page that steps through it is play(loss, path)."
                * (format == "html")
            )
        if not path.parent.is_dir():  # said before a second is spent on the layout
            raise RenderError(f"write({os.fspath(path)!r}): there is no folder {path.parent}.")
        write_whole(path, self.pipe(format, renderer, dpi=dpi))
        return path

    def pipe(
        self,
        format: str | None = None,
        renderer: str | None = None,
        *,
        dpi: float = 96,
        encoding: str | None = None,
    ) -> Any:
        """The picture as bytes, or as text where an `encoding` is given; see `write`."""
        format = format or self.format
        data = render(self.source, format, renderer=renderer, dpi=dpi)
        if format == "svg":
            data = styled(data.decode(), self.style, self.alt, self.titles).encode()
        return data.decode(encoding) if encoding else data

    def render(
        self,
        filename: str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] | None = None,
        view: bool = False,
        cleanup: bool = False,
        format: str | None = None,
        renderer: str | None = None,
        *,
        quiet: bool = False,
        quiet_view: bool = False,
    ) -> str:
        """Save the DOT text, write the picture beside it, and open it if asked to (`view`)."""
        saved = self.save(filename, directory=directory)
        path = self.write(f"{saved}.{format or self.format}", renderer=renderer)
        if cleanup:
            os.remove(saved)
        if view or quiet_view:
            self._view(os.fspath(path), format=path.suffix[1:], quiet=quiet or quiet_view)
        return os.fspath(path)

    def __repr__(self) -> str:
        return self.listing or super().__repr__()

    def __str__(self) -> str:  # print(draw(loss)) is for people; programs read .source
        return self.listing or str(super().__str__())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> Any:
        """What a notebook shows: the picture, or the listing and how to get the picture."""
        try:
            return super()._repr_mimebundle_(include, exclude)
        except RenderError as error:
            return {"text/plain": f"{self!r}\n\n{error}"}


# --- running Graphviz -----------------------------------------------------------------------------


def render(source: str, format: str, *, renderer: str | None = None, dpi: float = 96) -> bytes:
    """Lay out DOT text and draw it.

    Parameters
    ----------
    source : str
    format : str
        "svg", "png", "dot" (the text itself), "pdf"; others are left to the ``dot`` of the system.
    renderer : {None, "pure", "system"}
    dpi : float
        For pictures made of pixels.

    Raises
    ------
    RenderError
    """
    if renderer not in (None, "pure", "system"):
        raise RenderError(f"renderer={renderer!r}: use 'pure' (the one from pip) or 'system'.")
    if format == "dot":
        return source.encode()
    if renderer == "system":
        program = find_system() or missing("system", format)
    elif renderer == "pure":
        program = find_pure() or missing("pure", format)
    elif format in ("svg", "png"):
        program = find_pure() or find_system() or missing("", format)
    else:
        program = find_system()
        if not program:
            return pdf_of(source) if format == "pdf" else missing("system", format)
    return run(program, source, format, dpi)


def missing(which: str, format: str) -> Any:
    """Raise, with the ways to get a Graphviz."""
    ways = {
        "pure": f"{INSTALL}.",
        "system": "install Graphviz with the system's package manager.",
        "": f"{INSTALL}, or install Graphviz with the system's package manager.",
    }
    what = {"pure": PURE, "system": "program dot", "": "Graphviz"}
    raise RenderError(
        f"No {what[which]} found to draw {format.upper()}: {ways[which]} "
        f"write('net.dot') works without."
    )


def chosen() -> str | None:
    """The program that the environment variable names."""
    name = os.environ.get(VARIABLE)
    if not name:
        return None
    program = shutil.which(name)
    if not program:
        raise RenderError(f"{VARIABLE}={name}: there is no such program; unset it or correct it.")
    return program


def find_pure() -> str | None:
    """The Graphviz for SVG and PNG: what the variable names, else the one from pip."""
    return chosen() or installed()


def find_system() -> str | None:
    """The Graphviz for everything else: what the variable names, else ``dot``."""
    program = chosen()
    return program if program and PURE not in Path(program).name else shutil.which("dot")


def installed() -> str | None:
    """graphviz-pure where pip put it, which is not on the PATH of every notebook's kernel."""
    return next((path for path in map(shutil.which, candidates()) if path), None)


@functools.cache
def candidates() -> list[str]:
    """Where graphviz-pure may lie, likeliest first."""
    suffix = sysconfig.get_config_var("EXE") or ""
    try:
        listed = importlib.metadata.files(PURE) or []
    except importlib.metadata.PackageNotFoundError:
        listed = []
    found = [os.fspath(f.locate()) for f in listed if f.name in (PURE, f"{PURE}.exe")]
    user = sysconfig.get_preferred_scheme("user")
    folders = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", user)]
    return [*found, *(os.path.join(folder, PURE + suffix) for folder in folders), PURE]


GIVES_UP = b"init_rank", b"routesplines"
"""What Graphviz says of its own layout, where it has led itself into a contradiction."""

PLAINER = (
    ("newrank=true", "newrank=false"),
    ("rank=same; ", ""),
    ("splines=spline", "splines=polyline"),
    ("splines=polyline", "splines=line"),
    ("subgraph cluster_", "subgraph group_"),  # without the boxes around them
)
"""What is given up then, one after the other; groups that data leave and enter again need it."""


def run(program: str, source: str, format: str, dpi: float) -> bytes:
    """What `program` makes of DOT text. Its warnings are dropped, its errors are not."""
    command = [program, "-Kdot", f"-T{format}"]
    if format == "png":
        command.append(f"-Gdpi={dpi:g}")
    try:
        done = subprocess.run(
            command, input=source.encode(), capture_output=True, timeout=TIME_LIMIT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise RenderError(
            f"{program}: no picture after {TIME_LIMIT:g} s; draw a smaller part of the graph."
        ) from error
    except OSError as error:
        raise RenderError(f"{program} could not be run: {error.strerror}.") from error
    if done.returncode and any(words in done.stderr for words in GIVES_UP):
        for old, new in PLAINER:
            if old in source:
                return run(program, source.replace(old, new), format, dpi)
    if done.returncode:  # there may be a picture all the same: one with empty cards
        lines = done.stderr.decode(errors="replace").split("\n")
        said = next((line for line in lines if "rror" in line), lines[0]).strip()
        raise RenderError(f"{program} failed to draw {format} ({done.returncode}): {said[:200]}")
    return done.stdout


def pdf_of(source: str) -> bytes:
    """A PDF without a ``dot`` of the system: the SVG, through svglib and reportlab."""
    try:
        reading = importlib.import_module("svglib.svglib")
        writing = importlib.import_module("reportlab.graphics.renderPDF")
    except ImportError as error:
        raise RenderError(
            "PDF: install Graphviz with the system's package manager, or "
            "pip install 'tinygrad-mlp[render,pdf]'; SVG and PNG need neither."
        ) from error
    shapes = reading.svg2rlg(io.BytesIO(render(source, "svg")))
    pdf: bytes = writing.drawToString(shapes)
    return pdf


# --- finishing ------------------------------------------------------------------------------------

TITLE = re.compile(r"<title>([^<]*)</title>\n?")


def styled(svg: str, style: str, alt: str = "", titles: Mapping[str, str] | None = None) -> str:
    """An SVG with the code in the browser's monospaced font, words for those who hear it, a style.

    The titles that Graphviz writes ("n3") would pop up under the mouse: in their place stand those
    that are given, or none.

    >>> styled('<svg width="9"><title>n0</title><g font-family="Courier,monospace"/></svg>', "g{}")
    '<svg width="9"><style>g{}</style><g font-family="ui-monospace,...,monospace"/></svg>'
    """
    known = titles or {}

    def said(match: re.Match[str]) -> str:
        text = known.get(match[1])
        return f"<title>{html.escape(text)}</title>\n" if text else ""

    svg = TITLE.sub(said, svg).replace('"Courier,monospace"', f'"{MONOSPACE}"')
    if alt:
        start = svg.index("<svg") + 4
        words = f' role="img" aria-label="{html.escape(alt)}"'
        svg = f"{svg[:start]}{words}{svg[start:]}"
    if not style:
        return svg
    end = svg.index(">", svg.index("<svg")) + 1
    return f"{svg[:end]}<style>{style}</style>{svg[end:]}"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file through a temporary one beside it, so that no half of it is ever seen."""
    try:
        saving.write_whole(path, data)
    except OSError as error:
        raise RenderError(f"{path} could not be written: {error.strerror}.") from error
