"""Promises of the contract that are easy to break; each was broken once."""

from __future__ import annotations

import os
import socket
import threading
from collections import UserDict
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest
from servers import RawServer, RecordingServer, Reply, free_port, hang
from waiting import until

import livedebug_sender.config as config_module
from livedebug_sender import (
    ConfigError,
    DeliveryError,
    Endpoint,
    Sender,
    SenderConfig,
    Track,
    send,
)

Make = Callable[..., Sender]
KEY = "0123456789abcdef0123456789abcdef"


# ---- enqueue never raises ----


class _NoClass:
    @property
    def __class__(self) -> Any:  # type: ignore[override]
        raise ZeroDivisionError


class _Leaves(UserDict):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        raise SystemExit(3)


def test_a_track_with_a_hostile_class_is_refused(make_sender: Make) -> None:
    sender = make_sender("http://127.0.0.1:1")
    assert sender.enqueue(_NoClass(), b"{}") is False  # type: ignore[arg-type]


def test_a_payload_that_raises_system_exit_is_refused(make_sender: Make) -> None:
    sender = make_sender("http://127.0.0.1:1")
    assert sender.enqueue("logs", _Leaves(a=1)) is False


def test_on_drop_that_raises_system_exit_is_only_logged(make_sender: Make) -> None:
    def on_drop(*_: object) -> None:
        raise SystemExit(3)

    sender = make_sender("http://127.0.0.1:1", on_drop=on_drop)
    assert sender.enqueue("logs", b"") is False


def test_a_str_whose_encode_lies_costs_nobody_else_his_payload(make_sender: Make) -> None:
    class Liar(str):
        def encode(self, *_: Any) -> Any:
            return [ord("{"), ord("}")]

    with RecordingServer() as server:
        sender = make_sender(server.url, linger=0.2)
        sender.enqueue("logs", b'{"good":1}')
        sender.enqueue("logs", Liar("{}"))
        sender.flush()
        assert sender.stats().delivered >= 1, sender.stats()


# ---- bounded ----


def test_odd_tracks_do_not_pile_up_in_memory_or_in_the_log(
    make_sender: Make, caplog: pytest.LogCaptureFixture
) -> None:
    sender = make_sender("http://127.0.0.1:1")
    for n in range(2000):
        sender.enqueue(f"track-{n}", b"{}")
    sender.flush()
    assert len(caplog.records) < 100


def test_content_types_count_against_the_bytes_of_the_queue(make_sender: Make) -> None:
    with RawServer(hang) as server:
        sender = make_sender(server.url, max_queue_bytes=1_000_000)
        taken = sum(
            sender.enqueue("symdb", b"x", content_type="a/" + "b" * 100_000) for _ in range(100)
        )
        assert taken <= 10


def test_small_requests_waiting_for_an_additional_endpoint_are_bounded(make_sender: Make) -> None:
    """8 MiB of bodies of 2 bytes would be 4 million requests, of 1 KB and more each."""
    with RawServer(hang) as stalled, RecordingServer() as server:
        sender = make_sender(
            server.url,
            additional=(Endpoint(stalled.url, timeout=60.0),),
            max_queue_items=100,
            max_queue_bytes=100_000,
        )
        for _ in range(40):
            sender.enqueue("symdb", b"x", content_type="text/plain")
        assert sender.flush(10.0)
        # A quarter of the queue's bound, the one in flight included.
        assert until(lambda: sender.stats().additional_failed == 40 - 25)


# ---- symdb, verbatim ----


class _Type(str, Enum):
    JSON = "application/json"


def test_a_content_type_of_a_str_enum_travels_as_its_value(make_sender: Make) -> None:
    with RecordingServer() as server:
        sender = make_sender(server.url)
        assert sender.enqueue("symdb", b"x", content_type=_Type.JSON)
        (request,) = server.wait_for(1)
        assert request.headers["content-type"] == "application/json"


# ---- answers ----


def answering(*parts: bytes, close: bool = False) -> Callable[[socket.socket, Any], None]:
    def act(connection: socket.socket, over: threading.Event) -> None:
        for part in parts:
            connection.sendall(part)
        if not close:
            over.wait()

    return act


def test_a_2xx_whose_body_ends_early_is_delivered(make_sender: Make) -> None:
    answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\n{}"
    with RawServer(answering(answer, close=True)) as server:
        sender = make_sender(server.url, retry_for=0.0)
        sender.enqueue("logs", b"{}")
        sender.flush(5.0)
        assert sender.stats().delivered == 1, sender.stats()


