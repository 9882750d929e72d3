"""Proxies of the environment, all real: HTTP, TLS to the proxy itself, SOCKS."""

from __future__ import annotations

import base64
import os
import ssl
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from network_servers import Proxy, SocksProxy
from sample_data import KEY
from sample_requests import request_to
from servers import RecordingServer, free_port

from livedebug_sender import Sender
from livedebug_sender.transport.response import NoResponse, TimedOut
from livedebug_sender.transport.transport import Transport

EARLY = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
#: Kept for what should be at once, on a machine that is busy.
SLACK = 8.0


@pytest.fixture
def transport() -> Iterator[Transport]:
    with closing(Transport()) as made:
        yield made


@pytest.fixture
def use_proxy(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a proxy for all requests into the environment."""

    def use(url: str) -> None:
        if url.startswith("socks"):
            pytest.importorskip("socks", reason="PySocks is not installed")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "")
        monkeypatch.setenv("ALL_PROXY", url)

    return use


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("origin", ["http", "https"])
@pytest.mark.parametrize("to_proxy", ["http", "https"])
def test_each_payload_arrives_once_through_a_proxy_plain_or_with_tls(
    make_sender: Callable[..., Sender],
    use_proxy: Callable[[str], None],
    server_tls: ssl.SSLContext,
    origin: str,
    to_proxy: str,
) -> None:
    tls = server_tls if origin == "https" else None
    proxy_tls = server_tls if to_proxy == "https" else None
    with RecordingServer(tls=tls) as intake, Proxy(proxy_tls) as proxy:
        use_proxy(proxy.url)
        sender = make_sender(intake.url, key=KEY)
        payloads: list[Any] = [{"n": number, "x": "x" * 100_000} for number in range(20)]
        for payload in payloads:
            assert sender.enqueue("logs", payload)
            assert sender.flush(10)
        assert intake.elements() == payloads
        assert sender.stats().retries == 0
        assert len({request.connection for request in intake.posts}) == (
            1 if origin == "https" else len(payloads)  # this proxy dials for each
        )
        assert {request.headers["dd-api-key"] for request in intake.posts} == {KEY}
        host = intake.url.partition("//")[2]
        if origin == "https":
            assert proxy.connected_to == [host]
            assert KEY.encode() not in b"".join(proxy.head)
        else:
            assert set(proxy.forwarded) == {f"{intake.url}/api/v2/debugger"}


@pytest.mark.usefixtures("trusted")
def test_tls_within_tls_carries_large_bodies_and_many_requests(
    transport: Transport, use_proxy: Callable[[str], None], server_tls: ssl.SSLContext
) -> None:
    large = [b'{"a":"' + b"x" * 100_000 + b'"}'] * 80
    with RecordingServer(tls=server_tls) as intake, Proxy(server_tls) as proxy:
        use_proxy(proxy.url)
        for _ in range(3):
            assert transport.post(request_to(intake.url, *large, timeout=10)).status == 202
        assert [len(request.elements) for request in intake.posts] == [80] * 3
        assert len(proxy.connected_to) == 1


def test_a_proxys_own_certificate_is_verified(
    transport: Transport, use_proxy: Callable[[str], None], server_tls: ssl.SSLContext
) -> None:
    with RecordingServer() as intake, Proxy(server_tls) as proxy:
        use_proxy(proxy.url)
        with pytest.raises(NoResponse, match="certificate"):
            transport.post(request_to(intake.url, key=KEY))
        assert proxy.head == []


def test_informational_answers_of_a_proxy_are_not_the_answer(
    transport: Transport, use_proxy: Callable[[str], None]
) -> None:
    statuses = [202, 413, 500, 204]
    served = iter(statuses)
    with RecordingServer(lambda _: next(served)) as intake, Proxy(early=EARLY) as proxy:
        use_proxy(proxy.url)
        assert [transport.post(request_to(intake.url)).status for _ in statuses] == statuses


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.usefixtures("trusted")
def test_a_connect_answer_that_drips_is_a_timeout(
    transport: Transport,
    use_proxy: Callable[[str], None],
    server_tls: ssl.SSLContext,
    tls: bool,
) -> None:
    with Proxy(server_tls if tls else None, drip=True) as proxy:
        use_proxy(proxy.url)
        began = time.monotonic()
        with pytest.raises(TimedOut):
            transport.post(request_to("https://intake.test", timeout=0.3))
        assert time.monotonic() - began < 0.3 + SLACK


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n", "407"),
        (b"HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nnever", "refused the tunnel .403"),
        (b"HTTP/1.1 200 OK\r\n\r\nsurplus", "data of its own in the tunnel"),
        (b"nonsense\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nCut: he", "closed in the middle"),
    ],
)
def test_a_proxy_that_refuses_a_tunnel_is_no_answer_and_says_why(
    transport: Transport, use_proxy: Callable[[str], None], answer: bytes, words: str
) -> None:
    with Proxy(answer=answer) as proxy:
        use_proxy(proxy.url)
        with pytest.raises(NoResponse, match=words) as raised:
            transport.post(request_to("https://intake.test", key=KEY))
        assert raised.value.bytes_sent == 0
        assert KEY.encode() not in b"".join(proxy.head)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_proxys_credentials_go_to_the_proxy_alone(
    transport: Transport,
    use_proxy: Callable[[str], None],
    server_tls: ssl.SSLContext,
    trusted: None,
    scheme: str,
) -> None:
    tls = server_tls if scheme == "https" else None
    with RecordingServer(tls=tls) as intake, Proxy() as proxy:
        use_proxy(proxy.url.replace("//", "//us%40er:s%3Acret@"))
        assert transport.post(request_to(intake.url)).status == 202
        login = base64.b64encode(b"us@er:s:cret")
        assert b"Proxy-Authorization: Basic " + login + b"\r\n" in proxy.head
        if scheme == "https":
            assert "proxy-authorization" not in intake.posts[0].headers


@pytest.mark.parametrize("scheme", ["http", "https", "socks5h"])
def test_a_proxy_that_can_not_be_reached_is_named_as_the_cause(
    transport: Transport, use_proxy: Callable[[str], None], scheme: str
) -> None:
    use_proxy(f"{scheme}://user:secret@127.0.0.1:{free_port()}")
    with pytest.raises(NoResponse, match="the proxy can't be reached") as raised:
        transport.post(request_to("https://intake.test"))
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("url", ["ftp://proxy.test:1", "http://", "http://proxy.test:port"])
def test_an_invalid_proxy_is_named_as_the_cause(
    transport: Transport, use_proxy: Callable[[str], None], url: str
) -> None:
    use_proxy(url)
    with pytest.raises(NoResponse, match="proxy"):
        transport.post(request_to("https://intake.test"))


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("kind", ["socks5", "socks5h"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_payloads_arrive_through_a_socks_proxy(
    make_sender: Callable[..., Sender],
    use_proxy: Callable[[str], None],
    server_tls: ssl.SSLContext,
    kind: str,
    scheme: str,
) -> None:
    tls = server_tls if scheme == "https" else None
    with RecordingServer(tls=tls) as intake, SocksProxy(("user", "s:cret")) as proxy:
        use_proxy(f"{kind}://user:s%3Acret@{proxy.address}")
        sender = make_sender(intake.url.replace("127.0.0.1", "localhost"), key=KEY)
        for number in range(3):
            assert sender.enqueue("logs", {"n": number})
            assert sender.flush(10)
        assert intake.elements() == [{"n": number} for number in range(3)]
        host = "localhost" if kind == "socks5h" else "127.0.0.1"
        assert proxy.connected_to == [f"{host}:{intake.port}"]


def test_a_socks_proxy_that_refuses_the_credentials_is_no_answer(
    transport: Transport, use_proxy: Callable[[str], None]
) -> None:
    with SocksProxy(("user", "right")) as proxy:
        use_proxy(f"socks5h://user:wrong@{proxy.address}")
        with pytest.raises(NoResponse, match="SOCKS proxy refused") as raised:
            transport.post(request_to("http://intake.test"))
        assert "wrong" not in str(raised.value)


@pytest.mark.waits
def test_a_socks_proxy_that_drips_is_a_timeout(
    transport: Transport, use_proxy: Callable[[str], None]
) -> None:
    with SocksProxy(drip=True) as proxy:
        use_proxy(f"socks5h://{proxy.address}")
        began = time.monotonic()
        with pytest.raises(TimedOut):
            transport.post(request_to("http://intake.test", timeout=1))
        # Of the 255 bytes that it sends in 12 seconds it was not waited for the last.
        assert time.monotonic() - began < 1 + SLACK
        assert proxy.connected_to == ["intake.test:80"]


_WITHOUT_PYSOCKS = """
    import logging, sys
    sys.modules["socks"] = None
    from livedebug_sender import Endpoint, Sender, SenderConfig
    logging.basicConfig(level=logging.DEBUG)
    config = SenderConfig()
    config.set_endpoint(Endpoint("http://intake.test"))
    sender = Sender(config, retry_for=0.2)
    sender.enqueue("logs", b"{}")
    assert sender.flush(20)
"""


def test_without_pysocks_the_log_says_what_to_install() -> None:
    proxy = "socks5h://user:secret@127.0.0.1:9"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_WITHOUT_PYSOCKS)],
        env={**os.environ, "ALL_PROXY": proxy, "NO_PROXY": "", "no_proxy": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "pip install 'requests[socks]'" in done.stderr
    assert "secret" not in done.stderr
