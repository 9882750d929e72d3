from __future__ import annotations

import io

from rich.console import Console

from livedebug_sender import Stats
from livedebug_sender.cli.output import counted, plain
from livedebug_sender.cli.progress import SendingBar


def bar_on(terminal: bool, *, shown: bool = True) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=120)
    with SendingBar(console, 1000, shown=shown) as bar:
        bar.look(Stats(delivered=1234), 500)
    return file.getvalue()


def test_on_a_terminal_there_is_a_bar_with_what_was_delivered() -> None:
    out = bar_on(True)
    assert "1,234 delivered" in out
    assert "500" in out


def test_without_a_terminal_or_when_it_is_not_wanted_there_is_no_bar() -> None:
    assert "delivered" not in bar_on(False)
    assert "delivered" not in bar_on(True, shown=False)


def test_a_noun_is_in_the_plural_unless_the_count_is_one() -> None:
    counts = [counted(n, "payload") for n in (0, 1, 1000)]
    assert counts == ["0 payloads", "1 payload", "1,000 payloads"]


def test_what_could_steer_a_terminal_is_shown_as_its_escape() -> None:
    assert plain("a\x1b[2J\u202e[b]é\n").plain == "a\\x1b[2J\\u202e[b]é\n"
