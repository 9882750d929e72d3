"""``livedebug-sender queue``, on a queue on a disk."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from crashed_queues import crashed, opened, segments, taken_from
from queue_kinds import OTHER_ROUTE, ROUTE, a_request
from running_cli import run
from servers import free_port
from waiting import until

from livedebug_sender.forwarder.queue.disk import browser, housekeeper
from livedebug_sender.forwarder.queue.disk.disk_queue import DiskQueue
from livedebug_sender.forwarder.queue.disk.segment import Segment


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three that wait, one that is delivered, and two dead letters; nobody works with it."""
    queue = opened(tmp_path / "queue")
    for n in range(6):
        queue.put(a_request(b"[%d]" % n, OTHER_ROUTE if n == 5 else ROUTE, request_id=f"id-{n}"))
    queue.acknowledge(queue.take(ROUTE, 5))
    queue.bury(queue.take(ROUTE, 5), "HTTP 400")
    queue.bury(queue.take(ROUTE, 5), "HTTP 413")
    assert until(lambda: queue.stats().dead_items == 2)
    queue.close(5)
    return tmp_path / "queue"


@pytest.fixture
def working(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DiskQueue]:
    monkeypatch.setattr(housekeeper, "ROUND", 0.05)  # seconds
    queue = opened(folder)
    yield queue
    queue.close(5)


def listed(folder: object, *options: str) -> list[dict[str, object]]:
    result = run("queue", "list", folder, "--json", *options)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("is_open", [False, True])
def test_list_tells_what_waits_and_what_is_dead(folder, is_open, request):
    if is_open:
        request.getfixturevalue("working").put(a_request(b"[6]", request_id="id-6"))
    entries = listed(folder)
    waiting = sorted(str(one["request_id"]) for one in entries if one["place"] == "waiting")
    assert waiting == ["id-3", "id-4", "id-5", *(["id-6"] if is_open else [])]
    dead = [(one["request_id"], one["reason"]) for one in entries if one["place"] == "dead"]
    assert dead == [("id-1", "HTTP 400"), ("id-2", "HTTP 413")]


def test_list_can_be_narrowed(folder):
    assert [one["request_id"] for one in listed(folder, "--route", OTHER_ROUTE)] == ["id-5"]
    assert [one["request_id"] for one in listed(folder, "--reason", "HTTP 413")] == ["id-2"]
    assert len(listed(folder, "--place", "dead")) == 2
    assert len(listed(folder, "--limit", "1")) == 1


def test_list_ends_with_the_sums_for_people(folder):
    result = run("queue", "list", f"disk:{folder}", "--limit", "2")
    assert "..." in result.stdout
    assert "3 waiting (9 bytes), 2 dead (6 bytes)" in result.stdout


def test_looking_changes_nothing(folder):
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    listed(folder)
    run("queue", "verify", folder)
    run("queue", "export", folder, folder.parent / "out")
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_show_gives_one_whole(folder):
    for entry in listed(folder):
        result = run("queue", "show", folder, entry["name"])
        shown = json.loads(result.stdout)
        assert shown["request_id"] == entry["request_id"]
        assert shown["path"] == f"{entry['route']}?ddtags=a%3Ab"
        assert run("queue", "show", folder, entry["name"], "--body").stdout == shown["body"]
    result = run("queue", "show", folder, "../../etc/passwd")
    assert result.exit_code == 2
    assert "no request is named" in result.stderr


def test_verify_finds_what_is_damaged(folder):
    assert run("queue", "verify", folder).exit_code == 0
    (file,) = segments(folder)
    contents = bytearray(file.read_bytes())
    place = contents.rindex(b"[3]")
    contents[place] ^= 1
    file.write_bytes(contents)
    result = run("queue", "verify", folder)
    assert result.exit_code == 1
    assert "checksum does not match" in result.stdout


def test_a_damaged_file_that_was_set_aside_waits_no_more_and_is_told(folder, monkeypatch):
    monkeypatch.setattr(housekeeper, "ROUND", 0.05)  # seconds
    (file,) = segments(folder)
    contents = bytearray(file.read_bytes())
    contents[contents.rindex(b"[3]")] ^= 1
    file.write_bytes(contents)
    queue = opened(folder)
    assert until(lambda: queue.take(ROUTE, 0.1) is None and queue.stats().set_aside == 1)
    queue.close(5)
    waiting = listed(folder, "--place", "waiting")
    assert [one["request_id"] for one in waiting] == ["id-4", "id-5"]
    result = run("queue", "verify", folder)
    assert result.exit_code == 1
    assert f"{file.name} is the first of 1" in result.stdout
    assert run("queue", "drop", folder, str(waiting[0]["name"]), "--yes").exit_code == 0
    assert [one["request_id"] for one in listed(folder, "--place", "waiting")] == ["id-5"]


def test_a_file_that_goes_while_it_is_verified_is_not_damaged(folder, monkeypatch):
    def emptied(path: Path, **_: object) -> Segment:
        path.unlink()
        raise FileNotFoundError(path)

    monkeypatch.setattr(Segment, "open", emptied)
    result = run("queue", "verify", folder)
    assert (result.exit_code, result.stdout) == (0, "ok   dead: 2 requests, 130 bytes\n")


