"""One run of `send`, interrupted anywhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from servers import free_port

from livedebug_sender import Endpoint, SenderConfig, Track
from livedebug_sender.cli import sending
from livedebug_sender.cli.payload_files import Found

PAYLOADS = [Found(f"line {n}", 0, b"{}", track=Track.LOGS, file="f") for n in range(1, 7)]


class CtrlC:
    """Raises a `KeyboardInterrupt` at the `after`-th line of `Sending`, while payloads are read."""

    def __init__(self, after: int) -> None:
        self.struck = False
        self._after = after
        self._reading = False

    def payloads(self) -> Iterator[Found]:
        self._reading = True
        yield from PAYLOADS
        self._reading = False

    def __call__(self, frame: FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_filename != sending.__file__:
            return None
        if event == "line" and self._reading:
            self._after -= 1
            if self._after == 0:
                self.struck = True
                raise KeyboardInterrupt
        return self


def interrupted_runs() -> Iterator[sending.Report]:
    """Reports of runs to an agent that is down, interrupted at one line after the other."""
    config = SenderConfig()
    config.set_endpoint(Endpoint(f"http://127.0.0.1:{free_port()}"))
    struck, after = True, 0
    while struck:
        after += 1
        run = sending.Sending(
            config,
            tags="",
            retry_for=0.01,
            prune=False,
            skip=0,
            look=lambda stats, read: None,
            note=lambda problem: None,
        )
        ctrl_c = CtrlC(after)
        before = sys.gettrace()
        sys.settrace(ctrl_c)
        try:
            run.run(ctrl_c.payloads())
        finally:
            sys.settrace(before)
        struck = ctrl_c.struck
        if struck:
            yield run.report
    assert after > 50


def test_wherever_ctrl_c_strikes_no_payload_is_left_out_by_going_on_where_it_says() -> None:
    for report in interrupted_runs():
        # Nothing arrived, so all has to be sent again.
        assert (report.stopped, report.resume_at) == ("interrupted", 0)
