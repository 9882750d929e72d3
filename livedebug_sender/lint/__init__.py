"""Findings in payloads: hints for authors of tracers; no payload is refused for them.

`findings_in` checks a decoded payload, `symdb_findings` a symbol database upload.
Both need the package ``jsonschema`` (in the extras ``cli`` and ``intake``).

Imports: protocol, units.
"""

from .findings import Finding, findings_in
from .symdb import symdb_findings

__all__ = ["Finding", "findings_in", "symdb_findings"]
