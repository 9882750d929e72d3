"""The findings of stored payloads, computed on demand.

Validating a payload against its schema takes ten times as long as parsing it, so it is not
done when payloads arrive, but when their findings are requested, once for each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from ..protocol.tracks import Track
from .records import RecordedRequest

#: Returns the findings in a decoded payload of a track.
FindingsFunction = Callable[[Any, Track], Iterable[object]]

#: Bytes of JSON; requests for many payloads, as by the page's list, skip larger ones (a megabyte
#: takes 0.2 s).
MAX_LOOKED_AT = 64 * 1024
_MAX_REMEMBERED = 10_000


class PayloadFindings:
    """The findings of payloads, by request and place.

    Args:
        function: None: that of `livedebug_sender.lint`.
    """

    def __init__(self, function: FindingsFunction | None = None) -> None:
        self._function = function
        # Only single operations, so no lock is needed; two threads may compute the same.
        self._known: OrderedDict[tuple[int, int], tuple[str, ...]] = OrderedDict()

    def of(self, request: RecordedRequest, place: int) -> tuple[str, ...]:
        """The findings of a payload; empty if there are none, or no such payload."""
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
        except Exception as error:  # from a caller's function
            return (f"could not be checked: {type(error).__name__}: {error}",)


def _lint(request: RecordedRequest, value: Any, track: Track) -> Iterable[object]:
    # Imported late: it takes a second, and most tests never use it.
    from ..lint import findings_in, symdb_findings

    if track is Track.SYMDB:
        return symdb_findings(request.body, request.headers.get("content-type", ""))
    return findings_in(value, track)
