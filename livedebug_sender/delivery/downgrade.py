"""Agents without ``/debugger/v2/input``: the downgrade, and its end once they have it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ..protocol.tracks import agent_info_supports_debugger_v2_endpoint
from ..runtime.log_limiter import LogLimiter
from ..runtime.signal_safe_lock import SignalSafeLock

if TYPE_CHECKING:
    from ..protocol.endpoint import Endpoint
    from ..protocol.tracks import Track
    from ..transport.transport import Transport

_NEVER = float("inf")


class EndpointSource(Protocol):
    """The endpoints of a track's payloads; may change while payloads are in flight."""

    def endpoints_for(self, track: Track, /) -> tuple[Endpoint, ...]:
        """The endpoints, paths derived, primary first; () without a primary."""


class DowngradableEndpoints(EndpointSource, Protocol):
    """Endpoints of which the primary may be an agent that lacks ``/debugger/v2/input``."""

    @property
    def downgraded(self) -> bool: ...

    def downgrade_to_diagnostics_endpoint(self) -> bool:
        """Use the diagnostics route instead; False if that changed nothing."""

    def reset_endpoints(self) -> None:
        """Undo a downgrade."""


class AgentCapabilities:
    """Decides when the sender's endpoints are downgraded, and when that is undone.

    During a downgrade the agent's ``/info`` is requested once every `recheck_after` seconds
    (varied by a quarter, so that a fleet does not ask at the same time), and only when there is
    something to send. If an agent has no readable ``/info``, the newer route is tried instead.
    """

    def __init__(
        self,
        endpoints: DowngradableEndpoints,
        recheck_after: float,
        log: LogLimiter,
        clock: Callable[[], float],
    ) -> None:
        self._endpoints = endpoints
        self._recheck_after = recheck_after
        self._log = log
        self._clock = clock
        # Protects the times of the next requests to ``/info``, so that only one track asks.
        self._lock = SignalSafeLock()
        self._ask_at = float("-inf")
        self._check_at = _NEVER

    def downgrade(self, host: str) -> None:
        with self._lock:
            self._check_at = self._clock() + self._recheck_after * random.uniform(0.75, 1.25)
        if self._endpoints.downgrade_to_diagnostics_endpoint():
            self._log.note(
                ("downgrade", host),
                f"the agent at {host} has no /debugger/v2/input: snapshots and logs go to "
                "/debugger/v1/diagnostics until it is upgraded",
            )

    def lacks_v2(self, transport: Transport, agent: Endpoint, deadline: float | None) -> bool:
        """Whether the agent's ``/info`` says that it has no ``/debugger/v2/input``.

        It is requested at most once in `recheck_after` seconds, however many requests fail.
        """
        with self._lock:
            if self._clock() < self._ask_at:
                return False
            self._ask_at = self._clock() + self._recheck_after
        return self._says_no(transport, agent, deadline)

    def recheck(self, transport: Transport, agent: Endpoint, deadline: float | None) -> None:
        """Undo the downgrade if it is time to check and the agent was upgraded."""
        with self._lock:
            due = self._clock() >= self._check_at
            if not due and self._check_at != _NEVER:
                return
            self._check_at = self._clock() + self._recheck_after * random.uniform(0.75, 1.25)
        # A downgrade by the host itself, too, lasts at least `recheck_after` seconds.
        if due and not self._says_no(transport, agent, deadline):
            self._endpoints.reset_endpoints()

    def _says_no(self, transport: Transport, agent: Endpoint, deadline: float | None) -> bool:
        info = transport.agent_info(agent, deadline)
        return info is not None and not agent_info_supports_debugger_v2_endpoint(info)
