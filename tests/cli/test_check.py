from __future__ import annotations

import json
import socket
import ssl
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from network_servers import Proxy
from running_cli import run
from sample_data import KEY
from servers import Arrived, RawServer, RecordingServer, Reply, cut, free_port, socket_file

from livedebug_sender import Endpoint, Track, derive_endpoint_path
from livedebug_sender.cli import connectivity
from livedebug_sender.cli.diagnosis import Diagnosis, meaning_of
from livedebug_sender.intake.server import Intake

if TYPE_CHECKING:
    import trustme

NEW_AGENT = b'{"version": "7.99.0", "endpoints": ["/debugger/v2/input"]}'


def agent_like(info: bytes, status: int = 202) -> RecordingServer:
    def answer(request: Arrived) -> Reply | int:
        return Reply(200, body=info) if request.path == "/info" else status

    return RecordingServer(answer)


def steps_of(url: str, key: str | None = None, track: Track = Track.LOGS) -> dict[str, Any]:
    endpoint = derive_endpoint_path(Endpoint(url, key, timeout=1.0), track)
    finding = Diagnosis().of(track, "primary", endpoint)
    return {step.name: step for step in finding.steps}


def test_where_all_is_well_each_track_and_step_says_so(livedebug_intake: Intake) -> None:
    ended = run("check", "--agent", livedebug_intake.url)
    assert ended.exit_code == 0, ended.output
    for track in Track:
        assert f"{track}, primary (agent): {livedebug_intake.url}" in ended.stdout
    assert ended.stdout.count("has /debugger/v2/input") == 1
    assert "Payloads would arrive." in ended.stdout


def test_the_local_intake_takes_it_for_no_error(livedebug_intake: Intake) -> None:
    assert run("check", "--agent", livedebug_intake.url).exit_code == 0
    requests = livedebug_intake.requests
    assert [(one.status, one.problem) for one in requests] == [(202, "")] * 4
    assert (livedebug_intake.payloads(), livedebug_intake.findings()) == ([], [])


def test_as_json_each_endpoint_has_all_its_steps(livedebug_intake: Intake) -> None:
    found = json.loads(run("check", "--agent", livedebug_intake.url, "--json").stdout)
    assert found["ok"] is True
    assert [one["track"] for one in found["endpoints"]] == [str(track) for track in Track]
    for one in found["endpoints"]:
        assert [step["name"] for step in one["steps"]] == ["name", "connect", "/info", "answer"]


def test_additional_endpoints_are_looked_at_too_and_no_key_is_shown(
    livedebug_intake: Intake,
) -> None:
    other = f"http://127.0.0.1:{free_port()}"
    env = {"DD_APM_DEBUGGER_ADDITIONAL_ENDPOINTS": json.dumps({other: [KEY]})}
    for options in ((), ("--json",)):
        ended = run("check", "--agent", livedebug_intake.url, *options, **env)
        assert ended.exit_code == 1
        assert f"{other}/api/v2/debugger" in ended.stdout
        assert KEY not in ended.output
    ended = run("check", "--agent", livedebug_intake.url, **env)
    assert "logs, additional 1 (agentless)" in ended.stdout
    assert "FAIL as above" in ended.stdout


def test_nobody_listening_is_told_with_what_to_do() -> None:
    ended = run("check", "--agent", f"http://127.0.0.1:{free_port()}")
    assert ended.exit_code == 1
    assert "connection refused" in ended.stdout
    assert "is the agent running" in ended.stdout
    assert "Payloads would not arrive: see above." in ended.stdout


def test_a_name_that_nobody_knows_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    steps = steps_of("https://debugger-intake.datadoghq.con", KEY)
    assert list(steps) == ["name"]
    assert "spelled correctly" in steps["name"].advice


def test_an_older_agent_is_told_and_is_no_failure() -> None:
    with agent_like(b'{"version": "7.30.0", "endpoints": []}') as agent:
        steps = steps_of(agent.url)
    assert steps["/info"].ok
    assert "has no /debugger/v2/input" in steps["/info"].said
    assert "upgrade it" in steps["/info"].advice


def test_a_server_that_is_no_agent_is_told() -> None:
    with RecordingServer(404) as server:
        steps = steps_of(server.url)
    assert not steps["/info"].ok
    assert "Datadog agent" in steps["/info"].advice


def test_a_server_that_hangs_up_is_told() -> None:
    with RawServer(cut) as server:
        steps = steps_of(server.url, KEY)
    assert not steps["answer"].ok


