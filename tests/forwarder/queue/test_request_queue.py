"""What every kind of queue promises."""

from __future__ import annotations

import queue as queues
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from queue_kinds import KINDS, OTHER_ROUTE, ROUTE, QueueMaker, a_request, queue_maker
from waiting import until

from livedebug_sender.forwarder.queue.disk import housekeeper
from livedebug_sender.forwarder.queue.request_queue import (
    PutRefused,
    QueueFull,
    QueueUnavailable,
)

PATIENCE = 20.0


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[QueueMaker]:
    with queue_maker(request.param, tmp_path) as maker:
        yield maker


def test_what_was_put_is_taken_whole(opened):
    queue = opened()
    sent = a_request(bytes(range(256)) * 800, headers={"X-A": "é\xff", "Content-Type": "b"})
    queue.put(sent)
    taken = queue.take(ROUTE, PATIENCE)
    assert taken.request == sent
    assert taken.redeliveries == 0


def test_what_was_put_async_can_be_taken_once_that_is_confirmed(opened):
    queue = opened()
    requests = [a_request(b"%d" % n) for n in range(20)]
    told: queues.SimpleQueue[PutRefused | None] = queues.SimpleQueue()
    for request in requests:
        queue.put_async(request, told.put)
    assert [told.get(timeout=PATIENCE) for _ in requests] == [None] * 20
    taken = [queue.take(ROUTE, PATIENCE).request for _ in requests]
    assert taken == requests
    assert told.empty()


def test_a_refusal_of_what_was_put_async_is_told(opened):
    queue = opened()
    queue.close(5.0)
    told: list[PutRefused | None] = []
    queue.put_async(a_request(), told.append)
    assert [type(one) for one in told] == [QueueUnavailable]


def test_requests_of_a_route_come_in_the_order_they_came_in(opened):
    queue = opened()
    for n in range(50):
        queue.put(a_request(b"%d" % n))
    bodies = []
    for _ in range(50):
        taken = queue.take(ROUTE, PATIENCE)
        bodies.append(int(taken.request.body))
        queue.acknowledge(taken)
    assert bodies == list(range(50))


def test_a_route_gets_only_its_own(opened):
    queue = opened()
    queue.put(a_request(b"other", OTHER_ROUTE))
    assert queue.take(ROUTE, 0.1) is None
    assert queue.take(OTHER_ROUTE, PATIENCE).request.body == b"other"


def test_what_was_taken_is_not_taken_twice(opened):
    queue = opened()
    queue.put(a_request())
    assert queue.take(ROUTE, PATIENCE)
    assert queue.take(ROUTE, 0.1) is None


def test_what_was_released_comes_again_with_its_id_and_not_before_its_time(opened):
    queue = opened()
    queue.put(a_request(request_id="the-first"))
    taken = queue.take(ROUTE, PATIENCE)
    begun = time.monotonic()
    queue.release(taken, 0.3)
    again = queue.take(ROUTE, PATIENCE)
    assert time.monotonic() - begun >= 0.3
    assert (again.request.request_id, again.redeliveries) == ("the-first", 1)
    assert queue.stats().redelivered == 1


def test_others_pass_what_was_released_until_later(opened):
    queue = opened()
    queue.put(a_request(b"1"))
    queue.put(a_request(b"2"))
    queue.release(queue.take(ROUTE, PATIENCE), 3600)
    assert queue.take(ROUTE, PATIENCE).request.body == b"2"


def test_items_are_those_not_yet_settled(opened):
    queue = opened()
    for _ in range(3):
        queue.put(a_request())
    assert until(lambda: queue.stats().items == 3)
    first, second, _ = [queue.take(ROUTE, PATIENCE) for _ in range(3)]
    assert until(lambda: queue.stats().items == 3)
    queue.acknowledge(first)
    queue.bury(second, "HTTP 400")
    assert until(lambda: queue.stats().items == 1)
    assert queue.stats().dead == {"HTTP 400": 1}


def test_settling_twice_counts_once(opened):
    queue = opened()
    queue.put(a_request())
    queue.put(a_request())
    taken = queue.take(ROUTE, PATIENCE)
    queue.acknowledge(taken)
    queue.acknowledge(taken)
    queue.release(taken)
    queue.bury(taken, "HTTP 400")
    assert until(lambda: queue.stats().items == 1)
    assert queue.stats().dead == {}
    assert queue.take(ROUTE, PATIENCE).request != taken.request
    assert queue.take(ROUTE, 0.1) is None


def test_what_is_too_old_is_expired_and_counted(opened):
    queue = opened(max_age=60)
    queue.put(a_request(b"old", received_at=time.time() - 61))
    queue.put(a_request(b"new"))
    assert queue.take(ROUTE, PATIENCE).request.body == b"new"
    assert until(lambda: queue.stats().expired == 1)
    assert until(lambda: queue.stats().items == 1)


