"""The API key and the payloads that tests use."""

from __future__ import annotations

import gzip
from pathlib import Path

import livedebug_sender

#: As long as a real one.
KEY = "0123456789abcdef0123456789abcdef"
#: A real tracer's payloads, by track.
SAMPLES = Path(livedebug_sender.__file__).parent / "samples"


def large_snapshot() -> bytes:
    """A JSON array of one snapshot of about 900 KB."""
    return gzip.decompress((SAMPLES / "large_snapshot.json.gz").read_bytes())
