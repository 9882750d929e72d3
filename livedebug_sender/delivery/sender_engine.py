"""Creates the engine of a `Sender`, from its config, tags and options."""

from __future__ import annotations

import logging

from ..config import SenderConfig
from ..options import Options
from ..protocol.tags import cut_tags
from ..runtime.log_limiter import logger
from ..runtime.log_reporter import LogReporter
from .engine import Engine
from .payload_requests import PayloadRequests


def new_sender_engine(config: SenderConfig, tags: str, options: Options) -> Engine:
    """A new engine; nothing is started before the first payload."""
    kept = cut_tags(tags)

    def announce(log: LogReporter) -> None:
        if logger.isEnabledFor(logging.INFO):
            log.note("destination", config.describe(), level=logging.INFO)
        if kept != tags:
            log.note("tags", f"{len(tags)} characters of tags cut to {len(kept)}")

    return Engine(config, PayloadRequests(kept), options, announce=announce)
