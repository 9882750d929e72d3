"""The forwarder's server: HTTP/1.1 for a WSGI application, on threads and an epoll.

It is small, and compared with other servers in docs/forwarder.rst. `http1` parses and validates
requests without I/O, `connection` reads and writes without blocking, `worker` serves connections on
the threads of a `thread_pool`, `interface` is what an application has, `wsgi` calls it, `listening`
has the listening sockets, `server` runs everything in one process, `supervisor` in several. `cores`
and `memory` limit what a process uses.
"""

from .cores import cores_of_workers, use_core
from .listening import DEFAULT_LISTEN, SOCKET_MODE, check_address
from .memory import use_one_arena
from .server import NotServingYet, Server, stopped_by_signals
from .supervisor import Supervisor

__all__ = [
    "DEFAULT_LISTEN",
    "SOCKET_MODE",
    "NotServingYet",
    "Server",
    "Supervisor",
    "check_address",
    "cores_of_workers",
    "stopped_by_signals",
    "use_core",
    "use_one_arena",
]
