"""The container that this process runs in, for the agent to find its tags.

The rules are those of the Agent's client libraries: the container id from
``/proc/self/cgroup`` or, if a cgroup namespace hides it, the inode of our cgroup.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from .host_signals import reraise_of_signal_handler

_UUID = r"[0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}"
_GARDEN = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){4}"  # Cloud Foundry
_CONTAINER = r"[0-9a-f]{64}"
_TASK = r"[0-9a-f]{32}-\d+"  # ECS Fargate
_LINE = r"(?m)^\d+:[^:]*:(.+)$"
_ID = rf"({_UUID}|{_CONTAINER}|{_TASK}|{_GARDEN})(?:\.scope(?:/[^/\s]+)?)?\s*$"
_PRINTABLE = r"[ -~]+\Z"

#: The inode of the host's own cgroup namespace, where the inode would identify the host.
_HOST_NAMESPACE = 0xEFFFFFFB


def identity_headers(environ: Mapping[str, str] | None = None, root: str = "/") -> dict[str, str]:
    """The headers that identify the container, as far as it is known; never raises.

    Args:
        environ: for ``DD_EXTERNAL_ENV``; None means the environment of the process.
        root: the root of the file system, for tests.
    """
    environ = os.environ if environ is None else environ
    headers = {}
    cgroups = _read(os.path.join(root, "proc/self/cgroup"))
    container = container_id(cgroups)
    if container:
        headers["Datadog-Container-ID"] = container
    inode = None if container else _cgroup_inode(cgroups, root)
    entity = f"ci-{container}" if container else f"in-{inode}" if inode else None
    if entity:
        headers["Datadog-Entity-ID"] = entity
    external = environ.get("DD_EXTERNAL_ENV", "").strip()
    if re.match(_PRINTABLE, external):
        headers["Datadog-External-Env"] = external
    return headers


def container_id(cgroups: str) -> str | None:
    """The container id in the text of ``/proc/self/cgroup``."""
    for path in re.findall(_LINE, cgroups):
        match = re.search(_ID, path)
        if match:
            return str(match.group(1))
    return None


def _cgroup_inode(cgroups: str, root: str) -> int | None:
    if inode_of(os.path.join(root, "proc/self/ns/cgroup")) == _HOST_NAMESPACE:
        return None
    lines = [line.split(":", 2) for line in cgroups.splitlines() if line.count(":") >= 2]
    # cgroup v1's memory controller before v2's only hierarchy.
    for mount in ("memory", ""):
        for _, controllers, path in lines:
            if mount in controllers.split(","):
                where = os.path.join(root, "sys/fs/cgroup", mount, path.strip().lstrip("/"))
                inode = inode_of(where)
                if inode and inode > 2:  # 1 and 2 are the root of a file system
                    return inode
    return None


def inode_of(path: str) -> int | None:
    try:
        return os.stat(path).st_ino
    except (OSError, ValueError) as error:
        reraise_of_signal_handler(error)
        return None


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(65536)
    except OSError as error:
        reraise_of_signal_handler(error)
        return ""
