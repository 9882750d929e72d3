"""Prints human-readable text by rich, with colors on terminals only, or JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.text import Text


def stdout() -> Console:
    return Console(highlight=False, soft_wrap=True)


def stderr() -> Console:
    return Console(stderr=True, highlight=False, soft_wrap=True)


def plain(text: str, style: str = "") -> Text:
    """Text without markup, and without control characters for the terminal."""
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
    return Text(shown, style)


def print_json(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False)
    # Lone surrogates can't be written; C1 controls affect terminals; characters missing from an
    # encoding would be written as an escape that is not valid in JSON.
    utf8 = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("_", "-")
    if not text.isprintable() or utf8 not in ("utf-8", "utf8"):
        text = json.dumps(value)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def counted(count: int, one: str) -> str:
    return f"{count:,} {one}{'' if count == 1 else 's'}"