def test_the_request_has_nothing_in_it_and_goes_where_payloads_would() -> None:
    with agent_like(NEW_AGENT) as agent:
        for track in Track:
            steps_of(agent.url, track=track)
    bodies = {request.path: request.body for request in agent.posts}
    assert set(bodies) == {"/debugger/v1/diagnostics", "/debugger/v2/input", "/symdb/v1/input"}
    assert bodies["/debugger/v2/input"] == b"[]"
    assert bodies["/symdb/v1/input"] == b""


@pytest.mark.parametrize(
    ("status", "agentless", "track", "ok", "words"),
    [
        (202, False, "logs", True, "accepted"),
        (301, False, "logs", False, "a redirect to nowhere"),
        (400, True, "logs", True, "refused the empty request"),
        (403, True, "logs", False, "API key was refused"),
        (403, False, "logs", False, "refused"),
        (404, False, "logs", True, "diagnostics route"),
        (404, False, "symdb", False, "no such route"),
        (404, True, "logs", False, "no such route"),
        (429, True, "logs", False, "overloaded or failing"),
        (503, True, "logs", False, "overloaded or failing"),
        (418, True, "logs", False, "refused"),
    ],
)
def test_each_answer_has_its_meaning(
    status: int, agentless: bool, track: str, ok: bool, words: str
) -> None:
    step = meaning_of(status, Track(track), agentless)
    assert step.ok is ok
    assert str(status) in step.said
    assert words in step.said
    assert bool(step.advice) == (status not in (202, 400))


@pytest.mark.usefixtures("trusted")
def test_tls_says_the_days_of_the_certificate(server_tls: ssl.SSLContext) -> None:
    with RecordingServer(tls=server_tls) as intake:
        steps = steps_of(intake.url, KEY)
    assert steps["TLS"].ok
    assert "TLSv1." in steps["TLS"].said
    assert "days" in steps["TLS"].said
    assert steps["answer"].ok


