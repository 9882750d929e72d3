"""What is taken from any WSGI server, as its environ tells it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from running_forwarder import ROUTES, environ
from sample_data import KEY
from servers import RecordingServer

from livedebug_sender import ConfigError
from livedebug_sender.forwarder import Forwarder, Settings
from livedebug_sender.forwarder.counters import FIRST_METRIC, Counters
from livedebug_sender.forwarder.limits import InFlightLimit, body_size, read_body
from livedebug_sender.forwarder.replies import HTTPError


def read(max_bytes: int, body: bytes, **wsgi: Any) -> bytes:
    wsgi["wsgi.input"] = io.BytesIO(body)
    return read_body(wsgi, body_size(wsgi, max_bytes), max_bytes)


def refused(max_bytes: int, body: bytes, **wsgi: Any) -> int:
    with pytest.raises(HTTPError) as caught:
        read(max_bytes, body, **wsgi)
    return caught.value.status


def test_a_body_of_known_length_is_read_to_that_length():
    assert read(5, b"12345678", CONTENT_LENGTH="5") == b"12345"
    assert read(5, b"", CONTENT_LENGTH="0") == b""
    assert read(5, b"12345678", CONTENT_LENGTH="") == b""


def test_a_body_that_the_server_cannot_read_is_a_400():
    class Cut(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("no more data")

    with pytest.raises(HTTPError) as caught:
        read_body({"wsgi.input": Cut()}, None, 5)
    assert caught.value.status == 400


def test_a_chunked_body_is_read_to_its_end():
    terminated = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    assert read(5, b"12345", **terminated) == b"12345"
    assert refused(5, b"123456", **terminated) == 413


def test_a_body_that_cannot_be_measured_is_a_411():
    assert refused(5, b"123", HTTP_TRANSFER_ENCODING="chunked") == 411


@pytest.mark.parametrize(
    ("length", "status"),
    [("6", 413), ("9" * 5000, 413), ("5", 400), ("-1", 400), ("+3", 400), ("٣", 400), ("3,3", 400)],
)
def test_a_wrong_or_malformed_content_length_is_refused(length, status):
    assert refused(5, b"123", CONTENT_LENGTH=length) == status


def test_a_place_in_flight_is_released_after_success_error_and_refusal():
    in_flight = InFlightLimit(Counters(FIRST_METRIC).column(), 1, 10)
    with pytest.raises(ZeroDivisionError), in_flight.place_for(10):
        _ = 1 / 0 * in_flight.read()[0]
    assert in_flight.read() == (0, 0)
    with in_flight.place_for(10):
        assert in_flight.read() == (1, 10)
    with pytest.raises(HTTPError), in_flight.place_for(11):
        raise AssertionError
    assert in_flight.read() == (0, 0)


class Broken(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise RuntimeError(f"something with {KEY}")


def test_the_time_to_close_in_may_have_a_unit_and_is_checked():
    with RecordingServer() as intake:
        app = Forwarder(Settings.from_env(environ(intake.url)))
        with pytest.raises(ConfigError, match="timeout is 'soon'"):
            app.close("soon")
        assert app.close("500ms")


def test_an_unexpected_exception_is_a_500_that_shows_nothing_of_the_request(caplog):
    with RecordingServer() as intake:
        app = Forwarder(Settings.from_env(environ(intake.url)))
        seen: list[str] = []
        wsgi: dict[str, Any] = {"REQUEST_METHOD": "POST", "PATH_INFO": ROUTES[0]}
        wsgi |= {"CONTENT_LENGTH": "3", "wsgi.input": Broken()}
        body = b"".join(app(wsgi, lambda status, headers: seen.append(status)))  # type: ignore[arg-type, return-value]
        app.end_soon()
        app({"REQUEST_METHOD": "GET", "PATH_INFO": "/health"}, lambda s, h: seen.append(s))  # type: ignore[arg-type, return-value]
        assert app.close(1.0)
    assert seen == ["500 Internal Server Error", "503 Service Unavailable"]
    assert KEY not in body.decode() + caplog.text
    assert "RuntimeError" in caplog.text
