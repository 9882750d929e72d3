from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
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


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=40,
)


@given(st.dictionaries(st.text(max_size=5), values, max_size=6), st.integers(10, 600))
def test_the_result_fits_or_there_is_none(value: dict[str, Any], most: int) -> None:
    cut = prune(encoded(snapshot(value)), most)
    assert cut is None or (len(cut) <= most and isinstance(json.loads(cut), dict))


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
