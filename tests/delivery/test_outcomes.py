"""What each answer of the primary endpoint leads to, over real sockets."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
import requests
from sample_data import KEY
from servers import Arrived, RawServer, RecordingServer, Reply, cut, drip, free_port, hang
from waiting import until

from livedebug_sender import Endpoint, Sender, SenderConfig
from livedebug_sender.delivery import backoff

Make = Callable[..., Sender]


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.01)
    monkeypatch.setattr(backoff, "LONGEST", 0.05)


def scripted(*replies: Reply | int) -> Callable[[Arrived], Reply | int]:
    """These answers, then 202 for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if left else 202


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_2xx_delivers(make_sender: Make, status: int) -> None:
    with RecordingServer(Reply(status, body=b"")) as intake:
        sender = make_sender(intake.url)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert sender.stats().delivered == 1


@pytest.mark.parametrize(
    "status", [301, 302, 304, 307, 308, 400, 402, 404, 409, 410, 413, 418, 422]
)
def test_3xx_and_4xx_reject_a_single_payload_at_once(make_sender: Make, status: int) -> None:
    with RecordingServer(Reply(status, body=b"")) as intake:
        sender = make_sender(intake.url, key=KEY)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert sender.stats().dropped == {"rejected": 1}
        assert len(intake.posts) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_logged_with_the_host_and_without_the_key(
    make_sender: Make, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with RecordingServer(status) as intake:
        sender = make_sender(intake.url, key=KEY)
        for _ in range(3):
            sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert sender.stats().dropped == {"rejected": 3}
    assert f"127.0.0.1:{intake.port} refused the API key ({status})" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 599])
def test_trouble_that_passes_is_retried_until_delivered(make_sender: Make, status: int) -> None:
    with RecordingServer(scripted(status, status, status)) as intake:
        sender = make_sender(intake.url)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        stats = sender.stats()
        assert (stats.delivered, stats.requests, stats.retries) == (1, 4, 3)
        assert intake.elements() == [{}] * 4


def at_a_date(status: int, seconds: int) -> Reply:
    """It asks to wait for so many seconds by a date, whatever the time is."""
    now, then = (formatdate(time.time() + later, usegmt=True) for later in (-500, seconds - 500))
    return Reply(status, {"Date": now, "Retry-After": then})


@pytest.mark.waits
@pytest.mark.parametrize(
    "reply", [Reply(503, {"Retry-After": "1"}), at_a_date(429, 1)], ids=["seconds", "a date"]
)
def test_retry_after_is_honoured(make_sender: Make, reply: Reply) -> None:
    with RecordingServer(scripted(reply)) as intake:
        sender = make_sender(intake.url)
        sender.enqueue("logs", b"{}")
        intake.wait_for(1)
        start = time.monotonic()
        assert sender.flush(10)
        assert time.monotonic() - start > 0.9


def test_a_batch_is_given_up_after_retry_for(
    make_sender: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with RecordingServer(lambda _: 503 if len(intake.requests) > 1 else 202) as intake:
        sender = make_sender(intake.url, retry_for=0.5)
        sender.enqueue("logs", b"{}")
        assert sender.flush(20)  # all is imported now: that counts as a part of `retry_for`
        sender.enqueue("logs", b"{}")
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert sender.stats().dropped == {"undeliverable": 2}
        assert sender.stats().retries >= 1
    assert len([r for r in caplog.records if "undeliverable" in r.getMessage()]) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(429, {"Retry-After": "3600"}),
        Reply(503, {"Retry-After": "3600"}),
        at_a_date(429, 3600),
        at_a_date(503, 3600),
    ],
    ids=["429-seconds", "503-seconds", "429-a date", "503-a date"],
)
def test_being_told_to_come_back_later_than_retry_for_drops_on_time(
    make_sender: Make, reply: Reply
) -> None:
    with RecordingServer(reply) as intake:
        sender = make_sender(intake.url, retry_for=0.2)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert sender.stats().dropped == {"undeliverable": 1}
        assert len(intake.posts) == 1


