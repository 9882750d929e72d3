"""Waiting for what should come to be, however long the machine takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def until(condition: Callable[[], Any], patience: float = 10.0) -> bool:
    """Did it come to be within `patience` seconds?"""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return bool(condition())
