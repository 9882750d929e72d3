"""The library's own log, which says why something went wrong, for the one who waits."""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..runtime.log_limiter import logger


class LogLines(logging.Handler):
    """Hands each warning of the library to a function, for a `with` block."""

    def __init__(self, take: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        self._take(record.getMessage())

    def __enter__(self) -> LogLines:
        self._propagated = logger.propagate
        logger.propagate = False  # else logging's last resort prints it once more
        logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logger.removeHandler(self)
        logger.propagate = self._propagated
