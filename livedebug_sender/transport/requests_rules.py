"""The proxy, CA bundle and host of an origin, as `requests` and urllib3 determine them.

A separate module, imported late, since the two take 12 MB.
"""

from __future__ import annotations

import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy
from urllib3.util import parse_url


def environment_of(origin: str) -> tuple[str | None, str]:
    """The URL of the proxy for an origin, from the environment, and the path of the CA bundle."""
    with requests.Session() as session:
        settings = session.merge_environment_settings(origin, {}, True, None, None)
    verify = settings["verify"]
    bundle = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
    return select_proxy(origin, settings["proxies"]) or None, bundle


def host_and_port(origin: str) -> tuple[str, int | None]:
    """The host and port of an origin; a non-ASCII host is encoded.

    Raises:
        ValueError: the host can't be encoded.
    """
    url = parse_url(origin)
    return url.host or "", url.port
