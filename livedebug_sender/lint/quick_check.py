"""Recognizes valid values quickly, so that jsonschema has to check only the rest.

Nearly all of a payload is valid. Verifying that takes jsonschema 0.1 ms for each captured value,
and this module a fifth of that. It accepts a value only if it is certainly valid; everything
else, including keywords that are not listed below, is left to jsonschema. So the findings are the
same with and without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

#: The types that `json.loads` returns.
_TYPES = {
    "array": (list,),
    "boolean": (bool,),
    "integer": (int,),
    "null": (type(None),),
    "number": (int, float),
    "object": (dict,),
    "string": (str,),
}


class QuickCheck:
    """One schema, with the definitions that it references.

    Args:
        schema: of draft 2020-12; a reference is ``#/$defs/NAME``.
    """

    def __init__(self, schema: Any) -> None:
        self._schema = schema

    @cached_property
    def validator(self) -> Draft202012Validator:
        """A validator that skips the parts that are certainly valid."""
        from jsonschema import Draft202012Validator
        from jsonschema.validators import extend

        inside = {
            "properties": self._errors_in_properties,
            "additionalProperties": self._errors_in_additional,
            "items": self._errors_in_items,
        }
        cls: type[Draft202012Validator] = extend(Draft202012Validator, inside)  # type: ignore[no-untyped-call]
        return cls(self._schema)

    def errors_in(self, value: object) -> Iterator[ValidationError]:
        """The errors that jsonschema finds in a value."""
        if not self._passes(value, self._schema):
            yield from self.validator.iter_errors(value)

    def _passes(self, value: Any, schema: Any) -> bool:
        """Whether the value is certainly valid."""
        for keyword, expected in schema.items():
            check = _KEYWORDS.get(keyword)
            if check is None or not check(self, value, expected, schema):
                return False
        return True

    def _type(self, value: Any, expected: Any, _: Any) -> bool:
        names = [expected] if isinstance(expected, str) else expected
        return any(type(value) in _TYPES[name] for name in names)

    def _required(self, value: Any, expected: Any, _: Any) -> bool:
        return type(value) is not dict or all(name in value for name in expected)

    def _properties(self, value: Any, expected: Any, _: Any) -> bool:
        return type(value) is not dict or all(
            self._passes(value[name], schema) for name, schema in expected.items() if name in value
        )

    def _additional(self, value: Any, expected: Any, schema: Any) -> bool:
        if type(value) is not dict or expected is True:
            return True
        known = schema.get("properties", ())
        return all(self._passes(one, expected) for name, one in value.items() if name not in known)

    def _names(self, value: Any, expected: Any, _: Any) -> bool:
        return type(value) is not dict or all(self._passes(name, expected) for name in value)

    def _items(self, value: Any, expected: Any, _: Any) -> bool:
        return type(value) is not list or all(self._passes(one, expected) for one in value)

    def _any_of(self, value: Any, expected: Any, _: Any) -> bool:
        return any(self._passes(value, schema) for schema in expected)

    def _condition(self, value: Any, expected: Any, schema: Any) -> bool:
        # If the condition does not certainly hold, it does not certainly fail either.
        met = self._passes(value, expected) or self._passes(value, schema.get("else", {}))
        return met and self._passes(value, schema.get("then", {}))

    def _reference(self, value: Any, expected: Any, _: Any) -> bool:
        return self._passes(value, self._schema["$defs"][expected.rpartition("/")[2]])

    # Like jsonschema's own keywords, but they skip what is certainly valid.

    def _errors_in_properties(
        self, validator: Any, expected: Any, value: Any, _: Any
    ) -> Iterator[ValidationError]:
        if isinstance(value, dict):
            for name, schema in expected.items():
                if name in value and not self._passes(value[name], schema):
                    yield from validator.descend(value[name], schema, name, name)

    def _errors_in_additional(
        self, validator: Any, expected: Any, value: Any, schema: Any
    ) -> Iterator[ValidationError]:
        if isinstance(value, dict) and isinstance(expected, dict):
            known = schema.get("properties", ())
            for name, one in value.items():
                if name not in known and not self._passes(one, expected):
                    yield from validator.descend(one, expected, name)

    def _errors_in_items(
        self, validator: Any, expected: Any, value: Any, _: Any
    ) -> Iterator[ValidationError]:
        if isinstance(value, list):
            for number, one in enumerate(value):
                if not self._passes(one, expected):
                    yield from validator.descend(one, expected, number)


def _bound(is_within: Callable[[Any, Any], bool], *types: type) -> Callable[..., bool]:
    return lambda _, value, expected, __: type(value) not in types or is_within(value, expected)


def _nothing(*_: object) -> bool:
    return True


# ruff: noqa: SLF001 - the class's own methods
_KEYWORDS: dict[str, Callable[..., bool]] = {
    "$schema": _nothing,
    "$comment": _nothing,
    "$defs": _nothing,
    "title": _nothing,
    "description": _nothing,
    "type": QuickCheck._type,
    "required": QuickCheck._required,
    "properties": QuickCheck._properties,
    "additionalProperties": QuickCheck._additional,
    "propertyNames": QuickCheck._names,
    "items": QuickCheck._items,
    "anyOf": QuickCheck._any_of,
    "if": QuickCheck._condition,
    "then": _nothing,  # with "if"
    "else": _nothing,
    "$ref": QuickCheck._reference,
    "const": lambda _, value, expected, __: type(value) is str and value == expected,
    "enum": lambda _, value, expected, __: type(value) is str and value in expected,
    "pattern": _bound(lambda value, pattern: re.search(pattern, value) is not None, str),
    "minLength": _bound(lambda value, least: len(value) >= least, str),
    "minItems": _bound(lambda value, least: len(value) >= least, list),
    "maxItems": _bound(lambda value, most: len(value) <= most, list),
    "minimum": _bound(lambda value, least: value >= least, int, float),
    "maximum": _bound(lambda value, most: value <= most, int, float),
}