@pytest.mark.usefixtures("trusted")
def test_a_folder_of_certificates_is_trusted_as_well(
    server_tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    with RecordingServer(tls=server_tls) as intake:  # not hashed: so nothing is found in it
        assert not steps_of(intake.url, KEY)["TLS"].ok


def test_an_unknown_authority_is_told(server_tls: ssl.SSLContext) -> None:
    with RecordingServer(tls=server_tls) as intake:
        steps = steps_of(intake.url, KEY)
    assert "REQUESTS_CA_BUNDLE" in steps["TLS"].advice
    assert "answer" not in steps


@pytest.mark.usefixtures("trusted")
def test_a_certificate_for_another_host_is_told(authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    with RecordingServer(tls=context) as intake:
        assert "another host" in steps_of(intake.url, KEY)["TLS"].advice


@pytest.mark.usefixtures("trusted")
def test_an_expired_certificate_is_told(authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    past = datetime.now(timezone.utc) - timedelta(days=1)
    authority.issue_cert("localhost", not_after=past).configure_cert(context)
    with RecordingServer(tls=context) as intake:
        assert "renew it" in steps_of(intake.url, KEY)["TLS"].advice


@pytest.mark.usefixtures("trusted")
def test_a_certificate_that_ends_soon_is_told_in_time(authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    soon = datetime.now(timezone.utc) + timedelta(days=3, hours=1)
    authority.issue_cert("localhost", not_after=soon).configure_cert(context)
    with RecordingServer(tls=context) as intake:
        step = steps_of(intake.url, KEY)["TLS"]
    assert step.ok
    assert "3 days" in step.said
    assert "renew it" in step.advice


def test_https_to_a_port_without_it_is_told() -> None:
    with RecordingServer() as plain:
        steps = steps_of(plain.url.replace("http://127.0.0.1", "https://localhost"), KEY)
    assert "speak https" in steps["TLS"].advice


def test_a_proxy_is_looked_at_in_place_of_the_host(
    monkeypatch: pytest.MonkeyPatch,
    server_tls: ssl.SSLContext,
    trusted: None,
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr("requests.utils.proxy_bypass", lambda host: False)
    with RecordingServer(tls=server_tls) as intake, Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//user:secret@"))
        steps = steps_of(intake.url, KEY)
    assert "proxy localhost" in steps["proxy"].said
    assert "secret" not in repr(steps)
    assert "TLS" not in steps
    assert steps["answer"].ok
    assert proxy.connected_to == [f"localhost:{intake.port}"]


@pytest.mark.parametrize(
    ("proxied", "key", "advice"),
    [
        (True, KEY, "is the proxy running"),
        (False, KEY, "is that the intake"),
        (False, None, "is the agent running"),
    ],
)
def test_where_nobody_listens_it_is_said_who_should(
    monkeypatch: pytest.MonkeyPatch, proxied: bool, key: str | None, advice: str
) -> None:
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("requests.utils.proxy_bypass", lambda host: False)
    if proxied:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    steps = steps_of(f"http://127.0.0.1:{free_port()}", key)
    assert advice in steps["connect"].advice


def test_an_agent_that_takes_some_tracks_only_is_told_as_such() -> None:
    def answer(request: Arrived) -> Reply | int:
        if request.path == "/info":
            return Reply(200, body=NEW_AGENT)
        return 404 if request.path.startswith("/symdb") else 202

    with RecordingServer(answer) as agent:
        ended = run("check", "--agent", agent.url, "--timeout", "10s")
    assert ended.exit_code == 1
    assert "404: no such route" in ended.stdout
    assert "Payloads would not arrive everywhere: see above." in ended.stdout


def test_an_agents_socket_is_looked_at(short_dir: str) -> None:
    with RecordingServer(
        lambda r: Reply(200, body=NEW_AGENT) if r.path == "/info" else 202,
        unix=socket_file(short_dir),
    ) as agent:
        steps = steps_of(agent.url)
    assert [step.ok for step in steps.values()] == [True] * 3
    # The server has gone, its socket's file is still there.
    assert "refused" in steps_of(agent.url)["connect"].said


def test_a_socket_that_is_none_is_told(tmp_path: Path) -> None:
    assert "no such file" in steps_of(f"unix://{tmp_path}/s")["connect"].said
    (tmp_path / "s").touch()
    assert "is not a socket" in steps_of(f"unix://{tmp_path}/s")["connect"].said


def test_a_file_is_looked_at_and_not_written(tmp_path: Path) -> None:
    assert steps_of(f"file://{tmp_path}/out.jsonl")["file"].ok
    assert not (tmp_path / "out.jsonl").exists()
    assert not steps_of(f"file://{tmp_path}/none/out.jsonl")["file"].ok
    assert not steps_of(f"file://{tmp_path}")["file"].ok


def test_an_address_that_swallows_packets_leaves_time_for_the_next() -> None:
    with RecordingServer() as server, socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        addresses = [
            (socket.AF_INET, full.getsockname()),
            (socket.AF_INET, ("127.0.0.1", server.port)),
        ]
        started = time.monotonic()
        step, found = connectivity.connect_step(addresses, 1.0)
        assert step.ok
        assert found is not None
        found.close()
        assert time.monotonic() - started < 5
        step, none = connectivity.connect_step(addresses[:1], 0.2)
        assert none is None
        assert "timed out" in step.said
        direct, proxied = (
            connectivity.connect_advice(step.said, Endpoint("http://localhost"), behind)
            for behind in (False, True)
        )
        assert "does a firewall block it" in direct
        assert "does a firewall block the proxy" in proxied
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--site", "evil.com/@x"), "--site: the site is"),
        (("--agent", "ftp://host"), "--agent: the URL"),
        (("--timeout", "soon"), "--timeout is 'soon'"),
        (("--timeout", "0"), "--timeout is '0'"),
        (("--track", "metrics"), "--track"),
    ],
)
def test_the_option_that_is_wrong_is_named(options: tuple[str, ...], named: str) -> None:
    ended = run("check", *options, DD_API_KEY=KEY)
    assert ended.exit_code == 2
    assert named in ended.stderr
    assert "DD_" not in ended.stderr


def test_a_bad_key_in_a_file_is_named_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret key")
    ended = run("check", "--api-key-file", tmp_path / "key")
    assert ended.exit_code == 2
    assert f"--api-key-file {tmp_path / 'key'}: the API key has white space" in ended.stderr
    assert "secret" not in ended.stderr


def test_a_site_without_a_key_says_where_to_give_one() -> None:
    ended = run("check", "--site", "datadoghq.eu")
    assert ended.exit_code == 2
    assert "--api-key-file" in ended.stderr


def test_only_the_tracks_that_are_given_are_looked_at(livedebug_intake: Intake) -> None:
    options = ("--track", "symdb", "--track", "logs", "--timeout", "2500ms", "--json")
    ended = run("check", "--agent", livedebug_intake.url, *options)
    told = json.loads(ended.stdout)
    assert (ended.exit_code, [one["track"] for one in told["endpoints"]]) == (0, ["symdb", "logs"])


@pytest.mark.parametrize(
    ("location", "said", "advice"),
    [
        (
            "https://other.example/x",
            "a redirect to https://other.example/x",
            "https://other.example",
        ),
        ("/elsewhere", "a redirect to /elsewhere", "the intake or the agent itself"),
    ],
)
def test_it_says_where_a_redirect_points(location: str, said: str, advice: str) -> None:
    with RecordingServer(Reply(307, {"Location": location})) as agent:
        ended = run("check", "--track", "logs", "--agent", agent.url)
    assert ended.exit_code == 1
    assert f"307: {said}, which is never followed" in ended.stdout
    assert advice in ended.stdout
