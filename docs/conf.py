"""Settings of Sphinx. Build: sphinx-build -W docs docs/_build"""

import contextlib
import doctest
import io
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # a checkout that is not installed will do

import numpy as np

import tinygrad_mlp

project = "tinygrad_mlp"
author = "the tinygrad_mlp developers"
copyright = author
release = version = tinygrad_mlp.__version__

extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_parser"]
exclude_patterns = ["_build"]

# The page that playing.md shows; made anew at each build.
net = tinygrad_mlp.MLP((2, 4, 1), rng=3)
rng = np.random.default_rng(3)
loss = tinygrad_mlp.mse(net(rng.normal(size=(3, 2))), rng.normal(size=(3, 1)))
html_extra_path = [tempfile.mkdtemp()]
tinygrad_mlp.play(loss, Path(html_extra_path[0]) / "play.html")

html_theme = "furo"
html_title = "tinygrad_mlp"
html_show_sphinx = False
html_static_path = ["_static"]  # the pictures that pages show by <img>

# Signatures carry the types; numpydoc's sections carry the shapes.
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
numpydoc_class_members_toctree = False
numpydoc_show_class_members = False  # autodoc lists them

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3


def draw_pictures(app):
    """Write the pictures of the pages, drawn/NAME.svg: what NAME is in the code of the page."""
    folder = Path(app.srcdir) / "drawn"
    folder.mkdir(exist_ok=True)
    for page in sorted(folder.parent.glob("*.md")):
        text = page.read_text("utf-8")
        names = re.findall(r"\bdrawn/(\w+)\.svg", text)
        scope = {}
        for example in doctest.DocTestParser().get_examples(text) if names else ():
            source = "\n" * example.lineno + example.source  # on the lines of the page
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(source, str(page), "single"), scope)
        for name in names:
            scope[name].write(folder / f"{name}.svg")


def setup(app):
    """What Sphinx calls."""
    app.connect("builder-inited", draw_pictures)
