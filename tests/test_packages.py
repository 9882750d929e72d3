"""Packages say what is in them and what they import; tests leave their privates alone."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import livedebug_sender

ROOT = Path(livedebug_sender.__file__).parent
PACKAGES = sorted(path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("*/__init__.py"))
IMPORTS = re.compile(r"Imports?: (.+?)\.(?:\s|\Z)", re.DOTALL)


def imported_by(package: str) -> set[str]:
    """What the modules of a package import of the others, at any place, also by name."""
    found: set[str] = set()
    for path in (ROOT / package).rglob("*.py"):
        depth = len(path.relative_to(ROOT).parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == depth:
                names = [node.module] if node.module else [alias.name for alias in node.names]
                found |= {name.partition(".")[0] for name in names}
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                late = re.fullmatch(r"livedebug_sender\.(\w+)(?:\.\w+)*", node.value)
                found |= {late[1]} if late else set()
    ours = {path.stem for path in ROOT.iterdir()}  # a string may be a logger's name
    return (found & ours) - {package}


def docstring_of(package: str) -> str:
    return ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text("utf-8"))) or ""


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_what_it_imports(package: str) -> None:
    said = IMPORTS.search(docstring_of(package))
    assert said, f"{package}/__init__.py: a docstring with 'Imports: a, b.' is missing"
    names = set() if said[1] == "nothing of this library" else set(re.findall(r"\w+", said[1]))
    assert names == imported_by(package)


@pytest.mark.parametrize("package", ["protocol", "transport", "delivery", "runtime"])
def test_a_package_of_the_library_names_each_of_its_modules(package: str) -> None:
    named = set(re.findall(r"``(\w+)``", docstring_of(package)))
    modules = {path.stem for path in (ROOT / package).glob("*.py")} - {"__init__"}
    assert modules - named == set()
    assert set(re.findall(r"^``(\w+)``", docstring_of(package), re.MULTILINE)) <= modules


def test_no_test_patches_a_private_name() -> None:
    """That none uses one is looked at by ruff (SLF001), which does not see names in strings."""
    patched = [
        f"{path.name}:{call.lineno}: {name.value}"
        for path in Path(__file__).parent.rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith(("setattr", "patch"))
        for name in call.args[:2]
        if isinstance(name, ast.Constant) and re.search(r"(?:^|\.)_(?!_)\w+$", str(name.value))
    ]
    assert patched == []


def test_the_program_for_type_checkers_uses_every_public_name() -> None:
    program = ast.parse((Path(__file__).parent / "typing" / "program.py").read_text("utf-8"))
    names = [node.id for node in ast.walk(program) if isinstance(node, ast.Name)]
    attributes = [node.attr for node in ast.walk(program) if isinstance(node, ast.Attribute)]
    assert set(livedebug_sender.__all__) - {*names, *attributes} == set()


def words_printed_by(program: str) -> list[str]:
    """What a program prints in an interpreter of its own, which has loaded nothing yet."""
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run(
        [sys.executable, "-S", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=environ,
    ).stdout.split()


def test_the_import_of_the_package_loads_nothing_large() -> None:
    loaded = words_printed_by("import sys, livedebug_sender; print(*sys.modules)")
    large = {"requests", "urllib3", "tenacity", "ssl", "socket", "json", "tempfile", "asyncio"}
    assert large.isdisjoint(loaded)


def test_the_import_of_the_package_loads_nothing_that_only_a_sender_at_work_needs() -> None:
    loaded = words_printed_by("import sys, livedebug_sender; print(*sys.modules)")
    at_work = ("transport", "delivery.engine", "runtime.log_limiter", "runtime.fork", "stats")
    assert {f"livedebug_sender.{name}" for name in at_work}.isdisjoint(loaded)


def test_every_public_name_is_listed_before_it_is_loaded() -> None:
    listed = words_printed_by("import livedebug_sender; print(*dir(livedebug_sender))")
    assert set(livedebug_sender.__all__) - set(listed) == set()
