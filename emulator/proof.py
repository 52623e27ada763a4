"""The proof that process sandboxes fall silent: tried on throw-away connections, before anything relies on it.

Containers prove theirs in :mod:`emulator.sandbox.container_network`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Coroutine
from typing import Any

from emulator.clock import SystemClock
from emulator.database.relay import Relay
from emulator.errors import SandboxError
from emulator.model import KEEPALIVE, EnvironmentId, NetworkReport, NetworkRung, Reclaim
from emulator.sandbox.held import HeldSockets

__all__ = ["prove_process_network"]

_SILENCE = 0.03  # seconds in which loopback would have brought anything there is
# Seconds; what works takes a fiftieth of one. Nobody tries again: a machine that is busy for a moment would be taken
# for a poor one until the emulator ends.
_PATIENCE = 15.0


async def prove_process_network(*, with_relay: bool) -> NetworkReport:
    """What a frozen process's connections are worth here; ``with_relay``: there is a declared database."""
    # Side by side, for both wait for silence most of the time.
    attempts = [_try("held sockets", _hold_and_kill)]
    if with_relay:
        attempts.append(_try("relay", _relay_freeze_and_reclaim))
    held, *others = await asyncio.gather(*attempts)
    rungs = [*others, held]
    if not with_relay:
        fidelity = "death-only" if held.available else "none"
        note = "connections of a frozen process are answered by this machine's kernel"
        return NetworkReport(fidelity, "held sockets" if held.available else "none", note, tuple(rungs))
    relay = rungs[0]
    fidelity = "full" if relay.available else "death-only" if held.available else "none"
    note = "for the declared database; other connections are answered while frozen" + (
        " and end silently" if held.available else " and closed at the end"
    )
    mechanism = next((rung.name for rung in rungs if rung.available), "none")
    return NetworkReport(fidelity, mechanism, note, tuple(rungs))


async def _try(name: str, attempt: Callable[[], Coroutine[Any, Any, None]]) -> NetworkRung:
    try:
        async with asyncio.timeout(_PATIENCE):
            await attempt()
    except (OSError, SandboxError, TimeoutError) as error:
        return NetworkRung(name, False, str(error) or "it took too long")
    return NetworkRung(name, True, "works here")


async def _relay_freeze_and_reclaim() -> None:
    loop = asyncio.get_running_loop()
    listener, clock = _listener(), SystemClock()
    try:
        address = listener.getsockname()[:2]
        async with Relay(EnvironmentId("proof"), address, clock=clock, on_event=lambda _event: None) as relay:
            with socket.socket() as client:
                client.setblocking(False)
                await loop.sock_connect(client, relay.address)
                server, _ = await loop.sock_accept(listener)
                with server:
                    await loop.sock_sendall(server, b"x")
                    await loop.sock_recv(client, 1)
                    relay.freeze()
                    await loop.sock_sendall(server, b"y")
                    await _expect_silence(client, "a frozen relay let something through")
                    relay.thaw()
                    await loop.sock_recv(client, 1)
                    relay.reclaim(Reclaim.SILENT)
                    client.close()
                    await _expect_silence(server, "the server heard of the end of a relayed connection")
    finally:
        clock.close()
        listener.close()


async def _hold_and_kill() -> None:
    loop = asyncio.get_running_loop()
    listener, clock = _listener(), SystemClock()
    held = HeldSockets(clock, KEEPALIVE)
    try:
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, listener.getsockname())
            server, _ = await loop.sock_accept(listener)
            process = _sleeper(client)
        with server:
            try:
                if not held.take([process.pid]):
                    raise SandboxError("the sockets of a child process cannot be taken over")
            finally:
                os.killpg(process.pid, signal.SIGKILL)
                await asyncio.to_thread(process.wait)
            await _expect_silence(server, "the other end heard of the end of a process whose socket was held")
    finally:
        held.close()
        clock.close()
        listener.close()


async def _expect_silence(end: socket.socket, complaint: str) -> None:
    try:
        async with asyncio.timeout(_SILENCE):
            await asyncio.get_running_loop().sock_recv(end, 1)
    except TimeoutError:
        return
    raise SandboxError(complaint)


def _listener() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    return listener


def _sleeper(inherited: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"], pass_fds=[inherited.fileno()], start_new_session=True)
