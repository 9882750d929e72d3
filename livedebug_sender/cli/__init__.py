"""The command line, one module for each subcommand.

Needs the extra: ``pip install "livedebug-sender[cli]"``.
"""
