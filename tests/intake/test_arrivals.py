"""What a test asks the intake for: waits, matches, findings."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from livedebug_sender import Track
from livedebug_sender.intake.server import Intake
from livedebug_sender.intake.store import Store


@pytest.fixture
def intake() -> Iterator[Intake]:
    with Intake() as started:
        yield started


def log(message: str, service: str = "shop", probe: str = "p") -> dict[str, Any]:
    snapshot = {"probe": {"id": probe, "location": {"file": "a.py", "lines": ["7"]}}}
    return {"message": message, "service": service, "debugger": {"snapshot": snapshot}}


def post(intake: Intake, *payloads: Any, path: str = "/debugger/v2/input") -> None:
    requests.post(intake.url + path, json=payloads, timeout=10)


@pytest.mark.parametrize(
    ("conditions", "messages"),
    [
        ({}, ["one", "two", "three"]),
        ({"track": "logs"}, ["one", "two", "three"]),
        ({"track": Track.SNAPSHOTS}, []),
        ({"service": "shop"}, ["one", "three"]),
        ({"service": "shop", "probe": "q"}, ["three"]),
        ({"message": re.compile("^t")}, ["two", "three"]),
        ({"file": "a.py", "line": "7"}, ["one", "two", "three"]),
        ({"kind": "log"}, ["one", "two", "three"]),
        ({"match": {"service": "other"}}, ["two"]),
        ({"match": {"debugger": {"snapshot": {"probe": {"id": re.compile("q")}}}}}, ["three"]),
        ({"match": lambda payload: "o" in payload["message"]}, ["one", "two"]),
        ({"match": {"debugger": {"snapshot": {"probe": {"location": {"lines": ["7"]}}}}}}, 3),
    ],
)
def test_payloads_are_chosen_by_any_field(
    intake: Intake, conditions: dict[str, Any], messages: Any
) -> None:
    post(intake, log("one"), log("two", service="other"), log("three", probe="q"))
    found = [payload["message"] for payload in intake.payloads(**conditions)]
    assert (len(found) if isinstance(messages, int) else found) == messages
    if found:
        assert intake.wait_for(len(found), 0.05, **conditions) == intake.payloads(**conditions)


def test_waiting_ends_when_the_payload_comes(intake: Intake) -> None:
    post(intake, log("other"))
    later = threading.Timer(0.1, post, (intake, log("it")))
    later.start()
    found = intake.wait_for(timeout=10.0, message="it")
    later.join()
    assert [payload["message"] for payload in found] == ["it"]


def test_waiting_in_vain_says_what_came_instead_and_why_it_is_not_it(intake: Intake) -> None:
    post(intake, log("one", service="other"))
    requests.post(f"{intake.url}/debugger/v2/input", data="{", timeout=10)
    with pytest.raises(AssertionError) as raised:
        intake.wait_for(2, 0.05, "logs", service="shop", match={"message": re.compile("x")})
    assert str(raised.value).splitlines() == [
        "waited 0.05 s for 2 payloads with track='logs', service='shop', "
        "match={'message': re.compile('x')}; 0 of 1 payloads in 2 requests match",
        "  1.0 logs probe='p' service='other' message='one': service is 'other', expected 'shop'",
        "  request 2: answered 400, the body is not JSON: "
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ]


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ({"x": 1}, "payload has no 'x'"),
        ({"message": {"x": 1}}, "payload.message is 'one', expected an object"),
        ({"debugger": {"snapshot": {"probe": {"id": "q"}}}}, "probe.id is 'p', expected 'q'"),
        ({"debugger": {"snapshot": {"probe": {"location": {"lines": []}}}}}, "has 1 elements"),
        (
            {"debugger": {"snapshot": {"probe": {"location": {"lines": ["8"]}}}}},
            "lines[0] is '7', expected '8'",
        ),
        ({"message": re.compile("x")}, "expected a match of 'x'"),
        (lambda payload: False, "returned false"),
    ],
)
def test_each_mismatch_is_named(intake: Intake, match: Any, said: str) -> None:
    post(intake, log("one"))
    with pytest.raises(AssertionError, match=re.escape(said)):
        intake.wait_for(1, 0.01, match=match)


def test_of_many_that_came_instead_the_last_are_told(intake: Intake) -> None:
    post(intake, *[log(f"n{n}") for n in range(50)])
    with pytest.raises(AssertionError) as raised:
        intake.wait_for(1, 0.01, message="it")
    assert "(30 earlier ones are left out)" in str(raised.value)
    assert "n49" in str(raised.value)
    assert "n29" not in str(raised.value)


def test_a_field_or_track_that_does_not_exist_is_refused_at_once(intake: Intake) -> None:
    with pytest.raises(TypeError, match="no field 'servise'; expected one of kind, service"):
        intake.wait_for(1, 10.0, servise="shop")
    with pytest.raises(ValueError, match="traces"):
        intake.payloads("traces")


def test_a_payload_counts_to_the_track_of_the_route_that_it_came_on(intake: Intake) -> None:
    post(intake, {"n": 1})
    post(intake, {"n": 2}, path="/debugger/v1/diagnostics")
    post(intake, {"n": 3}, path="/api/v2/logs")
    assert intake.payloads("logs") == [{"n": 1}, {"n": 3}]
    assert intake.payloads("diagnostics") == [{"n": 2}]


def test_what_was_refused_is_no_payload(intake: Intake) -> None:
    intake.inject("503 once")
    post(intake, {"n": 1})
    post(intake, {"n": 1})
    assert intake.payloads() == [{"n": 1}]
    with pytest.raises(AssertionError, match="request 1: answered 503, injected fault"):
        intake.wait_for(2, 0.01)


def findings_of(intake: Intake, *ids: str) -> dict[str, list[str]]:
    url = f"{intake.url}/intake/findings"
    return dict(requests.get(url, params={"ids": ",".join(ids)}, timeout=30).json())


def test_findings_name_the_payload_and_the_track() -> None:
    def odd(payload: Any, track: Track) -> list[str]:
        return [] if "ddsource" in payload else ["ddsource is missing"]

    with Intake(findings=odd) as intake:
        post(intake, {"ddsource": "x"}, {})
        assert intake.findings() == ["1.1 (logs): ddsource is missing"]
        found = findings_of(intake, "1.0", "1.1", "1.7", "8.0")
        assert found == {"1.0": [], "1.1": ["ddsource is missing"]}
        wrong = requests.get(f"{intake.url}/intake/findings?ids=x", timeout=10)
        assert wrong.status_code == 400


def test_a_function_that_raises_is_a_finding_too() -> None:
    with Intake(findings=lambda payload, track: payload["x"]) as intake:
        post(intake, {})
        assert intake.findings() == ["1.0 (logs): could not be checked: KeyError: 'x'"]


def test_what_the_linter_finds_is_found_for_every_track(intake: Intake) -> None:
    status = {"debugger": {"diagnostics": {"probeId": 17, "status": "OK"}}}
    post(intake, status, path="/debugger/v1/diagnostics")
    requests.post(f"{intake.url}/symdb/v1/input", json={"service": "s"}, timeout=10)
    found = intake.findings()
    assert any("1.0 (diagnostics): /debugger/diagnostics/probeId: 17" in one for one in found)
    assert any(one.startswith("2.0 (symdb): ") for one in found)
    assert findings_of(intake, "1.0")["1.0"]


def test_a_list_does_not_wait_for_what_takes_long_to_look_at_but_what_is_opened_is_looked_at(
    intake: Intake,
) -> None:
    post(intake, {"message": "x" * 70_000}, {"message": "small"})
    found = findings_of(intake, "1.0,1.1")
    assert (found["1.0"], bool(found["1.1"])) == ([], True)
    assert findings_of(intake, "1.0")["1.0"] == found["1.1"]


def test_faults_that_are_invalid_are_refused_where_they_are_given() -> None:
    with pytest.raises(ValueError, match="'never'"):
        Intake(faults="never")
    with Intake(faults="503") as intake:
        assert intake.faults == "503"
        with pytest.raises(ValueError, match="'never'"):
            intake.inject("never")
        assert intake.faults == "503"
        intake.inject()
        assert intake.faults == ""


def test_bounds_and_waits_take_units() -> None:
    with Intake(store=Store(max_bytes="50KiB"), max_body="1kB") as intake:
        url = intake.url + "/debugger/v2/input"
        statuses = [requests.post(url, b" " * n, timeout=10).status_code for n in (1000, 1001)]
        assert statuses == [400, 413]
        with pytest.raises(AssertionError, match=r"0\.01 s"):
            intake.wait_for(1, timeout="10ms")
    for bound in ("1M", 0):
        with pytest.raises(ValueError, match=r"max_b.* is .*; expected: a size"):
            Store(max_bytes=bound)
        with pytest.raises(ValueError, match=r"max_b.* is .*; expected: a size"):
            Intake(max_body=bound)
