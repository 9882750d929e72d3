"""Refuses requests from other web pages.

Any page in a browser on the same machine can reach a server on loopback: with a form or a
`fetch` (it can't read the response, but the request arrives), or with DNS rebinding, a name of
its own that resolves to 127.0.0.1 (then it could also read what was captured). Tracers send
none of these headers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Whether a host is a loopback address or name."""
    name = host.strip("[]")
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"


def rejection_reason(
    headers: Mapping[str, str], *, for_page: bool, loopback: bool, reads: bool = True
) -> str:
    """Why a request is refused; empty if it is served.

    Args:
        headers: names in lower case.
        for_page: whether it is for the page, not for the intake's own routes.
        loopback: whether the server is bound to loopback.
        reads: whether its method only reads.
    """
    host = headers.get("host", "")
    origin = headers.get("origin")
    site = headers.get("sec-fetch-site")
    if origin is not None and _netloc(origin) != host:
        return f"the request comes from another web page ({origin!r:.80})"
    # Following a link to the page is harmless.
    going = headers.get("sec-fetch-mode") == "navigate" and for_page and reads
    if site not in (None, "none", "same-origin") and not going:
        return "the request comes from another web page"
    from_browser = origin is not None or site is not None
    if loopback and (for_page or from_browser) and not is_loopback(_without_port(host)):
        return (
            f"the intake listens on loopback, but Host is {host!r:.80}; "
            "open it as http://localhost or http://127.0.0.1"
        )
    return ""


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _without_port(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
