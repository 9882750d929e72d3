"""A web server that forks, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 40.0


#: gunicorn reads it in the folder where it starts. What it says by itself, "Booting worker", is
#: said before a worker heeds signals: one that SIGTERM meets there waits until it is killed.
GUNICORN_CONFIG = """
def post_worker_init(worker):
    worker.log.info("worker ready")
"""

#: Two workers of the module whose name follows. At SIGTERM, requests are finished first: in a
#: worker that has one, uWSGI otherwise skips Python's exit handlers. And an answer is received
#: before its request is over.
UWSGI = [sys.executable, "-c", "import pyuwsgi; pyuwsgi.run()", "--master", "--enable-threads"]
UWSGI += ["--processes", "2", "--need-app", "--http-socket", "127.0.0.1:0"]
UWSGI += ["--hook-accepting", "print:worker ready"]
UWSGI += ["--hook-master-start", "unix_signal:15 gracefully_kill_them_all", "--module"]


@contextmanager
def running(
    command: list[str], folder: Path, workers: int = 2, **environ: str
) -> Iterator[tuple[Any, int]]:
    """A server process and the port that it chose, once so many workers are ready."""
    (folder / "gunicorn.conf.py").write_text(GUNICORN_CONFIG)
    path = os.pathsep.join([str(folder), *sys.path])
    log = folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path, **environ},
            stdout=output,
            stderr=output,
        )
    try:
        until = time.monotonic() + PATIENCE
        # A process that is ended while it loads the application would show a traceback.
        while len(re.findall(r"worker ready$", log.read_text(), re.MULTILINE)) < workers:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.02)
        port = re.search(r"127\.0\.0\.1:([1-9]\d*)", log.read_text())
        assert port
        yield server, int(port[1])
    finally:
        server.kill()
        server.wait()
