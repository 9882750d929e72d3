"""The JSON API of the local intake, asked over HTTP."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from sample_data import KEY, SAMPLES

from livedebug_sender import Sender, Track
from livedebug_sender.demo import sample_payloads
from livedebug_sender.intake.app import create_app
from livedebug_sender.intake.faults import FaultInjection
from livedebug_sender.intake.findings import PayloadFindings
from livedebug_sender.intake.server import Intake
from livedebug_sender.intake.store import Store

V2 = "/debugger/v2/input"
PAGE = Path(__file__).parents[2] / "docs" / "intake.rst"


@pytest.fixture
def intake() -> Iterator[Intake]:
    with Intake() as started:
        yield started


@pytest.fixture
def full(intake: Intake, make_sender: Callable[..., Sender]) -> Intake:
    """With the samples in it."""
    content_type = (SAMPLES / "symdb.content_type").read_text().strip()
    sender = make_sender(intake.url, tags="env:test")
    for track, payloads in sample_payloads().items():
        for payload in payloads:
            symdb = content_type if track is Track.SYMDB else None
            assert sender.enqueue(track, payload, content_type=symdb)
    assert sender.flush(15.0)
    return intake


def get(intake: Intake, path: str, **arguments: Any) -> Any:
    answer = requests.get(f"{intake.url}/intake/{path}", params=arguments, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(intake: Intake, body: bytes, **headers: str) -> None:
    given = {"Content-Type": "application/json", **headers}
    requests.post(f"{intake.url}{V2}", data=body, headers=given, timeout=10)


def test_the_docs_have_each_route_and_no_other() -> None:
    app = create_app(
        Store(),
        loopback=True,
        max_body=1,
        faults=FaultInjection,
        inject=print,
        probes=None,
        findings=PayloadFindings(),
        stopping=threading.Event(),
    )
    routes = {
        (method, re.sub(r"<.*?>", "N", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/intake/")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    told = {
        (method, re.sub(r"[0-9.]+", "N", path))
        for methods, path in re.findall(r"^``([A-Z`, ]+) (/intake/[^`?]+)", PAGE.read_text(), re.M)
        for method in methods.replace("``", "").split(", ")
    }
    assert told == routes


def test_the_state_counts_what_came(full: Intake) -> None:
    state = get(full, "state")
    assert state["totals"]["tracks"] == {"diagnostics": 19, "logs": 12, "snapshots": 9, "symdb": 1}
    assert (state["held"]["payloads"], state["services"]) == (41, ["shop"])
    assert sum(state["rate"][-1].values()) + sum(state["rate"][-2].values()) >= 1


def test_payloads_are_listed_newest_first_with_all_that_a_row_says(full: Intake) -> None:
    found = get(full, "payloads", text="out of stock", kind="snapshot")
    (row,) = found["payloads"]
    assert (found["matching"], found["kept"]) == (1, 41)
    assert (row["probe"], row["file"], row["line"]) == ("checkout-call", "/app/shop.py", "42")
    assert (row["function"], row["track"], row["answered"]) == ("shop.checkout", "snapshots", 202)
    assert row["exception"].startswith("RuntimeError")
    assert "out of stock" in row["excerpt"]
    everything = get(full, "payloads", limit=1000)["payloads"]
    assert len(everything) == 41
    assert [row["at"] for row in everything] == sorted((r["at"] for r in everything), reverse=True)


def test_a_payload_is_told_with_its_frame_and_its_request(full: Intake) -> None:
    (row,) = get(full, "payloads", text="out of stock", kind="snapshot")["payloads"]
    found = get(full, f"payloads/{row['id']}")
    assert found["frame"]["problems"][0]["title"] == "RuntimeError"
    assert found["request"]["path"] == V2
    assert found["request"]["tags"] == "env:test"
    assert found["headers"]["content-type"] == "application/json"


def test_what_was_received_comes_back_byte_for_byte(intake: Intake) -> None:
    payload = b'{ "n": 1234567890123456789, "b":1,"a" : 1.10, "e":1e999, "s":"\\u00e9\xc3\xa9" }'
    body = b"[1, " + payload + b"\n, 2]"
    post(intake, body)
    base = f"{intake.url}/intake"
    assert requests.get(f"{base}/payloads/1.1/raw", timeout=10).content == payload
    assert requests.get(f"{base}/requests/1/body", timeout=10).content == body
    assert get(intake, "payloads/1.1/parts") == {"parts": [{"name": "", "text": payload.decode()}]}
    part = requests.get(f"{base}/payloads/1.1/raw", params={"pointer": "/n"}, timeout=10)
    assert part.text == "1234567890123456789"
    missing = requests.get(f"{base}/payloads/1.1/raw", params={"pointer": "/x"}, timeout=10)
    assert missing.status_code == 404


def test_a_body_is_never_served_as_what_a_tracer_says_it_is(intake: Intake) -> None:
    post(intake, b"<script>", **{"Content-Type": "text/html"})
    answer = requests.get(f"{intake.url}/intake/requests/1/body", timeout=10)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize("stamp", [b"1e999", b"-1e999", b"9" * 400, b"1e309"])
def test_a_timestamp_beyond_all_clocks_breaks_no_answer(intake: Intake, stamp: bytes) -> None:
    status = b'{"debugger":{"diagnostics":{"probeId":"p","status":"ERROR"}},"timestamp":%s}' % stamp
    post(intake, b'[{"debugger":{"snapshot":{}},"timestamp":%s}]' % stamp)
    requests.post(f"{intake.url}/debugger/v1/diagnostics", data=b"[" + status + b"]", timeout=10)
    for path in ("state", "payloads", "requests", "probes", "payloads/1.0", "payloads/2.0"):
        answer = requests.get(f"{intake.url}/intake/{path}", timeout=10)
        assert answer.status_code == 200
        json.loads(answer.text, parse_constant=pytest.fail)
    assert stamp.decode() in get(intake, "payloads/1.0/parts")["parts"][0]["text"]


def test_requests_are_the_other_view(full: Intake) -> None:
    found = get(full, "requests", track="symdb")
    (row,) = found["requests"]
    assert (row["path"], row["payloads"], row["services"]) == ("/symdb/v1/input", 1, ["shop"])
    details = get(full, f"requests/{row['number']}")
    assert [one["kind"] for one in details["rows"]] == ["symdb"]


def test_probes_say_their_status_history_and_where_they_sit(full: Intake) -> None:
    probes = {probe["probe"]: probe for probe in get(full, "probes")["probes"]}
    assert probes["no-such-file"]["status"] == "ERROR"
    assert "NoSourceFile" in probes["no-such-file"]["why"]
    assert probes["checkout-total"]["location"] == "/app/shop.py:43"
    assert probes["checkout-total"]["history"][0]["status"] == "RECEIVED"


def test_two_snapshots_are_compared(full: Intake) -> None:
    rows = get(full, "payloads", probe="checkout-call", kind="snapshot")["payloads"]
    found = get(full, f"payloads/{rows[0]['id']}/since/{rows[-1]['id']}")
    assert sum(found["counts"].values()) > 0


def test_the_export_has_a_payload_a_line_as_it_came(intake: Intake) -> None:
    post(intake, b'[{"message": "a",\n "n": 1234567890123456789},{"message": "b"}]')
    answer = requests.get(f"{intake.url}/intake/export", params={"text": "1234567"}, timeout=10)
    assert answer.text == '{"message": "a",  "n": 1234567890123456789}\n'.replace("  ", "  ")
    assert "attachment" in answer.headers["Content-Disposition"]
    everything = requests.get(f"{intake.url}/intake/export", timeout=10).text.splitlines()
    assert [json.loads(line)["message"] for line in everything] == ["a", "b"]


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_a_curl_command_sends_the_same_payload_again(full: Intake) -> None:
    for kind in ("snapshot", "symdb"):
        row = get(full, "payloads", kind=kind)["payloads"][0]
        answer = requests.get(f"{full.url}/intake/payloads/{row['id']}/curl", timeout=10)
        before = len(full.payloads())
        subprocess.run(
            ["sh", "-ec", answer.text.replace("curl ", "curl -sf --noproxy '*' ")],
            check=True,
            capture_output=True,
            timeout=30,
        )
        assert len(full.payloads()) == before + 1
        place = int(row["id"].split(".")[1])
        original = full.store.get(int(row["id"].split(".")[0]))
        assert original is not None
        assert full.payloads()[-1] == original.payloads[place].value


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_a_curl_command_makes_one_request_whatever_is_in_the_query(intake: Intake) -> None:
    target = f"{V2}?ddtags=a:[1-3],b:{{x,y}}"
    with socket.create_connection(("127.0.0.1", intake.port)) as connection:  # as it is
        head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\n"
        connection.sendall(f"{head}Content-Length: 4\r\n\r\n[{{}}]".encode())
        assert connection.recv(12) == b"HTTP/1.1 202"
    command = requests.get(f"{intake.url}/intake/requests/1/curl", timeout=10).text
    subprocess.run(
        ["sh", "-ec", command.replace("curl ", "curl -sf --noproxy '*' ")],
        check=True,
        capture_output=True,
        timeout=30,
    )
    assert [request.tags for request in intake.requests] == ["a:[1-3],b:{x,y}"] * 2


def test_a_curl_command_quotes_what_is_hostile_and_holds_no_key(intake: Intake) -> None:
    hostile = "'; touch /tmp/x; '"
    post(intake, json.dumps([{"message": hostile}]).encode(), **{"X": hostile, "DD-API-KEY": KEY})
    command = requests.get(f"{intake.url}/intake/payloads/1.0/curl", timeout=10).text
    words = shlex.split(command)
    assert f"x: {hostile}" in words
    assert f'[{{"message": "{hostile}"}}]' in words
    assert KEY not in command
    assert "***" not in command


def test_a_payload_is_sent_again_to_another_agent(full: Intake) -> None:
    with Intake() as other:
        for kind in ("snapshot", "log", "status", "symdb"):
            row = get(full, "payloads", kind=kind)["payloads"][0]
            asked = {"id": row["id"], "url": other.url}
            answer = requests.post(f"{full.url}/intake/send", json=asked, timeout=10).json()
            assert answer == {"sent": True, "problem": ""}
        tracks = [request.tracks for request in other.requests]
        assert tracks == [("snapshots",), ("logs",), ("diagnostics",), ("symdb",)]
        assert {request.tags for request in other.requests} == {"env:test"}


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "unix:///x", "http://user:pw@host", "x"])
def test_what_is_no_agents_url_is_not_sent_to(full: Intake, url: str) -> None:
    row = get(full, "payloads")["payloads"][0]
    asked = {"id": row["id"], "url": url}
    answer = requests.post(f"{full.url}/intake/send", json=asked, timeout=10).json()
    assert not answer["sent"]
    assert answer["problem"]


def test_faults_are_set_and_told(intake: Intake) -> None:
    url = f"{intake.url}/intake/faults"
    assert requests.get(url, timeout=10).json() == {"faults": ""}
    assert requests.put(url, json={"faults": "503"}, timeout=10).json() == {"faults": "503"}
    assert intake.faults == "503"
    wrong = requests.put(url, json={"faults": "never"}, timeout=10)
    assert wrong.status_code == 400
    assert "'never'" in wrong.json()["errors"][0]
    assert intake.faults == "503"


def test_deleting_the_requests_empties_the_store(intake: Intake) -> None:
    post(intake, b"[{}]")
    assert requests.delete(f"{intake.url}/intake/requests", timeout=10).status_code == 204
    assert get(intake, "payloads")["matching"] == 0


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("payloads/7.0", 410),
        ("payloads/1.9", 410),
        ("payloads/x", 400),
        ("payloads/1.0/since/9.0", 410),
        ("requests/7", 410),
        ("requests/7/body", 410),
        ("payloads?since=x", 400),
        ("payloads?offset=-1", 400),
        ("nothing", 404),
    ],
)
def test_what_is_not_there_is_said_in_words(intake: Intake, path: str, status: int) -> None:
    post(intake, b"[{}]")
    answer = requests.get(f"{intake.url}/intake/{path}", timeout=10)
    assert answer.status_code == status
    assert answer.json()["errors"]


def test_a_body_that_is_no_json_object_is_refused(intake: Intake) -> None:
    assert requests.put(f"{intake.url}/intake/faults", data="[", timeout=10).status_code == 400
    assert requests.post(f"{intake.url}/intake/send", json=[], timeout=10).status_code == 400


class Events:
    """The stream of events, as a browser reads it."""

    def __init__(self, intake: Intake, **arguments: Any) -> None:
        url = f"{intake.url}/intake/events"
        self.answer = requests.get(url, params=arguments, stream=True, timeout=10)
        self._lines = self.answer.iter_lines()

    def next(self) -> dict[str, Any]:
        for line in self._lines:
            if line.startswith(b"data: "):
                return dict(json.loads(line[6:]))
        raise AssertionError("the stream ended")

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()


def test_events_tell_of_what_fits_as_it_comes(intake: Intake) -> None:
    post(intake, b'[{"message": "zzbefore"}]')
    with Events(intake, text="zz") as events:
        first = events.next()
        assert [row["message"] for row in first["rows"]] == ["zzbefore"]
        post(intake, b'[{"message": "zz1"}, {"message": "mad"}, {"message": "zz2"}]')
        second = events.next()
        assert [row["message"] for row in second["rows"]] == ["zz2", "zz1"]
        assert (second["fresh"], second["matching"], second["upto"]) == (2, 3, 2)
        assert second["totals"]["requests"] == 2


def test_events_begin_after_what_the_page_knows(intake: Intake) -> None:
    post(intake, b"[{}]")
    epoch = get(intake, "state")["epoch"]
    with Events(intake, after=1, epoch=epoch) as events:
        assert events.next()["fresh"] == 0
    with Events(intake, after=1, epoch="other") as events:
        assert events.next()["fresh"] == 1


def test_an_emptied_store_is_another_epoch_in_the_events(intake: Intake) -> None:
    post(intake, b"[{}]")
    with Events(intake) as events:
        before = events.next()
        requests.delete(f"{intake.url}/intake/requests", timeout=10)
        after = events.next()
        assert before["epoch"] != after["epoch"]
        assert (after["matching"], after["held"]["payloads"]) == (0, 0)


def test_a_flood_costs_few_events_and_few_rows(intake: Intake) -> None:
    with Events(intake) as events:
        events.next()
        for _ in range(20):
            post(intake, b"[" + b",".join([b"{}"] * 250) + b"]")
        seen, count = 0, 0
        while seen < 5000:
            event = events.next()
            seen += event["fresh"]
            count += 1
            assert len(event["rows"]) <= 100
        assert count < 20


def test_a_list_of_15_000_answers_at_once() -> None:
    with Intake(store=Store(max_payloads=20_000)) as intake:
        for _ in range(15):
            post(intake, json.dumps([{"message": str(n)} for n in range(1000)]).encode())
        times = []
        for _ in range(5):
            answer = requests.get(f"{intake.url}/intake/payloads", timeout=10)
            assert answer.json()["matching"] == 15_000
            times.append(answer.elapsed.total_seconds())
        assert min(times) < 0.1


def test_what_is_asked_out_of_bounds_is_answered_and_is_no_error_of_ours(intake: Intake) -> None:
    post(intake, b'{"service": "shop"}')
    deep = b"[" * 100_000
    nobody = b'{"id": "1.0", "url": "http://["}'
    sent = requests.post(f"{intake.url}/intake/send", data=nobody, timeout=10)
    assert (sent.status_code, sent.json()["sent"]) == (200, False)
    assert "is invalid" in sent.json()["problem"]
    assert requests.post(f"{intake.url}/intake/send", data=deep, timeout=10).status_code == 400
    assert requests.post(f"{intake.url}/v0.7/config", data=deep, timeout=10).status_code == 200
    events = f"{intake.url}/intake/events?after={'9' * 5000}"
    with requests.get(events, stream=True, timeout=10) as answer:
        assert answer.status_code == 200
