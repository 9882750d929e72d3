"""Whatever lies in the folder: the queue opens, sends what is readable, and names the rest."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from crashed_queues import crashed, opened, segments, taken_from
from queue_kinds import ROUTE, a_request
from waiting import until

from livedebug_sender.errors import ConfigError
from livedebug_sender.forwarder.queue.disk import housekeeper

BODIES = [random.Random(n).randbytes(100 if n % 3 else 40_000) for n in range(60)]


@pytest.fixture(autouse=True)
def _housekeeping_without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeper, "ROUND", 0.05)


@pytest.fixture(scope="module", params=["wal", "sealed"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 requests, in a WAL as after a crash, or sealed in a database."""
    path = tmp_path_factory.mktemp("damage") / "queue"
    crashed(path, [a_request(body) for body in BODIES])
    if request.param == "sealed":
        opened(path).close(5)  # seals what it finds
    return path


def damaged_copy(folder: Path, into: Path) -> tuple[Path, Path]:
    """A copy, and its largest file."""
    copy = Path(shutil.copytree(folder, into))
    files = [path for path in copy.rglob("*.segment*") if path.is_file()]
    return copy, max(files, key=lambda path: path.stat().st_size)


def check(copy: Path, *, at_least: int) -> None:
    """It opens, gives only what was put, each once, and is empty in the end."""
    queue = opened(copy)
    try:
        arrived: list[bytes] = []

        def enough() -> bool:  # damaged files are looked into by another thread
            arrived.extend(request.body for request in taken_from(queue, patience=0.2))
            return len(arrived) >= at_least and queue.stats().items == 0

        until(enough, 20)
    finally:
        queue.close(5)
    assert len(arrived) == len(set(arrived))
    assert set(arrived) <= set(BODIES)
    assert len(arrived) >= at_least


@pytest.mark.parametrize("seed", range(12))
def test_a_flipped_bit_costs_one_request_at_most(folder, seed, tmp_path):
    copy, file = damaged_copy(folder, tmp_path / "copy")
    contents = bytearray(file.read_bytes())
    place = random.Random(seed).randrange(len(contents) * 8)
    contents[place // 8] ^= 1 << place % 8
    file.write_bytes(contents)
    check(copy, at_least=len(BODIES) - 1)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.01, 0.2, 0.5, 0.9, 0.99, 0.999])
