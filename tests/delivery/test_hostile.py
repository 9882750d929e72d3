"""`enqueue` given what is too much, or meant badly: it answers, and costs little."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import pytest

from livedebug_sender import Endpoint, Sender, SenderConfig

LARGE = 80_000_000  # half of it, too, is more than a queue holds


@pytest.fixture
def sender() -> Iterator[Sender]:
    config = SenderConfig()
    config.set_endpoint(Endpoint("file:///dev/null"))
    config.set_symdb_endpoint(Endpoint("file:///dev/null"))
    with Sender(config) as made:
        yield made


def peak_of(call: Callable[[], object]) -> int:
    """Bytes that were allocated at once during a call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("track", ["logs", "diagnostics", "symdb"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: bytearray(LARGE),
        lambda: memoryview(bytearray(LARGE)),
        lambda: memoryview(bytearray(LARGE)).cast("I"),
        lambda: memoryview(bytearray(LARGE))[::2],
    ],
)
def test_what_is_too_large_is_refused_before_it_is_copied(
    sender: Sender, track: str, make: Callable[[], Any]
) -> None:
    payload = make()
    peak = peak_of(lambda: sender.enqueue(track, payload, content_type="a/b"))
    assert sender.stats().dropped == {"too_large": 1}
    assert peak < 1_000_000


def test_a_text_that_is_too_large_is_refused_before_it_is_encoded(sender: Sender) -> None:
    class Text(str):
        def __len__(self) -> int:
            return 3

    text = "[" + "x" * 20_000_000 + "]"
    padded = " " * 20_000_000 + "{}"
    hostile = Text(text)
    assert (
        peak_of(lambda: [sender.enqueue("logs", each) for each in (text, padded, hostile)]) < 10**6
    )
    assert sender.stats().dropped == {"too_large": 3}


def refuses(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("hostile")


class HostileStr(str):
    __hash__ = __eq__ = __ne__ = __getitem__ = __str__ = __repr__ = __format__ = refuses  # type: ignore[assignment]
    __len__ = __iter__ = __contains__ = __add__ = encode = partition = strip = refuses  # type: ignore[assignment]


class HostileObject:
    __hash__ = __eq__ = __str__ = __repr__ = __len__ = __bool__ = refuses  # type: ignore[assignment]


HOSTILE_TRACKS: dict[str, Callable[[], Any]] = {
    "a known name": lambda: HostileStr("logs"),
    "an odd name": lambda: HostileStr("odd"),
    "an object": HostileObject,
    "a list": list,
    "nothing": lambda: None,
}


@pytest.mark.parametrize("kind", HOSTILE_TRACKS)
def test_a_hostile_track_is_invalid_and_nothing_comes_out(sender: Sender, kind: str) -> None:
    for payload in (b"{}", {"a": 1}, HostileStr("{}"), HostileObject()):
        track = HOSTILE_TRACKS[kind]()
        assert sender.enqueue(track, payload, content_type=track) is False
    assert sender.stats().dropped == {"invalid": 4}


@pytest.mark.parametrize("error", [MemoryError, RecursionError, RuntimeError, SystemExit])
def test_what_a_payload_raises_makes_it_invalid(sender: Sender, error: type[BaseException]) -> None:
    class Bad(Mapping[str, Any]):
        def __getitem__(self, key: str) -> Any:
            raise error

        def __iter__(self) -> Iterator[str]:
            raise error

        def __len__(self) -> int:
            raise error

    assert sender.enqueue("logs", Bad()) is False
    assert sender.enqueue("logs", {"a": [Bad()]}) is False
    assert sender.stats().dropped == {"invalid": 2}


def nothing() -> None:
    pass


@pytest.mark.parametrize("payload", [b"{}", {"a": {"b": 1}}, b"no JSON", "{}", None])
@pytest.mark.parametrize("track", ["logs", "odd"])
def test_at_the_end_of_the_stack_enqueue_answers_and_counts(
    sender: Sender, track: str, payload: Any
) -> None:
    answers: list[object] = []
    sender.stats()  # which makes what takes more stack: queues, counters

    def dive() -> None:
        try:
            dive()
        except RecursionError:
            try:
                nothing()  # is there room for the call itself?
            except RecursionError:
                raise
            if len(answers) < 60:
                try:
                    answers.append(sender.enqueue(track, payload))
                except RecursionError as error:
                    answers.append(error)
            raise

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    try:
        with pytest.raises(RecursionError):
            dive()
    finally:
        sys.setrecursionlimit(limit)
    assert len(answers) == 60
    assert set(map(type, answers)) == {bool}
    stats = sender.stats()
    assert stats.enqueued == answers.count(True)
    assert sum(stats.dropped.values()) == answers.count(False)
