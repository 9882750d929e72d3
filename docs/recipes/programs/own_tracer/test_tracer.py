"""pytest test_tracer.py"""

import pytest
import shop
from tracer import Probe, Tracer

ORDER = {"keyboard": 90.0, "mouse": 30.0}


@pytest.fixture
def tracer(livedebug_intake, monkeypatch):
    monkeypatch.setenv("DD_TRACE_AGENT_URL", livedebug_intake.url)
    tracer = Tracer("shop")
    yield tracer
    tracer.close()


def test_a_line_probe_captures_variables(tracer, livedebug_intake):
    tracer.install(Probe("checkout-total", line=7), shop.checkout)
    assert shop.checkout(ORDER) == 108.0
    (payload,) = livedebug_intake.wait_for(1, track="snapshots", probe="checkout-total")
    moment = payload["debugger"]["snapshot"]["captures"]["lines"]["7"]
    assert moment["locals"] == {"total": {"type": "float", "value": "120.0"}}
    assert moment["arguments"]["order"]["size"] == 2
    livedebug_intake.wait_for(1, status="EMITTING")
    assert livedebug_intake.findings() == []


def test_a_line_without_code_is_an_error(tracer, livedebug_intake):
    tracer.install(Probe("nowhere", line=99), shop.checkout)
    livedebug_intake.wait_for(1, track="diagnostics", probe="nowhere", status="ERROR")


def test_what_an_intake_in_trouble_refuses_arrives_later(tracer, livedebug_intake):
    livedebug_intake.inject("503 twice, then good")
    tracer.install(Probe("checkout-total", line=7), shop.checkout)
    shop.checkout(ORDER)
    assert tracer.sender.flush(timeout=30.0)
    assert livedebug_intake.payloads("snapshots")
    assert tracer.sender.stats().retries >= 1


def test_an_intake_that_never_answers_does_not_hold_the_program(tracer, livedebug_intake):
    livedebug_intake.inject("stall")
    tracer.install(Probe("checkout-total", line=7), shop.checkout)
    assert shop.checkout(ORDER) == 108.0  # without delay: enqueue does not use the network
    assert tracer.sender.stats().pending > 0


def test_a_secret_is_not_captured(tracer, livedebug_intake):
    tracer.install(Probe("checkout-total", line=7), shop.checkout)
    shop.checkout({"token": 4711.0})
    (payload,) = livedebug_intake.wait_for(1, track="snapshots")
    assert "4711" not in str(payload["debugger"]["snapshot"]["captures"]["lines"]["7"]["arguments"])
