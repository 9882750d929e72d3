"""The payloads of a soak: threads and forked children that enqueue, and remember what."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from livedebug_sender import Sender, Stats
from livedebug_sender.runtime.clock import monotonic

try:
    from freezegun import freeze_time
except ImportError:
    freeze_time = None

#: What became of an id, in `Load.fates`. `INTERRUPTED`: a signal handler of the host raised
#: in the middle of `enqueue`, so that the payload may be in the queue or not.
NOT_OFFERED, GOOD, BAD, REFUSED, INTERRUPTED = range(5)

TRACKS = ("snapshots",) * 45 + ("logs",) * 40 + ("diagnostics",) * 12 + ("symdb",) * 3
LARGEST = 64 * 1024
FILLER = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz ", k=LARGEST))
TOO_LARGE = b'{"a":"%s"}' % (b"x" * LARGEST)
THREADS = 4
#: Payloads that the main thread offers under a timer that strikes, in one burst.
BURST = 200
STRIKES_EVERY = 0.0003
CHILD_PAYLOADS = 64
CHILD_CLOSES_IN = 60.0


class HostTimeout(Exception):
    """What a signal handler of the host raises."""


@dataclass
class Load:
    """What is offered to a sender, by id.

    Args:
        ids: how many ids the threads may use; those of the children follow.
        children: how many children there may be.
        bursts: how many times the main thread may enqueue under a timer; theirs come last.
    """

    sender: Sender
    ids: int
    children: int
    bursts: int
    #: One byte for each id, written now, so that its pages don't look like a leak later.
    fates: bytearray = field(init=False)
    #: Payloads that `enqueue` has to refuse, by the reason that it has to give.
    hopeless: Counter[str] = field(default_factory=Counter)
    over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.fates = bytearray(b"\1") * self.all_ids
        self.fates[:] = bytes(len(self.fates))
        self._running: dict[int, int] = {}
        self._forked = 0
        self.reports: list[tuple[int, dict[str, Any] | None]] = []
        self._threads: list[threading.Thread] = []
        self._hopeless_lock = threading.Lock()
        self._bursts = 0
        #: Exceptions of the handler that reached the host.
        self.struck = 0
        self.frozen = 0

    @property
    def all_ids(self) -> int:
        return self.first_of_burst(self.bursts)

    # ---- a signal handler that raises ----

    def enqueue_under_a_timer(self) -> None:
        """Offer a burst on the main thread, where a timer's handler raises all the time."""
        if self._bursts >= self.bursts:
            return
        chance = random.Random()
        first = self.first_of_burst(self._bursts)
        self._bursts += 1
        before = signal.signal(signal.SIGALRM, _raise)
        for one in range(first, first + BURST):
            self.fates[one] = INTERRUPTED
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, STRIKES_EVERY))
                taken = self._enqueue(one, False, chance)
                self.fates[one] = GOOD if taken else REFUSED
                if chance.random() < 0.1:
                    self.sender.stats()
                signal.setitimer(signal.ITIMER_REAL, 0)
            except HostTimeout:
                self.struck += 1
        _disarm()
        signal.signal(signal.SIGALRM, before)

    # ---- frozen clocks ----

    def flush_with_frozen_clocks(self) -> None:
        """Flush while the host's clocks stand still, as in its tests; it has to return."""
        if freeze_time is None:
            return
        with freeze_time("2020-01-01"):
            self.sender.flush(0.2)
        self.frozen += 1

    def first_of_burst(self, burst: int) -> int:
        return self.ids + self.children * CHILD_PAYLOADS + burst * BURST

    # ---- threads ----

    def start(self, rate: float) -> None:
        """Start the threads, which together offer `rate` payloads a second."""
        for n in range(THREADS):
            args = (n, rate / THREADS)
            self._threads.append(threading.Thread(target=self._feed, args=args))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join()

    def _feed(self, n: int, rate: float) -> None:
        chance = random.Random()
        began = monotonic()
        done = 0
        while not self.over.wait(0.01):
            for _ in range(int((monotonic() - began) * rate) - done):
                one = n + done * THREADS
                if one >= self.ids:
                    return
                self._offer(one, chance)
                done += 1

    def _offer(self, one: int, chance: random.Random) -> None:
        if chance.random() < 0.001:
            reason = chance.choice(("invalid", "too_large"))
            hopeless = {"invalid": b"nonsense", "too_large": TOO_LARGE}[reason]
            assert self.sender.enqueue("logs", hopeless) is False
            with self._hopeless_lock:
                self.hopeless[reason] += 1
        bad = chance.random() < 0.0005
        if self._enqueue(one, bad, chance):
            self.fates[one] = BAD if bad else GOOD
        else:
            self.fates[one] = REFUSED

    def _enqueue(self, one: int, bad: bool, chance: random.Random) -> bool:
        track = chance.choice(TRACKS)
        size = int(chance.choice((200, 300, 400, 600, 800)) * chance.choice((1,) * 30 + (8, 50)))
        payload: object = b'{"id":%d,"bad":%d,"a":"%s"}' % (one, bad, FILLER[:size].encode())
        if track == "symdb":
            return self.sender.enqueue(track, payload, content_type="application/octet-stream")
        if chance.random() < 0.3:
            payload = {"id": one, "bad": int(bad), "a": FILLER[:size]}
        return self.sender.enqueue(track, payload)

    # ---- children ----

    def fork(self) -> None:
        """Fork a child that enqueues, closes, and reports."""
        if self._forked >= self.children:
            return
        number, self._forked = self._forked, self._forked + 1
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.write(writer, json.dumps(self._child(number)).encode())
                code = 0
            finally:
                os._exit(code)
        os.close(writer)
        self._running[pid] = reader

    def _child(self, number: int) -> dict[str, Any]:
        chance = random.Random()
        fresh = self.sender.stats() == Stats()
        fates = []
        for one in range(CHILD_PAYLOADS):
            bad = chance.random() < 0.01
            taken = self._enqueue(self.first_of(number) + one, bad, chance)
            fates.append((BAD if bad else GOOD) if taken else REFUSED)
        closed = self.sender.close(CHILD_CLOSES_IN)
        stats = self.sender.stats()
        return {
            "number": number, "fresh": fresh, "closed": closed, "fates": fates,
            "delivered": stats.delivered, "dropped": dict(stats.dropped), "pending": stats.pending,
        }  # fmt: skip

    def first_of(self, child: int) -> int:
        return self.ids + child * CHILD_PAYLOADS

    def reap(self, *, wait: bool = False) -> None:
        """Take the reports of the children that have ended, or wait for all."""
        for pid, reader in list(self._running.items()):
            ended, status = os.waitpid(pid, 0 if wait else os.WNOHANG)
            if not ended:
                continue
            del self._running[pid]
            with open(reader, "rb") as stream:
                text = stream.read()
            report = json.loads(text) if text else None
            if report:
                first = self.first_of(report["number"])
                self.fates[first : first + CHILD_PAYLOADS] = bytes(report["fates"])
            self.reports.append((status, report))


def _raise(*_: object) -> None:
    raise HostTimeout


def _disarm() -> None:
    """Stop the timer, should it strike just now too."""
    while True:
        try:
            signal.setitimer(signal.ITIMER_REAL, 0)
            return
        except HostTimeout:
            continue
