"""A real engine without network, threads or real time: a world of the test's takes their place."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from livedebug_sender import Endpoint, SenderConfig
from livedebug_sender.delivery.engine import Engine
from livedebug_sender.delivery.payload_requests import PayloadRequests
from livedebug_sender.options import Options
from livedebug_sender.protocol.request import Request
from livedebug_sender.runtime.auto_reset_event import AutoResetEvent

#: Seconds that a request may take.
TIMEOUT = 3.0
#: What the intake may do instead of giving an answer; `CUT` is after the whole request.
CUT, NO_ANSWER = "cut", "no answer"

T = TypeVar("T")


class World(Protocol):
    """What there is outside the engine."""

    now: float

    def post(self, request: Request, *, deadline: float | None = None) -> Any: ...
    def agent_info(self, agent: Endpoint, deadline: float | None = None) -> Any: ...
    def wait(self, timeout: float | None) -> None: ...
    def start_thread(self, run: Callable[[], None], name: str) -> bool: ...


def new_engine(
    world: World,
    on_drop: Callable[[str, str, int], object],
    agentless: bool = False,
    *,
    second: bool = False,
    **options: Any,
) -> Engine:
    """An engine in a world.

    Args:
        second: with an additional endpoint, ``http://second``?
        options: of `Options`.
    """
    config = SenderConfig()
    primary = Endpoint("http://primary", "key" if agentless else None, TIMEOUT)
    for set_primary in (config.set_endpoint, config.set_symdb_endpoint):
        set_primary(primary)
    if second:
        config.add_additional_debugger_endpoint(Endpoint("http://second"))
    return Engine(
        config,
        PayloadRequests(""),
        Options(on_drop=on_drop, **options),
        new_transport=lambda: SimulatedTransport(world),  # type: ignore[arg-type,return-value]
        clock=lambda: world.now,
        start_thread=world.start_thread,
        new_executor=refuse,
        new_event=lambda: SimulatedEvent(world),
    )


class SimulatedTransport:
    """The network of a world."""

    def __init__(self, world: World) -> None:
        self.post = world.post
        self.agent_info = world.agent_info

    def abort(self) -> None:
        pass

    def close(self) -> None:
        pass


class SimulatedEvent(AutoResetEvent):
    """The world says what waiting is."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def wait(self, timeout: float | None) -> bool:
        self._world.wait(timeout)
        return False


def refuse(*_: object) -> Any:
    raise RuntimeError("can't start new thread")


@contextmanager
def unlogged(world: T) -> Iterator[T]:
    """Without the log, which would drown what the test says."""
    log = logging.getLogger("livedebug_sender")
    log.disabled = True
    try:
        yield world
    finally:
        log.disabled = False
