from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livedebug_sender import ConfigError
from livedebug_sender.units import parse_count, parse_seconds, parse_size


@pytest.mark.parametrize(
    ("given", "size"),
    [
        (1, 1),
        (4096, 4096),
        ("4096", 4096),
        ("1B", 1),
        ("64MiB", 64 * 1024 * 1024),
        ("64 MiB", 64 * 1024 * 1024),
        ("64mib", 64 * 1024 * 1024),
        (" 512KiB\n", 512 * 1024),
        ("2GiB", 2 * 1024**3),
        ("1.5GB", 1_500_000_000),
        ("1.5GiB", 1_610_612_736),
        ("10kB", 10_000),
        ("10KB", 10_000),
        ("0.001kB", 1),
    ],
)
def test_a_size_is_bytes_or_has_a_unit(given: Any, size: int) -> None:
    assert parse_size("max_bytes", given) == size
    assert type(parse_size("max_bytes", given)) is int


@pytest.mark.parametrize(
    "given",
    [0, -1, 1.5, True, None, b"4096", "", "0", "-1", "0MiB", "0.5", "0.1KiB", "64M", "64k", "MiB",
     "1e3", "64  MiB", "0x10", "٣", "1_000", "1,5MB", "infinity", "nan", "9" * 5000, [], object()],
)  # fmt: skip
def test_what_is_no_size_is_named_with_what_is_expected(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"^max_bytes is .*; expected: a size .*64MiB") as caught:
        parse_size("max_bytes", given)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (3, 3),
        (0.25, 0.25),
        ("3", 3),
        ("0.5", 0.5),
        ("200ms", 0.2),
        ("3s", 3),
        ("1.5s", 1.5),
        ("5m", 300),
        ("12h", 43_200),
        ("2d", 172_800),
        (" 5 m\n", 300),
    ],
)
def test_a_time_is_seconds_or_has_a_unit(given: Any, seconds: float) -> None:
    assert parse_seconds("linger", given) == seconds


@pytest.mark.parametrize(
    "given",
    [-1, -0.001, float("nan"), float("inf"), 10**400, True, None, "", "-1", "5M", "5 min", "1h30m",
     "ms", "3 seconds", "1e3", "inf", "nan", "9" * 5000, [], object()],
)  # fmt: skip
def test_what_is_no_time_is_named_with_what_is_expected(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"^linger is .*; expected: a time .*200ms") as caught:
        parse_seconds("linger", given, zero=True)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("given", [0, 0.0, "0", "0ms"])
def test_zero_is_a_time_only_where_that_means_something(given: Any) -> None:
    assert parse_seconds("linger", given, zero=True) == 0
    with pytest.raises(ConfigError, match="more than 0"):
        parse_seconds("timeout", given)


@pytest.mark.parametrize("given", [0, -1, 1.5, True, None, "", "0", "-3", "3.0", "3MiB", "٣", []])
def test_a_count_is_a_whole_number_of_one_or_more(given: Any) -> None:
    assert parse_count("max_items", 5000) == parse_count("max_items", " 5000\n") == 5000
    with pytest.raises(ConfigError, match=r"^max_items is .*; expected: a whole number"):
        parse_count("max_items", given)


@given(st.text() | st.integers() | st.floats() | st.none() | st.binary())
def test_whatever_is_given_is_a_positive_number_or_a_config_error(given: Any) -> None:
    for parse in (parse_size, parse_seconds, parse_count):
        try:
            parsed = parse("it", given)
        except ConfigError:
            continue
        assert parsed > 0
