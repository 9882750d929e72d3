"""The sender: what a tracer embeds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .config import SenderConfig
from .delivery.per_process import PerProcess
from .environment import tags_from_env
from .errors import ConfigError
from .options import OnDrop, Options, Oversize
from .protocol.tags import check_tags
from .protocol.tracks import Track
from .runtime import lazy_import
from .runtime.atomic import STEP
from .units import parse_seconds

if TYPE_CHECKING:
    import requests

    from .delivery.engine import Engine
    from .stats import Stats
    from .transport.request_hook import AroundRequest


class Sender:
    """Ships payloads in the background, from a bounded queue.

    No thread is started and no dependency imported before the first `enqueue`. A sender that
    is not closed explicitly is closed when the interpreter exits. In a forked child it starts
    anew, with an empty queue.

    Sizes are in bytes and times in seconds, or have a unit: ``"64MiB"``, ``"200ms"``.

    Args:
        config: the endpoints; may be changed later, too.
        tags: sent with every request, in the format of `generate_tags`; tags of more than
            4,001 characters are truncated after the last whole tag that fits.
        max_queue_items: payloads that may wait or be in flight, of all tracks (default: 5000).
            Snapshots and logs together may use 90 % of it, and of `max_queue_bytes`.
        max_queue_bytes: bytes of those payloads (default: 32MiB).
        max_payload_bytes: bytes of one JSON payload (default: 1MiB); a SymDB body is bounded
            by `max_queue_bytes` alone.
        max_batch_items: payloads that are merged into one request (default: 4096).
        max_batch_bytes: bytes of those payloads (default: 4MiB).
        linger: time for which a first payload waits for others, to share a request with them
            (default: 100ms).
        retry_for: time from its first attempt after which a batch is dropped (default: 5m).
        shutdown_timeout: time that `flush`, `close` and the interpreter's exit may take
            (default: 3s).
        recheck_after: time between two checks whether an older agent, which has no
            ``/debugger/v2/input``, has been upgraded (default: 1m).
        oversize: what to do with a snapshot over `max_payload_bytes`: ``"drop"`` (default), or
            ``"prune"``: the worker prunes its deepest values until it fits.
        on_drop: called as ``on_drop(track, reason, count)`` for every drop, on the
            thread that drops. Drops that happen inside the call are only counted.
        session_factory: creates the `requests.Session` of each worker.
        around_request: creates a context manager that is entered around each request over
            the network, on the thread that makes it; exceptions that it raises are only
            logged. `livedebug_sender.untraced` has some.

    Raises:
        ConfigError: the config, tags or an option is invalid.
    """

    def __init__(
        self,
        config: SenderConfig,
        *,
        tags: str = "",
        max_queue_items: int = Options.max_queue_items,
        max_queue_bytes: int | str = Options.max_queue_bytes,
        max_payload_bytes: int | str = Options.max_payload_bytes,
        max_batch_items: int = Options.max_batch_items,
        max_batch_bytes: int | str = Options.max_batch_bytes,
        linger: float | str = Options.linger,
        retry_for: float | str = Options.retry_for,
        shutdown_timeout: float | str = Options.shutdown_timeout,
        recheck_after: float | str = Options.recheck_after,
        oversize: Oversize = Options.oversize,
        on_drop: OnDrop | None = None,
        session_factory: Callable[[], requests.Session] | None = None,
        around_request: AroundRequest | None = None,
    ) -> None:
        if not isinstance(config, SenderConfig):
            raise ConfigError(f"config is a {type(config).__name__}; expected: a SenderConfig")
        self._config = config
        self._tags = check_tags(tags)
        given: dict[str, Any] = {
            "max_queue_items": max_queue_items,
            "max_queue_bytes": max_queue_bytes,
            "max_payload_bytes": max_payload_bytes,
            "max_batch_items": max_batch_items,
            "max_batch_bytes": max_batch_bytes,
            "linger": linger,
            "retry_for": retry_for,
            "shutdown_timeout": shutdown_timeout,
            "recheck_after": recheck_after,
            "oversize": oversize,
            "on_drop": on_drop,
            "session_factory": session_factory,
            "around_request": around_request,
        }
        self._options = Options(**given)
        new_engine: Callable[[SenderConfig, str, Options], Engine] = lazy_import.load(
            "livedebug_sender.delivery.sender_engine", "new_sender_engine"
        )
        # Not a bound method, which would keep this object alive.
        self._engines = PerProcess(partial(new_engine, config, self._tags, self._options))

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        agentless: bool | None = None,
        **options: Any,
    ) -> Sender:
        """A sender with the config and tags from the environment.

        Args:
            environ: the variables; None means the environment of the process.
            agentless: overrides the environment's choice; see `SenderConfig.from_env`.
            options: those of `Sender`. The default of ``tags`` is built from ``DD_ENV``,
                ``DD_VERSION`` and ``DD_TAGS``.

        Raises:
            ConfigError: a variable or an option is invalid; the message names it.
        """
        config = SenderConfig.from_env(environ, agentless=agentless)
        options.setdefault("tags", tags_from_env(environ))
        return cls(config, **options)

    def enqueue(self, track: Track | str, payload: Any, *, content_type: str | None = None) -> bool:
        """Queue a payload; never blocks, never raises.

        Args:
            track: a `Track` or its string.
            payload: JSON as ``bytes`` (not copied), ``bytearray``, ``memoryview`` or ``str``,
                or a mapping or list, which is encoded at once. For symdb: the body.
            content_type: of a symdb body, which requires one.

        Returns:
            Whether the payload is in the queue. If not, it was dropped, and the reason is
            counted in ``stats().dropped``: ``queue_full``, ``too_large``, ``invalid`` or
            ``closed``.
        """
        engine = None
        try:
            engine = self._engines.latest
            if engine is None or not engine.owned_by_this_process[0]:
                engine = self._engines.engine()
            return engine.enqueue(track, payload, content_type)
        except (RecursionError, MemoryError):
            # No stack is left for the usual path. `count_invalid` is a C function and needs no
            # stack, except in Python 3.10 and on free-threaded builds.
            if engine is not None:
                try:
                    engine.count_invalid(1, STEP)
                except RecursionError:
                    engine.invalid_without_stack += 1
            return False

    def flush(self, timeout: float | str | None = None) -> bool:
        """Wait until all payloads that were enqueued so far are delivered or dropped.

        Args:
            timeout: seconds, or with a unit; None means ``shutdown_timeout``.

        Returns:
            Whether they all were within the timeout.
        """
        return self._engines.engine().flush(self._seconds(timeout))

    def close(self, timeout: float | str | None = None) -> bool:
        """Accept no more payloads, flush, and end the threads, all within the timeout.

        Args:
            timeout: seconds, or with a unit; None means ``shutdown_timeout``.

        Returns:
            False if payloads were dropped because the timeout had expired.
        """
        self._engines.closed = True
        return self._engines.engine().close(self._seconds(timeout))

    def stats(self) -> Stats:
        """The counts of this process: how many payloads were enqueued, delivered, dropped."""
        return self._engines.engine().stats()

    def __enter__(self) -> Sender:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        engines = self.__dict__.get("_engines")
        if engines is not None:
            engines.retire()

    def __repr__(self) -> str:
        return f"<Sender {self._config!r}{' closed' if self._engines.closed else ''}>"

    def _seconds(self, timeout: float | str | None) -> float:
        seconds = self._options.shutdown_timeout if timeout is None else timeout
        if isinstance(seconds, str):
            seconds = parse_seconds("timeout", seconds, zero=True)
        return min(max(0.0, seconds), threading.TIMEOUT_MAX)
