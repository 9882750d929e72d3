"""Several worker processes, which are one forwarder to all who ask."""

from __future__ import annotations

import http.client
import os
import re
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from descriptors import descriptors
from forward_process import Process, forwarding, started
from running_forwarder import ROUTES, environ
from servers import Arrived, RecordingServer
from waiting import until

from livedebug_sender.forwarder.server import cores_of_workers, use_core
from livedebug_sender.runtime.atomic import HAS_GIL


class Client:
    """A connection that is kept."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=20)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str]:
        self._connection.request(method, path, body)
        response = self._connection.getresponse()
        return response.status, response.read().decode()

    def post(self, body: bytes = b"[1]") -> int:
        return self.ask("POST", ROUTES[2], body)[0]

    def close(self) -> None:
        self._connection.close()


def workers_of(process: Process) -> list[int]:
    task = Path(f"/proc/{process.process.pid}/task/{process.process.pid}/children")
    return [int(pid) for pid in task.read_text().split()]


def runs(pid: int) -> bool:
    """Not once all of its threads are gone: until then its descriptors are open."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return "\nState:\tZ" not in status or "\nThreads:\t1\n" not in status


@pytest.fixture
def intake() -> Iterator[RecordingServer]:
    with RecordingServer() as server:
        yield server


@pytest.fixture
def process(intake: RecordingServer) -> Iterator[Process]:
    with forwarding(intake.url, "--listen", "127.0.0.1:0", "--workers", "3") as process:
        process.address()
        yield process


def metric(address: str, name: str) -> float:
    client = Client(address)
    page = client.ask("GET", "/metrics")[1]
    client.close()
    found = re.search(rf"^livedebug_forwarder_{re.escape(name)} (\S+)$", page, re.MULTILINE)
    assert found, page
    return float(found[1])


def test_connections_are_spread_evenly_and_the_metrics_are_of_all_workers(process, intake):
    assert until(lambda: len(workers_of(process)) == 3)
    clients = [Client(process.address()) for _ in range(6)]
    assert [client.post() for client in clients for _ in range(2)] == [202] * 12
    by_worker = [descriptors_of(pid) for pid in workers_of(process)]
    assert max(by_worker) - min(by_worker) <= 2  # one to the intake is not everywhere yet
    labels = f'by="intake",route="{ROUTES[2]}",status="202"'
    assert metric(process.address(), f"requests_total{{{labels}}}") == 12
    for client in clients:
        client.close()


def descriptors_of(pid: int) -> int:
    """Sockets of a process."""
    return sum(target.startswith("socket:") for target in descriptors(pid))


@pytest.mark.waits
def test_a_worker_that_is_killed_is_replaced_and_what_it_had_in_hand_is_given_back():
    gate = threading.Event()

    def answer(arrived: Arrived) -> int:
        if arrived.body == b"hold":
            gate.wait(30)
        return 202

    options = ("--listen", "127.0.0.1:0", "--workers", "2", "--max-at-once", "2")
    with RecordingServer(answer) as intake, forwarding(intake.url, *options) as process:
        address = process.address()
        held = [Client(address) for _ in range(2)]
        threads = [threading.Thread(target=ask_in_vain, args=(client,)) for client in held]
        for thread in threads:
            thread.start()
        intake.wait_for(2)
        refused = Client(address)
        assert refused.post() == 503  # the bound is of both workers together
        before = workers_of(process)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert until(lambda: len(set(workers_of(process)) - set(before)) == 2, 30)
        for thread in threads:
            thread.join(20)
        gate.set()
        fresh = Client(address)
        assert fresh.post() == 202
        assert metric(address, "requests_in_hand") == 0
        assert metric(address, "workers_replaced_total") == 2
        assert "worker 0 ended (signal 9); it is replaced" in "".join(process.lines)
        for client in (*held, refused, fresh):
            client.close()
        assert process.end() == 0


def ask_in_vain(client: Client) -> None:
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        client.post(b"hold")


def test_workers_end_with_a_supervisor_that_was_killed(process):
    assert until(lambda: len(workers_of(process)) == 3)
    workers = workers_of(process)
    process.process.send_signal(signal.SIGKILL)
    assert until(lambda: not any(runs(pid) for pid in workers), 30)


def test_a_signal_to_a_worker_alone_stops_nothing(process):
    assert until(lambda: len(workers_of(process)) == 3)
    for pid in workers_of(process):
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
    client = Client(process.address())
    assert client.post() == 202
    client.close()
    assert metric(process.address(), "workers_replaced_total") == 0


