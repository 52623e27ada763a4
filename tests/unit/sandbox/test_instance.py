"""The identity of an emulator: what it owns, and how others tell that it has gone."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from emulator.sandbox.instance import Instance, is_abandoned, owner_of_this_process, sweep_folders


def started_at(pid: int) -> str:
    """Field 22 of the kernel's line about a process; its name is ``cat`` here, without blanks."""
    return Path(f"/proc/{pid}/stat").read_text().split()[21]


def changed(**parts: object) -> str:
    """This process's own name with some parts replaced."""
    names = ("machine", "boot", "namespace", "pid", "start")
    own = dict(zip(names, owner_of_this_process().split("/"), strict=True))
    return "/".join(str(value) for value in (own | parts).values())


def test_a_living_owner_has_abandoned_nothing() -> None:
    """Neither this process nor another one that runs."""
    assert not is_abandoned(owner_of_this_process())
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        assert not is_abandoned(changed(pid=other.pid, start=started_at(other.pid)))


def test_a_dead_owner_has_abandoned_what_it_had() -> None:
    """The number of its process is nobody's any more."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        owner = changed(pid=other.pid, start=started_at(other.pid))
    assert is_abandoned(owner)


def test_a_number_that_another_process_has_now_is_not_the_owner() -> None:
    """The moment of the start tells them apart."""
    assert is_abandoned(changed(start="1"))


def test_an_owner_from_before_the_last_boot_is_gone() -> None:
    """Whoever has its number now."""
    assert is_abandoned(changed(boot="00000000-0000-4000-8000-000000000000"))


@pytest.mark.parametrize("part", ["machine", "namespace"])
def test_an_owner_who_cannot_be_looked_up_from_here_keeps_everything(part: str) -> None:
    """Another machine on a shared engine, or an emulator in a container: the benefit of the doubt."""
    assert not is_abandoned(changed(**{part: "elsewhere", "pid": 2**22 + 1}))


@pytest.mark.parametrize("owner", ["", "somebody", "a/b/c/d", "a/b/c/d/e/f", "\n"])
def test_what_is_no_owner_of_ours_keeps_everything(owner: str) -> None:
    """A label that we did not write says nothing."""
    assert not is_abandoned(owner)


def test_an_instance_has_a_private_folder_that_names_its_owner() -> None:
    """Only we may look into it; it goes with the instance, whatever is in it."""
    with Instance() as instance:
        assert stat.S_IMODE(instance.folder.stat().st_mode) == 0o700
        assert (instance.folder / "owner").read_text() == owner_of_this_process()
        assert instance.id in instance.folder.name
        (instance.folder / "deep" / "down").mkdir(parents=True)
    assert not instance.folder.exists()


def test_two_instances_share_nothing() -> None:
    """Also in one process."""
    with Instance() as first, Instance() as second:
        assert first.id != second.id
        assert first.folder != second.folder


def test_labels_tell_which_emulator_and_whose_process() -> None:
    """So that the next start can sweep what a killed one left in the engine."""
    with Instance() as instance:
        assert instance.labels == {
            "lambda-freezer.instance": instance.id,
            "lambda-freezer.owner": owner_of_this_process(),
        }


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o777])
def test_a_folder_has_the_mode_that_was_asked_for(mode: int) -> None:
    """Whatever the umask of the user says."""
    before = os.umask(0o077)
    try:
        with Instance() as instance:
            folder = instance.make_folder("env-1", mode)
            assert folder == instance.folder / "env-1"
            assert stat.S_IMODE(folder.stat().st_mode) == mode
    finally:
        os.umask(before)


def test_the_next_start_sweeps_what_a_killed_emulator_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else: not a living one's, not one that is just starting, not somebody else's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Instance() as living:
        dead, starting, other = (tmp_path / f"{name}-x" for name in ("lambda-freezer-1", "lambda-freezer-2", "other"))
        for folder in (dead, starting, other):
            folder.mkdir()
        (dead / "owner").write_text(changed(start="1"))
        (other / "owner").write_text(changed(start="1"))
        assert sweep_folders() == [dead]
        assert sorted(tmp_path.iterdir()) == sorted([living.folder, starting, other])
