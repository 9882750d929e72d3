"""What `requests` and urllib3 say of an origin: its proxy, its CA bundle, its host.

In a module of its own, which is imported late: the two take 12 MB.
"""

from __future__ import annotations

import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy
from urllib3.util import parse_url


def environment_of(origin: str) -> tuple[str | None, str]:
    """The URL of the environment's proxy for an origin, and the path of the CA bundle."""
    with requests.Session() as session:
        settings = session.merge_environment_settings(origin, {}, True, None, None)
    verify = settings["verify"]
    bundle = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
    return select_proxy(origin, settings["proxies"]) or None, bundle


def host_and_port(origin: str) -> tuple[str, int | None]:
    """A host with letters beyond ASCII is encoded.

    Raises:
        ValueError: it can't be.
    """
    url = parse_url(origin)
    return url.host or "", url.port
