"""What the server does about memory that the C library keeps."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from servers import RecordingServer

from livedebug_sender.forwarder.server.memory import KEPT, FreedMemory


def test_memory_is_given_back_where_it_has_grown_and_not_all_the_time():
    resident = [100]
    given = []
    freed = FreedMemory(lambda: resident[0], lambda: given.append(resident[0]))
    freed.look(0.0)
    resident[0] = 100 + KEPT
    freed.look(1.0)
    assert given == []
    resident[0] += 1
    for second in range(2, 8):
        freed.look(float(second))
    assert given == [resident[0]] * 2
    resident[0] = 100
    freed.look(100.0)
    assert len(given) == 2


BACKLOG = """
from livedebug_sender.forwarder.server.memory import FreedMemory, resident, use_one_arena
use_one_arena()
freed = FreedMemory()
bytes(30_000_000)  # from now on glibc takes bodies from the heap, as after a large one
bodies, between = [], []
for _ in range(500):
    bodies.append(b"x" * 200_000)
    between.append(bytes(2_000))
full = resident()
bodies.clear()
kept = resident()
freed.look(0.0)
print(full, kept, resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_what_a_backlog_took_goes_back_to_the_system():
    ran = subprocess.run([sys.executable, "-c", BACKLOG], capture_output=True, text=True)
    full, kept, now = map(int, ran.stdout.split())
    assert full - kept < 20_000_000  # by itself it would not
    assert full - now > 80_000_000


FORWARDED = """
import sys
from running_forwarder import ROUTES, running
with running(sys.argv[1]) as forwarder:
    print(forwarder.post(ROUTES[2]).status)
print([name for name in ("requests", "urllib3", "tenacity") if name in sys.modules])
"""


def test_requests_is_not_loaded_where_no_proxy_is_named():
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    tests = str(Path(__file__).parents[1])
    with RecordingServer() as intake:
        ran = subprocess.run(
            [sys.executable, "-c", FORWARDED, intake.url],
            env={**kept, "PYTHONPATH": tests, "NO_PROXY": "localhost"},
            capture_output=True,
            text=True,
        )
    assert ran.stdout.split("\n", 1) == ["202", "[]\n"], ran.stderr
