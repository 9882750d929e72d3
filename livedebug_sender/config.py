"""Which endpoints each track goes to."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .environment import DEFAULT, endpoints_from_env
from .errors import ConfigError
from .protocol.endpoint import Endpoint, derive_endpoint_path, url_of, with_path
from .protocol.tracks import DIAGNOSTICS_PATH, V2_TRACKS, Track
from .runtime.signal_safe_lock import SignalSafeLock

# Protects changes of any config, from reading to writing. Re-entrant, for signal handlers;
# held during a fork, so that it is never left held in the child.
_changing = SignalSafeLock()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_changing.acquire,
        after_in_parent=_changing.release,
        after_in_child=_changing.release,
    )

_DEBUGGER = (Track.DIAGNOSTICS, Track.SNAPSHOTS, Track.LOGS)


class SenderConfig:
    """The primary and additional endpoints of the tracks.

    May be changed by any thread while senders use it: each change replaces one mapping, so
    readers see the complete old or new one.
    """

    def __init__(self) -> None:
        self._debugger: Endpoint | None = None
        self._symdb: Endpoint | None = None
        self._additional_debugger: tuple[Endpoint, ...] = ()
        self._additional_symdb: tuple[Endpoint, ...] = ()
        self._downgraded = False
        self._decided_by: str | None = None
        self._endpoints: dict[Track, tuple[Endpoint, ...]] = {}
        self._derive()

    @classmethod
    def from_env(
        cls, environ: Mapping[str, str] | None = None, *, agentless: bool | None = None
    ) -> SenderConfig:
        """The config of the environment, from ``DD_*`` variables.

        The first of these that is given decides between an agent and the intake:

        1. the argument `agentless`;
        2. ``DD_AGENTLESS_ENABLED`` (``true``, ``1``, ``false``, ``0``);
        3. ``DD_TRACE_AGENT_URL``, ``DD_AGENT_HOST`` or ``DD_TRACE_AGENT_PORT``: an agent;
        4. ``DD_API_KEY``: the intake;
        5. otherwise an agent.

        The intake is that of ``DD_SITE`` (default ``datadoghq.com``), and ``DD_API_KEY``
        has to be set for it. The agent is ``DD_TRACE_AGENT_URL``; else ``DD_AGENT_HOST``
        and ``DD_TRACE_AGENT_PORT``; else the socket ``/var/run/datadog/apm.socket`` if
        it exists; else ``http://localhost:8126``.

        ``DD_APM_DEBUGGER_ADDITIONAL_ENDPOINTS``,
        ``DD_APM_DEBUGGER_DIAGNOSTICS_ADDITIONAL_ENDPOINTS`` and
        ``DD_APM_SYMDB_ADDITIONAL_ENDPOINTS`` (JSON, ``{url: [key, ...]}``) name
        additional endpoints.

        Args:
            environ: the variables; None means the environment of the process.
            agentless: overrides the environment's choice.

        Raises:
            ConfigError: names the variable and what is wrong with it, never a key.
        """
        found = endpoints_from_env(environ, agentless=agentless)
        config = cls()
        config.set_endpoint(found.primary)
        config.set_symdb_endpoint(found.primary)
        for endpoint in found.additional_debugger:
            config.add_additional_debugger_endpoint(endpoint)
        for endpoint in found.additional_symdb:
            config.add_additional_symdb_endpoint(endpoint)
        config._decided_by = found.decided_by
        return config

    @property
    def decided_by(self) -> str | None:
        """What decided on the primary endpoint in `from_env`, such as ``"DD_API_KEY"``.

        None for an endpoint that was set by `set_endpoint`.
        """
        return self._decided_by

    @property
    def downgraded(self) -> bool:
        """Whether snapshots and logs go to the agent's diagnostics route."""
        return self._downgraded

    def set_endpoint(self, endpoint: Endpoint) -> None:
        """Set the primary endpoint of diagnostics, snapshots and logs."""
        checked = _checked(endpoint)
        with _changing:
            self._debugger = checked
            self._downgraded = False
            self._decided_by = None
            self._derive()

    def set_symdb_endpoint(self, endpoint: Endpoint) -> None:
        """Set the primary endpoint of symdb."""
        checked = _checked(endpoint)
        with _changing:
            self._symdb = checked
            self._derive()

    def add_additional_debugger_endpoint(self, endpoint: Endpoint) -> None:
        """Send copies of diagnostics, snapshots and logs there, best effort."""
        checked = _checked(endpoint)
        with _changing:
            self._additional_debugger += (checked,)
            self._derive()

    def add_additional_symdb_endpoint(self, endpoint: Endpoint) -> None:
        """Send copies of symdb uploads there, best effort."""
        checked = _checked(endpoint)
        with _changing:
            self._additional_symdb += (checked,)
            self._derive()

    def downgrade_to_diagnostics_endpoint(self) -> bool:
        """Send snapshots and logs to the agent's diagnostics route from now on.

        Returns:
            Whether that changed anything. Nothing changes if agentless, or downgraded already.
        """
        return self._set_downgraded(True)

    def reset_endpoints(self) -> None:
        """Undo a downgrade, like ddtrace's ``DebuggerSender.reset_endpoints``."""
        self._set_downgraded(False)

    def endpoints_for(self, track: Track | str) -> tuple[Endpoint, ...]:
        """The endpoints of a track, paths derived, primary first; () without a primary."""
        if type(track) is not Track:
            track = Track(track)
        return self._endpoints[track]

    def describe(self) -> str:
        """Where payloads go and what decided that, in one human-readable line, without keys."""
        debugger, symdb = self._debugger, self._symdb
        ways = [_shown(debugger)] if debugger else []
        if symdb and symdb != debugger:
            ways.append(f"symdb {_shown(symdb)}")
        if not ways:
            return "payloads go nowhere: no endpoint is set"
        chosen = f"chosen by {self._decided_by}" if self._decided_by else "set by the program"
        if self._decided_by == DEFAULT:
            chosen = "the default, as no variable names another"
        additional = {e.url: e for e in (*self._additional_debugger, *self._additional_symdb)}
        copies = f"; copies go {', '.join(map(_shown, additional.values()))}" if additional else ""
        return f"payloads go {', '.join(ways)} ({chosen}){copies}"

    def __repr__(self) -> str:
        return f"SenderConfig(debugger={self._debugger!r}, symdb={self._symdb!r})"

    def _set_downgraded(self, downgraded: bool) -> bool:
        with _changing:
            debugger = self._debugger
            if self._downgraded == downgraded or debugger is None or debugger.agentless:
                return False
            self._downgraded = downgraded
            self._derive()
            return True

    def _derive(self) -> None:
        derived: dict[Track, tuple[Endpoint, ...]] = {}
        for track in Track:
            debugger = track in _DEBUGGER
            primary = self._debugger if debugger else self._symdb
            additional = self._additional_debugger if debugger else self._additional_symdb
            if primary is None:
                derived[track] = ()
                continue
            if self._downgraded and track in V2_TRACKS:
                first = with_path(primary, DIAGNOSTICS_PATH)
            else:
                first = derive_endpoint_path(primary, track)
            derived[track] = (first, *(derive_endpoint_path(e, track) for e in additional))
        self._endpoints = derived


def _shown(endpoint: Endpoint) -> str:
    kind = "intake" if endpoint.agentless else "agent"
    if endpoint.scheme == "file":
        kind = "file"
    where = endpoint.url if endpoint.scheme in ("unix", "file") else url_of(endpoint, "")
    return f"to the {kind} {where:.200}{' (agentless)' if endpoint.agentless else ''}"


def _checked(endpoint: object) -> Endpoint:
    if not isinstance(endpoint, Endpoint):
        raise ConfigError(f"the endpoint is a {type(endpoint).__name__}; expected: an Endpoint")
    return endpoint
