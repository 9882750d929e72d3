"""When an endpoint is in trouble, when that is over, and what is told of it."""

from __future__ import annotations

import logging

import pytest

from livedebug_sender.delivery.outages import Outages
from livedebug_sender.runtime.log_limiter import LogLimiter, logger


class World:
    """A clock, a count of what was dropped, and the log."""

    def __init__(self) -> None:
        self.now = 100.0
        self.dropped = 5
        self.log = LogLimiter(lambda: self.now)
        self.outages = Outages(self.log, lambda: self.dropped, lambda: self.now)

    def lines(self) -> list[tuple[str, str]]:
        return [(logging.getLevelName(level), text) for level, text in self.log.due()]


@pytest.fixture
def world(caplog: pytest.LogCaptureFixture) -> World:
    caplog.set_level(logging.INFO, logger.name)
    return World()


def test_an_outage_is_told_once_and_its_end_with_what_it_cost(world: World) -> None:
    world.outages.answered("agent:8126", "logs")
    world.dropped += 10  # while the request is under way that will fail
    world.outages.failed("agent:8126", "logs", "gives no answer: connection refused")
    assert world.lines() == [("WARNING", "agent:8126 gives no answer: connection refused")]
    for _ in range(9):
        world.outages.failed("agent:8126", "logs", "answered 503")
    assert world.lines() == []
    world.now += 34.2
    world.dropped += 500
    world.outages.answered("agent:8126", "logs")
    assert world.lines() == [
        (
            "INFO",
            "agent:8126 answers again, after 34.2 s: 10 requests failed and 510 payloads were "
            "dropped",
        )
    ]
    world.now += 100
    assert world.lines() == []


def test_while_it_lasts_it_is_counted_once_a_minute(world: World) -> None:
    lines = []
    for number in range(11):
        world.outages.failed("h", "logs", "answered 503" if number < 8 else "answered 429")
        world.now += 12
        lines += world.lines()
    assert [text for _, text in lines] == [
        "h answered 503",
        "h answered 503 (5 times in 60 s)",
        "h answered 429 (5 times in 60 s)",
    ]


def test_without_an_outage_nothing_is_told(world: World) -> None:
    world.outages.answered("h", "logs")
    world.outages.gave_up("h", "logs")
    assert world.lines() == []


def test_a_host_that_takes_one_track_and_refuses_another_is_in_trouble_all_along(
    world: World,
) -> None:
    for _ in range(5):
        world.outages.failed("h", "logs", "answered 503")
        world.outages.answered("h", "diagnostics")
        world.now += 1
    assert world.lines() == [("WARNING", "h answered 503 (5 times)")]
    world.outages.answered("h", "logs")
    assert [level for level, _ in world.lines()] == ["INFO"]


def test_a_batch_that_is_given_up_does_not_end_it_and_does_not_keep_it_going(
    world: World,
) -> None:
    world.outages.failed("h", "logs", "answered 503")
    world.outages.gave_up("h", "logs")
    assert [level for level, _ in world.lines()] == ["WARNING"]
    world.outages.answered("h", "snapshots")
    assert [level for level, _ in world.lines()] == ["INFO"]


def test_a_key_that_is_refused_for_good_is_an_outage_until_one_is_taken(world: World) -> None:
    world.outages.failed("h", "logs", "refused the API key (403)", final=True)
    assert world.lines() == [("WARNING", "h refused the API key (403)")]
    world.outages.answered("h", "logs")
    assert "h answers again" in world.lines()[0][1]


def test_hosts_are_told_apart(world: World) -> None:
    world.outages.failed("a", "logs", "answered 503")
    world.outages.failed("b", "logs", "answered 503")
    world.outages.answered("a", "logs")
    assert [text.split()[0] for _, text in world.lines()] == ["b", "a"]


def test_of_a_request_that_lasts_is_told_before_its_end(world: World) -> None:
    world.outages.is_slow("h", "logs", 4.2, 60.0)
    assert world.lines() == [("WARNING", "h has given no answer for 4 s (its timeout is 60 s)")]


def test_a_request_that_lasts_and_is_answered_was_an_outage_too(world: World) -> None:
    world.outages.answered("h", "logs")
    world.outages.is_slow("h", "logs", 4.2, 60.0)
    world.lines()
    world.outages.answered("h", "diagnostics")
    assert world.lines() == []  # the other one still lasts
    world.now += 5.8
    world.outages.answered("h", "logs")
    assert world.lines() == [
        ("INFO", "h answers again, after 10.0 s: 0 requests failed and 0 payloads were dropped")
    ]


def test_where_info_is_not_logged_the_end_starts_no_thread_to_log_it(
    caplog: pytest.LogCaptureFixture, world: World
) -> None:
    caplog.set_level(logging.WARNING, logger.name)
    world.outages.failed("h", "logs", "answered 503")
    world.lines()
    world.outages.answered("h", "logs")
    assert world.log.next_due() is None
