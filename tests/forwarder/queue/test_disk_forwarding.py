"""The forwarder with its queue on a disk."""

from __future__ import annotations

import itertools
import json
import stat
import threading
import time
from typing import Any

import pytest
from running_forwarder import ROUTES, environ, on_disk
from sample_data import KEY
from servers import PATIENCE, Arrived, RawServer, RecordingServer, free_port, hang
from waiting import until

from livedebug_sender import ConfigError
from livedebug_sender.delivery import backoff
from livedebug_sender.forwarder import Forwarder, Settings, store_and_forward
from livedebug_sender.forwarder.queue.disk.segment import Segment

NOWHERE = "http://127.0.0.1:9"
#: Requests of a route that may be under way at once.
CONNECTIONS = 4


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.02)  # seconds until the first probe, at most


def samples(forwarder: Any) -> dict[str, float]:
    lines = forwarder.get("/metrics").body.decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name.removeprefix("livedebug_forwarder_"): float(value) for name, _, value in pairs}


def all_routes(arrived: list[Arrived]) -> bool:
    """Did one of each come whose body is its route?"""
    return {one.body for one in arrived} == {path.encode() for path in ROUTES}


def test_what_was_taken_waits_for_the_next_forwarder_and_keeps_its_id(tmp_path):
    with RecordingServer(503) as intake, on_disk(intake.url, tmp_path) as forwarder:
        for path in ROUTES:
            assert forwarder.post(path, path.encode()).status == 202
        # One of them may be tried again before another is for the first time.
        before = {r.body: r.headers["dd-request-id"] for r in intake.wait_for(all_routes)}
        forwarder.stop()
        assert forwarder.delivered is True  # nothing is lost
    with RecordingServer() as intake, on_disk(intake.url, tmp_path) as forwarder:
        forwarder.app.start()
        arrived = intake.wait_for(all_routes)
        assert until(lambda: samples(forwarder)["queue_items"] == 0)
    assert {r.body: r.headers["dd-request-id"] for r in arrived} == before


def test_a_stop_in_the_middle_of_a_delivery_leaves_it_on_the_disk(tmp_path):
    with RawServer(hang) as intake:
        with on_disk(intake.url, tmp_path, timeout=60, grace=0.5) as forwarder:
            assert forwarder.post(ROUTES[2], b"[1]").status == 202
            assert intake.arrived.wait(15)
            forwarder.stop()
        assert forwarder.delivered is True
    with RecordingServer() as intake, on_disk(intake.url, tmp_path) as forwarder:
        forwarder.app.start()
        assert intake.wait_for(1)[0].body == b"[1]"


@pytest.mark.waits
def test_a_delivery_under_way_is_cut_in_time_for_the_queue_to_close(tmp_path, monkeypatch):
    monkeypatch.setattr(store_and_forward, "LAST", 3.0)
    monkeypatch.setattr(store_and_forward, "LAST_SHARE", 0.75)
    with RawServer(hang) as intake, on_disk(intake.url, tmp_path, timeout=60, grace=4.0) as app:
        assert app.post(ROUTES[2], b"[1]").status == 202
        assert intake.arrived.wait(15)
        begun = time.monotonic()
        app.stop()
        assert time.monotonic() - begun < 4
    assert app.delivered is True


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_pauses_the_route_and_drops_nothing(tmp_path, status, caplog):
    with RecordingServer(status) as intake, on_disk(intake.url, tmp_path) as forwarder:
        for n in range(10):
            assert forwarder.post(ROUTES[2], b"[%d]" % n).status == 202
        intake.wait_for(1)
        assert until(lambda: "refuses the API key" in caplog.text)
        assert samples(forwarder)["queue_items"] == 10
        # Those that were under way at once, and no more.
        assert len(intake.requests) <= 4
        forwarder.stop()
    assert KEY not in caplog.text
    with RecordingServer() as intake, on_disk(intake.url, tmp_path) as forwarder:
        forwarder.app.start()
        assert len(intake.wait_for(10)) == 10


def test_what_is_refused_for_good_becomes_a_dead_letter(tmp_path):
    with RecordingServer(413) as intake, on_disk(intake.url, tmp_path) as forwarder:
        forwarder.post(ROUTES[1], b"[1]")
        assert until(lambda: samples(forwarder).get('queue_dead_total{reason="HTTP 413"}') == 1)
        assert until(lambda: samples(forwarder)["queue_items"] == 0)
    (letter,) = (tmp_path / "dead").iterdir()
    assert json.loads(letter.read_bytes().partition(b"\n")[0])["reason"] == "HTTP 413"


@pytest.mark.waits
def test_while_the_intake_is_down_one_request_probes_and_the_rest_waits(tmp_path):
    lock = threading.Lock()
    at_once = [0, 0]  # now, and the most after the first round
    # What is under way when the intake goes down is no probe: all of it is answered before
    # the first probe can come.
    turns = itertools.count()
    first_round = threading.Barrier(CONNECTIONS)
    down = threading.Event()
    down.set()

    def answer(arrived: Arrived) -> int:
        if not down.is_set():
            return 202
        if next(turns) < CONNECTIONS:
            first_round.wait(PATIENCE)
            return 503
        with lock:
            at_once[0] += 1
            at_once[1] = max(at_once)
        threading.Event().wait(0.05)  # long enough for another to be seen
        with lock:
            at_once[0] -= 1
        return 503

    with RecordingServer() as intake:
        intake.answer = answer
        with on_disk(intake.url, tmp_path, connections=CONNECTIONS) as forwarder:
            for n in range(50):
                assert forwarder.post(ROUTES[2], b"[%d]" % n).status == 202
            assert intake.wait_for(CONNECTIONS + 5)
            assert at_once[1] == 1
            down.clear()
            intake.wait_for(lambda all_: len({one.body for one in all_}) == 50)
            assert until(lambda: samples(forwarder)["queue_items"] == 0)


