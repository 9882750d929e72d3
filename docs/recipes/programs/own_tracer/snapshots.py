"""Creates the payloads. What is captured of a value is limited, and its methods are not called."""

import threading
import time
import uuid
from itertools import islice

MAX_DEPTH, MAX_ITEMS, MAX_LENGTH = 3, 20, 255
SECRETS = {"password", "passwd", "secret", "token", "apikey", "api_key", "authorization"}


def captured(value, name="", depth=MAX_DEPTH):
    """A variable as the debugger shows it."""
    shown = {"type": type(value).__name__}
    if name.lower() in SECRETS:
        return shown | {"notCapturedReason": "redactedIdent"}
    try:
        return shown | content_of(value, depth)
    except Exception as error:  # changed by another thread at the same time; an int of 5,000 digits
        return shown | {"notCapturedReason": type(error).__name__}


def content_of(value, depth):
    kind = type(value)  # not isinstance: a subclass may override methods
    if value is None:
        return {"isNull": True}
    if kind in (bool, int, float):
        return {"value": repr(value)}
    if kind is str:
        cut = {"truncated": True, "size": len(value)} if len(value) > MAX_LENGTH else {}
        return {"value": value[:MAX_LENGTH]} | cut
    if depth == 0:
        return {"notCapturedReason": "depth"}
    if kind in (list, tuple, set, frozenset):
        elements = [captured(one, depth=depth - 1) for one in islice(value, MAX_ITEMS)]
        return {"elements": elements} | size_of(value)
    if kind is dict:
        entries = [entry(*pair, depth - 1) for pair in islice(value.items(), MAX_ITEMS)]
        return {"entries": entries} | size_of(value)
    try:
        fields = object.__getattribute__(value, "__dict__")  # bypasses the program's __getattr__
    except AttributeError:
        fields = {}  # implemented in C, or with slots
    return {"fields": variables(fields, depth - 1)}


def entry(key, value, depth):
    name = key if type(key) is str else ""  # it may be the name of a secret
    return [captured(key, depth=depth), captured(value, name, depth)]


def size_of(values):
    cut = {"notCapturedReason": "collectionSize"} if len(values) > MAX_ITEMS else {}
    return {"size": len(values)} | cut


def variables(values, depth=MAX_DEPTH):
    return {name: captured(one, name, depth) for name, one in islice(values.items(), MAX_ITEMS)}


def snapshot(probe, service, frame):
    code, line, now = frame.f_code, str(frame.f_lineno), time.time_ns() // 1_000_000
    names, found = code.co_varnames[: code.co_argcount], dict(frame.f_locals)
    arguments = {name: found.pop(name) for name in names if name in found}
    moment = {"arguments": variables(arguments), "locals": variables(found), "throwable": None}
    return {
        "ddsource": "dd_debugger",
        "service": service,
        "timestamp": now,
        "message": f"{code.co_name} reached line {line}",
        "logger": {
            "name": code.co_filename,
            "method": code.co_name,
            "thread_name": threading.current_thread().name,
            "thread_id": threading.get_ident(),
            "version": 2,
        },
        "debugger": {
            "snapshot": {
                "id": str(uuid.uuid4()),
                "timestamp": now,
                "language": "python",
                "probe": {
                    "id": probe.id,
                    "version": probe.version,
                    "location": {"file": code.co_filename, "lines": [line]},
                },
                "stack": stack_of(frame),
                "captures": {"lines": {line: moment}},
            }
        },
    }


def stack_of(frame):
    frames = []
    while frame is not None and len(frames) < MAX_ITEMS:
        code = frame.f_code
        where = {"fileName": code.co_filename, "lineNumber": frame.f_lineno}
        frames.append({"function": code.co_name} | where)
        frame = frame.f_back
    return frames


def status(probe, service, runtime_id, state, error=None):
    """The status of a probe: RECEIVED, INSTALLED, EMITTING or ERROR."""
    diagnostics = {"probeId": probe.id, "probeVersion": probe.version, "runtimeId": runtime_id}
    if error is not None:
        diagnostics["exception"] = {"type": type(error).__name__, "message": str(error)}
    return {
        "ddsource": "dd_debugger",
        "service": service,
        "timestamp": time.time_ns() // 1_000_000,
        "message": f"Probe {probe.id} is {state.lower()}",
        "debugger": {"diagnostics": diagnostics | {"status": state}},
    }
