"""The ``default_env`` of the tags, normalized as in the Agent."""

from __future__ import annotations

MAX_CHARACTERS = 200
#: Bytes of the given text that are used; the rest is ignored.
MAX_BYTES = 2 * MAX_CHARACTERS


def normalized_env(text: str) -> str:
    """A tag: lower case; starts with a letter; ``_`` for runs of all but letters, digits, ``:./-``.

    As in the Agent's ``pkg/trace/traceutil/normalize``; at most 200 characters, of 400 bytes.
    """
    kept: list[str] = []
    count = size = 0
    for character in text:
        if count >= MAX_CHARACTERS or size >= MAX_BYTES:
            break
        size += len(character.encode(errors="surrogateescape"))
        if character.isupper():
            lower = character.lower()
            # As in the Agent: not if that changes the number of bytes.
            same = len(lower.encode()) == len(character.encode()) and len(lower) == 1
            character = lower if same else character
        if character == ":" or character.isalpha():
            kept.append(character)
        elif count == 0:
            continue
        elif character in "./-" or character.isdecimal():
            kept.append(character)
        elif kept[-1] != "_":
            kept.append("_")
        count += 1
    return "".join(kept).rstrip("_")
