"""What a process has open."""

from __future__ import annotations

import os
from pathlib import Path


def descriptors(pid: int | str = "self") -> list[str]:
    """What each descriptor leads to: the path of a file, or ``socket:[...]``."""
    targets = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            targets.append(os.readlink(link))
        except FileNotFoundError:
            pass  # closed meanwhile
    return targets
