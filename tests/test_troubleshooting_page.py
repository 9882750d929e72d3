"""The page of troubleshooting quotes what the code really says, and all that it says."""

from __future__ import annotations

import ast
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

import livedebug_sender
from livedebug_sender.stats import LOST, REFUSED

PACKAGE = Path(livedebug_sender.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "troubleshooting.rst"
TABLE = PAGE.read_text(encoding="utf-8").split("Messages of the log")[1].split("Nothing arrives")[0]
#: What stands for something else in a quoted message.
PLACEHOLDERS = r"\b(?:N requests|HOST|WHERE|URL|STATUS|TRACK|VARIABLE|PATH|WHY|N)\b"
#: Where a sender's messages come from.
SOURCES = [
    *(path for name in ("delivery", "transport") for path in (PACKAGE / name).glob("*.py")),
    PACKAGE / "config.py",
]


def quoted() -> list[str]:
    """The messages in the first column, in one line each."""
    columns = re.findall(r"^   \* - (\*.+?)\n     - ", TABLE, re.MULTILINE | re.DOTALL)
    return [
        " ".join(text.split()) for column in columns for text in re.findall(r"\*([^*]+)\*", column)
    ]


def fixed_parts(message: str) -> list[str]:
    """What of a quoted message is the same each time."""
    parts = re.split(rf"{PLACEHOLDERS}|[:,(] |[()]|(?<=\w), ", message)
    return [part.strip(" ,:") for part in parts if len(part.strip(" ,:")) > 1]


def constants() -> str:
    """All text of the code, apart from its docstrings and comments."""
    texts = [*REFUSED, *LOST, os.strerror(errno.ECONNREFUSED).lower()]
    for path in SOURCES:
        tree = ast.parse(path.read_text("utf-8"))
        statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts += [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in statements
        ]
    return "\n".join(texts)


def noted() -> Iterator[str]:
    """The fixed parts of what the code logs by `note`."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr in ("note", "failed") and isinstance(node.args[-1], ast.JoinedStr):
                for part in node.args[-1].values:
                    if isinstance(part, ast.Constant):
                        yield from fixed_parts(str(part.value))


def test_every_message_on_the_page_is_one_of_the_code() -> None:
    said = constants()
    messages = quoted()
    missing = {
        message: part for message in messages for part in fixed_parts(message) if part not in said
    }
    assert missing == {}
    assert len(messages) > 25


def test_every_message_that_the_code_notes_is_on_the_page() -> None:
    page = " ".join(TABLE.split())
    parts = [part for part in noted() if len(part) > 8]
    assert [part for part in parts if part not in page] == []
    assert len(parts) > 6


def test_every_reason_of_a_drop_is_on_the_page() -> None:
    named = re.findall(r"payloads dropped \(TRACK, (\w+)\)", TABLE)
    assert sorted(named) == sorted([*REFUSED, *LOST])


def test_every_exception_of_the_library_is_on_the_page() -> None:
    from livedebug_sender import errors

    public = {
        name
        for name in livedebug_sender.__all__
        if isinstance(getattr(errors, name, None), type) and name != "SenderError"
    }
    text = PAGE.read_text(encoding="utf-8").split("Exceptions\n")[1]
    assert set(re.findall(r"^   \* - `(\w+)`", text, re.MULTILINE)) == public
