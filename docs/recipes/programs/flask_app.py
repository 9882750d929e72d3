"""gunicorn --preload -w 4 flask_app:app"""

import os

from flask import Flask

from livedebug_sender import Sender, Track

# Created in gunicorn's master, before it forks. Each worker gets its own queue, threads and
# connections. No gunicorn hook is needed.
sender = Sender.from_env()
app = Flask(__name__)


@app.get("/orders/<int:number>")
def order(number):
    message = f"order {number} in {os.getpid()}"
    sender.enqueue(Track.LOGS, {"service": "shop", "message": message, "debugger": {}})
    return message
