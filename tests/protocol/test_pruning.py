from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_data import large_snapshot
from servers import RecordingServer

from livedebug_sender import ConfigError, Sender, SenderConfig
from livedebug_sender.protocol.pruning import prune

LARGE = large_snapshot()
PRUNED = {"pruned": True}


def snapshot(captured: Any) -> dict[str, Any]:
    """As tracers shape it: captured values are five objects deep and more."""
    return {"debugger": {"snapshot": {"captures": {"lines": {"arguments": captured}}}}}


def captured(text: bytes | None) -> Any:
    assert text is not None
    return json.loads(text)["debugger"]["snapshot"]["captures"]["lines"]["arguments"]


def encoded(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("most", [800_000, 400_000, 100_000, 20_000, 5_000])
def test_a_real_snapshot_is_cut_until_it_fits_and_its_frame_stays(most: int) -> None:
    cut = prune(LARGE, most)
    assert cut is not None
    # Not much more than had to go: no single value is that large.
    assert most * 0.5 < len(cut) <= most
    (before,), (after,) = json.loads(LARGE), json.loads(cut)
    assert b'{"pruned":true}' in cut
    for kept in ("service", "logger", "message", "timestamp"):
        assert after[kept] == before[kept]
    for kept in ("id", "probe", "stack", "language"):
        assert after["debugger"]["snapshot"][kept] == before["debugger"]["snapshot"][kept]


def test_what_fits_is_left_as_it_is() -> None:
    whole = snapshot({"a": {"value": "1"}})
    assert json.loads(prune(encoded(whole), 10_000) or b"") == whole


def test_where_the_capture_had_stopped_for_depth_goes_first_then_the_deepest() -> None:
    whole = snapshot(
        {
            "shallow": {"value": "x" * 200},
            "deep": {"fields": {"inner": {"value": "y" * 100}}},
            "stopped": {"type": "T" * 50, "notCapturedReason": "depth"},
        }
    )
    size = len(encoded(whole))
    one = captured(prune(encoded(whole), size - 10))
    assert one["stopped"] == PRUNED
    assert one["deep"]["fields"]["inner"]["value"] == "y" * 100
    two = captured(prune(encoded(whole), size - 110))
    assert two["deep"]["fields"]["inner"] == PRUNED
    assert two["shallow"]["value"] == "x" * 200


def test_of_two_alike_the_larger_goes_first() -> None:
    whole = snapshot({"small": {"value": "x" * 100}, "large": {"value": "x" * 200}})
    one = captured(prune(encoded(whole), len(encoded(whole)) - 10))
    assert (one["large"], one["small"]["value"]) == (PRUNED, "x" * 100)


def test_an_object_all_of_whose_values_are_pruned_goes_as_a_whole() -> None:
    inner = {f"field{n}": {"value": "x" * 50} for n in range(20)}
    whole = snapshot({"object": {"fields": inner}, "other": {"value": "z" * 100}})
    one = captured(prune(encoded(whole), len(encoded(whole)) - 1250))
    assert one["object"]["fields"] == PRUNED
    assert one["other"]["value"] == "z" * 100


@pytest.mark.parametrize(
    "text", [b"{", b'{"a":"' + b"x" * 1000 + b'"}', b"[" * 100_000 + b"]" * 100_000, b"\xff"]
)
def test_what_can_not_be_cut_is_none(text: bytes) -> None:
    assert prune(text, 500) is None


NUMBERS = [
    "1e999", "-1e999", "1234567890123456789", "1.0", "1E5", "1e+05", "-0", "-0.0", "0.10",
    "9" * 400, "0." + "3" * 400, "12345678901234567890.123456789012345678901234567890",
]  # fmt: skip


def with_raw(frame: str, captured: str) -> bytes:
    """A snapshot that is too large, with JSON text in its frame and in its captures."""
    return (
        b'{"timestamp":%b,"debugger":{"snapshot":{"captures":{"lines":{"arguments":'
        b'{"raw":{"value":%b},"large":{"value":"%b"}}}}}}}'
    ) % (frame.encode(), captured.encode(), b"x" * 3000)


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_stay_as_they_were_written(number: str) -> None:
    assert prune(with_raw(number, number), 2000) == with_raw(number, number).replace(
        b'{"value":"' + b"x" * 3000 + b'"}', b'{"pruned":true}'
    )


@pytest.mark.parametrize(
    "raw",
    [r'"\u00e9\ud83d\ude00 \/ \u0000"', r'"\ud800"', '"é\U0001f600"', '{"b":1,"a":2,"b":3}',
     r'"a \" { [ } ] notCapturedReason: \\"', r'["{","}",{"notCapturedReason":"\\"}]', "{}"],
)  # fmt: skip
def test_strings_keys_and_their_order_stay_as_they_were_written(raw: str) -> None:
    pruned = prune(with_raw(raw, "1"), 2000)
    assert pruned == with_raw(raw, "1").replace(
        b'{"value":"' + b"x" * 3000 + b'"}', b'{"pruned":true}'
    )


@pytest.mark.parametrize("depth", [100, 5_000, 50_000])
def test_the_depth_is_bounded_by_nothing_and_the_deepest_goes_first(depth: int) -> None:
    nested = '{"v":' * depth + '"' + "x" * 1000 + '"' + "}" * depth
    array = "[" * depth + nested + "]" * depth
    text = with_raw(array, array)
    pruned = prune(text, len(text) - 500)
    assert pruned is not None
    assert pruned.count(b'{"v":') == 2 * (depth - 1) + 1
    assert pruned.count(b'{"pruned":true}') == 1


def test_a_deep_one_is_cut_level_by_level_as_far_as_it_takes() -> None:
    """In time that grows with the depth, not with its square."""
    depth = 50_000
    text = with_raw("1", '{"v":' * depth + "1" + "}" * depth)
    pruned = prune(text, 10_000)
    assert pruned is not None
    assert 9_900 < len(pruned) <= 10_000


def test_white_space_goes_before_any_value() -> None:
    whole = snapshot({"a": {"value": "with  spaces\n"}, "b": {"value": 1.0}})
    pretty = json.dumps(whole, indent=8).encode()
    assert prune(pretty, len(encoded(whole))) == encoded(whole)


def test_an_object_smaller_than_its_mark_is_not_replaced_by_it() -> None:
    whole = snapshot({"small": {"v": 1}, "large": {"value": "x" * 300}})
    one = captured(prune(encoded(whole), len(encoded(whole)) - 10))
    assert one == {"small": {"v": 1}, "large": PRUNED}


@pytest.mark.parametrize(
    "text", [b'{"a":{}', b"{]", b'{"a":"}', b"{}}", b'[{"a":[}]]', b'{"a', b'{"a\\"}']
)
def test_brackets_that_do_not_match_are_not_cut(text: bytes) -> None:
    assert prune(text, 1) is None
    assert prune(text, 500) is None


def test_a_string_without_an_end_takes_no_longer_than_one_with_an_end() -> None:
    """It would take hours if each of its quotes were tried as a string's begin."""
    assert prune(b'{"a":"' + b'\\"' * 1_000_000, 500) is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=40,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text(max_size=5), values, max_size=6), st.integers(10, 600))
