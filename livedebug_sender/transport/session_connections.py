"""Connections of a caller's session that hear an answer which comes before the body was read."""

from __future__ import annotations

from typing import Any

import requests
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import wait_for_read

from ..runtime.host_signals import reraise_of_signal_handler

#: Seconds to wait for the rest of an answer that has begun to arrive.
_ANSWER_WITHIN = 1.0


class _EarlyAnswers(HTTPConnection):
    """Reads the answer of a server that has answered and stopped reading, its connection open.

    urllib3 does so where the server has closed it, a `BrokenPipeError`; where the write times out,
    it does not look whether there is an answer.
    """

    #: Whether a request was written in part, so that no other can follow on this connection.
    _has_unsent = False

    def connect(self) -> None:
        self._has_unsent = False
        super().connect()

    def send(self, data: Any) -> None:
        try:
            super().send(data)
        except TimeoutError as error:
            reraise_of_signal_handler(error)
            if self.sock is None or not wait_for_read(self.sock, timeout=0):
                raise
            self._has_unsent = True
        if self._has_unsent:
            # urllib3 now reads the answer.
            raise BrokenPipeError("the server has answered and does not read the request")

    def getresponse(self) -> Any:  # typeshed gives `http.client`'s
        if self._has_unsent:
            # What has arrived may be no answer: TLS has messages of its own.
            self.timeout = _ANSWER_WITHIN
        return super().getresponse()

    @property
    def is_connected(self) -> bool:
        return not self._has_unsent and super().is_connected


class _HTTP(_EarlyAnswers):
    pass


class _HTTPS(_EarlyAnswers, HTTPSConnection):
    pass


#: By urllib3's own; a class of the caller's stays as it is.
_CONNECTIONS: dict[Any, Any] = {HTTPConnection: _HTTP, HTTPSConnection: _HTTPS}


def hear_early_answers(
    session: requests.Session, request: requests.PreparedRequest, settings: dict[str, Any]
) -> None:
    """Have the pool that the session will take for a request make such connections.

    Args:
        settings: the ``proxies``, ``verify`` and ``cert`` of the request.
    """
    adapter = session.get_adapter(request.url or "")
    if isinstance(adapter, requests.adapters.HTTPAdapter):
        pool: Any = adapter.get_connection_with_tls_context(request, **settings)
        pool.ConnectionCls = _CONNECTIONS.get(pool.ConnectionCls, pool.ConnectionCls)