@pytest.mark.parametrize("status", [400, 413, 422])
def test_three_bad_payloads_in_500_cost_only_themselves_and_few_requests(
    make_sender: Make, status: int
) -> None:
    bad = {7, 250, 499}

    def judge(arrived: Arrived) -> int:
        return status if any(e["n"] in bad for e in arrived.elements) else 202

    with RecordingServer(judge) as intake:
        sender = make_sender(intake.url, linger=600)
        for number in range(500):
            sender.enqueue("logs", {"n": number})
        assert sender.flush(10)
        stats = sender.stats()
        assert (stats.delivered, stats.dropped) == (497, {"rejected": 3})
        assert len(intake.posts) < 80


def test_an_agent_without_v2_gets_the_batch_on_the_diagnostics_route(
    make_sender: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def old_agent(arrived: Arrived) -> int:
        return 202 if arrived.path == "/debugger/v1/diagnostics" else 404

    with RecordingServer(old_agent) as agent:
        sender = make_sender(agent.url)
        for track in ("logs", "snapshots", "logs"):
            sender.enqueue(track, b"{}")
            assert sender.flush(10)
        assert sender.stats().delivered == 3
        delivered = [r for r in agent.posts if r.path == "/debugger/v1/diagnostics"]
        assert len(delivered) == 3
        assert {r.headers["content-type"] for r in delivered} == {"application/json"}
        assert len([r for r in agent.posts if r.path == "/debugger/v2/input"]) == 1
    assert "has no /debugger/v2/input" in caplog.text


def test_an_endpoint_that_is_set_while_an_old_agent_answers_is_not_taken_for_one() -> None:
    config = SenderConfig()

    def old_agent(arrived: Arrived) -> int:
        config.set_endpoint(Endpoint(new.url))
        return 404

    with RecordingServer(old_agent) as old, RecordingServer() as new:
        config.set_endpoint(Endpoint(old.url))
        with Sender(config, linger=0.02) as sender:
            sender.enqueue("logs", b"{}")
            assert sender.flush(10)
            assert sender.stats().delivered == 1
        assert [r.path for r in new.posts] == ["/debugger/v2/input"]


def test_a_downgrade_that_the_host_undoes_at_once_costs_no_payload() -> None:
    class Undone(SenderConfig):
        times = 0

        def downgrade_to_diagnostics_endpoint(self) -> bool:
            changed = super().downgrade_to_diagnostics_endpoint()
            if self.times < 2:
                self.times += 1
                self.reset_endpoints()
            return changed

    def old_agent(arrived: Arrived) -> int:
        return 202 if arrived.path == "/debugger/v1/diagnostics" else 404

    with RecordingServer(old_agent) as agent:
        config = Undone()
        config.set_endpoint(Endpoint(agent.url))
        with Sender(config, linger=0.02) as sender:
            for _ in range(3):
                sender.enqueue("logs", b"{}")
            assert sender.flush(20)
            assert sender.stats().delivered == 3


@pytest.mark.parametrize("readable", [True, False], ids=["with /info", "without /info"])
def test_an_upgraded_agent_is_found_out_and_used_again(make_sender: Make, readable: bool) -> None:
    upgraded = threading.Event()

    def agent_of_two_ages(arrived: Arrived) -> Reply | int:
        if arrived.path == "/info":
            known = b'"/debugger/v2/input"' if upgraded.is_set() else b'"/debugger/v1/input"'
            return Reply(200, body=b'{"endpoints": [%s]}' % known) if readable else 404
        if arrived.path == "/debugger/v2/input" and not upgraded.is_set():
            return 405
        return 202

    with RecordingServer(agent_of_two_ages) as agent:
        sender = make_sender(agent.url, recheck_after=0.01)
        for _ in range(3):
            sender.enqueue("logs", b"{}")
            assert sender.flush(10)
        upgraded.set()
        time.sleep(0.05)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert agent.posts[-1].path == "/debugger/v2/input"
        assert sender.stats().delivered == 4


def test_a_refusal_by_an_agent_whose_info_lacks_v2_is_a_downgrade(make_sender: Make) -> None:
    def odd_agent(arrived: Arrived) -> Reply | int:
        if arrived.path == "/info":
            return Reply(200, body=b'{"endpoints": ["/debugger/v1/diagnostics"]}')
        return 202 if arrived.path == "/debugger/v1/diagnostics" else 403

    with RecordingServer(odd_agent) as agent:
        sender = make_sender(agent.url)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert sender.stats().delivered == 1


def test_the_intake_is_never_downgraded(make_sender: Make) -> None:
    with RecordingServer(404) as intake:
        sender = make_sender(intake.url, key=KEY)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert sender.stats().dropped == {"rejected": 1}


@pytest.mark.waits
@pytest.mark.parametrize("fault", [hang, drip, cut])
def test_an_answer_that_never_ends_or_comes_is_no_answer(
    make_sender: Make, fault: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with RawServer(fault) as intake:
        sender = make_sender(intake.url, timeout=0.2)
        sender.enqueue("logs", b"{}")
        assert until(lambda: intake.connections >= 2)  # it is retried
        sender.close(0)
        assert sender.stats().dropped == {"shutdown": 1}
    assert f"127.0.0.1:{intake.port} gives no answer" in caplog.text


def test_an_intake_that_is_gone_and_comes_back_gets_everything_in_order(make_sender: Make) -> None:
    port = free_port()
    sender = make_sender(f"http://127.0.0.1:{port}")
    for number in range(10):
        sender.enqueue("logs", {"n": number})
    assert not sender.flush(0.2)
    with RecordingServer(port=port) as intake:
        assert sender.flush(10)
        assert intake.elements() == [{"n": number} for number in range(10)]


def test_a_host_that_does_not_exist_is_retried(
    make_sender: Make, caplog: pytest.LogCaptureFixture
) -> None:
    sender = make_sender("http://does-not-exist.invalid:1", retry_for=0.1)
    sender.enqueue("logs", b"{}")
    assert sender.flush(10)
    assert sender.stats().dropped == {"undeliverable": 1}
    assert "no answer from does-not-exist.invalid:1" in caplog.text


def test_a_connection_closed_while_idle_costs_no_retry(make_sender: Make) -> None:
    with RecordingServer(Reply(202, hang_up=True)) as intake:
        sender = make_sender(intake.url)
        for _ in range(5):
            sender.enqueue("logs", b"{}")
            assert sender.flush(10)
        assert (sender.stats().retries, len(intake.posts)) == (0, 5)


def test_a_track_in_trouble_never_delays_another(make_sender: Make) -> None:
    with RawServer(hang) as stuck, RecordingServer() as intake:
        sender = make_sender(intake.url, symdb=stuck.url, timeout=30)
        sender.enqueue("symdb", b"x", content_type="a/b")
        assert stuck.arrived.wait(10)
        sender.enqueue("logs", b"{}")
        intake.wait_for(1)
        assert not sender.flush(0.1)
        assert sender.stats().delivered == 1


def test_order_is_kept_within_a_track(make_sender: Make) -> None:
    with RecordingServer() as intake:
        sender = make_sender(intake.url, linger=0, max_batch_items=7)
        for number in range(200):
            sender.enqueue("logs", {"n": number})
        assert sender.flush(10)
        assert intake.elements() == [{"n": number} for number in range(200)]


@pytest.mark.waits
def test_a_repeated_problem_is_logged_once_then_counted(
    make_sender: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with RecordingServer(503) as intake:
        sender = make_sender(intake.url, retry_for=0.3)
        for _ in range(3):
            sender.enqueue("logs", b"{}")
            sender.flush(10)
        sender.close(1)
    lines = [r.getMessage() for r in caplog.records if " answered 503" in r.getMessage()]
    assert 1 <= len([line for line in lines if "dropped" not in line]) <= 2
    assert caplog.records[0].levelno == logging.WARNING


def test_the_additional_endpoints_get_each_request_once_whatever_the_primary_says(
    make_sender: Make,
) -> None:
    with RecordingServer(scripted(503, 503)) as primary, RecordingServer(500) as second:
        sender = make_sender(primary.url, additional=(Endpoint(f"{second.url}/any?x=1", KEY),))
        sender.enqueue("logs", b"{}")
        assert sender.close(10)
        stats = sender.stats()
        assert (len(primary.posts), len(second.posts)) == (3, 1)
        assert (stats.delivered, stats.additional_delivered, stats.additional_failed) == (1, 0, 1)
        assert second.posts[0].path == "/api/v2/debugger"
        assert second.posts[0].headers["dd-api-key"] == KEY
        assert "dd-api-key" not in primary.posts[0].headers


def test_parts_of_a_split_batch_are_not_shipped_a_second_time(make_sender: Make) -> None:
    with RecordingServer(400) as primary, RecordingServer() as second:
        sender = make_sender(primary.url, additional=(Endpoint(second.url),), linger=600)
        for _ in range(4):
            sender.enqueue("logs", b"{}")
        assert sender.close(10)
        assert [len(r.elements) for r in second.posts] == [4]


def test_a_stalled_additional_endpoint_delays_nobody_and_piles_nothing_up(
    make_sender: Make,
) -> None:
    with RawServer(hang) as stalled, RecordingServer() as primary, RecordingServer() as second:
        sender = make_sender(
            primary.url,
            additional=(Endpoint(stalled.url, timeout=60), Endpoint(second.url)),
            max_queue_bytes=4000,
        )
        for number in range(10):
            sender.enqueue("logs", b'{"a":"%s"}' % (b"x" * 800))
            assert sender.flush(10)
            while sender.stats().additional_delivered <= number:
                second.wait_for(number + 1)
        assert sender.stats().additional_failed == 9
        start = time.monotonic()
        assert sender.close(0.3)
        assert time.monotonic() - start < 8
        stats = sender.stats()
        assert (stats.additional_delivered, stats.additional_failed) == (10, 10)


def test_no_sender_ever_shows_a_key(make_sender: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sender = make_sender(
        "http://127.0.0.1:9", key=KEY, additional=(Endpoint("http://127.0.0.1:9", KEY),)
    )
    sender.enqueue("logs", b"{}")
    sender.close(0.3)
    shown = [caplog.text, repr(sender), repr(Endpoint("http://a", KEY))]
    assert not any(KEY in text for text in shown)


@pytest.mark.waits
def test_a_payload_that_crashes_the_intake_takes_no_others_with_it(make_sender: Make) -> None:
    def answer(request: Arrived) -> int:
        return 500 if {"n": 7} in request.elements else 202

    with RecordingServer(answer) as intake:
        sender = make_sender(intake.url, linger=600, retry_for=1.5)
        for number in range(20):
            sender.enqueue("logs", {"n": number})
        assert sender.flush(40)
        stats = sender.stats()
        assert (stats.delivered, stats.dropped) == (19, {"undeliverable": 1})


@pytest.mark.waits
@pytest.mark.parametrize("session_factory", [None, requests.Session], ids=["own", "session"])
def test_a_payload_that_makes_the_intake_cut_the_connection_takes_no_others_with_it(
    make_sender: Make, session_factory: Callable[[], requests.Session] | None
) -> None:
    def answer(request: Arrived) -> int:
        if {"n": 7} in request.elements:
            raise ConnectionAbortedError  # it hangs up without an answer
        return 202

    with RecordingServer(answer) as intake:
        sender = make_sender(intake.url, linger=600, session_factory=session_factory)
        for number in range(20):
            sender.enqueue("logs", {"n": number})
        sender.flush(0)
        assert until(lambda: sender.stats().delivered == 19)
        sender.close(0)
        assert sender.stats().dropped == {"shutdown": 1}


def test_a_refusal_by_an_agent_is_not_called_one_of_a_key(
    make_sender: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with RecordingServer(403) as agent:
        sender = make_sender(agent.url)
        sender.enqueue("diagnostics", b"{}")
        assert sender.close(10)
        assert sender.stats().dropped == {"rejected": 1}
    assert "answered 403" in caplog.text
    assert "key" not in caplog.text


def test_bytes_that_met_no_connection_are_not_counted_as_sent(make_sender: Make) -> None:
    sender = make_sender(f"http://127.0.0.1:{free_port()}", retry_for=0)
    sender.enqueue("logs", b"{}")
    assert sender.flush(10)
    stats = sender.stats()
    assert (stats.requests, stats.bytes_sent) == (1, 0)
