"""Bytes to a local intake, as they are, and what comes back."""

from __future__ import annotations

import socket

from livedebug_sender.intake.server import Intake


def raw_exchange(intake: Intake, sent: bytes) -> bytes:
    """All bytes that come back, until the intake hangs up."""
    with socket.create_connection(("127.0.0.1", intake.port), timeout=10) as connection:
        connection.sendall(sent)
        received = b""
        while data := connection.recv(65536):
            received += data
    return received
