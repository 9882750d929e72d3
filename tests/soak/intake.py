"""An agent that misbehaves at random, as a process of its own, and records what it took.

    python intake.py SEED IDS

It is its own HTTP proxy as well: it takes requests for any host. As a proxy may, it says 102
or 103 before some answers.

Prints its port, serves until its standard input ends, then writes its record to standard
output: a line of JSON and two times IDS bytes, one for each id: how often it was taken
(255 at most), and whether it was refused when it came alone.
"""

from __future__ import annotations

import json
import random
import re
import socket
import sys
import threading
import time
from collections import Counter
from email.utils import formatdate
from urllib.parse import urlsplit

_BEFORE = (b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")
#: In every payload, of every track. A payload marked as bad is never taken.
ID = re.compile(rb'"id":(\d+),"bad":(\d)')
LARGEST = 1024 * 1024
#: Bytes of a body that has more than one payload for certain.
SEVERAL = 80_000
WELL = (2.0, 5.0)
TROUBLE = (0.5, 2.5)
SINGLE_FAULTS = 0.02
TROUBLES = (
    "503", "429, seconds", "429, a date", "hangs", "drips", "cuts", "gone", "slow", "old agent",
    "early, then closed", "early, then silent",
)  # fmt: skip


class Intake:
    def __init__(self, seed: int, ids: int) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.taken = bytearray(ids)
        self.refused_alone = bytearray(ids)
        self.counts: Counter[str] = Counter()
        self._mood = "well"
        self._over = threading.Event()
        self._connections: set[socket.socket] = set()
        self._listener = _listen(0)
        self.port = self._listener.getsockname()[1]

    def serve(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        threading.Thread(target=self._change_moods, daemon=True).start()

    # ---- moods ----

    def _change_moods(self) -> None:
        while True:
            troubles = list(TROUBLES)
            self._random.shuffle(troubles)
            for trouble in troubles:
                time.sleep(self._random.uniform(*WELL))
                self._mood = trouble
                self.counts[f"mood: {trouble}"] += 1
                if trouble == "gone":
                    self._go_away()
                time.sleep(self._random.uniform(*TROUBLE))
                if trouble == "gone":
                    self._come_back()
                self._mood = "well"

    def _go_away(self) -> None:
        _shut(self._listener)
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            _shut(connection)

    def _come_back(self) -> None:
        self._listener = _listen(self.port)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    # ---- requests ----

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                listener.close()
                return
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection, connection.makefile("rb") as stream:
                while (head := _read_head(stream)) is not None:
                    path, length, proxied = head
                    self._count("by proxy" if proxied else "direct")
                    if self._mood.startswith("early"):
                        self._answer_early(connection, length)
                        return
                    body = stream.read(length)
                    if len(body) < length or not self._answer(connection, path, body):
                        return
        except OSError:
            pass  # the client hung up
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _answer_early(self, connection: socket.socket, length: int) -> None:
        """Before the body was read; then close, or read no more of it."""
        mood = self._mood
        status = 413 if length > SEVERAL else 503
        self._count(f"early: {status}")
        _reply(connection, status, "Connection: close\r\n")
        while mood.endswith("silent") and self._mood == mood:
            time.sleep(0.05)

    def _answer(self, connection: socket.socket, path: str, body: bytes) -> bool:
        """Answer by the mood and the body; False to hang up."""
        mood = self._mood
        if mood == "well" and random.random() < SINGLE_FAULTS:
            mood = random.choice(("503", "cuts", "slow"))
        if path == "/info":
            v2 = "/debugger/v1/input" if mood == "old agent" else "/debugger/v2/input"
            return _reply(connection, 200, body=json.dumps({"endpoints": [v2]}).encode())
        self._count(f"path: {path}")
        if mood == "503":
            return self._count("status: 503") and _reply(connection, 503)
        if mood.startswith("429"):
            wait = "1" if mood == "429, seconds" else formatdate(time.time() + 2, usegmt=True)
            return self._count("status: 429") and _reply(
                connection, 429, f"Retry-After: {wait}\r\n"
            )
        if mood == "hangs":
            while self._mood == mood:
                time.sleep(0.05)
            return False
        if mood == "old agent" and path == "/debugger/v2/input":
            return self._count("status: 404") and _reply(connection, 404)
        if mood == "slow":
            time.sleep(random.uniform(0.1, 0.6))
        status = self._judge(body)
        if mood in ("cuts", "drips"):  # taken, but the client can't know
            connection.sendall(b"HTTP/1.1 %d OK\r\nContent-Le" % status)
            while mood == "drips" and self._mood == mood:
                time.sleep(0.05)
                connection.sendall(b"x")
            return False
        return self._count(f"status: {status}") and _reply(connection, status)

    def _count(self, what: str) -> bool:
        with self._lock:
            self.counts[what] += 1
        return True

    def _judge(self, body: bytes) -> int:
        """Take the payloads of a body, or refuse them all."""
        found = [(int(one), bad == b"1") for one, bad in ID.findall(body)]
        if len(found) > 1 and len(body) > LARGEST:
            return 413
        if any(bad for _, bad in found):
            if len(found) == 1:
                self.refused_alone[found[0][0]] = 1
            return 400
        with self._lock:
            for one, _ in found:
                self.taken[one] = min(255, self.taken[one] + 1)
        return 202


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    return listener


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


def _read_head(stream: object) -> tuple[str, int, bool] | None:
    """The next request's path, its body's length, and whether a proxy was asked for it.

    None at the end of the connection.
    """
    readline = stream.readline  # type: ignore[attr-defined]
    parts = readline().split()
    if len(parts) < 3:
        return None
    length = 0
    while (line := readline()) not in (b"\r\n", b""):
        if line[:15].lower() == b"content-length:":
            length = int(line[15:])
    return urlsplit(parts[1].decode()).path, length, parts[1].startswith(b"http:")


def _reply(connection: socket.socket, status: int, header: str = "", body: bytes = b"{}") -> bool:
    head = f"HTTP/1.1 {status} Status\r\n{header}Content-Length: {len(body)}\r\n\r\n"
    before = random.choice(_BEFORE) if random.random() < 0.05 else b""
    connection.sendall(before + head.encode() + body)
    return True


if __name__ == "__main__":
    intake = Intake(int(sys.argv[1]), int(sys.argv[2]))
    print(intake.port, flush=True)
    intake.serve()
    sys.stdin.read()
    out = sys.stdout.buffer
    out.write(json.dumps(dict(intake.counts)).encode() + b"\n")
    out.write(intake.taken + intake.refused_alone)
    out.flush()
