"""Checks a caller's payload, and encodes it to the bytes that are queued.

No threads, sockets or clocks. Of JSON text only the first and the last character are checked
(``[...]`` or ``{...}``); the rest is validated by the intake.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidPayload
from ..runtime.host_signals import raised_by_signal_handler

#: White space around and between the tokens of JSON text.
JSON_SPACE = b" \t\n\r"
#: The last byte that JSON text must have, by its first byte; -1: text can't start with it.
CLOSING = [-1] * 256
CLOSING[ord("{")] = ord("}")
CLOSING[ord("[")] = ord("]")
# A header value in visible ASCII: characters that could end the line are refused.
_MAX_CONTENT_TYPE = 1000
_CONTENT_TYPE = re.compile(r"[!-~]+(?:[ \t]+[!-~]+)*\Z")


class Upload:
    """A SymDB body and its content type; its length is that of the body."""

    __slots__ = ("body", "content_type")

    def __init__(self, body: bytes, content_type: str) -> None:
        self.body = body
        self.content_type = content_type

    def __len__(self) -> int:
        return len(self.body)


#: What waits in a queue: JSON text, or a SymDB body.
Item = bytes | Upload


def min_size(payload: object) -> int:
    """A lower bound of a payload's size in bytes, computed without copying or encoding it.

    0 for objects that have to be encoded to JSON. A subclass's ``__len__`` is not called.
    """
    if isinstance(payload, str):
        return str.__len__(payload)
    if isinstance(payload, bytes):
        return bytes.__len__(payload)
    if isinstance(payload, bytearray):
        return bytearray.__len__(payload)
    return payload.nbytes if isinstance(payload, memoryview) else 0


def encode_payload(payload: object) -> bytes:
    """A JSON payload as UTF-8 bytes; `InvalidPayload` for anything else.

    ``bytes`` are returned without a copy, unless white space has to be stripped; a
    ``bytearray`` or ``memoryview`` is copied, so that its owner may reuse it; a mapping or
    list is encoded compactly.
    """
    encoded = payload if type(payload) is bytes else _encode(payload)
    if not encoded:
        raise InvalidPayload("the payload is empty; expected: a JSON object or array")
    if CLOSING[encoded[0]] == encoded[-1]:
        return encoded
    if encoded[0] in JSON_SPACE or encoded[-1] in JSON_SPACE:
        return encode_payload(encoded.strip(JSON_SPACE))
    raise InvalidPayload("the payload is not a JSON object or array; expected: {...} or [...]")


def encode_body(payload: object) -> bytes:
    """An opaque SymDB body as bytes; `InvalidPayload` if it is not bytes, or empty."""
    if type(payload) is bytes:
        body = payload
    elif isinstance(payload, (bytes, bytearray, memoryview)):
        body = _copied(payload)
    else:
        raise InvalidPayload(f"the SymDB body is a {type(payload).__name__}; expected: bytes")
    if not body:
        raise InvalidPayload("the SymDB body is empty; expected: at least one byte")
    return body


def check_content_type(content_type: object) -> str:
    """The content type of a SymDB body; `InvalidPayload` if it can't be a header value."""
    if (
        not isinstance(content_type, str)
        or len(content_type) > _MAX_CONTENT_TYPE
        or not _CONTENT_TYPE.match(content_type)
    ):
        raise InvalidPayload(
            f"the content type is {content_type!r:.80}; expected: one line of ASCII text such "
            "as 'multipart/form-data; boundary=...'"
        )
    return str.__str__(content_type)  # of a member of an Enum: its value


def _encode(payload: object) -> bytes:
    try:
        if isinstance(payload, str):
            return str.encode(payload, "utf-8")  # not the `encode` of a subclass
        if isinstance(payload, (bytes, bytearray, memoryview)):
            return _copied(payload)
        if isinstance(payload, (Mapping, list, tuple)):
            return _encode_json(payload)
    except KeyboardInterrupt:
        raise  # Ctrl-C by the user
    except BaseException as error:  # from the methods of a hostile object
        if raised_by_signal_handler(error):
            raise
        raise InvalidPayload(f"the payload can't be encoded: {type(error).__name__}") from error
    raise InvalidPayload(
        f"the payload is a {type(payload).__name__}; expected: bytes, str, a mapping or a list"
    )


def _copied(payload: bytes | bytearray | memoryview) -> bytes:
    return memoryview(payload).tobytes()


def _encode_json(payload: Mapping[Any, Any] | list[Any] | tuple[Any, ...]) -> bytes:
    text = json.dumps(
        payload if isinstance(payload, (dict, list, tuple)) else dict(payload),
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,  # NaN and Infinity are not JSON
        default=_plain_mapping,
    )
    # A lone surrogate (from a file name that is not UTF-8, for example) becomes its \udcxx
    # escape, as `json.dumps` would write it without `ensure_ascii=False`.
    return text.encode("utf-8", "backslashreplace")


def _plain_mapping(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
