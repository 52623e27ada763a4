"""The deployed functions: what each change of one means for what serves it, on a stage without sandboxes."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path
from typing import Any

import pytest

from emulator.asynchronous import Events
from emulator.concurrency import Concurrency
from emulator.config import Settings
from emulator.database.database import Database
from emulator.debugged import DebuggedPool
from emulator.debugger import DebugPorts
from emulator.errors import (
    AddressInUseError,
    CodeError,
    ConfigurationError,
    FunctionNotFoundError,
    ResourceConflictError,
)
from emulator.event_settings import Asynchronous
from emulator.functions import Functions
from emulator.hot_reload import HotReload
from emulator.invocation import Invocation
from emulator.model import EnvironmentId, Function
from emulator.pools import Pools
from emulator.qualifiers import Routing
from emulator.rulebook import Rulebook
from emulator.text import function_arn
from emulator.urls import Urls, UrlSettings
from tests.support import in_loop
from tests.unit.stage import Stage


class Play:
    """No function yet; code is in ``base/code``."""

    def __init__(self, base: Path, *, places: int = 10, state: Path | None = None) -> None:
        code = base / "code"
        code.mkdir()
        (code / "app.py").touch()
        self.base = base
        self.stage = Stage()
        self.pools, self.urls, self.account = Pools(), Urls(), Concurrency(places)
        self.events = Events(
            self.stage.clock,
            self.stage.timeline,
            self.stage.surroundings.spawn,
            make=self._make,
            base=base,
            arn=lambda name: self.arn(name, "$LATEST"),
            at_rest=self._at_rest,
        )
        self.ports = DebugPorts("127.0.0.1", self.stage.timeline)
        self.functions = Functions(
            self.stage.surroundings,
            base=base,
            pools=self.pools,
            rulebook=Rulebook(Settings(), base),
            concurrency=self.account,
            events=self.events,
            urls=self.urls,
            debug_ports=self.ports,
            hot_reload=HotReload(self.stage.surroundings, self.pools),
            database=Database(None, None, None, self.stage.timeline),
            state=state,
        )

    def function(self, name: str = "orders", **settings: Any) -> Function:
        return dataclasses.replace(self.stage.function, name=name, code=Path("code"), **settings)

    async def publish(self, version: str, **settings: Any) -> None:
        latest = self.functions.named("orders")
        await self.functions.add_version(dataclasses.replace(latest, version=version, **settings))

    async def serve(self, key: str = "orders") -> EnvironmentId:
        """The environment that has served one event, and is idle."""
        watched = self.stage.invocation()
        self.functions.pool(key).submit(watched.invocation)
        await self.stage.settle()
        runtime = self.stage.runtime()
        runtime.park()
        await self.stage.settle()
        runtime.serve()
        await self.stage.settle()
        return self.functions.pool(key).environments[-1].id

    def send(self, key: str, arn: str) -> None:
        """An asynchronous event that came by this ARN."""
        invocation = self.stage.invocation(asynchronous=True).invocation
        self.events.accept(key, dataclasses.replace(invocation, function_arn=arn))

    async def fail(self, alias: str) -> None:
        """An event that came by this alias is tried, and fails."""
        self.send("orders", self.arn("orders", alias))
        await self.stage.settle()
        runtime = self.stage.runtime()
        runtime.park()
        await self.stage.settle()
        runtime.report_error(b"{}", "Function.Failed")
        runtime.park()
        await self.stage.settle()

    def arn(self, name: str, qualifier: str | None = None) -> str:
        around = self.stage.surroundings
        return function_arn(around.region, around.account, name, qualifier)

    async def close(self) -> None:
        self.events.close()
        for pool in self.pools.every():
            await pool.close("the test is over")

    def _make(self, name: str, payload: bytes) -> Invocation:
        raise AssertionError("no record goes to a function here")

    async def _at_rest(self, environment_id: EnvironmentId) -> None:
        raise AssertionError("nobody skips time here")


@in_loop
async def test_a_function_that_is_deployed_again_ends_the_environments_of_before(tmp_path: Path) -> None:
    """Its code is found below the base; and there is one function, as it is now."""
    play = Play(tmp_path)
    await play.functions.add(play.function())
    before = await play.serve()
    await play.functions.add(play.function(memory=256))
    await play.stage.settle()
    assert play.pools.find(before) is None
    assert [function.memory for function in play.functions] == [256]
    assert (len(play.functions), play.functions.named("orders").code) == (1, tmp_path / "code")
    await play.close()


@in_loop
async def test_what_is_not_there_is_refused_with_what_is(tmp_path: Path) -> None:
    """A function, a version, an alias; and what is being made is another thing than what is not there."""
    play = Play(tmp_path)
    with pytest.raises(FunctionNotFoundError, match="function:orders:") as caught:
        play.functions.pool("orders")
    assert caught.value.cure == "There is none yet."
    await play.functions.add(play.function())
    with pytest.raises(FunctionNotFoundError) as caught:
        play.functions.pool("others")
    assert caught.value.cure == "There are orders."
    with pytest.raises(FunctionNotFoundError, match=r"function:orders:1$"):
        play.functions.target("orders", "1")
    play.functions.hold_back("orders:1", "Pending")
    assert play.functions.target("orders", "1") == "orders:1"
    with pytest.raises(ResourceConflictError, match="following state: Pending"):
        play.functions.pool("orders:1")
    await play.publish("1")
    assert play.functions.pool("orders:1").function.version == "1"
    await play.close()


@in_loop
async def test_a_version_has_its_pool_when_it_is_first_asked_for(tmp_path: Path) -> None:
    """It takes its places from the function's share, and is no function of its own."""
    play = Play(tmp_path)
    await play.functions.add(play.function())
    await play.publish("1")
    play.functions.set_alias("orders", "live", Routing("1"))
    assert (play.functions.target("orders", "live"), list(play.pools.by_key)) == ("orders:1", ["orders"])
    assert play.functions.target("orders", "$LATEST") == "orders"
    version = play.functions.pool("orders:1")
    assert (play.functions.pool("orders:1"), version.share) == (version, play.functions.pool("orders").share)
    assert [function.key for function in play.functions] == ["orders"]
    play.functions.remove_alias("orders", "live")
    with pytest.raises(FunctionNotFoundError):
        play.functions.target("orders", "live")
    await play.close()


