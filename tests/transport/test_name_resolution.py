"""Look-ups of names that take for ever."""

from __future__ import annotations

import codecs
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from network_servers import NameServer
from sample_requests import request_to
from servers import RecordingServer
from waiting import until

from livedebug_sender import Sender
from livedebug_sender.transport.deadline import RequestDeadline
from livedebug_sender.transport.failures import NoSuchHost
from livedebug_sender.transport.name_resolution import MAX_UNDER_WAY, Resolver
from livedebug_sender.transport.response import NoResponse, TimedOut
from livedebug_sender.transport.transport import Transport

#: Kept for what should be at once, on a machine that is busy.
SLACK = 8.0


@pytest.fixture
def name_server() -> Iterator[NameServer]:
    server = NameServer()
    yield server
    server.answers.set()


def resolve(resolver: Resolver, host: str, timeout: float = 10.0) -> list[Any]:
    deadline = RequestDeadline()
    return resolver.resolve(host, 80, deadline, deadline.until(timeout))


@pytest.mark.parametrize("by", ["timeout", "deadline"])
def test_a_look_up_never_holds_a_request_past_its_time(name_server: NameServer, by: str) -> None:
    transport = Transport(resolver=Resolver(name_server))
    began = time.monotonic()
    deadline = None if by == "timeout" else began + 0.2
    request = request_to("http://stalls.test", timeout=0.2 if by == "timeout" else 30)
    with pytest.raises(TimedOut):
        transport.post(request, deadline=deadline)
    assert time.monotonic() - began < 0.2 + SLACK


def test_those_who_ask_for_the_same_name_share_one_look_up(name_server: NameServer) -> None:
    resolver = Resolver(name_server)
    for _ in range(5):
        with pytest.raises(TimeoutError):
            resolve(resolver, "stalls.test", 0.01)
    found: list[Any] = []
    waiting = [
        threading.Thread(target=lambda: found.append(resolve(resolver, "stalls.test")))
        for _ in range(3)
    ]
    for thread in waiting:
        thread.start()
    assert name_server.came.wait(10)
    name_server.answers.set()
    for thread in waiting:
        thread.join()
    assert len(found) == 3
    assert found[0] == found[1] == found[2] != []
    assert name_server.asked == ["stalls.test"]


def test_stuck_look_ups_are_bounded_and_made_room_again(name_server: NameServer) -> None:
    resolver = Resolver(name_server)
    for number in range(MAX_UNDER_WAY + 5):
        with pytest.raises(TimeoutError):
            resolve(resolver, f"stalls{number}.test", 0.01)
    assert until(lambda: len(name_server.asked) == MAX_UNDER_WAY)
    name_server.answers.set()

    def is_free() -> bool:
        try:
            return bool(resolve(resolver, "later.test"))
        except TimeoutError:
            return False

    assert until(is_free)


def test_an_abort_ends_the_wait_and_nothing_is_sent_once_the_name_is_known(
    name_server: NameServer,
) -> None:
    with RecordingServer() as server, closing(Transport(resolver=Resolver(name_server))) as one:
        url = server.url.replace("127.0.0.1", "stalls.test")
        failed: list[Exception] = []

        def post() -> None:
            try:
                one.post(request_to(url, timeout=60))
            except NoResponse as error:
                failed.append(error)

        thread = threading.Thread(target=post)
        thread.start()
        assert name_server.came.wait(10)
        one.abort()
        thread.join(10)
        assert len(failed) == 1
        name_server.answers.set()
        assert Transport(resolver=Resolver(name_server)).post(request_to(url)).status == 202
        assert len(server.requests) == 1


