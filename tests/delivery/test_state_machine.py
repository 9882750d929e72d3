"""Payloads, answers, threads that are killed and signals that strike, in any order.

The worker's threads are run on the test's own thread, when a rule says so. Where one would
park for ever it is killed instead, as it may be anywhere: at the entry of any function of
the package, which is where CPython looks for what was raised from outside.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from simulated_engine import CUT, NO_ANSWER, new_engine

import livedebug_sender
from livedebug_sender import Track
from livedebug_sender.protocol.request import Request
from livedebug_sender.transport.response import NoResponse, Response

if sys.platform == "win32":
    pytest.skip("needs SIGUSR1", allow_module_level=True)

PACKAGE = os.path.dirname(livedebug_sender.__file__)
ID = re.compile(rb'"id":(\d+),')
LOST = ("rejected", "undeliverable", "shutdown")
REFUSED = ("queue_full", "too_large", "invalid", "closed")
MAX_PAYLOAD = 120
REFUSED_PAYLOADS = [
    (Track.LOGS, b"no JSON"),
    ("odd", b"{}"),
    (Track.SYMDB, b""),
    *((track, b"[%s]" % (b"1" * 1000)) for track in Track),
]
#: A killer, a signal: beside the statuses, and those of answers that come before the request
#: has left.
KILLED, STRUCK = "killed", "struck"
EARLY = {"early 403": 403, "early 413": 413, "early 503": 503}


class Killed(BaseException):
    """What a killer of threads raises."""


class Strike(Exception):
    """What the host's signal handler raises."""


def strike(*_: object) -> NoReturn:
    signal.raise_signal(signal.SIGUSR1)
    raise AssertionError("the handler did not raise")


def kill() -> NoReturn:
    raise Killed


@contextmanager
def entering(nth: int | None, blow: Callable[[], NoReturn]) -> Iterator[None]:
    """Deal a blow at the entry of the nth function of the package; None: never."""
    left = -1 if nth is None else nth
    before = sys.gettrace()

    def look(frame: FrameType, event: str, _: object) -> None:
        nonlocal left
        if (
            "livedebug_sender" in frame.f_code.co_filename
            and "tests" not in frame.f_code.co_filename
        ):
            left -= 1
            if left == -1:
                sys.settrace(before)
                blow()

    if nth is not None:
        sys.settrace(look)
    try:
        yield
    finally:
        sys.settrace(before)


class StrikingMapping(Mapping[str, Any]):
    __getitem__ = __iter__ = __len__ = strike  # type: ignore[assignment]


tracks = st.sampled_from(list(Track))
statuses = st.sampled_from([202, 202, 400, 401, 413, 429, 500, 503, *EARLY])
faults = st.sampled_from([NO_ANSWER, CUT, KILLED, STRUCK])
answers = st.tuples(statuses | faults, st.sampled_from([None, "0", "5", "soon"]))
#: Which entry is struck; mostly none.
entries = st.none() | st.integers(0, 40)


