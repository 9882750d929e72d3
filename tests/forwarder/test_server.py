"""The server in this process: addresses, and how it ends."""

from __future__ import annotations

import errno
import http.client
import os
import resource
import socket
import threading
import time
from pathlib import Path
from socket import AF_UNIX

import pytest
from running_forwarder import PREFIXES, ROUTES, environ, running
from servers import Arrived, RecordingServer, Reply

from livedebug_sender import ConfigError
from livedebug_sender.forwarder import Forwarder, Settings
from livedebug_sender.forwarder.server import Server
from livedebug_sender.forwarder.server.listening import Listeners, room_for_connections


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
def test_an_address_that_is_not_available_is_named(address, words):
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


@pytest.mark.waits
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


def test_each_intake_that_a_thread_may_be_connected_to_has_its_descriptors(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000, 1000))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    variables = {f"{prefix}_DD_URL": f"https://{n}.example/x" for n, prefix in enumerate(PREFIXES)}
    settings = Settings.from_env({"DD_API_KEY": "k", **variables})
    assert room_for_connections(settings) == 1000 - 3 * 64 - 64


def test_a_connection_that_no_descriptor_is_left_for_is_not_asked_for_all_the_time(
    monkeypatch, caplog
):
    def accept(_: socket.socket) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    listeners = Listeners(["127.0.0.1:0"])
    host, _, port = listeners.addresses[0].rpartition(":")
    waker, wake = socket.socketpair()
    with socket.create_connection((host, int(port))), waker, wake:
        monkeypatch.setattr(socket.socket, "accept", accept)
        begun = time.monotonic()
        for _ in range(3):
            assert listeners.accept(5.0, 10, [waker]) == []
        assert time.monotonic() - begun >= 0.15
        assert caplog.text.count("can't accept connections: Too many open files") == 1
        wake.send(b"!")
        assert listeners.accept(60.0, 10, [waker]) == []
        monkeypatch.undo()
        (sock,) = listeners.accept(5.0, 10, [waker])
        sock.close()
    listeners.close()


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


EXPECTING = f"POST {ROUTES[2]} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n".encode()


def test_a_body_is_asked_for_where_the_client_waits_for_that():
    with RecordingServer() as intake, running(intake.url) as forwarder:
        for headers, body in (
            (b"Content-Length: 3\r\n\r\n", b"[1]"),
            (b"Transfer-Encoding: chunked\r\n\r\n", b"3\r\n[1]\r\n0\r\n\r\n"),
        ):
            with forwarder.connect() as sock:
                sock.sendall(EXPECTING + headers)
                assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
                assert intake.requests == []
                sock.sendall(body)
                assert sock.recv(1000).startswith(b"HTTP/1.1 202 ")
            (arrived,) = intake.requests
            assert arrived.body == b"[1]"
            assert "expect" not in arrived.headers
            intake.requests.clear()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (EXPECTING + b"Content-Length: 99999999999\r\n\r\n", b"413"),
        (EXPECTING.replace(b"100-continue", b"more") + b"Content-Length: 3\r\n\r\n", b"417"),
        (EXPECTING + b"Content-Length: 3\r\n\r\n[1]", b"202"),
        (EXPECTING + b"Content-Length: 0\r\n\r\n", b"202"),
        (EXPECTING.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Content-Length: 3\r\n\r\n[1]", b"202"),
    ],
    ids=["too large", "another", "sent already", "no body", "HTTP/1.0"],
)
def test_a_body_is_not_asked_for_where_it_is_not_wanted_or_here_already(request_, status):
    with (
        RecordingServer() as intake,
        running(intake.url) as forwarder,
        forwarder.connect() as sock,
    ):
        sock.sendall(request_)
        assert sock.recv(1000)[9:12] == status


def test_a_connection_is_kept_for_as_many_requests_as_come():
    with RecordingServer() as intake, running(intake.url) as forwarder:
        connection = http.client.HTTPConnection(forwarder.host, forwarder.port, timeout=20)
        connection.connect()
        sock = connection.sock
        for method, path, status in (
            ("POST", ROUTES[2], 202),
            ("GET", "/info", 200),
            ("HEAD", "/info", 200),
            ("OPTIONS", ROUTES[2], 405),
            ("OPTIONS", "*", 404),
            ("POST", "/nowhere", 404),
            ("POST", ROUTES[3], 202),
        ):
            connection.request(method, path, b"[1]" if method == "POST" else None)
            response = connection.getresponse()
            body = response.read()
            assert (method, response.status) == (method, status)
            assert bool(body) == (method != "HEAD")
            assert connection.sock is sock
        connection.close()
    assert len(intake.requests) == 2
