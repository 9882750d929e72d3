"""The hook around each request."""

from __future__ import annotations

import builtins
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from servers import Arrived, RecordingServer, Reply

from livedebug_sender import ConfigError, Endpoint, Sender
from livedebug_sender.runtime.log_limiter import LogLimiter
from livedebug_sender.transport.request_hook import without_faults
from livedebug_sender.untraced import untraced_by_ddtrace, untraced_by_opentelemetry

Make = Callable[..., Sender]
PAYLOAD = {"message": "hello", "debugger": {}}


class Hook:
    """Remembers who is within it."""

    def __init__(self) -> None:
        self.within: set[int] = set()
        self.entered: list[str] = []

    @contextmanager
    def __call__(self) -> Iterator[None]:
        self.within.add(threading.get_ident())
        self.entered.append(threading.current_thread().name)
        try:
            yield
        finally:
            self.within.discard(threading.get_ident())


def test_each_request_is_made_within_the_hook_and_on_a_thread_of_the_sender(
    make_sender: Make,
) -> None:
    hook = Hook()
    within: list[int] = []
    statuses = iter([503, 202])

    def answer(request: Arrived) -> Reply:
        within.append(len(hook.within))
        return Reply(next(statuses), {"Retry-After": "0"})

    def answer_additional(request: Arrived) -> int:
        within.append(len(hook.within))
        return 202

    with RecordingServer(answer) as intake, RecordingServer(answer_additional) as other:
        sender = make_sender(intake.url, additional=(Endpoint(other.url),), around_request=hook)
        assert sender.enqueue("logs", PAYLOAD)
        other.wait_for(1)
        assert sender.close(10)
    assert len(within) == len(hook.entered) == 3  # two at the primary, one at the additional
    assert all(count >= 1 for count in within)
    assert threading.current_thread().name not in hook.entered
    assert not hook.within


def test_ctrl_c_within_the_hook_reaches_the_main_thread_and_ends_no_other() -> None:
    def interrupt() -> AbstractContextManager[None]:
        raise KeyboardInterrupt

    noted = LogLimiter()
    around = without_faults(interrupt, noted)
    with pytest.raises(KeyboardInterrupt), around():
        pass
    made: list[int] = []

    def make_request() -> None:
        with around():
            made.append(1)

    thread = threading.Thread(target=make_request)
    thread.start()
    thread.join()
    assert made == [1]
    assert "KeyboardInterrupt" in noted.due()[0].text


class FailsAtTheEnd:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *told: object) -> None:
        assert told == (None, None, None)
        raise OSError("secret words")


def fails_at_once() -> AbstractContextManager[object]:
    raise OSError("secret words")


@contextmanager
def fails_to_enter() -> Iterator[None]:
    raise ValueError("secret words")
    yield


def makes_no_manager() -> Any:
    return None


@pytest.mark.parametrize("hook", [fails_at_once, fails_to_enter, FailsAtTheEnd, makes_no_manager])
def test_a_hook_that_fails_costs_a_line_in_the_log_and_nothing_else(
    make_sender: Make, caplog: pytest.LogCaptureFixture, hook: Any
) -> None:
    with RecordingServer() as intake, caplog.at_level(logging.WARNING, "livedebug_sender"):
        sender = make_sender(intake.url, around_request=hook)
        for _ in range(3):
            assert sender.enqueue("logs", PAYLOAD)
            assert sender.flush(10)
        assert sender.close(10)
        assert intake.elements() == [PAYLOAD] * 3
    assert sender.stats().retries == 0
    assert "around_request raised" in caplog.records[0].getMessage()
    assert "secret words" not in caplog.text


def test_a_hook_that_hides_exceptions_hides_none_of_the_request(make_sender: Make) -> None:
    class Hides:
        def __enter__(self) -> None:
            pass

        def __exit__(self, *told: object) -> bool:
            return True

    with RecordingServer() as intake:
        closed = intake.url
    sender = make_sender(closed, around_request=Hides, retry_for=0)
    assert sender.enqueue("logs", PAYLOAD)
    sender.flush(10)
    assert sender.stats().dropped == {"undeliverable": 1}


@pytest.mark.parametrize(
    ("ready", "package"),
    [
        (untraced_by_opentelemetry, "opentelemetry-instrumentation"),
        (untraced_by_ddtrace, "ddtrace"),
    ],
)
def test_a_tracer_that_is_not_installed_is_a_config_error(
    monkeypatch: pytest.MonkeyPatch, ready: Callable[[], object], package: str
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith(("ddtrace", "opentelemetry")):
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=f"needs {package}"):
        ready()
