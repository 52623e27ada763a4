"""The debug port of a function: who connects to it gets the function's runtime, as long as there is one."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
from collections.abc import AsyncIterator

import pytest

from emulator.concurrency import Concurrency
from emulator.debugged import Attachment, DebuggedPool
from emulator.debugger import DebugPort
from emulator.errors import AddressInUseError
from emulator.policies import Policy
from tests.support import in_loop
from tests.unit.stage import Stage


def free_port() -> int:
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return int(candidate.getsockname()[1])


class Play:
    """A stage with the debug port of one function; what its runtime would say to a debugger is an echo."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.port = free_port()
        self.pool = DebuggedPool(
            dataclasses.replace(self.stage.function, debug_port=self.port),
            self.stage.surroundings,
            Policy("keep-warm"),
            Concurrency(10),
            attachment=Attachment(),
        )
        self.inside: list[asyncio.StreamWriter] = []
        self.stops_to_listen: asyncio.Server | None = None

    @property
    def states(self) -> list[str]:
        return [str(environment.state) for environment in self.pool.environments]

    async def listen(self) -> None:
        """The newest runtime listens for a debugger."""
        server = await asyncio.start_server(self._echo, "127.0.0.1", 0)
        self.stops_to_listen = server
        self.stage.provider.sandboxes[-1].debugger_end = server.sockets[0].getsockname()

    async def frozen(self) -> None:
        watched = self.stage.invocation()
        self.pool.submit(watched.invocation)
        await self.stage.settle()
        runtime = self.stage.runtime()
        runtime.park()
        await self.stage.settle()
        runtime.serve()
        assert self.states == ["frozen"]

    async def until(self, kind: str) -> None:
        async with asyncio.timeout(30):
            while kind not in self.stage.kinds():
                await asyncio.sleep(0.001)

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.inside.append(writer)
        while piece := await reader.read(100):
            writer.write(piece)
        writer.close()


@contextlib.asynccontextmanager
async def playing() -> AsyncIterator[Play]:
    play = Play()
    async with DebugPort(play.pool, "127.0.0.1", play.stage.timeline):
        yield play
        await play.pool.close("the emulator stops")
    for writer in play.inside:
        writer.close()
    if play.stops_to_listen is not None:
        play.stops_to_listen.close()


async def connect(play: Play) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(30):
        return await asyncio.open_connection("127.0.0.1", play.port)


@in_loop
async def test_a_connection_leads_to_the_runtime_and_is_the_attachment() -> None:
    """A frozen one is thawed for it; the timeline tells of both ends, and it is frozen afterwards."""
    async with playing() as play:
        await play.frozen()
        await play.listen()
        reader, writer = await connect(play)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        assert play.states == ["idle"]
        writer.close()
        await play.until("debugger.detached")
        assert play.states == ["frozen"]
        (attached,) = [event for event in play.stage.events() if event.kind == "debugger.attached"]
        assert attached.environment == play.pool.environments[0].id


@in_loop
async def test_the_last_of_several_connections_is_the_end() -> None:
    """An editor may open one for each process."""
    async with playing() as play:
        await play.frozen()
        await play.listen()
        ends = [await connect(play) for _ in range(2)]
        for reader, writer in ends:
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
        ends[0][1].close()
        await play.until("debugger.detached")
        assert play.states == ["idle"]
        ends[1][1].close()
        await play.until("environment.freezing")
        async with asyncio.timeout(30):
            while play.states != ["frozen"]:
                await asyncio.sleep(0.001)


@in_loop
async def test_who_comes_first_starts_an_environment_and_waits_for_its_runtime() -> None:
    """There is nothing to attach to before, and the module's code is to be debugged as well."""
    async with playing() as play:
        _, writer = await connect(play)
        await play.until("environment.init")
        assert play.pool.attachment.waiting == 1
        await play.listen()
        await play.until("debugger.attached")
        assert play.pool.attachment.waiting == 0
        writer.close()


@in_loop
async def test_new_code_tells_an_editor_to_attach_again() -> None:
    """In the words of its protocol; then the connection ends with the environment."""
    async with playing() as play:
        await play.frozen()
        await play.listen()
        reader, writer = await connect(play)
        await play.until("debugger.attached")
        play.pool.update(play.pool.function, "its code changed")
        async with asyncio.timeout(30):
            told = await reader.read()
        assert told.startswith(b"Content-Length: ")
        assert b'"event": "terminated", "body": {"restart": true}' in told
        writer.close()


@in_loop
async def test_an_environment_that_ends_for_another_reason_ends_the_connection() -> None:
    """Without a word: an editor that came again by itself would find the same error."""
    async with playing() as play:
        reader, writer = await connect(play)
        await play.until("environment.init")
        play.stage.runtime().die(code=1)
        async with asyncio.timeout(30):
            assert await reader.read() == b""
        writer.close()
        await play.stage.settle()
        assert play.pool.attachment.connections == 0


@in_loop
async def test_a_port_is_given_back_when_its_function_is_deleted() -> None:
    """Who is attached is let go, and nobody can attach any more."""
    play = Play()
    async with DebugPort(play.pool, "127.0.0.1", play.stage.timeline) as port:
        await play.frozen()
        await play.listen()
        reader, writer = await connect(play)
        await play.until("debugger.attached")
        port.close()
        async with asyncio.timeout(30):
            assert await reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await connect(play)
        await play.pool.retire("the function was deleted")
    for inside in play.inside:
        inside.close()
    assert play.stops_to_listen is not None
    play.stops_to_listen.close()


@in_loop
async def test_a_port_that_is_taken_is_refused() -> None:
    """With what to do about it."""
    play = Play()
    port = DebugPort(play.pool, "127.0.0.1", play.stage.timeline)
    with socket.create_server(("127.0.0.1", play.port)), pytest.raises(AddressInUseError, match="debug port") as caught:
        await port.__aenter__()
    assert "--debug-port" in caught.value.cure
    await play.pool.close("the emulator stops")
