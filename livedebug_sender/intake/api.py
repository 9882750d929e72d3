"""The results of the JSON API, as plain data. `docs/intake.rst` describes each field."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from .filtering import Filter, excerpt
from .frames import frame_of
from .probes import Probe
from .records import RecordedRequest
from .search import Place, Search, requests_that_fit
from .store import Store
from .totals import COLUMN_SECONDS
from .tracer_routes import family

#: Maximum rows of one response.
MAX_ROWS = 1000


def state(store: Store) -> dict[str, Any]:
    """The state of the store: counts, limits, the rate."""
    with store.news:
        payloads, size = store.held()
        totals = store.totals
        other: dict[str, int] = {}
        for path, count in totals.other.items():
            other[family(path)] = other.get(family(path), 0) + count
        now = store.clock()
        return {
            "epoch": store.epoch,
            "oldest": store.oldest(),
            "now": now,
            "totals": {
                "requests": totals.requests,
                "refused": totals.refused,
                "forgotten": totals.forgotten,
                "bytes": totals.bytes,
                "tracks": dict(totals.by_track),
                "other": other,
            },
            "held": {"payloads": payloads, "bytes": size},
            "services": list(totals.services),
            "rate": totals.rate(now),
            "columnSeconds": COLUMN_SECONDS,
        }


def payload_list(
    store: Store, search: Search, wanted: Filter, offset: int, limit: int, upto: int | None
) -> dict[str, Any]:
    """The matching payloads, newest first.

    Args:
        upto: only those of requests up to this number, so that pages are consistent while more
            requests arrive. None: all.
    """
    places, newest = search.places(wanted)
    if upto is not None:
        places = [place for place in places if place.number <= upto]
        newest = upto
    places.reverse()
    shown = places[offset : offset + min(limit, MAX_ROWS)]
    return {
        "epoch": store.epoch,
        "upto": newest,
        "matching": len(places),
        "kept": store.held()[0],
        "payloads": rows(store, shown, wanted),
    }


def rows(store: Store, places: list[Place], wanted: Filter) -> list[dict[str, Any]]:
    """A row for each payload that is still stored."""
    found = []
    for place in places:
        request = store.get(place.number)
        if request is not None:
            found.append(row(request, place.place, wanted.text))
    return found


def row(request: RecordedRequest, place: int, text: str = "") -> dict[str, Any]:
    summary = request.summaries[place]
    line = {
        "id": str(Place(request.number, place)),
        "at": request.at,
        **vars(summary),
        "answered": request.status,
    }
    if text:
        payload = request.payload(place)
        line["excerpt"] = "" if payload is None else excerpt(payload, text)
    return line


def payload_details(request: RecordedRequest, place: int) -> dict[str, Any] | None:
    """A payload as a frame, with its request."""
    payload = request.payload(place)
    if payload is None:
        return None
    return {
        **row(request, place),
        "frame": frame_of(payload),
        "request": request_row(request),
        "headers": dict(request.headers),
    }


def request_list(
    store: Store, wanted: Filter, offset: int, limit: int, upto: int | None
) -> dict[str, Any]:
    """The requests with a matching payload, newest first; `upto` as in `payload_list`."""
    found = requests_that_fit(store, wanted)[::-1]
    newest = found[0].number if found else 0
    if upto is not None:
        found = [request for request in found if request.number <= upto]
        newest = upto
    shown = found[offset : offset + min(limit, MAX_ROWS)]
    return {
        "epoch": store.epoch,
        "upto": newest,
        "matching": len(found),
        "requests": [request_row(request) for request in shown],
    }


def request_row(request: RecordedRequest) -> dict[str, Any]:
    return {
        "number": request.number,
        "at": request.at,
        "path": request.path,
        "query": request.query,
        "mode": request.mode,
        "tracks": list(request.tracks),
        "tags": request.tags,
        "payloads": len(request.summaries),
        "services": sorted({one.service for one in request.summaries if one.service}),
        "size": request.size,
        "status": request.status,
        "problem": request.problem,
    }


def request_details(request: RecordedRequest) -> dict[str, Any]:
    """A request, its headers, its payloads' rows, and the start of its body if unreadable."""
    unreadable = "" if request.summaries else request.body[:4096].decode("utf-8", "replace")
    return {
        **request_row(request),
        "headers": dict(request.headers),
        "body": unreadable,
        "rows": [row(request, n) for n in range(min(len(request.summaries), MAX_ROWS))],
    }


def probe_list(store: Store) -> list[dict[str, Any]]:
    with store.news:
        return [_probe(probe) for probe in store.probes.all()]


def _probe(probe: Probe) -> dict[str, Any]:
    last = probe.history[-1] if probe.history else None
    return {
        "service": probe.service,
        "probe": probe.probe,
        "status": probe.status,
        "since": last.at if last else None,
        "why": (last.exception or last.message) if last and probe.status == "ERROR" else "",
        "location": probe.location,
        "last": probe.last,
        "counts": dict(probe.counts),
        "history": [asdict(change) for change in probe.history],
    }
