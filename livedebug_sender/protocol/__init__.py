"""What is sent on the wire, and what a response means; no I/O and no threads.

===============  =====================================================================
``tracks``       the tracks: their paths, and where their tags are sent
``endpoint``     where payloads go: a URL, and an API key for the intake itself
``payload``      encodes a caller's payload to the bytes that are queued
``pruning``      prunes a snapshot that is too large
``tags``         joins, checks, truncates and encodes tags
``body``         merges the payloads of a track into one body
``request``      a request: method, path, headers, body
``outcome``      what a response means for the batch
``retry_after``  how long a server asks to wait
``credentials``  which headers and query parameters are credentials
``unpacking``    decompresses gzip within a limit
===============  =====================================================================

Imports: errors, runtime, units, version.
"""