class Delivery(RuleBasedStateMachine):
    """Keeps account of what was offered and answered, and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.offered = self.taken = self.unsure = self.interrupted = 0
        self.blows = 0
        self.closed = False
        self.acknowledged: set[int] = set()
        self.answers: list[tuple[int | str, str | None]] = []
        self.threads: list[Callable[[], None]] = []
        self.has_threads = True
        self.told: Counter[str] = Counter()
        self.handler = signal.signal(signal.SIGUSR1, self._on_signal)
        logging.getLogger("livedebug_sender").disabled = True

    @initialize(
        items=st.integers(1, 20),
        batch=st.integers(1, 8),
        linger=st.sampled_from([0, 0.1]),
        script=st.lists(answers, min_size=4, max_size=20),
    )
    def begin(
        self, items: int, batch: int, linger: float, script: list[tuple[int | str, str | None]]
    ) -> None:
        self.answers = list(script)
        self.engine = new_engine(
            self,
            self._on_drop,
            max_queue_items=items,
            max_queue_bytes=1000,
            max_payload_bytes=MAX_PAYLOAD,
            max_batch_items=batch,
            retry_for=20.0,
            linger=linger,
        )

    def _on_signal(self, *_: object) -> NoReturn:
        raise Strike

    def _on_drop(self, track: str, reason: str, count: int) -> None:
        self.told[reason] += count

    # ---- the world ----

    def wait(self, timeout: float | None) -> None:
        if timeout is None:
            raise Killed
        self.now += max(0.0, timeout)

    def start_thread(self, run: Callable[[], None], name: str) -> bool:
        if self.has_threads and name.removeprefix("livedebug-") in {one.value for one in Track}:
            self.threads.append(run)
            return True
        return False

    def agent_info(self, agent: object, deadline: float | None = None) -> Any:
        return None

    def post(self, request: Request, *, deadline: float | None = None) -> Any:
        body = request.body if isinstance(request.body, bytes) else b"".join(request.body)
        answer, retry_after = self.answers.pop(0) if self.answers else (202, None)
        self.now += 0.01
        if answer == KILLED:
            self.blows += 1
            raise SystemExit
        if answer == STRUCK:
            self.blows += 1
            strike()
        if answer in (NO_ANSWER, CUT):
            raise NoResponse("timed out", cut_after_body=answer == CUT)
        status, sent = (EARLY[answer], 1) if answer in EARLY else (int(answer), len(body))
        if status == 202:
            self.acknowledged.update(int(one) for one in ID.findall(body))
        return Response(status, retry_after, b"", None, sent)

    # ---- in ----

    def _offer(self, track: object, payload: object, content_type: object = "a/b") -> bool | None:
        """What `enqueue` answers; None if it was struck."""
        self.offered += 1
        try:
            return self.engine.enqueue(track, payload, content_type)
        except Strike:
            return None

    @rule(track=tracks, pads=st.lists(st.integers(0, 60), min_size=1, max_size=8), nth=entries)
    def enqueue(self, track: Track, pads: list[int], nth: int | None) -> None:
        with entering(nth, strike):
            for pad in pads:
                taken = self._offer(track, b'{"id":%d,"a":"%s"}' % (self.offered, b"x" * pad))
                self.taken += taken is True
                if taken is None:
                    self.unsure += 1  # the strike came before it was put, or after
                    self.blows += 1

    @rule(what=st.sampled_from(REFUSED_PAYLOADS))
    def enqueue_what_is_refused(self, what: tuple[object, bytes]) -> None:
        assert self._offer(*what) is False

    @rule()
    def enqueue_what_is_struck_while_it_is_encoded(self) -> None:
        if self._offer(Track.LOGS, StrikingMapping()) is None:
            self.interrupted += 1
            self.blows += 1
        else:
            assert self.closed

    # ---- time, answers, work ----

    @rule(more=st.lists(answers, min_size=1, max_size=6))
    def will_answer(self, more: list[tuple[int | str, str | None]]) -> None:
        self.answers += more

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 30.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.threads)
    @rule(nth=entries)
    def run_a_thread_then_another(self, nth: int | None) -> None:
        self.run_a_thread(nth)
        if self.threads:
            self.run_a_thread(None)

    @precondition(lambda self: self.threads)
    @rule(nth=entries)
    def run_a_thread(self, nth: int | None) -> None:
        """Until it is out of work, or killed."""
        self.blows += nth is not None
        try:
            with entering(nth, kill):
                self.threads.pop(0)()
        except (Killed, Strike, SystemExit):
            pass

    @rule(nth=entries)
    def look(self, nth: int | None) -> None:
        try:
            with entering(nth, strike):
                self.engine.stats()
        except Strike:
            pass

    @rule(timeout=st.sampled_from([0.0, 1.0, 100.0]), threads_begin=st.booleans())
    def flush(self, timeout: float, threads_begin: bool) -> None:
        if self._borrow(threads_begin, lambda: self.engine.flush(timeout)):
            self._is_idle()

    @precondition(lambda self: not self.closed)
    @rule(timeout=st.sampled_from([0.0, 1.0, 100.0]), threads_begin=st.booleans())
    def close(self, timeout: float, threads_begin: bool) -> None:
        self.closed = True
        if self._borrow(threads_begin, lambda: self.engine.close(timeout)) is not None:
            self._nothing_is_left()

    def _borrow(self, threads_begin: bool, work: Callable[[], bool]) -> bool | None:
        """Do the work on this thread; None if a killer or a signal struck."""
        while threads_begin and self.threads:
            self.run_a_thread(None)
        self.threads.clear()
        self.now += 4.0  # those that did not begin are given up
        self.has_threads = False
        try:
            return work()
        except (Strike, SystemExit):
            return None
        finally:
            self.has_threads = True

    # ---- what has to be true ----

    def _is_idle(self) -> None:
        assert self.engine.stats().pending == 0
        assert self.engine.held() == (0, 0)

    def _nothing_is_left(self) -> None:
        stats = self.engine.stats()
        assert (stats.pending, stats.pending_bytes) == (0, 0)

    @invariant()
    def the_sums_hold(self) -> None:
        stats = self.engine.stats()
        refused = sum(stats.dropped.get(reason, 0) for reason in REFUSED)
        lost = sum(stats.dropped.get(reason, 0) for reason in LOST)
        assert set(stats.dropped) <= {*REFUSED, *LOST}
        assert stats.enqueued == stats.delivered + stats.pending + lost
        known = self.offered - self.interrupted
        assert known - self.unsure <= stats.enqueued + refused <= known
        assert self.taken <= stats.enqueued <= self.taken + self.unsure
        assert stats.delivered <= len(self.acknowledged)
        if not self.blows:
            assert self.told == stats.dropped

    def teardown(self) -> None:
        try:
            self.answers.clear()
            if hasattr(self, "engine"):
                if not self.closed:
                    assert self._borrow(True, lambda: self.engine.flush(1e6))
                    self._is_idle()
                self.closed = True
                self._borrow(True, lambda: self.engine.close(10.0))
                self._nothing_is_left()
                self.the_sums_hold()
        finally:
            signal.signal(signal.SIGUSR1, self.handler)
            logging.getLogger("livedebug_sender").disabled = False


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
