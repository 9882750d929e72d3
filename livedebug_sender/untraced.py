"""For `around_request`: keeps the sender's own requests out of the host's traces."""

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
    """Have ``ddtrace`` reject what it traces during each request.

    ``ddtrace`` can be turned off for a whole process only. So a trace of its own that
    is rejected from the start is made the current one, for this thread and this request.

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
        f"untraced_by_{tracer} needs {package}, which can't be imported; "
        f"install it, or leave around_request out: nothing of {tracer} traces here"
    )
