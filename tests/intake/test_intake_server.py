from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from sample_data import KEY, SAMPLES

from livedebug_sender import Sender, Track, agent_info_supports_debugger_v2_endpoint
from livedebug_sender.demo import sample_payloads
from livedebug_sender.intake.server import Intake
from livedebug_sender.intake.store import Store


@pytest.fixture
def intake() -> Iterator[Intake]:
    with Intake() as started:
        yield started


def send_samples(sender: Sender) -> None:
    content_type = (SAMPLES / "symdb.content_type").read_text().strip()
    for track, payloads in sample_payloads().items():
        for payload in payloads:
            symdb = content_type if track is Track.SYMDB else None
            assert sender.enqueue(track, payload, content_type=symdb)
    assert sender.flush(15.0)


@pytest.mark.parametrize("key", [None, KEY])
def test_what_a_sender_sends_arrives_whole(
    intake: Intake, make_sender: Callable[..., Sender], key: str | None
) -> None:
    send_samples(make_sender(intake.url, key=key, tags="env:test"))
    expected = sample_payloads()
    for track in ("diagnostics", "snapshots", "logs"):
        assert intake.payloads(track) == expected[Track(track)]
    (upload,) = intake.payloads("symdb")
    assert upload["symbols"]["scopes"]
    assert {kept.mode for kept in intake.requests} == {"agentless" if key else "agent"}
    assert {kept.tags for kept in intake.requests} == {"env:test"}
    assert {kept.problem for kept in intake.requests} == {""}


def test_no_key_is_kept(intake: Intake, make_sender: Callable[..., Sender]) -> None:
    send_samples(make_sender(intake.url, key=KEY))
    assert KEY not in repr(intake.requests)
    assert intake.requests[0].headers["dd-api-key"] == "***"


def test_it_looks_like_an_agent_with_the_newer_route(intake: Intake) -> None:
    info = requests.get(f"{intake.url}/info", timeout=10).json()
    assert agent_info_supports_debugger_v2_endpoint(info)
    assert {"/debugger/v1/diagnostics", "/symdb/v1/input"} <= set(info["endpoints"])


def test_what_cannot_be_read_is_answered_400_with_the_reason(intake: Intake) -> None:
    answer = requests.post(f"{intake.url}/debugger/v2/input", data="{", timeout=10)
    assert answer.status_code == 400
    assert "no JSON" in answer.json()["errors"][0]
    assert "no JSON" in intake.requests[0].problem


def test_a_body_over_the_limit_is_answered_413_and_listed() -> None:
    with Intake(max_body=1000) as intake:
        for length in (1000, 1001, 10_000):
            body = b"[" + b" " * (length - 2) + b"]"
            answer = requests.post(f"{intake.url}/debugger/v2/input", data=body, timeout=10)
            assert answer.status_code == (202 if length == 1000 else 413)
        # waitress refuses what is much too large before the app sees it.
        assert [kept.status for kept in intake.requests] == [202, 413]


def test_an_intake_without_a_key_says_so(intake: Intake) -> None:
    requests.post(f"{intake.url}/api/v2/debugger", json=[{}], timeout=10)
    assert "no DD-API-KEY" in intake.requests[0].problem


def test_other_paths_are_answered_404_and_counted(intake: Intake) -> None:
    assert requests.put(f"{intake.url}/v0.4/traces", data="x", timeout=10).status_code == 404
    assert intake.store.totals.elsewhere == 1
    assert intake.requests == []


