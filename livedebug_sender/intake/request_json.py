"""The JSON of a request that is not a payload."""

from __future__ import annotations

from flask import request


def json_of_request() -> object:
    """The body; None if it is no JSON, or nested deeper than it can be read."""
    try:
        return request.get_json(force=True, silent=True)
    except RecursionError:
        return None
