from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import pytest
from running_cli import run, start
from sample_data import KEY, SAMPLES
from servers import Arrived, RecordingServer, Reply, free_port

from livedebug_sender.cli import sending
from livedebug_sender.intake.server import Intake
from livedebug_sender.stats import LOST, REFUSED


def test_the_summary_as_json_has_the_accounts(livedebug_intake: Intake) -> None:
    file = SAMPLES / "logs.json"
    ended = run("send", "logs", file, "--agent", livedebug_intake.url, "--json")
    assert ended.stderr == ""
    summary = json.loads(ended.stdout)
    assert (summary["done"], summary["payloads"], summary["delivered"]) == (True, 12, 12)
    assert (summary["mode"], summary["dropped"], summary["problems"]) == ("agent", {}, [])
    assert summary["url"] == f"{livedebug_intake.url}/debugger/v2/input"


def test_config_and_tags_come_from_the_environment_and_options_go_over_them(
    livedebug_intake: Intake,
) -> None:
    env = {"DD_TRACE_AGENT_URL": livedebug_intake.url, "DD_ENV": "prod", "DD_TAGS": "team:a"}
    assert run("send", "logs", "-", stdin=b"{}", **env).exit_code == 0
    assert run("send", "logs", "-", "--tags", "own:tag", stdin=b"{}", **env).exit_code == 0
    env["DD_TRACE_AGENT_URL"] = f"http://127.0.0.1:{free_port()}"
    agent = ("--agent", livedebug_intake.url)
    assert run("send", "logs", "-", *agent, stdin=b"{}", **env).exit_code == 0
    tags = [request.tags for request in livedebug_intake.requests]
    assert tags == ["env:prod,team:a", "own:tag", "env:prod,team:a"]


def test_what_is_no_payload_is_named_and_the_rest_is_sent(livedebug_intake: Intake) -> None:
    stdin = b'{"n": 1}\n{"n": \n{"n": 3}\n'
    ended = run("send", "logs", "-", "--agent", livedebug_intake.url, stdin=stdin)
    assert ended.exit_code == 1
    assert "standard input, line 2: not JSON" in ended.stderr
    assert "dropped 1: not readable" in ended.stdout
    assert [payload["n"] for payload in livedebug_intake.payloads()] == [1, 3]


def test_the_summary_counts_by_the_reasons_of_the_senders_own_stats() -> None:
    """Told apart from what the library calls invalid, it would be two words for one thing."""
    stdin = b'{"n": 1}\n{"n": \n"text"\n{"n": "' + b"x" * 2**20 + b'"}\n'
    with RecordingServer() as agent:
        ended = run("send", "logs", "-", "--agent", agent.url, "--json", stdin=stdin)
    summary = json.loads(ended.stdout)
    assert (summary["payloads"], summary["delivered"]) == (4, 1)
    assert summary["dropped"] == {"invalid": 2, "too_large": 1}
    assert set(summary["dropped"]) <= {*REFUSED, *LOST}


def test_what_is_refused_makes_the_command_end_with_1_and_says_why() -> None:
    with RecordingServer(403) as agent:
        ended = run("send", "logs", SAMPLES / "logs.json", "--agent", agent.url)
    assert ended.exit_code == 1
    assert "dropped 12: refused by the endpoint (rejected)" in ended.stdout
    assert "403" in ended.stderr


def test_one_bad_payload_among_good_ones_is_the_only_one_that_is_lost() -> None:
    def pick(request: Arrived) -> int:
        return 400 if b'"bad"' in request.body else 202

    stdin = b'[{"n": 1}, {"n": "bad"}, {"n": 3}, {"n": 4}]'
    with RecordingServer(pick) as agent:
        ended = run("send", "logs", "-", "--agent", agent.url, "--json", stdin=stdin)
    summary = json.loads(ended.stdout)
    assert (ended.exit_code, summary["delivered"], summary["dropped"]) == (1, 3, {"rejected": 1})
    assert any("400" in problem for problem in summary["problems"])


