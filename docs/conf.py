"""Sphinx: `tox run -e docs`."""

from livedebug_sender import __version__

project = "livedebug-sender"
author = "the livedebug-sender authors"
copyright = "2026, " + author
version = release = __version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_parser"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_title = f"livedebug-sender {__version__}"
exclude_patterns = ["_build"]

# `Sender` on any page links to the API.
default_role = "py:obj"
rst_prolog = ".. currentmodule:: livedebug_sender\n"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
