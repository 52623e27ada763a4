"""What the end of an environment does to its network and its processes, before the sandbox removes them."""

from __future__ import annotations

import asyncio
import contextlib

from emulator.connectivity import Connectivity
from emulator.errors import EmulatorError, FreezeError, SandboxError
from emulator.model import Reclaim
from emulator.sandbox.base import Sandbox
from emulator.sandbox.freezer import Freezer

__all__ = ["reclaim", "thaw"]

_GRACE = 0.5  # seconds that a graceful end lets processes take


async def thaw(network: Connectivity, freezer: Freezer) -> bool:
    """Network first, then processes, so that they can be told; whether both are back."""
    thawed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def done(error: EmulatorError | None) -> None:
        if not thawed.done():
            thawed.set_result(error is None)

    def network_is_back(error: SandboxError | None) -> None:
        if error is not None:
            done(error)
            return
        try:
            freezer.thaw(done)
        except FreezeError as trouble:
            done(trouble)

    network.thaw(network_is_back)
    return await thawed


async def reclaim(how: Reclaim, network: Connectivity, sandbox: Sandbox, quiet: float) -> None:
    """Let the connections that are still open end as ``how`` says.

    Arguments:
        quiet: seconds from the freeze of the processes to the cut of the network.
    """
    if how is Reclaim.SILENT:
        # Whoever is about to vanish must not get the chance to say so.
        with contextlib.suppress(FreezeError):
            sandbox.freezer.freeze(lambda _error: None)
        if not network.is_cut:
            await asyncio.sleep(quiet)
        await network.reclaim(how)
        sandbox.hold_sockets()
    elif how is Reclaim.GRACEFUL:
        await network.reclaim(how)
        with contextlib.suppress(FreezeError):
            sandbox.freezer.thaw(lambda _error: None)
        await sandbox.terminate(_GRACE)
    else:
        await network.reclaim(how)
