"""Control groups: finding them, making them, and the few figures we read from them.

Three layouts exist: only v2 ("unified"), only v1, and the hybrid one, where v1 controllers sit beside a v2
tree that has none. Freezing is a core feature of v2 and works in all trees; memory needs its controller.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Group", "Place", "find_group", "folder_of", "make_group", "place_for_new_groups"]

_UNLIMITED = 1 << 62


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process is, or new groups may go, in each tree; ``None`` where there is no such tree.

    Attributes:
        unified: folder in the v2 tree.
        unified_memory: whether groups made below ``unified`` have the memory controller.
        freezer, memory, cpu: folders in the v1 trees of these controllers.
    """

    unified: Path | None = None
    unified_memory: bool = False
    freezer: Path | None = None
    memory: Path | None = None
    cpu: Path | None = None


@dataclass(slots=True)
class Group:
    """One environment's control groups, a folder in each tree that we may use.

    ``own`` groups were made by us and are removed by :meth:`remove`; a container's belong to its engine.
    """

    place: Place
    own: bool
    _peak: int = field(default=0, init=False)
    _peak_counter: int = field(default=-1, init=False)  # descriptor: it is read once an invocation
    _kills_before: int = field(default=0, init=False)
    _begun_anew: bool = field(default=False, init=False)

    def add(self, pid: int) -> None:
        """Move a process in; what it starts from then on is born inside."""
        for folder in self._folders():
            (folder / "cgroup.procs").write_text(str(pid))

    def process_ids(self) -> list[int]:
        """Every process inside, children and children's children included."""
        for folder in (self.place.unified, self.place.freezer, self.place.memory):
            if folder is not None:
                try:
                    pids = [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]
                    # One that our own process namespace does not have shows as 0, which to kill() means ourselves.
                    return [pid for pid in pids if pid]
                except OSError:
                    return []
        return []

    def limit_memory(self, size: int) -> None:
        """At most ``size`` bytes, no swap on top."""
        if self.place.memory is not None:
            (self.place.memory / "memory.limit_in_bytes").write_text(str(size))
            with contextlib.suppress(OSError):  # absent where swap is not accounted
                (self.place.memory / "memory.memsw.limit_in_bytes").write_text(str(size))
        elif self.place.unified is not None and self.place.unified_memory:
            (self.place.unified / "memory.max").write_text(str(size))
            with contextlib.suppress(OSError):
                (self.place.unified / "memory.swap.max").write_text("0")

    def limit_cpu(self, share: float | None) -> bool:
        """At most ``share`` CPUs (``None``: as many as there are); whether that could be set here."""
        period = 100_000
        quota = -1 if share is None else max(1_000, int(share * period))
        try:
            if self.place.cpu is not None:
                (self.place.cpu / "cpu.cfs_quota_us").write_text(str(quota))
            elif self.place.unified is not None:
                (self.place.unified / "cpu.max").write_text(f"{'max' if quota < 0 else quota} {period}")
            else:
                return False
        except OSError:
            return False
        return True

    def peak_memory(self) -> int:
        """The most bytes that the group ever held at once; 0 where nothing counts it."""
        if self.place.memory is not None:
            self._peak = max(self._peak, self._counted(self.place.memory, "memory.max_usage_in_bytes"))
        elif self.place.unified is not None and self.place.unified_memory:
            # memory.peak came with Linux 5.19; before, the highest of our own readings must do.
            # It goes on after forget(): only the newest kernels can set it back.
            counted = 0 if self._begun_anew else self._counted(self.place.unified, "memory.peak")
            reading = counted or self.memory_in_use()
            self._peak = max(self._peak, reading)
        return self._peak

    def _counted(self, folder: Path, counter: str) -> int:
        try:
            if self._peak_counter < 0:
                self._peak_counter = os.open(folder / counter, os.O_RDONLY | os.O_CLOEXEC)
            return min(int(os.pread(self._peak_counter, 32, 0)), _UNLIMITED)
        except (OSError, ValueError):  # older kernels do not have it; a group that is gone has none any more
            return 0

    def close(self) -> None:
        """No more figures are read; what the group is to its processes stays."""
        if self._peak_counter >= 0:
            os.close(self._peak_counter)
            self._peak_counter = -1

    def memory_in_use(self) -> int:
        if self.place.memory is not None:
            return _number(self.place.memory / "memory.usage_in_bytes")
        if self.place.unified is not None and self.place.unified_memory:
            return _number(self.place.unified / "memory.current")
        return 0

    def forget(self) -> None:
        """Begin the account of memory anew."""
        self._peak = 0
        self._begun_anew = True
        self._kills_before += self.out_of_memory_kills()
        if self.place.memory is not None:
            with contextlib.suppress(OSError):
                (self.place.memory / "memory.max_usage_in_bytes").write_text("0")

    def out_of_memory_kills(self) -> int:
        """How often the kernel ended a process of this group for want of memory, since it was last forgotten."""
        if self.place.memory is not None:
            return _named_number(self.place.memory / "memory.oom_control", "oom_kill") - self._kills_before
        if self.place.unified is not None and self.place.unified_memory:
            return _named_number(self.place.unified / "memory.events", "oom_kill") - self._kills_before
        return 0

    def kill(self) -> None:
        """SIGKILL for every process inside, until none is left. A v1 freezer must be thawed before."""
        if self.place.unified is not None:
            try:
                (self.place.unified / "cgroup.kill").write_text("1")  # Linux 5.14
            except OSError:
                pass
            else:
                return
        while pids := self.process_ids():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            time.sleep(0.001)

    def remove(self, patience: float = 2.0) -> None:
        """Remove our own folders; they are busy until the last process has been reaped."""
        if not self.own:
            return
        deadline = time.monotonic() + patience
        for folder in self._folders():
            while True:
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.002)
                else:
                    break

    def folders(self) -> list[Path]:
        """All folders, for who must clean up without this object."""
        return list(self._folders())

    def _folders(self) -> Iterator[Path]:
        for folder in (self.place.unified, self.place.freezer, self.place.memory, self.place.cpu):
            if folder is not None:
                yield folder