def test_where_nobody_listens_it_stops_reading_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_bytes(b'{"n": 1}\n' * 50_000)
    agent = f"http://127.0.0.1:{free_port()}"
    ended = run("send", "logs", file, "--agent", agent, "--retry-for", "0.3", "--json")
    summary = json.loads(ended.stdout)
    assert ended.exit_code == 1
    assert "no success within 0.3 seconds" in summary["stopped"]
    assert summary["payloads"] < 50_000
    assert any("connection refused" in problem for problem in summary["problems"])


def test_what_was_not_delivered_in_time_leads_to_the_command_that_says_why() -> None:
    agent = f"http://127.0.0.1:{free_port()}"
    ended = run("send", "logs", "-", "--agent", agent, "--retry-for", "0.1s", stdin=b"{}")
    assert ended.exit_code == 1
    assert "stopped before the end: no success within 0.1 seconds" in ended.stdout
    assert "to resume: the same command again\n" in ended.stdout
    assert "livedebug-sender check tests the connection" in ended.stdout


def test_where_everything_is_refused_it_stops_reading(tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_bytes(b'{"n": 1}\n' * 50_000)
    with RecordingServer(403) as agent:
        ended = run("send", "logs", file, "--agent", agent.url, "--json")
    summary = json.loads(ended.stdout)
    assert (ended.exit_code, summary["done"]) == (1, False)
    assert "accepted nothing" in summary["stopped"]
    assert summary["payloads"] < 50_000


def test_it_waits_for_room_and_drops_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sending, "MAX_ITEMS", 20)
    monkeypatch.setattr(sending, "WAITING_ITEMS", 10)
    file = tmp_path / "many.jsonl"
    file.write_bytes(b"".join(b'{"n": %d}\n' % n for n in range(500)))
    with RecordingServer() as agent:
        ended = run("send", "logs", file, "--agent", agent.url, "--json")
        found = [element["n"] for element in agent.elements()]
    assert json.loads(ended.stdout)["dropped"] == {}
    assert found == list(range(500))
    assert max(len(request.elements) for request in agent.posts) <= 20


def test_it_waits_for_room_in_bytes_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sending, "MAX_BODY", 25_000)
    monkeypatch.setattr(sending, "WAITING_BYTES", 10_000)
    file = tmp_path / "many.jsonl"
    lengths = [n % 20_000 for n in range(0, 90_000, 777)]
    file.write_text("".join(json.dumps({"x": "x" * length}) + "\n" for length in lengths))
    with RecordingServer() as agent:
        ended = run("send", "logs", file, "--agent", agent.url, "--json")
    summary = json.loads(ended.stdout)
    assert (ended.exit_code, summary["dropped"]) == (0, {})
    assert summary["delivered"] == len(lengths)


def test_additional_endpoints_get_their_copy_and_their_failures_are_told() -> None:
    with RecordingServer() as agent, RecordingServer(500) as additional:
        table = json.dumps({additional.url: [KEY]})
        env = {"DD_APM_DEBUGGER_ADDITIONAL_ENDPOINTS": table}
        ended = run("send", "logs", "-", "--agent", agent.url, stdin=b"{}", **env)
    assert ended.exit_code == 0
    assert len(additional.posts) == 1
    assert "additional endpoints: 1 request failed" in ended.stdout
    assert KEY not in ended.output


