"""What is compared with what, and which ratio is aimed at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Side:
    """One of the two that take turns.

    Attributes:
        name: what it is called in the table.
        function: of contenders.py.
        arguments: for it; ``URL`` and ``TLS`` stand for the intake's addresses.
    """

    name: str
    function: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """A row: the ratio of ours to the other's figure, round by round.

    Those that follow each other with the same sides are of the same runs.

    Attributes:
        other: None: the figure itself is what is aimed at.
        aim: what should not be passed; None: only told.
    """

    group: str
    what: str
    figure: str
    ours: Side
    other: Side | None
    aim: float | None


URL, TLS = "URL", "TLS"


def _enqueue(size: int = 1024, count: int = 2000) -> Side:
    arguments = {"url": URL, "count": count, "size": size, "times": 25}
    return Side("enqueue", "enqueue", arguments)


def _bare(size: int = 1024) -> Side:
    return Side("Queue.put_nowait", "put_nowait", {"count": 2000, "size": size, "times": 25})


def _way(who: str, count: int, size: int, url: str = URL) -> Side:
    name = "whole way" if who == "ours" else "ddtrace pipeline"
    return Side(name, f"{who}_whole_way", {"url": url, "count": count, "size": size})


def _request(function: str, name: str) -> Side:
    return Side(name, function, {"url": URL, "count": 400, "size": 1024})


def _host(who: str) -> Side:
    arguments: dict[str, Any] = {"threads": 4, "count": 2500, "loops": "LOOPS"}
    if who != "alone":
        arguments |= {"url": URL, "size": 2048}
    name = {"alone": "no sender", "with_ours": "with ours", "with_native": "with ddtrace"}[who]
    return Side(name, f"host_{who}", arguments)


def _web(who: str) -> Side:
    arguments: dict[str, Any] = {"loops": "LOOPS"}
    if who != "alone":
        arguments |= {"url": URL, "size": 2048}
    name = {"alone": "no sender", "with_ours": "with ours", "with_native": "with ddtrace"}[who]
    return Side(name, f"web_{who}", arguments)


FORWARDER_MODES = ("pass-through", "store-and-forward")
FORWARDER_SIZES = (2, 200)  # KB


def forwarder_what(mode: str, size: int, clients: int, figure: str) -> str:
    if figure == "bytes":
        return f"{mode}, memory after 10,000 requests of {size} KB"
    shown = {"wall": "time a request", "p99": "99 %"}[figure]
    return f"{mode}, {size} KB, {clients} client{'s' * (clients > 1)}, {shown}"


def _forwarder(mode: str, size: int, clients: int, figure: str) -> Measure:
    """A cell of the table against the Agent: the time of a request, or the 99th percentile."""
    arguments = {"url": URL, "clients": clients, "size": size * 1024}
    ours = Side(mode, "forwarding", {**arguments, "who": mode})
    agent = Side("the Agent", "forwarding", {**arguments, "who": "agent"})
    what = forwarder_what(mode, size, clients, figure)
    return Measure("forwarder", what, figure, ours, agent, {"wall": 1.5, "p99": 2.0}[figure])


def _forwarder_memory(mode: str) -> Measure:
    arguments = {"url": URL, "requests": 10_000}
    ours = Side(mode, "forwarding_memory", {**arguments, "who": mode})
    agent = Side("the Agent", "forwarding_memory", {**arguments, "who": "agent"})
    what = forwarder_what(mode, 200, 8, "bytes")
    return Measure("forwarder", what, "bytes", ours, agent, 1.0)


_FORWARDER = (
    *(
        _forwarder(mode, size, clients, figure)
        for mode in FORWARDER_MODES
        for size in FORWARDER_SIZES
        for clients in (1, 8)
        for figure in ("wall", "p99")
    ),
    *map(_forwarder_memory, FORWARDER_MODES),
)


def _threads(function: str, name: str, **more: Any) -> Side:
    return Side(name, function, {"threads": 8, "count": 3000, "size": 1024, **more})


_PUT_ENCODED = Side("put_encoded", "put_encoded", {"count": 2000, "size": 1024, "times": 25})
_PUT_IN_NEW = Side("put_encoded", "put_in_new", {"count": 2000, "size": 1024, "times": 25})
_FROM_THREADS = _threads("enqueue_from_threads", "enqueue", url=URL)
_BARE_THREADS = _threads("put_from_threads", "Queue.put_nowait")


def _alone(group: str, what: str, figure: str, aim: float, function: str, **more: Any) -> Measure:
    return Measure(group, what, figure, Side("ours", function, more), None, aim)


def _sent(what: str, figure: str, count: int, size: int, aim: float | None) -> Measure:
    return Measure(
        "whole way", what, figure, _way("ours", count, size), _way("native", count, size), aim
    )


MEASURES = (
    Measure("enqueue", "1 KB against queue.Queue", "wall", _enqueue(), _bare(), 1.5),
    Measure("enqueue", "1 KB against put_encoded", "wall", _enqueue(), _PUT_ENCODED, 0.8),
    Measure("enqueue", "1 KB against the same, new queues", "wall", _enqueue(), _PUT_IN_NEW, 0.8),
    Measure(
        "enqueue",
        "100 KB against 1 KB",
        "wall",
        _enqueue(100_000, 100),
        _enqueue(1024, 100),
        1.25,
    ),
    _alone("enqueue", "into 20,000 waiting against into none", "ratio", 1.25, "enqueue_growing"),
    Measure("enqueue", "8 threads, 99.9 %", "p999", _FROM_THREADS, _BARE_THREADS, None),
    _sent("CPU, 1 KB", "cpu", 100_000, 1024, 1.0),
    _sent("time, 1 KB", "wall", 100_000, 1024, 1.0),
    _sent("CPU, 20 KB", "cpu", 20_000, 20_480, 1.0),
    _sent("time, 20 KB", "wall", 20_000, 20_480, 1.0),
    Measure(
        "whole way",
        "CPU, 1,000,000 of 1 KB against 10,000",
        "cpu",
        _way("ours", 1_000_000, 1024),
        _way("ours", 10_000, 1024),
        1.1,
    ),
    Measure(
        "whole way",
        "CPU, 1 KB over TLS",
        "cpu",
        _way("ours", 50_000, 1024, TLS),
        _way("native", 50_000, 1024, TLS),
        1.0,
    ),
    Measure(
        "whole way",
        "time, 1 KB over TLS",
        "wall",
        _way("ours", 50_000, 1024, TLS),
        _way("native", 50_000, 1024, TLS),
        1.0,
    ),
    Measure(
        "one request",
        "CPU against requests.Session.post",
        "cpu",
        _request("ours_request", "ours"),
        _request("session_post", "Session.post"),
        0.5,
    ),
    Measure(
        "one request",
        "CPU against the native sender",
        "cpu",
        _request("ours_request", "ours"),
        _request("native_request", "ddtrace native"),
        1.5,
    ),
    Measure("the host", "CPU a request", "cpu", _host("with_ours"), _host("alone"), 1.05),
    Measure(
        "the host",
        "CPU a request against ddtrace",
        "cpu",
        _host("with_ours"),
        _host("with_native"),
        1.0,
    ),
    Measure("waitress, wrk", "time a request", "wall", _web("with_ours"), _web("alone"), None),
    Measure(
        "waitress, wrk",
        "time a request against ddtrace",
        "wall",
        _web("with_ours"),
        _web("with_native"),
        None,
    ),
    Measure("waitress, wrk", "99 %", "p99", _web("with_ours"), _web("alone"), None),
    Measure(
        "waitress, wrk",
        "99 % against ddtrace",
        "p99",
        _web("with_ours"),
        _web("with_native"),
        None,
    ),
    *_FORWARDER,
    _alone("start", "import over a bare interpreter, ms", "ms", 45, "import_cost", times=15),
    _alone("start", "the same over that of requests", "ratio", 0.35, "import_cost", times=15),
    _alone("start", "heavy modules that import loads", "modules", 0, "modules_loaded"),
    _alone("idle", "threads before the first enqueue", "before", 0, "idle", url=URL, seconds=10),
    _alone("idle", "wake-ups in 10 seconds", "wakeups", 0, "idle", url=URL, seconds=10),
    _alone("memory", "held at a full queue, 1 KB", "ratio", 1.3, "memory_full", size=1024),
    _alone("memory", "held at a full queue, 20 KB", "ratio", 1.3, "memory_full", size=20_480),
    _alone(
        "memory",
        "peak while 4 MB are sent",
        "ratio",
        1.3,
        "memory_sending",
        url=URL,
        size=1024,
        count=4000,
    ),
)
