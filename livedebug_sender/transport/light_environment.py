"""The same results as `requests_rules`, without importing `requests` if there is no proxy."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from ..runtime.lazy_import import load

#: Platforms where proxies may be configured outside of the environment, too.
_OTHER_PLACES = ("darwin", "win32")


def environment_of(origin: str) -> tuple[str | None, str]:
    """As `requests_rules.environment_of`."""
    if sys.platform in _OTHER_PLACES or _names_a_proxy():
        ask: Callable[[str], tuple[str | None, str]] = load(
            f"{__package__}.requests_rules", "environment_of"
        )
        return ask(origin)
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    if not bundle:
        where: Callable[[], str] = load("certifi", "where")
        bundle = where()
    return None, bundle


def _names_a_proxy() -> bool:
    names = {name.lower() for name, value in os.environ.items() if value}
    return any(name.endswith("_proxy") for name in names - {"no_proxy"})
