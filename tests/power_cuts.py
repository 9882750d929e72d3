"""A disk whose power is cut: what may be on it after any of the calls that were recorded.

A sync makes what was written to its file before it began durable, and only that; a sync of
a folder the same of its names. Of the rest each write may be there, or not, or be torn at a
sector, in any combination.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SECTOR = 512
SOURCE = Path(__file__).with_name("disk_calls.c")


class Call(NamedTuple):
    name: str
    offset: int
    path: str
    data: bytes


def compiled(folder: Path) -> Path | None:
    """The library to preload; None without a compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "disk_calls.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run([*command, "-lpthread"], check=True)
    return library


def preloaded(library: Path, folder: Path, log: Path | None, sync_us: int = 0) -> dict[str, str]:
    """The environment of a process to be recorded."""
    variables = {"LD_PRELOAD": str(library), "DISK_CALLS_SYNC_US": str(sync_us)}
    if log is not None:
        variables |= {"DISK_CALLS_FOLDER": str(folder), "DISK_CALLS_LOG": str(log)}
    return {**os.environ, **variables}


def read_calls(log: Path) -> list[Call]:
    calls = []
    contents = log.read_bytes()
    place = 0
    while place < len(contents):
        end = contents.index(b"\n", place)
        name, offset, size, path = contents[place:end].decode().split(" ", 3)
        place = end + 1 + int(size)
        calls.append(Call(name, int(offset), path, contents[end + 1 : place]))
    return calls


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    #: What is not synced, in order.
    pending: list[Call] = field(default_factory=list)
    #: How much of that was there when each sync that is under way began.
    syncing: list[int] = field(default_factory=list)


class Disk:
    def __init__(self) -> None:
        self._names: dict[str, _File] = {}
        self._durable_names: dict[str, _File] = {}
        self._folders: set[str] = set()

    def do(self, call: Call) -> None:
        names = self._names
        if call.name == "mkdir":
            self._folders.add(call.path)
        elif call.name == "create":
            names[call.path] = _File()
        elif call.name == "unlink":
            names.pop(call.path, None)
        elif call.name == "rename":
            if call.path in names:
                names[call.data.decode()] = names.pop(call.path)
        elif call.path not in names:
            if call.name == "sync":  # of a folder
                self._sync_names(call.path)
        elif call.name == "begin-sync":
            names[call.path].syncing.append(len(names[call.path].pending))
        elif call.name == "sync":
            self._sync(names[call.path])
        else:
            names[call.path].pending.append(call)

    def cut(self, into: Path, choices: random.Random, share: float) -> None:
        """Write what the disk may hold now.

        Args:
            share: of what is not durable, how much is there.
        """
        for folder in self._folders:
            (into / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
        names = {}
        for name in self._names.keys() | self._durable_names.keys():
            source = self._names if choices.random() < share else self._durable_names
            if name in source:
                names[name] = source[name]
        for name, file in names.items():
            contents = bytearray(file.durable)
            for call in file.pending:
                if choices.random() < share:
                    _apply(contents, _torn(call, choices) if 0 < share < 1 else call)
            target = into / name.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(contents)

    def _sync(self, file: _File) -> None:
        count = file.syncing.pop(0) if file.syncing else 0
        for call in file.pending[:count]:
            _apply(file.durable, call)
        del file.pending[:count]
        file.syncing = [max(0, other - count) for other in file.syncing]

    def _sync_names(self, folder: str) -> None:
        for names in (self._names, self._durable_names):
            for name in list(names):
                if os.path.dirname(name) == folder.rstrip("/"):
                    if name in self._names:
                        self._durable_names[name] = self._names[name]
                    else:
                        self._durable_names.pop(name, None)


def _apply(contents: bytearray, call: Call) -> None:
    if call.name == "truncate":
        del contents[call.offset :]
        contents.extend(bytes(call.offset - len(contents)))
        return
    end = call.offset + len(call.data)
    contents.extend(bytes(max(0, end - len(contents))))
    contents[call.offset : end] = call.data


def _torn(call: Call, choices: random.Random) -> Call:
    """Some of its sectors, from the first on; mostly all."""
    if call.name != "write" or choices.random() < 0.7:
        return call
    sectors = choices.randint(0, len(call.data) // SECTOR)
    return call._replace(data=call.data[: sectors * SECTOR])
