from __future__ import annotations

import pytest

from livedebug_sender.intake.faults import GOOD, Fault, FaultInjection

V2, V1, SYMDB = "/debugger/v2/input", "/debugger/v1/diagnostics", "/symdb/v1/input"


def statuses(plan: str, n: int, path: str = V2) -> list[int | None]:
    injection = FaultInjection(plan)
    return [injection.next(path).status for _ in range(n)]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ("", [None] * 4),
        ("good", [None] * 4),
        ("503", [503] * 4),
        ("503 once", [503, None, None, None]),
        ("503 twice, then good", [503, 503, None, None]),
        ("503 twice, good", [503, 503, None, None]),
        ("  503   TWICE ,THEN  good ", [503, 503, None, None]),
        ("503 3 times", [503, 503, 503, None]),
        ("503, 429, then good", [503, 429, None, None]),
        ("good twice, then 500", [None, None, 500, 500]),
        ("503 once; 429 twice", [503, 429, None, None]),
    ],
)
def test_a_plan_goes_step_by_step(plan: str, expected: list[int | None]) -> None:
    assert statuses(plan, 4) == expected


@pytest.mark.parametrize(
    ("plan", "fault"),
    [
        ("early 413", Fault(status=413, early=True)),
        ("429 retry-after 2s", Fault(status=429, retry_after=2.0)),
        ("late 200ms", Fault(delay=0.2)),
        ("late 1.5s", Fault(delay=1.5)),
        ("late 0.2", Fault(delay=0.2)),
        ("late 2 3 times", Fault(delay=2.0)),
        ("429 retry-after 2", Fault(status=429, retry_after=2.0)),
        ("drip 3 times", Fault(drip=0.1)),
        ("drip", Fault(drip=0.1)),
        ("drip 5ms", Fault(drip=0.005)),
        ("reset", Fault(ending="reset")),
        ("close", Fault(ending="close")),
        ("stall", Fault(ending="stall")),
        ("503; late 1s", Fault(status=503, delay=1.0)),
        ("late 1s; late 500ms; drip", Fault(delay=1.5, drip=0.1)),
    ],
)
def test_each_fault_has_its_words(plan: str, fault: Fault) -> None:
    assert FaultInjection(plan).next(V2) == fault


def test_an_agent_without_v2_answers_404_there_and_does_not_list_it() -> None:
    injection = FaultInjection("no v2")
    assert not injection.knows_v2()
    assert injection.next(V2).status == 404
    assert injection.next(V1).status is None
    assert FaultInjection("503").knows_v2()


def test_a_plan_for_a_track_leaves_the_others_alone() -> None:
    injection = FaultInjection("symdb: 503; snapshots: 500 once")
    assert injection.next(SYMDB, is_symdb=True).status == 503
    assert injection.next("/api/v2/debugger", is_symdb=True).status == 503
    assert injection.next(V1, content_type="multipart/form-data").status is None
    assert injection.next("/api/v2/debugger", content_type="multipart/form-data").status is None
    assert injection.next("/api/v2/debugger", content_type="application/json").status == 500
    assert injection.next(V2).status is None


def test_a_share_is_drawn_at_each_request() -> None:
    drawn = iter([0.1, 0.3, 0.19, 0.2])
    injection = FaultInjection("503 for 20%", draw=lambda: next(drawn))
    assert [injection.next(V2).status for _ in range(4)] == [503, None, 503, None]


def test_what_is_left_is_said_in_the_same_language() -> None:
    injection = FaultInjection("503 twice, then 429 retry-after 2s once", "symdb: drip")
    injection.next(V2)
    left = injection.left()
    assert left == "503 1 times, then 429 retry-after 2.0s 1 times; symdb: drip 0.1s"
    again = FaultInjection(left)
    assert [again.next(V2).status for _ in range(3)] == [503, 429, None]
    assert again.left() == "symdb: drip 0.1s"
    assert FaultInjection("503 once, then good").left() == "503 1 times, then good"
    assert FaultInjection("good").left() == ""


@pytest.mark.parametrize(
    "plan",
    [
        "often",
        "503 never",
        "503 0 times",
        "99",
        "600",
        "503 for 0%",
        "503 for 101%",
        "503 for 20%, then good",
        "late",
        "late soon",
        "late 1000s",
        "late 1.2.3s",
        "traces: 503",
        "503,,",
        "drip -1s",
    ],
)
def test_a_plan_that_is_invalid_is_refused_with_what_is_expected(plan: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        FaultInjection(plan)


def test_a_refusal_names_the_plan_and_the_step() -> None:
    with pytest.raises(ValueError, match=r"'503 twice, then soon'.*'soon'.*'503 twice, then good'"):
        FaultInjection("503 twice, then soon")


def test_nothing_is_asked_of_a_good_intake() -> None:
    assert FaultInjection().next(V2) == GOOD
