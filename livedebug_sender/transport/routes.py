"""How to reach an endpoint: host, port, proxy, certificates. Opens no connection.

Proxies and CA bundles come from the environment, by `requests`' own rules, and are read once
for each origin: the environment may change while a host runs, and reading it for each request
would cost more than the request.
"""

from __future__ import annotations

import base64
import os
import re
import ssl
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from ..protocol.endpoint import Endpoint, socket_path
from ..runtime.host_signals import reraise_of_signal_handler
from ..runtime.lazy_import import load
from .failures import ProxyFailed, TLSFailed

#: Returns the URL of the proxy for an origin, or None, and the path of the CA bundle.
Environment = Callable[[str], tuple[str | None, str]]

#: A host that needs no encoding, and an optional port.
_PLAIN = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?")
_RULES = f"{__package__}.requests_rules"
_DEFAULT_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks5": 1080}
_SOCKS = ("socks4", "socks4a", "socks5", "socks5h")
_PROXY_SCHEMES = ("http", "https", *_SOCKS)


@dataclass(frozen=True)
class Proxy:
    """A proxy from the environment.

    Attributes:
        scheme: ``http``, ``https`` (TLS to the proxy itself), ``socks4``, ``socks4a``,
            ``socks5`` or ``socks5h``.
        host: its name or address.
        headers: sent to the proxy only.
    """

    scheme: str
    host: str
    port: int
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def is_socks(self) -> bool:
        return self.scheme in _SOCKS

    @property
    def headers(self) -> Mapping[str, str]:
        if not self.username:
            return {}
        plain = f"{self.username}:{self.password}".encode("latin-1", "replace")
        return {"Proxy-Authorization": f"Basic {base64.b64encode(plain).decode('ascii')}"}


@dataclass(frozen=True)
class ResolvedRoute:
    """The route to one origin.

    Attributes:
        origin: scheme and authority; the key of open connections.
        host: the name to resolve, without brackets.
        unix_path: the path of a Unix socket, which replaces the host.
        host_header: the value of ``Host``.
        context: for TLS with the origin; None for plain HTTP.
        proxy_context: for TLS with the proxy.
        target_prefix: goes before the path in the request line. Like `headers`, it is empty
            unless a proxy forwards the request itself.
    """

    origin: str
    host: str
    port: int
    host_header: str
    unix_path: str | None = None
    proxy: Proxy | None = None
    context: ssl.SSLContext | None = None
    proxy_context: ssl.SSLContext | None = None
    target_prefix: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Routes:
    """Finds and caches routes; may be shared by threads.

    Args:
        environment: None: as `requests` reads it, which is imported for that.
    """

    def __init__(self, environment: Environment | None = None) -> None:
        self._environment: Environment = environment or load(_RULES, "environment_of")
        # No lock: two threads at once would find the same.
        self._by_url: dict[str, ResolvedRoute] = {}
        self._by_origin: dict[str, ResolvedRoute] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}

    def to(self, endpoint: Endpoint) -> ResolvedRoute:
        """The route to an endpoint.

        Raises:
            ValueError: its URL can't be connected to.
            ProxyFailed, TLSFailed: the environment's proxy or CA bundle can't be used.
        """
        # By the whole URL first: parsing it each time would cost a tenth of a request.
        found = self._by_url.get(endpoint.url)
        if found is None:
            parts = urlsplit(endpoint.url)
            host = socket_path(endpoint) if parts.scheme == "unix" else parts.netloc
            origin = f"{parts.scheme}://{host}"
            found = self._by_origin.get(origin)
            if found is None:
                found = self._find(endpoint, origin)
                self._by_origin[origin] = found
            if len(self._by_url) > 256:
                self._by_url.clear()
            self._by_url[endpoint.url] = found
        return found

    def _find(self, endpoint: Endpoint, origin: str) -> ResolvedRoute:
        if endpoint.scheme == "unix":
            path = socket_path(endpoint)
            return ResolvedRoute(origin, "localhost", 80, "localhost", unix_path=path)
        host, given_port = _host_and_port(origin)
        host = host.strip("[]")
        if not host:
            raise ValueError("no host")
        scheme = endpoint.scheme
        port = given_port or _DEFAULT_PORTS[scheme]
        name = host.rstrip(".")
        name = f"[{name}]" if ":" in name else name
        host_header = name if port == _DEFAULT_PORTS[scheme] else f"{name}:{port}"
        proxy_url, bundle = self._environment(origin)
        proxy = None if proxy_url is None else parse_proxy(proxy_url)
        tls_proxy = proxy is not None and proxy.scheme == "https"
        # For plain HTTP, HTTP proxies forward the request itself; for TLS, they open a tunnel.
        forwards = proxy is not None and not proxy.is_socks and scheme == "http"
        return ResolvedRoute(
            origin,
            host,
            port,
            host_header,
            proxy=proxy,
            context=self._context(bundle) if scheme == "https" else None,
            proxy_context=self._context(bundle) if tls_proxy else None,
            target_prefix=origin if forwards else "",
            headers=proxy.headers if proxy is not None and forwards else {},
        )

    def _context(self, bundle: str) -> ssl.SSLContext:
        if bundle not in self._contexts:
            context = new_tls_context()
            try:
                if os.path.isdir(bundle):
                    context.load_verify_locations(capath=bundle)
                else:
                    context.load_verify_locations(cafile=bundle)
            except OSError as error:
                reraise_of_signal_handler(error)
                raise TLSFailed(f"the CA bundle {bundle} can't be read") from None
            self._contexts[bundle] = context
        return self._contexts[bundle]


def new_tls_context() -> ssl.SSLContext:
    """A client context without CA certificates, with urllib3's default settings."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificates and host names
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
    if sys.version_info >= (3, 13):
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    context.post_handshake_auth = True
    context.hostname_checks_common_name = False
    context.set_alpn_protocols(["http/1.1"])
    if key_log := os.environ.get("SSLKEYLOGFILE"):
        context.keylog_filename = os.path.expandvars(key_log)
    return context


def _host_and_port(origin: str) -> tuple[str, int | None]:
    parts = urlsplit(origin)
    if _PLAIN.fullmatch(parts.netloc):
        return parts.hostname or "", parts.port
    parse: Callable[[str], tuple[str, int | None]] = load(_RULES, "host_and_port")
    return parse(origin)


def parse_proxy(url: str) -> Proxy:
    """Parse a proxy's URL, as `requests` does: the scheme may be missing.

    Raises:
        ProxyFailed: it can't be used; the message does not show its password.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError as error:
        reraise_of_signal_handler(error)
        raise ProxyFailed("the URL of the proxy can't be read") from None
    scheme = parts.scheme.lower()
    if scheme not in _PROXY_SCHEMES or not parts.hostname:
        expected = ", ".join(f"{known}://" for known in _PROXY_SCHEMES)
        raise ProxyFailed(
            f"the proxy {scheme}://... can't be used; expected: a host with {expected}"
        )
    port = port or _DEFAULT_PORTS[scheme[:6] if scheme in _SOCKS else scheme]
    return Proxy(
        scheme,
        parts.hostname,
        port,
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )
