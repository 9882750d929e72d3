"""The Agent's debugger routes, without the Agent: a WSGI application.

``livedebug_sender.forwarder:app`` is created from the environment on first access, so
that importing this package needs no configuration.

Imports: delivery, environment, errors, protocol, runtime, stats, transport, units,
version.
"""

from __future__ import annotations

import threading
from typing import Any

from .application import Forwarder
from .settings import Settings

__all__ = ["Forwarder", "Settings"]

# Protects the creation of `app`.
_making = threading.Lock()


def __getattr__(name: str) -> Any:
    """`app`; ConfigError if the environment is invalid."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _making:
        if "app" not in globals():
            globals()["app"] = Forwarder.from_env()
        return globals()["app"]
