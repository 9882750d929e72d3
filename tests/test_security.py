"""What an attacker who chooses a tag, a content type, a key, a URL or an answer can't do."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import logging
import os
import pkgutil
import socket
import subprocess
import sys
import threading
import traceback
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from types import ModuleType
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
import requests
import urllib3
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from sample_data import KEY
from servers import RecordingServer, Reply

import livedebug_sender
from livedebug_sender import (
    ConfigError,
    DeliveryError,
    Endpoint,
    PayloadRejected,
    Sender,
    SenderConfig,
    Track,
    debugger_intake_endpoint,
    derive_endpoint_path,
    generate_tags,
    send,
)
from livedebug_sender.errors import InvalidPayload
from livedebug_sender.protocol.endpoint import path_of
from livedebug_sender.protocol.payload import Upload, check_content_type
from livedebug_sender.protocol.request import Request, build_request
from livedebug_sender.protocol.tags import check_tags
from livedebug_sender.transport.transport import Transport

TOKEN = "test-session-token-000000"


class Wire:
    """A server that keeps the head of the last request as it came, byte for byte."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.url = f"http://{self.address}"
        self.head = b""
        self._transport = Transport()
        threading.Thread(target=self._serve, daemon=True).start()

    def post(self, request: Request) -> tuple[bytes, dict[bytes, bytes]]:
        """Send; the target of the request line, and the header lines, of which no two
        may have the same name."""
        assert self._transport.post(request).status == 200
        first, *lines = self.head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        names = [line.partition(b": ")[0].lower() for line in lines]
        assert len(set(names)) == len(names)
        method, target, version = first.split(b" ")
        assert (method, version) == (b"POST", b"HTTP/1.1")
        return target, dict(zip(names, (line.partition(b": ")[2] for line in lines), strict=True))

    def close(self) -> None:
        self._transport.close()
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            came = b""
            while chunk := connection.recv(65536):
                came += chunk
                head, end, body = came.partition(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                if end and len(body) >= int(length):
                    self.head, came = head + end, b""
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        with closing(Wire()) as made:
            yield made


def request_to(
    url: str,
    track: Track,
    *,
    tags: str = "",
    content_type: str = "a/b",
    key: str | None = None,
    token: str | None = None,
) -> Request:
    endpoint = derive_endpoint_path(Endpoint(url, key, test_token=token), track)
    items = [Upload(b"{}", content_type)] if track is Track.SYMDB else [b"{}"]
    path = path_of(endpoint, track)
    return build_request(endpoint, path, track, items, tags, {})


def says_nothing_of(secret: str, error: Exception) -> None:
    assert secret not in str(error)


PLAIN = {b"host", b"user-agent", b"content-type", b"content-length", b"accept-encoding"}
#: Text, with much of what could end a line, a value or a parameter.
nasty = st.text(
    st.sampled_from("ab:,;&=?#%/\\\r\n\t \0\x0b\x85\u2028é\U0001f600\udc80") | st.characters()
)


@settings(max_examples=60)
@given(nasty)
@example("a:b\r\nX-Evil: 1")
@example("a:b&dd-api-key=1#c")
def test_tags_can_add_neither_a_parameter_nor_a_header(wire: Wire, tags: str) -> None:
    try:
        check_tags(tags)
    except ConfigError:
        with pytest.raises(ConfigError):
            Sender(SenderConfig(), tags=tags)
        return
    target, headers = wire.post(request_to(wire.url, Track.LOGS, tags=tags))
    path, _, query = target.partition(b"?")
    assert path == b"/debugger/v2/input"
    assert set(headers) <= PLAIN
    name, _, value = query.partition(b"=")
    assert name == (b"ddtags" if tags else b"")
    assert not set(value) & set(b"&=#+; ")
    assert unquote_to_bytes(value) == tags.encode()
    target, headers = wire.post(request_to(wire.url, Track.SYMDB, tags=tags))
    assert target == b"/symdb/v1/input"
    assert set(headers) <= PLAIN | {b"x-datadog-additional-tags"}
    assert headers.get(b"x-datadog-additional-tags", b"") == tags.encode()


@given(nasty)
def test_no_part_of_the_generated_tags_can_end_a_line(part: str) -> None:
    for arguments in ((part, "e", "v", "r"), ("d", part, "v", "r"), ("d", "e", "v", "r", (part,))):
        try:
            tags = generate_tags(*arguments)  # type: ignore[arg-type]
        except ConfigError:
            continue
        assert not any(unicodedata.category(c) == "Cc" for c in tags)


@settings(max_examples=60)
@given(nasty | st.from_regex(r"[!-~]+([ \t]+[!-~]+)*", fullmatch=True))
@example("a/b\r\nX-Evil: 1")
@example("a/b\n")
def test_a_content_type_is_one_header_or_is_refused(wire: Wire, content_type: str) -> None:
    try:
        check_content_type(content_type)
    except InvalidPayload:
        return
    _, headers = wire.post(request_to(wire.url, Track.SYMDB, content_type=content_type))
    assert set(headers) == PLAIN & set(headers)
    assert headers[b"content-type"] == content_type.encode("ascii")


@settings(max_examples=60)
@given(nasty | st.from_regex(r"[!-~]{8,40}", fullmatch=True))
@example("0123456789\r\nX-Evil: 1")
@example("0123456789\n")
def test_a_key_or_token_is_one_header_or_is_refused_unseen(wire: Wire, secret: str) -> None:
    try:
        request = request_to(wire.url, Track.LOGS, key=secret, token=secret)
    except ConfigError as error:
        assume(len(secret) > 7)
        says_nothing_of(secret, error)
        return
    _, headers = wire.post(request)
    assert headers[b"dd-api-key"] == headers[b"x-datadog-test-session-token"] == secret.encode()
    assert set(headers) <= PLAIN | {
        b"dd-api-key",
        b"x-datadog-test-session-token",
        b"dd-evp-origin",
    }


pieces = st.sampled_from(
    ["good.test", "evil.test", "@", ":", "8126", "/", "//", "\\", "?", "#", "%", "%2f", "%40", "[",
     "]", "::1", "..", "a", "é", "\t", "\r\n", " ", "\x00", "\u3002", "\uff0f", ";", "&"]
)  # fmt: skip


@settings(max_examples=60)
@given(st.sampled_from(["http://", "https://", "HTTP://"]), st.lists(pieces, max_size=6))
@example("http://", ["good.test", "\\", "@", "evil.test"])
@example("http://", ["good.test", "#", "@", "evil.test"])
def test_every_parser_on_the_way_sees_the_same_host_and_the_tracks_path(
    scheme: str, rest: list[str]
) -> None:
    try:
        endpoint = Endpoint(scheme + "".join(rest), KEY)
    except ConfigError as error:
        says_nothing_of(KEY, error)
        return
    derived = derive_endpoint_path(endpoint, Track.LOGS).url
    assert urlsplit(derived).netloc == urlsplit(endpoint.url).netloc
    assert urlsplit(derived).path == "/api/v2/debugger"
    try:
        parsed = urllib3.util.parse_url(derived)
    except urllib3.exceptions.LocationParseError:
        return  # nobody is connected to
    host = urlsplit(endpoint.url).hostname
    assert (parsed.host or "").strip("[]").lower() == host or not host.isascii()
    assert (parsed.path, parsed.query, parsed.auth) == ("/api/v2/debugger", None, None)


@settings(max_examples=80)
@given(st.lists(pieces, max_size=4).map("".join) | st.from_regex(r"[a-z0-9.-]{1,20}"))
@example("evil.com/@x")
@example("evil.com\n")
def test_a_site_can_not_lead_to_another_host(site: str) -> None:
    try:
        url = debugger_intake_endpoint(site, KEY).url
    except ConfigError as error:
        says_nothing_of(KEY, error)
        return
    assert urlsplit(url).hostname == f"debugger-intake.{site}".lower()
    assert url == f"https://debugger-intake.{site}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("factory", [None, requests.Session])
def test_no_redirect_takes_the_key_to_another_host(status: int, factory: object) -> None:
    with RecordingServer() as thief:
        reply = Reply(status, {"Location": f"{thief.url}/api/v2/debugger"})
        with RecordingServer(reply) as intake:
            config = SenderConfig()
            config.set_endpoint(Endpoint(intake.url, KEY))
            with Sender(config, session_factory=factory) as sender:  # type: ignore[arg-type]
                sender.enqueue(Track.LOGS, b"{}")
                assert sender.flush(10)
                assert sender.stats().dropped == {"rejected": 1}
            with pytest.raises(PayloadRejected):
                send(b"{}", config, Track.LOGS)
            assert len(intake.requests) == 2
        assert thief.requests == []


def test_key_and_token_are_in_no_repr_log_line_or_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[object] = []
    for status in (202, 401, 500):
        with RecordingServer(status) as intake:
            endpoint = Endpoint(intake.url, KEY, test_token=TOKEN)
            config = SenderConfig()
            config.set_endpoint(endpoint)
            config.add_additional_debugger_endpoint(endpoint)
            sender = Sender(config, retry_for=0.1)
            sender.enqueue(Track.LOGS, b"{}")
            sender.flush(5)
            request = request_to(intake.url, Track.LOGS, key=KEY, token=TOKEN)
            shown += [endpoint, config, sender, vars(sender), sender.stats(), request]
            try:
                send(b"{}", config, Track.LOGS)
            except (PayloadRejected, DeliveryError):
                shown.append(traceback.format_exc())
            sender.close(5)
    text = caplog.text + "".join(map(repr, shown))
    assert "refused the API key" in text
    assert KEY not in text
    assert TOKEN not in text


def functions_of(scope: ModuleType | type) -> Iterator[Any]:
    """The functions and methods that are defined in a module or a class."""
    for value in vars(scope).values():
        if type(value).__module__ == "werkzeug.local":  # Flask's `request`: no request here
            continue
        plain = inspect.unwrap(getattr(value, "__func__", value))
        if isinstance(plain, type) and plain.__module__ == getattr(scope, "__name__", None):
            yield from functions_of(plain)
        elif inspect.isfunction(plain):
            yield plain


#: What needs a library that not every machine of the tests has.
OPTIONAL = {".kafka": "confluent_kafka", ".socks_proxy": "socks"}


def has_what_it_needs(module: str) -> bool:
    return all(
        importlib.util.find_spec(library) is not None
        for name, library in OPTIONAL.items()
        if f"{name}." in f"{module}."
    )


def test_no_default_of_any_function_is_the_environment() -> None:
    functions = [
        function
        for found in pkgutil.walk_packages(livedebug_sender.__path__, "livedebug_sender.")
        if not found.name.endswith(("__main__", ".app"))
        if has_what_it_needs(found.name)
        for function in functions_of(importlib.import_module(found.name))
    ]
    assert len(functions) > 300
    shown = [
        f"{function.__module__}.{function.__qualname__}"
        for function in functions
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is os.environ
    ]
    assert shown == []


def test_help_and_signatures_show_no_value_of_the_environment() -> None:
    """In a process of its own: a default is evaluated when the module is imported."""
    program = (
        "import inspect, pydoc, livedebug_sender as l\n"
        "for name in set(l.__all__) - {'__version__'}:\n"
        "    print(pydoc.render_doc(getattr(l, name)))\n"
        "print(pydoc.render_doc(l))\n"
        "print(inspect.signature(l.Sender.from_env), inspect.signature(l.SenderConfig.from_env))\n"
    )
    environ = {**os.environ, "DD_API_KEY": KEY, "SOME_VARIABLE": "some-secret-value"}
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert "from_env" in ran.stdout
    assert KEY not in ran.stdout
    assert "some-secret-value" not in ran.stdout
