"""The worker without network, threads or real time: any load, any answers.

A real engine, its queues and accounts, on a clock that is only a number, with a
transport that answers by a script. No thread can be started, so `flush` and `close` do the
worker's work on the calling thread, and after each step everything can be compared.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from simulated_engine import CUT, NO_ANSWER, TIMEOUT, new_engine, unlogged

from livedebug_sender import Track
from livedebug_sender.delivery.capacity import FLOODS
from livedebug_sender.options import Options
from livedebug_sender.protocol.request import Request
from livedebug_sender.transport.response import NoResponse, Response

ID = re.compile(rb'"id":(\d+),"bad":(\d)')
EPSILON = 1e-6
V1 = "/debugger/v1/diagnostics"

#: The intake judges a request by its payloads.
JUDGE = "judge"


@dataclass(frozen=True)
class Scripted:
    """One answer of the script.

    Attributes:
        what: a status, `JUDGE`, `CUT` (taken, but the answer is lost) or `NO_ANSWER`.
        takes: seconds; from `TIMEOUT` on there is no answer.
        meanwhile: payloads that somebody enqueues while the request is under way.
    """

    what: int | str = JUDGE
    takes: float = 0.0
    retry_after: str | None = None
    meanwhile: int = 0


@dataclass
class Known:
    """What the model knows of a payload that was enqueued."""

    track: Track
    size: int
    bad: bool
    fate: str | None = None


class World:
    """A sender, the time, the intake, and what has to become of each payload."""

    def __init__(self, script: list[Scripted], agentless: bool = False, **options: Any) -> None:
        self.now = 1000.0
        self.script = list(script)
        self.known: dict[int, Known] = {}
        self.refused: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.closed = False
        self.offered = 0
        self.posts = 0
        self.batches = 0  # of the tracks that have an additional endpoint
        self.copies = 0
        self.delivered_in_order: list[int] = []
        # Of the model's own checks: raised inside a request or `on_drop`, they would be lost.
        self.faults: list[AssertionError] = []
        self._tried: dict[int, float] = {}  # id: when first
        self._crashes: Counter[Track] = Counter()  # since the last answer
        self._halved: set[Track] = set()
        self._tried_in_step: set[tuple[str, tuple[int, ...]]] = set()
        self.options = Options(**options)
        self.engine = new_engine(self, self._on_drop, agentless, second=True, **options)

    # ---- the steps ----

    def enqueue(self, track: Track, pad: int, bad: bool = False, array: bool = False) -> None:
        one, self.offered = self.offered, self.offered + 1
        payload = b'{"id":%d,"bad":%d,"a":"%s"}' % (one, bad, b"x" * pad)
        if array:
            payload = b"[%s , %s]" % (payload, payload)
        content_type = "a/b" if track is Track.SYMDB else None
        why_not = self._why_not(track, len(payload))
        taken = self.engine.enqueue(track, payload, content_type)
        assert taken is (why_not is None)
        if why_not is None:
            self.known[one] = Known(track, len(payload), bad)
        else:
            self.refused[why_not] += 1

    def _why_not(self, track: Track, size: int) -> str | None:
        """The reason for which `enqueue` has to refuse, worked out anew."""
        options, flood = self.options, track in FLOODS
        share = 0.9 if flood else 1
        fits = int(options.max_queue_bytes * share)
        max_size = fits if track is Track.SYMDB else min(fits, options.max_payload_bytes)
        held = [one for one in self.known.values() if one.fate is None]
        floods = [one for one in held if one.track in FLOODS]
        if self.closed:
            return "closed"
        if size > max_size:
            return "too_large"
        full = len(held) + 1 > options.max_queue_items
        full |= sum(one.size for one in held) + size > options.max_queue_bytes
        if flood:
            full |= len(floods) + 1 > max(1, int(options.max_queue_items * share))
            full |= sum(one.size for one in floods) + size > fits
        return "queue_full" if full else None

    def flush(self, timeout: float) -> None:
        before, until = list(self.known.values()), self.now + timeout
        done = self.engine.flush(timeout)
        assert done is all(one.fate is not None for one in before)
        assert self.now <= until + EPSILON

    def close(self, timeout: float) -> None:
        until = self.now + timeout
        self.closed = True
        all_well = self.engine.close(timeout)
        for one in self.known.values():
            one.fate = one.fate or "shutdown"
        assert all_well is not any(one.fate == "shutdown" for one in self.known.values())
        assert self.now <= until + EPSILON

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, timeout: float | None) -> None:
        """Nobody rings: waiting only moves the clock."""
        assert timeout is not None, "a wait without end"
        self.sleep(max(0.0, timeout))

    def start_thread(self, run: object, name: str) -> bool:
        return False

    def agent_info(self, agent: object, deadline: float | None = None) -> Any:
        return {"endpoints": ["/debugger/v1/diagnostics"]} if self.posts % 2 else None

    def check(self) -> None:
        """Whatever was done: the accounts are those of the model."""
        assert not self.faults, self.faults
        self._tried_in_step.clear()
        stats = self.engine.stats()
        fates = Counter(one.fate for one in self.known.values())
        pending = [one for one in self.known.values() if one.fate is None]
        assert stats.enqueued == len(self.known)
        assert stats.delivered == fates["delivered"]
        assert stats.pending == len(pending)
        assert stats.pending_bytes == sum(one.size for one in pending)
        lost = {reason: fates[reason] for reason in ("rejected", "undeliverable", "shutdown")}
        assert Counter(stats.dropped) == +Counter(lost) + self.refused == self.told
        assert stats.requests == self.posts
        assert stats.enqueued == stats.delivered + stats.pending + sum(lost.values())
        assert self.offered == stats.enqueued + self.refused.total()
        assert self.engine.held() == (len(pending), sum(one.size for one in pending))
        self._check_order()

    def _given_up(self, track: Track, count: int) -> None:
        """So many payloads that the track has tried were dropped: their time has to be over.

        Which ones of a batch that was halved goes first is all the same: all of it does.
        """
        over = [
            one
            for one, first in self._tried.items()
            if self.known[one].fate is None
            and self.known[one].track is track
            and self.now >= first + self.options.retry_for - EPSILON
        ]
        try:
            assert len(over) >= count
        except AssertionError as fault:
            self.faults.append(fault)
        for one in over[:count]:
            self.known[one].fate = "undeliverable"

    def _check_order(self) -> None:
        for track in Track:
            if track in self._halved:
                continue
            ids = [one for one in self.delivered_in_order if self.known[one].track is track]
            assert ids == sorted(ids)

    # ---- the seams ----

    def post(self, request: Request, *, deadline: float | None = None) -> Any:
        body = request.body if isinstance(request.body, bytes) else b"".join(request.body)
        assert len(body) == len(request.body)
        ids = tuple(dict.fromkeys(int(one) for one, _ in ID.findall(body)))
        try:
            return self._post(ids, request, deadline)
        except AssertionError as fault:
            self.faults.append(fault)
            raise

    def _post(self, ids: tuple[int, ...], request: Request, deadline: float | None) -> Any:
        if request.endpoint.url.startswith("http://second"):
            self.copies += 1
            return Response(202, None, b"")
        self.posts += 1
        self._check_batch(ids, request.path)
        said = self.script.pop(0) if self.script else Scripted()
        for _ in range(said.meanwhile):
            self.enqueue(self.known[ids[0]].track, 3)
        left = math.inf if deadline is None else deadline - self.now
        self.now += max(0.0, min(said.takes, TIMEOUT, left))
        self._count_crash(ids, said)
        silent = said.takes >= min(TIMEOUT, left) or said.what in (NO_ANSWER, CUT)
        status = said.what if isinstance(said.what, int) else self._judged(ids)
        if silent:
            raise NoResponse("timed out", cut_after_body=said.what == CUT)
        self._word(ids, status)
        return Response(
            status, said.retry_after, b"", formatdate(self.now, usegmt=True), len(request.body)
        )

    def _check_batch(self, ids: tuple[int, ...], path: str) -> None:
        """A batch keeps to its bounds, and is not tried again when its time is over."""
        ones = [self.known[one] for one in ids]
        (track,) = {one.track for one in ones}
        for one in ones:
            # A refusal at the v2 route may turn out to be an old agent's, and is no last word.
            assert one.fate is None or (one.fate, path) == ("rejected", V1)
            one.fate = None
        max_items = 1 if track is Track.SYMDB else self.options.max_batch_items
        assert 1 <= len(ids) <= max_items
        assert len(ids) == 1 or sum(one.size for one in ones) <= self.options.max_batch_bytes
        if track is not Track.SYMDB and not any(one in self._tried for one in ids):
            self.batches += 1
        first = min(self._tried.setdefault(one, self.now) for one in ids)
        if (path, ids) in self._tried_in_step:
            assert self.now < first + self.options.retry_for
        self._tried_in_step.add((path, ids))

    def _count_crash(self, ids: tuple[int, ...], said: Scripted) -> None:
        """From the third on a batch may be halved, and its parts arrive in another order."""
        track = self.known[ids[0]].track
        self._crashes[track] += said.what in (500, CUT)
        if self._crashes[track] >= 3:
            self._halved.add(track)

    def _judged(self, ids: tuple[int, ...]) -> int:
        return 422 if any(self.known[one].bad for one in ids) else 202

    def _word(self, ids: tuple[int, ...], status: int) -> None:
        """What this answer means for each payload, by the contract's table.

        A 404 of an agent's v2 route counts as a rejection until the next request.
        """
        fate: str | None = "rejected"
        if 200 <= status < 300:
            fate = "delivered"
            self.delivered_in_order += ids
        elif status in (408, 429) or status >= 500 or (status in (400, 413, 422) and len(ids) > 1):
            fate = None
        for one in ids:
            self.known[one].fate = fate

    def _on_drop(self, track: str, reason: str, count: int) -> None:
        self.told[reason] += count
        if reason == "undeliverable":
            self._given_up(Track(track), count)


tracks = st.sampled_from(list(Track))
enqueues = st.tuples(
    st.just("enqueue"), tracks, st.integers(0, 60), st.integers(0, 9).map(lambda n: n == 0),
    st.booleans(),
)  # fmt: skip
seconds = st.sampled_from([0.0, 0.5, 8.0, 60.0, 1000.0])
others = st.tuples(st.sampled_from(["flush", "flush", "flush", "sleep", "close"]), seconds)
steps = st.builds(
    lambda first, rest: first + rest,
    st.lists(enqueues, max_size=12),
    st.lists(enqueues | others, min_size=1, max_size=25),
)
retry_afters = st.sampled_from(
    [None, None, "0", "1", "20", "4000", "soon", "", formatdate(1100, usegmt=True)]
)
passing = st.sampled_from([408, 429, 500, 503, 599, NO_ANSWER, CUT, JUDGE])
final = st.sampled_from([204, 301, 400, 401, 403, 404, 405, 409, 413, 418, 422])
takes = st.sampled_from([0.0, 0.0, 0.01, 1.0, 2.9, 3.0, 9.0])


def scripts(what: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Scripted]]:
    """Answers one by one, and outages: a batch may meet both."""
    said = st.builds(Scripted, what, takes, retry_afters, st.sampled_from([0, 0, 0, 1, 3]))
    outage = st.builds(Scripted, passing, st.just(0.01) | takes)
    several = st.builds(lambda one, count: [one] * count, outage, st.integers(3, 12))
    pieces = st.lists(st.lists(said, min_size=1, max_size=6) | several, max_size=5)
    return pieces.map(lambda pieces: [one for piece in pieces for one in piece])


bounds = st.fixed_dictionaries(
    {
        "max_queue_items": st.integers(1, 30),
        "max_queue_bytes": st.integers(60, 3000),
        "max_payload_bytes": st.integers(40, 120),
        "max_batch_items": st.integers(1, 12),
        "max_batch_bytes": st.integers(30, 800),
        "retry_for": st.sampled_from([0.0, 2.0, 5.0, 300.0]),
        "linger": st.sampled_from([0.0, 0.1]),
    }
)


@settings(max_examples=100)
@given(steps, scripts(passing | final), bounds, st.booleans())
def test_whatever_comes_in_and_whatever_is_answered_each_payload_has_its_place_in_the_accounts(
    steps: list[Any], script: list[Scripted], bounds: dict[str, Any], agentless: bool
) -> None:
    with unlogged(World(script, agentless=agentless, **bounds)) as world:
        for name, *arguments in steps:
            getattr(world, name)(*arguments)
            world.check()
        world.close(5.0)
        world.check()
        assert world.engine.held() == (0, 0)
        stats = world.engine.stats()
        assert stats.additional_delivered == world.copies
        assert stats.additional_delivered + stats.additional_failed == world.batches


@settings(max_examples=60)
@given(st.lists(enqueues, max_size=60), scripts(passing), st.integers(1, 20))
def test_through_trouble_that_passes_exactly_the_culprits_are_rejected(
    payloads: list[Any], script: list[Scripted], max_batch_items: int
) -> None:
    patient = {"retry_for": 1e9, "max_batch_items": max_batch_items}
    with unlogged(World(script, **patient)) as world:
        for _, *arguments in payloads:
            world.enqueue(*arguments)
        while world.engine.stats().pending:  # some came while the last flush was at work
            world.flush(1e8)
        world.check()
        for one in world.known.values():
            assert one.fate == ("rejected" if one.bad else "delivered")


@settings(max_examples=40)
@given(st.integers(2, 500), st.data())
@example(500, None)
def test_finding_the_culprits_takes_few_requests(count: int, data: Any) -> None:
    culprits = {0, 250, 499}
    if data is not None:
        culprits = data.draw(st.sets(st.integers(0, count - 1), max_size=3))
    with unlogged(World([], agentless=True)) as world:
        for one in range(count):
            world.enqueue(Track.LOGS, 1, bad=one in culprits)
        world.flush(10)
        world.check()
        assert world.engine.stats().dropped.get("rejected", 0) == len(culprits)
        assert world.posts <= 1 + 2 * len(culprits) * math.ceil(math.log2(count)) < 80


@given(st.sampled_from([None, "0", "1"]), st.floats(0.0, 30.0))
@settings(max_examples=30)
def test_a_closing_sender_tries_again_but_not_in_a_flood(asked: str | None, timeout: float) -> None:
    with unlogged(World([Scripted(503, retry_after=asked)] * 2000)) as world:
        world.enqueue(Track.LOGS, 1)
        world.close(timeout)
        world.check()
        assert world.posts < 100
