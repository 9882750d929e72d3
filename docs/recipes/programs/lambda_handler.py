"""A handler for AWS Lambda, or any platform that freezes the process between invocations."""

import functools

from livedebug_sender import Sender, Track

# One for each environment, not for each invocation: its connections are kept.
sender = Sender.from_env()


def flushed(handler):
    """Deliver before the invocation ends; after that the process is frozen."""

    @functools.wraps(handler)
    def wrapper(event, context):
        try:
            return handler(event, context)
        finally:
            left = context.get_remaining_time_in_millis() / 1000
            sender.flush(timeout=max(0.0, min(1.0, left - 0.2)))

    return wrapper


@flushed
def handler(event, context):
    message = f"order {event['order']}"
    sender.enqueue(Track.LOGS, {"service": "shop", "message": message, "debugger": {}})
    return {"statusCode": 200}
