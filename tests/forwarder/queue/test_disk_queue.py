"""What a queue on a disk does with its folder."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from crashed_queues import crashed, opened, segments, taken_from, waiting_in
from descriptors import descriptors
from queue_kinds import OTHER_ROUTE, ROUTE, a_request, queue_options
from waiting import until

from livedebug_sender import ConfigError
from livedebug_sender.forwarder.queue.disk import (
    disk_queue,
    folders,
    housekeeper,
    moving,
    segment,
    state,
    writer,
)
from livedebug_sender.forwarder.queue.request_queue import PutRefused, QueueFull

PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeper, "ROUND", 0.05)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_an_emptied_queue_leaves_an_empty_folder(tmp_path):
    queue = opened(tmp_path)
    for _ in range(10):
        queue.put(a_request(b"x" * 10_000))
    assert len(taken_from(queue)) == 10
    queue.close(5)
    assert size_of(tmp_path) == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        "dead",
        "requeued",
        "set-aside",
    ]


def test_to_write_down_nothing_holds_up_nobody(tmp_path):
    of_queue = state.DiskState(queue_options(), folders.QueueFolder(tmp_path))
    of_disk = writer.Writer(of_queue)
    of_disk.start()
    of_disk.write((), (), PATIENCE)
    told: list[PutRefused | None] = []
    of_disk.put(a_request(), told.append)
    assert until(lambda: told == [None])
    assert of_disk.close(PATIENCE)
    for file in of_queue.files.values():
        file.close()
    of_queue.folder.close()


def test_a_file_goes_as_soon_as_all_in_it_is_delivered(tmp_path):
    queue = opened(tmp_path, max_bytes=8_000_000)  # files of 1 MB
    for n in range(40):
        queue.put(a_request(b"%d" % n + b"x" * 100_000))
    assert until(lambda: len(segments(tmp_path)) >= 4)
    before = size_of(tmp_path)
    for _ in range(20):
        queue.acknowledge(queue.take(ROUTE, PATIENCE))
    assert until(lambda: size_of(tmp_path) < 0.7 * before)
    assert len(taken_from(queue)) == 20
    assert until(lambda: len(segments(tmp_path)) <= 1)
    queue.close(5)


def test_an_idle_queue_shrinks_to_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "IDLE", 0.1)
    queue = opened(tmp_path)
    queue.put(a_request(b"x" * 100_000))
    taken_from(queue)
    assert until(lambda: size_of(tmp_path) == 0)
    queue.put(a_request(b"again"))
    assert queue.take(ROUTE, PATIENCE).request.body == b"again"
    queue.close(5)


def test_many_small_commits_do_not_make_a_large_file(tmp_path):
    queue = opened(tmp_path, max_bytes=16_000_000)
    for _ in range(400):
        queue.put(a_request(b"[]"))
    assert size_of(tmp_path) < 5_000_000
    assert len(taken_from(queue)) == 400
    queue.close(5)


def test_what_is_left_in_nearly_empty_files_moves_on(tmp_path, monkeypatch):
    monkeypatch.setattr(moving, "STILL_FOR", 0.2)
    queue = opened(tmp_path, max_bytes=8_000_000)
    for n in range(60):
        queue.put(a_request(b"x" * 100_000, OTHER_ROUTE if n % 10 == 0 else ROUTE))
    held = queue.take(OTHER_ROUTE, PATIENCE)
    delivered = 0
    while delivered < 54 and (taken := queue.take(ROUTE, PATIENCE)):
        queue.acknowledge(taken)
        delivered += 1
    assert until(lambda: size_of(tmp_path) < 2_500_000, 20)
    assert queue.stats().items == 6
    queue.acknowledge(held)
    rest = []
    while taken := queue.take(OTHER_ROUTE, 0.3):
        rest.append(taken.request.request_id)
        queue.acknowledge(taken)
    assert len(set(rest)) == len(rest) == 5
    queue.close(5)
    assert size_of(tmp_path) == 0


def test_what_is_too_old_goes_though_nobody_takes(tmp_path, monkeypatch):
    monkeypatch.setattr(housekeeper, "EXPIRE_EVERY", 0.05)
    queue = opened(tmp_path, max_age=60)
    for n in range(10):
        queue.put(a_request(received_at=time.time() - (100 if n < 7 else 0)))
    assert until(lambda: queue.stats().expired == 7)
    assert queue.stats().items == 3
    queue.close(5)


def test_two_processes_share_a_folder_and_none_touches_the_others(tmp_path):
    one, other = opened(tmp_path), opened(tmp_path)
    one.put(a_request(b"one"))
    other.put(a_request(b"other"))
    assert [request.body for request in taken_from(one)] == [b"one"]
    assert [request.body for request in taken_from(other)] == [b"other"]
    one.close(5)
    other.close(5)


PROGRAM = """
import sys, time
from pathlib import Path
from typing import Any
from crashed_queues import opened
from queue_kinds import a_request
queue = opened(Path(sys.argv[1]))
for n in range(int(sys.argv[2]), int(sys.argv[2]) + 5):
    queue.put(a_request(b"%d" % n))
