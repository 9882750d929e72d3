"""Intakes that are in trouble for a second or two, and certificates that are no good.

Real servers, and the real backoff but where `_short_backoff` is used.
"""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sample_data import KEY
from servers import Arrived, RawServer, RecordingServer, Reply, cut, drip, hang
from simulated_retries import World

from livedebug_sender import Sender
from livedebug_sender.delivery import backoff

Make = Callable[..., Sender]
if TYPE_CHECKING:
    import trustme

#: How long the trouble lasts, in seconds.
TROUBLE = 0.5
TRACKS = ("logs", "snapshots", "diagnostics")
COUNT = 300


def offer(sender: Sender) -> list[dict[str, Any]]:
    """Enqueue payloads of several tracks; what has to arrive of them."""
    payloads = [{"n": number} for number in range(COUNT)]
    for number, payload in enumerate(payloads):
        assert sender.enqueue(TRACKS[number % len(TRACKS)], payload)
    return payloads


def all_arrived(sender: Sender, wanted: list[dict[str, Any]], intake: RecordingServer) -> None:
    assert sender.flush(20)
    stats = sender.stats()
    assert (stats.delivered, dict(stats.dropped)) == (COUNT, {})
    arrived = Counter(element["n"] for element in intake.elements())
    assert set(arrived) == {payload["n"] for payload in wanted}


@pytest.fixture
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.1)


def after_a_while(status: int, headers: dict[str, str]) -> Any:
    """An answer that is a success once `TROUBLE` has passed since the first request."""
    began: list[float] = []

    def answer(_: Arrived) -> Reply | int:
        began.append(time.monotonic())
        if began[-1] - began[0] >= TROUBLE:
            return 202
        return Reply(status, headers)

    return answer


@pytest.mark.waits
@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (503, {}),
        (503, {"Retry-After": "1"}),
        (429, {"Date": formatdate(0, usegmt=True), "Retry-After": formatdate(1, usegmt=True)}),
    ],
    ids=["503", "503 and seconds", "429 and a date"],
)
def test_an_intake_that_refuses_for_a_second_gets_everything(
    make_sender: Make, status: int, headers: dict[str, str]
) -> None:
    with RecordingServer(after_a_while(status, headers)) as intake:
        sender = make_sender(intake.url)
        all_arrived(sender, offer(sender), intake)
        # Full jitter from half a second on: a few tries for each track, not a flood.
        assert sender.stats().retries <= 60
        if headers:
            assert sender.stats().retries <= 3 * len(TRACKS)


@pytest.mark.waits
@pytest.mark.usefixtures("_short_backoff")
@pytest.mark.parametrize("fault", [cut, hang, drip])
def test_an_intake_whose_answers_do_not_come_for_a_second_gets_everything(
    make_sender: Make, fault: Any
) -> None:
    with RawServer(fault) as troubled:
        sender = make_sender(troubled.url, timeout=0.3)
        wanted = offer(sender)
        assert troubled.arrived.wait(10)
        assert not sender.flush(TROUBLE)
    with RecordingServer(port=troubled.port) as intake:
        all_arrived(sender, wanted, intake)


@pytest.mark.waits
@pytest.mark.usefixtures("_short_backoff")
def test_an_intake_that_goes_away_in_use_and_comes_back_gets_everything_in_order(
    make_sender: Make,
) -> None:
    with RecordingServer() as before:
        sender = make_sender(before.url)
        sender.enqueue("logs", {"n": -1})
        assert sender.flush(10)
    before.hang_up()
    wanted = [{"n": number} for number in range(COUNT)]
    for payload in wanted:
        sender.enqueue("logs", payload)
    assert not sender.flush(TROUBLE)
    with RecordingServer(port=before.port) as after:
        assert sender.flush(20)
        assert after.elements() == wanted
    assert sender.stats().delivered == COUNT + 1


def expired(authority: trustme.CA) -> trustme.LeafCert:
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    return authority.issue_cert("localhost", not_after=yesterday)


