from __future__ import annotations

import pytest

from livedebug_sender.intake.origins import is_loopback, rejection_reason

LOCAL = {"host": "127.0.0.1:8126"}


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("localhost.evil.com", False),
        ("", False),
    ],
)
def test_loopback_is_told_from_the_rest(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("host", ["127.0.0.1:8126", "localhost:1", "localhost", "[::1]:8126"])
def test_the_page_is_served_under_the_names_of_this_machine(host: str) -> None:
    assert rejection_reason({"host": host}, for_page=True, loopback=True) == ""


@pytest.mark.parametrize("host", ["evil.com:8126", "127.0.0.1.evil.com", "", "[bad", "10.0.0.1"])
def test_on_loopback_the_page_is_not_served_under_another_name(host: str) -> None:
    assert "loopback" in rejection_reason({"host": host}, for_page=True, loopback=True)


def test_a_tracer_may_call_the_intake_by_any_name() -> None:
    assert rejection_reason({"host": "host.docker.internal"}, for_page=False, loopback=True) == ""


def test_a_browser_may_not_send_payloads_under_another_name() -> None:
    headers = {"host": "evil.com", "origin": "http://evil.com"}
    assert rejection_reason(headers, for_page=False, loopback=True)


@pytest.mark.parametrize("for_page", [True, False])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.com"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
    ],
)
@pytest.mark.parametrize("loopback", [True, False])
def test_another_web_page_is_kept_out(
    headers: dict[str, str], for_page: bool, loopback: bool
) -> None:
    assert rejection_reason(LOCAL | headers, for_page=for_page, loopback=loopback)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://127.0.0.1:8126", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none", "sec-fetch-mode": "navigate"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"},
    ],
)
def test_the_page_itself_and_a_link_to_it_are_let_in(headers: dict[str, str]) -> None:
    assert rejection_reason(LOCAL | headers, for_page=True, loopback=True) == ""


@pytest.mark.parametrize("origin", ["http://[", "http://]:1", "null", ""])
def test_an_origin_that_is_none_is_another_web_page(origin: str) -> None:
    given = {**LOCAL, "origin": origin}
    assert "another web page" in rejection_reason(given, for_page=True, loopback=True)


def test_a_form_on_another_page_changes_nothing() -> None:
    headers = LOCAL | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    said = rejection_reason(headers, for_page=True, loopback=True, reads=False)
    assert said == "the request comes from another web page"
