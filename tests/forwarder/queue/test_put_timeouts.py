"""How long it is waited until a queue has stored a request."""

from __future__ import annotations

import logging
import threading

import pytest
from queue_kinds import a_request
from waiting import until

from livedebug_sender.forwarder.queue import put_timeouts
from livedebug_sender.forwarder.queue.confirmation import Confirmation
from livedebug_sender.forwarder.queue.put_timeouts import PutTimeouts
from livedebug_sender.forwarder.queue.request_queue import (
    PutCallback,
    PutRefused,
    QueueFull,
    QueueUnavailable,
)
from livedebug_sender.forwarder.queue.stored_request import StoredRequest

FULL = QueueFull("full", 5.0)


class SlowQueue:
    """A queue that confirms when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[PutCallback] = []

    def put_async(self, request: StoredRequest, callback: PutCallback) -> None:
        self.waiting.append(callback)


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def queue() -> SlowQueue:
    return SlowQueue()


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def timeouts(queue: SlowQueue, clock: Time) -> PutTimeouts:
    return PutTimeouts(queue, 10.0, clock)


def test_a_thread_that_waits_goes_on_once_it_is_stored():
    stored = Confirmation()
    threading.Timer(0.01, stored, [None]).start()
    stored.wait(20)


def test_a_thread_that_waits_gets_the_refusal():
    refused = Confirmation()
    refused(FULL)
    with pytest.raises(QueueFull, match="full"):
        refused.wait(20)


def test_a_thread_waits_no_longer_than_it_may():
    with pytest.raises(QueueUnavailable, match="did not answer in time"):
        Confirmation().wait(0.01)


@pytest.mark.parametrize("outcome", [None, FULL])
def test_what_comes_in_time_is_passed_on_once(queue, clock, timeouts, outcome):
    told: list[PutRefused | None] = []
    timeouts.put(a_request(), told.append)
    clock.now = 9.9
    timeouts.refuse_overdue()
    queue.waiting[0](outcome)
    clock.now = 100
    timeouts.refuse_overdue()
    assert told == [outcome]


def test_what_does_not_come_in_time_is_refused_and_what_comes_then_ignored(queue, clock, timeouts):
    told: list[PutRefused | None] = []
    timeouts.put(a_request(), told.append)
    clock.now = 5
    timeouts.put(a_request(), told.append)
    clock.now = 12
    timeouts.refuse_overdue()
    assert [type(one) for one in told] == [QueueUnavailable]
    for done in queue.waiting:
        done(None)
    assert told[1:] == [None]


def test_a_put_that_fails_is_not_told_of_later(clock):
    class Broken:
        def put_async(self, request: StoredRequest, callback: PutCallback) -> None:
            raise ValueError("no such route")

    timeouts = PutTimeouts(Broken(), 10.0, clock)
    told: list[PutRefused | None] = []
    with pytest.raises(ValueError, match="no such route"):
        timeouts.put(a_request(), told.append)
    clock.now = 100
    timeouts.refuse_overdue()
    assert told == []


def test_what_is_pending_at_the_end_is_refused_once(queue, timeouts):
    told: list[PutRefused | None] = []
    timeouts.put(a_request(), told.append)
    timeouts.close()
    queue.waiting[0](None)
    assert [str(one) for one in told] == ["shutting down"]


def test_without_a_thread_that_looks_for_late_ones_nothing_is_taken(queue, timeouts, monkeypatch):
    monkeypatch.setattr(put_timeouts, "start_thread", lambda *_: False)
    told: list[PutRefused | None] = []
    timeouts.put(a_request(), told.append)
    assert [str(one) for one in told] == ["no thread can be started"]
    assert queue.waiting == []


def test_one_that_can_not_be_told_keeps_nobody_from_being_told(queue, clock, timeouts, caplog):
    def fail(refused: PutRefused | None) -> None:
        raise RuntimeError("secret")

    told: list[PutRefused | None] = []
    for done in (fail, told.append, fail):
        timeouts.put(a_request(), done)
    with caplog.at_level(logging.ERROR, "livedebug_sender"):
        queue.waiting[2](None)
        clock.now = 100
        timeouts.refuse_overdue()
    assert len(told) == 1
    assert caplog.messages == ["a confirmation failed: RuntimeError"] * 2


def test_it_looks_by_itself(queue, monkeypatch):
    monkeypatch.setattr(put_timeouts, "CHECK_EVERY", 0.01)
    monkeypatch.setattr(put_timeouts, "PUT_MARGIN", 0.0)
    timeouts = PutTimeouts(queue, 0.01)
    told: list[PutRefused | None] = []
    timeouts.put(a_request(), told.append)
    assert until(lambda: told)
    timeouts.close()
