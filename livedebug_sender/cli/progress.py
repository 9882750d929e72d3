"""A progress bar for long input, on terminals only."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ..stats import Stats


class SendingBar:
    """For a `with` block: shows how much of the input was read, and how much was delivered.

    Args:
        total: bytes of the input; None: unknown.
    """

    def __init__(self, console: Console, total: int | None, *, shown: bool) -> None:
        self._bar = Progress(
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[delivered]:,} delivered"),
            console=console,
            transient=True,
            disable=not (shown and console.is_terminal),
        )
        self._task = self._bar.add_task("", total=total, delivered=0)

    def look(self, stats: Stats, read: int) -> None:
        self._bar.update(self._task, completed=read, delivered=stats.delivered)

    def __enter__(self) -> SendingBar:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()
