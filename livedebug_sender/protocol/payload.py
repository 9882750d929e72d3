"""What a caller hands over, turned into the bytes that wait in the queue.

Pure: no thread, no socket, no clock. A payload is judged on its face only
(is it a ``[...]`` or a ``{...}``?); what is inside is for the intake to judge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidPayload

_JSON_SPACE = b" \t\n\r"
#: What has to be the last byte of JSON text, by its first; -1: it can't be the first.
CLOSING = [-1] * 256
CLOSING[ord("{")] = ord("}")
CLOSING[ord("[")] = ord("]")
# A header value in visible ASCII: what could end the line or the header is refused.
_MOST_CONTENT_TYPE = 1000
_CONTENT_TYPE = re.compile(r"[!-~]+(?:[ \t]+[!-~]+)*\Z")


class Upload:
    """A SymDB body and its content type; as long as the body."""

    __slots__ = ("body", "content_type")

    def __init__(self, body: bytes, content_type: str) -> None:
        self.body = body
        self.content_type = content_type

    def __len__(self) -> int:
        return len(self.body)


#: What waits: JSON text, or a SymDB body.
Item = bytes | Upload


def encode_payload(payload: object) -> bytes:
    """A JSON payload as UTF-8 bytes; `InvalidPayload` if it can't be one.

    ``bytes`` are returned as they are, not copied, unless white space has to be cut
    off; a ``bytearray`` or ``memoryview`` is copied, so that its owner may go on
    using it; a mapping or list is encoded compactly.
    """
    encoded = payload if type(payload) is bytes else _encode(payload)
    if not encoded:
        raise InvalidPayload("the payload is empty; a JSON object or array is wanted")
    if CLOSING[encoded[0]] == encoded[-1]:
        return encoded
    if encoded[0] in _JSON_SPACE or encoded[-1] in _JSON_SPACE:
        return encode_payload(encoded.strip(_JSON_SPACE))
    raise InvalidPayload("the payload is no JSON object or array: wanted {...} or [...]")


def encode_body(payload: object) -> bytes:
    """An opaque SymDB body as bytes; `InvalidPayload` if it is none or empty."""
    if type(payload) is bytes:
        body = payload
    elif isinstance(payload, (bytes, bytearray, memoryview)):
        body = _copied(payload)
    else:
        raise InvalidPayload(f"a SymDB body is bytes; given: {type(payload).__name__}")
    if not body:
        raise InvalidPayload("the SymDB body is empty")
    return body


def check_content_type(content_type: object) -> str:
    """The content type of a SymDB body; `InvalidPayload` if it can't be a header value."""
    if (
        not isinstance(content_type, str)
        or len(content_type) > _MOST_CONTENT_TYPE
        or not _CONTENT_TYPE.match(content_type)
    ):
        raise InvalidPayload(
            "a SymDB body needs its content type, one line of ASCII text such as "
            f"'multipart/form-data; boundary=...'; given: {content_type!r:.80}"
        )
    return str.__str__(content_type)  # of an enumeration: its value


def _encode(payload: object) -> bytes:
    try:
        if isinstance(payload, str):
            return str.encode(payload, "utf-8")  # a subclass may make of it what it likes
        if isinstance(payload, (bytes, bytearray, memoryview)):
            return _copied(payload)
        if isinstance(payload, (Mapping, list, tuple)):
            return _encode_json(payload)
    except KeyboardInterrupt:
        raise  # the user's
    except BaseException as error:  # whatever a hostile object's own methods raise
        raise InvalidPayload(f"the payload can't be encoded: {type(error).__name__}") from error
    raise InvalidPayload(
        f"a payload is bytes, str, a mapping or a list; given: {type(payload).__name__}"
    )


def _copied(payload: bytes | bytearray | memoryview) -> bytes:
    return memoryview(payload).tobytes()


def _encode_json(payload: Mapping[Any, Any] | list[Any] | tuple[Any, ...]) -> bytes:
    text = json.dumps(
        payload if isinstance(payload, (dict, list, tuple)) else dict(payload),
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,  # NaN and Infinity are no JSON
        default=_plain_mapping,
    )
    # A lone surrogate (a file name that is no UTF-8, say) becomes its \udcxx escape,
    # which is what JSON itself would write.
    return text.encode("utf-8", "backslashreplace")


def _plain_mapping(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
