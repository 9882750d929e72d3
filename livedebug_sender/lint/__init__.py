"""What is odd about a payload: hints for who writes a tracer, never a refusal.

`findings_in` looks at a decoded payload, `symdb_findings` at a symbol database upload.
Both need the package ``jsonschema`` (the extras ``cli`` and ``intake`` bring it).

Imports: protocol, units.
"""

from .findings import Finding, findings_in
from .symdb import symdb_findings

__all__ = ["Finding", "findings_in", "symdb_findings"]
