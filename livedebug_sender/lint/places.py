"""Finds the line of a finding in the text of a file."""

from __future__ import annotations

import json
import re

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def line_of(text: str, pointer: str, start: int = 0) -> int:
    """The line (from 1) of the value that a JSON pointer names, in valid JSON text.

    If the value is missing, the line of its closest existing parent.

    Args:
        start: the position in the text of the value that the pointer is relative to.
    """
    place = _after_space(text, start)
    for part in pointer.split("/")[1:]:
        inside = _member(text, place, part.replace("~1", "/").replace("~0", "~"))
        if inside is None:
            break
        place = inside
    return text.count("\n", 0, place) + 1


def _member(text: str, place: int, name: str) -> int | None:
    """The position of a member of an object, or an element of an array."""
    bracket = text[place : place + 1]
    if bracket not in ("{", "["):
        return None
    number = 0
    place = _after_space(text, place + 1)
    while text[place] not in "]}":
        key = str(number)
        if bracket == "{":
            key, place = _DECODER.raw_decode(text, place)
            place = _after_space(text, _after_space(text, place) + 1)
        if key == name:
            return place
        _, place = _DECODER.raw_decode(text, place)
        place = _after_space(text, place)
        if text[place] == ",":
            place = _after_space(text, place + 1)
        number += 1
    return None


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place
