"""TLS, proxies and Unix sockets, all real."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from network_servers import Proxy
from sample_data import KEY
from servers import RecordingServer, full_backlog, socket_file

from livedebug_sender import Sender

Make = Callable[..., Sender]


@pytest.mark.usefixtures("trusted")
def test_https_with_a_trusted_certificate_delivers(
    make_sender: Make, server_tls: ssl.SSLContext
) -> None:
    with RecordingServer(tls=server_tls) as intake:
        sender = make_sender(intake.url, key=KEY)
        for _ in range(3):
            sender.enqueue("snapshots", b'{"a":"%s"}' % (b"x" * 200_000))
            assert sender.flush(10)
        assert sender.stats().delivered == 3
        assert len({request.connection for request in intake.posts}) == 1


def test_an_untrusted_certificate_is_refused(
    make_sender: Make, server_tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    with RecordingServer(tls=server_tls) as intake:
        sender = make_sender(intake.url, key=KEY, retry_for=0.1)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert sender.stats().dropped == {"undeliverable": 1}
        assert intake.requests == []
    assert "certificate" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.usefixtures("trusted")
def test_a_certificate_of_another_host_is_refused(
    make_sender: Make, server_tls: ssl.SSLContext
) -> None:
    with RecordingServer(tls=server_tls) as intake:
        sender = make_sender(intake.url.replace("localhost", "127.0.0.1"), key=KEY, retry_for=0.1)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert intake.requests == []


@pytest.mark.usefixtures("trusted")
def test_https_goes_through_the_proxy_of_the_environment(
    make_sender: Make, server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RecordingServer(tls=server_tls) as intake, Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        sender = make_sender(intake.url, key=KEY)
        sender.enqueue("logs", b"{}")
        assert sender.close(10)
        assert sender.stats().delivered == 1
        assert proxy.connected_to == [f"localhost:{intake.port}"]
        assert intake.posts[0].headers["dd-api-key"] == KEY


def test_netrc_is_not_used(
    make_sender: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with RecordingServer() as intake:
        sender = make_sender(intake.url)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert "authorization" not in intake.posts[0].headers


def test_an_agent_on_a_unix_socket_gets_every_track(make_sender: Make, short_dir: str) -> None:
    with RecordingServer(unix=socket_file(short_dir)) as agent:
        sender = make_sender(agent.url, tags="a:b")
        for track in ("logs", "snapshots", "diagnostics"):
            sender.enqueue(track, b"{}")
        sender.enqueue("symdb", b"x", content_type="a/b")
        assert sender.flush(10)
        assert sorted(f"{r.path}?{r.query}" for r in agent.posts) == [
            "/debugger/v1/diagnostics?ddtags=a%3Ab",
            "/debugger/v2/input?ddtags=a%3Ab",
            "/debugger/v2/input?ddtags=a%3Ab",
            "/symdb/v1/input?",
        ]
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        logs = {r.connection for r in agent.posts}
        assert len(logs) == 4


def test_a_unix_socket_that_is_not_there_is_retried_until_it_is(
    make_sender: Make, short_dir: str
) -> None:
    path = socket_file(short_dir)
    sender = make_sender(f"unix://{path}")
    sender.enqueue("logs", b"{}")
    assert not sender.flush(0.1)
    with RecordingServer(unix=path):
        assert sender.flush(10)


def test_a_server_that_accepts_nobody_times_out(make_sender: Make) -> None:
    with full_backlog() as url:
        sender = make_sender(url, timeout=0.2, retry_for=0.3)
        sender.enqueue("logs", b"{}")
        assert sender.flush(10)
        assert sender.stats().dropped == {"undeliverable": 1}
