"""What `enqueue` takes, what it refuses, and that it never raises."""

from __future__ import annotations

import gc
import logging
import signal
import threading
import time
import weakref
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import RawServer, RecordingServer, hang

from livedebug_sender import Endpoint, Sender, SenderConfig

Make = Callable[..., Sender]
NOBODY = "http://127.0.0.1:9"


class Hostile(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("no")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no")

    def __len__(self) -> int:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")


def circular() -> list[Any]:
    one: list[Any] = []
    one.append(one)
    return one


def deep() -> list[Any]:
    one: list[Any] = []
    for _ in range(100_000):
        one = [one]
    return one


INVALID: list[Any] = [
    b"", b"   ", b"null", b"1", b'"text"', b"[", b"{", b"]", b"[}", b"{]", b"{} x", "", "\ud800",
    '{"a":"\ud800"}', b"\xef\xbb\xbf{}", None, 1, 1.5, object(), {1, 2}, Hostile(), circular(),
    {"a": object()}, {"a": float("nan")}, {(1, 2): 3}, bytearray(), memoryview(b""),
]  # fmt: skip


@pytest.mark.parametrize("payload", INVALID, ids=lambda p: type(p).__name__)
def test_a_payload_that_is_not_a_json_object_or_array_is_invalid(
    make_sender: Make, payload: Any
) -> None:
    sender = make_sender(NOBODY)
    assert sender.enqueue("logs", payload) is False
    assert sender.stats().dropped == {"invalid": 1}
    assert sender.stats().enqueued == 0


def test_a_payload_too_deep_to_encode_is_dropped_as_invalid(make_sender: Make) -> None:
    sender = make_sender(NOBODY)
    assert sender.enqueue("logs", deep()) is False
    assert sender.stats().dropped == {"invalid": 1}


@pytest.mark.parametrize(
    ("payload", "arrives"),
    [
        (b'{"a": 1}', b'[{"a": 1}]'),
        (b'  [{"a": 1},\n2] \r\n', b'[{"a": 1},\n2]'),
        (bytearray(b"{}"), b"[{}]"),
        (memoryview(b"x{}x")[1:3], b"[{}]"),
        ('{"a":"ü☃"}', '[{"a":"ü☃"}]'.encode()),
        ({"a": [1, None, True, "ü"]}, '[{"a":[1,null,true,"ü"]}]'.encode()),
        ({"a": "\udcff"}, b'[{"a":"\\udcff"}]'),
        ([{"a": 1}, {"b": 2}], b'[{"a":1},{"b":2}]'),
        (UserDict({"a": UserDict({"b": 1})}), b'[{"a":{"b":1}}]'),
        (b"[]", b"[]"),
    ],
)
def test_each_kind_of_payload_goes_out_as_a_json_array(
    make_sender: Make, payload: Any, arrives: bytes
) -> None:
    with RecordingServer() as intake:
        sender = make_sender(intake.url)
        assert sender.enqueue("logs", payload)
        assert sender.flush(10)
        assert intake.posts[0].body == arrives


def test_an_empty_array_adds_nothing_to_a_batch(make_sender: Make) -> None:
    with RecordingServer() as intake:
        sender = make_sender(intake.url, linger=600)
        for payload in (b"[]", b"{}", b"[ ]", b"[1]"):
            sender.enqueue("logs", payload)
        assert sender.flush(10)
        assert intake.elements() == [{}, 1]
        assert sender.stats().delivered == 4


def test_bytes_are_kept_and_buffers_are_copied(make_sender: Make) -> None:
    with RecordingServer() as intake:
        sender = make_sender(intake.url, linger=600)
        buffer = bytearray(b'{"a":1}')
        sender.enqueue("logs", buffer)
        sender.enqueue("logs", memoryview(buffer))
        buffer[5:6] = b"9"
        assert sender.flush(10)
        assert intake.elements() == [{"a": 1}, {"a": 1}]


@pytest.mark.parametrize("track", ["nope", "", None, 3, [], Hostile(), b"logs"])
def test_an_unknown_track_is_invalid(make_sender: Make, track: Any) -> None:
    sender = make_sender(NOBODY)
    assert sender.enqueue(track, b"{}") is False
    assert sender.stats().dropped == {"invalid": 1}


@pytest.mark.parametrize("content_type", [None, "", "a\r\nX: y", "a\nb", "ü", 3, " a"])
def test_symdb_needs_a_content_type_that_can_be_a_header(
    make_sender: Make, content_type: Any
) -> None:
    sender = make_sender(NOBODY)
    assert sender.enqueue("symdb", b"body", content_type=content_type) is False
    assert sender.stats().dropped == {"invalid": 1}


@pytest.mark.parametrize("body", [b"", "text", {}, None])
def test_a_symdb_body_that_is_not_bytes_or_is_empty_is_invalid(
    make_sender: Make, body: Any
) -> None:
    sender = make_sender(NOBODY)
    assert sender.enqueue("symdb", body, content_type="a/b") is False
    assert sender.stats().dropped == {"invalid": 1}


def test_a_track_without_an_endpoint_is_invalid() -> None:
    config = SenderConfig()
    config.set_endpoint(Endpoint(NOBODY))
    sender = Sender(config)
    assert sender.enqueue("symdb", b"x", content_type="a/b") is False
    assert sender.stats().dropped == {"invalid": 1}


def test_a_payload_over_its_bound_is_too_large(make_sender: Make) -> None:
    sender = make_sender(NOBODY, max_payload_bytes=10, max_queue_bytes=100, linger=600)
    assert sender.enqueue("logs", b'{"abc":12}')
    assert not sender.enqueue("logs", b'{"abc":123}')
    assert sender.enqueue("symdb", b"x" * 90, content_type="a/b")
    assert not sender.enqueue("symdb", b"x" * 101, content_type="a/b")
    assert sender.stats().dropped == {"too_large": 2}


def test_the_bound_in_items_is_exact_and_leaves_room_for_diagnostics(make_sender: Make) -> None:
    with RawServer(hang) as intake:
        sender = make_sender(intake.url, max_queue_items=20, linger=600)
        taken = [sender.enqueue(track, b"{}") for track in ("snapshots", "logs") * 15]
        assert sum(taken) == 18
        assert [sender.enqueue("diagnostics", b"{}") for _ in range(3)] == [True, True, False]
        assert sender.stats().dropped == {"queue_full": 13}


def test_what_is_in_flight_counts_in_the_bounds(make_sender: Make) -> None:
    with RawServer(hang) as intake:
        sender = make_sender(intake.url, max_queue_bytes=100, linger=0)
        sender.enqueue("diagnostics", b'{"a":"%s"}' % (b"x" * 60))
        assert intake.arrived.wait(10)
        assert not sender.enqueue("diagnostics", b'{"a":"%s"}' % (b"x" * 60))
        assert sender.stats().pending_bytes == 68


def test_a_bound_of_one_still_takes_a_snapshot(make_sender: Make) -> None:
    sender = make_sender(NOBODY, max_queue_items=1, linger=600)
    assert [sender.enqueue("snapshots", b"{}") for _ in range(2)] == [True, False]


def test_many_threads_never_pass_the_bound_and_never_lose_count(make_sender: Make) -> None:
    with RecordingServer() as intake:
        sender = make_sender(intake.url, max_queue_items=50)
        offered = 8 * 500
        taken: list[int] = []

        def offer() -> None:
            taken.append(sum(sender.enqueue("logs", b"{}") for _ in range(500)))

        threads = [threading.Thread(target=offer) for _ in range(8)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            stats = sender.stats()
            assert stats.pending <= 50
            assert stats.enqueued == stats.delivered + stats.pending
        assert sender.flush(10)
        stats = sender.stats()
        assert stats.enqueued == stats.delivered == sum(taken)
        assert stats.enqueued + stats.dropped["queue_full"] == offered
        assert len(intake.elements()) == sum(taken)


def test_a_full_queue_does_not_block(make_sender: Make) -> None:
    with RawServer(hang) as intake:
        sender = make_sender(intake.url, max_queue_items=2)
        for _ in range(1000):
            sender.enqueue("diagnostics", b"{}")
        assert sender.stats().dropped["queue_full"] == 998


def test_on_drop_hears_of_every_drop_and_may_raise_or_enqueue(
    make_sender: Make, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[tuple[str, str, int]] = []

    def on_drop(track: str, reason: str, count: int) -> None:
        heard.append((track, reason, count))
        sender.enqueue("logs", b"still no JSON")
        raise RuntimeError("on purpose")

    with RecordingServer(400) as intake:
        sender = make_sender(intake.url, on_drop=on_drop)
        sender.enqueue("logs", b"no JSON")
        sender.enqueue("diagnostics", b"{}")
        sender.flush(10)
        sender.close(10)
        sender.enqueue("logs", b"{}")
    assert heard == [("logs", "invalid", 1), ("diagnostics", "rejected", 1), ("logs", "closed", 1)]
    assert sender.stats().dropped == {"invalid": 3, "rejected": 1, "closed": 2}
    assert "on purpose" in caplog.text


def test_a_flood_of_drops_is_one_line_in_the_log(
    make_sender: Make, caplog: pytest.LogCaptureFixture
) -> None:
    sender = make_sender(NOBODY, max_queue_items=1, linger=600)
    for _ in range(100):
        sender.enqueue("diagnostics", b"{}")
    sender.flush(0)
    sender.flush(0)
    lines = [r for r in caplog.records if "queue_full" in r.getMessage()]
    assert len(lines) == 1
    assert "99 times" in lines[0].getMessage()
    assert all(r.name == "livedebug_sender" for r in caplog.records)


def test_enqueue_itself_writes_no_log_line(
    make_sender: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    sender = make_sender(NOBODY)
    sender.enqueue("logs", b"no JSON")
    assert caplog.records == []


def test_nothing_is_started_before_the_first_enqueue(make_sender: Make) -> None:
    before = set(threading.enumerate())
    sender = make_sender(NOBODY)
    sender.stats()
    assert sender.flush()
    # The log's thread may be an earlier test's: this sender has nothing to say.
    started = [t.name for t in threading.enumerate() if t not in before]
    assert set(started) <= {"livedebug-log"}


def test_finalizers_and_weak_references_may_enqueue(make_sender: Make) -> None:
    with RecordingServer() as intake:
        sender = make_sender(intake.url)

        class Dying:
            def __del__(self) -> None:
                sender.enqueue("logs", b'{"from":"del"}')

        callbacks = []
        for _ in range(200):
            loop = Dying()
            loop.me = loop  # type: ignore[attr-defined]
            callbacks.append(weakref.ref(loop, lambda _: sender.enqueue("logs", b'{"ref":1}')))
            sender.enqueue("logs", b'{"from":"loop"}')
        del loop
        gc.collect()
        assert sender.flush(10)
        assert sender.stats().delivered == 600 == len(intake.elements())


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals need it"
)
def test_signal_handlers_may_enqueue(make_sender: Make) -> None:
    with RecordingServer() as intake:
        sender = make_sender(intake.url)
        handled: list[bool] = []  # a handler may interrupt itself: += would lose counts

        def handler(*_: object) -> None:
            handled.append(sender.enqueue("logs", b'{"from":"signal"}'))

        before = signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
        plain = 0
        try:
            end = time.monotonic() + 0.3
            while time.monotonic() < end:
                plain += sender.enqueue("logs", b"{}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert len(handled) > 10
        assert sender.flush(10)
        assert sender.stats().delivered == sum(handled) + plain == len(intake.elements())


anything = st.one_of(
    st.binary(),
    st.text(),
    st.none(),
    st.integers(),
    st.floats(),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    ),
    st.binary().map(bytearray),
    st.binary().map(memoryview),
)


@settings(max_examples=80)
@given(
    track=st.sampled_from(["logs", "diagnostics", "symdb", "x"]) | anything,
    payload=anything,
    content_type=st.none() | st.text() | st.integers(),
)
def test_whatever_it_is_given_enqueue_answers_and_counts(
    track: Any, payload: Any, content_type: Any
) -> None:
    config = SenderConfig()
    config.set_endpoint(Endpoint(NOBODY))
    config.set_symdb_endpoint(Endpoint(NOBODY))
    with Sender(config, linger=600, shutdown_timeout=0) as sender:
        taken = sender.enqueue(track, payload, content_type=content_type)
        stats = sender.stats()
        assert taken in (True, False)
        assert (stats.enqueued, sum(stats.dropped.values())) == ((1, 0) if taken else (0, 1))