@pytest.mark.waits
def test_the_queue_of_every_worker_is_in_the_metrics_and_delivered_at_the_end():
    gate = threading.Event()

    def answer(arrived: Arrived) -> int:
        gate.wait(30)
        return 202

    options = ("--listen", "127.0.0.1:0", "--workers", "2", "--mode", "store-and-forward")
    with (
        RecordingServer(answer) as intake,
        forwarding(intake.url, *options, "--grace", "20") as process,
    ):
        address = process.address()
        clients = [Client(address) for _ in range(4)]
        assert [client.post() for client in clients] == [202] * 4
        assert until(lambda: metric(address, "queued") == 4, 20)
        for client in clients:
            client.close()
        process.process.send_signal(signal.SIGTERM)
        gate.set()
        assert process.process.wait(30) == 0
    assert len(intake.requests) == 4


def test_a_queue_that_cannot_be_had_ends_it_at_once_and_says_why(tmp_path):
    folder = tmp_path / "file"
    folder.write_text("no folder")
    options = ("--listen", "127.0.0.1:0", "--workers", "2", "--queue", f"disk:{folder}")
    with forwarding("http://127.0.0.1:1", *options) as process:
        status, said = process.wait_for_exit()
        assert status == 1
        assert str(folder) in said
        assert "Traceback" not in said