def test_the_result_fits_or_there_is_none(value: dict[str, Any], most: int) -> None:
    cut = prune(encoded(snapshot(value)), most)
    assert cut is None or (len(cut) <= most and isinstance(json.loads(cut), dict))
    if len(encoded(snapshot(value))) <= most:
        assert cut == encoded(snapshot(value))


def test_a_sender_that_prunes_delivers_large_snapshots_cut_and_all_others_whole() -> None:
    from livedebug_sender import Endpoint

    with RecordingServer() as intake:
        config = SenderConfig()
        config.set_endpoint(Endpoint(intake.url))
        with Sender(config, max_payload_bytes=20_000, oversize="prune") as sender:
            assert sender.enqueue("snapshots", {"n": 1})
            assert sender.enqueue("snapshots", LARGE)
            assert sender.enqueue("snapshots", {"n": 2})
            assert sender.enqueue("snapshots", {"hopeless": "x" * 30_000})
            assert not sender.enqueue("logs", {"large": "x" * 30_000})
            assert sender.flush(20)
            stats = sender.stats()
        assert (stats.enqueued, stats.delivered, stats.pending_bytes) == (4, 3, 0)
        assert stats.dropped == {"rejected": 1, "too_large": 1}
        first, cut, last = intake.elements()
        assert (first, last) == ({"n": 1}, {"n": 2})
        assert len(encoded(cut)) <= 20_000
        assert cut["service"] == json.loads(LARGE)[0]["service"]


def test_oversize_is_drop_or_prune() -> None:
    with pytest.raises(ConfigError, match="'drop' or 'prune'"):
        Sender(SenderConfig(), oversize="squeeze")
