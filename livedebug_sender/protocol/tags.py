"""Tags: made, checked, cut to what the Agent takes, and encoded for a query."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from ..errors import ConfigError

#: The Agent cuts tags after so many characters (``pkg/trace/api/debugger.go``).
MAX_TAGS = 4001


def generate_tags(
    debugger_version: str,
    env: str,
    version: str,
    runtime_id: str,
    custom_tags: Iterable[str] = (),
) -> str:
    """The tags of a tracer, not encoded, joined by commas.

    ``debugger_version:D,env:E,version:V,runtime_id:R,host_name:H`` and then the custom
    tags in their order, each ``"key:value"``.

    Raises:
        ConfigError: for something that is no str, or has CR or LF.
    """
    from socket import gethostname  # late: a tenth of what the library takes to import

    if isinstance(custom_tags, (str, bytes)):
        raise ConfigError("custom_tags is one string; a sequence of 'key:value' is wanted")
    tags = [
        f"debugger_version:{debugger_version}",
        f"env:{env}",
        f"version:{version}",
        f"runtime_id:{runtime_id}",
        f"host_name:{gethostname()}",
    ]
    for tag in custom_tags:
        tags.append(check_tags(tag))
    return check_tags(",".join(tags))


def check_tags(tags: object) -> str:
    """The tags as given; `ConfigError` if they are no text that can be a header."""
    if not isinstance(tags, str):
        raise ConfigError(f"tags are a {type(tags).__name__}; a str 'key:value,...' is wanted")
    if "\r" in tags or "\n" in tags or "\0" in tags:
        raise ConfigError(f"tags {tags!r:.80} have CR, LF or NUL; one line of text is wanted")
    try:
        tags.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(f"tags {tags!r:.80} have lone surrogates: no UTF-8") from None
    return tags


def cut_tags(tags: str) -> str:
    """The tags, cut at the last whole tag that fits 4,001 characters."""
    if len(tags) <= MAX_TAGS:
        return tags
    end = tags.rfind(",", 0, MAX_TAGS + 1)
    return tags[: max(end, 0)]


def quote_tags(tags: str) -> str:
    """UTF-8, percent-encoded but for letters, digits and ``-_.~/``; a space is ``%20``."""
    return quote(tags, safe="/")
