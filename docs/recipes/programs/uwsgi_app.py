"""uwsgi --master --processes 4 --enable-threads --module uwsgi_app:app"""

import os

from livedebug_sender import Sender, Track

sender = Sender.from_env()


def report(message):
    sender.enqueue(Track.LOGS, {"service": "shop", "message": message, "debugger": {}})


report(f"loaded in {os.getpid()}")
# While uWSGI loads the application, no thread is started, since it would block the workers.
# So this call itself delivers what was enqueued so far.
sender.flush()


def app(environ, start_response):
    message = f"{environ['PATH_INFO']} in {os.getpid()}"
    report(message)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [message.encode()]
