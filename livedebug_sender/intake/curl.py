"""Formats a request as a shell command."""

from __future__ import annotations

import shlex

from ..protocol.credentials import is_credential
from .reading import Payload
from .records import RecordedRequest

#: Bytes; Linux takes 128 KiB in one argument.
_MAX_ARGUMENT = 100_000
_GLUE = " \\\n  "
#: Headers that curl adds itself.
_LEFT_OUT = (
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "transfer-encoding",
    "user-agent",
)


def curl_command(
    request: RecordedRequest, origin: str, payload: Payload | None = None, place: int = 0
) -> str:
    """A command that sends the request again, or a single payload of it if that is plain JSON.

    Args:
        origin: of the intake, ``http://HOST:PORT``; a body that is too large for an argument
            is fetched from there.
        place: of the payload in the request.
    """
    target = request.path + (f"?{request.query}" if request.query else "")
    alone = payload is not None and _is_plain_json(request)
    left_out = (*_LEFT_OUT, "content-encoding") if alone else _LEFT_OUT
    # curl would expand `ddtags=[1-9]` to nine URLs.
    globs = "-g " if any(character in target for character in "[]{}") else ""
    parts = [f"curl -X POST {globs}{shlex.quote(origin + target)}"]
    parts += [
        f"-H {shlex.quote(f'{name}: {value}')}"
        for name, value in request.headers.items()
        if name not in left_out and not is_credential(name)  # masked here
    ]
    text = payload.texts[0][1] if payload is not None and alone else ""
    if text and len(text.encode("utf-8", "replace")) <= _MAX_ARGUMENT:
        return _GLUE.join([*parts, f"--data-binary {shlex.quote(f'[{text}]')}"])
    source = f"{origin}/intake/requests/{request.number}/body"
    if text:
        source = f"{origin}/intake/payloads/{request.number}.{place}/raw"
    return f"curl -s {shlex.quote(source)} | " + _GLUE.join([*parts, "--data-binary @-"])


def _is_plain_json(request: RecordedRequest) -> bool:
    multipart = request.headers.get("content-type", "").lower().startswith("multipart/")
    return not multipart and not any(one.kind == "symdb" for one in request.summaries)
