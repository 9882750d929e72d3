"""The functions that a contender's process can be asked to run."""

from __future__ import annotations

from collections.abc import Callable

Figures = dict[str, float]
FUNCTIONS: dict[str, Callable[..., Figures]] = {}


def contender(function: Callable[..., Figures]) -> Callable[..., Figures]:
    FUNCTIONS[function.__name__] = function
    return function
