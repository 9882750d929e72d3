"""A local intake to look at: takes what a sender sends, keeps the last of it, shows it.

Needs the extra: ``pip install "livedebug-sender[intake]"``. The reading, keeping and
filtering is plain Python; `app`, `api_routes` and `connection` speak HTTP (Flask, h11).

Imports: config, errors, lint, protocol, sync, units, version.
"""
