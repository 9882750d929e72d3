"""The page for newcomers names files and functions that are there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import livedebug_sender

PACKAGE = Path(livedebug_sender.__file__).parent
PAGE = Path(__file__).parent.parent / "docs" / "architecture.rst"
ROW = re.compile(r"^   \* - (.+)\n     - ``([\w/]+\.py)``\n     - (.+)$", re.MULTILINE)


def names_in(tree: ast.AST, prefix: str = "") -> Iterator[str]:
    """What a module or a class defines, methods and attributes by their class's name."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from names_in(node, f"{prefix}{node.name}.")
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))


def test_where_is_what_names_files_and_functions_that_exist() -> None:
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    missing = []
    for behaviour, file, names in rows:
        path = PACKAGE / file
        defined = set(names_in(ast.parse(path.read_text("utf-8")))) if path.is_file() else set()
        missing += [
            f"{behaviour}: {file} {name}"
            for name in re.findall(r"``([\w.]+)``", names)
            if name not in defined
        ]
    assert missing == []
    assert len({behaviour for behaviour, _, _ in rows}) >= 30


def test_every_package_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8") + PAGE.with_suffix(".svg").read_text(encoding="utf-8")
    packages = [path.parent.name for path in PACKAGE.glob("*/__init__.py")]
    assert [name for name in packages if f"{name}/" not in page] == []
