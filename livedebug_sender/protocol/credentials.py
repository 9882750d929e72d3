"""Recognizes headers and query parameters that are credentials.

The forwarder and the local intake, the two programs that store requests, share these rules, and
store no credentials.
"""

from __future__ import annotations

import re
from functools import lru_cache

# In lower case.
_KNOWN = frozenset(
    (
        "authorization",
        "proxy-authorization",
        "cookie",
        "cookie2",
        "set-cookie",
        "dd-api-key",
        "dd-application-key",
        "dd-client-token",
        "dd-auth-token",
        "x-api-key",
        "x-auth-token",
        "x-csrf-token",
        "x-amz-security-token",
    )
)
# Headers of other vendors, by words in their names.
_SOUNDS_LIKE_ONE = re.compile(
    r"(token|secret|passw(or)?d|(api|auth|access|private)-?key|jwt|assertion|auth|authorization|"
    r"authentication|credentials?|signature|session-?id|oidc-data)\b"
)
#: Not credentials: they identify a test session at the tracers' test agent, and a run of a tracer.
_NONE = frozenset(("x-datadog-test-session-token", "dd-session-id"))
# The intakes accept a key in the query, too.
_FIELD = re.compile(r"(api|app|application)[-_]?key$|token$|secret$|password$", re.IGNORECASE)


#: Maximum characters of a cached name: clients choose names, and the cache has 1,024.
_MAX_REMEMBERED = 256


def is_credential(name: str) -> bool:
    """Whether a header is a credential, by its name in any case."""
    if len(name) > _MAX_REMEMBERED:
        return _is_credential.__wrapped__(name)
    return _is_credential(name)


@lru_cache(maxsize=1024)
def _is_credential(name: str) -> bool:
    name = name.lower()
    return name in _KNOWN or (name not in _NONE and _SOUNDS_LIKE_ONE.search(name) is not None)


def is_credential_field(name: str) -> bool:
    """Whether a query parameter is a credential, by its name."""
    return _FIELD.search(name) is not None
