"""Gzip of others, decompressed within a bound: pure.

A few kilobytes of gzip can grow to gigabytes, so nothing is decompressed without a bound.
"""

from __future__ import annotations

import zlib

_GZIP = b"\x1f\x8b"
_WBITS = zlib.MAX_WBITS | 16


class TooMuchUnpacked(ValueError):
    """The gzip grows to more than the bound."""


def unpacked(content: bytes, max_bytes: int) -> bytes:
    """The content, with gzip undone where it begins as gzip.

    Args:
        max_bytes: that it may grow to.

    Raises:
        TooMuchUnpacked: it grows to more.
        ValueError: it is not one whole gzip; says why.
    """
    if not content.startswith(_GZIP):
        return content
    gzip = zlib.decompressobj(wbits=_WBITS)
    try:
        # One byte more than there is room for tells "full" from "too much".
        plain = gzip.decompress(content, max_bytes + 1)
    except zlib.error as error:
        raise ValueError(f"gzip that can't be opened: {error}") from None
    if len(plain) > max_bytes:
        raise TooMuchUnpacked(f"gzip that grows to more than {max_bytes} bytes")
    if not gzip.eof:
        raise ValueError("gzip that is cut off")
    return plain
