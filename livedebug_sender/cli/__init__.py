"""The command line, one module for each subcommand.

Needs the extra: ``pip install "livedebug-sender[cli]"``.

Imports: config, demo, environment, errors, forwarder, intake, lint, protocol, runtime,
sender, stats, transport, units, version.
"""
