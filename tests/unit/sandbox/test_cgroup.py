"""Control groups: the files they are made of, in folders of our own, and real ones where the machine has them."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from emulator.sandbox.cgroup import Group, Place, find_group, folder_of, make_group, place_for_new_groups
from tests.support import eventually, require
from tests.unit.sandbox.busy import is_alive, own_group

MIB = 2**20


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder with the files of a group."""

    def make(name: str, **files: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for file, content in files.items():
            (folder / file.replace("__", ".")).write_text(content)
        return folder

    return make


# -- files -----------------------------------------------------------------------------------------------------


def test_a_process_is_moved_into_every_tree(tree: Callable[..., Path]) -> None:
    """One line in each ``cgroup.procs``."""
    folders = [tree(name) for name in "ufmc"]
    unified, freezer, memory, cpu = folders
    Group(Place(unified=unified, freezer=freezer, memory=memory, cpu=cpu), own=False).add(4711)
    assert [(folder / "cgroup.procs").read_text() for folder in folders] == ["4711"] * 4


def test_members_are_read_from_the_first_tree_there_is(tree: Callable[..., Path]) -> None:
    """All of them, one a line; an empty or vanished group has none."""
    assert Group(Place(unified=tree("u", cgroup__procs="1\n22\n333\n")), own=False).process_ids() == [1, 22, 333]
    assert Group(Place(freezer=tree("f", cgroup__procs="7\n")), own=False).process_ids() == [7]
    assert Group(Place(unified=tree("e", cgroup__procs="")), own=False).process_ids() == []
    assert Group(Place(unified=tree("none") / "gone"), own=False).process_ids() == []
    assert Group(Place(), own=False).process_ids() == []


def test_the_v1_memory_limit_leaves_no_swap(tree: Callable[..., Path]) -> None:
    """Memory first, then memory and swap together: the kernel refuses them in the other order."""
    folder = tree("m", memory__limit_in_bytes="-1", memory__memsw__limit_in_bytes="-1")
    Group(Place(memory=folder), own=False).limit_memory(128 * MIB)
    assert (folder / "memory.limit_in_bytes").read_text() == "134217728"
    assert (folder / "memory.memsw.limit_in_bytes").read_text() == "134217728"


def test_the_v2_memory_limit_leaves_no_swap(tree: Callable[..., Path]) -> None:
    """Where the group has the controller."""
    folder = tree("u", memory__max="max", memory__swap__max="max")
    Group(Place(unified=folder, unified_memory=True), own=False).limit_memory(128 * MIB)
    assert (folder / "memory.max").read_text() == "134217728"
    assert (folder / "memory.swap.max").read_text() == "0"


def test_without_a_memory_controller_nothing_is_limited_or_counted(tree: Callable[..., Path]) -> None:
    """The v2 side of a hybrid host has none; figures are zero and not wrong."""
    folder = tree("u")
    group = Group(Place(unified=folder), own=False)
    group.limit_memory(128 * MIB)
    assert list(folder.iterdir()) == []
    assert (group.peak_memory(), group.memory_in_use(), group.out_of_memory_kills()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("share", "v1", "v2"),
    [(0.0723, "7230", "7230 100000"), (None, "-1", "max 100000"), (2.0, "200000", "200000 100000"),
     (0.0001, "1000", "1000 100000")],
)  # fmt: skip
def test_a_cpu_share_is_a_quota_of_a_tenth_of_a_second(
    tree: Callable[..., Path], share: float | None, v1: str, v2: str
) -> None:
    """128 MiB buy 7.2 ms of every 100; the kernel takes no less than one."""
    old, new = tree("c", cpu__cfs_quota_us="-1"), tree("u", cpu__max="max 100000")
    assert Group(Place(cpu=old), own=False).limit_cpu(share)
    assert Group(Place(unified=new), own=False).limit_cpu(share)
    assert (old / "cpu.cfs_quota_us").read_text() == v1
    assert (new / "cpu.max").read_text() == v2


def test_a_cpu_share_that_cannot_be_set_is_told(tmp_path: Path) -> None:
    """No controller, or no group."""
    assert not Group(Place(), own=False).limit_cpu(1.0)
    assert not Group(Place(cpu=tmp_path / "gone"), own=False).limit_cpu(1.0)


def test_the_v1_figures_are_read_from_their_files(tree: Callable[..., Path]) -> None:
    """High-water mark, use, and kills for want of memory."""
    folder = tree(
        "m",
        memory__max_usage_in_bytes="37748736\n",
        memory__usage_in_bytes="1048576\n",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    )
    group = Group(Place(memory=folder), own=False)
    assert (group.peak_memory(), group.memory_in_use(), group.out_of_memory_kills()) == (36 * MIB, MIB, 2)


def test_the_v2_figures_are_read_from_their_files(tree: Callable[..., Path]) -> None:
    """The same three, under their newer names."""
    folder = tree(
        "u",
        memory__peak="37748736\n",
        memory__current="1048576\n",
        memory__events="low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 0\n",
    )
    group = Group(Place(unified=folder, unified_memory=True), own=False)
    assert (group.peak_memory(), group.memory_in_use(), group.out_of_memory_kills()) == (36 * MIB, MIB, 1)


def test_without_a_high_water_mark_the_highest_reading_counts(tree: Callable[..., Path]) -> None:
    """Kernels before 5.19 have no ``memory.peak``."""
    folder = tree("u", memory__current="3000\n")
    group = Group(Place(unified=folder, unified_memory=True), own=False)
    assert group.peak_memory() == 3000
    (folder / "memory.current").write_text("1000\n")
    assert group.peak_memory() == 3000


def test_a_peak_outlives_the_group(tree: Callable[..., Path]) -> None:
    """What was read once is known after the engine has removed the files."""
    folder = tree("m", memory__max_usage_in_bytes="5000")
    group = Group(Place(memory=folder), own=False)
    assert group.peak_memory() == 5000
    (folder / "memory.max_usage_in_bytes").unlink()
    assert group.peak_memory() == 5000


def test_what_is_forgotten_does_not_count_for_the_next_generation_v1(tree: Callable[..., Path]) -> None:
    """The high-water mark is set back in the kernel; of the kills only those that come afterwards count."""
    folder = tree("m", memory__max_usage_in_bytes="5000", memory__oom_control="oom_kill 2\n")
    group = Group(Place(memory=folder), own=False)
    assert (group.peak_memory(), group.out_of_memory_kills()) == (5000, 2)
    group.forget()
    assert (folder / "memory.max_usage_in_bytes").read_text() == "0"
    (folder / "memory.max_usage_in_bytes").write_text("1000")
    assert (group.peak_memory(), group.out_of_memory_kills()) == (1000, 0)
    (folder / "memory.oom_control").write_text("oom_kill 3\n")
    assert group.out_of_memory_kills() == 1
    group.forget()
    group.forget()
    assert group.out_of_memory_kills() == 0


def test_what_is_forgotten_does_not_count_for_the_next_generation_v2(tree: Callable[..., Path]) -> None:
    """The kernel's mark goes on there, so our own readings take its place."""
    folder = tree("u", memory__peak="5000\n", memory__current="4000\n", memory__events="oom 1\noom_kill 1\n")
    group = Group(Place(unified=folder, unified_memory=True), own=False)
    assert (group.peak_memory(), group.out_of_memory_kills()) == (5000, 1)
    group.forget()
    assert (folder / "memory.peak").read_text() == "5000\n"
    for current, peak in (("1000", 1000), ("3000", 3000), ("2000", 3000)):
        (folder / "memory.current").write_text(current)
        assert group.peak_memory() == peak
    assert group.out_of_memory_kills() == 0
    (folder / "memory.events").write_text("oom 3\noom_kill 3\n")
    assert group.out_of_memory_kills() == 2


def test_nothing_can_be_forgotten_where_nothing_is_counted(tmp_path: Path) -> None:
    """No controller, or files that are not ours to write or gone: that is no trouble."""
    Group(Place(), own=False).forget()
    group = Group(Place(memory=tmp_path / "gone"), own=False)
    group.forget()
    assert (group.peak_memory(), group.out_of_memory_kills()) == (0, 0)


@pytest.mark.parametrize("content", ["", "max\n", "garbage", "-1\n"])
def test_figures_that_are_none_are_zero(tree: Callable[..., Path], content: str) -> None:
    """Whatever a kernel writes where it has no number."""
    folder = tree("m", memory__usage_in_bytes=content, memory__oom_control=content)
    group = Group(Place(memory=folder), own=False)
    assert (group.memory_in_use(), group.out_of_memory_kills()) == (0, 0)


def test_groups_are_made_in_every_tree_and_removed_again(tree: Callable[..., Path]) -> None:
    """One folder of that name in each; removing twice is as once."""
    place = Place(unified=tree("u"), freezer=tree("f"), memory=tree("m"))
    group = make_group(place, "env-1")
    assert sorted(folder.relative_to(folder.parents[1]) for folder in group.folders()) == [
        Path("f/env-1"),
        Path("m/env-1"),
        Path("u/env-1"),
    ]
    assert all(folder.is_dir() for folder in group.folders())
    group.remove()
    assert not any(folder.exists() for folder in group.folders())
    group.remove()


def test_a_tree_that_refuses_leaves_nothing_in_the_others(tree: Callable[..., Path]) -> None:
    """All or nothing."""
    place = Place(unified=tree("u"), freezer=tree("f"))
    assert place.freezer is not None
    (place.freezer / "env-1").mkdir()
    with pytest.raises(FileExistsError):
        make_group(place, "env-1")
    assert place.unified is not None
    assert list(place.unified.iterdir()) == []


def test_groups_of_others_are_not_removed(tree: Callable[..., Path]) -> None:
    """A container's belong to its engine."""
    folder = tree("u")
    Group(Place(unified=folder), own=False).remove()
    assert folder.is_dir()


def test_a_group_that_stays_busy_is_an_error_when_patience_ends(tree: Callable[..., Path]) -> None:
    """It is not left behind silently."""
    folder = tree("u", busy="")
    with pytest.raises(OSError, match="not empty"):
        Group(Place(unified=folder), own=True).remove(patience=0.01)


# -- this machine ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trees", ["v2", "v1", "both"])
def test_a_process_is_found_where_it_was_put(trees: str) -> None:
    """Looking a process up leads to the very folders it was moved into; its children are born there."""
    with (
        own_group(v2=trees != "v1", v1=trees != "v2") as group,
        subprocess.Popen(
            ["sh", "-c", "read line; sleep 600 & wait"], stdin=subprocess.PIPE, start_new_session=True
        ) as sh,
    ):
        group.add(sh.pid)
        assert group.process_ids() == [sh.pid]
        found = find_group(sh.pid)
        assert not found.own
        if trees != "v1":
            assert found.place.unified == group.place.unified
        if trees != "v2":
            assert found.place.freezer == group.place.freezer
        assert sh.stdin is not None
        sh.stdin.write(b"\n")
        sh.stdin.flush()
        eventually(lambda: len(group.process_ids()) == 2, "the birth of a child in the group")
        group.kill()
        assert sh.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("tree_name", ["v2", "v1"])
def test_killing_a_group_leaves_nobody_in_it(tree_name: str) -> None:
    """Also of processes in sessions of their own; afterwards it can be removed at once."""
    with own_group(v2=tree_name == "v2", v1=tree_name == "v1") as group:
        processes = [subprocess.Popen(["sleep", "600"], start_new_session=True) for _ in range(3)]
        for process in processes:
            group.add(process.pid)
        group.kill()
        assert [process.wait(10) for process in processes] == [-signal.SIGKILL] * 3
        assert group.process_ids() == []
        group.remove()
        assert not any(folder.exists() for folder in group.folders())


@pytest.mark.parametrize(
    ("root", "path", "folder"),
    [
        ("/", "/docker/c1", "docker/c1"),
        ("/", "/", "."),
        ("/docker/us", "/docker/us/inner", "inner"),
    ],
)
def test_a_group_is_found_below_its_mount(tmp_path: Path, root: str, path: str, folder: str) -> None:
    """The part of the tree that is mounted is left out of the path."""
    assert folder_of(tmp_path, root, path) == tmp_path / folder


def test_a_group_is_found_from_within_a_namespace_of_control_groups(tmp_path: Path) -> None:
    """The names above our own group are not told there: they are those of the folder that has us in it."""
    for name in ("a.slice/them.scope", "b.slice/us.scope", "b.slice/them.scope"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "cgroup.procs").write_text(f"1\n{os.getpid()}\n" if "us" in name else "1\n")
    assert folder_of(tmp_path, "/../..", "/../them.scope") == tmp_path / "b.slice" / "them.scope"
    assert folder_of(tmp_path, "/../..", "/../../a.slice/them.scope") == tmp_path / "a.slice" / "them.scope"
    assert folder_of(tmp_path, "/../..", "/") == tmp_path / "b.slice" / "us.scope"
    assert folder_of(tmp_path, "/..", "/../b.slice") is None


def test_a_process_that_is_gone_is_in_no_group() -> None:
    """Looking it up is no error."""
    assert find_group(2**22 + 1).folders() == []


def test_groups_can_be_made_where_it_is_said_that_they_can() -> None:
    """The answer holds for every tree in it, and trying leaves nothing behind."""
    place = place_for_new_groups()
    require(place != Place(), "No control group can be made here.", "Run as root, or delegate one.")
    folders = [folder for folder in (place.unified, place.freezer, place.memory) if folder is not None]
    group = make_group(place, f"lambda-freezer-test-{secrets.token_hex(4)}")
    assert [folder.parent for folder in group.folders()] == folders
    group.remove()
    assert not [left for folder in folders for left in folder.glob(f"lambda-freezer-trial-{os.getpid()}*")]


def test_a_process_over_its_memory_limit_is_killed_and_counted() -> None:
    """The kernel's own count is how an exit is known to be one for want of memory."""
    place = place_for_new_groups()
    require(
        place.memory is not None or place.unified_memory,
        "The memory controller cannot be used here.",
        "Run as root, or delegate it.",
    )
    only = Place(unified=place.unified if place.unified_memory else None,
                 unified_memory=place.unified_memory, memory=place.memory)  # fmt: skip
    group = make_group(only, f"lambda-freezer-test-{secrets.token_hex(4)}")
    program = "import sys; sys.stdin.read(); bytearray(64 << 20)"
    try:
        group.limit_memory(24 * MIB)
        with subprocess.Popen([sys.executable, "-I", "-S", "-c", program], stdin=subprocess.PIPE) as process:
            group.add(process.pid)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(20) == -signal.SIGKILL
        assert not is_alive(process.pid)
        assert group.out_of_memory_kills() == 1
        assert 8 * MIB < group.peak_memory() <= 24 * MIB
    finally:
        group.remove()
