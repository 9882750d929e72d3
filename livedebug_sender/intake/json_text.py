"""Parses JSON, and keeps the text of each element of an array.

The text is kept in addition to the value because the value loses details: ``1.10``, a number of
19 digits in a browser, duplicate keys, white space.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

#: Deeper JSON is refused: walking it would exhaust Python's stack. Tracers capture to a
#: depth of about three, which is about 15 in JSON.
MAX_DEPTH = 200
#: Maximum values in one text; decoded, the smallest takes about 60 bytes.
MAX_VALUES = 2_000_000
_BLANK = re.compile(r"[ \t\n\r]*")


def decoded(content: bytes, what: str) -> tuple[Any, str]:
    """The value of a JSON text, and the text.

    Raises:
        ValueError: the message says what is wrong; `what` names the text.
    """
    text = _text(content, what)
    try:
        value, end = _DECODER.raw_decode(text, _after_blank(text, 0))
        if _after_blank(text, end) != len(text):
            raise ValueError(f"more text after its end, at character {end}")
    except ValueError as error:
        raise ValueError(f"{what} is not JSON: {error}") from None
    _check_depth(value, text, what)
    return value, text


def elements(content: bytes, what: str) -> Iterator[tuple[Any, str]]:
    """The elements of an array, or a single value, each with its text.

    Decoded one by one: a caller that keeps none of them needs memory for only one.

    Raises:
        ValueError: as `decoded`, possibly after some elements.
    """
    text = _text(content, what)
    at = _after_blank(text, 0)
    if text[at : at + 1] != "[":
        yield decoded(content, what)
        return
    at = _after_blank(text, at + 1)
    closed = text[at : at + 1] == "]"
    at += closed
    while not closed:
        try:
            value, end = _DECODER.raw_decode(text, at)
        except ValueError as error:
            raise ValueError(f"{what} is not JSON: {error}") from None
        element = text[at:end]
        _check_depth(value, element, what)
        yield value, element
        at = _after_blank(text, end)
        closed = text[at : at + 1] == "]"
        if not closed and text[at : at + 1] != ",":
            raise ValueError(f"{what} is not JSON: expected ',' or ']' at character {at}")
        at = at + 1 if closed else _after_blank(text, at + 1)
    if _after_blank(text, at) != len(text):
        raise ValueError(f"{what} is not JSON: more text after its end, at character {at}")


def _not_a_value(name: str) -> None:
    # NaN and Infinity are not JSON: browsers can't parse them.
    raise ValueError(f"{name} is not a JSON value")


_DECODER = json.JSONDecoder(parse_constant=_not_a_value)


def _text(content: bytes, what: str) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{what} is not UTF-8") from None
    if text.count(",") + text.count("[") + text.count("{") > MAX_VALUES:
        raise ValueError(f"{what} has more than {MAX_VALUES:,} values")
    return text


def _after_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _check_depth(value: Any, text: str, what: str) -> None:
    # Most payloads have fewer brackets than the maximum depth, and need no walk.
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deeper(value):
        raise ValueError(f"{what} is JSON nested deeper than {MAX_DEPTH}")


def _is_deeper(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
    return bool(level)
