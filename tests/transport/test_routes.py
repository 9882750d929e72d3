"""How requests travel, by URL and environment."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample_requests import request_to
from servers import RecordingServer
from urllib3.util import create_urllib3_context

from livedebug_sender import Endpoint
from livedebug_sender.transport import light_environment, requests_rules
from livedebug_sender.transport.failures import ProxyFailed, TLSFailed
from livedebug_sender.transport.response import NoResponse
from livedebug_sender.transport.routes import Proxy, Routes, new_tls_context, parse_proxy
from livedebug_sender.transport.transport import Transport


@pytest.mark.parametrize(
    ("url", "host", "port", "host_header"),
    [
        ("http://agent.test", "agent.test", 80, "agent.test"),
        ("http://agent.test:80/p?q", "agent.test", 80, "agent.test"),
        ("http://Agent.Test:8126/", "agent.test", 8126, "agent.test:8126"),
        ("https://agent.test:443", "agent.test", 443, "agent.test"),
        ("https://agent.test:80", "agent.test", 80, "agent.test:80"),
        ("http://agent.test.:8126", "agent.test.", 8126, "agent.test:8126"),
        ("http://[::1]:8126", "::1", 8126, "[::1]:8126"),
        ("http://[::1]", "::1", 80, "[::1]"),
        ("http://127.0.0.1:8126", "127.0.0.1", 8126, "127.0.0.1:8126"),
        ("http://b\u00fccher.test", "xn--bcher-kva.test", 80, "xn--bcher-kva.test"),
    ],
)
def test_a_url_leads_to_its_host(url: str, host: str, port: int, host_header: str) -> None:
    route = Routes().to(Endpoint(url))
    assert (route.host, route.port, route.host_header) == (host, port, host_header)
    assert (route.context is not None) is url.startswith("https")
    assert (route.proxy, route.unix_path, route.target_prefix) == (None, None, "")


def test_the_environment_is_read_once_for_an_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = Routes()
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    assert routes.to(Endpoint("http://agent.test/a")).proxy is None
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:1")
    assert routes.to(Endpoint("http://agent.test/a")).proxy is None
    assert routes.to(Endpoint("http://agent.test/b")).proxy is None
    assert routes.to(Endpoint("http://agent.test:81/a")).proxy == Proxy("http", "proxy.test", 1)


def test_hosts_listed_in_the_variable_no_proxy_are_reached_directly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.test:1")
    monkeypatch.setenv("NO_PROXY", "agent.test,10.0.0.0/8")
    monkeypatch.setenv("no_proxy", "agent.test,10.0.0.0/8")
    routes = Routes()
    assert routes.to(Endpoint("http://agent.test")).proxy is None
    assert routes.to(Endpoint("http://10.1.2.3")).proxy is None
    route = routes.to(Endpoint("http://other.test:82"))
    assert route.proxy == Proxy("http", "proxy.test", 1)
    assert route.target_prefix == "http://other.test:82"


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("proxy.test", Proxy("http", "proxy.test", 80)),
        ("proxy.test:3128", Proxy("http", "proxy.test", 3128)),
        ("HTTPS://proxy.test", Proxy("https", "proxy.test", 443)),
        ("socks5h://proxy.test", Proxy("socks5h", "proxy.test", 1080)),
        ("socks4a://[::1]:1", Proxy("socks4a", "::1", 1)),
        ("http://u%40:p%3A@proxy.test:1", Proxy("http", "proxy.test", 1, "u@", "p:")),
    ],
)
def test_a_proxy_is_read_as_requests_reads_it(url: str, proxy: Proxy) -> None:
    assert parse_proxy(url) == proxy


def test_no_password_of_a_proxy_is_shown() -> None:
    assert "secret" not in repr(parse_proxy("http://user:secret@proxy.test"))
    with pytest.raises(ProxyFailed) as raised:
        parse_proxy("ftp://user:secret@proxy.test")
    assert "secret" not in str(raised.value)


def test_a_missing_ca_bundle_is_named_as_the_cause(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.pem"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(missing))
    with pytest.raises(TLSFailed, match=r"missing\.pem"):
        Routes().to(Endpoint("https://intake.test"))
    with pytest.raises(NoResponse, match=r"the CA bundle .*missing\.pem can't be read"):
        Transport().post(request_to("https://intake.test"))


def test_the_error_says_why_a_certificate_is_refused(server_tls: ssl.SSLContext) -> None:
    untrusted = pytest.raises(NoResponse, match=r"certificate can't be verified: .*issuer")
    with RecordingServer(tls=server_tls) as server, untrusted:
        Transport().post(request_to(server.url))
    with RecordingServer() as plain:
        with pytest.raises(NoResponse, match="TLS failed: ") as raised:
            Transport().post(request_to(plain.url.replace("http", "https")))
        assert "certificate" not in str(raised.value)


def test_the_context_for_tls_is_the_one_that_urllib3_makes() -> None:
    ours, theirs = new_tls_context(), create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    for name in (
        *("options", "verify_flags", "verify_mode", "check_hostname", "protocol"),
        *("minimum_version", "maximum_version", "post_handshake_auth", "keylog_filename"),
        "hostname_checks_common_name",
    ):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.get_ciphers() == theirs.get_ciphers()


VARIABLES = {
    name: st.none() | st.sampled_from(values)
    for names, values in (
        (
            ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"),
            ("", "http://proxy.test:1", "proxy.test", "socks5://[::1]:2"),
        ),
        (
            ("no_proxy", "NO_PROXY"),
            ("", "*", "agent.test", ".test", "10.0.0.0/8", "other.test, agent.test:8126"),
        ),
        (("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), ("", "/some/bundle.pem")),
    )
    for name in names
}


@given(
    st.fixed_dictionaries(VARIABLES),
    st.sampled_from(["http", "https"]),
    st.sampled_from(["agent.test", "agent.test:8126", "10.1.2.3", "[::1]:8126", "localhost"]),
)
def test_the_environment_says_the_same_with_and_without_requests(variables, scheme, host):
    given = {name: value for name, value in variables.items() if value is not None}
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    with patch.dict(os.environ, {**kept, **given}, clear=True):
        origin = f"{scheme}://{host}"
        assert light_environment.environment_of(origin) == requests_rules.environment_of(origin)


@pytest.mark.parametrize(
    "host", ["Agent.Test", "agent.test.:1", "a_b-c", "10.0.0.1:8126", "[::1]", "[::FFFF:1.2.3.4]:7"]
)
def test_a_plain_host_is_read_as_urllib3_reads_it(host: str) -> None:
    name, port = requests_rules.host_and_port(f"http://{host}")
    route = Routes().to(Endpoint(f"http://{host}"))
    assert (route.host, route.port) == (name.strip("[]"), port or 80)