def find_group(pid: int) -> Group:
    """The groups that a running process (a container's first one) is in; empty where they are not visible.

    A process that ends while we look has none.
    """
    return Group(_place_of(pid), own=False)


def place_for_new_groups() -> Place:
    """Where this process may make groups for its children, in each tree; ``None`` where it may not."""
    here = _place_of(os.getpid())
    unified, unified_memory = None, False
    if here.unified is not None:
        # A group with processes of its own cannot hand the memory controller on to children, and ours has
        # us in it. The root may, and systemd has it do so; there we need to be root ourselves.
        root = _mounts().get("unified", (None, ""))[0]
        if root is not None and _can_make(root) and "memory" in _text(root / "cgroup.subtree_control").split():
            unified, unified_memory = root, True
        elif _can_make(here.unified):
            unified = here.unified
    return Place(
        unified=unified,
        unified_memory=unified_memory,
        freezer=_if_usable(here.freezer),
        memory=_if_usable(here.memory),
    )


def make_group(place: Place, name: str) -> Group:
    """A folder called ``name`` in every tree of ``place``.

    Raises:
        OSError: a tree that seemed usable is not; what was made is removed again.
    """
    made: list[Path] = []

    def below(parent: Path | None) -> Path | None:
        if parent is None:
            return None
        folder = parent / name
        folder.mkdir()
        made.append(folder)
        return folder

    try:
        return Group(
            Place(
                unified=below(place.unified),
                unified_memory=place.unified_memory,
                freezer=below(place.freezer),
                memory=below(place.memory),
            ),
            own=True,
        )
    except OSError:
        for folder in made:
            folder.rmdir()
        raise


def _place_of(pid: int) -> Place:
    mounts = _mounts()
    found: dict[str, Path] = {}
    for line in _text(Path(f"/proc/{pid}/cgroup")).splitlines():
        number, controllers, path = line.split(":", 2)
        for tree in ["unified"] if number == "0" else controllers.split(","):
            if tree in mounts:
                folder = folder_of(*mounts[tree], path)
                if folder is not None and folder.is_dir():
                    found[tree] = folder
    unified = found.get("unified")
    return Place(
        unified=unified,
        unified_memory=unified is not None and (unified / "memory.current").exists(),
        freezer=found.get("freezer"),
        memory=found.get("memory"),
        cpu=found.get("cpu"),
    )


def folder_of(mount: Path, root: str, path: str) -> Path | None:
    """Where a group is to be found.

    Arguments:
        mount: the folder where its tree is mounted.
        root: which part of the tree that is, as ``mountinfo`` tells it.
        path: the group's, as ``/proc/PID/cgroup`` tells it.
    """
    if not root.startswith("/.."):
        return mount / path.removeprefix(root if root != "/" else "").lstrip("/")
    # In a control group namespace of our own, as engines give to containers, paths begin at the group that we were
    # born in. A tree mounted from outside begins above it: how far above is told, but not what the way down is called.
    ours = _folder_with_us(mount, root.count("/.."))
    return Path(os.path.normpath(ours / path.lstrip("/"))) if ours is not None else None


@functools.cache  # hundreds of files on a large machine, and we do not move
def _folder_with_us(mount: Path, depth: int) -> Path | None:
    lists = mount.glob("*/" * depth + "cgroup.procs")
    return next((pids.parent for pids in lists if str(os.getpid()) in _text(pids).split()), None)


def _mounts() -> dict[str, tuple[Path, str]]:
    """Tree -> (where it is mounted, which part of it is mounted there)."""
    found: dict[str, tuple[Path, str]] = {}
    for line in _text(Path("/proc/self/mountinfo")).splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        root, mount = (_unescape(field) for field in before.split(" ")[3:5])
        if kind == "cgroup2":
            found.setdefault("unified", (Path(mount), root))
        elif kind == "cgroup":
            for controller in {"freezer", "memory", "cpu"} & set(options.rpartition(" ")[2].split(",")):
                found.setdefault(controller, (Path(mount), root))
    return found


def _unescape(text: str) -> str:
    return re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), text)


def _if_usable(folder: Path | None) -> Path | None:
    return folder if folder is not None and _can_make(folder) else None


def _can_make(folder: Path) -> bool:
    """Only trying tells: file modes say nothing about read-only mounts or delegation."""
    trial = folder / f"lambda-freezer-trial-{os.getpid()}"
    try:
        trial.mkdir()
    except OSError:
        return False
    trial.rmdir()
    return True


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path: Path) -> int:
    text = _text(path).strip()
    return min(int(text), _UNLIMITED) if text.isdigit() else 0


def _named_number(path: Path, name: str) -> int:
    for line in _text(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
