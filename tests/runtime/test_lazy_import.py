"""Late imports: by name, whole, in step with forks, and without a trace in the host.

In processes of their own, whose `sys.modules` may be spoilt.
"""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
import time
from pathlib import Path

import pytest
from programs import run
from servers import RecordingServer

#: `slow_down(name, act)`: the module's body is preceded by `act()`, once.
SLOW = """
import importlib.machinery, threading
begun = threading.Event()

class SlowDown:
    def __init__(self, name, act):
        self.name, self.act = name, act
        sys.meta_path.insert(0, self)

    def find_spec(self, name, path=None, target=None):
        if name != self.name or begun.is_set():
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module
        def exec_module(module):
            begun.set()
            self.act()
            execute(module)
        spec.loader.exec_module = exec_module
        return spec
"""
INDENTED_SLOW = SLOW.strip().replace("\n", "\n        ")


def test_a_host_that_drops_threading_ends_and_gets_a_threading_of_its_own() -> None:
    with RecordingServer() as intake:
        script = """
            import threading as first
            for name in ("threading", "concurrent.futures", "signal", "asyncio"):
                sys.modules.pop(name, None)
            sender.enqueue("logs", b"{}")
            import threading
            assert threading is not first
            assert sender.flush(20)
            assert threading.main_thread().ident == first.main_thread().ident
        """
        done = run(script, intake.url, timeout=20)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(intake.elements()) == 1


@pytest.mark.waits
@pytest.mark.parametrize("lives", [0, 2.5])
def test_a_program_that_has_dropped_threading_for_good_ends_and_delivers(lives: float) -> None:
    with RecordingServer() as intake:
        script = f"""
            sys.modules.pop("threading")
            sender.enqueue("logs", b"{{}}")
            time.sleep({lives})
        """
        done = run(script, intake.url, timeout=20)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(intake.elements()) == 1


def test_modules_dropped_in_the_middle_of_the_import_are_put_back_as_they_were() -> None:
    script = """
        import threading
        class DropInTheMiddle:
            def find_spec(self, name, path=None, target=None):
                if name == "urllib3.util.retry":
                    for one in [n for n in sys.modules if n.split(".")[0] in DROPPED]:
                        if not getattr(sys.modules[one].__spec__, "_initializing", False):
                            del sys.modules[one]
        DROPPED = ("threading", "queue", "socket", "ssl", "logging", "urllib3")
        sys.meta_path.insert(0, DropInTheMiddle())
        sender.enqueue("logs", b"{}")
        assert sender.flush(20), sender.stats()
        import urllib3.exceptions, requests.exceptions
        assert sys.modules["threading"] is threading
        assert sys.modules["urllib3.poolmanager"].MaxRetryError is urllib3.exceptions.MaxRetryError
        assert threading.__spec__.origin, threading.__spec__
    """
    with RecordingServer() as intake:
        done = run(script, intake.url, timeout=20)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(intake.elements()) == 1


def test_a_second_copy_of_the_package_and_the_first_deliver_each_by_itself() -> None:
    script = """
        first = {n: m for n, m in sys.modules.items() if n.startswith("livedebug_sender")}
        for name in first:
            del sys.modules[name]
        import livedebug_sender as second
        assert second is not first["livedebug_sender"]
        config = second.SenderConfig()
        config.set_endpoint(second.Endpoint(sys.argv[1]))
        other = second.Sender(config)
        assert sender.enqueue("logs", {"n": 1})
        assert other.enqueue("logs", {"n": 2})
        assert sender.flush(20) and other.flush(20)
        assert sys.modules["livedebug_sender"] is second
        assert sys.modules["livedebug_sender.errors"].ConfigError is second.ConfigError
    """
    with RecordingServer() as intake:
        done = run(script, intake.url, timeout=20)
        assert (done.returncode, done.stderr) == (0, "")
        assert sorted(e["n"] for e in intake.elements()) == [1, 2]


def test_an_import_that_fails_half_way_is_tried_again() -> None:
    script = """
        class FailOnce:
            failed = False
            def find_spec(self, name, path=None, target=None):
                if name == "urllib3.util.retry" and not self.failed:
                    self.failed = True
                    raise OSError("too many open files")
        sys.meta_path.insert(0, FailOnce())
        sender.enqueue("logs", b"{}")
        assert sender.flush(20), sender.stats()
    """
    with RecordingServer() as intake:
        done = run(script, intake.url, timeout=30)
        assert "Traceback" not in done.stderr
        assert len(intake.elements()) == 1


