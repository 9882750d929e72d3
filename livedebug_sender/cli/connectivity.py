"""The connection to an endpoint, checked step by step: name, proxy, connection, TLS."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import certifi
import requests
from requests.utils import get_environ_proxies, select_proxy

from ..protocol.endpoint import Endpoint, socket_path

#: A certificate that expires in fewer days is mentioned.
_SOON = 14

#: The default ports of URLs and proxies.
_PORTS = {"https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}

#: Family and address, as returned by `socket.getaddrinfo`.
Address = tuple[int, Any]


@dataclass(frozen=True)
class Step:
    """One step of a check.

    Attributes:
        ok: whether it succeeded.
        said: the result.
        advice: what to do; empty if there is nothing to do.
    """

    name: str
    ok: bool
    said: str
    advice: str = ""


def connection_steps(endpoint: Endpoint) -> list[Step]:
    """Name, connection and TLS, up to the first that fails."""
    if endpoint.scheme == "unix":
        return [socket_step(socket_path(endpoint), endpoint.timeout)]
    proxy = select_proxy(endpoint.url, get_environ_proxies(endpoint.url))
    parts = urlsplit(
        proxy if proxy and "://" in proxy else f"http://{proxy}" if proxy else endpoint.url
    )
    host = parts.hostname or ""
    port = parts.port or _PORTS.get(parts.scheme, 80)
    steps = [proxy_step(parts.scheme, host, port)] if proxy else []
    resolved, addresses = name_step(host, port)
    steps.append(resolved)
    if resolved.ok:
        connected, found = connect_step(addresses, endpoint.timeout)
        advice = "" if connected.ok else connect_advice(connected.said, endpoint, bool(proxy))
        steps.append(replace(connected, advice=advice))
        if found is not None:
            with found:
                if not proxy and parts.scheme == "https":
                    steps.append(tls_step(found, host))
    return steps


def proxy_step(scheme: str, host: str, port: int) -> Step:
    said = f"through the {scheme} proxy {host}:{port} of the environment (see NO_PROXY)"
    if scheme.startswith("socks") and find_spec("socks") is None:
        return Step("proxy", False, said, "PySocks is missing: pip install 'requests[socks]'")
    return Step("proxy", True, said)


def name_step(host: str, port: int) -> tuple[Step, list[Address]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a valid name"
        advice = f"is {host!r} spelled correctly, and can this machine's DNS resolve it?"
        return Step("name", False, f"{host} has no address: {reason}", advice), []
    addresses: list[Address] = [(family, address) for family, _, _, _, address in found]
    shown = ", ".join(dict.fromkeys(str(address[0]) for _, address in addresses))
    said = f"{host} is an address" if shown == host else f"{host} has the address {shown}"
    return Step("name", True, said), addresses


def connect_step(addresses: list[Address], timeout: float) -> tuple[Step, socket.socket | None]:
    """Connect to the first address that accepts; all share the timeout."""
    until = time.monotonic() + timeout
    reason = ""
    for tried, (family, address) in enumerate(addresses):
        share = max(0.05, (until - time.monotonic()) / (len(addresses) - tried))
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(share)
        started = time.monotonic()
        try:
            sock.connect(address)
        except OSError as error:
            sock.close()
            reason = f"{address[0]} port {address[1]}: {words_of(error)}"
            continue
        sock.settimeout(timeout)
        took = (time.monotonic() - started) * 1000
        return Step("connect", True, f"{address[0]} port {address[1]}, {took:.0f} ms"), sock
    return Step("connect", False, reason), None


def connect_advice(reason: str, endpoint: Endpoint, proxied: bool) -> str:
    """What to do if the connection failed."""
    if "refused" not in reason and proxied:
        return "does a firewall block the proxy? does this host need the proxy at all (NO_PROXY)?"
    if "refused" not in reason:
        return "does a firewall block it, or is a proxy required (HTTPS_PROXY)?"
    if proxied:
        return "nothing listens there: is the proxy running, and is its port right?"
    if endpoint.agentless:
        return "nothing listens there: is that the intake, and is the port right?"
    return "nothing listens there: is the agent running, and is the port right?"


def socket_step(path: str, timeout: float) -> Step:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        advice = "is the agent running, and its socket mounted here?"
        return Step("connect", False, f"{path}: {words_of(error)}", advice)
    if not stat.S_ISSOCK(mode):
        return Step(
            "connect", False, f"{path} is not a socket", "give the path of the agent's socket"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect(path)
        except OSError as error:
            advice = "is the agent running, and may this user write to its socket?"
            return Step("connect", False, f"{path}: {words_of(error)}", advice)
    return Step("connect", True, f"the socket {path}")


def tls_step(sock: socket.socket, host: str) -> Step:
    try:
        with trusting_context().wrap_socket(sock, server_hostname=host) as tls:
            version = tls.version()
            days = days_left(tls.getpeercert() or {}, time.time())
    except ssl.SSLCertVerificationError as error:
        return Step(
            "TLS", False, f"the certificate: {error.verify_message}", certificate_advice(error)
        )
    except (OSError, ValueError) as error:
        said = words_of(error) if isinstance(error, OSError) else str(error)
        return Step("TLS", False, said, "does that port speak https, without a proxy in between?")
    said = f"{version}, certificate good for {days} days"
    advice = f"it ends in {days} days: renew it soon" if days < _SOON else ""
    return Step("TLS", True, said, advice)


def trusting_context() -> ssl.SSLContext:
    """A context with the CAs of the library: ``REQUESTS_CA_BUNDLE``, else certifi's bundle."""
    with requests.Session() as session:
        settings = session.merge_environment_settings("https://-", {}, False, None, None)
    bundle = settings["verify"]
    path = bundle if isinstance(bundle, str) else certifi.where()
    folder = os.path.isdir(path)
    return ssl.create_default_context(
        cafile=None if folder else path, capath=path if folder else None
    )


def days_left(certificate: Mapping[str, object], now: float) -> int:
    ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return int((ends - now) // 86400)


def certificate_advice(error: ssl.SSLCertVerificationError) -> str:
    text = error.verify_message.lower()
    if "expired" in text:
        return "renew it; or is this machine's clock wrong?"
    if "mismatch" in text or "not valid for" in text:
        return "the certificate is for another host: is the URL right?"
    return "if it is signed by a private CA, give that CA's bundle in REQUESTS_CA_BUNDLE"


def words_of(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ssl.SSLError):
        return f"no TLS there ({error.reason or 'the connection was cut'})"
    return (error.strerror or type(error).__name__).lower()
