"""The recipe that puts a sender in the place of ddtrace's own, through an outage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from running_recipes import PROGRAMS
from waiting import until

from livedebug_sender.intake.server import Intake

pytest.importorskip("ddtrace")
pytestmark = pytest.mark.interop

ORDERS = 22
#: Instrumented: one snapshot and one log for each order.
MODULE = """
def discount(order):
    return order * 0.9


def checkout(order):
    total = order + 1
    return discount(total)
"""
#: Orders before, in and after the outage, one each ``PACE`` seconds.
SHOP = f"""
import os, time

def install():
    import ddtrace_sender
    return ddtrace_sender.install()

sender = install() if os.environ["INSTALL"] == "before" else None
if os.environ["START"] == "auto":
    import ddtrace.auto
if os.environ["INSTALL"] == "after":
    sender = install()
import orders

for number in range({ORDERS}):
    orders.checkout(number)
    if number == {ORDERS // 2}:
        open("half", "w").close()
    time.sleep(float(os.environ["PACE"]))
time.sleep(2 * float(os.environ["DD_DYNAMIC_INSTRUMENTATION_UPLOAD_INTERVAL_SECONDS"]))
if sender is not None:
    assert sender.flush(20)
"""
ALL_RATES = {"snapshotsPerSecond": 1000}
PROBES = [
    {
        "id": "snapshot",
        "version": 1,
        "type": "LOG_PROBE",
        "language": "python",
        "where": {"sourceFile": "orders.py", "lines": ["8"]},
        "captureSnapshot": True,
        "template": "ordered",
        "segments": [{"str": "ordered"}],
        "sampling": ALL_RATES,
    },
    {
        "id": "log",
        "version": 1,
        "type": "LOG_PROBE",
        "language": "python",
        "where": {"typeName": "orders", "methodName": "discount"},
        "template": "discounted",
        "segments": [{"str": "discounted"}],
        "sampling": ALL_RATES,
    },
]


def arrived_through_an_outage(
    folder: Path, *, start: str, install: str, unload: str = "auto", quick: bool = False
) -> Counter[str]:
    """What arrives of the shop, by its probe, while all is answered 503 for a while.

    And its symbols, which only this sender is to bring, if it is installed.

    Args:
        start: of ddtrace: ``auto`` (`import ddtrace.auto`) or ``run`` (`ddtrace-run`).
        install: the adapter ``before`` ddtrace is started, ``after`` it, or ``never``.
        unload: does ddtrace drop what it has imported? It does where gevent is installed.
        quick: in less time than the recipe's figures are of.
    """
    (folder / "orders.py").write_text(MODULE)
    (folder / "shop.py").write_text(SHOP)
    (folder / "probes.json").write_text(json.dumps(PROBES))
    outage, pace, interval = (2.5, 0.2, 0.5) if quick else (4.0, 0.35, 1.0)
    runner = [str(Path(sys.executable).with_name("ddtrace-run"))] if start == "run" else []
    with Intake(faults="503") as intake:

        def end_outage() -> None:
            until(lambda: bool(intake.requests), 40)
            time.sleep(outage)
            until((folder / "half").exists, 40)  # later, on a busy machine
            intake.inject("")

        ending = threading.Thread(target=end_outage)
        ending.start()
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(PROGRAMS)]),
            "START": start,
            "INSTALL": install,
            "PACE": str(pace),
            "DD_DYNAMIC_INSTRUMENTATION_UPLOAD_INTERVAL_SECONDS": str(interval),
            "DD_TRACE_AGENT_URL": intake.url,
            "DD_DYNAMIC_INSTRUMENTATION_ENABLED": "true",
            "DD_DYNAMIC_INSTRUMENTATION_PROBE_FILE": str(folder / "probes.json"),
            "DD_SYMBOL_DATABASE_UPLOAD_ENABLED": "true",
            "_DD_SYMBOL_DATABASE_FORCE_UPLOAD": "true",  # no remote configuration here
            "DD_SYMBOL_DATABASE_INCLUDES": "orders",
            "DD_TRACE_ENABLED": "false",
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            "DD_UNLOAD_MODULES_FROM_SITECUSTOMIZE": unload,
        }
        done = subprocess.run(
            [*runner, sys.executable, str(folder / "shop.py")],
            env=environ,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        ending.join()
        assert done.returncode == 0, done.stderr
        snapshots = [
            payload["debugger"]["snapshot"]
            for track in ("snapshots", "logs")
            for payload in intake.payloads(track)
        ]
        uploaders = {
            one.headers.get("user-agent", "").partition("/")[0]
            for one in intake.requests
            if "symdb" in one.tracks and 200 <= one.status < 300
        }
    if install != "never":
        assert uploaders == {"livedebug-sender"}
    ids = {snapshot["id"]: snapshot["probe"]["id"] for snapshot in snapshots}
    return Counter(ids.values())


@pytest.mark.parametrize("unload", ["true", "false"], ids=["with gevent", "without gevent"])
@pytest.mark.parametrize(
    ("start", "install"), [("auto", "before"), ("auto", "after"), ("run", "after")]
)
def test_all_of_ddtrace_arrives_through_an_outage_and_the_process_ends(
    start: str, install: str, unload: str, tmp_path: Path
) -> None:
    # The recipe's figures are of the others.
    quick = install == "before" or unload == "false"
    arrived = arrived_through_an_outage(
        tmp_path, start=start, install=install, unload=unload, quick=quick
    )
    assert arrived == {"snapshot": ORDERS, "log": ORDERS}


@pytest.mark.parametrize("start", ["auto", "run"])
def test_with_its_own_sender_some_of_it_is_lost(start: str, tmp_path: Path) -> None:
    # Else the figures of the recipe say nothing any more.
    arrived = arrived_through_an_outage(tmp_path, start=start, install="never")
    print(dict(arrived))
    assert 0 < arrived["snapshot"] < ORDERS
    assert 0 < arrived["log"] < ORDERS
