"""What the lanes of one sender share in one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ..config import SenderConfig
from ..options import Options
from ..runtime.log_limiter import LogLimiter
from .accounting import DropReport
from .capacity import Room
from .dual_shipping import DualShipping

if TYPE_CHECKING:
    from ..protocol.endpoint import Endpoint
    from ..protocol.request import Request
    from ..protocol.tracks import Track
    from ..transport.transport import Transport
    from .batch import Batch
    from .downgrade import AgentWatch


class Context(NamedTuple):
    config: SenderConfig
    options: Options
    room: Room
    problems: LogLimiter
    drops: DropReport
    dual_shipping: DualShipping
    agent_watch: AgentWatch
    new_request: Callable[[Track, Batch, Endpoint], Request]
    new_transport: Callable[[], Transport]
    clock: Callable[[], float]
    #: Called by a lane's thread at its end, which comes with the sender's.
    lane_ended: Callable[[], None]
