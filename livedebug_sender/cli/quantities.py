"""Options that are sizes or times, parsed by `livedebug_sender.units`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import click

from ..errors import ConfigError
from ..units import parse_seconds, parse_size

Value = TypeVar("Value")


def size(_: click.Context, parameter: click.Parameter, value: object) -> int:
    """The callback of an option that is a size; returns bytes."""
    return _parsed(parse_size, parameter, value)


def seconds(_: click.Context, parameter: click.Parameter, value: object) -> float:
    """The callback of an option that is a time; returns seconds, more than 0."""
    return _parsed(parse_seconds, parameter, value)


def seconds_or_none(_: click.Context, parameter: click.Parameter, value: object) -> float:
    """The callback of an option that is a time; returns seconds, 0 or more."""
    return _parsed(partial(parse_seconds, zero=True), parameter, value)


def _parsed(
    parse: Callable[[str, object], Value], parameter: click.Parameter, value: object
) -> Value:
    try:
        return parse(parameter.opts[0], value)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
