"""What the lanes of one sender share in one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from .additional import DualShipping
from .books import DropReport
from .config import SenderConfig
from .options import Options
from .problems import Problems
from .room import Room

if TYPE_CHECKING:
    from .batch import Batch
    from .downgrade import AgentWatch
    from .endpoint import Endpoint
    from .request import Request
    from .track import Track
    from .transport import Transport


class Context(NamedTuple):
    config: SenderConfig
    options: Options
    room: Room
    problems: Problems
    drops: DropReport
    dual_shipping: DualShipping
    agent_watch: AgentWatch
    new_request: Callable[[Track, Batch, Endpoint], Request]
    new_transport: Callable[[], Transport]
    clock: Callable[[], float]
    #: Called by a lane's thread at its end, which comes with the sender's.
    lane_ended: Callable[[], None]
