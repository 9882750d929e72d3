from __future__ import annotations

import pytest

from livedebug_sender.intake.misbehaving import Failure, Misbehaviour, parse_misbehaviour


def test_failures_and_delay_are_read_from_text() -> None:
    parsed = parse_misbehaviour(("503:0.2", "429:0.1"), "200ms")
    assert parsed == Misbehaviour((Failure(503, 0.2), Failure(429, 0.1)), 0.2)
    assert parse_misbehaviour(("404",), "1.5s") == Misbehaviour((Failure(404, 1.0),), 1.5)


@pytest.mark.parametrize("text", ["", "x", "503:x", "503:0", "503:1.1", "200:0.5", "600:0.5"])
def test_a_failure_that_cannot_be_meant_is_refused_with_words(text: str) -> None:
    with pytest.raises(ValueError, match="STATUS:SHARE") as raised:
        parse_misbehaviour((text,))
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize("text", ["", "200", "ms", "-1s", "1m", "700s", "1e3s"])
def test_a_delay_that_cannot_be_meant_is_refused_with_words(text: str) -> None:
    with pytest.raises(ValueError, match="200ms or"):
        parse_misbehaviour((), text)


def test_shares_of_more_than_one_together_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 1"):
        parse_misbehaviour(("503:0.6", "500:0.6"))


@pytest.mark.parametrize(
    ("drawn", "status"), [(0.0, 503), (0.19, 503), (0.2, 429), (0.29, 429), (0.31, None)]
)
def test_each_failure_gets_its_share(drawn: float, status: int | None) -> None:
    behaviour = parse_misbehaviour(("503:0.2", "429:0.1"))
    assert behaviour.status(lambda: drawn) == status
