"""What of a partition is done, and the text of its commit: without Kafka."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from livedebug_sender.forwarder.queue.kafka.offsets import MAX_METADATA, DoneOffsets

SPANS = st.lists(st.tuples(st.integers(100, 180), st.integers(1, 12)))


def done_of(spans, base=100):
    done = DoneOffsets(base)
    model = set()
    for start, length in spans:
        done.add(start, start + length)
        model |= set(range(start, start + length))
    return done, model


@given(SPANS)
def test_the_base_is_the_first_that_is_not_done_whatever_the_order(spans):
    done, model = done_of(spans)
    first = next(n for n in range(100, 300) if n not in model)
    assert done.base == first
    assert done.beyond() == len([n for n in model if n >= first])
    assert [n for n in range(90, 300) if n in done] == sorted({*range(90, 100), *model})


@given(SPANS, st.integers(0, 300))
def test_the_metadata_brings_back_all_that_is_done(spans, taken_to):
    done, _ = done_of(spans)
    again = DoneOffsets(done.base, done.metadata(taken_to))
    assert list(again.ranges()) == list(done.ranges())
    assert again.known_from == max(done.base, taken_to)


def test_the_metadata_of_any_number_of_gaps_fits_and_loses_only_the_last():
    done = DoneOffsets(0)
    for n in range(1, 200_000, 2):
        done.add(n, n + 1)
    text = done.metadata(200_000)
    assert 0.9 * MAX_METADATA < len(text) <= MAX_METADATA
    again = list(DoneOffsets(0, text).ranges())
    assert len(again) > 1000
    assert again == list(done.ranges())[: len(again)]


@given(st.one_of(st.text(), st.text("ABCDabcd01+/=").map("ldq1:".__add__)))
def test_metadata_that_is_not_ours_marks_nothing_before_its_base_as_open(text):
    done = DoneOffsets(100, text)
    assert done.base >= 100
    assert 99 in done


def test_metadata_of_another_program_marks_nothing_as_done():
    done = DoneOffsets(100, "offset of the billing service")
    assert (done.base, done.known_from, list(done.ranges())) == (100, 100, [])
