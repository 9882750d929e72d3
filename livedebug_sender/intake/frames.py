"""A payload prepared for display: a stack frame, a log line, a status, symbols."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .exact import exact, inline
from .nodes import Node, capture_nodes, compared, json_node, only_changed, scope_node, tally
from .reading import Payload

_CAPTURES = "/debugger/snapshot/captures"


def frame_of(payload: Payload) -> dict[str, Any]:
    """The parts of a payload; parts that it does not have are absent.

    ``message``; ``facts``, pairs of a name and a text (``time``: milliseconds since 1970);
    ``problems`` (exceptions, failed evaluations), each with ``title``, ``text`` and ``stack``;
    ``stack``, frames with ``function``, ``file`` and ``line``; ``tree`` with its ``title``,
    ``nodes`` and the ``pointer`` of their parent.
    """
    value = exact_value(payload)
    reader = {"snapshot": _snapshot, "log": _snapshot, "status": _status, "symdb": _symdb}
    return reader.get(payload.summary.kind, _other)(value)


def tree_of(payload: Payload) -> dict[str, Any]:
    """The whole payload as a tree."""
    return _other(exact_value(payload))["tree"]  # type: ignore[no-any-return]


def exact_value(payload: Payload) -> Any:
    """The payload with numbers as they were written; for an upload, an object of its parts."""
    parts = {name: exact(text) for name, text in payload.texts}
    return parts.get("", parts)


def comparison(before: Payload, after: Payload) -> dict[str, Any]:
    """The changes between two snapshots: ``counts``, the changed ``nodes``, and ``all`` nodes."""
    old, new = (capture_nodes(_captures(exact_value(one))) for one in (before, after))
    nodes = compared(old, new)
    return {
        "counts": tally(nodes),
        "pointer": _CAPTURES,
        "nodes": only_changed(nodes),
        "all": nodes,
    }


def _snapshot(value: Any) -> dict[str, Any]:
    snapshot = _object(_object(_object(value).get("debugger")).get("snapshot"))
    probe = _object(snapshot.get("probe"))
    logger = _object(_object(value).get("logger"))
    captures = _captures(value)
    version = inline(probe.get("version"))
    found: dict[str, Any] = {
        "message": inline(value.get("message")),
        "facts": _facts(
            ("probe", inline(probe.get("id")) + (f", version {version}" if version else "")),
            ("service", inline(value.get("service"))),
            ("time", inline(value.get("timestamp"))),
            ("in", inline(logger.get("method"))),
            ("thread", inline(logger.get("thread_name"))),
            ("took", _duration(snapshot.get("duration"))),
        ),
        "problems": [*_thrown(captures), *_not_evaluated(snapshot.get("evaluationErrors"))],
        "stack": _stack(snapshot.get("stack")),
    }
    if captures:
        nodes = capture_nodes(captures)
        found["tree"] = {"title": "Variables", "pointer": _CAPTURES, "nodes": nodes}
    return found


def _status(value: Any) -> dict[str, Any]:
    said = _object(_object(value.get("debugger")).get("diagnostics"))
    failure = _object(said.get("exception"))
    return {
        "message": inline(value.get("message")),
        "facts": _facts(
            ("status", inline(said.get("status"))),
            ("probe", inline(said.get("probeId"))),
            ("version", inline(said.get("probeVersion"))),
            ("service", inline(value.get("service"))),
            ("time", inline(value.get("timestamp"))),
            ("runtime", inline(said.get("runtimeId"))),
        ),
        "problems": [_problem(failure)] if failure else [],
        "stack": [],
    }


def _symdb(value: Any) -> dict[str, Any]:
    event, symbols = (_object(_object(value).get(name)) for name in ("event", "symbols"))

    def said(name: str) -> str:
        return inline(event.get(name, symbols.get(name)))

    names = ("service", "env", "version", "language", "uploadId", "batchNum", "final")
    scopes = symbols.get("scopes")
    nodes: list[Node] = [
        scope_node(scope, f"scopes[{n}]", f"/scopes/{n}")
        for n, scope in enumerate(scopes if isinstance(scopes, list) else ())
    ]
    return {
        "message": "",
        "facts": _facts(*((name, said(name)) for name in names)),
        "problems": [],
        "stack": [],
        "tree": {"title": "Scopes", "pointer": "/symbols", "nodes": nodes},
    }


def _other(value: Any) -> dict[str, Any]:
    root = json_node("value", value, "", "")
    nodes = root.get("kids", [root])
    tree = {"title": "JSON", "pointer": "", "nodes": nodes}
    return {"message": "", "facts": [], "problems": [], "stack": [], "tree": tree}


def _captures(value: Any) -> dict[str, Any]:
    snapshot = _object(_object(_object(value).get("debugger")).get("snapshot"))
    return _object(snapshot.get("captures"))


def _facts(*pairs: tuple[str, str]) -> list[list[str]]:
    return [[name, text] for name, text in pairs if text]


def _duration(nanoseconds: Any) -> str:
    try:
        return f"{float(inline(nanoseconds)) / 1e6:.3f} ms"
    except ValueError:
        return ""


def _thrown(captures: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """From the return of the function, else from the first capture that has one."""
    lines = _object(captures.get("lines"))
    for capture in (captures.get("return"), *lines.values(), captures.get("entry")):
        if failure := _object(_object(capture).get("throwable")):
            yield _problem(failure)
            return


def _not_evaluated(errors: Any) -> list[dict[str, Any]]:
    found = []
    for error in errors if isinstance(errors, list) else ():
        parts = [inline(_object(error).get(name)) for name in ("expr", "message")]
        text = ": ".join(part for part in parts if part) or inline(error)
        found.append({"title": "Not evaluated", "text": text, "stack": []})
    return found


def _problem(failure: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": inline(failure.get("type")) or "Exception",
        "text": inline(failure.get("message")),
        "stack": _stack(failure.get("stacktrace")),
    }


def _stack(found: Any) -> list[dict[str, str]]:
    return [
        {
            "function": inline(_object(frame).get("function")),
            "file": inline(_object(frame).get("fileName")),
            "line": inline(_object(frame).get("lineNumber")),
        }
        for frame in (found if isinstance(found, list) else ())
    ]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