def test_a_2xx_whose_body_can_not_be_decoded_is_delivered(make_sender: Make) -> None:
    reply = Reply(202, {"Content-Encoding": "gzip"}, b"{}")
    with RecordingServer(reply) as server:
        sender = make_sender(server.url, retry_for=0.0)
        sender.enqueue("logs", b"{}")
        sender.flush(5.0)
        assert sender.stats().delivered == 1, sender.stats()


def test_a_2xx_whose_body_never_ends_is_delivered(make_sender: Make) -> None:
    answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\n{}"
    with RawServer(answering(answer)) as server:
        sender = make_sender(server.url, timeout=0.3, retry_for=0.0)
        sender.enqueue("logs", b"{}")
        sender.flush(5.0)
        assert sender.stats().delivered == 1, sender.stats()


def test_early_hints_are_no_answer_on_a_new_connection(make_sender: Make) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    answer = hints + b"HTTP/1.1 202 OK\r\nContent-Length: 0\r\n\r\n"
    with RawServer(answering(answer)) as server:
        sender = make_sender(server.url, retry_for=0.0)
        sender.enqueue("logs", b"{}")
        sender.flush(5.0)
        assert sender.stats().delivered == 1, sender.stats()


# ---- config ----


def test_a_port_of_5000_digits_is_a_config_error() -> None:
    with pytest.raises(ConfigError):
        SenderConfig.from_env({"DD_TRACE_AGENT_PORT": "9" * 5000})


def test_a_linger_beyond_floats_is_a_config_error() -> None:
    with pytest.raises(ConfigError):
        Sender(SenderConfig(), linger=10**400)


@pytest.mark.parametrize("url", ["user:s3cret@host:8126", "http:/user:s3cret@host"])
def test_user_info_of_a_bad_url_is_never_shown(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Endpoint(url)
    assert "s3cret" not in str(caught.value)


def test_two_changes_of_a_config_at_once_leave_the_newest_endpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = SenderConfig()
    config.set_endpoint(Endpoint("http://old:1"))
    in_between, go_on = threading.Event(), threading.Event()
    derive = config_module.derive_endpoint_path
    worker: list[threading.Thread] = []

    def slow(endpoint: Endpoint, track: Any) -> Endpoint:
        if threading.current_thread() in worker and not in_between.is_set():
            in_between.set()
            go_on.wait(0.3)  # with a lock in the config this times out: the change waits
        return derive(endpoint, track)

    monkeypatch.setattr(config_module, "derive_endpoint_path", slow)
    thread = threading.Thread(target=config.downgrade_to_diagnostics_endpoint)
    worker.append(thread)
    thread.start()
    in_between.wait()
    config.set_endpoint(Endpoint("http://new:1"))
    go_on.set()
    thread.join()
    assert config.endpoints_for(Track.DIAGNOSTICS)[0].url.startswith("http://new:1")


# ---- secrets ----


def held_by(error: BaseException | None) -> str:
    """All text in an exception, and in the requests that its chain carries."""
    text = ""
    while error is not None:
        text += f"{error!r}{error.args!r}{vars(error)!r}"
        request = getattr(error, "request", None)
        text += repr(getattr(request, "headers", ""))
        error = error.__cause__ or error.__context__
    return text


def test_an_exception_of_send_carries_no_key() -> None:
    config = SenderConfig()
    config.set_endpoint(Endpoint(f"http://127.0.0.1:{free_port()}", KEY))
    with pytest.raises(DeliveryError) as caught:
        send(b"{}", config, "logs")
    assert KEY not in held_by(caught.value)


def test_the_repr_of_a_request_shows_no_key() -> None:
    from livedebug_sender.protocol import request as module

    headers = {"DD-API-KEY": KEY}
    made = module.Request(Endpoint("http://h", KEY), "/p", headers, b"")  # type: ignore[arg-type]
    assert KEY not in repr(made)


def test_keys_and_urls_in_the_wrong_places_show_no_key() -> None:
    environ = {"DD_APM_DEBUGGER_ADDITIONAL_ENDPOINTS": f'{{"{KEY}": ["https://host"]}}'}
    with pytest.raises(ConfigError) as caught:
        SenderConfig.from_env(environ)
    assert KEY not in str(caught.value)


# ---- file:// ----


def test_a_file_that_is_a_fifo_nobody_reads_is_no_answer(tmp_path: Any) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    config = SenderConfig()
    config.set_endpoint(Endpoint(f"file://{path}"))
    ended = threading.Event()

    def run() -> None:
        try:
            send(b"{}", config, "logs")
        except DeliveryError:
            pass
        ended.set()

    threading.Thread(target=run, daemon=True).start()
    in_time = ended.wait(3.5)
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    assert in_time