@in_loop
async def test_who_deletes_a_function_deletes_all_that_belongs_to_it(tmp_path: Path) -> None:
    """Versions, its URL, events that wait; what still serves is leaving until it is done."""
    play = Play(tmp_path, places=1)
    await play.functions.add(play.function(url=UrlSettings()))
    await play.publish("1")
    assert play.urls.find("orders") is not None
    idle = await play.serve("orders:1")
    play.functions.pool("orders").submit(play.stage.invocation().invocation)
    await play.stage.settle()
    play.send("orders", play.arn("orders"))
    play.functions.remove("orders")
    await play.stage.settle()
    assert play.pools.find(idle) is None
    assert (list(play.functions), list(play.urls), play.events.pending()) == ([], [], [])
    assert play.stage.reason("event.dropped").startswith("the function was deleted")
    (leaving,) = play.pools.leaving
    runtime = play.stage.runtime()
    runtime.park()
    await play.stage.settle()
    runtime.serve()
    await play.stage.settle()
    assert (leaving.environments, play.pools.leaving) == ([], set())
    with pytest.raises(FunctionNotFoundError):
        play.functions.target("orders", "1")


@in_loop
async def test_who_deletes_a_version_leaves_the_others(tmp_path: Path) -> None:
    """One that was never invoked has no pool, and goes as well."""
    play = Play(tmp_path)
    await play.functions.add(play.function())
    for version in ("1", "2"):
        await play.publish(version)
    await play.serve("orders:1")
    play.functions.remove_version("orders", "1")
    play.functions.remove_version("orders", "2")
    await play.stage.settle()
    assert (list(play.pools.by_key), play.pools.leaving) == (["orders"], set())
    for version in ("1", "2"):
        with pytest.raises(FunctionNotFoundError):
            play.functions.pool(f"orders:{version}")
    await play.close()


