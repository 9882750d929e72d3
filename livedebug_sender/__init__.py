"""Ships Live Debugger and Symbol Database payloads to Datadog, in the background.

Create a `SenderConfig`, create a `Sender` with it, `enqueue` payloads, `flush` at shutdown.
`send`, `send_symdb` and `PayloadSender` are for callers that need the outcome.
"""

from typing import TYPE_CHECKING

from .config import SenderConfig
from .errors import ConfigError, DeliveryError, InvalidPayload, PayloadRejected, SenderError
from .protocol.endpoint import Endpoint, debugger_intake_endpoint, derive_endpoint_path
from .protocol.tags import generate_tags
from .protocol.tracks import Track, agent_info_supports_debugger_v2_endpoint, track_of_payload
from .runtime import lazy_import
from .sender import Sender
from .version import __version__

if TYPE_CHECKING:
    from .stats import Stats
    from .sync import PayloadSender, send, send_symdb

__all__ = [
    "ConfigError",
    "DeliveryError",
    "Endpoint",
    "InvalidPayload",
    "PayloadRejected",
    "PayloadSender",
    "Sender",
    "SenderConfig",
    "SenderError",
    "Stats",
    "Track",
    "__version__",
    "agent_info_supports_debugger_v2_endpoint",
    "debugger_intake_endpoint",
    "derive_endpoint_path",
    "generate_tags",
    "send",
    "send_symdb",
    "track_of_payload",
]


#: Names that a tracer rarely uses; their modules are imported on first access.
_LOADED_LATE = {"PayloadSender": "sync", "Stats": "stats", "send": "sync", "send_symdb": "sync"}


def __getattr__(name: str) -> object:
    if name in _LOADED_LATE:
        return lazy_import.load(f"{__name__}.{_LOADED_LATE[name]}", name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LOADED_LATE})