def test_one_request_that_the_intake_fails_on_does_not_hold_up_the_others(tmp_path):
    intake = RecordingServer(lambda one: 500 if one.body == b"[0]" else 202)
    with intake, on_disk(intake.url, tmp_path) as forwarder:
        for n in range(30):
            assert forwarder.post(ROUTES[2], b"[%d]" % n).status == 202
        intake.wait_for(lambda all_: len({one.body for one in all_}) == 30)
        assert until(lambda: samples(forwarder)["queue_items"] == 1)


def test_neither_key_nor_credentials_of_the_tracer_are_on_the_disk(tmp_path):
    secrets = {"Authorization": "Bearer s3cret", "Cookie": "s3cret", "DD-Api-Key": "s3cret"}
    with RecordingServer(400) as intake, on_disk(intake.url, tmp_path) as forwarder:
        forwarder.post(f"{ROUTES[0]}?api_key=s3cret", b"[1]", **secrets)
        assert until(lambda: samples(forwarder)["queue_items"] == 0)
    port = free_port()
    with on_disk(f"http://127.0.0.1:{port}", tmp_path) as forwarder:
        assert forwarder.post(f"{ROUTES[2]}?dd-api-key=s3cret", b"[2]", **secrets).status == 202
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        stored = b"".join(path.read_bytes() for path in files)
    assert b"[2]" in stored
    assert b"s3cret" not in stored
    assert KEY.encode() not in stored


@pytest.mark.parametrize("made_before", [False, True])
def test_only_its_user_can_look_into_the_folder(tmp_path, made_before):
    folder = tmp_path / "queue"
    if made_before:  # by systemd, say; and at the root of a file system
        (folder / "lost+found").mkdir(0o700, parents=True)
        folder.chmod(0o755)
    intake = RecordingServer(lambda one: 400 if one.body == b"[0]" else 503)
    with intake, on_disk(intake.url, folder) as forwarder:
        forwarder.post(ROUTES[2], b"[0]")
        forwarder.post(ROUTES[1], b"[1]")
        assert until(lambda: samples(forwarder)["queue_items"] == 1)
        for path in [folder, *folder.rglob("*")]:
            expected = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.stat().st_mode) == expected, path


def test_health_says_when_the_queue_is_nearly_full(tmp_path):
    options = {"queue_bytes": 4_000_000, "max_body_bytes": 100_000}
    with on_disk(NOWHERE, tmp_path, **options) as forwarder:
        assert forwarder.get("/health").json == {"status": "ok"}
        answered = forwarder.post(ROUTES[2], b"x" * 100_000)
        while answered.status == 202:
            answered = forwarder.post(ROUTES[2], b"x" * 100_000)
        assert (answered.status, answered.headers["retry-after"]) == (429, "5")
        health = forwarder.get("/health")
        assert health.status == 200
        assert health.json["status"] == "queue nearly full"
        assert health.json["fullness"] > 0.8


def test_additional_endpoints_get_one_copy_each(tmp_path):
    intake, other = RecordingServer(503), RecordingServer()
    with intake, other, on_disk(intake.url, tmp_path, other.url) as forwarder:
        forwarder.post(ROUTES[1], b"[1]")
        intake.wait_for(3)
        assert [one.body for one in other.wait_for(1)] == [b"[1]"]
    assert len(other.requests) == 1


def test_a_folder_that_cannot_be_had_is_said_at_the_start(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    settings = Settings.from_env(environ(NOWHERE), queue=f"disk:{file}/queue")
    with pytest.raises(ConfigError, match="can't be used"):
        Forwarder(settings).start()


@pytest.mark.parametrize("url", ["disk:relative", "disk:", "redis://x"])
def test_a_queue_that_is_none_is_said_where_it_is_given(url):
    with pytest.raises(ConfigError, match="expected: memory, disk:/path/to/folder or kafka"):
        Settings.from_env(environ(NOWHERE), queue=url)


def test_a_kafka_queue_without_a_topic_is_said_where_it_is_given():
    with pytest.raises(ConfigError, match="the topic is ''; expected: "):
        Settings.from_env(environ(NOWHERE), queue="kafka://host:9092")


def test_any_queue_but_memory_means_store_and_forward(tmp_path):
    settings = Settings.from_env(environ(NOWHERE, LIVEDEBUG_FORWARDER_QUEUE=f"disk:{tmp_path}"))
    assert settings.mode == "store-and-forward"
    assert Settings.from_env(environ(NOWHERE)).mode == "pass-through"


def test_a_request_that_cannot_be_read_for_want_of_memory_is_delivered_later(
    tmp_path, monkeypatch, caplog
):
    with RecordingServer(503) as intake, on_disk(intake.url, tmp_path) as forwarder:
        for n in range(CONNECTIONS + 1):
            assert forwarder.post(ROUTES[2], b"[%d]" % n).status == 202
    read = Segment.row
    failures = itertools.count()

    def failing(self: Segment, table: int, row: int) -> Any:
        if next(failures) <= CONNECTIONS:  # each thread that delivers gets to see one
            raise MemoryError
        return read(self, table, row)

    monkeypatch.setattr(Segment, "row", failing)
    with RecordingServer() as intake, on_disk(intake.url, tmp_path) as forwarder:
        forwarder.app.start()
        assert len(intake.wait_for(CONNECTIONS + 1)) == CONNECTIONS + 1
    assert "the queue failed: MemoryError" in caplog.text
