"""uwsgi --master --processes 4 --enable-threads --module uwsgi_app:app"""

import os

from livedebug_sender import Sender, Track

sender = Sender.from_env()


def report(message):
    sender.enqueue(Track.LOGS, {"service": "shop", "message": message, "debugger": {}})


report(f"loaded in {os.getpid()}")
# While uWSGI loads the application, no thread is started: it would block its workers.
# So this delivers, here and now, what was enqueued until now.
sender.flush()


def app(environ, start_response):
    message = f"{environ['PATH_INFO']} in {os.getpid()}"
    report(message)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [message.encode()]
