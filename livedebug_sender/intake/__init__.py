"""A local intake for inspection: accepts what a sender sends, keeps the latest, and shows it.

Needs the extra: ``pip install "livedebug-sender[intake]"``. Parsing, storing and filtering
are plain Python; `app`, `api_routes` and `connection` speak HTTP (Flask, h11).

Imports: config, errors, lint, protocol, sync, units, version.
"""
