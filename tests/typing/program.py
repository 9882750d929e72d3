"""A program that uses every public name, as type checkers see it (`tox run -e lint`).

Not run: mypy (strict) and pyright check that what is right passes, and that what is wrong
does not, by the comments that would be unused otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import livedebug_sender
from livedebug_sender import (
    ConfigError,
    DeliveryError,
    Endpoint,
    InvalidPayload,
    PayloadRejected,
    PayloadSender,
    Sender,
    SenderConfig,
    SenderError,
    Stats,
    Track,
    agent_info_supports_debugger_v2_endpoint,
    debugger_intake_endpoint,
    derive_endpoint_path,
    generate_tags,
    send,
    send_symdb,
    track_of_payload,
)
from livedebug_sender.intake.server import Intake
from livedebug_sender.lint import Finding, findings_in, symdb_findings
from livedebug_sender.untraced import untraced_by_ddtrace, untraced_by_opentelemetry


def on_drop_of_track(track: Track, reason: str, count: int) -> None:
    print(track.value, reason, count)


def on_drop_of_str(track: str, reason: str, count: int) -> None:
    print(track.upper(), reason, count)


def on_drop_of_any(*args: object) -> bool:
    return bool(args)


def on_drop_of_int(track: int, reason: str, count: int) -> None:
    print(track, reason, count)


class Counts:
    def __call__(self, track: str, reason: str, count: int) -> None: ...

    def method(self, track: Track, reason: str, count: int) -> int:
        return count


def endpoints() -> SenderConfig:
    agent = Endpoint("http://localhost:8126", timeout="200ms", test_token="token")
    intake = debugger_intake_endpoint("datadoghq.com", "key", timeout=1.5)
    seconds: float = agent.timeout
    url: str = derive_endpoint_path(agent, Track.LOGS).url + derive_endpoint_path(agent, "logs").url
    agentless: bool = intake.agentless
    print(seconds, url, agentless, intake.api_key, intake.scheme)
    config = SenderConfig()
    config.set_endpoint(agent)
    config.set_symdb_endpoint(agent)
    config.add_additional_debugger_endpoint(intake)
    config.add_additional_symdb_endpoint(intake)
    changed: bool = config.downgrade_to_diagnostics_endpoint()
    config.reset_endpoints()
    primary, *additional = config.endpoints_for("logs")
    decided_by: str | None = config.decided_by
    print(changed, primary.url, len(additional), decided_by, config.describe(), config.downgraded)
    return config


def from_the_environment(environ: Mapping[str, str]) -> tuple[SenderConfig, Sender]:
    SenderConfig.from_env()
    config = SenderConfig.from_env(environ, agentless=True)
    return config, Sender.from_env(environ, agentless=None, linger="20ms", tags="a:b")


def senders(config: SenderConfig) -> Stats:
    tags = generate_tags("1", "prod", "2", "r-1", custom_tags=("team:a",))
    with Sender(
        config,
        tags=tags,
        max_queue_items=1,
        max_queue_bytes="32MiB",
        max_payload_bytes=1024,
        max_batch_items=1,
        max_batch_bytes="1.5MB",
        linger=0,
        retry_for="5m",
        shutdown_timeout=3,
        recheck_after="1h",
        oversize="prune",
        on_drop=on_drop_of_track,
        session_factory=None,
        around_request=untraced_by_opentelemetry(),
    ) as sender:
        queued: bool = sender.enqueue(Track.LOGS, {"a": 1})
        queued = sender.enqueue("snapshots", [{"a": 1}]) or queued
        queued = sender.enqueue("diagnostics", b"{}") or sender.enqueue("logs", "{}")
        queued = sender.enqueue("logs", bytearray(b"{}")) or sender.enqueue("logs", memoryview(b""))
        queued = sender.enqueue(Track.SYMDB, b"body", content_type="a/b") or queued
        flushed: bool = sender.flush() and sender.flush(1) and sender.flush(timeout="1s")
        closed: bool = sender.close(None) and sender.close("200ms")
        print(queued, flushed, closed)
        stats: Stats = sender.stats()
    dropped: int = stats.dropped["queue_full"] + stats.enqueued + stats.additional_failed
    print(dropped)
    Sender(config, on_drop=on_drop_of_str, around_request=untraced_by_ddtrace())
    Sender(config, on_drop=on_drop_of_any, oversize="drop")
    Sender(config, on_drop=Counts())
    Sender(config, on_drop=Counts().method)
    Sender(config, on_drop=print)
    Sender(config, on_drop=lambda track, reason, count: print(track, reason, count))
    return stats


def outcomes(config: SenderConfig, payload: dict[str, Any]) -> int:
    track: Track = track_of_payload(payload)
    supports: bool = agent_info_supports_debugger_v2_endpoint({"endpoints": []})
    try:
        send(payload, config, track, tags="a:b")
        send_symdb(b"body", "a/b", config)
        batch = PayloadSender(config.endpoints_for(track)[0], "logs")
        batch.append(payload)
        return batch.finish() + supports
    except PayloadRejected as error:
        kind: str = error.kind
        if error.kind == "symdb":
            print(kind, error.body)
        return error.status
    except (ConfigError, DeliveryError, InvalidPayload) as error:
        both: ValueError | SenderError = error
        print(both, livedebug_sender.__version__)
        return 0


def test_of_a_tracer(livedebug_intake: Intake) -> None:
    livedebug_intake.inject("503 once, then good")
    sent: list[Any] = livedebug_intake.wait_for(2, "1s", "logs", message=re.compile("hello"))
    sent += livedebug_intake.wait_for(timeout=1, track=Track.LOGS, match={"service": "shop"})
    sent += livedebug_intake.payloads(match=lambda payload: bool(payload), kind="log")
    request = livedebug_intake.requests[-1]
    mode: Literal["agent", "agentless"] = request.mode
    kind: Literal["snapshot", "log", "status", "symdb", "other"] = request.summaries[0].kind
    findings: list[str] = livedebug_intake.findings()
    print(sent, mode, kind, findings, request.payloads[0].value)
    found: list[Finding] = findings_in({}, "logs") + symdb_findings(b"", "a/b")
    print(found[0].pointer + found[0].given + found[0].expected)
    print(request.mode == "agents")  # type: ignore[comparison-overlap]


def what_is_wrong(config: SenderConfig) -> None:
    Sender(config, on_drop=on_drop_of_int)  # type: ignore[arg-type]
    Sender(config, oversize="squeeze")  # type: ignore[arg-type]
    Sender(config, max_queue_bytes=1.5)  # type: ignore[arg-type]
    Sender(config, max_queue_items="many")  # type: ignore[arg-type]
    Sender("http://localhost")  # type: ignore[arg-type]
    Sender(config, "a:b")  # type: ignore[call-arg]
    Endpoint("http://h", timeout=None)  # type: ignore[arg-type]
    Endpoint("http://h").timeout = 1.0  # type: ignore[misc]
