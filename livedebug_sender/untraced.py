"""Hooks for `around_request` that keep the sender's own requests out of the host's traces."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import ConfigError
from .transport.request_hook import AroundRequest


def untraced_by_opentelemetry() -> AroundRequest:
    """Suppress the instrumentations of OpenTelemetry during each request.

    Raises:
        ConfigError: ``opentelemetry-instrumentation`` is not installed.
    """
    try:
        from opentelemetry.instrumentation.utils import suppress_instrumentation
    except ImportError:
        raise ConfigError(_missing("opentelemetry", "opentelemetry-instrumentation")) from None
    hook: AroundRequest = suppress_instrumentation
    return hook


def untraced_by_ddtrace() -> AroundRequest:
    """Make ``ddtrace`` discard the spans of each request.

    ``ddtrace`` can only be turned off for a whole process. So a new trace, rejected from
    the start, is made the current one for this thread and this request.

    Raises:
        ConfigError: ``ddtrace`` is not installed, or is too old for this.
    """
    try:
        from ddtrace.constants import USER_REJECT
        from ddtrace.trace import Context, tracer
    except ImportError:
        raise ConfigError(_missing("ddtrace", "ddtrace>=3")) from None

    @contextmanager
    def untraced() -> Iterator[None]:
        before = tracer.context_provider.active()
        tracer.context_provider.activate(Context(sampling_priority=USER_REJECT))
        try:
            yield
        finally:
            tracer.context_provider.activate(before)

    return untraced


def _missing(tracer: str, package: str) -> str:
    return (
        f"untraced_by_{tracer} needs {package}, which can't be imported; install it, or leave "
        f"around_request out if {tracer} does not trace this process"
    )
