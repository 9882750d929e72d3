"""Which headers, and which fields of a query, authenticate somebody: pure.

One rule for all that keeps the requests of others: the forwarder, which stores none of them,
and the local intake, which shows none.
"""

from __future__ import annotations

import re

# In lower case.
_KNOWN = frozenset(
    (
        "authorization",
        "proxy-authorization",
        "cookie",
        "cookie2",
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
# Other vendors' headers, by the words in their names.
_SOUNDS_LIKE_ONE = re.compile(
    r"(token|secret|passw(or)?d|(api|auth|access|private)-?key|jwt|assertion|auth|authorization|"
    r"authentication|credentials?|signature|session-?id|oidc-data)\b"
)
#: Name a test's session for the tracers' test agent, and a run of a tracer; they give access to
#: nothing.
_NONE = frozenset(("x-datadog-test-session-token", "dd-session-id"))
# The intakes take a key from the query, too.
_FIELD = re.compile(r"(api|app|application)[-_]?key$|token$|secret$|password$", re.IGNORECASE)


def is_credential(name: str) -> bool:
    """Whether a header of that name, in any case, authenticates its sender.

    Args:
        name: of the header. The value is not looked at.
    """
    name = name.lower()
    return name in _KNOWN or (name not in _NONE and _SOUNDS_LIKE_ONE.search(name) is not None)


def is_credential_field(name: str) -> bool:
    """Whether a field of a query, by its name, authenticates its sender."""
    return _FIELD.search(name) is not None