def test_the_age_of_the_oldest_is_told(opened):
    queue = opened()
    assert queue.stats().oldest_age is None
    queue.put(a_request(received_at=time.time() - 100))
    queue.put(a_request())
    queue.take(OTHER_ROUTE, 0.0)  # Kafka knows how old what it has read is
    assert until(lambda: 99 < (queue.stats().oldest_age or 0) < 130)
    queue.acknowledge(queue.take(ROUTE, PATIENCE))
    assert until(lambda: queue.stats().oldest_age < 99)


def test_take_waits_for_a_put(opened):
    queue = opened()
    with ThreadPoolExecutor(1) as threads:
        taking = threads.submit(queue.take, ROUTE, PATIENCE)
        queue.put(a_request(b"here"))
        assert taking.result().request.body == b"here"


def test_close_wakes_whoever_waits_and_refuses_what_comes_after(opened):
    queue = opened()
    with ThreadPoolExecutor(1) as threads:
        taking = threads.submit(queue.take, ROUTE)
        queue.close(5.0)
        assert taking.result() is None
    with pytest.raises(QueueUnavailable) as refused:
        queue.put(a_request())
    assert refused.value.retry_after > 0


def test_what_a_close_loses_is_told(opened):
    queue = opened()
    for _ in range(3):
        queue.put(a_request())
    queue.take(ROUTE, PATIENCE)
    assert queue.close(5.0) == (0 if queue.durable else 3)


def test_what_waits_outlives_a_durable_queue(opened):
    queue = opened()
    if not queue.durable:
        pytest.skip("made of memory")
    requests = [a_request(b"%d" % n) for n in range(5)]
    for request in requests:
        queue.put(request)
    queue.acknowledge(queue.take(ROUTE, PATIENCE))
    queue.release(queue.take(ROUTE, PATIENCE), 3600)
    queue.bury(queue.take(ROUTE, PATIENCE), "HTTP 400")
    queue.take(ROUTE, PATIENCE)  # and no word of it
    assert queue.close(5.0) == 0
    again = opened()
    arrived = [again.take(ROUTE, PATIENCE).request for _ in range(3)]
    assert sorted(arrived, key=lambda one: one.body) == [requests[n] for n in (1, 3, 4)]
    assert again.take(ROUTE, 0.2) is None


def test_many_threads_lose_and_double_nothing(opened):
    queue = opened()
    wanted = {b"%d" % n for n in range(400)}
    arrived: list[bytes] = []
    left = threading.Semaphore(0)

    def bring() -> None:
        while taken := queue.take(ROUTE, PATIENCE):
            arrived.append(taken.request.body)
            queue.acknowledge(taken)
            left.release()

    with ThreadPoolExecutor(12) as threads:
        for _ in range(4):
            threads.submit(bring)
        list(threads.map(lambda body: queue.put(a_request(body)), wanted))
        for _ in wanted:
            assert left.acquire(timeout=PATIENCE)
        queue.close(5.0)
    assert sorted(arrived) == sorted(wanted)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "kafka"])
def test_a_full_queue_refuses_and_has_room_again(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(housekeeper, "ROUND", 0.05)  # seconds
    with queue_maker(kind, tmp_path) as opened:
        queue = opened(max_bytes=4_000_000, flooding=frozenset((ROUTE,)))
        body = b"x" * 100_000
        refused: list[QueueFull] = []
        put = 0
        while not refused:
            try:
                queue.put(a_request(body))
                put += 1
            except QueueFull as error:
                refused.append(error)
        assert refused[0].retry_after > 0
        assert 20 < put < 40
        assert queue.stats().nearly_full
        # Snapshots may not crowd out probe statuses.
        queue.put(a_request(body, OTHER_ROUTE))
        for _ in range(put):
            queue.acknowledge(queue.take(ROUTE, PATIENCE))
        assert until(lambda: not queue.stats().nearly_full)
        queue.put(a_request(body))


def test_credentials_are_not_kept(opened):
    queue = opened()
    headers = {
        "Authorization": "secret",
        "cookie": "secret",
        "DD-Api-Key": "secret",
        "X-Datadog-Additional-Tags": "a:b",
    }
    queue.put(a_request(headers=headers))
    assert queue.take(ROUTE, PATIENCE).request.headers == {"X-Datadog-Additional-Tags": "a:b"}


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_route_it_does_not_keep_is_said_and_harms_nobody(kind, tmp_path):
    with queue_maker(kind, tmp_path) as opened:
        queue = opened()
        with pytest.raises(ValueError, match="keeps no such"):
            queue.put(a_request(route="/v0.4/traces"))
        queue.put(a_request(b"fine"))
        assert queue.take(ROUTE, PATIENCE).request.body == b"fine"


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_of_two_who_wait_one_gets_what_is_released_for_later(kind, tmp_path):
    with queue_maker(kind, tmp_path) as opened, ThreadPoolExecutor(2) as threads:
        queue = opened()
        queue.put(a_request(b"released"))
        held = queue.take(ROUTE, PATIENCE)
        taking = [threads.submit(queue.take, ROUTE) for _ in range(2)]
        queue.release(held, 0.3)
        queue.put(a_request(b"new"))  # whoever takes this must not take the alarm with it
        bodies = sorted(one.result(PATIENCE).request.body for one in taking)
        assert bodies == [b"new", b"released"]