def test_requeued_letters_wait_until_they_are_sent(folder):
    (first, _) = listed(folder, "--place", "dead")
    assert run("queue", "requeue", folder, first["name"]).exit_code == 0
    waiting = {one["request_id"]: one["name"] for one in listed(folder, "--place", "waiting")}
    assert sorted(waiting) == ["id-1", "id-3", "id-4", "id-5"]
    assert json.loads(run("queue", "show", folder, waiting["id-1"]).stdout)["body"] == "[1]"
    assert run("queue", "drop", folder, waiting["id-1"], "--yes").exit_code == 0
    assert "id-1" not in {one["request_id"] for one in listed(folder)}


def test_a_file_that_may_be_written_to_is_copied_once_for_all_that_is_read_from_it(
    tmp_path, monkeypatch
):
    folder = crashed(tmp_path / "queue", [a_request(b"%d" % n) for n in range(50)])
    copies = []
    copy_file = shutil.copyfile
    monkeypatch.setattr(
        browser.shutil, "copyfile", lambda *paths: copies.append(paths[0]) or copy_file(*paths)
    )
    output = tmp_path / "out.jsonl"
    assert run("queue", "export", folder, output).exit_code == 0
    assert len(output.read_bytes().splitlines()) == 50
    assert len(copies) <= 6  # with its WAL; to count, to list, to read


def test_requeued_letters_are_delivered_by_who_works_with_it(folder, working):
    (first, _) = listed(folder, "--place", "dead")
    result = run("queue", "requeue", folder, first["name"])
    assert (result.exit_code, result.stdout) == (0, "1 dead letter will be sent again\n")
    arrived: list[str] = []

    def there() -> bool:
        arrived.extend(one.request_id for one in taken_from(working, patience=0.1))
        return "id-1" in arrived

    assert until(there)


def test_requeued_letters_are_delivered_by_the_next(folder):
    assert run("queue", "requeue", folder, "--all").exit_code == 0
    assert run("queue", "requeue", folder, "no-such-name").exit_code == 1
    queue = opened(folder)
    arrived: list[str] = []

    def there() -> bool:
        arrived.extend(one.request_id for one in taken_from(queue, patience=0.1))
        return {"id-1", "id-2"} <= set(arrived)

    assert until(there)
    queue.close(5)


def test_what_was_done_is_told_as_json_too(folder):
    (first, second) = [str(one["name"]) for one in listed(folder, "--place", "dead")]
    requeued = run("queue", "requeue", folder, first, "no-such-name", "--json")
    assert (requeued.exit_code, json.loads(requeued.stdout)) == (1, {"chosen": 2, "requeued": 1})
    # The question is not in the way of the JSON.
    dropped = run("queue", "drop", folder, second, "--json", stdin=b"y\n")
    assert (dropped.exit_code, json.loads(dropped.stdout)) == (0, {"chosen": 1, "dropped": 1})


def test_dropped_requests_never_arrive(folder):
    name = next(str(one["name"]) for one in listed(folder) if one["request_id"] == "id-4")
    assert run("queue", "drop", folder, name, stdin=b"n\n").exit_code == 1
    assert run("queue", "drop", folder, name, "--yes").exit_code == 0
    assert run("queue", "drop", folder, "--all", "--place", "dead", "--yes").exit_code == 0
    assert [one["request_id"] for one in listed(folder)] == ["id-3", "id-5"]
    for _ in range(2):  # nor after another start
        queue = opened(folder)
        assert queue.stats().items == 2
        queue.close(5)


def test_what_waits_is_not_dropped_under_a_forwarder(folder, working):
    name = str(listed(folder, "--place", "waiting")[0]["name"])
    result = run("queue", "drop", folder, name, "--yes")
    assert result.exit_code == 1
    assert "stop it first" in result.stderr
    assert working.stats().items == 3


def test_export_writes_all_as_lines(folder, tmp_path):
    queue = opened(folder)
    queue.put(a_request(b"\xff\x00", request_id="binary"))
    queue.close(5)
    output = tmp_path / "out.jsonl"
    assert run("queue", "export", folder, output).exit_code == 0
    records = [json.loads(line) for line in output.read_text().splitlines()]
    bodies = {one["request_id"]: one.get("body", one.get("body_base64")) for one in records}
    expected = {f"id-{n}": f"[{n}]" for n in range(1, 6)}
    assert bodies == {**expected, "binary": "/wA="}


def test_what_is_no_queue_is_said(tmp_path):
    for url, words in (
        (tmp_path, "is not the folder of a queue"),
        ("memory", "is not the folder of a queue"),
        ("disk:relative", "expected: memory"),
    ):
        result = run("queue", "list", url)
        assert result.exit_code == 2
        assert words in result.stderr


@pytest.mark.waits
def test_a_broker_that_cannot_be_reached_is_no_wrong_use(monkeypatch):
    topic = pytest.importorskip("livedebug_sender.forwarder.queue.kafka.topic")
    monkeypatch.setattr(topic, "PATIENCE", 0.6)
    url = f"kafka://127.0.0.1:{free_port()}/topic"
    for command in (["list"], ["verify"], ["show", "dead:0:1"], ["requeue", "--all"]):
        result = run("queue", command[0], url, *command[1:])
        assert result.exit_code == 1
        assert f"no Kafka broker of {url} answers within 0.6 s" in result.stderr
        assert "Connection refused" in result.stderr
        assert "Usage:" not in result.stderr


def test_a_crashed_queue_can_be_looked_into_before_its_next_start(tmp_path):
    requests = [a_request(b"%d" % n) for n in range(5)]
    folder = crashed(tmp_path / "queue", requests, delivered=2)
    assert len(listed(folder)) == 3
    begun = time.monotonic()
    queue = opened(folder)
    assert len(taken_from(queue)) == 3
    queue.close(5)
    assert time.monotonic() - begun < 20
