from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livedebug_sender.lint.places import line_of

TEXT = """[
  {"a": {"b~/": [1,
    {"c": "}]"}]},
   "d": null}
]"""


@pytest.mark.parametrize(
    ("pointer", "line"),
    [
        ("", 1),
        ("/0", 2),
        ("/0/a/b~0~1/1/c", 3),
        ("/0/d", 4),
        ("/0/missing", 2),
        ("/0/a/b~0~1/1/c/deeper", 3),
        ("/7", 1),
    ],
)
def test_a_pointer_leads_to_its_line(pointer: str, line: int) -> None:
    assert line_of(TEXT, pointer) == line


VALUES = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def pointers(value: Any, pointer: str = "") -> list[str]:
    items: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    if isinstance(value, list):
        items = [(str(n), one) for n, one in enumerate(value)]
    found = [pointer]
    for name, one in items:
        found += pointers(one, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")
    return found


@given(VALUES)
def test_each_pointer_of_any_value_has_a_line_of_its_own_where_each_value_has(value: Any) -> None:
    text = json.dumps(value, indent=1)
    lines = [line_of(text, pointer) for pointer in pointers(value)]
    assert lines == sorted(lines)
    assert len(set(lines)) == len(lines)
