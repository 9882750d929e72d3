"""The policy of retries, on a clock that is only a number."""

from __future__ import annotations

import statistics
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_retries import World

from livedebug_sender.delivery.backoff import LONGEST
from livedebug_sender.protocol.outcome import Outcome, outcome_of
from livedebug_sender.protocol.retry_after import parse_retry_after


def test_success_needs_one_attempt() -> None:
    world = World(lambda _: "done")
    assert world.run() == "done"
    assert world.attempts == [1000.0]


def test_attempts_go_on_until_the_time_is_over_at_most_30_seconds_apart() -> None:
    world = World(lambda _: "down")
    assert world.run() == "down"
    assert max(world.gaps()) <= LONGEST
    assert 1270 <= world.attempts[-1] < 1300


def test_the_jitter_is_full() -> None:
    tenth = []
    for _ in range(300):
        world = World(lambda _: "down")
        world.run(retry_for=600)
        tenth.append(world.gaps()[9])
    assert min(tenth) < 3
    assert max(tenth) > 27
    assert 12 < statistics.mean(tenth) < 18


def test_the_first_waits_grow_from_half_a_second() -> None:
    worlds = [World(lambda _: "down") for _ in range(200)]
    for world in worlds:
        world.run()
    for n, bound in enumerate((0.5, 1, 2, 4, 8, 16)):
        gaps = [world.gaps()[n] for world in worlds]
        assert 0.7 * bound < max(gaps) <= bound


def test_a_server_that_asks_to_wait_is_obeyed() -> None:
    world = World(lambda now: "done" if now >= 1100 else "busy", asks=120.0)
    assert world.run() == "done"
    first, second = world.attempts
    assert 1120 <= second - first + 1000 <= 1150


def test_asked_to_wait_for_longer_than_there_is_time_no_attempt_follows() -> None:
    world = World(lambda _: "busy", asks=3600.0)
    assert world.run() == "busy"
    assert world.attempts == [1000.0]
    assert world.now == 1300.0


def test_no_time_to_retry_still_means_one_attempt() -> None:
    world = World(lambda _: "down")
    assert world.run(retry_for=0) == "down"
    assert len(world.attempts) == 1


def test_in_a_shutdown_no_wait_goes_past_its_end() -> None:
    world = World(lambda _: "down")
    world.shutdown_deadline = 1001.0
    world.run()
    assert world.now < 1001.0


@given(st.text() | st.none())
def test_no_retry_after_can_break_the_parser(value: str | None) -> None:
    seconds = parse_retry_after(value, 0.0)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), (" 17 ", 17.0), ("1.5", None), ("-1", None), ("", None), (None, None),
     ("soon", None), (formatdate(1100, usegmt=True), 100.0), (formatdate(900, usegmt=True), 0.0),
     ("Thu, 01 Jan 1970 00:18:20", 100.0), ("Thu, 99 Jan 1970 00:18:20 GMT", None)],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, 1000.0) == seconds


def test_a_retry_after_date_is_relative_to_the_answers_own_date() -> None:
    until, date = formatdate(700, usegmt=True), formatdate(600, usegmt=True)
    assert parse_retry_after(until, 1000.0, date) == 100.0
    assert parse_retry_after(until, 1000.0, "nonsense") == 0.0


@given(st.integers(100, 599), st.integers(1, 9), st.booleans())
def test_every_status_has_an_outcome_and_only_a_group_is_split(
    status: int, payloads: int, agent_v2: bool
) -> None:
    outcome = outcome_of(status, payloads=payloads, agent_v2=agent_v2)
    assert (outcome is Outcome.DELIVERED) == (200 <= status < 300)
    assert (outcome is Outcome.SPLIT) == (status in (400, 413, 422) and payloads > 1)
    assert (outcome is Outcome.DOWNGRADE) == (status in (404, 405) and agent_v2)
    assert (outcome is Outcome.RETRY) == (status in (408, 429) or status >= 500)
