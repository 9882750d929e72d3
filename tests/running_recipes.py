"""Loads and runs the programs of docs/recipes."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

PROGRAMS = Path(__file__).parents[1] / "docs" / "recipes" / "programs"
PATIENCE = 40.0


def environ_for(url: str) -> dict[str, str]:
    """The environment of a process whose sender is to send to `url`, an agent's."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("DD_")}
    path = os.pathsep.join([str(PROGRAMS), *sys.path])
    return {**others, "DD_TRACE_AGENT_URL": url, "PYTHONPATH": path}


def load(program: str) -> ModuleType:
    """A program as a fresh module, in this process."""
    spec = importlib.util.spec_from_file_location(f"recipe_{program}", PROGRAMS / f"{program}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def messages(elements: list[Any]) -> list[str]:
    return [element["message"] for element in elements]
