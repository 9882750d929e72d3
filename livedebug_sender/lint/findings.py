"""A decoded payload against the JSON Schema of its track: pure.

The schemas in ``schemas/`` are this project's own. Their facts are those of real tracers'
payloads and of the tracers' public system tests (DataDog/system-tests,
``utils/interfaces/schemas/library``). A ``description`` in a schema is what is expected
there, in the words of a finding.
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

#: Findings of one payload that are kept; a payload with one fault in each of a thousand
#: values needs no thousand lines.
MAX_FINDINGS = 20
# To find one takes up to 0.1 ms; what has thousands is of no tracer.
_MAX_ERRORS = 10 * MAX_FINDINGS
_MAX_SHOWN = 60

_SCHEMAS = {Track.DIAGNOSTICS: "diagnostics", Track.SNAPSHOTS: "snapshot", Track.LOGS: "snapshot"}


@dataclass(frozen=True)
class Finding:
    """One odd thing.

    Attributes:
        pointer: where, as a JSON pointer (RFC 6901); empty for the payload itself.
        given: what is there, shortened; ``"nothing"`` where something is missing.
        expected: what tracers send there.
    """

    pointer: str
    given: str
    expected: str

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.given}; expected: {self.expected}"


def findings_in(payload: object, track: Track | str | None = None) -> list[Finding]:
    """What is odd about a decoded payload of a debugger track.

    Args:
        payload: as `json.loads` gives it.
        track: what it was sent as; None: what it looks like (see `track_of_payload`).

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
    """The findings of one of the schemas, in the order of the places they are at."""
    try:
        errors = islice(_checker(schema).errors_in(value), _MAX_ERRORS)
        found = {_finding_of(error) for error in errors}
    except RecursionError:
        found = {Finding("", "values nested too deep to be looked at", "fewer levels")}
    yield from sorted(found, key=lambda one: one.pointer)


def shown(value: object) -> str:
    """A value in few characters, as JSON."""
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
    """The member that a ``required`` misses: each missing one is an error of its own."""
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
