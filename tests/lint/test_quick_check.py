"""What is passed over as plainly valid has no finding: the same errors as by jsonschema alone."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from sample_data import SAMPLES, large_snapshot

from livedebug_sender.lint.quick_check import QuickCheck

FOLDER = files("livedebug_sender.lint") / "schemas"
SCHEMAS = {
    path.name.removesuffix(".json"): json.loads(path.read_text()) for path in FOLDER.iterdir()
}
CHECKS = {name: QuickCheck(schema) for name, schema in SCHEMAS.items()}
VALID = [
    (schema, payload)
    for schema, name in (("diagnostics", "diagnostics"), ("snapshot", "snapshots"))
    for payload in json.loads((SAMPLES / f"{name}.json").read_bytes())
]
#: Of every type, and those that Python takes for equal or JSON for a number.
VALUES: list[Any] = [None, True, False, 0, 1, -1, 1.0, 1e12, 1.5e12, float("nan"), float("inf")]
VALUES += ["", "1", "1\n", "dd_debugger", "EMITTING", [], [[]], [1, 2, 3], {}, {"type": "str"}]
VALUES += [{"type": "str", "isNull": 1}, {"lines": {"x": {}}}, 10**400, {"": {}}]


def errors(validator: Any, value: Any) -> list[tuple[str, ...]]:
    return sorted(
        tuple(map(str, (e.validator, *e.absolute_path, "|", *e.absolute_schema_path, e.message)))
        for e in validator(value)
    )


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    found = [path]
    for name, one in inside:
        deeper = isinstance(one, (dict, list))
        found += places_in(one, (*path, name)) if deeper else [(*path, name)]
    return found


@given(st.data())
def test_a_payload_with_something_changed_has_the_errors_that_jsonschema_finds(data: Any) -> None:
    name, sample = data.draw(st.sampled_from(VALID))
    payload: Any = copy.deepcopy(sample)
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(places_in(payload)[1:] or [("service",)]))
        around = payload
        for part in path:
            around = around[part]
        if data.draw(st.booleans()) and isinstance(around, dict):
            del around[last]
        else:
            around[last] = copy.deepcopy(data.draw(st.sampled_from(VALUES)))
    alone = Draft202012Validator(SCHEMAS[name]).iter_errors
    assert errors(CHECKS[name].errors_in, payload) == errors(alone, payload)


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{value!r:.30}")
def test_any_value_has_the_errors_that_jsonschema_finds(name: str, value: Any) -> None:
    alone = Draft202012Validator(SCHEMAS[name]).iter_errors
    assert errors(CHECKS[name].errors_in, value) == errors(alone, value)


def test_a_keyword_that_is_not_known_here_is_left_to_jsonschema() -> None:
    check = QuickCheck({"type": "array", "uniqueItems": True})
    assert [error.validator for error in check.errors_in([1, 1])] == ["uniqueItems"]


def test_of_a_valid_payload_jsonschema_sees_nothing() -> None:
    """It takes longer to be loaded than all else that `lint` does."""
    code = (
        "import json, sys; from livedebug_sender.lint import findings_in\n"
        "assert findings_in(json.load(sys.stdin)[0]) == []\n"
        "assert 'jsonschema' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], input=large_snapshot(), check=True, timeout=60)
