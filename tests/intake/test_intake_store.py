from __future__ import annotations

import json
from typing import Any

import pytest

from livedebug_sender.intake.filtering import Wanted
from livedebug_sender.intake.reading import read
from livedebug_sender.intake.store import Kept, Store
from livedebug_sender.intake.totals import COLUMN_SECONDS, COLUMNS
from livedebug_sender.intake.view import news, opened

PATH = "/debugger/v2/input"
JSON = {"content-type": "application/json"}


def put(store: Store, payloads: Any, status: int = 202, tags: str = "") -> Kept:
    body = payloads if isinstance(payloads, bytes) else json.dumps(payloads).encode()
    query = f"ddtags={tags}" if tags else ""
    return store.add(PATH, query, JSON, body, status, read(PATH, query, JSON, body))


def log(service: str = "shop", probe: str = "p", message: str = "m") -> dict[str, Any]:
    snapshot = {"captures": {}, "probe": {"id": probe}}
    return {"service": service, "message": message, "debugger": {"snapshot": snapshot}}


def status(probe: str, said: str) -> dict[str, Any]:
    return {"service": "s", "debugger": {"diagnostics": {"probeId": probe, "status": said}}}


def test_no_more_payloads_are_kept_than_asked_for() -> None:
    store = Store(max_payloads=10)
    for _ in range(8):
        put(store, [log()] * 3)
    assert [len(kept.glances) for kept in store.kept()] == [3, 3, 3]
    assert store.held()[0] == 9
    assert store.totals.forgotten == 5


def test_no_more_bytes_are_kept_than_asked_for() -> None:
    store = Store(max_bytes=100_000)
    for _ in range(20):
        put(store, [log(message="x" * 20_000)])
        assert store.held()[1] <= 100_000
    assert 2 <= len(store.kept()) <= 4


def test_many_small_payloads_count_as_the_memory_they_take() -> None:
    store = Store(max_payloads=10**9, max_bytes=1_000_000)
    for _ in range(20):
        put(store, [log()] * 100)
    assert len(store.kept()) < 10


def test_a_request_too_large_to_keep_is_kept_without_its_body() -> None:
    store = Store(max_bytes=50_000)
    kept = put(store, [log(message="x" * 60_000)])
    assert kept.body == b""
    assert kept.size > 60_000
    assert "too large to be kept" in kept.problem
    assert store.held()[1] <= 50_000


@pytest.mark.parametrize("bounds", [{"max_payloads": 0}, {"max_bytes": 0}])
def test_bounds_that_keep_nothing_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least"):
        Store(**bounds)


def test_clear_forgets_all_and_tells_the_page() -> None:
    store = Store()
    put(store, [log()])
    before = store.epoch
    store.clear()
    assert store.kept() == []
    assert store.held() == (0, 0)
    assert store.epoch != before
    assert news(store, Wanted(), 7, before, 0.0)["probes"] == []


@pytest.mark.parametrize(
    ("wanted", "messages"),
    [
        (Wanted(), ["one", "two", "ZOË"]),
        (Wanted(track="logs"), ["one", "two", "ZOË"]),
        (Wanted(track="symdb"), []),
        (Wanted(probe="b"), ["two"]),
        (Wanted(service="other"), ["ZOË"]),
        (Wanted(service="shop", probe="a"), ["one"]),
        (Wanted(service="other", probe="a"), []),
        (Wanted(text="zoë"), ["ZOË"]),
        (Wanted(text="env:prod"), ["one", "two", "ZOË"]),
        (Wanted(text="nowhere"), []),
        (Wanted(text="two", probe="a"), []),
    ],
)
def test_only_what_fits_every_filter_is_shown(wanted: Wanted, messages: list[str]) -> None:
    store = Store()
    payloads = [log("shop", "a", "one"), log("shop", "b", "two"), log("other", "c", "ZOË")]
    kept = put(store, payloads, tags="env:prod")
    assert [p["message"] for p in opened(kept, wanted)["payloads"]] == messages
    listed = news(store, wanted, 0, "", 0.0)["listed"]
    assert [one["number"] for one in listed] == ([kept.number] if messages else [])


def test_what_cannot_be_read_is_found_by_its_text_only() -> None:
    store = Store()
    kept = put(store, b"this is <b>no</b> json", status=400)
    assert Wanted().wants(kept)
    assert Wanted(text="<b>NO").wants(kept)
    assert not Wanted(text="elsewhere").wants(kept)
    assert not Wanted(track="logs").wants(kept)
    assert opened(kept, Wanted())["body"] == "this is <b>no</b> json"


def test_news_are_what_came_after() -> None:
    store = Store()
    first, second = put(store, [log()]), put(store, [log()])
    assert [one["number"] for one in news(store, Wanted(), 0, "", 0)["listed"]] == [1, 2]
    after = news(store, Wanted(), first.number, store.epoch, 0)
    assert [one["number"] for one in after["listed"]] == [second.number]
    nothing = news(store, Wanted(), second.number, store.epoch, 0)
    assert nothing["listed"] == []
    assert "probes" not in nothing


def test_of_a_flood_the_newest_are_listed() -> None:
    store = Store()
    for _ in range(400):
        put(store, [log()])
    listed = news(store, Wanted(), 0, "", 0)["listed"]
    assert [listed[0]["number"], listed[-1]["number"]] == [101, 400]


def test_a_probe_has_its_statuses_in_order_and_counts() -> None:
    store = Store()
    put(store, [status("p", "RECEIVED"), status("p", "INSTALLED")])
    put(store, [status("p", "ERROR"), log("s", "p")])
    put(store, [status("p", "REFUSED")], status=503)
    (probe,) = news(store, Wanted(), 0, "", 0)["probes"]
    assert [said["status"] for said in probe["history"]] == ["RECEIVED", "INSTALLED", "ERROR"]
    assert (probe["status"], probe["counts"]) == ("ERROR", {"status": 3, "log": 1})


def test_probes_and_their_histories_are_bounded() -> None:
    store = Store(max_payloads=10**6)
    put(store, [status(f"p{n}", "RECEIVED") for n in range(700)])
    put(store, [status("p699", "EMITTING")] * 100)
    probes = store.probes.all()
    assert len(probes) == 500
    assert len(next(probe for probe in probes if probe.probe == "p699").history) == 50


def test_the_rate_has_each_track_in_its_column_and_what_was_refused() -> None:
    now = 1_000_000.0
    store = Store(clock=lambda: now)
    put(store, [log(), log()])
    now += COLUMN_SECONDS
    put(store, [log()])
    put(store, [log()] * 4, status=503)
    rate = store.totals.rate(now)
    assert len(rate) == COLUMNS
    assert rate[-2:] == [{"logs": 2}, {"logs": 1, "refused": 4}]
    assert store.totals.rate(now + COLUMNS * COLUMN_SECONDS) == [{}] * COLUMNS
    assert (store.totals.requests, store.totals.refused) == (3, 1)
    assert store.totals.by_track == {"logs": 3}


def test_a_clock_that_is_set_back_does_not_spoil_the_rate() -> None:
    now = 1_000_000.0
    store = Store(clock=lambda: now)
    put(store, [log()])
    now -= 5000
    put(store, [log()])
    assert store.totals.rate(1_000_000.0)[-1] == {"logs": 2}
