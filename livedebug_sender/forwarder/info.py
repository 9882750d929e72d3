"""``/info``, by which tracers discover an agent's features, and headers derived from it."""

from __future__ import annotations

import hashlib
import json

from ..version import __version__
from .routes import ROUTES, SWALLOWED_PATHS
from .settings import Settings


def info_page(settings: Settings) -> bytes:
    """The JSON, with all fields of the Agent's; those that do not apply are empty."""
    others = list(SWALLOWED_PATHS) if settings.swallow_others else []
    info = {
        "version": __version__,
        "git_commit": "",
        "endpoints": [*others, *ROUTES],
        "client_drop_p0s": False,
        "span_meta_structs": False,
        "long_running_spans": False,
        "span_events": False,
        "evp_proxy_allowed_headers": [],
        "config": {
            "default_env": settings.default_env,
            "target_tps": 0,
            "max_eps": 0,
            "receiver_port": 0,
            "receiver_socket": "",
            "connection_limit": 0,
            "receiver_timeout": int(settings.receive_timeout),
            "max_request_bytes": settings.max_body_bytes,
            "statsd_port": 0,
            "max_memory": 0,
            "max_cpu": 0,
            "analyzed_spans_by_service": {},
            "obfuscation": {},
        },
        "peer_tags": [],
        "span_kinds_stats_computed": [],
        "obfuscation_version": 0,
        "filter_tags": {},
        "filter_tags_regex": {},
    }
    return json.dumps(info, indent="\t").encode()


def agent_headers(page: bytes) -> list[tuple[str, str]]:
    """Headers that the Agent adds to each response: its version, and a hash of its ``/info``."""
    return [
        ("Datadog-Agent-Version", __version__),
        ("Datadog-Agent-State", hashlib.sha256(page).hexdigest()),
    ]
