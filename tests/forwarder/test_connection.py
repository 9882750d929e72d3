"""One client's connection, step by step, without threads."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from livedebug_sender.forwarder.counters import FIRST_METRIC, Counters
from livedebug_sender.forwarder.limits import BodyBytesLimit
from livedebug_sender.forwarder.server.connection import Connection
from livedebug_sender.units import MiB


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Connection]]:
    """The client's end, and the connection of the server's."""
    client, server = socket.socketpair()
    limit = BodyBytesLimit(Counters(FIRST_METRIC).column(), 10 * MiB)
    connection = Connection(server, MiB, limit)
    with client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MiB)
        yield client, connection
        connection.close()


def test_a_body_of_many_small_chunks_leaves_turns_to_other_clients(ends):
    client, connection = ends
    chunks = 20_000
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    client.setblocking(False)
    waiting = memoryview(head + b"1\r\nx\r\n" * chunks + b"0\r\n\r\n")
    request, turns = None, 0
    while request is None:
        if waiting:
            waiting = waiting[client.send(waiting[:100_000]) :]
        request = connection.receive()
        turns += 1
    assert request.size == chunks
    # All of it was there each time, but no more than 64 KiB are read at a time.
    assert turns > 6 * chunks / (64 * 1024)
