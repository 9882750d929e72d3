"""`file://` endpoints: whole lines, whatever happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from sample_data import KEY
from sample_requests import request_to
from waiting import until

from livedebug_sender import Endpoint, Sender, SenderConfig, Track
from livedebug_sender.transport.response import NoResponse
from livedebug_sender.transport.transport import Transport


@pytest.fixture
def transport() -> Transport:
    return Transport()


def test_a_file_gets_a_line_for_each_request_without_the_key(
    transport: Transport, tmp_path: Path
) -> None:
    path = tmp_path / "lines"
    for body in (b"plain", b"\xff"):
        assert (
            transport.post(
                request_to(f"file://{path}", body, track=Track.SYMDB, key=KEY, tags="a:b")
            ).status
            == 200
        )
    first, second = map(json.loads, path.read_text().splitlines())
    assert first["body"] == "plain"
    assert second["body_base64"] == "/w=="
    assert first["path"] == "/api/v2/debugger"
    assert KEY not in path.read_text()


def test_a_path_may_be_percent_encoded_as_in_any_uri(transport: Transport, tmp_path: Path) -> None:
    path = tmp_path / "Jürgen's 100% lines"
    transport.post(request_to(path.as_uri()))
    assert [record["body"] for record in lines_of(path)] == ["[{}]"]


def test_a_file_that_can_not_be_written_is_no_answer(transport: Transport, tmp_path: Path) -> None:
    with pytest.raises(NoResponse, match="can't write"):
        transport.post(request_to(f"file://{tmp_path}/missing/file"))


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_line_that_a_crash_has_torn_swallows_no_record(
    transport: Transport, tmp_path: Path
) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b'{"whole":1}\n{"method":"PO')
    for _ in range(2):
        transport.post(request_to(f"file://{path}"))
    whole, torn, *records = path.read_bytes().splitlines()
    assert (whole, torn) == (b'{"whole":1}', b'{"method":"PO')
    assert [json.loads(record)["body"] for record in records] == ["[{}]", "[{}]"]


#: Sends to a file that may grow no further, then lets it.
_FULL_DISK = """
    import resource, signal, sys
    from livedebug_sender import Endpoint, Sender, SenderConfig
    path = sys.argv[1]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # Or an import would leave a compiled module behind that is cut off, and that every program
    # after this one fails to load (Pythons before 3.12.8 and 3.13.1 don't look).
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    config = SenderConfig()
    config.set_endpoint(Endpoint("file://" + path))
    sender = Sender(config, linger=0.01, retry_for=60.0)
    for number in range(3):
        assert sender.enqueue("logs", {"n": number, "x": "x" * 400})
        sender.flush(0.3)
    early = sender.stats().delivered
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert sender.flush(30)
    print(early, sender.stats().delivered)
"""


@pytest.mark.waits
@pytest.mark.skipif(sys.platform == "win32", reason="no limits there")
def test_a_line_that_the_disk_has_no_room_for_is_taken_back_and_written_later(
    tmp_path: Path,
) -> None:
    path = tmp_path / "lines"
    program = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_FULL_DISK), str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert program.returncode == 0, program.stderr
    early, delivered = map(int, program.stdout.split())
    assert early < delivered == 3
    written = [n["n"] for line in lines_of(path) for n in json.loads(line["body"])]
    assert sorted(written) == [0, 1, 2]


def test_the_lines_of_several_processes_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"torn")
    children = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            try:
                for _ in range(50):
                    Transport().post(request_to(f"file://{path}", b"[%d]" % number))
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    torn, *records = path.read_bytes().splitlines()
    assert torn == b"torn"
    bodies = [json.loads(record)["body"] for record in records]
    assert sorted(bodies) == sorted(f"[{number}]" for number in range(4) for _ in range(50))


def test_a_file_that_another_process_keeps_locked_is_written_to_all_the_same(
    transport: Transport, tmp_path: Path
) -> None:
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "lines"
    with open(path, "wb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        transport.post(request_to(f"file://{path}", timeout=0.1))
        assert len(lines_of(path)) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_a_pipe_gets_lines_too_and_one_that_nobody_reads_holds_nobody_up(
    transport: Transport, tmp_path: Path
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(NoResponse, match="can't write"):
        transport.post(request_to(f"file://{path}"))
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        for _ in range(2):
            transport.post(request_to(f"file://{path}"))
        assert len(os.read(reader, 65536).splitlines()) == 2
    finally:
        os.close(reader)


def test_what_waits_for_a_locked_file_is_not_written_once_close_has_returned(
    tmp_path: Path,
) -> None:
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "lines"
    config = SenderConfig()
    config.set_endpoint(Endpoint(f"file://{path}", timeout=60.0))
    sender = Sender(config, linger=0.0)
    with open(path, "wb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        sender.enqueue("logs", b"{}")
        assert not sender.flush(0.1)
        (worker,) = [one for one in threading.enumerate() if one.name == "livedebug-logs"]
        assert not sender.close(0.1)
        assert path.read_bytes() == b""
    assert until(lambda: worker not in threading.enumerate())
    assert sender.stats().dropped["shutdown"] == 1
    assert path.read_bytes() == b""