print("put", flush=True)
time.sleep(60)
"""


def test_the_folders_of_killed_processes_are_adopted(tmp_path):
    path = os.pathsep.join(["tests", *sys.path])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path), str(first)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )
        for first in (0, 5)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"put\n"
    alive = opened(tmp_path)
    assert alive.take(ROUTE, 0.2) is None  # they live
    for process in processes:
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        process.stdout.close()
    heir = opened(tmp_path)
    assert sorted(int(request.body) for request in taken_from(heir)) == list(range(10))
    heir.close(5)
    alive.close(5)
    assert size_of(tmp_path) == 0


def test_a_second_crash_does_not_bring_back_what_was_delivered_between_them(tmp_path):
    requests = [a_request(b"%d" % n) for n in range(10)]
    first = crashed(tmp_path / "first", requests)
    queue = opened(first)
    for _ in range(4):
        queue.acknowledge(queue.take(ROUTE, PATIENCE))
    queue.put(a_request(b"new"))
    assert until(lambda: waiting_in(first) == 7)
    second = tmp_path / "second"
    subprocess.run(["cp", "-r", first, second], check=True)
    queue.close(5)
    again = opened(second)
    assert [request.body for request in taken_from(again)] == [
        *(b"%d" % n for n in range(4, 10)),
        b"new",
    ]
    again.close(5)


def test_a_dead_letter_can_be_sent_again_while_the_queue_is_open(tmp_path):
    queue = opened(tmp_path, max_age=60)
    sent = a_request(b"once more", received_at=time.time() - 50)
    queue.put(sent)
    queue.bury(queue.take(ROUTE, PATIENCE), "HTTP 400")
    assert until(lambda: list((tmp_path / "dead").glob("*.letter")))
    (letter,) = (tmp_path / "dead").glob("*.letter")
    letter.rename(tmp_path / "requeued" / letter.name)
    again = queue.take(ROUTE, PATIENCE).request
    assert (again.body, again.request_id) == (b"once more", sent.request_id)
    queue.close(5)


def test_dead_letters_are_bounded_and_the_oldest_go_first(tmp_path):
    queue = opened(tmp_path, max_dead_bytes=10_000)
    for n in range(20):
        queue.put(a_request(b"%02d" % n + b"x" * 1000))
        queue.bury(queue.take(ROUTE, PATIENCE), "HTTP 400")
    assert until(lambda: queue.stats().dead == {"HTTP 400": 20})
    letters = [path.read_bytes() for path in sorted((tmp_path / "dead").glob("*.letter"))]
    assert 5 < len(letters) < 10
    assert b"19x" in letters[-1]
    assert queue.stats().dead_items == len(letters)
    queue.close(5)


def test_too_little_free_disk_is_a_full_queue(tmp_path):
    queue = opened(tmp_path, min_free=1 << 60)
    with pytest.raises(QueueFull, match="the disk is nearly full"):
        queue.put(a_request())
    queue.close(5)


def test_what_was_put_is_read_from_memory_as_far_as_that_is_bounded(tmp_path, monkeypatch):
    queue = opened(tmp_path, max_bytes=300_000_000)
    body = b"x" * 1_000_000
    for _ in range(40):
        queue.put(a_request(body))
    arrived = taken_from(queue)
    assert len(arrived) == 40
    assert all(request.body == body for request in arrived)
    queue.close(5)


@pytest.mark.parametrize(("file", "mode"), [("somebody's", 0o755), (None, 0o1777)])
def test_the_rights_of_a_folder_that_is_not_the_queues_alone_stay(tmp_path, file, mode):
    if file is not None:
        (tmp_path / file).touch()
    tmp_path.chmod(mode)
    opened(tmp_path).close(PATIENCE)
    assert tmp_path.stat().st_mode & 0o7777 == mode


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_said(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="expected: a folder on a local disk"):
        opened(tmp_path / "queue")


def open_files(folder: Path) -> int:
    """How many files in there this process has open."""
    return sum(target.startswith(f"{folder.resolve()}/") for target in descriptors())


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_a_long_queue_has_few_files_open(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 50_000)
    queue = opened(tmp_path)
    bodies = {b"%d" % n + b"x" * 20_000 for n in range(100)}
    for body in sorted(bodies):
        queue.put(a_request(body))
    assert len(segments(tmp_path)) > 25
    assert until(lambda: open_files(tmp_path) < 10)
    queue.close(5)
    queue = opened(tmp_path)
    assert open_files(tmp_path) < 10
    held = [queue.take(ROUTE, PATIENCE) for _ in bodies]
    assert {taken.request.body for taken in held} == bodies
    assert until(lambda: open_files(tmp_path) < 10)  # though nothing of them is delivered
    for taken in held:
        queue.acknowledge(taken)
    queue.close(5)
    assert size_of(tmp_path) == 0


def test_a_file_that_cannot_be_opened_now_waits_and_is_not_taken_for_damaged(tmp_path, monkeypatch):
    queue = opened(tmp_path)
    queue.put(a_request(b"kept"))
    queue.close(5)
    monkeypatch.setattr(disk_queue, "UNOPENABLE_FOR", 0.05)
    queue = opened(tmp_path)
    failures = []

    def fail(path: Path) -> sqlite3.Connection:
        failures.append(path)
        raise sqlite3.OperationalError("unable to open database file")

    with monkeypatch.context() as patched:
        patched.setattr(segment, "connect_sealed", fail)
        assert until(lambda: queue.take(ROUTE, 0.05) is None and len(failures) > 1)
    assert queue.take(ROUTE, PATIENCE).request.body == b"kept"
    assert queue.stats().set_aside == 0
    queue.close(5)


def test_a_close_twice_is_fine(tmp_path):
    queue = opened(tmp_path)
    queue.close(5)
    assert queue.close(5) == 0
    assert isinstance(queue, disk_queue.DiskQueue)


def test_what_another_process_leaves_at_its_end_is_adopted_by_who_is_open(tmp_path, monkeypatch):
    monkeypatch.setattr(housekeeper, "ADOPT_EVERY", 0.05)
    leaving, staying = opened(tmp_path), opened(tmp_path)
    for n in range(5):
        leaving.put(a_request(b"left %d" % n))
        staying.put(a_request(b"own %d" % n))
    assert staying.take(ROUTE, PATIENCE).request.body == b"own 0"
    leaving.close(5)
    assert until(lambda: staying.stats().items == 10)
    staying.put(a_request(b"new"))
    arrived = [request.body for request in taken_from(staying)]
    assert sorted(arrived) == sorted(
        [b"left %d" % n for n in range(5)] + [b"own %d" % n for n in range(1, 5)] + [b"new"]
    )
    staying.close(5)


def test_a_file_that_is_damaged_while_it_is_written_is_left_and_salvaged(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(state, "MAX_RECENT_BYTES", 500_000)
    queue = opened(tmp_path, max_bytes=1_000_000_000)
    # More than what memory and SQLite keep; a large body ends in pages that are written once.
    bodies = [b"x" * 250_000 + b"%03d" % n for n in range(60)]
    for body in bodies[:50]:
        queue.put(a_request(body))
    wal = next(tmp_path.rglob("*.segment-wal"))
    with wal.open("r+b") as file:
        contents = file.read()
        file.seek(contents.index(b"x005"))
        file.write(b"y")
    arrived = [request.body for request in taken_from(queue, patience=0.1)]
    for body in bodies[50:]:
        queue.put(a_request(body))

    def all_came() -> bool:
        arrived.extend(request.body for request in taken_from(queue, patience=0.1))
        return set(arrived) == {body for body in bodies if not body.endswith(b"005")}

    assert until(all_came)
    assert until(lambda: "is damaged" in caplog.text)
    assert until(lambda: queue.stats().items == 0)
    queue.close(5)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 24 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs to mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(100_000)):
                pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


@pytest.mark.parametrize("by_others", [False, True])
def test_a_full_disk_refuses_and_loses_nothing_it_confirmed(small_disk, by_others, monkeypatch):
    monkeypatch.setattr(writer, "IDLE", 3600.0)  # seconds
    queue = opened(small_disk / "queue", max_bytes=1 << 30)
    confirmed = set()

    def put() -> bool:
        request = a_request(os.urandom(50_000))
        try:
            queue.put(request)
        except PutRefused:
            return False
        confirmed.add(request.request_id)
        return True

    def fill() -> int:
        return sum(1 for _ in iter(put, False))

    if by_others:  # no word of it from the bounds
        assert all(put() for _ in range(20))
        fill_up(small_disk / "theirs")
    fill()
    arrived = {request.request_id for request in taken_from(queue)}
    assert arrived == confirmed
    (small_disk / "theirs").unlink(missing_ok=True)
    confirmed.clear()
    assert until(lambda: fill() > 50, PATIENCE)  # at once, not when it was idle
    queue.close(5)
    queue = opened(small_disk / "queue")
    assert {request.request_id for request in taken_from(queue)} == confirmed
    queue.close(5)
    assert size_of(small_disk) == 0


def test_a_start_on_a_disk_without_room_for_a_folder_delivers_what_waits(tmp_path, monkeypatch):
    folder = crashed(tmp_path / "queue", [a_request(b"%d" % n) for n in range(20)])
    make = Path.mkdir

    def full(path: Path, *arguments: Any, **options: Any) -> None:
        if not path.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        make(path, *arguments, **options)

    (folder / "ffffffffffffffff-1").mkdir()  # of a dead process, too
    monkeypatch.setattr(Path, "mkdir", full)
    other = opened(folder)  # another worker
    queue = opened(folder)
    other.close(5)
    assert {request.body for request in taken_from(queue)} == {b"%d" % n for n in range(20)}
    queue.put(a_request(b"more"))
    assert [request.body for request in taken_from(queue)] == [b"more"]
    queue.close(5)
    assert size_of(folder) == 0
    with pytest.raises(ConfigError, match="No space left on device"):
        opened(tmp_path / "new")


def test_threads_that_put_in_turn_share_their_commits(tmp_path, monkeypatch):
    """Or they form two groups, each of which waits for the commit of the other."""
    append = segment.Segment.append

    def slow_append(self: segment.Segment, *arguments: Any) -> None:
        append(self, *arguments)
        time.sleep(0.05)

    monkeypatch.setattr(segment.Segment, "append", slow_append)
    monkeypatch.setattr(writer, "MAX_GROUP_WAIT", 60.0)
    queue = opened(tmp_path)

    def put_all(thread: int) -> None:
        for n in range(10):
            queue.put(a_request(b"%d" % n))
            time.sleep(0.002 * thread)  # a client's work

    threads = [threading.Thread(target=put_all, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queue.stats().commits <= 15  # in two groups: 20
    queue.close(5)


def test_a_disk_that_does_not_tell_its_free_space_refuses_until_it_does(tmp_path, monkeypatch):
    asked = threading.Event()

    def fail(_: folders.QueueFolder) -> int:
        asked.set()
        raise OSError(errno.EIO, "Input/output error")

    queue = opened(tmp_path, put_timeout=5.0)
    with monkeypatch.context() as broken:
        broken.setattr(folders.QueueFolder, "free", fail)
        queue.put(a_request(b"put"))  # a commit looks at the free space after it
        assert until(asked.is_set)
        assert until(lambda: refused_at_once(queue))
    assert until(lambda: not refused_at_once(queue))
    assert taken_from(queue)[0].body == b"put"
    queue.close(5)


def refused_at_once(queue: disk_queue.DiskQueue) -> bool:
    begun = time.monotonic()
    try:
        queue.put(a_request(b"another"))
    except PutRefused:
        assert time.monotonic() - begun < 4.0
        return True
    return False
