"""The proof that a container's network is silent while it is cut, and that its death is not heard.

A throw-away container holds a connection to a throw-away listener. It is cut, spoken to, restored, cut again and
killed, and the listener's own kernel tells what it heard.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Sequence

from emulator.errors import SandboxError
from emulator.sandbox.engine import Engine
from emulator.sandbox.network import Cut

__all__ = ["Subject"]

# Its cable may come after it.
_ECHO = "until exec 3<>/dev/tcp/{}/{}; do sleep 0.01; done 2>/dev/null; while read -r line <&3; do echo $line >&3; done"
_SILENCE = 0.06  # seconds in which a living kernel would have acknowledged
_PATIENCE = 15.0  # seconds; a busy machine takes some to start what runs inside


class Subject:
    """The container, once it was started; and its connection, once it has come.

    Arguments:
        gateway: this machine's address on the network that is to be cut.
    """

    def __init__(self, engine: Engine, gateway: str) -> None:
        self._engine = engine
        self.container = engine.new_name()
        self._listener = socket.create_server((gateway, 0))
        self._listener.setblocking(False)
        self._connection = self._listener

    @property
    def entrypoint(self) -> Sequence[str]:
        """What the container is to run."""
        return ["bash", "-c", _ECHO.format(*self._listener.getsockname()[:2])]

    async def connected(self) -> None:
        """Wait for its connection.

        Raises:
            SandboxError: none comes.
        """
        try:
            async with asyncio.timeout(_PATIENCE):
                self._connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        except TimeoutError as error:
            raise SandboxError(
                "a container cannot reach this machine",
                cure="Does a firewall drop what comes from the engine's bridges?",
            ) from error

    async def silence_and_back(self, cut: Cut) -> tuple[float, float]:
        """Cut it and restore it; answers how long each took, in microseconds.

        Raises:
            SandboxError: it was not silent, or did not come back.
        """
        await self._speak(b"before\n")
        off = await _timed(cut.off)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._connection, b"while cut\n")
        await asyncio.sleep(_SILENCE)  # not waiting for anything: this is the span in which it must be silent
        silent = self._unacknowledged() > 0
        on = await _timed(cut.on)
        await self._hear(b"while cut\n")
        if not silent:
            raise SandboxError("a container that was cut still acknowledged what was sent to it")
        return off, on

    async def fidelity_at_death(self, cut: Cut) -> str:
        """Kill it while it is cut, and listen."""
        await _timed(cut.off)
        await self._engine.remove(self.container)
        try:
            async with asyncio.timeout(_SILENCE):
                await asyncio.get_running_loop().sock_recv(self._connection, 1)
        except TimeoutError:
            return "full"
        except OSError:
            pass
        return "none"

    async def close(self) -> None:
        self._connection.close()
        self._listener.close()
        await self._engine.remove(self.container)

    async def _speak(self, line: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._connection, line)
        await self._hear(line)

    async def _hear(self, line: bytes) -> None:
        heard = b""
        try:
            async with asyncio.timeout(_PATIENCE):
                while len(heard) < len(line):
                    heard += await asyncio.get_running_loop().sock_recv(self._connection, 100)
        except TimeoutError as error:
            raise SandboxError("a container that was cut did not come back") from error

    def _unacknowledged(self) -> int:
        """Segments that the other kernel has not acknowledged, by our own kernel's account (``tcp_info``)."""
        info = self._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        return int(struct.unpack_from("I", info, 24)[0])


async def _timed(switch: Callable[[Callable[[SandboxError | None], None]], None]) -> float:
    """Switch and wait for the answer; how long it took, in microseconds."""
    answered: asyncio.Future[SandboxError | None] = asyncio.get_running_loop().create_future()
    begin = time.perf_counter()
    switch(answered.set_result)
    async with asyncio.timeout(_PATIENCE):
        error = await answered
    if error is not None:
        raise error
    return (time.perf_counter() - begin) * 1e6
