"""The files of a segment: their names, and what is done to them as files."""

from __future__ import annotations

import os
import secrets
import stat
import time
from pathlib import Path

SUFFIX = ".segment"


def number_of(path: Path) -> int:
    """The number of a file; ValueError if its name is none of a segment."""
    return int(path.name.removesuffix(SUFFIX), 16)


def new_segment_path(folder: Path) -> Path:
    """A name that no other segment has, and that sorts after those from before."""
    number = time.time_ns() // 1000 << 12 | secrets.randbelow(1 << 12)
    return folder / f"{number:016x}{SUFFIX}"


def wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def remove_segment(path: Path) -> None:
    # In this order: a WAL without its database is nothing, a database without its WAL
    # would be one that lacks what was committed last.
    path.unlink(missing_ok=True)
    wal_of(path).unlink(missing_ok=True)


def is_plain(path: Path) -> bool:
    """Are a segment and its WAL files, neither links nor pipes, at which a start would hang?"""
    return all(
        stat.S_ISREG(found.lstat().st_mode)
        for found in (path, wal_of(path))
        if os.path.lexists(found)
    )


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that the names in it are durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
