"""The options of a sender, and what its docstring says of them."""

from __future__ import annotations

import re
from inspect import get_annotations

from livedebug_sender import Sender
from livedebug_sender.options import Options


def test_the_docstring_of_a_sender_says_every_default() -> None:
    text = " ".join((Sender.__doc__ or "").split())
    said = dict(re.findall(r"\b(\w+): (?:(?!\w+: ).)*?\(default: ([\w.]+)\)", text))
    defaults = {
        name: default
        for name in get_annotations(Options)
        if isinstance(default := getattr(Options, name), (int, float))
    }
    assert len(defaults) == 9
    # Options reads a size or a time with its unit as it is given to a sender.
    assert {
        name: getattr(Options(**{name: _given(value)}), name) for name, value in said.items()
    } == (defaults)


def _given(text: str) -> int | str:
    return int(text) if text.isdigit() else text
