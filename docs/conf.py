"""Settings of Sphinx. Build: sphinx-build -W docs docs/_build"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # a checkout that is not installed will do

import tinygrad_mlp

project = "tinygrad_mlp"
author = "the tinygrad_mlp developers"
copyright = author
release = version = tinygrad_mlp.__version__

extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_parser"]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "tinygrad_mlp"
html_show_sphinx = False

# Signatures carry the types; numpydoc's sections carry the shapes.
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
numpydoc_class_members_toctree = False
numpydoc_show_class_members = False  # autodoc lists them

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
