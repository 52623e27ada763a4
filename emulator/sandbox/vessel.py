"""A container with our shell in it: what a container sandbox is made of, whomever it is for.

It is made for a function (``destiny``), or anonymous, frozen, and a function's later (:meth:`Vessel.become`).
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulator.errors import FreezeError, SandboxError
from emulator.sandbox.cgroup import Group, Place, find_group
from emulator.sandbox.container_network import Addresses, ContainerNetwork
from emulator.sandbox.container_settings import CODE, PIPES, SMALLEST_TMP, USER, Destiny, host_settings, names_of_itself
from emulator.sandbox.engine import Engine
from emulator.sandbox.freezer import CgroupV1Freezer, Freezer
from emulator.sandbox.instance import Instance
from emulator.sandbox.lent_shell import IMAGES_OWN
from emulator.sandbox.network import Cut, NoCut
from emulator.sandbox.origins import CONTAINER_FOLDER, SCRIPT, OnOrigin, OriginPipe
from emulator.sandbox.pipes import Pipes
from emulator.sandbox.shell import ANONYMOUS, DESTINY, anonymous_script, destiny_script
from emulator.sandbox.visits import Host, Visitor, mounted
from emulator.sandbox.warden import Warden

__all__ = ["Dock", "Inmate", "Vessel"]

_PATIENCE = 10.0  # seconds
_STARTS_AT_ONCE = 4  # more of them only wait for each other inside the engine


@dataclass
class Dock:
    """What all vessels of an emulator are made with.

    Attributes:
        make_freezer: for a container, by name, and its control groups.
        hosts: names that every container is to know, with their addresses.
    """

    instance: Instance
    warden: Warden
    engine: Engine
    network: ContainerNetwork
    make_freezer: Callable[[str, Group], Freezer]
    hosts: Mapping[str, str] = field(default_factory=dict)
    visitor: Visitor = field(default_factory=Visitor)
    starts: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_STARTS_AT_ONCE))


@dataclass(frozen=True, slots=True)
class Inmate:
    """Who hears of what happens in a vessel: output of two kinds, the shell's reports, and the container's own end.

    ``on_origin`` hears which lines of code open connections; without it nobody is asked.
    """

    on_output: Callable[[bytes], None]
    on_extension_output: Callable[[bytes], None]
    on_report: Callable[[bytes], None]
    on_exit: Callable[[int], None]
    on_origin: OnOrigin | None = None


class Vessel:
    """One container, from its making to its removal.

    Arguments:
        key: a name that no other vessel has, for its folder.
        addresses: its own.
    """

    def __init__(self, dock: Dock, key: str, addresses: Addresses) -> None:
        self._dock, self._key = dock, key
        self.addresses = addresses
        self.container = ""
        self.id = ""
        self.pid = 0
        self.started_at = 0.0
        self.group = Group(Place(), own=False)
        self.freezer: Freezer | None = None
        self.cut: Cut = NoCut()
        self.pipes: Pipes | None = None
        self._origins: OriginPipe | None = None
        self.exit_code: int | None = None
        self._inmate: Inmate | None = None
        self._waits = asyncio.Event()
        self._folder: Path | None = None

    @property
    def has_ended(self) -> bool:
        """The container has, without having been asked to."""
        return self.exit_code is not None

    # -- a container of one's own ------------------------------------------------------------------------

    async def start(self, image: str, destiny: Destiny, inmate: Inmate, tell: Callable[[], None]) -> None:
        """Make a container for a function and start it.

        Arguments:
            tell: is called when the shell may be told what to start; it may not be there yet.

        Raises:
            SandboxError: that is not possible; :meth:`remove` is still to be called.
            OSError: likewise.
        """
        self._inmate = inmate
        self._make_folder()
        self._listen_for_origins()
        made: dict[str, Any] = {
            "entrypoint": destiny.entrypoint,
            "environment": destiny.variables,
            "working_dir": destiny.folder,
            "host": host_settings(destiny, pipes=self._pipe_folder),
        }
        if not self._dock.network.lays_cables:
            tell()  # the word waits in the pipe for the shell to come
            await self._run(image, made, destiny.shell)
        else:
            await self._run(image, made, destiny.shell)
            tell()

    # -- one for whomever --------------------------------------------------------------------------------

    async def start_anonymous(self, image: str, on_exit: Callable[[int], None]) -> None:
        """Make a container for nobody in particular, start it and freeze it.

        Raises:
            SandboxError: that is not possible; :meth:`remove` is still to be called.
            OSError: likewise.
        """
        self._inmate = Inmate(_nothing, _nothing, self._heard, on_exit)
        self._make_folder()
        made = {
            "entrypoint": [*IMAGES_OWN, "-c", anonymous_script(PIPES)],
            "working_dir": CODE,
            "host": host_settings(None, pipes=self._pipe_folder),
        }
        await self._run(image, made)
        await self._is_anonymous()
        assert self.freezer is not None, "a vessel that runs has a freezer"
        await _done(self.freezer.freeze)

    async def become(self, destiny: Destiny, inmate: Inmate, tell: Callable[[], None]) -> None:
        """Thaw an anonymous one, as a function's.

        Arguments:
            tell: is called when the shell may be told what to start.

        Raises:
            SandboxError: that is not possible here; :meth:`remove` is still to be called.
            OSError: likewise.
        """
        if self.has_ended:
            raise SandboxError("a prewarmed container has ended")
        assert self.freezer is not None, "a vessel that runs has a freezer"
        assert self.pipes is not None, "a vessel that runs has pipes"
        self._inmate = inmate
        self._listen_for_origins()
        tmp = destiny.tmp if destiny.tmp != SMALLEST_TMP else None
        visitor, host = self._dock.visitor, Host(self.id, self.pid)
        await visitor.do(lambda: mounted(visitor, host, destiny.folders, tmp=tmp))
        self.group.limit_memory(destiny.memory * 2**20)
        file = self._pipe_folder / DESTINY
        file.write_bytes(destiny_script(destiny.variables, destiny.folder, destiny.entrypoint))
        file.chmod(0o644)
        self.pipes.command(f"{DESTINY}\n".encode())
        tell()
        await _done(self.freezer.thaw)

    def forget_destiny(self) -> None:
        """The shell has read it; no other container has such a file."""
        (self._pipe_folder / DESTINY).unlink(missing_ok=True)

    def lend(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Files in a folder beside the pipes, for everybody inside to read, instead of what was in it."""
        place = self._pipe_folder / folder
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for name, content in files.items():
            (place / name).write_bytes(content)
            (place / name).chmod(0o644)
        place.chmod(0o755)

    def drain_output(self) -> None:
        """Hand on what was written so far."""
        if self.pipes is not None:
            self.pipes.drain_output()
        if self._origins is not None:
            self._origins.drain()

    # -- the end -----------------------------------------------------------------------------------------

    async def remove(self) -> None:
        """Whatever state it is in. Idempotent."""
        if self.container:
            self._dock.engine.forget(self.container)
            if isinstance(self.freezer, CgroupV1Freezer):
                # It holds even SIGKILL back, the engine's included.
                with contextlib.suppress(FreezeError):
                    self.freezer.continue_all()
            await self._dock.engine.remove(self.container)
        if self.freezer is not None:
            self.freezer.close()
        self.group.close()
        if self.pipes is not None:
            self.pipes.close()
        if self._origins is not None:
            self._origins.close()
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        self._dock.warden.drop(self._key)

    # -- inside ------------------------------------------------------------------------------------------

    @property
    def _pipe_folder(self) -> Path:
        assert self._folder is not None, "a vessel has a folder before it has anything else"
        return self._folder / "pipes"

    def _make_folder(self) -> None:
        self._folder = self._dock.instance.make_folder(self._key)
        self._dock.warden.keep(self._key, folders=[self._folder])
        self.pipes = Pipes(
            self._pipe_folder,
            on_output=lambda piece: self._host.on_output(piece),
            on_extension_output=lambda piece: self._host.on_extension_output(piece),
            on_report=lambda line: self._host.on_report(line),
        )

    def _listen_for_origins(self) -> None:
        if self._host.on_origin is None:
            return
        self._origins = OriginPipe(self._pipe_folder / "origins", self._host.on_origin)
        scripts = self._pipe_folder / CONTAINER_FOLDER
        scripts.mkdir()
        shutil.copyfile(SCRIPT, scripts / "sitecustomize.py")
        for path, mode in ((scripts, 0o755), (scripts / "sitecustomize.py", 0o644)):
            path.chmod(mode)

    @property
    def _host(self) -> Inmate:
        assert self._inmate is not None, "a vessel is started for somebody"
        return self._inmate

    async def _run(self, image: str, made: Mapping[str, Any], shell: Sequence[str] = IMAGES_OWN) -> None:
        dock, network = self._dock, self._dock.network
        outlet = network.outlet(self.addresses)
        hosts = {**dock.hosts, **names_of_itself(self.addresses.control)}
        # Known by its name before it exists, so that a cancelled start leaves nothing behind.
        self.container = dock.engine.new_name()
        async with dock.starts:
            await dock.engine.create(
                image,
                name=self.container,
                user=USER,
                network=outlet.network,
                network_mode="none",
                address=outlet.address,
                hostname=outlet.hostname,
                hosts=[*sorted(hosts.items()), *outlet.hosts],
                **made,
            )
            await network.connect(self.container, self.addresses)
            dock.engine.on_exit(self.container, self._exited)
            await dock.engine.start(self.container)
            details = await dock.engine.details(self.container)
        if not details.running:
            raise SandboxError(f"the container has ended at once, with status {details.exit_code}")
        self.id, self.pid, self.started_at = details.id, details.pid, details.started_at
        self.cut = await network.plug_in(self.container, details, self.addresses, shell)
        self.group = find_group(details.pid)
        self.freezer = dock.make_freezer(self.container, self.group)

    async def _is_anonymous(self) -> None:
        """Wait until it has nothing left to do, or it would have to do it when it is needed."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._waits.wait()
        except TimeoutError as error:
            raise SandboxError("the shell of a container does not come up") from error
        if self.has_ended:
            raise SandboxError("the shell of a container has ended")

    def _heard(self, line: bytes) -> None:
        if line == ANONYMOUS:
            self._waits.set()

    def _exited(self, code: int) -> None:
        self.exit_code = code
        self._waits.set()  # there is nothing to wait for
        self._host.on_exit(code)


def _nothing(_piece: bytes) -> None:
    """Nobody has a reason to write into an anonymous container's pipes."""


async def _done(switch: Callable[[Callable[[FreezeError | None], None]], None]) -> None:
    """Freeze or thaw, and wait for it."""
    answered: asyncio.Future[FreezeError | None] = asyncio.get_running_loop().create_future()
    switch(lambda error: answered.set_result(error) if not answered.done() else None)
    if (error := await answered) is not None:
        raise error
