"""The recipes for programs that are traced: in processes of their own, for good."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import Any

import pytest
from running_recipes import PATIENCE, environ_for, messages
from servers import RecordingServer

pytestmark = pytest.mark.interop

#: Spans go to `kept`, as their URLs.
OPENTELEMETRY = """
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

kept = []

class Keep(SpanProcessor):
    def on_end(self, span):
        kept.append(span.attributes.get("http.url") or span.attributes.get("url.full"))

provider = TracerProvider()
provider.add_span_processor(Keep())
trace.set_tracer_provider(provider)
import with_opentelemetry as program
from livedebug_sender.untraced import untraced_by_opentelemetry as untraced
host_span = trace.get_tracer("host").start_as_current_span
"""
DDTRACE = """
import with_ddtrace as program
from ddtrace.trace import TraceFilter, tracer
from livedebug_sender.untraced import untraced_by_ddtrace as untraced

kept = []

class Keep(TraceFilter):
    def process_trace(self, trace):
        kept.extend(s.get_tag("http.url") for s in trace if s.context.sampling_priority != -1)

tracer.configure(trace_processors=[Keep()])
host_span = tracer.trace
"""
#: The host's own request is traced; so is a sender's over another session, but for the hook.
HOST = """
import json, os
import requests
from livedebug_sender import Sender

url = os.environ["DD_TRACE_AGENT_URL"]
spans = {}

def step(name, act):
    kept.clear()
    act()
    spans[name] = [one for one in kept if one]

def through(sender):
    with sender:
        assert sender.enqueue("logs", {"message": "other", "debugger": {}})
        assert sender.flush(20)

def in_a_span_of_the_host():
    with host_span("host"):
        with untraced()():
            pass
        requests.get(url + "/host")

program.report("hello")
step("program", lambda: program.sender.close(20))
step("own session", lambda: through(Sender.from_env()))
step("unhooked", lambda: through(Sender.from_env(session_factory=requests.Session)))
hook = untraced()
step("hooked", lambda: through(
    Sender.from_env(session_factory=requests.Session, around_request=hook)))
step("host", in_a_span_of_the_host)
print(json.dumps(spans))
"""


def spans_of(program: str) -> dict[str, Any]:
    """The URLs of the spans that were kept, by step."""
    with RecordingServer() as intake:
        quiet = {
            "DD_TRACE_URLLIB3_ENABLED": "true",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            "DD_TRACE_STARTUP_LOGS": "false",
        }
        done = subprocess.run(
            [sys.executable, "-c", program + HOST],
            env={**environ_for(intake.url), **quiet},
            timeout=PATIENCE,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        logs = [p for p in intake.posts if p.path == "/debugger/v2/input"]
        assert messages([e for p in logs for e in p.elements]) == ["hello"] + ["other"] * 3
    spans: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return spans


@pytest.mark.parametrize(
    ("program", "needed"),
    [
        (OPENTELEMETRY, ["opentelemetry", "opentelemetry.sdk"]),
        (DDTRACE, ["ddtrace"]),
    ],
    ids=["opentelemetry", "ddtrace"],
)
def test_the_host_is_traced_and_the_sender_is_not(program: str, needed: list[str]) -> None:
    for module in needed:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    spans = spans_of(program)
    assert spans["program"] == []
    assert spans["own session"] == []
    assert spans["hooked"] == []
    # Else those above would say nothing.
    assert any("/debugger/v2/input" in url for url in spans["unhooked"])
    assert any(url.endswith("/host") for url in spans["host"])
