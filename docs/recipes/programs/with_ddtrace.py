"""A sender in a program that ddtrace traces."""

import ddtrace.auto  # noqa: F401 - as ddtrace-run does it, before all other imports

from livedebug_sender import Sender, Track
from livedebug_sender.untraced import untraced_by_ddtrace

sender = Sender.from_env(around_request=untraced_by_ddtrace())


def report(message):
    sender.enqueue(Track.LOGS, {"service": "shop", "message": message, "debugger": {}})
