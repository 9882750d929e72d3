"""From `enqueue` to the intake, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from sample_data import KEY, SAMPLES, large_snapshot
from servers import Arrived, RecordingServer, Reply

from livedebug_sender import Endpoint, Sender, SenderConfig, Stats, Track

Make = Callable[..., Sender]


@pytest.mark.parametrize("track", ["diagnostics", "snapshots", "logs"])
def test_every_sample_payload_arrives_once_and_unchanged(
    make_sender: Make, samples: dict[str, list[Any]], track: str
) -> None:
    with RecordingServer() as intake, make_sender(intake.url, key=KEY) as sender:
        for payload in samples[track]:
            assert sender.enqueue(track, json.dumps(payload).encode())
        assert sender.flush(10)
        assert intake.elements() == samples[track]


def test_a_whole_array_is_one_payload_of_which_each_element_arrives(
    make_sender: Make, samples: dict[str, list[Any]]
) -> None:
    with RecordingServer() as intake, make_sender(intake.url) as sender:
        for name in ("logs", "snapshots"):
            sender.enqueue(name, (SAMPLES / f"{name}.json").read_bytes())
        assert sender.flush(10)
        assert sender.stats().delivered == 2
        key = "timestamp"
        expected = samples["logs"] + samples["snapshots"]
        assert sorted(map(json.dumps, intake.elements())) == sorted(map(json.dumps, expected)), key


def test_the_large_snapshot_arrives_byte_for_byte(make_sender: Make) -> None:
    large = large_snapshot().strip()
    with RecordingServer() as intake, make_sender(intake.url) as sender:
        assert sender.enqueue("snapshots", large)
        assert sender.flush(10)
        assert intake.posts[0].body == large
        assert intake.posts[0].headers["content-length"] == str(len(large))


def test_symdb_uploads_arrive_byte_for_byte_and_never_merged(make_sender: Make) -> None:
    body = (SAMPLES / "symdb.body").read_bytes()
    content_type = (SAMPLES / "symdb.content_type").read_text().strip()
    with RecordingServer() as intake, make_sender(intake.url, tags="a:b,c:ü") as sender:
        assert sender.enqueue("symdb", body, content_type=content_type)
        assert sender.enqueue(Track.SYMDB, bytearray(body), content_type=content_type)
        assert sender.flush(10)
        assert [r.body for r in intake.posts] == [body, body]
        for request in intake.posts:
            assert request.path == "/symdb/v1/input"
            assert request.query == ""
            assert request.headers["content-type"] == content_type
            tags = request.headers["x-datadog-additional-tags"]
            assert tags.encode("latin-1").decode("utf-8") == "a:b,c:ü"


def test_payloads_that_come_together_share_a_request_and_its_connection(make_sender: Make) -> None:
    with RecordingServer() as intake, make_sender(intake.url, linger=0.5) as sender:
        for number in range(50):
            sender.enqueue("logs", {"n": number})
        assert sender.flush(10)
        first = len(intake.posts)
        assert first <= 2
        for number in range(50, 60):
            sender.enqueue("logs", {"n": number})
        assert sender.flush(10)
        assert intake.elements() == [{"n": number} for number in range(60)]
        assert len({request.connection for request in intake.posts}) == 1


def test_a_batch_keeps_to_its_bounds(make_sender: Make) -> None:
    with (
        RecordingServer() as intake,
        make_sender(intake.url, max_batch_items=10, max_batch_bytes=400, linger=0.5) as sender,
    ):
        for _ in range(35):
            sender.enqueue("logs", b'{"a":1}')
        for _ in range(5):
            sender.enqueue("logs", b'{"a":"%s"}' % (b"x" * 150))
        assert sender.flush(10)
        sizes = [len(request.elements) for request in intake.posts]
        assert sum(sizes) == 40
        assert max(sizes) == 10
        assert all(len(request.body) <= 400 + 12 for request in intake.posts)


def test_a_body_of_many_pieces_arrives_whole(make_sender: Make) -> None:
    payloads = [{"n": n, "text": "é" * 3000} for n in range(400)]
    with RecordingServer() as intake, make_sender(intake.url, linger=0.3) as sender:
        for payload in payloads:
            assert sender.enqueue("snapshots", payload)
        assert sender.flush(10)
        assert intake.elements() == payloads
        assert max(len(request.body) for request in intake.posts) > 1_000_000


def test_nothing_goes_out_before_the_batch_has_lingered_or_is_flushed(make_sender: Make) -> None:
    with RecordingServer() as intake, make_sender(intake.url, linger=600) as sender:
        sender.enqueue("logs", b"{}")
        assert sender.stats() == Stats(enqueued=1, pending=1, pending_bytes=2)
        assert sender.flush(10)
        assert len(intake.posts) == 1


def test_a_batch_that_is_full_does_not_linger(make_sender: Make) -> None:
    with (
        RecordingServer() as intake,
        make_sender(intake.url, linger=600, max_batch_items=5) as sender,
    ):
        for _ in range(5):
            sender.enqueue("logs", b"{}")
        intake.wait_for(1)


def test_a_queue_half_full_does_not_linger(make_sender: Make) -> None:
    with (
        RecordingServer() as intake,
        make_sender(intake.url, linger=600, max_queue_items=20) as sender,
    ):
        for track in ("logs", "snapshots", "diagnostics"):
            for _ in range(4):
                assert sender.enqueue(track, b"{}")
        intake.wait_for(1)


def test_stats_count_payloads_requests_and_bytes(make_sender: Make) -> None:
    with RecordingServer() as intake, RecordingServer() as second:
        sender = make_sender(intake.url, additional=(Endpoint(second.url, KEY),))
        for _ in range(3):
            sender.enqueue("logs", b'{"a":1}')
        sender.enqueue("symdb", b"12345", content_type="text/plain")
        assert sender.close(10)
        stats = sender.stats()
        assert (stats.enqueued, stats.delivered, stats.pending) == (4, 4, 0)
        assert stats.dropped == {}
        assert stats.requests == len(intake.posts)
        assert stats.bytes_sent == sum(len(request.body) for request in intake.posts)
        assert stats.additional_delivered == len(second.posts) == len(intake.posts)
        assert (stats.retries, stats.additional_failed, stats.pending_bytes) == (0, 0, 0)


def test_a_session_of_the_users_own_factory_is_used(make_sender: Make) -> None:
    import requests

    sent = []

    class Session(requests.Session):
        def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
            sent.append(request.url)
            return super().send(request, **kwargs)

    with RecordingServer() as intake:
        sender = make_sender(intake.url, session_factory=Session)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert sent == [f"{intake.url}/debugger/v2/input"]
        assert len(intake.posts) == 1


def test_the_responses_library_can_stand_in_for_the_intake_of_a_users_own_session(
    make_sender: Make,
) -> None:
    import requests
    import responses

    with responses.RequestsMock() as mock:
        mock.post("http://agent.test:8126/debugger/v2/input", status=202)
        sender = make_sender("http://agent.test:8126", tags="a:b", session_factory=requests.Session)
        sender.enqueue("logs", {"n": 1})
        assert sender.flush(10)
        request = mock.calls[0].request
        assert json.loads(request.body or b"") == [{"n": 1}]
        assert request.url == "http://agent.test:8126/debugger/v2/input?ddtags=a%3Ab"


def test_a_file_endpoint_gets_a_line_for_each_request(make_sender: Make, tmp_path: Any) -> None:
    path = tmp_path / "requests.jsonl"
    sender = make_sender(f"file://{path}", key=KEY, tags="a:b")
    sender.enqueue("logs", {"n": "ü"})
    sender.enqueue("symdb", b"\xff\x00", content_type="application/octet-stream")
    assert sender.close(10)
    text = path.read_text("utf-8")
    assert KEY not in text
    records = {
        json.loads(line)["headers"]["Content-Type"]: json.loads(line) for line in text.splitlines()
    }
    log = records["application/json"]
    assert (log["method"], log["path"]) == ("POST", "/api/v2/debugger?ddtags=a%3Ab")
    assert json.loads(log["body"]) == [{"n": "ü"}]
    assert records["application/octet-stream"]["body_base64"] == "/wA="


def test_a_config_changed_later_counts_from_the_next_request_on() -> None:
    config = SenderConfig()
    with RecordingServer() as first, RecordingServer() as second, Sender(config) as sender:
        for server in (first, second):
            config.set_endpoint(Endpoint(server.url))
            sender.enqueue("logs", b"{}")
            assert sender.flush(10)
        assert (len(first.posts), len(second.posts)) == (1, 1)


def test_no_redirect_is_followed(make_sender: Make) -> None:
    with RecordingServer() as other:

        def away(_: Arrived) -> Reply:
            return Reply(307, {"Location": other.url})

        with RecordingServer(away) as intake:
            sender = make_sender(intake.url, key=KEY)
            sender.enqueue("logs", b"{}")
            assert sender.flush(10)
            assert sender.stats().dropped == {"rejected": 1}
        assert other.requests == []


def test_tags_over_the_agents_limit_are_cut_and_that_is_logged_once(
    make_sender: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with RecordingServer() as intake:
        sender = make_sender(intake.url, tags="a:" + "x" * 3990 + ",b:" + "y" * 50)
        for _ in range(3):
            sender.enqueue("logs", b"{}")
            sender.enqueue("symdb", b"x", content_type="a/b")
            assert sender.flush(10)
        sender.close(10)
        for request in intake.posts:
            if request.path == "/symdb/v1/input":
                assert request.headers["x-datadog-additional-tags"] == "a:" + "x" * 3990
            else:
                assert request.query == "ddtags=a%3A" + "x" * 3990
    assert caplog.text.count("characters of tags cut") == 1


def test_the_container_headers_are_on_every_request(
    make_sender: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DD_EXTERNAL_ENV", "it-false,cn-shop\n")
    with RecordingServer() as intake:
        sender = make_sender(intake.url)
        for track in ("logs", "diagnostics"):
            sender.enqueue(track, b"{}")
        sender.enqueue("symdb", b"x", content_type="a/b")
        assert sender.flush(10)
        assert len(intake.posts) == 3
        for request in intake.posts:
            assert request.headers["datadog-external-env"] == "it-false,cn-shop"
            assert request.headers["user-agent"] == "livedebug-sender/0.1.0"
            assert "dd-api-key" not in request.headers
            assert "dd-evp-origin" not in request.headers
            assert "transfer-encoding" not in request.headers