@pytest.mark.waits
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("slow", ["requests.sessions", "urllib3.util.retry"])
def test_a_child_forked_in_the_middle_of_an_import_that_takes_long_delivers(slow: str) -> None:
    script = f"""
        {INDENTED_SLOW}
        from livedebug_sender.runtime import lazy_import
        assert lazy_import.FORK_WAITS <= 3  # seconds for which it may hold up a fork
        lazy_import.FORK_WAITS = 0.2
        over = threading.Event()
        SlowDown({slow!r}, lambda: over.wait(60))
        sender.enqueue("logs", {{"n": 1}})
        assert begun.wait(20)
        pid = os.fork()
        if pid == 0:
            ok = sender.enqueue("logs", {{"n": 2}}) and sender.flush(20)
            import requests
            os._exit(0 if ok and requests.Session else 1)
        assert os.waitpid(pid, 0)[1] == 0
        over.set()
        assert sender.close(20)
    """
    with RecordingServer() as intake:
        start = time.monotonic()
        done = run(script, intake.url, timeout=60)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
        assert sorted(e["n"] for e in intake.elements()) == [1, 2]
        assert time.monotonic() - start < 30


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_fork_in_the_middle_of_an_import_waits_for_its_end() -> None:
    script = f"""
        {INDENTED_SLOW}
        SlowDown("urllib3.util.retry", lambda: time.sleep(0.5))
        sender.enqueue("logs", {{"n": 1}})
        assert begun.wait(20)
        pid = os.fork()
        if pid == 0:  # a copy of the parent at the moment of the fork
            module = sys.modules.get("urllib3.util.retry")
            os._exit(0 if hasattr(module, "Retry") and "requests.sessions" in sys.modules else 1)
        assert os.waitpid(pid, 0)[1] == 0
    """
    with RecordingServer() as intake:
        done = run(script, intake.url, timeout=60)
    assert (done.returncode, "Error" in done.stderr) == (0, False), done.stderr


@pytest.mark.skipif(sys.version_info < (3, 12), reason="an older Python starts threads there")
def test_a_first_import_at_the_exit_is_made_on_the_main_thread() -> None:
    with RecordingServer() as intake:
        script = """
            import atexit
            sys.modules.pop("threading")
            atexit.register(sender.enqueue, "logs", b"{}")
        """
        done = run(script, intake.url, timeout=20)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(intake.elements()) == 1


@pytest.mark.waits
@pytest.mark.skipif(sys.version_info < (3, 12), reason="an older Python makes executors there")
def test_two_threads_whose_import_fails_at_the_exit_leave_no_traceback() -> None:
    """As that of executors does, when a batch and the exit come to need one at once."""
    script = f"""
        {INDENTED_SLOW}
        def until_the_exit_needs_it_too():
            main, files = threading.main_thread().ident, []
            while "lazy_import.py" not in files:
                time.sleep(0.01)
                frame, files = sys._current_frames()[main], []
                while frame is not None:
                    files.append(os.path.basename(frame.f_code.co_filename))
                    frame = frame.f_back
            time.sleep(0.1)
        SlowDown("concurrent.futures.thread", until_the_exit_needs_it_too)
        alone = SenderConfig()
        alone.set_endpoint(Endpoint(sys.argv[1]))
        first = Sender(alone)
        assert first.enqueue("logs", b"{{}}") and first.flush(20)  # all else is imported now
        sender = Sender(config, linger=600, shutdown_timeout=1.0)
        sender.enqueue("logs", b"{{}}")
        while "livedebug-logs" not in [thread.name for thread in threading.enumerate()]:
            time.sleep(0.01)
    """
    with RecordingServer() as intake, RecordingServer() as second:
        done = run(script, intake.url, second.url, timeout=60)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_importlib_has_the_private_names_that_a_fork_in_the_middle_of_an_import_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `lazy_import._start_anew` takes out what is half loaded, and the locks of that. Without
    # these names a child may wait for ever: find out what took their place.
    locks = vars(sys.modules["_frozen_importlib"]).get("_module_locks")
    assert isinstance(locks, dict), "importlib keeps its locks elsewhere than in _module_locks"
    body = """
        import sys
        initializing = getattr(sys.modules[__name__].__spec__, "_initializing", None)
        locked = __name__ in sys.modules["_frozen_importlib"]._module_locks
    """
    (tmp_path / "looks_at_itself.py").write_text(textwrap.dedent(body))
    monkeypatch.syspath_prepend(tmp_path)
    loaded = importlib.import_module("looks_at_itself")
    assert loaded.initializing is True, "_initializing no longer marks what is half loaded"
    assert loaded.locked, "_module_locks no longer has a lock for each module under way"
