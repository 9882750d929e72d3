"""The recipe for Celery's prefork pool."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from running_recipes import PATIENCE, environ_for, messages
from servers import Arrived, RecordingServer

pytestmark = pytest.mark.interop

CONFIG = """
broker_url = "filesystem://"
broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue"}
worker_hijack_root_logger = False
"""
SIX_TASKS = """
from celery_app import charge
for order in range(6):
    charge.delay(order)
"""


def test_processes_that_end_after_each_task_deliver_what_it_enqueued(tmp_path: Path) -> None:
    pytest.importorskip("celery")
    (tmp_path / "celeryconfig.py").write_text(CONFIG)
    (tmp_path / "queue").mkdir()
    command = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "--pool", "prefork"]
    command += ["-c", "2", "--max-tasks-per-child", "1"]
    command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    wanted = [f"order {order}" for order in range(6)]

    def all_here(requests: list[Arrived]) -> bool:
        return len([e for request in requests for e in request.elements]) >= len(wanted)

    with RecordingServer() as intake, (tmp_path / "log").open("wb") as log:
        environ = {**environ_for(intake.url), "C_FORCE_ROOT": "1"}
        environ["PYTHONPATH"] += f":{tmp_path}"
        subprocess.run(
            [sys.executable, "-c", SIX_TASKS],
            cwd=tmp_path,
            env=environ,
            timeout=PATIENCE,
            check=True,
        )
        worker = subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=log, stderr=log)
        try:
            intake.wait_for(all_here)
            worker.send_signal(signal.SIGTERM)
            worker.wait(PATIENCE)
        finally:
            worker.kill()
            worker.wait()
        assert sorted(messages(intake.elements())) == wanted, (tmp_path / "log").read_text()
