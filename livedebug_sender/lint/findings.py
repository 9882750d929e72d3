"""Compares a decoded payload with the JSON Schema of its track.

The schemas in ``schemas/`` were written for this project, from payloads of real tracers and
from the tracers' public system tests (DataDog/system-tests,
``utils/interfaces/schemas/library``). A ``description`` in a schema says what is expected,
and becomes part of the finding's message.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..protocol.tracks import Track, track_of_payload
from .quick_check import QuickCheck

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

#: Maximum findings per payload: the same mistake in a thousand values should not print a
#: thousand lines.
MAX_FINDINGS = 20
# Each takes up to 0.1 ms to find; no tracer sends a payload with thousands of errors.
_MAX_ERRORS = 10 * MAX_FINDINGS
_MAX_SHOWN = 60

_SCHEMAS = {Track.DIAGNOSTICS: "diagnostics", Track.SNAPSHOTS: "snapshot", Track.LOGS: "snapshot"}


@dataclass(frozen=True)
class Finding:
    """One place where a payload differs from its schema.

    Attributes:
        pointer: its position as a JSON pointer (RFC 6901); empty for the payload itself.
        given: the value, shortened; ``"nothing"`` if it is missing.
        expected: what tracers send there.
    """

    pointer: str
    given: str
    expected: str

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.given}; expected: {self.expected}"


def findings_in(payload: object, track: Track | str | None = None) -> list[Finding]:
    """The findings in a decoded payload of a debugger track.

    Args:
        payload: as returned by `json.loads`.
        track: the track it was sent on; None: the one it looks like (see `track_of_payload`).

    Raises:
        ValueError: the track is not one of the debugger's.
    """
    if not isinstance(payload, dict):
        return [Finding("", shown(payload), "a JSON object")]
    looks_like = track_of_payload(payload)
    meant = looks_like if track is None else Track(track)
    if meant not in _SCHEMAS:
        raise ValueError(f"{meant} payloads are not JSON objects; see symdb_findings")
    found = list(check(payload, _SCHEMAS[meant]))
    if not found and meant is not looks_like:
        found.append(_of_another_track(meant, looks_like))
    return found[:MAX_FINDINGS]


def check(value: object, schema: str) -> Iterator[Finding]:
    """The findings by one of the schemas, ordered by pointer."""
    try:
        errors = islice(_checker(schema).errors_in(value), _MAX_ERRORS)
        found = {_finding_of(error) for error in errors}
    except RecursionError:
        found = {Finding("", "values nested too deep to be checked", "fewer levels")}
    yield from sorted(found, key=lambda one: one.pointer)


def shown(value: object) -> str:
    """A short form of a value, as JSON."""
    if isinstance(value, dict):
        return f"an object with {len(value)} members" if value else "an empty object"
    if isinstance(value, list):
        return f"an array of {len(value)}" if value else "an empty array"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def pointer_to(path: Iterable[str | int]) -> str:
    """The JSON pointer of a path."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def _of_another_track(meant: Track, looks_like: Track) -> Finding:
    pointer = "/debugger/snapshot/captures"
    if meant is Track.LOGS:
        return Finding(pointer, "captures", f"none in the track logs; this is of {looks_like}")
    return Finding(
        pointer, "no captures", f"captures in the track snapshots: this is of {looks_like}"
    )


def _finding_of(error: ValidationError) -> Finding:
    path = list(error.absolute_path)
    schema: Any = error.schema
    if error.validator == "required":
        name = _missing_name(error)
        expected = schema.get("properties", {}).get(name, {})
        return Finding(pointer_to([*path, name]), "nothing", _expected(expected, schema))
    if "propertyNames" in error.absolute_schema_path:
        path.append(str(error.instance))
    return Finding(pointer_to(path), shown(error.instance), _expected(schema, schema))


def _missing_name(error: ValidationError) -> str:
    """The missing member of a ``required`` error; there is one error for each."""
    instance: Any = error.instance
    required: Any = error.validator_value
    missing = [name for name in required if name not in instance]
    named = [name for name in missing if error.message.startswith(repr(name))]
    return str((named or missing)[0])


def _expected(schema: Any, root: Any) -> str:
    reference = schema.get("$ref", "")
    if reference:
        schema = _definition(reference.rpartition("/")[2])
    return str(schema.get("description") or root.get("description") or "something else")


def _definition(name: str) -> Any:
    for schema in ("snapshot", "symdb_scopes"):
        found = _schema(schema).get("$defs", {}).get(name)
        if found:
            return found
    return {}


@cache
def _schema(name: str) -> Any:
    return json.loads((files(__package__) / "schemas" / f"{name}.json").read_bytes())


@cache
def _checker(name: str) -> QuickCheck:
    return QuickCheck(_schema(name))
