"""A tracer: takes a snapshot whenever the line of a probe is reached. Needs Python 3.12."""

import atexit
import logging
import os
import sys
import time
import uuid
from dataclasses import dataclass

from snapshots import snapshot, status

from livedebug_sender import Sender, Track

log = logging.getLogger("my_tracer")
monitoring = sys.monitoring
TOOL = 4  # sys.monitoring leaves 3 and 4 to tools like this one


@dataclass
class Probe:
    id: str
    line: int
    version: int = 1
    not_before: float = 0.0  # one snapshot a second is enough
    emitting_in: str = ""  # the runtime id of the process that has reported EMITTING


class Tracer:
    def __init__(self, service):
        self.service = service
        self.probes = {}
        self.sender = Sender.from_env(shutdown_timeout=2.0)
        self.renew_runtime_id()
        os.register_at_fork(after_in_child=self.renew_runtime_id)
        monitoring.use_tool_id(TOOL, "my_tracer")
        monitoring.register_callback(TOOL, monitoring.events.LINE, self.on_line)
        atexit.register(self.close)

    def install(self, probe, function):
        self.tell(probe, "RECEIVED")
        code = function.__code__
        if probe.line not in {line for _, _, line in code.co_lines()}:
            self.tell(probe, "ERROR", LookupError(f"no code at line {probe.line}"))
            return
        self.probes[code, probe.line] = probe
        monitoring.set_local_events(TOOL, code, monitoring.events.LINE)
        monitoring.restart_events()  # lines that were disabled may have this probe
        self.tell(probe, "INSTALLED")

    def on_line(self, code, line):
        """Called in the host's threads, just before a line of a function with a probe."""
        probe = self.probes.get((code, line))
        if probe is None:
            return monitoring.DISABLE  # from now on this line costs nothing
        try:
            self.hit(probe, sys._getframe(1))
        except Exception as error:  # must not reach the host
            self.probes.pop((code, line), None)
            log.exception("probe %s is removed", probe.id)
            self.tell(probe, "ERROR", error)

    def hit(self, probe, frame):
        now = time.monotonic()
        if now < probe.not_before:
            return
        probe.not_before = now + 1.0
        queued = self.sender.enqueue(Track.SNAPSHOTS, snapshot(probe, self.service, frame))
        if queued and probe.emitting_in != self.runtime_id:
            probe.emitting_in = self.runtime_id
            self.tell(probe, "EMITTING")

    def tell(self, probe, state, error=None):
        payload = status(probe, self.service, self.runtime_id, state, error)
        self.sender.enqueue(Track.DIAGNOSTICS, payload)

    def renew_runtime_id(self):
        self.runtime_id = str(uuid.uuid4())

    def close(self):
        atexit.unregister(self.close)
        monitoring.register_callback(TOOL, monitoring.events.LINE, None)  # no probe is hit now
        monitoring.free_tool_id(TOOL)
        self.sender.close()
        if dropped := self.sender.stats().dropped:
            log.warning("payloads dropped: %s", dict(dropped))
