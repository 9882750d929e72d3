"""What the page is told, as plain data for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .filtering import Wanted
from .probes import Probe
from .store import Kept, Store
from .totals import COLUMN_SECONDS

#: Requests in one answer; the newest are enough for anybody's eyes.
_MOST_LISTED = 300


def news(store: Store, wanted: Wanted, after: int, epoch: str, now: float) -> dict[str, Any]:
    """What happened since the request of number `after`.

    Args:
        epoch: of the store that the reader knows; of another, everything is new.
    """
    with store.news:
        known = after if epoch == store.epoch else 0
        everything = store.kept()
        fresh = [kept for kept in everything if kept.number > known]
        payloads, size = store.held()
        totals = store.totals
        answer = {
            "epoch": store.epoch,
            "newest": everything[-1].number if everything else 0,
            "oldest": everything[0].number if everything else 0,
            "totals": {
                "requests": totals.requests,
                "refused": totals.refused,
                "elsewhere": totals.elsewhere,
                "forgotten": totals.forgotten,
                "bytes": totals.bytes,
                "tracks": dict(totals.by_track),
            },
            "held": {"payloads": payloads, "bytes": size},
            "rate": totals.rate(now),
            "columnSeconds": COLUMN_SECONDS,
        }
        # Only with something new: these are long, and the page asks every second.
        if fresh or known == 0:
            answer["services"] = sorted(totals.services)
            answer["probes"] = [_probe(probe) for probe in store.probes.all()]
    # Outside the lock: a search for text reads every body.
    wanted_ones = [kept for kept in fresh if wanted.wants(kept)]
    answer["listed"] = [_listed(kept, wanted) for kept in wanted_ones[-_MOST_LISTED:]]
    return answer


def opened(kept: Kept, wanted: Wanted) -> dict[str, Any]:
    """A request with its payloads."""
    return {
        "number": kept.number,
        "path": kept.path,
        "tags": kept.tags,
        "problem": kept.problem,
        "headers": dict(kept.headers),
        "body": "" if kept.glances else kept.body[:4096].decode("utf-8", "replace"),
        "payloads": [
            {"place": place, **asdict(payload.glance), "value": payload.value}
            for place, payload in wanted.payloads(kept)
        ],
    }


def _listed(kept: Kept, wanted: Wanted) -> dict[str, Any]:
    fitting = [glance for glance in kept.glances if wanted.fits(glance)]
    return {
        "number": kept.number,
        "at": kept.at,
        "path": kept.path,
        "mode": kept.mode,
        "tracks": list(kept.tracks),
        "tags": kept.tags,
        "payloads": len(kept.glances),
        "bytes": kept.size,
        "status": kept.status,
        "problem": kept.problem,
        "services": sorted({glance.service for glance in fitting if glance.service}),
        "probes": sorted({glance.probe for glance in fitting if glance.probe}),
        "message": next((glance.message for glance in fitting if glance.message), ""),
    }


def _probe(probe: Probe) -> dict[str, Any]:
    return {
        "service": probe.service,
        "probe": probe.probe,
        "status": probe.status,
        "counts": dict(probe.counts),
        "history": [asdict(said) for said in probe.history],
    }
