"""The pure part: what a tracer's request becomes."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livedebug_sender import Endpoint
from livedebug_sender.forwarder.replies import HTTPError
from livedebug_sender.forwarder.rewriting import (
    Head,
    incoming_headers,
    outgoing_head,
    outgoing_request,
)
from livedebug_sender.forwarder.routes import ROUTES

HOST_TAGS = "host:h,default_env:e,agent_version:1"
LOGS, DIAGNOSTICS, V2, SYMDB = ROUTES.values()


def head_of(route: Any = V2, query: str = "", host_tags: str = HOST_TAGS, **headers: str) -> Head:
    environ = {f"HTTP_{name}": value for name, value in headers.items()}
    environ |= {"QUERY_STRING": query, "REQUEST_METHOD": "POST", "wsgi.url_scheme": "http"}
    return outgoing_head(environ, route, host_tags, "an-id")


def fields_of(head: Head) -> dict[str, str]:
    return dict(parse_qsl(head.query, strict_parsing=True, keep_blank_values=True))


@pytest.mark.parametrize("route", [LOGS, DIAGNOSTICS, V2], ids=lambda route: route.path)
def test_tags_go_into_the_query_hosts_first_then_the_headers_then_the_querys(route):
    head = head_of(route, "ddtags=c%3Ad%2Ce", X_DATADOG_ADDITIONAL_TAGS="a:b")
    assert fields_of(head) == {"ddtags": f"{HOST_TAGS},a:b,c:d,e"}


def test_symdb_tags_go_into_the_header_and_the_query_stays():
    head = head_of(SYMDB, "ddtags=c:d&x=y", X_DATADOG_ADDITIONAL_TAGS="a:b")
    assert head.headers["X-Datadog-Additional-Tags"] == f"{HOST_TAGS},a:b,c:d"
    assert fields_of(head) == {"ddtags": "c:d", "x": "y"}


def test_without_tags_of_its_own_a_request_gets_the_hosts():
    assert fields_of(head_of()) == {"ddtags": HOST_TAGS}
    assert head_of(SYMDB).headers["X-Datadog-Additional-Tags"] == HOST_TAGS


def test_tags_are_cut_at_the_last_whole_one_that_fits_4001_bytes():
    fitting = 4001 - len(HOST_TAGS) - 1
    tags = "x" * fitting
    assert fields_of(head_of(query=f"ddtags={tags}"))["ddtags"] == f"{HOST_TAGS},{tags}"
    assert fields_of(head_of(query=f"ddtags={tags}x"))["ddtags"] == HOST_TAGS


def test_symdb_tags_are_not_cut():
    tags = "x" * 5000
    head = head_of(SYMDB, f"ddtags={tags}")
    assert head.headers["X-Datadog-Additional-Tags"] == f"{HOST_TAGS},{tags}"


def test_tags_keep_the_bytes_they_came_in():
    tags = "stadt:Zürich,都市:東京"
    wsgi = tags.encode().decode("latin-1")
    host_tags = "host:ü"
    head = head_of(host_tags=host_tags, X_DATADOG_ADDITIONAL_TAGS=wsgi)
    assert fields_of(head)["ddtags"] == f"{host_tags},{tags}"
    symdb = head_of(SYMDB, host_tags=host_tags, X_DATADOG_ADDITIONAL_TAGS=wsgi)
    value = symdb.headers["X-Datadog-Additional-Tags"]
    assert value.encode("latin-1").decode() == f"{host_tags},{tags}"


def test_the_first_ddtags_counts_and_other_fields_travel_sorted():
    head = head_of(query="z=1&ddtags=a:b&ddtags=c:d&b=2+3")
    assert head.query == "b=2+3&ddtags=host%3Ah%2Cdefault_env%3Ae%2Cagent_version%3A1%2Ca%3Ab&z=1"


@pytest.mark.parametrize("name", ["dd-api-key", "DD-API-KEY", "api_key", "api-key"])
def test_a_key_in_the_query_stays_behind(name):
    assert fields_of(head_of(query=f"{name}=theirs")) == {"ddtags": HOST_TAGS}


def test_hop_by_hop_headers_stay_behind_and_those_that_connection_names():
    head = head_of(
        CONNECTION="close, X-Named",
        KEEP_ALIVE="timeout=5",
        PROXY_AUTHENTICATE="Basic",
        PROXY_AUTHORIZATION="Basic abc",
        PROXY_CONNECTION="close",
        TE="trailers",
        TRAILER="x",
        TRANSFER_ENCODING="chunked",
        UPGRADE="h2c",
        X_NAMED="1",
        X_OTHER="2",
        EXPECT="100-continue",
        HOST="evil.example",
    )
    set_here = {"X-Forwarded-Host", "X-Forwarded-Proto", "DD-REQUEST-ID", "DD-EVP-ORIGIN"}
    assert head.headers.keys() == {"X-Other", *set_here}


def test_no_connection_header_takes_our_own_headers_away():
    head = head_of(SYMDB, CONNECTION="DD-API-KEY, X-Datadog-Additional-Tags, DD-REQUEST-ID")
    request = outgoing_request(head, Endpoint("https://intake/x", "ours"), b"")
    assert request.headers["DD-API-KEY"] == "ours"
    assert request.headers["X-Datadog-Additional-Tags"] == HOST_TAGS
    assert request.headers["DD-REQUEST-ID"] == "an-id"


def test_the_tracers_own_key_id_and_origin_are_replaced():
    head = head_of(DD_API_KEY="theirs", DD_REQUEST_ID="theirs", DD_EVP_ORIGIN="theirs")
    request = outgoing_request(head, Endpoint("https://intake/x", "ours"), b"abc")
    assert "theirs" not in request.headers.values()
    assert request.headers["DD-API-KEY"] == "ours"
    assert request.headers["DD-EVP-ORIGIN"] == "agent-debugger"
    assert request.headers["Content-Length"] == "3"
    assert head_of(SYMDB).headers["DD-EVP-ORIGIN"] == "agent-symdb"


def test_a_request_can_say_nothing_of_where_it_goes():
    head = head_of(HOST="evil.example", X_FORWARDED_HOST="evil.example", X_ORIGINAL_URL="/evil")
    request = outgoing_request(head, Endpoint("https://intake/path?own=query", "key"), b"")
    assert request.endpoint.url == "https://intake/path?own=query"
    assert request.path == f"/path?{head.query}"


@pytest.mark.parametrize("control", ["\r\n", "\n", "\r", "\0"])
def test_control_characters_never_get_into_a_header(control):
    with pytest.raises(HTTPError) as refused:
        head_of(X_OTHER=f"a{control}b")
    assert refused.value.status == 400
    with pytest.raises(HTTPError):
        head_of(SYMDB, f"ddtags=a%{ord(control[0]):02x}DD-API-KEY: theirs")


def test_x_forwarded_for_is_the_tracers_address_and_nothing_it_said():
    environ = {"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": "198.51.100.7"}
    headers = outgoing_head(environ, V2, HOST_TAGS, "an-id").headers
    assert headers["X-Forwarded-For"] == "192.0.2.1"
    assert "X-Forwarded-For" not in outgoing_head({"REMOTE_ADDR": ""}, V2, "", "").headers


def test_a_query_of_a_hundred_fields_is_refused():
    with pytest.raises(HTTPError) as refused:
        head_of(query="&".join(["a=b"] * 101))
    assert refused.value.status == 400


def test_the_intakes_hop_by_hop_headers_stay_behind():
    lines = [
        ("Connection", "keep-alive, X-Named"),
        ("Keep-Alive", "timeout=5"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", "5"),
        ("X-Named", "1"),
        ("Set-Cookie", "a=b"),
        ("Set-Cookie", "c=d"),
        ("X-Folded", "a\r\n b"),
        ("Content-Encoding", "gzip"),
    ]
    assert incoming_headers(lines) == [
        ("Set-Cookie", "a=b"),
        ("Set-Cookie", "c=d"),
        ("Content-Encoding", "gzip"),
    ]


@given(
    query=st.text(st.characters(max_codepoint=255), max_size=80),
    headers=st.dictionaries(
        st.sampled_from(["CONNECTION", "X_A", "DD_API_KEY", "X_DATADOG_ADDITIONAL_TAGS", "TE"]),
        st.text(st.characters(max_codepoint=255), max_size=40),
    ),
    route=st.sampled_from(list(ROUTES.values())),
)
def test_whatever_comes_a_head_is_one_or_refused(query, headers, route):
    try:
        head = head_of(route, query, **headers)
    except HTTPError:
        return
    assert head.query.isascii()
    assert not set(head.query) & set("\r\n #")
    assert head.headers["DD-REQUEST-ID"] == "an-id"
    for name, value in head.headers.items():
        assert name.isascii()
        assert not set(value) & set("\r\n\0")
        value.encode("latin-1")


def test_an_intakes_header_with_a_name_of_more_than_256_characters_is_not_returned():
    lines = [("X" * 257, "1"), ("X" * 256, "2")]
    assert incoming_headers(lines) == lines[1:]


@pytest.mark.parametrize(
    "name",
    ["application_key", "DD-Application-Key", "app_key", "apikey", "dd_api_key"]
    + ["token", "access_token", "client_secret", "Password"],
)
def test_nothing_that_authenticates_goes_on_in_the_query(name):
    head = head_of(V2, f"{name}=mine&tokens=3&ddtags=a")
    assert fields_of(head) == {"tokens": "3", "ddtags": f"{HOST_TAGS},a"}


def test_user_info_in_a_host_goes_nowhere():
    head = head_of(HOST="user:mine@shop:80")
    assert head.headers["X-Forwarded-Host"] == "shop:80"
