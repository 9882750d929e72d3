"""Reports the sender's stats to a StatsD server."""

import socket

from livedebug_sender import Stats

COUNTERS = ("enqueued", "delivered", "requests", "retries", "bytes_sent", "additional_failed")
GAUGES = ("pending", "pending_bytes")


class StatsD:
    """Sends what changed since the last report; StatsD adds it up."""

    def __init__(self, sender, host="127.0.0.1", port=8125):
        self._sender = sender
        self._address = (host, port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._before = Stats()

    def report(self):
        """Call this regularly, for example every ten seconds, and after `close`."""
        now, before = self._sender.stats(), self._before
        if now.enqueued < before.enqueued:  # a forked child, whose counts began at zero
            before = Stats()
        self._before = now
        lines = [f"livedebug.{name}:{getattr(now, name)}|g" for name in GAUGES]
        for name in COUNTERS:
            more = getattr(now, name) - getattr(before, name)
            lines += [f"livedebug.{name}:{more}|c"] if more else []
        for reason, count in now.dropped.items():
            more = count - before.dropped.get(reason, 0)
            lines += [f"livedebug.dropped:{more}|c|#reason:{reason}"] if more else []
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            pass  # a failed metric must not disturb the host

    def close(self):
        self._socket.close()
