"""The server in this process: addresses, and how it ends."""

from __future__ import annotations

import http.client
import os
import resource
import socket
import threading
import time
from pathlib import Path
from socket import AF_UNIX

import pytest
from running_forwarder import ROUTES, environ, running
from servers import Arrived, RecordingServer, Reply

from livedebug_sender import ConfigError
from livedebug_sender.forwarder import Forwarder, Settings
from livedebug_sender.forwarder.server import Server
from livedebug_sender.forwarder.server.listening import room_for_connections


def served(listen: list[str]) -> Server:
    settings = Settings.from_env(environ("http://127.0.0.1:1"), max_at_once=2, grace=2.0)
    return Server(Forwarder(settings), settings, listen)


def test_it_serves_several_addresses_at_once(short_dir):
    path = f"{short_dir}/s"
    server = served(["127.0.0.1:0", f"unix:{path}"])
    thread = threading.Thread(target=server.run)
    thread.start()
    tcp, unix = server.addresses
    assert unix == f"unix:{path}"
    assert os.stat(path).st_mode & 0o777 == 0o666
    port = int(tcp.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as one, socket.socket(AF_UNIX) as other:
        other.connect(path)
        for sock in (one, other):
            sock.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            assert sock.recv(100).startswith(b"HTTP/1.0 200")
    server.stop()
    server.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert not Path(path).exists()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("8126", "expected: host:port"),
        ("127.0.0.1:70000", "expected: host:port"),
        ("http://127.0.0.1:1", "expected: host:port"),
        ("unix:relative", "expected: unix:/path/to.sock"),
        ("unix:/no/such/directory/s", "can't listen on"),
        ("no-such-host.invalid:8126", "can't listen on"),
    ],
)
def test_an_address_that_cannot_be_had_is_said_in_clear_words(address, words):
    with pytest.raises(ConfigError, match=words):
        served([address])


def test_a_socket_that_somebody_serves_is_left_alone(short_dir):
    with RecordingServer(unix=f"{short_dir}/s"):
        with pytest.raises(ConfigError, match="another process does"):
            served([f"unix:{short_dir}/s"])
        assert Path(f"{short_dir}/s").exists()


def test_an_idle_connection_holds_nobody_at_the_end():
    with (
        RecordingServer() as intake,
        running(intake.url, grace=20.0) as forwarder,
        forwarder.connect() as sock,
    ):
        sock.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(1000)
        begun = time.monotonic()
        forwarder.stop()
        assert time.monotonic() - begun < 8
    assert forwarder.delivered is True


def test_the_last_answers_get_all_but_the_end_of_the_time_to_finish():
    gate = threading.Event()

    def answer(arrived: Arrived) -> int:
        gate.wait(20)
        return 202

    with (
        RecordingServer(answer) as intake,
        RecordingServer() as additional,
        running(intake.url, additional.url, timeout=30, grace=5.0) as forwarder,
    ):
        seen: list[int] = []
        tracer = threading.Thread(target=lambda: seen.append(forwarder.post(ROUTES[2]).status))
        tracer.start()
        intake.wait_for(1)
        threading.Timer(2.7, gate.set).start()  # more than half of it
        forwarder.stop()
        tracer.join(20)
        assert seen == [202]
        assert len(additional.requests) == 1
    assert forwarder.delivered is True


@pytest.mark.parametrize(
    ("soft", "hard", "raised", "connections"),
    [
        (1024, 4096, 1192, 1000),
        (1024, 1024, 1024, 832),
        (300, 600, 600, 408),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 0, 1000),
        (100, resource.RLIM_INFINITY, 1192, 1000),
    ],
)
def test_connections_leave_descriptors_for_what_is_in_hand(
    monkeypatch, soft, hard, raised, connections
):
    limits = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit))
    settings = Settings.from_env(environ("http://127.0.0.1:1"))
    assert room_for_connections(settings) == connections
    assert limits == ([(raised, hard)] if raised else [])


def test_too_few_descriptors_for_what_may_be_in_hand_are_said_at_the_start(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (200, 200))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    with pytest.raises(ConfigError, match=r"max_at_once is 64, .*200; expected: at least 256"):
        room_for_connections(Settings.from_env(environ("http://127.0.0.1:1")))


def test_a_status_without_a_name_comes_back_too():
    with RecordingServer(Reply(299)) as intake, running(intake.url) as forwarder:
        connection = http.client.HTTPConnection(forwarder.host, forwarder.port, timeout=20)
        connection.request("POST", ROUTES[0], b"[]")
        response = connection.getresponse()
        assert (response.status, response.reason) == (299, "Unknown")
        connection.close()
