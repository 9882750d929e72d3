"""The folder of a disk queue.

::

    FOLDER/lock                  held for moments, while one looks for what is left of others
    FOLDER/<process>/lock        held by that process for its life
    FOLDER/<process>/*.segment   its requests; see `segment`
    FOLDER/dead/                 dead letters, of all; see `dead_letters`
    FOLDER/requeued/             dead letters that are to be sent again
    FOLDER/set-aside/            damaged files, to be looked at

A process that starts makes a folder of its own, and adopts those whose process is gone, all
of them: what one of the dead had noted about the requests of another is then known. On a disk
without room for a folder it continues in one of those.
What else lies in FOLDER (``lost+found``, say) is nobody's business here.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ....errors import ConfigError
from .segment_files import SUFFIX, sync_folder

LOCK = "lock"
DEAD = "dead"
REQUEUED = "requeued"
SET_ASIDE = "set-aside"
_SHARED = (DEAD, REQUEUED, SET_ASIDE)
#: Of a process: when it began, in nanoseconds, and its id.
_PROCESS = re.compile(r"[0-9a-f]{16}-[0-9]+")
# No link leads to a file that is made, or a folder that is worked with, elsewhere.
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW


class LockedFolder:
    """A process's folder, locked."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def segments(self) -> list[Path]:
        return sorted(self.path.glob(f"*{SUFFIX}"))

    def release(self) -> None:
        """Release the lock, and leave the folder as it is."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> bool:
        """Remove it, if it holds nothing but its lock."""
        if any(path.name != LOCK for path in self.path.iterdir()):
            return False
        (self.path / LOCK).unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()
        self.release()
        return True


class QueueFolder:
    """The folder of a queue, for one process that works with it."""

    def __init__(self, path: Path) -> None:
        """Make what is not there.

        Raises:
            ConfigError: it can't be made or used.
        """
        self.path = path
        self.adopted: list[LockedFolder] = []
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _close_to_others(path)
            for name in _SHARED:
                (path / name).mkdir(mode=0o700, exist_ok=True)
            with _locked(path / LOCK):
                self.adopted = list(_lock_the_dead(path))
                self.own = self._make_own()
            sync_folder(path)
        except OSError as error:
            for folder_ in self.adopted:
                folder_.release()
            raise ConfigError(
                f"the queue's folder {str(path)!r:.200} can't be used: {error.strerror or error}; "
                "expected: a folder on a local disk that this user may write to"
            ) from None

    def _make_own(self) -> LockedFolder:
        try:
            return _new_folder(self.path)
        except OSError:  # a full disk: only what is delivered makes room on it
            if not self.adopted:
                raise
        own = self.adopted.pop()
        # For other workers that start. What they leave is adopted later; some of it may then be
        # delivered again, as what is noted about it is not all read at once.
        while self.adopted:
            self.adopted.pop().release()
        return own

    def adopt(self) -> list[LockedFolder]:
        """The folders of processes that ended since; OSError."""
        with _locked(self.path / LOCK):
            adopted = list(_lock_the_dead(self.path))
        self.adopted += adopted
        return adopted

    def leave_empty(self) -> None:
        """Remove those adopted folders of which nothing is left."""
        for folder in list(self.adopted):
            with suppress(OSError):
                if folder.remove():
                    self.adopted.remove(folder)

    def free(self) -> int:
        """Bytes left on the disk for us."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def set_aside(self, path: Path) -> Path:
        """Move a damaged file, with its WAL, out of the queue's folder."""
        target = self.path / SET_ASIDE
        for file in path.parent.glob(f"{path.name}*"):
            with suppress(OSError):
                file.rename(target / file.name)
        sync_folder(target)
        return target / path.name

    def close(self) -> None:
        """Give up the locks, and remove the folders that are empty."""
        for folder in (*self.adopted, self.own):
            with suppress(OSError):
                folder.remove()
            folder.release()


def _close_to_others(path: Path) -> None:
    """Let nobody but its user into a folder that was made before, with wider rights.

    Not into one in which anything else lies: `/var/lib`, given by mistake, has to stay open. Nor
    into one that is made to be shared (sticky), as `/tmp` is, though empty.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & stat.S_ISVTX or not mode & 0o077:
        return
    ours = {LOCK, *_SHARED, "lost+found"}
    if all(one.name in ours or _PROCESS.fullmatch(one.name) for one in path.iterdir()):
        with suppress(OSError):  # somebody else's; what is made in it is for its user only
            path.chmod(0o700)


@contextmanager
def holding_the_dead(path: Path) -> Iterator[list[LockedFolder]]:
    """The folders of processes that are gone, locked for a `with` block."""
    with _locked(path / LOCK):
        folders = list(_lock_the_dead(path))
        try:
            yield folders
        finally:
            for folder in folders:
                folder.release()


def process_folders(path: Path) -> list[Path]:
    """The folders in there of processes, living and dead; the oldest first."""
    return [
        folder
        for folder in sorted(path.iterdir())
        if _PROCESS.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink()
    ]


def _lock_the_dead(path: Path) -> Iterator[LockedFolder]:
    for folder in process_folders(path):
        locked = try_lock(folder)
        if locked is not None:
            yield locked


def try_lock(folder: Path) -> LockedFolder | None:
    """None if another process has it, or if it is gone."""
    try:
        descriptor = os.open(folder / LOCK, _LOCK_FLAGS, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its process may have removed it just before it let go.
        if os.stat(folder / LOCK).st_ino == os.fstat(descriptor).st_ino:
            return LockedFolder(folder, descriptor)
    except OSError:
        pass
    os.close(descriptor)
    return None


def _new_folder(path: Path) -> LockedFolder:
    folder = path / f"{time.time_ns():016x}-{os.getpid()}"
    folder.mkdir(mode=0o700)
    locked = try_lock(folder)
    if locked is None:
        raise OSError(f"{folder} can't be locked")
    return locked


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, _LOCK_FLAGS, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
