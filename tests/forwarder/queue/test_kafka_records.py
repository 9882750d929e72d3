"""Requests in records, and partitions read record by record: without Kafka."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queue_kinds import ROUTE, a_request

from livedebug_sender.forwarder.queue.kafka.partition import Partition
from livedebug_sender.forwarder.queue.kafka.records import (
    PIECE_HEADER,
    REASON_HEADER,
    header,
    piece_of,
    put_together,
    raw_records,
    records_of,
    value_limit,
)
from livedebug_sender.forwarder.queue.stored_request import decode

LIMIT = 1000


def read_all(partition, records, start=0, now=0.0):
    """What comes of these records, one after the other."""
    found = [
        partition.read(start + n, record.value, record.headers, now)
        for n, record in enumerate(records)
    ]
    return [entry for entry in found if entry is not None]


@given(st.binary(max_size=5000), st.integers(60, 3000))
def test_what_is_put_together_is_what_was_cut_up(body, limit):
    request = a_request(body)
    records = records_of(request, limit)
    assert all(len(record.value) <= limit for record in records)
    assert len({record.key for record in records}) == 1
    value = put_together((record.value, piece_of(record.headers)) for record in records)
    assert decode(value) == request


def test_a_piece_that_is_missing_is_noticed():
    records = records_of(a_request(b"x" * 5000), LIMIT)
    found = [(record.value, piece_of(record.headers)) for record in records]
    assert put_together(found[:-1]) is None
    assert put_together(found[1:]) is None


def test_the_largest_body_fits_the_brokers_default_limit():
    records = records_of(a_request(b"x" * 25 * 2**20), value_limit(1_048_588))
    assert len(records) == 30
    assert max(len(record.value) for record in records) < 1_000_000


def test_no_credential_is_in_a_record():
    given = {"Authorization": "Bearer hunter2", "dd-api-key": "hunter2", "Cookie": "hunter2"}
    for body in (b"small", b"x" * 5000):
        for record in records_of(a_request(body, headers=given), LIMIT):
            assert b"hunter2" not in record.value + record.key + repr(record.headers).encode()


def test_a_reason_is_at_each_piece_of_a_dead_letter():
    for record in records_of(a_request(b"x" * 5000), LIMIT, "HTTP 400"):
        assert header(record.headers, REASON_HEADER) == b"HTTP 400"


@pytest.mark.parametrize("value", [b"", b"short", b"\x00" * 16 + b"\xff" * 8 + b"\x00" * 8])
def test_a_header_that_is_not_ours_is_set_aside_and_not_believed(value):
    entry = Partition(0, 0).read(0, b"value", [(PIECE_HEADER, value)], 0.0)
    assert PIECE_HEADER in entry.damage
    assert entry.damaged == b"value"


def test_pieces_of_several_requests_in_any_order_and_twice_make_each_once():
    requests = [a_request(b"%d" % n * 4000) for n in range(5)]
    records = [record for one in requests for record in records_of(one, LIMIT)]
    records += records[:7]
    random.Random(1).shuffle(records)
    partition = Partition(0, 0)
    entries = read_all(partition, records)
    ids = [entry.request.request_id for entry in entries]
    assert sorted(ids) == sorted(request.request_id for request in requests)


def test_a_request_in_pieces_is_done_with_all_of_them_and_not_before():
    large, small = a_request(b"x" * 4000), a_request(b"small")
    pieces = records_of(large, LIMIT)
    partition = Partition(0, 0)
    records = [*pieces[:2], *records_of(small, LIMIT), *pieces[2:]]
    first, second = read_all(partition, records)
    partition.settle(first)
    assert partition.to_commit()[0] == 0
    partition.settle(second)
    assert partition.to_commit()[0] == len(records)


def test_pieces_that_took_too_much_memory_are_known_by_their_place():
    request = a_request(b"x" * 4000)
    records = records_of(request, LIMIT)
    partition = Partition(0, 10)
    assert read_all(partition, records[:3], 10) == []
    (pieces,) = partition.sets.values()
    pieces.forget_values()
    assert partition.assembling() == 0
    (entry,) = read_all(partition, records[3:], 13)
    assert (entry.request, entry.route) == (None, ROUTE)
    assert entry.received_at == request.received_at
    assert entry.offsets == list(range(10, 10 + len(records)))


def test_pieces_whose_others_never_come_are_given_up_and_hold_nothing_up():
    records = records_of(a_request(b"x" * 4000), LIMIT)
    partition = Partition(0, 0)
    read_all(partition, records[:-1])
    read_all(partition, records_of(a_request(b"next"), LIMIT), len(records) - 1)
    (entry,) = partition.entries.values()
    partition.settle(entry)
    assert partition.to_commit()[0] == 0
    partition.give_up(next(iter(partition.sets)))
    assert partition.to_commit()[0] == len(records)


def test_what_is_done_is_not_read_again_by_the_next_owner():
    records = [records_of(a_request(b"%d" % n), LIMIT)[0] for n in range(10)]
    before = Partition(0, 0)
    entries = read_all(before, records)
    for n in (0, 1, 3, 4, 7):
        before.take(entries[n])
        before.settle(entries[n])
    offset, metadata = before.to_commit()
    assert offset == 2
    after = Partition(0, offset, metadata)
    left = read_all(after, records[2:], 2)
    assert [entry.offsets[0] for entry in left] == [2, 5, 6, 8, 9]
    # Up to the last that was handed out, others may have been.
    assert [entry.redeliveries for entry in left] == [1, 1, 1, 0, 0]


def test_records_that_were_deleted_before_they_were_delivered_are_counted():
    partition = Partition(0, 0)
    record = records_of(a_request(), LIMIT)[0]
    read_all(partition, [record], 0)
    read_all(partition, [record], 5)
    assert partition.deleted == 4


def test_garbage_is_set_aside_whole():
    garbage = b"\x00garbage" * 1000
    partition = Partition(0, 0)
    (entry,) = read_all(partition, raw_records(garbage, LIMIT, None))
    assert entry.damaged == garbage
    assert entry.damage
