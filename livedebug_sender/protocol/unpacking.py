"""Decompresses untrusted gzip within a limit.

A few kilobytes of gzip can decompress to gigabytes, so nothing is decompressed without a limit.
"""

from __future__ import annotations

import zlib

_GZIP = b"\x1f\x8b"
_WBITS = zlib.MAX_WBITS | 16


class TooMuchUnpacked(ValueError):
    """The decompressed content exceeds the limit."""


def unpacked(content: bytes, max_bytes: int) -> bytes:
    """The content, decompressed if it starts like gzip.

    Args:
        max_bytes: maximum decompressed size.

    Raises:
        TooMuchUnpacked: the decompressed content is larger.
        ValueError: the gzip is invalid or incomplete; the message says why.
    """
    if not content.startswith(_GZIP):
        return content
    gzip = zlib.decompressobj(wbits=_WBITS)
    try:
        # One byte more, to distinguish "full" from "too much".
        plain = gzip.decompress(content, max_bytes + 1)
    except zlib.error as error:
        raise ValueError(f"gzip that can't be opened: {error}") from None
    if len(plain) > max_bytes:
        raise TooMuchUnpacked(f"gzip that grows to more than {max_bytes} bytes")
    if not gzip.eof:
        raise ValueError("gzip that is cut off")
    return plain