def test_a_hosts_time_out_in_the_codec_of_names_reaches_the_host() -> None:
    """Which runs where no thread can be started; before Python 3.12 it wraps what comes up."""

    class TimeOut(Exception):
        pass

    def handler(*_: object) -> None:
        raise TimeOut

    def encode(text: str, errors: str = "") -> tuple[bytes, int]:
        signal.raise_signal(signal.SIGALRM)
        raise AssertionError

    def find(name: str) -> codecs.CodecInfo | None:
        return codecs.CodecInfo(encode, encode, name=name) if name == "struck" else None

    codecs.register(find)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        resolver = Resolver(lambda host, _: [host.encode("struck")])
        with pytest.raises(TimeOut) as raised:
            resolve(resolver, "127.0.0.1")
        with pytest.raises(TimeOut) as out_of_post:
            Transport(resolver=resolver).post(request_to("http://127.0.0.1"))
    finally:
        signal.signal(signal.SIGALRM, before)
        codecs.unregister(find)
    assert not raised.value.args
    assert not out_of_post.value.args  # the wrapper has a message


def test_a_name_without_an_address_is_told_from_one_that_takes_long() -> None:
    def unknown(host: str, port: int) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with pytest.raises(NoSuchHost):
        resolve(Resolver(unknown), "unknown.test")
    with pytest.raises(NoResponse, match="no such host"):
        Transport(resolver=Resolver(unknown)).post(request_to("http://unknown.test"))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_needs_no_thread(host: str) -> None:
    def never(run: Any, name: str) -> bool:
        raise AssertionError("a thread was started")

    assert resolve(Resolver(start=never), host)[0][4][0] == host


def test_where_no_thread_can_be_started_the_last_addresses_are_used(
    name_server: NameServer,
) -> None:
    can_start = [True]

    def start(run: Any, name: str) -> bool:
        if can_start[0]:
            threading.Thread(target=run, daemon=True).start()
        return can_start[0]

    resolver = Resolver(name_server, start)
    name_server.answers.set()
    found = resolve(resolver, "known.test")
    can_start[0] = False
    assert resolve(resolver, "known.test") == found
    assert name_server.asked == ["known.test"]
    assert resolve(resolver, "other.test")
    assert name_server.asked == ["known.test", "other.test"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_waits_for_no_look_up_of_its_parents(name_server: NameServer) -> None:
    resolver = Resolver(name_server)
    with pytest.raises(TimeoutError):
        resolve(resolver, "stalls.test", 0.01)
    assert until(lambda: name_server.asked == ["stalls.test"])
    pid = os.fork()
    if pid == 0:
        name_server.answers.set()  # the child's own
        os._exit(0 if resolve(resolver, "stalls.test", 10) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_close_during_a_look_up_sends_nothing_later(
    make_sender: Callable[..., Sender], name_server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", name_server.instead_of_getaddrinfo)
    with RecordingServer() as server:
        sender = make_sender(server.url.replace("127.0.0.1", "stalls.test"), timeout=60)
        assert sender.enqueue("logs", b"{}")
        assert name_server.came.wait(10)
        began = time.monotonic()
        assert not sender.flush(0.1)
        assert not sender.close(0.1)
        assert time.monotonic() - began < 0.2 + SLACK
        assert sender.stats().dropped == {"shutdown": 1}
        name_server.answers.set()
        # A sender of its own finds the name, and has the server to itself.
        other = make_sender(server.url.replace("127.0.0.1", "stalls.test"))
        assert other.enqueue("logs", b"[1]")
        assert other.flush(10)
        assert server.elements() == [1]


_EXIT = """
    import socket, sys, threading
    def stall(*args, **options):
        threading.Event().wait()
    socket.getaddrinfo = stall
    from livedebug_sender import Endpoint, Sender, SenderConfig
    config = SenderConfig()
    config.set_endpoint(Endpoint("http://stalls.test", timeout=60.0))
    config.add_additional_debugger_endpoint(Endpoint("http://stalls-too.test", timeout=60.0))
    sender = Sender(config, shutdown_timeout=0.3)
    assert sender.enqueue("logs", b"{}")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_name_server_that_stalls_holds_no_exit_past_the_shutdown_timeout() -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_EXIT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        began = time.monotonic()
        program.stdin.close()
        assert program.wait(60) == 0
        assert time.monotonic() - began < 0.3 + SLACK