def other_threads_that_get(number: signal.Signals, pid: int) -> list[int]:
    """The threads of the process, but its main one, that do not block the signal."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it has ended
            blocked = re.search(r"SigBlk:\s*(\w+)", (task / "status").read_text())
            if blocked and int(task.name) != pid and not int(blocked[1], 16) >> number - 1 & 1:
                found.append(int(task.name))
    return found


# A signal that comes while another thread leaves a section that blocks signals, as those that
# start the threads of Kafka's client do, may be received by that thread.
@pytest.mark.waits
@pytest.mark.parametrize(
    ("workers", "receiver"), [("1", "main thread"), ("1", "other thread"), ("2", "main thread")]
)
def test_it_can_be_stopped_while_its_queue_is_still_opened(workers, receiver):
    pytest.importorskip("confluent_kafka")
    with socket.create_server(("127.0.0.1", 0)) as broker:  # that never answers
        url = f"kafka://127.0.0.1:{broker.getsockname()[1]}/topic"  # which it waits 15 s for
        options = ("--listen", "127.0.0.1:0", "--workers", workers, "--queue", url)
        with forwarding("http://127.0.0.1:1", *options, "--grace", "0.5") as process:
            broker.settimeout(30)
            connection, _ = broker.accept()
            thread = pid = process.process.pid
            if receiver == "other thread":
                assert until(lambda: other_threads_that_get(signal.SIGTERM, pid))
                thread = other_threads_that_get(signal.SIGTERM, pid)[0]
            begun = time.monotonic()
            os.kill(thread, signal.SIGTERM)
            status, said = process.wait_for_exit()
            assert time.monotonic() - begun < 10
            connection.close()
    assert status == 0
    assert "forwarding" not in said
    assert "Traceback" not in said


# The limit of open files leaves 40 of the thousand: 120, less 2 * 8 + 64.
LIMITED = ("sh", "-c", 'ulimit -n 120; exec "$@"', "sh")
WITH_40_PLACES = ("--listen", "127.0.0.1:0", "--workers", "2", "--max-at-once", "8")


@pytest.mark.waits
def test_more_connections_than_there_may_be_wait_for_one_to_end(intake):
    head = f"POST {ROUTES[2]} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[".encode()
    with forwarding(intake.url, *WITH_40_PLACES, prefix=LIMITED) as process:
        address = process.address()
        host, _, port = address.rpartition(":")
        clients = [socket.create_connection((host, int(port))) for _ in range(40)]
        for client in clients:
            client.sendall(head)
        seen: list[int] = []
        late = Client(address)
        waiting = threading.Thread(target=lambda: seen.append(late.post()))
        waiting.start()
        waiting.join(0.5)
        assert seen == []
        clients.pop().close()
        waiting.join(20)
        assert seen == [202]
        for client in (*clients, late):
            client.close()


PATIENT = """
from livedebug_sender.forwarder.command import forward
forward()
"""
#: Looks each 50 ms at workers that show life each 20 ms, and that are patient for 0.2 s where
#: connections are short.
IMPATIENT = f"""
from livedebug_sender.forwarder.server import connection, supervisor, worker
supervisor.LOOK_EVERY, worker.LOOK_EVERY = 0.05, 0.02
supervisor.SILENT_AFTER, supervisor.KILLED_AFTER = 20, 60
worker.IF_FULL = connection.Patience(0.2, 0.2, 0.5)
{PATIENT}"""


@pytest.mark.waits
@pytest.mark.parametrize(
    ("begun", "program"),
    [
        (b"", IMPATIENT),
        (b"POST / HT", IMPATIENT),
        (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", PATIENT),
    ],
    ids=["silent", "in a head", "idle, and the real patience"],
)
def test_connections_that_hold_all_places_of_all_workers_make_room(intake, begun, program):
    command = (*LIMITED, sys.executable, "-c", program, *WITH_40_PLACES)
    with started(command, environ(intake.url)) as process:
        host, _, port = process.address().rpartition(":")
        held = [socket.create_connection((host, int(port))) for _ in range(100)]
        for sock in held:
            sock.sendall(begun)
        begun_at = time.monotonic()
        tracer = Client(process.address())
        assert tracer.post() == 202
        assert time.monotonic() - begun_at < 15  # of the 30 s and 120 s that they may take
        tracer.close()
        for sock in held:
            sock.close()
        assert "all connections are in use" in "".join(process.lines)


@pytest.mark.waits
def test_a_worker_that_is_stopped_gets_no_connections_and_is_replaced_in_the_end(intake):
    options = ("--listen", "127.0.0.1:0", "--workers", "2")
    command = (sys.executable, "-c", IMPATIENT, *options)
    with started(command, environ(intake.url)) as process:
        address = process.address()
        assert until(lambda: len(workers_of(process)) == 2)
        stopped = workers_of(process)[0]
        os.kill(stopped, signal.SIGSTOP)
        process.wait_for("does not respond")
        clients = [Client(address) for _ in range(6)]
        assert [client.post() for client in clients] == [202] * 6
        assert until(lambda: stopped not in workers_of(process), 30)
        assert until(lambda: len(workers_of(process)) == 2, 30)
        assert metric(address, "workers_replaced_total") == 1
        assert "it is killed" in "".join(process.lines)
        for client in clients:
            client.close()
        assert process.end() == 0


@pytest.mark.waits
def test_a_connection_that_comes_while_there_is_no_worker_waits_for_the_next_one(process):
    for _ in range(2):  # the second time they have only just been started
        assert until(lambda: len(workers_of(process)) == 3)
        workers = workers_of(process)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        assert until(lambda: not any(runs(pid) for pid in workers))  # noqa: B023
        client = Client(process.address())
        assert client.post() == 202
        client.close()


def test_connections_for_which_a_worker_has_no_descriptor_take_no_place_for_good(intake):
    with forwarding(intake.url, *WITH_40_PLACES, prefix=LIMITED) as process:
        host, _, port = process.address().rpartition(":")
        both = [Client(process.address()) for _ in range(2)]
        assert [client.post() for client in both] == [202] * 2  # each has begun
        limits = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in workers_of(process)}
        for pid, (_, hard) in limits.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, hard))
        for _ in range(60):
            with socket.create_connection((host, int(port)), timeout=20) as lost, suppress(OSError):
                assert lost.recv(1) == b""
        for pid, limit in limits.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
        tracer = Client(process.address())
        assert tracer.post() == 202
        for client in (*both, tracer):
            client.close()


def cores_of(pid: int) -> list[set[int]]:
    """The cores that each thread of a process may use."""
    return [os.sched_getaffinity(int(task.name)) for task in Path(f"/proc/{pid}/task").iterdir()]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
@pytest.mark.skipif(not HAS_GIL, reason="without the interpreter lock threads use all cores")
@pytest.mark.parametrize("mode", ["pass-through", "store-and-forward"])
def test_all_threads_of_a_worker_run_on_one_core_and_each_worker_has_another(intake, mode):
    arguments = ("--listen", "127.0.0.1:0", "--workers", "2", "--mode", mode)
    with forwarding(intake.url, *arguments) as process:
        process.address()
        assert until(lambda: len(workers_of(process)) == 2)
        assert until(lambda: all(len(cores_of(pid)) > 2 for pid in workers_of(process)))
        cores = [{frozenset(one) for one in cores_of(pid)} for pid in workers_of(process)]
    (first,), (second,) = cores
    assert len(first) == len(second) == 1
    assert first != second


@pytest.mark.skipif(not HAS_GIL, reason="without the interpreter lock threads use all cores")
def test_single_workers_of_several_forwarders_do_not_all_use_one_core(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert len({cores_of_workers(1)[0] for _ in range(50)}) > 1


@pytest.mark.skipif(not HAS_GIL, reason="without the interpreter lock threads use all cores")
@pytest.mark.parametrize("workers", [1, 2, 3, 4, 8])
def test_no_core_has_two_workers_while_another_has_none(workers, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 5, 6, 7})
    cores = cores_of_workers(workers)
    assert len(cores) == workers
    assert len(set(cores)) == min(workers, 4)
    assert set(cores) <= {1, 5, 6, 7}


def test_where_cores_can_not_be_chosen_workers_use_all(monkeypatch):
    def forbidden(*_: object) -> set[int]:
        raise PermissionError

    monkeypatch.setattr(os, "sched_getaffinity", forbidden)
    assert cores_of_workers(2) == []
    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    use_core(0)


def test_a_workers_threads_may_use_all_cores_if_told_so(intake):
    arguments = ("--listen", "127.0.0.1:0", "--workers", "1", "--worker-cores", "any")
    with forwarding(intake.url, *arguments) as process:
        process.address()
        cores = cores_of(process.process.pid)
    assert cores
    assert all(one == os.sched_getaffinity(0) for one in cores)
