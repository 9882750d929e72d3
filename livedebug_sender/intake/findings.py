"""What is odd about the payloads that are kept, found when somebody asks for it.

To hold a payload against its schema takes ten times as long as to read it, so it is
not done as payloads arrive, but for those that are looked at, and once for each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from ..protocol.tracks import Track
from .records import RecordedRequest

#: Tells what is odd about a decoded payload of a track.
FindingsFunction = Callable[[Any, Track], Iterable[object]]

#: Bytes of JSON; whoever asks for many at a time, as the page's list does, does not wait for
#: larger ones (a megabyte takes 0.2 s).
MAX_LOOKED_AT = 64 * 1024
_MAX_REMEMBERED = 10_000


class PayloadFindings:
    """The findings of payloads, by request and place.

    Args:
        function: None: what `livedebug_sender.lint` finds.
    """

    def __init__(self, function: FindingsFunction | None = None) -> None:
        self._function = function
        # One operation each, so that threads need no lock; two may look at the same.
        self._known: OrderedDict[tuple[int, int], tuple[str, ...]] = OrderedDict()

    def of(self, request: RecordedRequest, place: int) -> tuple[str, ...]:
        """What is odd about a payload; empty if nothing is, or if it is none."""
        key = (request.number, place)
        if key not in self._known:
            self._known[key] = self._look(request, place)
            if len(self._known) > _MAX_REMEMBERED:
                self._known.popitem(last=False)
        return self._known.get(key, ())

    def _look(self, request: RecordedRequest, place: int) -> tuple[str, ...]:
        payload = request.payload(place)
        if payload is None:
            return ()
        track = payload.summary.track
        try:
            if self._function is not None:
                found = self._function(payload.value, track)
            else:
                found = _lint(request, payload.value, track)
            return tuple(str(one) for one in found)
        except Exception as error:  # of a function that is not ours, about any payload
            return (f"could not be looked at: {type(error).__name__}: {error}",)


def _lint(request: RecordedRequest, value: Any, track: Track) -> Iterable[object]:
    # Late: it takes a second, and most tests never ask.
    from ..lint import findings_in, symdb_findings

    if track is Track.SYMDB:
        return symdb_findings(request.body, request.headers.get("content-type", ""))
    return findings_in(value, track)
