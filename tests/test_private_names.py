"""The package leans on private names of others only where a test says that they are gone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import livedebug_sender

ROOT = Path(livedebug_sender.__file__).parent
TESTS = Path(__file__).parent

#: Not private, whatever they look like: each is in the documentation of what it belongs to.
DOCUMENTED = {
    "os._exit",
    "sys._current_frames",
    "_is_gil_enabled",  # of sys, since 3.13
    "_thread",
    "_proxy",  # the end of a variable's name
    "_type",  # a key of a remote configuration's JSON
    *(
        f"kafka.KafkaError.{code}"
        for code in (
            "_ALL_BROKERS_DOWN",
            "_NO_OFFSET",
            "_PARTITION_EOF",
            "_RESOLVE",
            "_TIMED_OUT",
            "_TRANSPORT",
        )
    ),
}
#: Private ones that have no public name, and the test that fails when one goes.
GUARDED = {
    "_frozen_importlib": (
        "runtime/test_lazy_import.py",
        "test_importlib_has_the_private_names_that_a_fork_in_the_middle_of_an_import_needs",
    ),
    "_initializing": (
        "runtime/test_lazy_import.py",
        "test_importlib_has_the_private_names_that_a_fork_in_the_middle_of_an_import_needs",
    ),
    "_module_locks": (
        "runtime/test_lazy_import.py",
        "test_importlib_has_the_private_names_that_a_fork_in_the_middle_of_an_import_needs",
    ),
    "_threads": (
        "runtime/test_threads.py",
        "test_executors_have_the_private_names_by_which_their_threads_are_not_joined",
    ),
    "_threads_queues": (
        "runtime/test_threads.py",
        "test_executors_have_the_private_names_by_which_their_threads_are_not_joined",
    ),
}


@cache  # and not at the import, which every process of a run makes
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text("utf-8")) for path in sorted(ROOT.rglob("*.py"))}


def is_private(name: str) -> bool:
    return bool(re.fullmatch(r"_[A-Za-z]\w*", name))


@cache
def names_made_in(tree: ast.AST) -> set[str]:
    """What a module itself defines or assigns."""
    made: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            made.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            made.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            # Of anything else than `self` it may be theirs.
            made |= {node.attr} if ast.unparse(node.value) in ("self", "cls") else set()
    return made


@cache
def made_here() -> set[str]:
    return set().union(*map(names_made_in, trees().values()))


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [part for alias in node.names for part in alias.name.split(".")]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [*(node.module or "").split("."), *(alias.name for alias in node.names)]
    return []


def private_names_of_others(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Attributes, imports, and names in strings (of `getattr`, of a module's `vars`)."""
    own = names_made_in(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            # What `self` has may have been made by a base class in another module.
            ours = made_here() if ast.unparse(node.value) in ("self", "cls") else own
            if node.attr not in ours | {"_replace"}:  # that of named tuples, which is public
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Constant) and re.fullmatch(r"_[a-z]\w*", str(node.value)):
            text = str(node.value)
            if text not in own and "livedebug" not in text:
                yield node.lineno, text
        for name in filter(is_private, imported(node)):
            yield getattr(node, "lineno", 0), name


@cache
def used() -> dict[str, str]:
    """The private names of others that the package uses, each with a place."""
    return {
        name: f"{path.relative_to(ROOT)}:{line}"
        for path, tree in trees().items()
        for line, name in private_names_of_others(tree)
    }


def test_no_private_name_of_others_is_used_that_no_test_guards() -> None:
    found = {
        f"{place}: {name}"
        for name, place in used().items()
        if name not in DOCUMENTED | GUARDED.keys()
    }
    assert not found, (
        "a private name of another's: use a public one, or guard it by a test (GUARDED); what is "
        "none after all is for DOCUMENTED"
    )


def test_a_private_name_that_is_guarded_is_in_use_and_its_test_there() -> None:
    for name, (file, test) in GUARDED.items():
        assert name in used(), f"{name} is used no more: take it off this list, and its test away"
        assert f"def {test}(" in (TESTS / file).read_text("utf-8")


@pytest.mark.parametrize(
    "source",
    [
        "import http.client\nhttp.client.HTTPResponse._read_status",
        "prepared._cookies = None",
        "class A(Foreign):\n    def f(self):\n        return self._pool",
        "from urllib3.connectionpool import _normalize_host",
        "import urllib3._collections",
        "getattr(response, '_check_close', None)",
    ],
)
def test_the_look_at_private_names_finds_one(source: str) -> None:
    assert list(private_names_of_others(ast.parse(source)))
