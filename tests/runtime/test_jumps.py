"""What the compiler of CPython makes of a loop in a `with` or a `try`."""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType

import pytest

import livedebug_sender

PACKAGE = Path(livedebug_sender.__file__).parent
#: What runs on threads of the host, where a signal handler may raise.
IN_THE_HOST = ("delivery", "runtime", "transport", "protocol", "sender.py", "sync.py")
#: All that is done where a comprehension is left: its variable gets its old value back.
TIDYING = {"SWAP", "POP_TOP", "STORE_FAST", "STORE_FAST_MAYBE_NULL", "RERAISE"}


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def unguarded_jumps(code: CodeType) -> list[int]:
    """The lines of jumps back to the head of a loop that a `with` or `try` around it misses."""
    bytecode = dis.Bytecode(code)
    instructions = {each.offset: each for each in bytecode}

    def handler(offset: int) -> int | None:
        for entry in bytecode.exception_entries:
            if entry.start <= offset < entry.end:
                return int(entry.target)
        return None

    def only_tidies(target: int) -> bool:
        names = []
        for offset, instruction in instructions.items():
            if offset >= target:
                names.append(instruction.opname)
                if instruction.opname == "RERAISE":
                    break
        # A generator's: it makes another exception of a StopIteration.
        return set(names) <= TIDYING or "CALL_INTRINSIC_1" in names[:1]

    found = []
    for instruction in instructions.values():
        # Signals are looked for at it.
        if instruction.opname != "JUMP_BACKWARD" or handler(instruction.offset) is not None:
            continue
        around = handler(instruction.jump_target)
        while around is not None and only_tidies(around):
            around = handler(around)
        if around is not None:
            found.append(instruction.positions.lineno)
    return found


@pytest.mark.skipif(sys.version_info < (3, 13), reason="tells no targets of jumps")
def test_no_loop_in_a_with_or_try_can_be_left_past_it() -> None:
    # Since CPython 3.13 the compiler may give the head of a loop a second jump back to it, for
    # an `if` that is false, and leaves that jump out of the table of exceptions. What a signal
    # handler raises there passes by the `with` and the `finally` around the loop: its lock stays
    # taken. Such a loop goes into a function of its own, whose call is in the table.
    found = []
    for name in IN_THE_HOST:
        path = PACKAGE / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            top = compile(file.read_text(), str(file), "exec")
            for code in codes(top):
                where = f"{file.relative_to(PACKAGE)} {code.co_qualname}"
                found += [f"{where}, line {line}" for line in unguarded_jumps(code)]
    assert found == []
