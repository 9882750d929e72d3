"""The state of one partition in one forwarder: which records form which request, and which
are done. No I/O; protected by the consumer's lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ..stored_request import DamagedRecord, StoredRequest, decode
from .offsets import DoneOffsets
from .records import PieceSet, piece_of

RecordHeaders = Iterable[tuple[str, bytes]] | None


class Entry:
    """A request in a partition that is not done.

    Attributes:
        offsets: of its records, in order.
        request: None: it was handed out or dropped from memory, and must be read again.
        damaged: the bytes of a damaged request; `damage` says why.
        taken: it is leased.
    """

    __slots__ = (
        "damage",
        "damaged",
        "offsets",
        "partition",
        "received_at",
        "redeliveries",
        "request",
        "route",
        "size",
        "taken",
    )

    def __init__(self, partition: Partition, offsets: Sequence[int], size: int) -> None:
        self.partition = partition
        self.offsets = offsets
        self.size = size
        self.request: StoredRequest | None = None
        self.route = ""
        self.received_at = 0.0
        self.redeliveries = 0
        self.taken = False
        self.damaged: bytes | None = None
        self.damage = ""


class Partition:
    """One assigned partition, from its assignment until it is revoked.

    Args:
        base: the committed offset; None: there is none yet.
        metadata: of that commit.

    Attributes:
        revoked: it now belongs to another member, and so do its requests.
        paused: it is not fetched.
        held: bytes of requests that wait here to be taken.
        next: the offset after the last that was read.
        taken_to: all before it may have been taken.
        deleted: records that were deleted before they were done.
        committed: the last commit, offset and metadata.
    """

    def __init__(self, number: int, base: int | None, metadata: str | None = None) -> None:
        self.number = number
        self.revoked = False
        self.paused = False
        self.held = 0
        self.deleted = 0
        self.next = base
        self.committed: tuple[int, str] | None = None
        self.done: DoneOffsets | None = None if base is None else DoneOffsets(base, metadata)
        self.taken_to = self.done.known_from if self.done else 0
        #: By their first offset.
        self.entries: dict[int, Entry] = {}
        self.sets: dict[bytes, PieceSet] = {}

    def read(self, offset: int, value: bytes, headers: RecordHeaders, now: float) -> Entry | None:
        """The request that this record completes; None: none, or it is already done."""
        done = self._follow(offset)
        if offset in done:
            return None
        try:
            piece = piece_of(headers)
        except ValueError as error:
            return self._damaged([offset], value, str(error))
        if piece is None:
            return self._whole([offset], value)
        pieces = self.sets.get(piece.set_id)
        if pieces is None:
            pieces = self.sets[piece.set_id] = PieceSet(piece, now)
        pieces.add(piece, offset, value)
        if not pieces.complete:
            return None
        del self.sets[piece.set_id]
        return self._complete(pieces)

    def settle(self, entry: Entry) -> None:
        """Mark it as done."""
        if self.entries.pop(entry.offsets[0], None) is not None:
            self._mark(entry.offsets)

    def take(self, entry: Entry) -> StoredRequest | None:
        """Hand it out; None: it must be read again."""
        request, entry.request = entry.request, None
        if request is not None:
            self.held -= entry.size
        entry.taken = True
        self.taken_to = max(self.taken_to, entry.offsets[-1] + 1)
        return request

    def give_up(self, set_id: bytes) -> None:
        """Give up a set of pieces, of which the rest can't arrive."""
        self._mark(self.sets.pop(set_id).all_offsets())

    def to_commit(self) -> tuple[int, str] | None:
        """Offset and metadata, if they have changed since the last commit."""
        if self.done is None:
            return None
        state = (self.done.base, self.done.metadata(self.taken_to))
        return None if state == self.committed else state

    def waiting(self, end: int) -> int:
        """The number of requests not done among the records before `end`."""
        if self.done is None:
            return 0
        records = max(end, self.next or 0) - self.done.base - self.done.beyond()
        return records - sum(len(entry.offsets) - 1 for entry in self.entries.values())

    def assembling(self) -> int:
        """Bytes of pieces in memory."""
        return sum(pieces.held for pieces in self.sets.values())

    def _follow(self, offset: int) -> DoneOffsets:
        """Note that this is the next record."""
        if self.done is None or self.next is None:
            self.done = DoneOffsets(offset)
        elif offset > self.next:
            self.deleted += sum(one not in self.done for one in _few(self.next, offset))
            self.done.add(self.next, offset)
        self.next = offset + 1
        return self.done

    def _complete(self, pieces: PieceSet) -> Entry:
        value = pieces.join()
        if value is not None:
            return self._whole(pieces.all_offsets(), value)
        # Its values were dropped to save memory; their offsets are known.
        entry = Entry(self, pieces.all_offsets(), pieces.size)
        entry.route, entry.received_at = pieces.first.route, pieces.first.received_at
        self._add(entry)
        return entry

    def _whole(self, offsets: Sequence[int], value: bytes) -> Entry:
        try:
            request = decode(value)
        except DamagedRecord as error:
            return self._damaged(offsets, value, str(error))
        entry = Entry(self, offsets, request.size)
        entry.request = request
        entry.route, entry.received_at = request.route, request.received_at
        self._add(entry)
        self.held += entry.size
        return entry

    def _damaged(self, offsets: Sequence[int], value: bytes, why: str) -> Entry:
        entry = Entry(self, offsets, len(value))
        entry.damaged, entry.damage = value, why
        self._add(entry)
        return entry

    def _add(self, entry: Entry) -> None:
        assert self.done is not None
        entry.redeliveries = int(entry.offsets[0] < self.done.known_from)
        self.entries[entry.offsets[0]] = entry

    def _mark(self, offsets: Iterable[int]) -> None:
        assert self.done is not None
        for offset in offsets:
            self.done.add(offset, offset + 1)


def _few(start: int, end: int) -> Iterator[int]:
    """The numbers from `start` to before `end`, at most a million."""
    return iter(range(start, min(end, start + 1_000_000)))
