"""The command as a whole: help, version, the other subcommands."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest
import requests
from running_cli import run, start
from servers import free_port

from livedebug_sender import __main__, __version__
from livedebug_sender.cli import intake as intake_command
from livedebug_sender.cli import main
from livedebug_sender.intake.server import Intake


def test_help_names_every_command_and_the_exit_codes() -> None:
    ended = run("--help")
    assert ended.exit_code == 0
    for word in ("send", "lint", "check", "intake", "demo", "DD_API_KEY", "usage error"):
        assert word in ended.stdout


@pytest.mark.parametrize("command", ["send", "check", "intake", "demo"])
def test_each_command_has_help_of_its_own(command: str) -> None:
    ended = run(command, "-h")
    assert ended.exit_code == 0
    assert "Options:" in ended.stdout


def test_version_is_the_packages() -> None:
    assert run("--version").stdout == f"livedebug-sender {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sned", "-"), "no command is named 'sned'; did you mean 'send'?"),
        (("frobnicate",), "no command is named 'frobnicate'; expected: send, lint, check"),
        (("--json", "check"), "--json is not an option of livedebug-sender itself"),
        (("--agent", "http://localhost:1", "check"), "options of a command follow its name"),
    ],
)
def test_what_is_written_wrong_before_the_commands_options_is_told_with_what_is_meant(
    arguments: tuple[str, ...], said: str
) -> None:
    ended = run(*arguments)
    assert ended.exit_code == 2
    assert said in " ".join(ended.stderr.split())


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_any_text_can_be_written_in_an_encoding_that_lacks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    file = tmp_path / "odd.json"
    file.write_bytes('{"ddsource": "€ 日本 käse"}'.encode())
    with start("lint", str(file), *options, encoding="latin-1") as linting:
        told, errors = linting.communicate(timeout=60)
    assert (linting.returncode, errors) == (1, "")
    if options:
        assert '"€ 日本 käse"' in {one["given"] for one in json.loads(told)["findings"]}
    else:
        assert "\\u20ac \\u65e5\\u672c käse" in told


@pytest.mark.parametrize(
    ("words", "number", "offered"),
    [
        ("livedebug-sender li", "1", "plain,lint\n"),
        ("livedebug-sender send --pr", "2", "plain,--prune\n"),
        ("livedebug-sender no-such-command --pr", "2", "\n"),
    ],
)
def test_a_shell_can_complete_commands_and_options(words: str, number: str, offered: str) -> None:
    shell = {"COMP_WORDS": words, "COMP_CWORD": number}
    ended = run(_LIVEDEBUG_SENDER_COMPLETE="bash_complete", **shell)
    assert (ended.stdout, ended.stderr) == (offered, "")


def test_forward_is_offered_where_it_is_installed() -> None:
    there = find_spec("livedebug_sender.forwarder") is not None
    assert ("forward" in main.cli.list_commands(click.Context(main.cli))) is there


def test_a_command_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "livedebug_sender.cli.intake", None)
    monkeypatch.setitem(main.COMMANDS, "intake", ("livedebug_sender.cli.check.none", "x"))
    monkeypatch.setattr(main, "is_installed", lambda module: True)
    ended = run("intake")
    assert ended.exit_code == 2
    assert 'pip install "livedebug-sender[cli,intake]"' in ended.stderr


def test_forward_says_at_its_start_what_it_would_come_to_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    ended = run("forward", "--help")
    assert ended.exit_code == 2
    assert "forward needs prometheus_client, which is not installed" in ended.stderr
    assert 'pip install "livedebug-sender[forwarder]"' in ended.stderr


def test_forward_needs_no_more_than_its_own_extra() -> None:
    """It brings click, and neither rich nor jsonschema."""
    code = (
        "import sys; sys.modules['rich'] = sys.modules['jsonschema'] = None\n"
        "sys.argv = ['livedebug-sender', 'forward', '--help']\n"
        "from livedebug_sender.__main__ import main; sys.exit(main())"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "--listen" in ended.stdout


def test_without_click_the_command_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['click'] = None\n"
        "from livedebug_sender.__main__ import main; sys.exit(main())"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert 'pip install "livedebug-sender[cli]"' in ended.stderr
    assert "Traceback" not in ended.stderr


def test_main_runs_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["anything", "--version"])
    with pytest.raises(SystemExit) as ended:
        __main__.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"livedebug-sender {__version__}\n"


@pytest.mark.parametrize("name", ["click", "rich"])
def test_main_without_the_extra_is_wrong_use(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(*_: object) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("livedebug_sender.cli.main.cli", missing)
    monkeypatch.delattr("livedebug_sender.cli.main.cli")
    monkeypatch.setattr("livedebug_sender.cli.main.__getattr__", missing, raising=False)
    assert __main__.main() == 2
    assert f"needs {name}" in capsys.readouterr().err


def test_a_fault_of_our_own_is_not_taken_for_a_missing_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "livedebug_sender.cli.main", None)
    with pytest.raises(ModuleNotFoundError):
        __main__.main()


def test_the_core_loads_nothing_of_the_tools() -> None:
    code = (
        "import sys, livedebug_sender; print(*[m for m in sys.modules if m.partition('.')[0] in "
        "('click', 'rich', 'flask', 'waitress', 'werkzeug') or m.startswith(("
        "'livedebug_sender.cli', 'livedebug_sender.intake'))])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (ended.stdout.strip(), ended.stderr) == ("", "")


def test_output_that_is_no_terminal_has_no_colours(livedebug_intake: Intake) -> None:
    process = start("check", "--agent", livedebug_intake.url)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert "\x1b" not in out + err


def test_demo_is_the_readmes_first_command(livedebug_intake: Intake) -> None:
    ended = run("demo", "--agent", livedebug_intake.url)
    assert ended.exit_code == 0, ended.output
    assert "Everything was delivered." in ended.stdout
    livedebug_intake.wait_for(41)


def test_demo_at_a_site_needs_a_key_in_the_environment() -> None:
    assert run("demo", "--site", "datadoghq.com").exit_code == 2
    assert run("demo", "--site", "a", "--agent", "http://b").exit_code == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_intake_serves_until_it_is_told_to_stop(number: signal.Signals) -> None:
    with start("intake", "--port", "0") as process:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert found is not None
        assert "Local intake" in requests.get(found[0], timeout=20).text
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def test_the_intake_prints_a_line_of_json_for_each_request() -> None:
    arguments = ("--port", "0", "--json", "--fault", "503; late 1ms", "--keep", "5")
    with start("intake", *arguments) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        answer = requests.post(f"{url}/debugger/v2/input?ddtags=a:b", data=b"[{}]", timeout=20)
        line = json.loads(process.stdout.readline())
        process.terminate()
        process.communicate(timeout=30)
    assert answer.status_code == 503
    assert (line["payloads"], line["status"], line["tags"]) == (1, 503, "a:b")


def test_each_request_is_printed_until_a_signal_comes(
    livedebug_intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: dict[int, Any] = {}
    lines: list[dict[str, Any]] = []

    def take(line: dict[str, Any]) -> None:
        lines.append(line)
        handlers[signal.SIGTERM]()

    monkeypatch.setattr(signal, "signal", handlers.setdefault)
    monkeypatch.setattr(intake_command, "print_json", take)
    requests.post(f"{livedebug_intake.url}/debugger/v2/input", json=[{}], timeout=20)
    with intake_command.stopped_by_signals() as stop:
        intake_command.print_arrivals(livedebug_intake, stop, False, True)
    (line,) = lines
    assert (line["status"], line["payloads"], line["mode"]) == (202, 1, "agent")


@pytest.mark.parametrize("as_json", [False, True])
def test_listening_for_everybody_is_said_aloud(
    as_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_command, "print_arrivals", lambda *_: None)
    options = ("--json",) if as_json else ()
    ended = run("intake", "--port", "0", "--host", "0.0.0.0", "--keep-bytes", "2MiB", *options)
    assert ended.exit_code == 0
    assert "can read the captured values" in ended.stderr
    assert "http://127.0.0.1:" in ended.stdout
    assert "captured" not in run("intake", "--port", "0", *options).stderr


def test_a_port_that_is_taken_ends_with_1_and_words(livedebug_intake: Intake) -> None:
    ended = run("intake", "--port", livedebug_intake.port)
    assert ended.exit_code == 1
    (line,) = ended.stderr.splitlines()
    assert line == (
        f"can't listen on 127.0.0.1, port {livedebug_intake.port}: Address already in use: "
        "is an agent running there? choose another port with --port"
    )


@pytest.mark.parametrize(
    "options",
    [
        ("--fault", "often"),
        ("--fault", "late long"),
        ("--probes", "no-such-file.json"),
        ("--keep-bytes", "much"),
        ("--keep-bytes", "0"),
        ("--keep", "0"),
        ("--max-body", "1TB"),
        ("--port", "70000"),
    ],
)
def test_invalid_options_of_the_intake_end_with_2(options: tuple[str, str]) -> None:
    ended = run("intake", "--port", free_port(), *options)
    assert ended.exit_code == 2, ended.output
    assert "Traceback" not in ended.output
