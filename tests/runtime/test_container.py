from __future__ import annotations

from pathlib import Path

import pytest

from livedebug_sender.runtime.container import container_id, identity_headers

ID = "3726184226f5d3147c25fdeab5b60097e378e8a720503a5e19ecfdf29f869860"
TASK = "34dc0b5e626f2c5c4c5170e34b10e765-1234567890"
UUID = "6f265890-5165-7fab-6b52-18d1cdd5aa5a"
GARDEN = "6f265890-5165-7fab-6b52-18d1"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (f"13:name=systemd:/docker/{ID}", ID),
        (f"1:name=systemd:/kubepods.slice/x.slice/cri-containerd-{ID}.scope", ID),
        (f"0::/system.slice/docker-{ID}.scope/init", ID),
        (f"1:cpu:/ecs/55091c13-b8cf-4801-b527-f4601742204d/{ID}", ID),
        (f"1:name=systemd:/ecs/34dc0b5e626f2c5c4c5170e34b10e765/{TASK}", TASK),
        (f"0::/garden/{UUID}", UUID),
        (f"0::/{GARDEN}", GARDEN),
        ("0::/", None),
        ("0::/user.slice/session-1.scope", None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_the_container_id_is_at_the_end_of_a_cgroup_path(line: str, found: str | None) -> None:
    assert container_id(f"12:pids:/\n{line}\n") == found


def root_with(tmp_path: Path, cgroups: str, *directories: str) -> str:
    (tmp_path / "proc/self/ns").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(cgroups)
    for directory in directories:
        (tmp_path / "sys/fs/cgroup" / directory).mkdir(parents=True)
    return str(tmp_path)


def test_a_container_id_makes_both_headers(tmp_path: Path) -> None:
    root = root_with(tmp_path, f"0::/docker/{ID}\n")
    assert identity_headers({}, root) == {
        "Datadog-Container-ID": ID,
        "Datadog-Entity-ID": f"ci-{ID}",
    }


def test_without_an_id_the_inode_of_the_memory_cgroup_is_told(tmp_path: Path) -> None:
    root = root_with(tmp_path, "0::/x\n5:cpu,memory:/\n", "memory", "x")
    inode = (tmp_path / "sys/fs/cgroup/memory").stat().st_ino
    assert identity_headers({}, root) == {"Datadog-Entity-ID": f"in-{inode}"}


def test_with_cgroups_v2_it_is_the_inode_of_the_one_hierarchy(tmp_path: Path) -> None:
    root = root_with(tmp_path, "0::/x\n", "x")
    inode = (tmp_path / "sys/fs/cgroup/x").stat().st_ino
    assert identity_headers({}, root) == {"Datadog-Entity-ID": f"in-{inode}"}


def test_in_the_hosts_own_namespace_no_inode_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = root_with(tmp_path, "0::/x\n", "x")
    monkeypatch.setattr("livedebug_sender.runtime.container.inode_of", lambda path: 0xEFFFFFFB)
    assert identity_headers({}, root) == {}


def test_a_system_without_cgroups_tells_nothing(tmp_path: Path) -> None:
    assert identity_headers({}, str(tmp_path / "nothing")) == {}


@pytest.mark.parametrize(("given", "told"), [(" it-false,cn-x,pu-1\n", True), ("a\r\nX: y", False)])
def test_the_external_environment_goes_along_if_it_can_be_a_header(
    tmp_path: Path, given: str, told: bool
) -> None:
    headers = identity_headers({"DD_EXTERNAL_ENV": given}, str(tmp_path / "nothing"))
    assert headers == ({"Datadog-External-Env": given.strip()} if told else {})
