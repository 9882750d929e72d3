"""The same raw bytes to the Agent's own receiver and to the forwarder: tox -e agent.

What the tracer gets and what the intake gets has to be the same, but for what `DIFFERENT`
names, each with its reason; the docs show these.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from agent.raw_intake import RawIntake
from real_agent import built_agent, go, running_agent
from running_forwarder import DEBUGGER_ROUTES, ROUTES, environ, running

from livedebug_sender import __version__
from livedebug_sender.forwarder.default_env import normalized_env

pytestmark = pytest.mark.agent

DOCS = Path(__file__).parents[2] / "docs"
OK = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
V1, DIAGNOSTICS, V2 = DEBUGGER_ROUTES
SYMDB = ROUTES[3]


def post(
    target: str = V2, *headers: str, body: bytes = b"[1]", version: str = "1.1", host: str = "x"
) -> bytes:
    lines = [f"POST {target} HTTP/{version}", f"Host: {host}", "Connection: close", *headers]
    if not any(line.lower().startswith(("content-length", "transfer-enc")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def answer(status: str, *headers: str, body: bytes = b"words", length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    lines.append("Content-Type: text/plain")
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body


TAGS = "X-Datadog-Additional-Tags"
CHUNKED = "Transfer-Encoding: chunked"
JSON = "Content-Type: application/json"
#: Requests that the intake answers with a 202.
REQUESTS: dict[str, bytes] = {
    **{f"{path}": post(path, JSON) for path in ROUTES},
    **{f"{path} with tags": post(f"{path}?ddtags=c:d", f"{TAGS}: a:b") for path in ROUTES},
    **{f"{path} without a body": post(path, body=b"") for path in ROUTES},
    **{
        f"{path} compressed": post(path, "Content-Encoding: gzip", body=b"\x1f\x8b\0\xff")
        for path in ROUTES
    },
    "chunked": post(V2, CHUNKED, body=b"3\r\n[2]\r\n0\r\n\r\n"),
    "chunked with extension and trailer": post(
        V2, CHUNKED, body=b"3;a=b\r\n[2]\r\n0\r\nA: b\r\n\r\n"
    ),
    "200 KB": post(V2, body=b"x" * 200_000),
    "2 MB for SymDB": post(SYMDB, body=b"y" * 2_000_000),
    "HTTP/1.0": post(V2, version="1.0"),
    "HTTP/1.2": post(V2, version="1.2"),
    "HTTP/2.0": post(V2, version="2.0"),
    "tags to be encoded": post(f"{V2}?ddtags=a:%C3%BC+%26%3D,b", f"{TAGS}: e:f g,\xe9:\xfc"),
    "tags given twice": post(f"{V2}?ddtags=a:1&ddtags=b:2"),
    "empty tags": post(f"{V2}?ddtags=", f"{TAGS}:"),
    "long tags": post(V2, f"{TAGS}: {','.join(f'tag{n}:value' for n in range(600))}"),
    "long tags for SymDB": post(SYMDB, f"{TAGS}: {','.join(f'tag{n}:v' for n in range(600))}"),
    "other fields in the query": post(f"{V2}?b=2&a=1&a=0&c"),
    "a query for SymDB": post(f"{SYMDB}?z=1&y=2"),
    "a query of semicolons": post(f"{V2}?a=1;b=2&c=3"),
    "a query with a bad escape": post(f"{V2}?a=%zz&b=1"),
    "a key in the query": post(f"{V2}?api_key=mine&a=1"),
    "a key of the tracer's": post(V2, "DD-API-KEY: mine"),
    "an id and an origin of the tracer's": post(V2, "DD-REQUEST-ID: 1", "DD-EVP-ORIGIN: me"),
    "forwarded headers": post(
        V2, "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: evil", "Forwarded: for=1.2.3.4"
    ),
    "hop-by-hop headers": post(V2, "Keep-Alive: 5", "TE: gzip", "Upgrade: h2c", "Trailer: a"),
    "proxy headers": post(V2, "Proxy-Authorization: Basic x", "Proxy-Connection: close"),
    "a header that Connection names": post(V2, "X-Mine: 1").replace(b"close", b"close, x-mine"),
    "its own headers": post(V2, "X-Own: 1", "User-Agent: tracer/1", "Cookie: a=b"),
    "the same header twice": post(V2, "X-Own: 1", "X-Own: 2"),
    "a header without a value": post(V2, "X-Own:"),
    "a header with an underscore": post(V2, "X_Own: 1"),
    "a header in other letters": post(V2, "x-OWN-header: \xfc"),
    "container headers": post(V2, "Datadog-Container-ID: abc", "Datadog-Entity-ID: ci-abc"),
    "an encoding to accept": post(V2, "Accept-Encoding: gzip, br", "Accept: */*"),
    "an absolute target": post(f"http://evil.example{V2}?a=1"),
    "a fragment": post(f"{V2}#evil"),
    "an escaped path": post("/debugger/v2/in%70ut"),
    "an escaped slash": post("/debugger%2Fv2/input"),
    "another case": post("/Debugger/v2/input"),
    "a slash at the end": post(f"{V2}/"),
    "two slashes": post("//debugger/v2/input"),
    "dots": post("/debugger/v2/../v2/input"),
    "no such route": post("/nowhere"),
    "a PUT": post(V2).replace(b"POST", b"PUT", 1),
    "a GET": f"GET {V2} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode(),
    "an expectation": post(V2, "Expect: 100-continue"),
    "another expectation": post(V2, "Expect: miracles"),
}
#: Requests that are no good; of the answers the status counts, and that nothing goes on.
BAD: dict[str, bytes] = {
    "no Host": b"POST /debugger/v2/input HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "two Hosts": post(V2, "Host: y"),
    "CL and TE": post(V2, "Content-Length: 3", CHUNKED),
    "CL and CL": post(V2, "Content-Length: 3", "Content-Length: 4"),
    "CL twice the same": post(V2, "Content-Length: 3", "Content-Length: 3"),
    "CL with a plus": post(V2, "Content-Length: +3"),
    "CL below zero": post(V2, "Content-Length: -3"),
    "CL in hex": post(V2, "Content-Length: 0x3"),
    "CL of letters": post(V2, "Content-Length: three"),
    "CL of many digits": post(V2, f"Content-Length: {'9' * 40}"),
    "TE unknown": post(V2, "Transfer-Encoding: xchunked"),
    "TE identity": post(V2, "Transfer-Encoding: identity"),
    "TE twice": post(V2, CHUNKED, CHUNKED),
    "TE with gzip": post(V2, "Transfer-Encoding: gzip, chunked"),
    "TE in HTTP/1.0": post(V2, CHUNKED, version="1.0", body=b"0\r\n\r\n"),
    "a chunk without a size": post(V2, CHUNKED, body=b"\r\nx\r\n0\r\n\r\n"),
    "a chunk of a bad size": post(V2, CHUNKED, body=b"xyz\r\nx\r\n0\r\n\r\n"),
    "a chunk that is longer": post(V2, CHUNKED, body=b"1\r\nxyz\r\n0\r\n\r\n"),
    "a space before the colon": post(V2, "X-Own : 1"),
    "a folded header": post(V2, "X-Own: 1", " folded"),
    "a NUL in a header": post(V2, "X-Own: a\0b"),
    "a CR in a header": post(V2, "X-Own: a\rb"),
    "a header without a colon": post(V2, "X-Own"),
    "a header without a name": post(V2, ": 1"),
    "a name with a space": post(V2, "X Own: 1"),
    "no target": b"POST  HTTP/1.1\r\nHost: x\r\n\r\n",
    "no version": b"POST /debugger/v2/input\r\nHost: x\r\n\r\n",
    "a bad version": b"POST /debugger/v2/input HTTP/x\r\nHost: x\r\n\r\n",
    "a bad method": b"PO ST /debugger/v2/input HTTP/1.1\r\nHost: x\r\n\r\n",
    "nonsense": b"\x16\x03\x01\x02\x00\r\n\r\n",
}
#: What the intake may answer.
ANSWERS: dict[str, bytes] = {
    **{
        f"{status}": answer(f"{status} Words", "Retry-After: 7", "X-Own: 1", "Location: /else")
        for status in (200, 201, 301, 302, 307, 308, 400, 401, 403, 404, 408, 413, 429, 500, 503)
    },
    "204": b"HTTP/1.1 204 No Content\r\nX-Own: 1\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\nX-Own: 1\r\n\r\n",
    "without a type": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "299": answer("299 Odd"),
    "599": answer("599 Odd"),
    "999": answer("999 Odd"),
    "100 and 200": b"HTTP/1.1 100 Continue\r\n\r\n" + answer("200 OK"),
    "chunked": b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n0\r\n\r\n",
    "until the end": b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\nabc",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Type: a/b\r\nContent-Length: 3\r\n\r\nabc",
    "hop-by-hop headers": answer("200 OK", "Keep-Alive: 5", "Connection: x-own", "X-Own: 1"),
    "a header twice": answer("200 OK", "X-Own: 1", "X-Own: 2"),
    "gzip": answer("200 OK", "Content-Encoding: deflate", body=b"\x78\x9c\x03\0\0\0\0\x01"),
    "200 KB": answer("200 OK", body=b"x" * 200_000),
    "nothing": b"",
    "cut in the head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "cut in the body": answer("200 OK", body=b"abc", length=10),
    "cut in a long body": answer("200 OK", "X-Own: 1", body=b"x" * 50_000, length=100_000),
    "cut between chunks": b"HTTP/1.1 429 No\r\nContent-Type: a/b\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "a bad header": b"HTTP/1.1 200 OK\r\nNo header\r\nContent-Length: 0\r\n\r\n",
    "a bad length": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    "cut in a chunk": b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc",
    "no HTTP": b"nonsense\r\n\r\n",
}

_STRICT = "ambiguous requests are refused"
_CHUNKS = "a malformed body is answered with a 400"
_REDIRECT = "paths are not normalized by a redirect"
#: What differs, by case, in the words of the docs.
DIFFERENT: dict[str, str] = {
    "long tags": "tags in a query are cut at the last whole tag",
    "a key in the query": "query parameters whose names are those of keys, tokens, secrets or",
    "a header with an underscore": "headers with an underscore in their names",
    "an expectation": "``Expect``, as the body has been received already",
    "two slashes": _REDIRECT,
    "dots": _REDIRECT,
    "a PUT": "methods other than ``POST`` get a 405",
    "a GET": "methods other than ``POST`` get a 405",
    "bad: CL and TE": _STRICT,
    "bad: CL twice the same": _STRICT,
    "bad: TE in HTTP/1.0": _STRICT,
    "bad: a folded header": _STRICT,
    "bad: a chunk without a size": _CHUNKS,
    "bad: a chunk of a bad size": _CHUNKS,
    "bad: a chunk that is longer": _CHUNKS,
    "answer: without a type": "no ``Content-Type`` is guessed",
    "answer: 100 and 200": "1xx answers are not passed on",
    "answer: cut in the body": "the part of a truncated answer that arrived is passed on",
}
#: And in every request whose tracer names no encodings; taken out before comparing.
ACCEPT_ENCODING = "``Accept-Encoding`` is ``identity`` where the tracer names none"


@dataclass(frozen=True)
class Got:
    """What the tracer and the intake got."""

    status: int
    headers: dict[str, list[str]]
    body: bytes
    at_intake: list[tuple[str, dict[str, str], bytes]]


@pytest.fixture(scope="module")
def sides(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    if "agent" not in request.config.option.markexpr:
        pytest.skip("tox -e agent")
    if go() is None:
        pytest.skip("needs Go")
    built_agent()
    agents_intake, ours = RawIntake(), RawIntake()
    variables = {**environ(agents_intake.url), "AGENT_VERSION": __version__}
    with running_agent(variables) as agent, running(ours.url) as forwarder:
        host, _, port = agent.address.rpartition(":")
        yield {
            "agent": (agents_intake, (host, int(port))),
            "forwarder": (ours, (forwarder.host, forwarder.port)),
        }
    agents_intake.close()
    ours.close()


def ask(side: tuple[RawIntake, tuple[str, int]], request: bytes, reply: bytes) -> Got:
    intake, address = side
    intake.answer = reply
    intake.seen.clear()
    received = b""
    with socket.create_connection(address, timeout=5) as sock:
        sock.settimeout(5)
        try:
            sock.sendall(request)
            while data := sock.recv(65536):
                received += data
        except OSError:
            pass
    while received.startswith(b"HTTP/1.1 100 "):
        received = received.partition(b"\r\n\r\n")[2]
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers.setdefault(name.lower(), []).append(value.strip())
    if "transfer-encoding" in headers:
        whole = body.endswith(b"0\r\n\r\n")
        body = dechunked(body)
        del headers["transfer-encoding"]
        headers["content-length"] = [str(len(body)) if whole else "no end"]
    headers.pop("date", None)
    headers.pop("connection", None)
    state = headers.get("datadog-agent-state")
    if state is not None:
        assert re.fullmatch("[0-9a-f]{64}", state[0])
        headers["datadog-agent-state"] = ["a hash"]
    status = int(first.split(" ")[1]) if received else 0
    at_intake = []
    for seen in intake.seen:
        kept = {
            name: value
            for name, value in seen.headers.items()
            if name not in ("dd-request-id", "host")
        }
        # The Agent sends on chunks as chunks.
        kept.pop("transfer-encoding", None)
        if b"Accept-Encoding" not in request:
            kept.pop("accept-encoding", None)
        kept["content-length"] = str(len(seen.body))
        at_intake.append((seen.line, kept, seen.body))
    return Got(status, headers, body, at_intake)


def dechunked(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        if not int(size or b"0", 16):
            break
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return body


def compared(name: str, agent: object, forwarder: object) -> None:
    if name in DIFFERENT:
        assert agent != forwarder, f"{name!r} is alike now: take it out of DIFFERENT"
    else:
        assert forwarder == agent


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_goes_on_as_with_the_agent(sides, name):
    agent, forwarder = (ask(side, REQUESTS[name], OK) for side in sides.values())
    if agent.status in (202, 502):
        compared(name, agent, forwarder)
    else:
        own = [(got.status, got.at_intake) for got in (agent, forwarder)]
        compared(name, *own)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_refused_as_by_the_agent(sides, name):
    agent, forwarder = (ask(side, BAD[name], OK) for side in sides.values())
    assert forwarder.at_intake == [] or forwarder.at_intake == agent.at_intake
    compared(f"bad: {name}", agent.status, forwarder.status)


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_comes_back_as_from_the_agent(sides, name):
    agent, forwarder = (ask(side, post(V2), ANSWERS[name]) for side in sides.values())
    compared(f"answer: {name}", agent, forwarder)


def test_each_difference_is_in_the_docs():
    text = " ".join((DOCS / "forwarder.rst").read_text().split())
    for name, words in {**DIFFERENT, "every request": ACCEPT_ENCODING}.items():
        assert words in text, name


def test_info_has_the_fields_of_the_agents(sides):
    pages = []
    for _, address in sides.values():
        connection = http.client.HTTPConnection(*address, timeout=5)
        connection.request("GET", "/info")
        pages.append(json.loads(connection.getresponse().read()))
        connection.close()
    agents, ours = pages
    known = {name: kind_of(value) for name, value in agents.items()}
    assert {name: kind_of(ours.get(name)) for name in known} == known
    config = {name: kind_of(value) for name, value in agents["config"].items()}
    assert {name: kind_of(ours["config"].get(name)) for name in config} == config
    assert set(ours["endpoints"]) <= set(agents["endpoints"])


def kind_of(value: object) -> str:
    """Of JSON; an empty list is null in the Agent's."""
    if value is None or isinstance(value, list):
        return "list"
    return "number" if type(value) in (int, float) else type(value).__name__


def test_an_environment_is_normalised_as_by_the_agent(sides):
    chance = random.Random(1)
    letters = "aZ09.:/-_ !,üÜ語İſǅⅠⒶΣßı٣\U0001f363\U00010400"
    texts = ["".join(chance.choices(letters, k=chance.randint(0, 250))) for _ in range(500)]
    texts += [letter * 300 for letter in letters]
    command = [str(built_agent()), "normalize"]
    ran = subprocess.run(command, input=json.dumps(texts), capture_output=True, text=True)
    assert [normalized_env(text) for text in texts] == json.loads(ran.stdout)
