"""One request and its answer, bounded in time. Its seam is ``transport``.

===================  =================================================================
``transport``        a request in, a response out, or the reason why there is none
``response``         what that gives back, or raises where no answer came
``failures``         why no answer came, in words
``request_hook``     the caller's ``around_request``
``client``           our own HTTP client: kept connections
``adapters``         in its place: a session of the caller's
``file``             endpoints that are files
``routes``           how to get to an endpoint: host, port, proxy, certificates
``name_resolution``  host names, looked up on threads that hold nobody up
``proxies``          tunnels through HTTP proxies
``socks_proxy``      SOCKS proxies
``dialling``         opening a connection: TCP, proxy, TLS
``sockets``          connected sockets
``streams``          bytes on a connection, without blocking
``connections``      a request and its answer on an open connection
``http1``            the head of a request, and a reader of answers: pure
``deadline``         how long it may take, and how another thread ends it
===================  =================================================================

Imports: errors, protocol, runtime.
"""
