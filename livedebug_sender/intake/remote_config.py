"""A file of probes, served as an agent's remote configuration (``/v0.7/config``).

The response has the form in which the Agent sends it to tracers: ``targets``, a signed list of
paths with their hashes (tracers of an agent do not check the signature), ``target_files``
and ``client_configs``. A probe's path is ``datadog/2/LIVE_DEBUGGING/KIND_ID/config``.
Source: the Agent's ``pkg/proto/datadog/remoteconfig`` and what `ddtrace` 4.16 accepts.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

#: Kinds of probes, and the prefixes of their paths.
_PREFIXES = {
    "LOG_PROBE": "logProbe",
    "METRIC_PROBE": "metricProbe",
    "SPAN_PROBE": "spanProbe",
    "SPAN_DECORATION_PROBE": "spanDecorationProbe",
}
_PRODUCT = "LIVE_DEBUGGING"
_SYMDB_PRODUCT = "LIVE_DEBUGGING_SYMBOL_DB"


class ProbeFile:
    """A file with a JSON array of probes, as for ``DD_DYNAMIC_INSTRUMENTATION_PROBE_FILE``.

    It is read again whenever it changes; while it can't be read, the previous probes are
    served, and `problem` says why.

    Raises:
        ValueError: it can't be read at the start.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        # Protects what was read: tracers poll on many threads.
        self._lock = threading.Lock()
        self._seen: tuple[int, int] = (0, 0)
        self._version = 0
        self._probes: list[Mapping[str, Any]] = []
        self.problem = ""
        self._read_again()
        if self.problem:
            raise ValueError(self.problem)

    @property
    def names(self) -> list[str]:
        """The ids of the probes."""
        with self._lock:
            return [str(probe["id"]) for probe in self._probes]

    def answer(self, products: Sequence[str]) -> dict[str, Any]:
        """The response for a tracer that asks for these products."""
        with self._lock:
            self._read_again()
            return answer_for(self._probes, self._version, products)

    def _read_again(self) -> None:
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_size)
            if seen == self._seen:
                return
            self._probes = probes_in(self._path.read_bytes())
            self._seen = seen
            self._version += 1
            self.problem = ""
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            self.problem = f"the file of probes {self._path}: {reason}"


def probes_in(content: bytes) -> list[Mapping[str, Any]]:
    """The probes of a file.

    Raises:
        ValueError: the message says what was given and what is expected.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(found, list):
        raise ValueError(f"a {type(found).__name__}; expected an array of probes")
    ids: set[str] = set()
    for n, probe in enumerate(found):
        if not (isinstance(probe, dict) and isinstance(probe.get("id"), str) and probe["id"]):
            raise ValueError(f"probe {n} has no 'id' (a string)")
        if probe.get("type") not in _PREFIXES:
            kinds = ", ".join(_PREFIXES)
            raise ValueError(
                f"probe {probe['id']!r:.60} is of type {probe.get('type')!r:.40}; expected {kinds}"
            )
        if probe["id"] in ids:
            raise ValueError(f"two probes have the id {probe['id']!r:.60}")
        ids.add(probe["id"])
    return found


def answer_for(
    probes: Sequence[Mapping[str, Any]], version: int, products: Sequence[str]
) -> dict[str, Any]:
    """The remote configuration with these probes; requests symbols if the tracer offers them."""
    files: dict[str, bytes] = {}
    if _PRODUCT in products:
        for probe in probes:
            name = f"{_PREFIXES[probe['type']]}_{quote(probe['id'], safe='')}"
            files[f"datadog/2/{_PRODUCT}/{name}/config"] = json.dumps(probe).encode()
    if _SYMDB_PRODUCT in products:
        files[f"datadog/2/{_SYMDB_PRODUCT}/symDb/config"] = b'{"upload_symbols": true}'
    targets = {
        path: {
            "custom": {"v": version},
            "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
            "length": len(content),
        }
        for path, content in files.items()
    }
    signed = {
        "_type": "targets",
        "custom": {"opaque_backend_state": base64.b64encode(b"{}").decode()},
        "expires": "2100-01-01T00:00:00Z",
        "spec_version": "1.0.0",
        "targets": targets,
        "version": version,
    }
    document = json.dumps({"signatures": [], "signed": signed}).encode()
    return {
        "roots": [],
        "targets": base64.b64encode(document).decode(),
        "target_files": [
            {"path": path, "raw": base64.b64encode(content).decode()}
            for path, content in files.items()
        ],
        "client_configs": list(files),
    }
