"""Shows the library's own log while a command runs, since it says why something failed."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..runtime.log_limiter import logger


class LogLines(logging.Handler):
    """For a `with` block: passes each warning of the library to a function."""

    def __init__(self, take: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        self._take(record.getMessage())

    def __enter__(self) -> LogLines:
        self._propagated = logger.propagate
        logger.propagate = False  # otherwise logging's last resort prints it a second time
        logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logger.removeHandler(self)
        logger.propagate = self._propagated