@in_loop
async def test_a_setting_that_environments_do_not_see_recycles_none(tmp_path: Path) -> None:
    """Places, environments ahead of a version, what becomes of events."""
    play = Play(tmp_path)
    await play.functions.add(play.function())
    await play.publish("1")
    there = await play.serve()
    play.functions.reserve("orders", 3)
    play.functions.set_asynchronous("orders", Asynchronous(retries=0))
    assert play.functions.provisioned("orders:1") is None
    play.functions.provision("orders:1", 0)  # nobody has asked for any: there is nothing to take back
    assert "orders:1" not in play.pools.by_key
    play.functions.provision("orders:1", 1)
    view = play.functions.provisioned("orders:1")
    assert (view.requested if view is not None else None, play.account.reserved) == (1, 3)
    assert play.functions.named("orders").asynchronous == Asynchronous(retries=0)
    assert play.pools.find(there) is not None
    await play.stage.settle()
    await play.close()


@in_loop
async def test_what_is_said_of_an_alias_holds_for_what_comes_by_it(tmp_path: Path) -> None:
    """Until the alias goes, or the function."""
    play = Play(tmp_path)
    await play.functions.add(play.function())
    play.functions.set_alias_asynchronous("orders", "live", Asynchronous(retries=0))
    await play.fail("live")
    assert play.events.pending() == []
    play.functions.set_alias_asynchronous("orders", "live", None)
    await play.fail("live")
    assert len(play.events.pending()) == 1
    play.functions.set_alias_asynchronous("orders", "live", Asynchronous(retries=0))
    play.functions.remove_alias("orders", "live")
    await play.fail("live")
    assert len(play.events.pending()) == 2
    await play.close()


@in_loop
async def test_code_that_cannot_be_used_is_refused_before_anything_changes(tmp_path: Path) -> None:
    """A folder that is not there; and one that would hold the emulator's own state."""
    play = Play(tmp_path, state=tmp_path / "code" / "state")
    with pytest.raises(CodeError, match="which is part of the code of orders"):
        await play.functions.add(play.function())
    with pytest.raises(CodeError, match="does not exist"):
        await play.functions.add(dataclasses.replace(play.function(), code=Path("nowhere")))
    assert len(play.functions) == 0


@in_loop
async def test_a_debug_port_is_kept_and_is_no_other_functions(tmp_path: Path) -> None:
    """Nor can it change; a function whose port cannot be had is not deployed, and goes on reserving nothing."""
    play = Play(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
        port, other = free.getsockname()[1], taken.getsockname()[1]
        free.close()
        async with play.ports:
            await play.functions.add(play.function(debug_port=port))
            assert isinstance(play.functions.pool("orders"), DebuggedPool)
            await play.functions.add(play.function())
            assert play.functions.named("orders").debug_port == port
            assert play.ports.addresses == {"orders": f"127.0.0.1:{port}"}
            with pytest.raises(ConfigurationError, match="cannot change"):
                await play.functions.add(play.function(debug_port=other))
            with pytest.raises(ConfigurationError, match="is the debug port of orders already"):
                await play.functions.add(play.function("others", debug_port=port))
            reserved = play.account.reserved
            with pytest.raises(AddressInUseError, match="debug port"):
                await play.functions.add(play.function("others", debug_port=other))
            assert ([function.name for function in play.functions], play.account.reserved) == (["orders"], reserved)
            play.functions.remove("orders")
            await play.stage.settle()
            assert play.ports.addresses == {}
            await play.functions.add(play.function("others", debug_port=port))
            await play.close()


@in_loop
async def test_code_is_waited_for_until_no_environment_has_it(tmp_path: Path) -> None:
    """So that it can be removed; other code is of no concern."""
    play = Play(tmp_path)
    await play.functions.add(play.function())
    environment = play.pools.find(await play.serve())
    assert environment is not None
    await play.functions.until_unused(tmp_path / "other")
    waiting = play.stage.surroundings.spawn(play.functions.until_unused(tmp_path / "code"))
    await play.stage.settle()
    assert not waiting.done()
    environment.end("the test is over")
    await play.stage.settle()
    assert waiting.done()
    await play.close()
