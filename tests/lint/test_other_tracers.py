"""Payloads as the tracers for other languages send them: odd at first sight, and valid.

The facts are in those tracers and in their system tests; the payloads are written for here.
"""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from livedebug_sender.lint import findings_in, symdb_findings

AT = 1795431676161


def status(**more: Any) -> dict[str, Any]:
    told = {"probeId": "p-1", "runtimeId": "r-1", "probeVersion": 0, "status": "ERROR", **more}
    return {"ddsource": "dd_debugger", "service": "shop", "debugger": {"diagnostics": told}}


STATUSES = {
    "node: no timestamp, the trace as text, no type of the error": status(
        exception={"message": "no such file", "stacktrace": "Error: no such file\n  at a (b.js:1)"}
    ),
    "java: an exception without a message": status(
        exception={
            "type": "java.lang.NullPointerException",
            "stacktrace": [{"fileName": "Shop.java", "function": "checkout", "lineNumber": 7}],
        }
    ),
    "ruby: nobody forked it": {**status(parentId=None, status="RECEIVED"), "timestamp": AT},
    "go: a message of null": {**status(status="INSTALLED", exception=None), "message": None},
    "a tracer with a query": status(status="EMITTING", query={"probe": "p-1"}),
}


def snapshot(language: str, captures: Any, **more: Any) -> dict[str, Any]:
    told = {
        "id": "s-1",
        "timestamp": AT,
        "language": language,
        "probe": {"id": "p-1", "location": {"file": "shop", "lines": ["7"]}},
        "captures": captures,
    }
    top = {name: more.pop(name) for name in list(more) if name in ("logger", "dd", "duration")}
    return {
        "ddsource": "dd_debugger",
        "service": "shop",
        **top,
        "debugger": {"snapshot": {**told, **more}},
    }


def local(**values: Any) -> dict[str, Any]:
    return {"lines": {"7": {"locals": values}}}


SNAPSHOTS = {
    "node: threads and version are text, the trace is nested": snapshot(
        "javascript",
        local(
            later={"type": "undefined"},
            total={"type": "getter"},
            Cart={"type": "class Cart"},
            sizes={"type": "Set", "elements": [], "notCapturedReason": "collectionSize", "size": 9},
            list={"type": "Array", "pruned": True},
        ),
        logger={
            "name": "shop.js",
            "method": "",
            "version": "5.36.0",
            "thread_id": "pid:1;tid:2",
            "thread_name": "MainThread",
        },
        dd={"trace_id": "1", "span_id": "2"},
        stack=[{"fileName": "shop.js", "function": "", "lineNumber": 7, "columnNumber": 3}],
    ),
    "node: nothing but that it was cut": snapshot("javascript", {"lines": {"7": {"pruned": True}}}),
    "java: sizes are text, a frame that took too long": snapshot(
        "java",
        {
            "entry": {"notCapturedReason": "timeout"},
            "return": {
                "arguments": {"this": {"type": "com.shop.Cart", "fields": {}}},
                "locals": {"names": {"type": "java.util.List", "elements": [], "size": "0"}},
                "staticFields": {},
                "throwable": {
                    "type": "java.lang.IllegalStateException",
                    "stacktrace": [{"function": "com.shop.Cart.pay", "lineNumber": 7}],
                },
            },
            "caughtExceptions": [],
        },
        probe={"id": "p", "version": 0, "location": {"lines": [], "method": "pay", "type": "C"}},
        exceptionId="e-1",
        evaluationErrors=[{"expr": "a.b"}],
    ),
    "dotnet: isNull is text, objects of which only the type is known": snapshot(
        "dotnet",
        {
            "return": {
                "arguments": {"this": {"type": "CartController"}},
                "locals": {"cause": {"type": "Exception", "isNull": "true"}},
                "staticFields": {"Empty": {"type": "EmptyResult"}},
            }
        },
        logger={"thread_id": 9, "thread_name": None, "version": 2, "name": "Cart", "method": "Pay"},
        stack=[{"function": "Cart.Pay", "lineNumber": 0}],
        exceptionHash="4271",
        frameIndex="1",
    ),
    "go: locations without lines, addresses": snapshot(
        "go",
        {
            "entry": {
                "arguments": {
                    "cart": {"type": "*main.Cart", "address": "0xc0001", "fields": {}},
                    "name": {"type": "string", "size": "9", "notCapturedReason": "depth"},
                    "err": {"type": "error", "isNull": True},
                },
                "captureExpressions": {"cart.total": {"type": "int", "value": "3"}},
            }
        },
        probe={"id": "p-1", "location": {"method": "main.pay", "file": "main.go", "line": 7}},
        logger={"name": "", "method": "main.pay", "version": 0, "thread_id": 1, "thread_name": ""},
        duration=1200,
    ),
    "php: a place without a name, empty arrays": snapshot(
        "php",
        {
            "return": {
                "locals": {
                    "_GET": {"type": "array"},
                    "_COOKIE": {"type": "array", "notCapturedReason": "redactedIdent"},
                },
                "throwable": {"type": "RuntimeException", "message": "no cart"},
            }
        },
        probe={"id": "p-1", "location": {}},
        exceptionHash="414427d8f61da6d7",
        frameIndex="0",
    ),
    "ruby: an expression that took too long": snapshot(
        "ruby",
        {
            "entry": {
                "arguments": None,
                "captureExpressions": {"total": {"notCapturedReason": "timeout"}},
                "throwable": None,
            }
        },
        logger={"name": None, "method": "pay", "thread_name": None, "thread_id": None},
        evaluationErrors=[],
        stack=None,
    ),
    "flat names of the logger": {
        **snapshot("python", local(n={"type": "int", "value": "3"})),
        "logger.name": "shop",
        "logger.thread_id": 140,
        "logger.version": 2,
        "dd.trace_id": "1",
        "debugger.type": "snapshot",
        "debugger.product": "di",
    },
}