def of_another_host(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("elsewhere.test")


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("certificate", [expired, of_another_host])
def test_a_certificate_that_is_no_good_gets_neither_key_nor_payload(
    make_sender: Make,
    authority: trustme.CA,
    certificate: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate(authority).configure_cert(bad)
    with RecordingServer(tls=bad) as intake:
        sender = make_sender(intake.url, key=KEY, retry_for=0.1)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert sender.stats().dropped == {"undeliverable": 1}
        assert intake.requests == []
    assert "its certificate can't be verified" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.waits
@pytest.mark.usefixtures("trusted", "_short_backoff")
def test_once_its_certificate_is_renewed_an_intake_gets_everything(
    make_sender: Make, authority: trustme.CA, server_tls: ssl.SSLContext
) -> None:
    bad = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    expired(authority).configure_cert(bad)
    with RecordingServer(tls=bad) as before:
        sender = make_sender(before.url, key=KEY)
        wanted = offer(sender)
        assert not sender.flush(TROUBLE)
    with RecordingServer(tls=server_tls, port=before.port) as after:
        all_arrived(sender, wanted, after)


@pytest.mark.waits
@pytest.mark.usefixtures("_short_backoff")
def test_a_host_name_that_can_not_be_resolved_for_a_second_loses_nothing(
    make_sender: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    real = socket.getaddrinfo
    asked: list[float] = []

    def resolve(host: str, *args: Any) -> Any:
        if host == "intake.test":
            asked.append(time.monotonic())
            if asked[-1] - asked[0] < TROUBLE:
                raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real("127.0.0.1" if host == "intake.test" else host, *args)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with RecordingServer() as intake:
        sender = make_sender(f"http://intake.test:{intake.port}")
        all_arrived(sender, offer(sender), intake)
        assert sender.stats().retries


def test_the_waits_are_drawn_evenly() -> None:
    waits = []
    for _ in range(400):
        world = World(lambda _: "down")
        world.run(retry_for=400)
        waits += [gap / 30 for gap in world.gaps()[7:11]]  # 0.5 * 2 ** 7 is over 30
    assert len(waits) > 1200
    tenths = Counter(int(wait * 10) for wait in waits)
    assert set(tenths) == set(range(10))
    # 120 and more are to be expected in each, give or take 11.
    assert all(0.06 < count / len(waits) < 0.14 for count in tenths.values())


FLOOD = """
    import sys, time
    from livedebug_sender import *
    def kib(what):
        for line in open("/proc/self/status"):
            if line.startswith(what):
                return int(line.split()[1])
    primary, additional, count, patient = sys.argv[1:]
    config = SenderConfig()
    config.set_endpoint(Endpoint(primary))
    if additional:
        config.add_additional_debugger_endpoint(Endpoint(additional, timeout=60))
    sender = Sender(config)
    text = b"x" * 1_000_000
    before, taken = kib("VmRSS"), 0
    for number in range(int(count)):
        track = ("snapshots", "logs", "diagnostics")[number % 3]
        payload = b'{"n":%d,"a":"%s"}' % (number, text)
        while not (took := sender.enqueue(track, payload)) and patient:
            time.sleep(0.001)
        taken += took
    stats = sender.stats()
    assert stats.enqueued == taken
    if patient:
        assert sender.flush(30)
        assert sender.stats().additional_failed, "nothing was stalled"
    else:
        assert 20 <= taken <= 40, taken
        assert stats.dropped["queue_full"] == int(count) - taken
    print(kib("VmHWM") - before)
    sender.close(0)
"""


def grown_by(*args: str) -> float:
    """MB by which a process grew that offered a flood of payloads of 1 MB."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "COVERAGE_"))}
    environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", textwrap.dedent(FLOOD), *args]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=environ, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout) * 1024 / 1e6


flat = pytest.mark.skipif(
    sys.platform != "linux" or not getattr(sys, "_is_gil_enabled", lambda: True)(),
    reason="reads /proc; free-threaded builds keep more memory (docs/free_threading.rst)",
)


def may_grow(max_queue_mib: int) -> float:
    return max_queue_mib * 1.048576 * 1.4 + 25


@pytest.mark.waits
@flat
def test_a_thousand_payloads_of_1_mb_to_a_hanging_intake_stay_within_the_bound() -> None:
    with RawServer(hang) as intake:
        assert grown_by(intake.url, "", "1000", "") <= may_grow(32)


def accept(connection: Any, over: Any) -> None:
    connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.mark.waits
@flat
def test_a_stalled_additional_endpoint_piles_no_memory_up() -> None:
    with RawServer(accept) as intake, RawServer(hang) as stalled:
        # A quarter of the bound may wait for an additional endpoint, on top.
        assert grown_by(intake.url, stalled.url, "500", "patient") <= may_grow(32 + 8)
