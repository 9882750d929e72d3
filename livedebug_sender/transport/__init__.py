"""One request and its answer, bounded in time. The others use it through ``transport``.

=======================  ==================================================================
``transport``            sends a request, and gives its response or raises why there is none
``response``             what that gives back, or raises where no answer came
``failures``             why no answer came, in words
``request_hook``         the caller's ``around_request``
``client``               our own HTTP client: kept connections
``adapters``             instead of it: a ``requests.Session`` of the caller's
``session_connections``  that session's connections: early answers
``file``                 endpoints that are files
``routes``               how to get to an endpoint: host, port, proxy, certificates
``requests_rules``       what `requests` and urllib3 say of an origin: proxy, CA bundle, host
``light_environment``    the same without loading them, where there is no proxy
``name_resolution``      looks host names up, within a timeout
``proxies``              tunnels through HTTP proxies
``socks_proxy``          SOCKS proxies
``dialling``             opening a connection: TCP, proxy, TLS
``sockets``              connected sockets
``streams``              bytes on a connection, without blocking
``connections``          a request and its answer on an open connection
``http1``                writes the head of a request, reads an answer: pure
``deadline``             how long a request may take, and how another thread aborts it
=======================  ==================================================================

Imports: errors, protocol, runtime.
"""
