"""The version, on the wire in ``User-Agent`` and in the package's metadata."""

__version__ = "0.1.0"