def test_a_cut_file_gives_what_is_left_of_it(folder, part, tmp_path):
    copy, file = damaged_copy(folder, tmp_path / "copy")
    contents = file.read_bytes()
    file.write_bytes(contents[: int(len(contents) * part)])
    check(copy, at_least=len(BODIES) // 10 if part > 0.9 else 0)


@pytest.mark.parametrize("garbage", [b"", b"garbage", random.Random(1).randbytes(100_000)])
def test_garbage_is_set_aside_and_takes_nothing_with_it(folder, garbage, tmp_path, caplog):
    copy, file = damaged_copy(folder, tmp_path / "copy")
    for name in ("0000000000000001.segment", "no-number.segment"):
        (file.parent / name).write_bytes(garbage)
    check(copy, at_least=len(BODIES))
    if garbage:
        assert "0000000000000001.segment is damaged" in caplog.text
        assert (copy / "set-aside" / "no-number.segment").exists()


def test_half_of_a_file_overwritten_leaves_the_other_half(folder, tmp_path, caplog):
    copy, file = damaged_copy(folder, tmp_path / "copy")
    contents = bytearray(file.read_bytes())
    half = len(contents) // 2
    contents[:half] = bytes(half)
    file.write_bytes(contents)
    check(copy, at_least=len(BODIES) // 10)
    assert "is damaged" in caplog.text
    assert file.name in {path.name for path in (copy / "set-aside").iterdir()}


def test_a_file_of_a_later_release_is_left_alone(folder, tmp_path, caplog):
    copy, _ = damaged_copy(folder, tmp_path / "copy")
    (file,) = segments(copy)
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version=2")
    database.close()
    queue = opened(copy)
    assert queue.take(ROUTE, 0.2) is None
    queue.put(a_request(b"new"))
    assert queue.take(ROUTE, 5).request.body == b"new"
    queue.close(5)
    assert file.exists()
    assert "is left alone: version 2" in caplog.text


def test_a_damaged_note_of_what_was_delivered_loses_nothing(tmp_path):
    requests = [a_request(b"%d" % n) for n in range(20)]
    folder = crashed(tmp_path / "queue", requests, delivered=10)
    (file,) = segments(folder)
    with sqlite3.connect(file) as database:
        (notes,) = database.execute("SELECT entries FROM settled").fetchone()
        database.execute("UPDATE settled SET entries = ?", [notes[:-1] + b"\xff"])
    database.close()
    queue = opened(folder)
    arrived = {request.request_id for request in taken_from(queue)}
    queue.close(5)
    assert arrived == {request.request_id for request in requests}


def test_an_intact_note_is_heeded(tmp_path):
    requests = [a_request(b"%d" % n) for n in range(20)]
    queue = opened(crashed(tmp_path / "queue", requests, delivered=10))
    arrived = [request.request_id for request in taken_from(queue)]
    queue.close(5)
    assert sorted(arrived) == sorted(one.request_id for one in requests[10:])


def test_a_damaged_letter_is_set_aside(tmp_path):
    folder = crashed(tmp_path / "queue", [])
    (folder / "requeued" / "1.letter").write_bytes(b"garbage")
    queue = opened(folder)
    assert until(lambda: queue.stats().set_aside == 1)
    queue.close(5)
    assert (folder / "set-aside" / "1.letter").exists()


def test_pipes_and_links_in_the_folder_hold_no_start_up_and_lead_nowhere(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "kept.segment").write_bytes(b"not ours")
    folder = crashed(tmp_path / "queue", [a_request(b"whole")])
    process = segments(folder)[0].parent
    os.mkfifo(process / "0000000000000001.segment")
    os.mkfifo(process / "0000000000000002.segment-wal")
    (process / "0000000000000002.segment").write_bytes(b"")
    (process / "0000000000000003.segment").symlink_to(other / "kept.segment")
    (folder / "link").symlink_to(other)
    os.mkfifo(folder / "requeued" / "pipe.letter")
    (folder / "requeued" / "deep.letter").write_bytes(b"[" * 200_000 + b"\n")
    (folder / "requeued" / "link.letter").symlink_to(other / "kept.segment")
    queue = opened(folder)
    try:
        assert [request.body for request in taken_from(queue, patience=0.5)] == [b"whole"]
        until(lambda: not (folder / "requeued" / "deep.letter").exists(), 20)
    finally:
        queue.close(5)
    assert [path.name for path in other.iterdir()] == ["kept.segment"]
    assert (other / "kept.segment").read_bytes() == b"not ours"


def test_folders_that_are_no_process_s_are_left_as_they_are(tmp_path):
    folder = crashed(tmp_path / "queue", [a_request(b"whole")])
    for name in ("lost+found", "empty", "of-mine"):
        (folder / name).mkdir()
    (folder / "of-mine" / "0000000000000001.segment").write_bytes(b"not ours")
    (folder / "notes.txt").write_text("not ours")
    queue = opened(folder)
    assert [request.body for request in taken_from(queue)] == [b"whole"]
    queue.close(5)
    assert list((folder / "lost+found").iterdir()) == list((folder / "empty").iterdir()) == []
    assert [path.name for path in (folder / "of-mine").iterdir()] == ["0000000000000001.segment"]
    assert (folder / "notes.txt").read_text() == "not ours"


def test_a_lock_that_is_a_link_makes_no_file_elsewhere(tmp_path):
    folder = tmp_path / "queue"
    folder.mkdir()
    (folder / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="can't be used"):
        opened(folder)
    assert not (tmp_path / "elsewhere").exists()
