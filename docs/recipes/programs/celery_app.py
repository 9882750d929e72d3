"""celery -A celery_app worker --pool prefork"""

from celery import Celery
from celery.signals import worker_process_shutdown

from livedebug_sender import Sender, Track

# Created before Celery forks; each of its processes starts with an empty queue.
sender = Sender.from_env()
app = Celery("celery_app")
app.config_from_object("celeryconfig")


@worker_process_shutdown.connect
def deliver(**_):
    # Celery ends its processes without the interpreter's exit handlers.
    sender.close()


@app.task
def charge(order):
    message = f"order {order}"
    sender.enqueue(Track.LOGS, {"service": "shop", "message": message, "debugger": {}})
