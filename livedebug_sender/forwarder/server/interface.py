"""What the server serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ..replies import Reply

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment


class Application(Protocol):
    """A WSGI application that is started and closed."""

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]: ...

    def answer_later(self, environ: WSGIEnvironment, answer: Callable[[Reply], None]) -> bool:
        """Begin to answer a request without blocking; False: call the application instead.

        `answer` is called exactly once if this returns True, on any thread, maybe before it
        returns; never if this returns False or raises. It neither blocks nor raises.
        """

    def start(self) -> None:
        """Called in each process before it serves; ConfigError if something is not available."""

    def publish(self) -> None:
        """Called about every second: publish metrics for the other processes."""

    def end_soon(self) -> None:
        """Called when the server accepts no more connections."""

    def close(self, timeout: float) -> bool:
        """Deliver what is queued; False if something had to be dropped for lack of time."""
