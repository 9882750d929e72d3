"""Connections of the caller's session that detect a response sent before the body was read."""

from __future__ import annotations

from typing import Any

import requests
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import wait_for_read

from ..runtime.host_signals import reraise_of_signal_handler

#: Seconds to wait for the rest of a response that has started to arrive.
_ANSWER_WITHIN = 1.0


class _EarlyAnswers(HTTPConnection):
    """Reads the response of a server that answers, stops reading and keeps the connection open.

    urllib3 does so if the server closed the connection (`BrokenPipeError`), but not if the write
    times out.
    """

    #: Whether a request was written in part, so that the connection can't be reused.
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
            # urllib3 now reads the response.
            raise BrokenPipeError("the server has answered and does not read the request")

    def getresponse(self) -> Any:  # typeshed gives `http.client`'s
        if self._has_unsent:
            # The data may be a TLS message instead of a response.
            self.timeout = _ANSWER_WITHIN
        return super().getresponse()

    @property
    def is_connected(self) -> bool:
        return not self._has_unsent and super().is_connected


class _HTTPS(_EarlyAnswers, HTTPSConnection):
    pass


#: Keyed by urllib3's own classes; a class of the caller's is not replaced.
_CONNECTIONS: dict[Any, Any] = {HTTPConnection: _EarlyAnswers, HTTPSConnection: _HTTPS}


def hear_early_answers(
    session: requests.Session, request: requests.PreparedRequest, settings: dict[str, Any]
) -> None:
    """Make the pool that the session will use for a request create such connections.

    Args:
        settings: the ``proxies``, ``verify`` and ``cert`` of the request.
    """
    adapter = session.get_adapter(request.url or "")
    if isinstance(adapter, requests.adapters.HTTPAdapter):
        pool: Any = adapter.get_connection_with_tls_context(request, **settings)
        pool.ConnectionCls = _CONNECTIONS.get(pool.ConnectionCls, pool.ConnectionCls)
