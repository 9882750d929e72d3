"""Ends of processes, in processes of their own: what was enqueued arrives, once."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from programs import run
from servers import RawServer, RecordingServer, drip, hang


def test_threads_that_go_on_after_the_main_thread_deliver_too() -> None:
    with RecordingServer() as intake, RecordingServer() as second:
        script = """
            import threading
            def go_on():
                threading.main_thread().join()
                for n in range(50):
                    assert sender.enqueue("logs", {"n": n})
            threading.Thread(target=go_on).start()
        """
        done = run(script, intake.url, second.url)
        assert done.stderr == ""
        assert intake.elements() == second.elements() == [{"n": n} for n in range(50)]


def test_ctrl_c_ends_the_program_and_not_the_delivery() -> None:
    with RecordingServer() as intake:
        script = """
            import signal
            for n in range(50):
                sender.enqueue("logs", {"n": n})
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
        """
        done = run(script, intake.url)
        assert done.stderr.rstrip().endswith("KeyboardInterrupt")
        assert intake.elements() == [{"n": n} for n in range(50)]


def test_a_first_enqueue_in_an_exit_handler_is_delivered_without_a_flush() -> None:
    with RecordingServer() as intake, RecordingServer() as second:
        script = """
            import atexit
            atexit.register(lambda: sender.enqueue("logs", {"n": 1}))
        """
        done = run(script, intake.url, second.url)
        assert done.stderr == ""
        assert intake.elements() == second.elements() == [{"n": 1}]


def test_at_a_thread_limit_the_exit_delivers() -> None:
    with RecordingServer() as intake, RecordingServer() as second:
        script = """
            import _thread
            def refuse(*args):
                raise RuntimeError("can't start new thread")
            _thread.start_new_thread = refuse
            for track in ("logs", "diagnostics"):
                assert sender.enqueue(track, {"n": track})
        """
        done = run(script, intake.url, second.url)
        assert done.stderr == ""
        for server in (intake, second):
            assert sorted(e["n"] for e in server.elements()) == ["diagnostics", "logs"]


@pytest.mark.parametrize("fault", [hang, drip])
def test_a_stuck_intake_delays_the_exit_by_the_timeout_and_leaves_no_traceback(fault: Any) -> None:
    with RawServer(fault) as intake:
        script = """
            sender = Sender(config, shutdown_timeout=0.5)
            sender.enqueue("logs", b"{}")
        """
        start = time.monotonic()
        done = run(script, intake.url)
        assert time.monotonic() - start < 20
        assert done.returncode == 0
        assert "Traceback" not in done.stderr
        assert "shutdown" in done.stderr  # the log says what was lost


def test_an_intake_in_trouble_delays_the_exit_by_the_timeout() -> None:
    with RecordingServer(503) as intake:
        script = """
            sender = Sender(config, shutdown_timeout=0.5)
            sender.enqueue("logs", b"{}")
        """
        start = time.monotonic()
        done = run(script, intake.url)
        assert time.monotonic() - start < 20
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("pool", ["multiprocessing", "concurrent.futures"])
def test_workers_of_a_pool_deliver_at_their_end(pool: str) -> None:
    with RecordingServer() as intake:
        script = """
            import multiprocessing
            from concurrent.futures import ProcessPoolExecutor
            def work(n):
                assert sender.enqueue("logs", {"n": n})
            context = multiprocessing.get_context("fork")
            if POOL == "multiprocessing":
                with context.Pool(2) as pool:
                    pool.map(work, range(20))
                    pool.close()
                    pool.join()
            else:
                with ProcessPoolExecutor(2, mp_context=context) as pool:
                    list(pool.map(work, range(20)))
        """
        done = run(script.replace("POOL", repr(pool)), intake.url)
        assert "Error" not in done.stderr, done.stderr
        assert sorted(e["n"] for e in intake.elements()) == list(range(20))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_collecting_a_closed_sender_in_a_child_of_multiprocessing_closes_no_other(
    method: str, tmp_path: Path
) -> None:
    with RecordingServer() as intake:
        script = f"""
            import gc, multiprocessing
            def work(url):
                config = SenderConfig()
                config.set_endpoint(Endpoint(url))
                stays, goes = Sender(config), Sender(config)
                assert goes.enqueue("logs", {{"n": 1}}) and goes.close(20)
                del goes
                gc.collect()
                assert stays.enqueue("logs", {{"n": 2}}), stays.stats()
            if __name__ == "__main__":
                context = multiprocessing.get_context({method!r})
                child = context.Process(target=work, args=sys.argv[1:2])
                child.start()
                child.join()
                assert child.exitcode == 0
        """
        head = "import sys\nfrom livedebug_sender import *\n"
        (tmp_path / "program.py").write_text(head + textwrap.dedent(script))
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        command = [sys.executable, str(tmp_path / "program.py"), intake.url]
        subprocess.run(command, env=environ, timeout=60, check=True)
        assert sorted(e["n"] for e in intake.elements()) == [1, 2]


@pytest.mark.parametrize("ending", ["sys.exit(0)", "sender.close(20); os._exit(0)", "pass"])
def test_forks_of_forks_deliver_their_own_once(ending: str) -> None:
    with RecordingServer() as intake:
        script = f"""
            def descend(depth):
                assert sender.enqueue("logs", {{"n": depth}})
                if depth == 3:
                    return
                pid = os.fork()
                if pid == 0:
                    assert sender.stats().enqueued == 0
                    descend(depth + 1)
                    {ending}
                else:
                    assert os.waitpid(pid, 0)[1] == 0
            descend(0)
        """
        done = run(script, intake.url)
        assert "Error" not in done.stderr, done.stderr
        assert sorted(e["n"] for e in intake.elements()) == [0, 1, 2, 3]


def test_forks_while_other_threads_enqueue_and_workers_deliver_leave_no_lock_taken() -> None:
    with RecordingServer() as intake:
        script = """
            import threading
            over = threading.Event()
            def flood(track):
                while not over.is_set():
                    sender.enqueue(track, b"{}")
                    time.sleep(0.0005)
            floods = [threading.Thread(target=flood, args=(t,)) for t in ("logs", "diagnostics")]
            for one in floods: one.start()
            for n in range(40):
                pid = os.fork()
                if pid == 0:
                    ok = sender.enqueue("logs", {"n": n}) and sender.flush(20)
                    ok = ok and config.downgrade_to_diagnostics_endpoint()
                    os._exit(0 if ok and sender.stats().delivered == 1 else 1)
                assert os.waitpid(pid, 0)[1] == 0, n
            over.set()
            for one in floods: one.join()
            assert sender.close(20)
            stats = sender.stats()
            assert stats.enqueued == stats.delivered
        """
        done = run(script, intake.url, timeout=100)
        assert "Error" not in done.stderr, done.stderr
        assert sorted(e["n"] for e in intake.elements() if e) == list(range(40))
