"""The forwarder's server: HTTP/1.1 for a WSGI application, on threads and an epoll.

Small, and measured against others: see docs/forwarder.rst. `http1` is pure: what a request
is, and what is refused. `connection` takes one in without ever waiting, `worker` has the
threads, `wsgi` calls the application, `listening` has the sockets, `server` runs all that in
one process, `supervisor` in several.
"""

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
    "stopped_by_signals",
    "use_one_arena",
]
