"""One request and its response, bounded in time. Other packages use ``transport`` only.

=======================  ==================================================================
``transport``            sends a request; returns its response, or raises if there is none
``response``             the classes that it returns and raises
``failures``             human-readable reasons why no response was received
``request_hook``         the caller's ``around_request``
``client``               our own HTTP client, with keep-alive connections
``adapters``             its replacement by the caller's ``requests.Session``
``session_connections``  that session's connections: early responses
``file``                 endpoints that are files
``routes``               how to reach an endpoint: host, port, proxy, certificates
``requests_rules``       proxy, CA bundle and host of an origin, by `requests` and urllib3
``light_environment``    the same without importing them, if there is no proxy
``name_resolution``      resolves host names, within a timeout
``glibc_look_up``        bounds that if no thread can be started
``proxies``              tunnels through HTTP proxies
``socks_proxy``          SOCKS proxies
``dialling``             opens a connection: TCP, proxy, TLS
``sockets``              connected sockets
``streams``              non-blocking bytes on a connection
``connections``          a request and its response on an open connection
``http1``                formats the head of a request, parses a response; without I/O
``deadline``             how long a request may take, and how another thread aborts it
=======================  ==================================================================

Imports: errors, protocol, runtime.
"""
