"""JSON values whose numbers stay as they were written: 1234567890123456789, 1.10, 1e999."""

from __future__ import annotations

import json
from typing import Any


class Number(str):
    """The text of a number."""

    __slots__ = ()


def exact(text: str) -> Any:
    """Parse JSON; `ValueError` if it is invalid."""
    return json.loads(text, parse_int=Number, parse_float=Number)


def printed(value: Any, indent: int | None = None, _depth: int = 0) -> str:
    """Format the value as JSON, in one line, or indented by that many spaces."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        inner = [
            f"{json.dumps(key, ensure_ascii=False)}: {printed(child, indent, _depth + 1)}"
            for key, child in value.items()
        ]
        return _enclosed("{}", inner, indent, _depth)
    if isinstance(value, list):
        return _enclosed("[]", [printed(v, indent, _depth + 1) for v in value], indent, _depth)
    return json.dumps(value, ensure_ascii=False)


def inline(value: Any) -> str:
    """A string unchanged, other values as JSON in one line; empty for null."""
    if value is None:
        return ""
    return str(value) if isinstance(value, str) else printed(value)


def at_pointer(value: Any, pointer: str) -> Any:
    """The part of a value that a JSON pointer (RFC 6901) names; `LookupError` if none."""
    for segment in pointer.split("/")[1:]:
        key = segment.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            if not (key.isascii() and key.isdigit()):
                raise LookupError(pointer)
            value = value[int(key[:18])]
        elif isinstance(value, dict):
            value = value[key]
        else:
            raise LookupError(pointer)
    return value


def pointer_to(*keys: object) -> str:
    """The JSON pointer for these keys."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)


def _enclosed(brackets: str, inner: list[str], indent: int | None, depth: int) -> str:
    if not inner:
        return brackets
    if indent is None:
        return brackets[0] + ", ".join(inner) + brackets[1]
    pad = "\n" + " " * (indent * (depth + 1))
    end = "\n" + " " * (indent * depth)
    return brackets[0] + pad + ("," + pad).join(inner) + end + brackets[1]
