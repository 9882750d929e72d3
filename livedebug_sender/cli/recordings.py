"""Parses recorded requests.

These are requests as recorded by a ``file://`` endpoint and ``queue export``, one per line; and
the multipart body of a request with statuses.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..lint.multipart import parts_of
from ..protocol.tracks import ROUTES, Track

_START = b'{"method":'
_SYMDB_PATH = ROUTES[Track.SYMDB].agent_path


@dataclass(frozen=True)
class RecordedBody:
    """The body of a recorded request.

    Attributes:
        track: None: that of each payload, by its content.
        body: JSON; for a SymDB upload the body as it was sent.
        content_type: of a SymDB upload.
    """

    track: Track | None
    body: bytes
    content_type: str = ""


def is_recording(head: bytes) -> bool:
    """Whether a file that starts like this contains recorded requests."""
    return head.startswith(_START)


def request_in(line: bytes) -> RecordedBody:
    """Parse a recorded request.

    Raises:
        ValueError: it is not one, or its body can't be read; the message says why.
    """
    record = json.loads(line)
    try:
        path = urlsplit(record["path"]).path
        headers = {name.lower(): str(value) for name, value in record["headers"].items()}
        encoded = record.get("body_base64")
        body = (
            record["body"].encode() if encoded is None else base64.b64decode(encoded, validate=True)
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ValueError(
            "not a recorded request; expected: path, headers, and body or body_base64"
        ) from None
    content_type = headers.get("content-type", "")
    if path == _SYMDB_PATH or headers.get("dd-evp-origin") == "agent-symdb":
        return RecordedBody(Track.SYMDB, body, content_type)
    if not content_type.startswith("multipart/"):
        return RecordedBody(None, _checked(body))
    event = parts_of(body, content_type).get("event")
    if event is None:
        raise ValueError("a recorded multipart body without the part event")
    return RecordedBody(Track.DIAGNOSTICS, _checked(event))


def statuses_in(body: bytes, content_type: str) -> bytes | None:
    """The JSON of a multipart body of the track diagnostics; None for another body.

    A symdb upload also has a part ``event``, with other members, and a second part.
    """
    parts = parts_of(body, content_type)
    event = parts.get("event")
    if event is None or len(parts) > 1:
        return None
    try:
        value = json.loads(event)
    except (ValueError, RecursionError):
        return None
    first = value[0] if isinstance(value, list) and value else value
    return event if isinstance(first, dict) and "debugger" in first else None


def _checked(body: bytes) -> bytes:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"a recorded body that is not JSON: {error}") from None
    if not isinstance(value, (dict, list)):
        raise ValueError("a recorded body that is not a JSON object or array")
    return body
