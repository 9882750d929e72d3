"""`flush`, `close`, the interpreter's exit, forks, and life without threads."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from programs import run
from servers import RawServer, RecordingServer, drip, hang
from waiting import until

from livedebug_sender import Endpoint, Sender
from livedebug_sender.runtime import threads

Make = Callable[..., Sender]
NOBODY = "http://127.0.0.1:9"


def test_flush_is_true_when_there_is_nothing_to_do(make_sender: Make) -> None:
    assert make_sender(NOBODY).flush(0)


def test_flush_is_false_when_the_time_is_over_and_not_later(make_sender: Make) -> None:
    with RawServer(hang) as intake:
        sender = make_sender(intake.url, timeout=30)
        sender.enqueue("logs", b"{}")
        start = time.monotonic()
        assert sender.flush(0.2) is False
        assert time.monotonic() - start < 8
        assert sender.stats().pending == 1


def test_flush_waits_only_for_what_was_enqueued_before_it(make_sender: Make) -> None:
    with RecordingServer() as intake:
        sender = make_sender(intake.url, linger=0)
        over = threading.Event()

        def feed() -> None:
            while not over.is_set():
                sender.enqueue("logs", b"{}")
                time.sleep(0.0002)

        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            intake.wait_for(1)
            assert sender.flush(10)
        finally:
            over.set()
            feeder.join()


def test_close_delivers_then_takes_no_more(make_sender: Make) -> None:
    with RecordingServer() as intake:
        sender = make_sender(intake.url, linger=600)
        sender.enqueue("logs", b"{}")
        assert sender.close(10)
        assert sender.close(10)
        assert sender.enqueue("logs", b"{}") is False
        stats = sender.stats()
        assert (stats.delivered, stats.dropped) == (1, {"closed": 1})
        assert len(intake.posts) == 1


def test_closing_ends_the_threads(make_sender: Make) -> None:
    def ours() -> list[threading.Thread]:
        return [t for t in threading.enumerate() if t.name.startswith("livedebug-")]

    with RecordingServer() as intake:
        before = ours()
        sender = make_sender(intake.url, additional=(Endpoint(intake.url),))
        sender.enqueue("logs", b"{}")
        sender.enqueue("diagnostics", b"{}")
        assert sender.close(10)
        assert until(lambda: len(ours()) <= len(before))


def test_what_can_not_be_sent_in_time_is_counted_as_shutdown(make_sender: Make) -> None:
    with RawServer(hang) as intake:
        sender = make_sender(intake.url, timeout=30, max_batch_items=2)
        for _ in range(5):
            sender.enqueue("logs", b"{}")
        assert intake.arrived.wait(10)
        start = time.monotonic()
        assert sender.close(0.3) is False
        assert time.monotonic() - start < 8
        stats = sender.stats()
        assert (stats.enqueued, stats.pending, stats.dropped) == (5, 0, {"shutdown": 5})
        assert stats.pending_bytes == 0


def test_a_closing_sender_makes_one_last_try_instead_of_waiting(make_sender: Make) -> None:
    answers = [503]
    with RecordingServer(lambda _: answers[0]) as intake:
        from servers import Reply

        intake.answer = lambda _: Reply(answers[0], {"Retry-After": "100"})
        sender = make_sender(intake.url)
        sender.enqueue("logs", b"{}")
        assert not sender.flush(0.2)
        answers[0] = 202
        assert sender.close(5)
        assert sender.stats().delivered == 1


def test_the_context_manager_closes(make_sender: Make) -> None:
    with RecordingServer() as intake:
        with make_sender(intake.url) as sender:
            sender.enqueue("logs", b"{}")
        assert sender.stats().delivered == 1
        assert not sender.enqueue("logs", b"{}")


def test_a_sender_let_go_of_delivers_what_it_holds(make_sender: Make) -> None:
    from livedebug_sender import SenderConfig

    with RecordingServer() as intake:
        config = SenderConfig()
        config.set_endpoint(Endpoint(intake.url))
        sender = Sender(config)
        sender.enqueue("logs", b"{}")
        del sender
        intake.wait_for(1)


@pytest.fixture
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of ours; servers and executors start theirs in another way."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)


@pytest.mark.usefixtures("_no_threads")
def test_without_threads_flush_and_close_do_the_work(make_sender: Make) -> None:
    with RecordingServer() as intake, RecordingServer() as second:
        sender = make_sender(intake.url, additional=(Endpoint(second.url),))
        for track in ("logs", "snapshots", "diagnostics"):
            assert sender.enqueue(track, b"{}")
        assert sender.flush(10)
        assert sender.stats().delivered == 3
        sender.enqueue("logs", b"{}")
        assert sender.close(10)
        assert sender.stats().delivered == 4
        assert len(second.posts) == 4


@pytest.mark.usefixtures("_no_threads")
def test_without_threads_a_stuck_track_takes_its_share_of_the_time_and_no_more(
    make_sender: Make,
) -> None:
    with RawServer(hang) as stuck, RecordingServer() as intake:
        sender = make_sender(stuck.url, symdb=intake.url, timeout=60)
        sender.enqueue("logs", b"{}")
        sender.enqueue("symdb", b"x", content_type="a/b")
        start = time.monotonic()
        assert sender.close(1.0) is False
        assert time.monotonic() - start < 8
        stats = sender.stats()
        assert (stats.delivered, stats.dropped) == (1, {"shutdown": 1})


def test_where_no_thread_can_be_started_start_thread_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    assert threads.start_thread(lambda: None, "x") is False


def test_the_last_thread_to_be_had_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert threads.start_thread(done.set, "x")
    assert done.wait(10)


@pytest.mark.parametrize(
    "ending",
    ["", "sys.exit(3)", "raise RuntimeError('on purpose')",
     "import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); "
     "os.kill(os.getpid(), signal.SIGTERM)"],
    ids=["normal end", "sys.exit", "unhandled exception", "SIGTERM"],
)  # fmt: skip
def test_a_forgotten_sender_delivers_at_exit_to_all_endpoints(ending: str) -> None:
    with RecordingServer() as intake, RecordingServer() as second:
        script = f"for n in range(20): sender.enqueue('logs', {{'n': n}})\n{ending}"
        done = run(script, intake.url, second.url)
        assert intake.elements() == second.elements() == [{"n": n} for n in range(20)]
        assert "livedebug" not in done.stderr.replace("livedebug_sender import", "")


def test_a_hanging_intake_delays_the_exit_by_the_shutdown_timeout_and_no_more() -> None:
    with RawServer(hang) as intake, RawServer(hang) as second:
        script = """
            senders = [Sender(config, shutdown_timeout=0.5) for _ in range(12)]
            for sender in senders:
                sender.enqueue("logs", b"{}")
            import atexit, time
            start = time.monotonic()
            from livedebug_sender.runtime import shutdown as lifecycle
            atexit.unregister(lifecycle.close_all)
            atexit.register(lambda: print(time.monotonic() - start))
            atexit.register(lifecycle.close_all)
        """
        done = run(script, intake.url, second.url)
        assert "Traceback" not in done.stderr
        assert 0.3 < float(done.stdout) < 5  # not one after the other


@pytest.mark.waits
@pytest.mark.parametrize("fault", [hang, drip])
def test_a_stuck_additional_endpoint_does_not_hold_the_exit_past_the_timeout(fault: Any) -> None:
    with RecordingServer() as intake, RawServer(fault) as stuck:
        script = """
            config.add_additional_debugger_endpoint(Endpoint(os.environ["STUCK"], timeout=50))
            sender = Sender(config, shutdown_timeout=0.5)
            sender.enqueue("logs", b"{}")
            sender.flush(10)
            time.sleep(0.2)
        """
        start = time.monotonic()
        done = run(script.replace('os.environ["STUCK"]', repr(stuck.url)), intake.url)
        assert time.monotonic() - start < 15
        assert "Traceback" not in done.stderr
        assert len(intake.posts) == 1


def test_a_first_enqueue_in_an_exit_handler_is_delivered_by_flush() -> None:
    with RecordingServer() as intake, RecordingServer() as second:
        script = """
            import atexit
            def last_words():
                assert sender.enqueue("logs", b"{}")
                assert sender.flush()
            atexit.register(last_words)
        """
        done = run(script, intake.url, second.url)
        assert done.stderr == ""
        assert (len(intake.posts), len(second.posts)) == (1, 1)


def test_nothing_heavy_is_loaded_by_the_import_nor_by_enqueue_in_the_callers_thread() -> None:
    script = """
        heavy = {"requests", "urllib3", "tenacity", "ssl", "concurrent.futures"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
        assert sender.stats().enqueued == 0
        assert not heavy & set(sys.modules)
    """
    assert run(script, NOBODY).stderr == ""


def test_a_fork_starts_afresh_and_each_process_delivers_its_own() -> None:
    with RecordingServer() as intake:
        script = """
            sender.enqueue("logs", {"from": "parent"})
            pid = os.fork()
            if pid == 0:
                assert sender.stats() == Stats(), sender.stats()
                sender.enqueue("logs", {"from": "child"})
                assert sender.flush(10)
                assert sender.stats().delivered == 1
                sys.exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            assert sender.flush(10)
            assert sender.stats().delivered == 1
        """
        done = run(script, intake.url)
        assert "Error" not in done.stderr, done.stderr
        assert sorted(e["from"] for e in intake.elements()) == ["child", "parent"]


def test_forks_while_the_worker_is_busy_or_importing_leave_the_child_whole() -> None:
    with RecordingServer() as intake:
        script = """
            for round in range(30):
                sender.enqueue("logs", {"from": 0})
                time.sleep(0.01)
                pid = os.fork()
                if pid == 0:
                    sender.enqueue("logs", {"from": 1})
                    os._exit(0 if sender.flush(10) else 1)
                assert os.waitpid(pid, 0)[1] == 0, round
            assert sender.flush(10)
        """
        done = run(script, intake.url)
        assert "Error" not in done.stderr, done.stderr
        froms = [e["from"] for e in intake.elements()]
        assert (froms.count(0), froms.count(1)) == (30, 30)


def test_multiprocessing_children_deliver_at_their_end() -> None:
    with RecordingServer() as intake:
        script = """
            import multiprocessing
            def work(n):
                sender.enqueue("logs", {"n": n})
            context = multiprocessing.get_context("fork")
            children = [context.Process(target=work, args=(n,)) for n in range(4)]
            for child in children: child.start()
            for child in children: child.join()
        """
        done = run(script, intake.url)
        assert "Error" not in done.stderr, done.stderr
        assert sorted(e["n"] for e in intake.elements()) == [0, 1, 2, 3]


@pytest.mark.waits
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")
def test_an_idle_sender_does_not_wake_up(make_sender: Make) -> None:
    def waits() -> dict[str, str]:
        """How often each thread of the senders gave up its processor to wait."""
        found = {}
        for thread in threading.enumerate():
            if thread.name.startswith("livedebug-"):
                status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
                found[thread.name] = status.split("voluntary_ctxt_switches:")[1].split()[0]
        return found

    with RecordingServer() as intake:
        sender = make_sender(intake.url)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        end = time.monotonic() + 20
        while (before := waits()) != (time.sleep(1.0), waits())[1] and time.monotonic() < end:
            pass
        time.sleep(0.5)
        assert "livedebug-logs" in before
        assert waits() == before
        assert len(intake.posts) == 1
