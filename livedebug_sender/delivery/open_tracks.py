"""The workers of the tracks that accept payloads."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import EnqueueRejected
from .worker import TrackWorker


class OpenTracks(dict[object, TrackWorker]):
    """A cache of the workers that accept payloads, by track, filled on demand.

    A look-up takes a quarter of the time of `open_track`, which every `enqueue` would have to call
    otherwise. Entries stay until a close: a track's endpoint may change, but is never removed.
    """

    def __init__(self, open_track: Callable[[object], TrackWorker]) -> None:
        self._open_track = open_track

    def __missing__(self, track: object) -> TrackWorker:
        worker = self._open_track(track)
        self[worker.track] = worker
        try:
            return self._open_track(track)
        except EnqueueRejected:  # closed in the meantime
            self.clear()
            raise