def test_told_to_fail_it_fails_and_a_sender_gets_through_all_the_same(
    intake: Intake, make_sender: Callable[..., Sender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livedebug_sender.delivery.retry.FIRST", 0.01)
    intake.misbehave("503:1")
    sender = make_sender(intake.url)
    sender.enqueue("logs", [{"n": 1}])
    with intake.store.news:
        assert intake.store.news.wait_for(lambda: len(intake.store.kept()) >= 2, 15)
    assert intake.payloads() == []
    intake.misbehave()
    assert intake.wait_for(1) == [{"n": 1}]
    assert sender.flush(15.0)
    assert [kept.status for kept in intake.requests][:2] == [503, 503]


def test_told_to_delay_it_answers_late(intake: Intake) -> None:
    intake.misbehave(delay="300ms")
    started = time.monotonic()
    requests.post(f"{intake.url}/debugger/v2/input", json=[], timeout=10)
    assert time.monotonic() - started >= 0.3


def test_stopping_does_not_wait_for_a_delay() -> None:
    intake = Intake()
    intake.start()
    intake.misbehave(delay="60s")
    url = f"{intake.url}/debugger/v2/input"

    def post() -> None:
        with suppress(requests.RequestException):  # hung up, or answered in the last moment
            requests.post(url, json=[{}], timeout=30)

    client = threading.Thread(target=post)
    client.start()
    intake.wait_for(1)
    started = time.monotonic()
    intake.stop()
    assert time.monotonic() - started < 4
    client.join(10)
    assert not client.is_alive()


def test_waiting_in_vain_says_what_is_there(intake: Intake) -> None:
    requests.post(f"{intake.url}/debugger/v2/input", json=[{"a": 1}], timeout=10)
    with pytest.raises(AssertionError, match=r"for 2 payloads; there are 1, .* in 1 requests"):
        intake.wait_for(2, timeout=0.05)
    with pytest.raises(AssertionError, match="of symdb; there are 0"):
        intake.wait_for(1, timeout=0.05, track="symdb")


def test_the_port_is_free_again_after_stop() -> None:
    with Intake() as first:
        kept_alive = socket.create_connection(("127.0.0.1", first.port))
    with Intake(port=first.port) as second:
        assert requests.get(f"{second.url}/info", timeout=10).ok
    kept_alive.close()


def test_a_port_that_is_taken_raises() -> None:
    with Intake() as first, pytest.raises(OSError, match="in use"):
        Intake(port=first.port)


def test_it_listens_on_ipv6_and_on_all_addresses() -> None:
    with Intake("0.0.0.0") as everywhere:
        assert everywhere.url.startswith("http://127.0.0.1:")
        assert requests.get(f"{everywhere.url}/info", timeout=10).ok
    try:
        with Intake("::1") as newer:
            assert requests.get(f"{newer.url}/info", timeout=10).ok
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


def ask(intake: Intake, path: str, method: str = "GET", **headers: str) -> tuple[int, Any, Any]:
    """A request with exactly these headers; status, headers, body."""
    parts = urlsplit(intake.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, b"[]" if method == "POST" else None, names)
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read()
    connection.close()
    return found


@pytest.mark.parametrize("path", ["/", "/page/news", "/static/intake.js", "/info"])
def test_every_answer_forbids_foreign_scripts_and_guessing(intake: Intake, path: str) -> None:
    status, headers, _ = ask(intake, path)
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] is None


def test_the_page_has_no_inline_script_or_style_and_asks_nobody_else(intake: Intake) -> None:
    for name in ("/", "/static/intake.css", "/static/intake.js", "/static/payloads.js"):
        text = ask(intake, name)[2].decode().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text
        assert "innerHTML" not in text
        assert "style=" not in text
        assert "onclick" not in text


@pytest.mark.parametrize("path", ["/", "/page/news", "/page/requests/1"])
def test_a_name_that_was_bound_to_loopback_shows_nothing(intake: Intake, path: str) -> None:
    status, _, body = ask(intake, path, Host=f"evil.example:{intake.port}")
    assert status == 403
    assert "listens on loopback" in json.loads(body)["errors"][0]


def test_another_page_can_neither_send_nor_clear(intake: Intake) -> None:
    foreign = {"Origin": "https://evil.example"}
    assert ask(intake, "/debugger/v2/input", "POST", **foreign)[0] == 403
    assert ask(intake, "/page/clear", "POST", **foreign)[0] == 403
    assert intake.requests == []


def test_the_page_gets_news_and_opens_a_request(
    intake: Intake, make_sender: Callable[..., Sender]
) -> None:
    send_samples(make_sender(intake.url))
    news = json.loads(ask(intake, "/page/news?after=0")[2])
    assert news["totals"]["tracks"] == {"diagnostics": 19, "logs": 12, "snapshots": 9, "symdb": 1}
    assert news["services"] == ["shop"]
    snapshots = next(one for one in news["listed"] if one["tracks"] == ["snapshots"])
    path = f"/page/requests/{snapshots['number']}?probe=checkout-total&text=HD-900"
    found = json.loads(ask(intake, path)[2])["payloads"]
    assert found
    assert {one["probe"] for one in found} == {"checkout-total"}
    assert "HD-900" in json.dumps(found[0]["value"])


def test_a_request_that_is_not_kept_any_more_is_gone(intake: Intake) -> None:
    assert ask(intake, "/page/requests/7")[0] == 410


def test_clear_empties_the_list(intake: Intake) -> None:
    ask(intake, "/debugger/v2/input", "POST")
    assert ask(intake, "/page/clear", "POST")[0] == 204
    assert intake.requests == []


def test_memory_stays_bounded_under_a_flood(make_sender: Callable[..., Sender]) -> None:
    with Intake(store=Store(max_payloads=50, max_bytes=200_000)) as intake:
        sender = make_sender(intake.url, linger=0, max_batch_items=5)
        for n in range(300):
            sender.enqueue("logs", {"n": n, "debugger": {"snapshot": {}}, "x": "x" * 1000})
        assert sender.flush(15.0)
        payloads, size = intake.store.held()
        assert payloads <= 50
        assert size <= 200_000
        assert intake.store.totals.by_track == {"logs": 300}
