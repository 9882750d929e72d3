"""This library in the place of the sender that ddtrace 4.16 ships its payloads with.

`install()` at the top of the program, before `import ddtrace.auto`; or, under
`ddtrace-run`, anywhere in it. It replaces functions that ddtrace does not promise to keep.
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
    # Also where it was dropped: to offer it again would not help, and it is counted and logged.
    accepted: bool = True
    status: int | None = None
    body: str = ""


class QueuedSender:
    # So ddtrace waits for no agent and asks none for its routes: that is done here.
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
    # ddtrace hands over batches of up to 4 MiB.
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
    # What is registered last runs first: ddtrace flushes, then the sender closes.
    atexit.register(DynamicInstrumentation.disable)
    return sender
