"""Peers that are gone, in a program that SIGPIPE ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import trustme

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGPIPE there")

#: Writes to a peer that is gone, by a stream; then by the host's own hand, if it is told so.
_PROGRAM = """
    import signal, socket, ssl, sys, threading, time
    from livedebug_sender.transport.deadline import RequestDeadline
    from livedebug_sender.transport.streams import NestedTLSStream, PlainStream, start_tls

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    kind, then, *certificates = sys.argv[1:]
    ours, theirs = socket.socketpair()

    def shake_hands_and_go():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates[0])
        context.wrap_socket(theirs, server_side=True).close()

    if kind == "plain":
        theirs.close()
        stream = PlainStream(ours)
    else:
        peer = threading.Thread(target=shake_hands_and_go)
        peer.start()
        context = ssl.create_default_context(cafile=certificates[1])
        deadline, until = RequestDeadline(), time.monotonic() + 30
        if kind == "tls":
            stream = start_tls(ours, context, "localhost", deadline, until)
        else:
            stream = NestedTLSStream(PlainStream(ours), context, "localhost")
            stream.handshake(deadline, until)
        peer.join()
    try:
        stream.send([b"x"])
    except OSError:
        print("an error", flush=True)
    if then == "host":
        pair = socket.socketpair()
        pair[1].close()
        pair[0].send(b"x")
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_PROGRAM), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_peer_that_is_gone_is_an_error_and_not_the_end_of_the_process() -> None:
    ended = run("plain", "no more")
    assert (ended.returncode, ended.stdout) == (0, "an error\n"), ended.stderr


@pytest.mark.parametrize("kind", ["tls", "tls in tls"])
def test_so_it_is_behind_tls(kind: str, authority: trustme.CA, tmp_path: Path) -> None:
    chain, root = tmp_path / "chain.pem", tmp_path / "root.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(chain))
    authority.cert_pem.write_to_path(str(root))
    ended = run(kind, "no more", str(chain), str(root))
    assert (ended.returncode, ended.stdout) == (0, "an error\n"), ended.stderr
    # The host's own writes have the signal as before.
    ended = run(kind, "host", str(chain), str(root))
    assert (ended.returncode, ended.stdout) == (-signal.SIGPIPE, "an error\n"), ended.stderr
