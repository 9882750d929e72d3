"""Replaces the sender of ddtrace 4.16 by this library's.

Call `install()` at the top of the program, before `import ddtrace.auto`, or anywhere in it
under `ddtrace-run`. It replaces internal functions of ddtrace, which may change.
"""

import atexit
from typing import NamedTuple

from ddtrace import config
from ddtrace.debugging import DynamicInstrumentation, _uploader
from ddtrace.debugging._config import di_config
from ddtrace.debugging._probe import status
from ddtrace.debugging._uploader import SignalUploader
from ddtrace.internal.native import DebuggerTrackType
from ddtrace.internal.symbol_db import symbols

from livedebug_sender import Sender, Track

TRACKS = {
    DebuggerTrackType.Diagnostics: Track.DIAGNOSTICS,
    DebuggerTrackType.Logs: Track.LOGS,
    DebuggerTrackType.Snapshots: Track.SNAPSHOTS,
}


class Answer(NamedTuple):
    # Also if it was dropped: retrying would not help, and the drop is counted and logged.
    accepted: bool = True
    status: int | None = None
    body: str = ""


class QueuedSender:
    # So that ddtrace neither waits for an agent nor requests its routes: the sender does that.
    agentless = True

    def __init__(self, sender: Sender) -> None:
        self.sender = sender

    def send(self, payload: bytes, kind: DebuggerTrackType | str) -> Answer:
        if isinstance(kind, str):  # a content type
            self.sender.enqueue(Track.SYMDB, payload, content_type=kind)
        else:
            self.sender.enqueue(TRACKS[kind], payload)
        return Answer()

    def downgrade_to_diagnostics(self) -> bool:
        return False


def install() -> Sender:
    """Returns the sender, for its `stats()`."""
    # ddtrace passes batches of up to 4 MiB.
    agentless = bool(config._agentless_enabled)
    sender = Sender.from_env(agentless=agentless, tags=di_config.tags, max_payload_bytes="4MiB")
    queued = QueuedSender(sender)
    _uploader.build_debugger_sender = status.build_debugger_sender = lambda: queued
    symbols.build_symdb_sender = lambda: queued
    if SignalUploader._instance is not None:  # ddtrace-run has started it
        SignalUploader._instance._sender = queued
        DynamicInstrumentation._instance._status_logger._sender = queued
    if symbols.SymbolDatabaseUploader._instance is not None:
        symbols.SymbolDatabaseUploader._instance._context._sender = queued
    # The last registered handler runs first: ddtrace flushes, then the sender closes.
    atexit.register(DynamicInstrumentation.disable)
    return sender
