"""Look-ups of names where no thread can be started, as at interpreter shutdown."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from network_servers import NameServer
from programs import run
from servers import RecordingServer

from livedebug_sender.transport.deadline import RequestDeadline
from livedebug_sender.transport.failures import NoSuchHost
from livedebug_sender.transport.name_resolution import NativeLookUp, Resolver, glibc_look_up

#: Kept for what should be at once, on a machine that is busy.
SLACK = 8.0

with_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")


class Native:
    """In the place of glibc's look-up: over once it may be."""

    def __init__(self) -> None:
        self.is_over = threading.Event()
        self.started = 0

    def __call__(self, host: str) -> NativeLookUp:
        self.started += 1
        return self

    def wait(self, seconds: float) -> bool:
        return self.is_over.wait(seconds)


def no_native(host: str) -> NativeLookUp:
    raise OSError


def no_thread(run: Any, name: str) -> bool:
    return False


def resolve(resolver: Resolver, host: str, timeout: float = 10.0) -> list[Any]:
    deadline = RequestDeadline()
    return resolver.resolve(host, 80, deadline, deadline.until(timeout))


def test_a_name_server_that_stalls_holds_the_caller_no_longer_than_its_request() -> None:
    name_server, native = NameServer(), Native()
    name_server.answers.set()
    resolver = Resolver(name_server, no_thread, native)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            resolve(resolver, "stalls.test", 0.01)
    assert (name_server.asked, native.started) == ([], 1)
    native.is_over.set()
    assert resolve(resolver, "stalls.test")
    assert (name_server.asked, native.started) == (["stalls.test"], 1)
    assert resolve(resolver, "stalls.test")
    assert native.started == 2


def test_an_abort_ends_the_wait() -> None:
    resolver = Resolver(NameServer(), no_thread, Native())
    deadline = RequestDeadline()
    timer = threading.Timer(0.05, deadline.abort)
    timer.start()
    with pytest.raises(ConnectionAbortedError):
        resolver.resolve("stalls.test", 80, deadline, deadline.until(60))
    timer.join()


def test_where_nothing_bounds_it_a_look_up_that_took_too_long_is_not_repeated() -> None:
    asked: list[str] = []

    def slow(host: str, port: int) -> list[Any]:
        asked.append(host)
        time.sleep(0.02)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    resolver = Resolver(slow, no_thread, no_native)
    with pytest.raises(NoSuchHost):
        resolve(resolver, "stalls.test", 0.01)
    with pytest.raises(TimeoutError):
        resolve(resolver, "stalls.test")
    assert asked == ["stalls.test"]
    with pytest.raises(NoSuchHost):
        resolve(resolver, "other.test")


def test_addresses_that_came_too_late_are_used_by_the_next_request() -> None:
    asked: list[str] = []

    def slow(host: str, port: int) -> list[Any]:
        asked.append(host)
        time.sleep(0.02)
        return [host]

    resolver = Resolver(slow, no_thread, no_native)
    resolve(resolver, "slow.test", 0.01)
    assert resolve(resolver, "slow.test") == ["slow.test"]
    assert asked == ["slow.test"]


@with_glibc
@pytest.mark.parametrize("host", ["localhost", "no-such-host.invalid", "b\u00fccher.invalid"])
def test_glibc_gets_an_answer_on_a_thread_of_its_own(host: str) -> None:
    if host.endswith(".invalid"):
        begun = time.monotonic()
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo(host, 80)
        if time.monotonic() - begun > 1:
            pytest.skip("there is no name server")
    threads = threading.active_count()
    look_up = glibc_look_up(host)
    while not look_up.wait(1.0):
        pass
    assert look_up.wait(0)  # it stays over
    assert threading.active_count() == threads


@with_glibc
def test_what_can_not_be_a_name_is_no_look_up() -> None:
    with pytest.raises(UnicodeError):
        glibc_look_up("a..b")


@with_glibc
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_does_not_wait_for_a_thread_of_its_parents() -> None:
    look_up = glibc_look_up("localhost")
    pid = os.fork()
    if pid == 0:
        try:
            glibc_look_up("localhost")
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    while not look_up.wait(1.0):
        pass


def test_a_first_enqueue_in_an_exit_handler_to_a_host_by_name_is_delivered() -> None:
    with RecordingServer() as intake:
        script = """
            import atexit
            def last_words():
                assert sender.enqueue("logs", b"{}")
                assert sender.flush()
            atexit.register(last_words)
        """
        done = run(script, intake.url.replace("127.0.0.1", "localhost"))
        assert done.stderr == ""
        assert len(intake.posts) == 1


#: Run in namespaces of its own for mounts and networks, where it is the name server, and answers
#: nothing; it prints how long a program took from its exit on.
_NETWORK = """
    import fcntl, os, socket, struct, subprocess, sys, time
    with socket.socket() as any_socket:  # the loopback is down at first
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))
    name_server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    name_server.bind(("127.0.0.1", 53))
    config, program = sys.argv[1:]
    subprocess.run(["mount", "--bind", config, "/etc/resolv.conf"], check=True)
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert done.returncode == 0
    print(time.monotonic() - float(done.stdout))
    name_server.setblocking(False)
    assert name_server.recv(1000)  # it was asked
"""
_PROGRAM = """
    import atexit, time
    from livedebug_sender import Endpoint, Sender, SenderConfig
    def last_words():
        print(time.monotonic())
        for sender in senders:
            for track in ("logs", "snapshots", "diagnostics"):
                assert sender.enqueue(track, b"{}")
    senders = []
    for name in ("one", "two"):
        config = SenderConfig()
        config.set_endpoint(Endpoint(f"http://{name}.stalls.test"))
        config.add_additional_debugger_endpoint(Endpoint(f"http://{name}.stalls-too.test"))
        senders.append(Sender(config, shutdown_timeout=2))
    atexit.register(last_words)
"""


@pytest.mark.waits
@with_glibc
@pytest.mark.skipif(sys.platform != "linux", reason="there are no namespaces")
@pytest.mark.parametrize(
    "patched", ["", "from gevent import monkey; monkey.patch_all()\n"], ids=["plain", "gevent"]
)
def test_a_first_enqueue_in_an_exit_handler_holds_no_exit_though_the_name_server_stalls(
    patched: str, tmp_path: Path
) -> None:
    if patched:
        pytest.importorskip("gevent")
    unshared = ["unshare", "--map-root-user", "--mount", "--net"]
    try:
        subprocess.run([*unshared, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no namespaces of one's own: {error}")
    config = tmp_path / "resolv.conf"
    config.write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:1\n")
    done = subprocess.run(
        [*unshared, sys.executable, "-c", textwrap.dedent(_NETWORK), config,
         patched + textwrap.dedent(_PROGRAM)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        check=True,
    )  # fmt: skip
    assert float(done.stdout) < 2 * 2 + SLACK
