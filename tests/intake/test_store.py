from __future__ import annotations

import json
from typing import Any

import pytest

from livedebug_sender.intake.api import payload_list, probe_list, request_details, rows
from livedebug_sender.intake.filtering import Filter
from livedebug_sender.intake.reading import read
from livedebug_sender.intake.records import RecordedRequest
from livedebug_sender.intake.search import Place, Search, requests_that_fit
from livedebug_sender.intake.store import Store
from livedebug_sender.intake.totals import COLUMN_SECONDS, COLUMNS

PATH = "/debugger/v2/input"
JSON = {"content-type": "application/json"}


def put(store: Store, payloads: Any, status: int = 202, tags: str = "") -> RecordedRequest:
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
    assert [len(kept.summaries) for kept in store.kept()] == [3, 3, 3]
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
    assert "too large to be stored" in kept.problem
    assert store.held()[1] <= 50_000


@pytest.mark.parametrize("bounds", [{"max_payloads": 0}, {"max_bytes": 0}])
def test_bounds_that_keep_nothing_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"1 .*or more"):
        Store(**bounds)


def test_clear_forgets_all_and_tells_the_page() -> None:
    store = Store()
    put(store, [log()])
    before = store.epoch
    store.clear()
    assert store.kept() == []
    assert store.held() == (0, 0)
    assert store.epoch != before
    assert probe_list(store) == []


def listed(store: Store, wanted: Filter, offset: int = 0, upto: int | None = None) -> list[str]:
    """The messages of the list, newest first."""
    found = payload_list(store, Search(store), wanted, offset, 1000, upto)
    return [row["message"] for row in found["payloads"]]


@pytest.mark.parametrize(
    ("wanted", "messages"),
    [
        (Filter(), ["one", "two", "ZOË"]),
        (Filter(track="logs"), ["one", "two", "ZOË"]),
        (Filter(kind="log"), ["one", "two", "ZOË"]),
        (Filter(kind="snapshot"), []),
        (Filter(track="symdb"), []),
        (Filter(probe="b"), ["two"]),
        (Filter(service="other"), ["ZOË"]),
        (Filter(service="shop", probe="a"), ["one"]),
        (Filter(service="other", probe="a"), []),
        (Filter(text="zoë"), ["ZOË"]),
        (Filter(text="ZO\\u00cb"), ["ZOË"]),
        (Filter(text="env:prod"), ["one", "two", "ZOË"]),
        (Filter(text="nowhere"), []),
        (Filter(text="two", probe="a"), []),
        (Filter(outcome="taken"), ["one", "two", "ZOË"]),
        (Filter(outcome="refused"), []),
        (Filter(since=100.0), ["one", "two", "ZOË"]),
        (Filter(since=100.5), []),
        (Filter(until=100.0), []),
    ],
)
def test_only_payloads_that_fit_every_filter_are_found(wanted: Filter, messages: list[str]) -> None:
    store = Store(clock=lambda: 100.0)
    payloads = [log("shop", "a", "one"), log("shop", "b", "two"), log("other", "c", "ZOË")]
    put(store, payloads, tags="env:prod")
    assert listed(store, wanted) == messages[::-1]
    assert len(requests_that_fit(store, wanted)) == bool(messages)


def test_a_filter_of_arguments_ignores_others_and_names_a_time_that_is_none() -> None:
    given = {"track": "logs", "since": "5", "limit": "7", "text": ""}
    assert Filter.of(given) == Filter(track="logs", since=5.0)
    with pytest.raises(ValueError, match="since is 'now'; expected seconds"):
        Filter.of({"since": "now"})


def test_what_was_found_is_shown_with_what_stands_around_it() -> None:
    store = Store()
    put(store, [{**log(), "deep": ["x" * 100 + 'the "needle"' + "y" * 100]}])
    wanted = Filter(text="THE")
    (row,) = rows(store, [Place(1, 0)], wanted)
    assert row["excerpt"].startswith("…")
    assert 'xxxthe \\"needle' in row["excerpt"]
    assert len(row["excerpt"]) < 120


def test_what_cannot_be_read_is_found_by_its_text_only() -> None:
    store = Store()
    kept = put(store, b"this is <b>no</b> json", status=400)
    assert Filter().wants(kept)
    assert Filter(text="<b>NO").wants(kept)
    assert not Filter(text="elsewhere").wants(kept)
    assert not Filter(track="logs").wants(kept)
    assert Filter(outcome="refused").wants(kept)
    assert not Filter(outcome="taken").wants(kept)
    assert request_details(kept)["body"] == "this is <b>no</b> json"


def test_all_that_is_kept_is_reached_page_by_page_while_more_arrives() -> None:
    store = Store()
    search = Search(store)
    for n in range(25):
        put(store, [log(message=f"{n}.{place}") for place in range(100)])
    first = payload_list(store, search, Filter(), 0, 1000, None)
    assert (first["matching"], first["kept"], len(first["payloads"])) == (2500, 2500, 1000)
    put(store, [log(message="later")] * 10)
    seen = [row["message"] for row in first["payloads"]]
    for offset in (1000, 2000):
        page = payload_list(store, search, Filter(), offset, 1000, first["upto"])
        assert page["matching"] == 2500
        seen += [row["message"] for row in page["payloads"]]
    assert seen == [f"{n}.{place}" for n in reversed(range(25)) for place in reversed(range(100))]


def test_a_search_reads_each_request_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    read_again: list[int] = []
    places = Filter.places

    def counting(self: Filter, request: RecordedRequest) -> list[int]:
        read_again.append(request.number)
        return places(self, request)

    monkeypatch.setattr(Filter, "places", counting)
    search = Search(store)
    put(store, [log()])
    assert search.places(Filter(text="m"))[0] == [Place(1, 0)]
    put(store, [log()] * 2)
    assert search.places(Filter(text="m")) == ([Place(1, 0), Place(2, 0), Place(2, 1)], 2)
    assert read_again == [1, 2]


def test_what_is_forgotten_is_not_found_any_more() -> None:
    store = Store(max_payloads=2)
    search = Search(store)
    for _ in range(4):
        put(store, [log()])
        search.places(Filter())
    assert search.places(Filter()) == ([Place(3, 0), Place(4, 0)], 4)
    store.clear()
    assert search.places(Filter()) == ([], 0)


@pytest.mark.parametrize("text", ["", "1", "1.", "a.b", "1.2.3", "-1.0", "²1.0"])
def test_what_is_no_id_of_a_payload_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected such as 17\.3"):
        Place.of(text)


def test_a_probe_has_its_statuses_in_order_and_counts() -> None:
    store = Store()
    put(store, [status("p", "RECEIVED"), status("p", "INSTALLED")])
    put(store, [status("p", "ERROR"), log("s", "p")])
    put(store, [status("p", "REFUSED")], status=503)
    (probe,) = probe_list(store)
    assert [said["status"] for said in probe["history"]] == ["RECEIVED", "INSTALLED", "ERROR"]
    assert (probe["status"], probe["counts"]) == ("ERROR", {"status": 3, "log": 1})


def test_a_probe_in_error_says_why(samples: dict[str, list[Any]]) -> None:
    store = Store()
    put(store, samples["diagnostics"])
    found = {probe["probe"]: probe for probe in probe_list(store)}
    assert found["no-such-file"]["why"] == "NoSourceFile: Source file location cannot be resolved"
    assert found["checkout-total"]["why"] == ""


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
