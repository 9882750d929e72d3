"""The forwarder as a process: the command, and gunicorn."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from forward_process import COMMAND, forwarding, started
from running_forwarder import ROUTES, environ
from sample_data import KEY
from servers import Arrived, RawServer, RecordingServer, free_port, hang
from waiting import until

from livedebug_sender.forwarder.command import forward
from livedebug_sender.forwarder.options import OPTIONS


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self._path)


def ask(address: str, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    unix = address.startswith("unix:")
    connection = (
        UnixConnection(address.removeprefix("unix:"))
        if unix
        else http.client.HTTPConnection(address, timeout=20)
    )
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_it_forwards_and_ends_on_sigterm():
    with RecordingServer() as intake, forwarding(intake.url) as process:
        address = process.address()
        assert address.startswith("127.0.0.1:")
        assert ask(address, "POST", ROUTES[2], b"[1]")[0] == 202
        assert ask(address, "GET", "/health") == (200, b'{"status": "ok"}\n')
        assert process.end() == 0
        assert KEY not in "".join(process.lines)
    assert [arrived.body for arrived in intake.requests] == [b"[1]"]


@pytest.mark.parametrize(
    ("path", "arrives_at"),
    [("", ["/api/v2/logs", "/api/v2/debugger"]), ("/all/here", ["/all/here", "/all/here"])],
)
def test_one_option_leads_all_routes_to_any_intake(path: str, arrives_at: list[str]) -> None:
    with RecordingServer() as intake:
        command = (*COMMAND, "--listen", "127.0.0.1:0", "--intake", intake.url + path)
        with started(command, {}) as process:
            address = process.address()
            for route in (ROUTES[0], ROUTES[3]):
                assert ask(address, "POST", route, b"[1]")[0] == 202
    assert [arrived.path for arrived in intake.requests] == arrives_at


def test_as_json_it_says_where_it_serves() -> None:
    command = (*COMMAND, "--json", "--workers", "1", "--listen", "127.0.0.1:0")
    process = subprocess.Popen(
        [*command, "--intake", "http://127.0.0.1:9"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        assert ask(facts["addresses"][0], "GET", "/health")[0] == 200
        assert (facts["mode"], facts["queue"], facts["workers"]) == ("pass-through", "memory", 1)
        process.terminate()


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "http://", "http://u:p@host"])
def test_an_intake_that_is_no_url_is_named_by_its_option(url: str) -> None:
    ended = CliRunner().invoke(forward, ["--intake", url])
    assert ended.exit_code == 2
    assert "--intake: the URL" in ended.stderr
    assert ":p@" not in ended.output


def test_an_intake_elsewhere_needs_a_key() -> None:
    ended = CliRunner(env={"DD_API_KEY": None}).invoke(forward, ["--intake", "https://in.example"])
    assert ended.exit_code == 2
    assert "DD_API_KEY" in ended.stderr


def test_on_sigterm_the_request_under_way_is_answered():
    gate = threading.Event()

    def answer(arrived: Arrived) -> int:
        gate.wait(20)
        return 202

    with RecordingServer(answer) as intake, forwarding(intake.url) as process:
        address = process.address()
        seen: list[int] = []
        asking = threading.Thread(
            target=lambda: seen.append(ask(address, "POST", ROUTES[2], b"[1]")[0])
        )
        asking.start()
        intake.wait_for(1)
        process.process.send_signal(signal.SIGTERM)
        until = time.monotonic() + 15
        while time.monotonic() < until:  # no new connections
            try:
                socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))).close()
            except ConnectionError:
                break
        else:
            raise AssertionError("it still listens")
        gate.set()
        asking.join(20)
        assert seen == [202]
        assert process.process.wait(20) == 0


def test_on_sigterm_what_is_stored_is_delivered():
    gate = threading.Event()

    def answer(arrived: Arrived) -> int:
        gate.wait(20)
        return 202

    arguments = ("--listen", "127.0.0.1:0", "--mode", "store-and-forward", "--grace", "20")
    with RecordingServer(answer) as intake, forwarding(intake.url, *arguments) as process:
        address = process.address()
        for _ in range(20):
            assert ask(address, "POST", ROUTES[2], b"[1]")[0] == 202
        process.process.send_signal(signal.SIGTERM)
        gate.set()
        assert process.process.wait(20) == 0
    assert len(intake.requests) == 20


def test_what_could_not_be_delivered_in_time_is_an_exit_with_1():
    arguments = ("--listen", "127.0.0.1:0", "--mode", "store-and-forward", "--grace", "0.5")
    with RawServer(hang) as intake, forwarding(intake.url, *arguments) as process:
        assert ask(process.address(), "POST", ROUTES[2], b"[1]")[0] == 202
        assert process.end() == 1
        assert "stored requests dropped (shutdown)" in "".join(process.lines)


@pytest.mark.waits
def test_a_request_that_outlasts_the_grace_is_said_so():
    arguments = ("--listen", "127.0.0.1:0", "--timeout", "30", "--grace", "0.5")
    with RawServer(hang) as intake, forwarding(intake.url, *arguments) as process:
        port = int(process.address().rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(f"POST {ROUTES[2]} HTTP/1.0\r\nContent-Length: 2\r\n\r\n[]".encode())
            assert intake.arrived.wait(15)
            assert process.end() == 1
        assert "stopping with 1 requests unanswered" in "".join(process.lines)


def test_a_tracer_in_the_middle_of_a_request_makes_no_failure_of_a_stop_with_a_backlog(tmp_path):
    options = ("--listen", "127.0.0.1:0", "--queue", f"disk:{tmp_path}", "--grace", "0.5")
    with RecordingServer(503) as intake, forwarding(intake.url, *options) as process:
        address = process.address()
        assert ask(address, "POST", ROUTES[2], b"[1]")[0] == 202
        with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as sock:
            head = f"POST {ROUTES[2]} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
            sock.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
            assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
            assert process.end() == 0
        assert "stopping with 1 requests unanswered" in "".join(process.lines)


def test_it_serves_a_unix_socket_and_takes_it_away_at_the_end(short_dir):
    path = f"{short_dir}/apm.socket"
    with RecordingServer() as intake:
        arguments = ("--listen", f"unix:{path}", "--listen", "127.0.0.1:0")
        with forwarding(intake.url, *arguments) as process:
            process.address()
            assert ask(f"unix:{path}", "POST", ROUTES[3], b"x")[0] == 202
            assert "x-forwarded-for" not in intake.requests[0].headers
            assert os.stat(path).st_mode & 0o777 == 0o666
            assert process.end() == 0
            assert not Path(path).exists()


def test_a_stale_socket_is_taken_over_and_a_live_one_is_not(short_dir):
    path = f"{short_dir}/apm.socket"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    with RecordingServer() as intake, forwarding(intake.url, "--listen", f"unix:{path}") as process:
        process.address()
        with forwarding(intake.url, "--listen", f"unix:{path}") as second:
            status, said = second.wait_for_exit()
            assert status == 1
            assert "another process does" in said
        assert ask(f"unix:{path}", "GET", "/health")[0] == 200


def test_a_port_in_use_ends_it_with_1_and_is_named():
    with RecordingServer() as intake:
        arguments = ("--listen", f"127.0.0.1:{intake.port}")
        with forwarding(intake.url, *arguments) as process:
            status, said = process.wait_for_exit()
            assert status == 1
            assert f"can't listen on '127.0.0.1:{intake.port}'" in said
            assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        ([], {"DD_API_KEY": ""}, "set DD_API_KEY"),
        (["--site", "evil.com/@x"], {"DD_API_KEY": KEY}, "DD_SITE: the site is"),
        (["--hostname", "a,b"], {"DD_API_KEY": KEY}, "DD_HOSTNAME is 'a,b'"),
        (["--mode", "fast"], {}, "'fast' is not one of"),
        (["--listen", "8126"], {"DD_API_KEY": KEY}, "the address is '8126'; expected: host:port"),
        (["--listen", "127.0.0.1:99999"], {"DD_API_KEY": KEY}, "the address is"),
        (["--listen", "unix:apm.socket"], {"DD_API_KEY": KEY}, "expected: unix:/path/to.sock"),
        ([], {"DD_API_KEY": KEY, "LIVEDEBUG_FORWARDER_LISTEN": "x"}, "the address is 'x'"),
        (["--queue", "kafka://h:x/t"], {"DD_API_KEY": KEY}, "'h:x' is not host:port"),
        (["--timeout", "-1"], {"DD_API_KEY": KEY}, "--timeout is '-1'; expected: a time"),
    ],
)
def test_an_invalid_option_ends_it_with_2_and_is_named(arguments, variables, words):
    result = CliRunner().invoke(forward, arguments, env=variables)
    assert result.exit_code == 2
    assert words in result.output
    assert KEY not in result.output


def test_each_option_is_in_the_help_with_its_variable_and_default():
    text = " ".join(CliRunner().invoke(forward, ["--help"], terminal_width=200).output.split())
    for option in OPTIONS:
        assert f"--{option.name.replace('_', '-')}" in text
        assert f"[default: {option.default}; LIVEDEBUG_FORWARDER_{option.name.upper()}]" in text
    assert "-h, --help" in text


@pytest.mark.parametrize("mode", ["pass-through", "store-and-forward"])
def test_gunicorn_serves_it_and_delivers_on_sigterm(mode):
    port = free_port()
    command = (
        *(sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "2"),
        *("--threads", "4", "--preload", "--no-control-socket", "livedebug_sender.forwarder:app"),
    )
    gate = threading.Event()

    def answer(arrived: Arrived) -> int:
        if mode == "store-and-forward":
            gate.wait(20)
        return 202

    with RecordingServer(answer) as intake, RecordingServer() as other:
        variables = environ(intake.url, other.url, LIVEDEBUG_FORWARDER_MODE=mode)
        with started(command, variables) as process:
            process.wait_for("Booting worker(?s:.*)Booting worker")
            address = f"127.0.0.1:{port}"
            for _ in range(10):
                assert ask(address, "POST", ROUTES[1], b"[1]")[0] == 202
            process.process.send_signal(signal.SIGTERM)
            gate.set()
            process.process.wait(30)
    assert len(intake.requests) == 10
    assert len(other.requests) == 10


GUNICORN = (sys.executable, "-m", "gunicorn", "--workers", "2", "--no-control-socket")
APP = "livedebug_sender.forwarder:app"


@pytest.mark.waits
@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["", "preload"])
def test_under_gunicorn_a_queue_that_cannot_be_opened_is_a_503_that_says_why(tmp_path, preload):
    folder = tmp_path / "queue"
    folder.write_text("no folder")
    port = free_port()
    address = f"127.0.0.1:{port}"
    variables = environ("http://127.0.0.1:1", LIVEDEBUG_FORWARDER_QUEUE=f"disk:{folder}")
    config = tmp_path / "gunicorn.conf.py"
    config.write_text(
        "from livedebug_sender.forwarder import store_and_forward\n"
        "store_and_forward.OPEN_AGAIN = 1\n"
    )
    command = (*GUNICORN, "--bind", address, "--config", str(config), *preload, APP)
    with started(command, variables) as process:
        process.wait_for("Booting worker(?s:.*)Booting worker")
        for _ in range(10):
            status, body = ask(address, "POST", ROUTES[1], b"[1]")
            assert status == 503
            assert str(folder) in json.loads(body)["error"]
        statuses = [ask(address, "GET", "/health")[0] for _ in range(10)]
        assert 503 in statuses
        assert "Traceback" not in "".join(process.lines)
        # Each worker says so once.
        assert 1 <= "".join(process.lines).count("tracers get a 503") <= 2
        folder.unlink()
        assert until(lambda: ask(address, "POST", ROUTES[1], b"[1]")[0] == 202, 30)


def test_gunicorn_can_be_told_to_fail_at_once_where_there_is_no_queue(tmp_path):
    folder = tmp_path / "queue"
    folder.write_text("no folder")
    text = (Path(__file__).parents[2] / "docs" / "forwarder.rst").read_text()
    hook = re.search(r"(?m)^   def post_worker_init.*\n(?:       .*\n)+", text)
    assert hook
    config = tmp_path / "gunicorn.conf.py"
    config.write_text(textwrap.dedent(hook[0]))
    variables = environ("http://127.0.0.1:1", LIVEDEBUG_FORWARDER_QUEUE=f"disk:{folder}")
    command = (*GUNICORN, "--bind", f"127.0.0.1:{free_port()}", "--config", str(config), APP)
    with started(command, variables) as process:
        status, said = process.wait_for_exit()
        assert status != 0
        assert f"the queue's folder '{folder}' can't be used" in said


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_queue_that_cannot_be_had_is_said_once_and_before_it_forwards(tmp_path, workers):
    folder = tmp_path / "queue"
    folder.write_text("no folder")
    sock = tmp_path / "sock"
    options = ("--listen", f"unix:{sock}", "--workers", workers, "--queue", f"disk:{folder}")
    with forwarding("http://127.0.0.1:1", *options) as process:
        status, said = process.wait_for_exit()
    assert status == 1
    assert said.count(f"the queue's folder '{folder}' can't be used") == 1
    assert "forwarding" not in said
    assert "addresses" not in said
    assert not sock.exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_on_sigterm_while_its_queue_is_still_opened_it_exits_with_0(tmp_path, workers):
    options = ("--listen", "127.0.0.1:0", "--workers", workers, "--queue", f"disk:{tmp_path}")
    with open(tmp_path / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # so it waits
        with forwarding("http://127.0.0.1:1", *options) as process:
            assert until((tmp_path / "set-aside").exists, 30)
            process.process.send_signal(signal.SIGTERM)
            status, said = process.wait_for_exit()
    assert status == 0
    assert "Traceback" not in said


@pytest.mark.waits
def test_kafka_that_cannot_be_reached_is_said_before_it_forwards(monkeypatch, caplog):
    topic = pytest.importorskip("livedebug_sender.forwarder.queue.kafka.topic")
    monkeypatch.setattr(topic, "PATIENCE", 0.3)
    broker = f"127.0.0.1:{free_port()}"
    arguments = ["--listen", "127.0.0.1:0", "--workers", "1", "--queue", f"kafka://{broker}/topic"]
    arguments += ["--worker-cores", "any"]  # the tests that follow in this process need all
    result = CliRunner().invoke(forward, arguments, env=environ("http://127.0.0.1:1"))
    assert result.exit_code == 1
    assert f"no Kafka broker of kafka://{broker}/topic answers within 0.3 s" in result.output
    assert "Connection refused" in result.output
    assert "expected: host:port of brokers" in result.output
    assert "Usage:" not in result.output
    assert "forwarding" not in caplog.text


def test_gunicorn_fails_at_once_without_a_key_and_names_its_variable():
    command = (sys.executable, "-m", "gunicorn", "--preload", "livedebug_sender.forwarder:app")
    with started(command, {"DD_API_KEY": ""}) as process:
        status, said = process.wait_for_exit()
        assert status != 0
        assert "set DD_API_KEY" in said
