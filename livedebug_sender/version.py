"""The version, for ``User-Agent`` and the package's metadata."""

__version__ = "0.1.0"
