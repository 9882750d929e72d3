"""A sender in a program that OpenTelemetry traces."""

from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor

from livedebug_sender import Sender, Track
from livedebug_sender.untraced import untraced_by_opentelemetry

RequestsInstrumentor().instrument()
URLLib3Instrumentor().instrument()

sender = Sender.from_env(around_request=untraced_by_opentelemetry())


def report(message):
    sender.enqueue(Track.LOGS, {"service": "shop", "message": message, "debugger": {}})
