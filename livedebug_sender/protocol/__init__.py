"""What goes on the wire, and what an answer means: pure, without a connection or a thread.

===============  =====================================================================
``tracks``       the tracks: their paths, and where their tags go
``endpoint``     where payloads go: a URL, and the API key if that is the intake itself
``payload``      what a caller hands over, as the bytes that wait in the queue
``pruning``      a snapshot that is too large, cut down to the bound
``tags``         joined, checked, cut and encoded
``body``         the payloads of one track as one body
``request``      a request: method, path, headers, body
``outcome``      what an answer means for the batch
``retry_after``  how long a server asks to wait
``credentials``  which headers and fields of a query authenticate somebody
``unpacking``    gzip, opened within a bound
===============  =====================================================================

Imports: errors, runtime, units, version.
"""