def test_an_interrupt_ends_it_with_the_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with RecordingServer(Reply(503)) as agent:
        monkeypatch.setattr(sending.Sender, "flush", interrupted)
        ended = run("send", "logs", "-", "--agent", agent.url, stdin=b"{}")
    assert ended.exit_code == 1
    assert "stopped before the end: interrupted" in ended.stdout
    assert "Traceback" not in ended.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("send",),
        ("send", "logs"),
        ("send", "metrics", "-"),
        ("send", "logs", "/no/such/file"),
        ("send", "logs", "/"),
        ("send", "/no/such/file"),
        ("send", "logs", "-", "--skip", "-1"),
        ("send", "logs", "-", "--retry-for", "5 parsecs"),
        ("send", "symdb", "-", "--content-type", "a\nb"),
        ("send", "logs", "-", "--content-type", "text/plain"),
        ("send", "logs", "-", "--agent", "ftp://host"),
        ("send", "logs", "-", "--agent", "http://a", "--site", "b"),
        ("send", "logs", "-", "--site", "datadoghq.com"),
        ("send", "logs", "-", "--api-key-file", "/no/such/file"),
        ("send", "logs", "-", "--tags", "a\nb"),
        ("send", "logs", "-", "--retry-for", "-1"),
        ("no-such-command",),
    ],
)
def test_wrong_use_ends_with_2_and_words(arguments: tuple[str, ...]) -> None:
    ended = run(*arguments, stdin=b"{}")
    assert ended.exit_code == 2, ended.output
    assert "Traceback" not in ended.output
    assert "Error:" in ended.stderr or "Usage:" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("/no/such/file",), "'/no/such/file' is neither a track (auto, diagnostics"),
        (("snapshot", "-"), "'snapshot' is neither a track (did you mean snapshots?)"),
        (("logs", "/no/such/file"), "there is no file '/no/such/file'; expected: files, or -"),
        (("logs", "/"), "'/' is a folder; expected: files, such as its *.json"),
        (("logs",), "logs is the track; a FILE is missing"),
    ],
)
def test_a_file_that_cannot_be_sent_is_told_with_what_is_expected(
    arguments: tuple[str, ...], said: str
) -> None:
    assert said in run("send", *arguments, stdin=b"{}").stderr


def test_a_bad_key_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret key\n")
    for options, env in [
        (("--api-key-file", tmp_path / "key"), {}),
        ((), {"DD_API_KEY": "secret key"}),
    ]:
        ended = run("send", "logs", "-", *options, stdin=b"{}", **env)
        assert ended.exit_code == 2
        assert "secret" not in ended.output
        assert "API key has white space" in ended.stderr


def test_a_key_file_that_is_no_text_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    ended = run("send", "logs", "-", "--api-key-file", tmp_path / "key", stdin=b"{}")
    assert ended.exit_code == 2
    assert "can't be read: UnicodeDecodeError" in ended.stderr


def test_a_key_in_a_file_makes_it_agentless(tmp_path: Path) -> None:
    from livedebug_sender.cli.endpoints import config_of

    (tmp_path / "key").write_text(f"{KEY}\n")
    config = config_of(None, "datadoghq.eu", tmp_path / "key", {})
    (endpoint,) = config.endpoints_for("logs")
    assert (endpoint.url, endpoint.api_key) == (
        "https://debugger-intake.datadoghq.eu/api/v2/debugger",
        KEY,
    )


def test_what_arrived_cannot_steer_the_terminal(livedebug_intake: Intake, tmp_path: Path) -> None:
    file = tmp_path / "a\x1b[31m[bold]b"
    file.write_text('{"n": 1}\nx')
    ended = run("send", "logs", file, "--agent", livedebug_intake.url)
    assert "\x1b" not in ended.output
    assert "[bold]b, line 2" in ended.stderr


def test_an_interrupted_run_goes_on_where_it_says(tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_bytes(b"".join(b'{"n": %d}\n' % n for n in range(30_000)))
    failing = threading.Event()

    arrived: set[int] = set()

    def answer(request: Arrived) -> int:
        if failing.is_set():
            return 503
        arrived.update(element["n"] for element in request.elements)
        return 202

    with RecordingServer(answer) as agent:
        command = start("send", "logs", str(file), "--agent", agent.url, "--json")
        agent.wait_for(2)
        failing.set()
        command.send_signal(signal.SIGINT)
        output, _ = command.communicate(timeout=60)
        first = json.loads(output)
        assert (command.returncode, first["stopped"]) == (1, "interrupted")
        failing.clear()
        again = run(
            "send", "logs", file, "--agent", agent.url, "--skip", first["resume_at"], "--json"
        )
        assert again.exit_code == 0
    assert first["resume_at"] >= first["delivered"] > 0
    assert arrived == set(range(30_000))


def test_skipped_payloads_are_left_out(livedebug_intake: Intake) -> None:
    stdin = b'{"n": 1}\n{"n": 2}\n{"n": 3}\n'
    agent = ("--agent", livedebug_intake.url)
    ended = run("send", "logs", "-", "--skip", "2", *agent, "--json", stdin=stdin)
    assert livedebug_intake.payloads() == [{"n": 3}]
    assert json.loads(ended.stdout)["skipped"] == 2