@pytest.mark.parametrize("payload", STATUSES.values(), ids=STATUSES)
def test_a_status_of_another_tracer_has_no_findings(payload: Any) -> None:
    assert findings_in(payload, "diagnostics") == []
    assert findings_in(payload) == []


@pytest.mark.parametrize("payload", SNAPSHOTS.values(), ids=SNAPSHOTS)
def test_a_snapshot_of_another_tracer_has_no_findings(payload: Any) -> None:
    assert findings_in(payload, "snapshots") == []


@pytest.mark.parametrize("captures", [None, {}])
def test_a_log_has_no_captures_to_be_found(captures: Any) -> None:
    log = {**snapshot("dotnet", captures), "message": None}
    assert findings_in(log, "logs") == []


@pytest.mark.parametrize(
    ("payload", "where"),
    [
        (status(exception={}), "/diagnostics/exception"),
        (status(exception={"message": 3}), "/diagnostics/exception/message"),
        (status(exception={"message": "m", "stacktrace": 3}), "/diagnostics/exception/stacktrace"),
        (status(query="p-1"), "/diagnostics/query"),
        (snapshot("go", local(n={"type": "int"})), "/snapshot/captures/lines/7/locals/n"),
        (
            snapshot("go", local(n={"type": "T", "isNull": "yes"})),
            "/snapshot/captures/lines/7/locals/n/isNull",
        ),
        (snapshot("go", local(n={})), "/snapshot/captures/lines/7/locals/n/type"),
        (snapshot("go", {"lines": {}}, stack=[{"lineNumber": 7}]), "/snapshot/stack/0"),
        (snapshot("go", {"lines": {}}, exceptionId=7), "/snapshot/exceptionId"),
        (
            snapshot("go", {"entry": {"captureExpressions": {"n": 3}}}),
            "/snapshot/captures/entry/captureExpressions/n",
        ),
        (snapshot("go", {"locals": {"n": {"type": "int", "value": "3"}}}), "/snapshot/captures"),
        (snapshot("go", {"entry": {}}, evaluationErrors=[{}]), "/snapshot/evaluationErrors/0"),
    ],
)
def test_what_none_of_them_sends_is_still_found(payload: Any, where: str) -> None:
    (finding,) = findings_in(payload)
    assert finding.pointer == f"/debugger{where}"


def upload(event: Any, symbols: Any) -> bytes:
    parts = (
        ("event", "application/json", json.dumps(event).encode()),
        ("file", "application/gzip", gzip.compress(json.dumps(symbols).encode())),
    )
    pieces = [
        b'--b\r\nContent-Type: %s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        % (kind.encode(), name.encode(), content)
        for name, kind, content in parts
    ]
    return b"".join([*pieces, b"--b--\r\n"])


EVENT: dict[str, Any] = {"ddsource": "ruby", "service": "shop", "runtimeId": "r", "type": "symdb"}
BATCH: dict[str, Any] = {"uploadId": "u", "batchNum": 1, "final": True, "attachmentSize": 99}
METHOD = {
    "scope_type": "METHOD",
    "start_line": 1,
    "end_line": 2147483647,
    "language_specifics": {"visibility": "public"},
    "symbols": [
        {"name": "arg", "symbol_type": "ARG", "line": 0},
        {"name": "Total", "symbol_type": "field", "type": "int"},
        {"name": "@@all", "symbol_type": "STATIC_FIELD", "language_specifics": {}},
    ],
    "scopes": None,
}
SYMBOLS: dict[str, Any] = {"service": "shop", "language": "ruby", "scopes": [METHOD]}
SENT = {"upload_id": "u", "batch_num": 1, "final": True}


@pytest.mark.parametrize(
    ("event", "symbols", "pointers"),
    [
        ({**EVENT, "parentId": None}, SYMBOLS, []),
        ({**EVENT, **BATCH}, {**SYMBOLS, **SENT}, []),
        ({**EVENT, **BATCH}, SYMBOLS, []),
        ({**EVENT, **BATCH}, {**SYMBOLS, **SENT, "upload_id": "v"}, ["/file/upload_id"]),
        ({**EVENT, **BATCH}, {**SYMBOLS, **SENT, "batch_num": 2}, ["/file/batch_num"]),
        ({**EVENT, "batchNum": 0}, SYMBOLS, ["/event/batchNum"]),
        ({**EVENT, "final": "yes"}, SYMBOLS, ["/event/final"]),
        ({**EVENT, "attachmentSize": 0}, SYMBOLS, ["/event/attachmentSize"]),
        ({**EVENT, "type": "debugger"}, SYMBOLS, ["/event/type"]),
        (
            EVENT,
            {**SYMBOLS, "scopes": [{**METHOD, "symbols": [{"name": "n", "symbol_type": "LOCAL"}]}]},
            ["/file/scopes/0/symbols/0"],
        ),
        ([EVENT], SYMBOLS, ["/event"]),
    ],
)
def test_an_upload_is_checked_by_what_the_tracers_tests_know(
    event: Any, symbols: Any, pointers: list[str]
) -> None:
    found = symdb_findings(upload(event, symbols), "multipart/form-data; boundary=b")
    assert [finding.pointer for finding in found] == pointers
