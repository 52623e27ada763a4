"""Debug ports: where a debugger of the user attaches, for as long as the emulator runs.

A runtime comes and goes, and is frozen; a port that it had itself would be there for moments only. So the port is the
emulator's. Who connects to it gets the function's runtime: thawed where it was frozen, started where there was none
(then it waits before the first line of the function's code, so that this can be debugged, too). As long as the
connection lasts, so does the attachment.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from types import TracebackType
from typing import Self

from emulator.debugged import DebuggedEnvironment, DebuggedPool
from emulator.errors import AddressInUseError, ConfigurationError, EmulatorError
from emulator.lifecycle import State
from emulator.model import Function
from emulator.timeline import Timeline

__all__ = ["DebugPort", "DebugPorts"]

_LOOK_AGAIN = 0.03  # seconds: nobody tells when a process begins to listen
_PATIENCE = 15.0  # seconds until an environment can be had, or a runtime has ended its side
_PIECE = 1 << 16
_TERMINATED = b'{"seq": 0, "type": "event", "event": "terminated", "body": {"restart": true}}'
_ATTACH_AGAIN = b"Content-Length: %d\r\n\r\n%s" % (len(_TERMINATED), _TERMINATED)
"""What an editor hears when its code has changed, in the words of the Debug Adapter Protocol."""


class DebugPort:
    """The debug port of one function.

    Arguments:
        pool: of the function.
        host: to listen on.

    Raises:
        AddressInUseError: on entering, when somebody else has the port.
    """

    def __init__(self, pool: DebuggedPool, host: str, timeline: Timeline) -> None:
        assert pool.function.debug_port is not None, "only a function with a debug port has a pool of this kind"
        self.host, self.port = host, pool.function.debug_port
        self._pool = pool
        self._name = pool.function.name
        self._timeline = timeline
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        try:
            self._server = await asyncio.start_server(self._connected, self.host, self.port)
        except OSError as error:
            raise AddressInUseError(
                f"function {self._name}: the debug port {self.host}:{self.port} cannot be had: {error.strerror}",
                cure="Take another one: debug_port in the function's table, or --debug-port.",
            ) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        if self._connections:
            await asyncio.wait(self._connections)

    def close(self) -> None:
        """Nobody attaches any more, and who is attached no longer."""
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is served by a task"
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:  # the emulator stops: asyncio would complain of a task that says so
            pass
        finally:
            self._connections.discard(task)
            _end(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        attachment = self._pool.attachment
        attachment.connections += 1
        attachment.waiting += 1
        is_waiting = True
        if attachment.connections == 1:
            self._pool.debugger_came()
        try:
            environment, inner = await self._reach()
            attachment.waiting -= 1
            is_waiting = False
            if environment is None or inner is None:
                return
            self._tell("debugger.attached", "nothing is frozen and nothing times out while it is", environment)
            try:
                await _relay(environment, (reader, writer), inner)
                if environment.is_outdated and environment.function.runtime.startswith("python"):
                    writer.write(_ATTACH_AGAIN)
            finally:
                _end(inner[1])
                self._tell("debugger.detached", "limits are in force again", environment)
        finally:
            attachment.waiting -= is_waiting
            attachment.connections -= 1
            if attachment.connections == 0:
                self._pool.debugger_went()

    async def _reach(
        self,
    ) -> tuple[DebuggedEnvironment | None, tuple[asyncio.StreamReader, asyncio.StreamWriter] | None]:
        """An environment and a connection to its runtime; neither where there can be none, or it has ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while (environment := self._pool.environment_to_debug()) is None:  # noqa: ASYNC110 (nobody tells)
                    await asyncio.sleep(_LOOK_AGAIN)
            while environment.has_runtime and environment.state not in (State.SHUTTING_DOWN, State.GONE):
                if environment.debugger_end is not None:
                    with contextlib.suppress(OSError):
                        return environment, await asyncio.open_connection(*environment.debugger_end)
                await asyncio.sleep(_LOOK_AGAIN)
        return None, None

    def _tell(self, kind: str, reason: str, environment: DebuggedEnvironment) -> None:
        self._timeline.record(kind, reason, function=self._name, environment=environment.id)


class DebugPorts:
    """The debug ports of all functions that have one; leaving it closes them.

    Arguments:
        host: to listen on.
    """

    def __init__(self, host: str, timeline: Timeline) -> None:
        self._host, self._timeline = host, timeline
        self._ports: dict[str, DebugPort] = {}
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)

    @property
    def addresses(self) -> dict[str, str]:
        """Where each is, by the names of the functions."""
        return {name: f"{port.host}:{port.port}" for name, port in self._ports.items()}

    def settled(self, function: Function, known: Function | None) -> Function:
        """A function with the port that it is to have. It keeps its own: who deploys it again need not know of it.

        Arguments:
            known: the same function as it is deployed, if it is.

        Raises:
            ConfigurationError: it would be another one than before, or is another function's.
        """
        port = function.debug_port
        if known is not None and port is None:
            return replace(function, debug_port=known.debug_port)
        if known is not None and known.debug_port != port:
            raise ConfigurationError(
                f"function {function.name}: its debug port cannot change while the emulator runs",
                cure="Start the emulator anew.",
            )
        others = [name for name, other in self._ports.items() if other.port == port]
        if known is None and others:
            raise ConfigurationError(
                f"function {function.name}: {port} is the debug port of {others[0]} already",
                cure="Give each function that is to be debugged a port of its own.",
            )
        return function

    async def open(self, pool: DebuggedPool) -> None:
        """Listen for debuggers of a function; where that cannot be, its pool is closed.

        Raises:
            AddressInUseError: somebody else has the port.
        """
        try:
            self._ports[pool.function.name] = await self._stack.enter_async_context(
                DebugPort(pool, self._host, self._timeline)
            )
        except EmulatorError:
            await pool.close("it has no debug port")
            pool.share.reserve(None)
            raise

    def close(self, name: str) -> None:
        """The function is no more; nothing where it has no port."""
        if (port := self._ports.pop(name, None)) is not None:
            port.close()


async def _relay(
    environment: DebuggedEnvironment,
    outer: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    inner: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Until the debugger goes, and the runtime's side has seen to that; or until the environment is gone."""
    there = asyncio.create_task(_copy(outer[0], inner[1], end=True))
    back = asyncio.create_task(_copy(inner[0], outer[1], end=False))
    gone = asyncio.create_task(environment.gone.wait())
    tasks = (there, back, gone)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if there.done() and not back.done() and not gone.done():
            # What stood still at a line is let go by the other side, which must not be frozen before it has done that.
            await asyncio.wait((back, gone), timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter, *, end: bool) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(_PIECE):
            target.write(piece)
            await target.drain()
        if end:
            target.write_eof()


def _end(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        writer.close()
