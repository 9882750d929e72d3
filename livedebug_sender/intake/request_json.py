"""The JSON of a request that is not a payload."""

from __future__ import annotations

from flask import request


def json_of_request() -> object:
    """The body; None if it is not JSON, or nested too deep to parse."""
    try:
        return request.get_json(force=True, silent=True)
    except RecursionError:
        return None
