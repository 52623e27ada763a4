"""What the control plane knows, written with every change, and made to run again by the next start."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest

from emulator.control.keeping import Keeper
from emulator.control.operations import OPERATIONS
from emulator.errors import CodeError, ConfigurationError, StateError
from emulator.event_settings import Asynchronous
from emulator.model import Function
from emulator.qualifiers import Routing
from emulator.service import Service
from emulator.state import StateFolder
from tests.support import in_loop
from tests.unit.control.archives import archive
from tests.unit.control.play import Play

ROLE = "arn:aws:iam::123456789012:role/worker"
LAYER = "arn:aws:lambda:us-east-1:123456789012:layer:tools:1"


class Start:
    """One emulator's control plane, from its start to a kill: nothing is done at its end.

    Arguments:
        given: functions of its configuration file.
        said: the file's table for each of them.
        refuses_with: why no function can run at this start.
    """

    def __init__(
        self,
        folder: Path,
        *given: Function,
        said: dict[str, Any] | None = None,
        refuses_with: ConfigurationError | None = None,
    ) -> None:
        self.folder = folder
        self.service = Play(folder.parent).service
        self.service.functions.deployed = {function.name: function for function in given}
        self.service.functions.refuses_with = refuses_with
        if said is not None:
            self.service.settings = self.service.settings.with_values({"functions": said})
        self._stack = ExitStack()

    async def __aenter__(self) -> Start:
        state = self._stack.enter_context(StateFolder(self.folder))
        try:
            self.keeper = await Keeper.restored(cast(Service, self.service), state)
        except BaseException:
            self._stack.close()
            raise
        self.registry = self.keeper.control.registry
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stack.close()

    async def ask(self, operation: str, **request: Any) -> dict[str, Any]:
        """The answer, when what it says is kept, and what it has begun is done."""
        answer = await OPERATIONS[operation](self.keeper.control, request)
        while self.service.spawned:
            await self.service.spawned.pop(0)
        await self.keeper.settled()
        return answer

    async def create(self, **more: Any) -> dict[str, Any]:
        given = {"FunctionName": "orders", "Runtime": "python3.11", "Handler": "app.handler", "Role": ROLE}
        return await self.ask("CreateFunction", **{**given, "Code": {"ZipFile": archive()}, "Publish": True, **more})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The state's."""
    return tmp_path / "state"


def given(tmp_path: Path, **more: Any) -> Function:
    """A function of the configuration file."""
    (tmp_path / "given").mkdir(exist_ok=True)
    return Function(name="orders", code=tmp_path / "given", **more)


@in_loop
async def test_everything_is_had_again(folder: Path) -> None:
    """The service is asked for all that it was asked for before, and a client sees no difference."""
    async with Start(folder) as first:
        await first.ask("PublishLayerVersion", LayerName="tools", Content={"ZipFile": archive(("t", "x"))})
        await first.create(Layers=[LAYER], Tags={"a": "b"})
        await first.ask("CreateAlias", FunctionName="orders", Name="live", FunctionVersion="1")
        cors = {"AllowOrigins": ["https://a"], "MaxAge": 5}
        await first.ask("CreateFunctionUrlConfig", FunctionName="orders:live", AuthType="AWS_IAM", Cors=cors)
        for name, retries in (("orders", 0), ("orders:live", 1)):
            await first.ask("PutFunctionEventInvokeConfig", FunctionName=name, MaximumRetryAttempts=retries)
        await first.ask("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=7)
        await first.ask(
            "PutProvisionedConcurrencyConfig", FunctionName="orders:live", ProvisionedConcurrentExecutions=2
        )
        before = first.registry.to_json()
    async with Start(folder) as again:
        assert again.registry.to_json() == before
        played, known = again.service.functions, first.service.functions
        assert played.deployed["orders"] == known.deployed["orders"]
        assert (played.deployed["orders"].reserved_concurrency, len(played.deployed["orders"].layers)) == (7, 1)
        assert played.versions == known.versions
        assert played.routings == {"orders:live": Routing("1")}
        assert list(again.service.urls) == list(first.service.urls) != []
        assert played.asynchronous == {"orders": Asynchronous(retries=0)}
        assert played.alias_asynchronous == {"orders:live": Asynchronous(retries=1)}
        assert (played.wanted, again.service.troubles) == ({"orders:1": 2}, [])


@in_loop
async def test_what_was_taken_back_does_not_come_again(folder: Path) -> None:
    """A deleted function, its code included; a reservation."""
    async with Start(folder) as first:
        await first.create()
        await first.create(FunctionName="other")
        await first.ask("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=7)
        await first.ask("DeleteFunctionConcurrency", FunctionName="orders")
        await first.ask("DeleteFunction", FunctionName="other")
    async with Start(folder) as again:
        assert again.service.functions.deployed.keys() == {"orders"}
        assert again.service.functions.deployed["orders"].reserved_concurrency is None
        assert len(list((folder / "code").iterdir())) == 1


@in_loop
async def test_what_cannot_run_is_failed_until_it_can(folder: Path) -> None:
    """With the reason, and held back; a later start tries again, and nothing of it was lost."""
    async with Start(folder) as first:
        await first.create()
        revision = first.registry.functions["orders"].latest.revision
    async with Start(folder, refuses_with=CodeError("no such folder")) as again:
        latest = again.registry.functions["orders"].latest
        assert (latest.state, latest.state_reason) == ("Failed", "no such folder")
        assert again.service.functions.held_back == {"orders": "Failed", "orders:1": "Failed"}
    async with Start(folder) as third:
        latest = third.registry.functions["orders"].latest
        assert (latest.state, latest.state_reason) == ("Active", None)
        assert latest.revision != revision
        assert third.service.functions.versions.keys() == {"orders:1"}


@in_loop
async def test_what_served_when_an_update_failed_serves_again(folder: Path) -> None:
    """The new settings are shown, with the failure; the old ones run, with their code."""
    async with Start(folder) as first:
        await first.create(Timeout=7)
        first.service.functions.refuses_with = CodeError("no such layer")
        await first.ask("UpdateFunctionConfiguration", FunctionName="orders", Timeout=9)
        await first.ask("UpdateFunctionCode", FunctionName="orders", ZipFile=archive(("new.py", "")))
        before = first.registry.to_json()
    async with Start(folder) as again:
        assert again.registry.to_json() == before
        latest = again.registry.functions["orders"].latest
        assert (latest.state, latest.update, latest.settings["Timeout"]) == ("Active", "Failed", 9)
        played = again.service.functions.deployed["orders"]
        assert played.code is not None
        assert (played.timeout, [path.name for path in played.code.iterdir()]) == (7, ["app.py"])
    async with Start(folder, refuses_with=CodeError("gone")) as third:
        assert third.registry.functions["orders"].latest.state == "Failed"
    async with Start(folder) as last:
        assert last.registry.functions["orders"].latest.state == "Active"
        assert last.service.functions.deployed["orders"].timeout == 7


@in_loop
async def test_what_was_under_way_is_brought_to_its_end(folder: Path) -> None:
    """A kill between the answer and the deployment: the next start deploys."""
    async with Start(folder) as first:
        control = first.keeper.control
        request = {"FunctionName": "orders", "Runtime": "python3.11", "Handler": "app.handler", "Role": ROLE}
        await OPERATIONS["CreateFunction"](control, {**request, "Code": {"ZipFile": archive()}})
        await first.keeper.settled()
        first.service.spawned.pop().close()
    async with Start(folder) as again:
        latest = again.registry.functions["orders"].latest
        assert (latest.state, latest.update, latest.state_reason) == ("Active", "Successful", None)
        assert again.service.functions.deployed.keys() == {"orders"}


@in_loop
async def test_a_function_of_the_file_is_as_the_file_says(folder: Path, tmp_path: Path) -> None:
    """Its versions, aliases and tags are kept, and what the file does not say; its revision where nothing differs."""
    async with Start(folder, given(tmp_path)) as first:
        await first.ask("PublishVersion", FunctionName="orders")
        await first.ask("CreateAlias", FunctionName="orders", Name="live", FunctionVersion="1")
        await first.ask("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=7)
        await first.ask("CreateFunctionUrlConfig", FunctionName="orders", AuthType="AWS_IAM")
        await first.ask("PutFunctionEventInvokeConfig", FunctionName="orders", MaximumRetryAttempts=0)
        revision = first.registry.functions["orders"].latest.revision
    async with Start(folder, given(tmp_path)) as again:
        assert again.registry.functions["orders"].latest.revision == revision
        assert again.service.functions.versions.keys() == {"orders:1"}
        assert again.service.functions.deployed["orders"].reserved_concurrency == 7
        assert [url.auth for url in again.service.urls] == ["AWS_IAM"]
        await again.ask("UpdateFunctionConfiguration", FunctionName="orders", Timeout=99)
        assert again.service.functions.deployed["orders"].timeout == 99
    said = {"orders": {"url": True, "asynchronous": {"retries": 1}, "reserved_concurrency": 3}}
    async with Start(folder, given(tmp_path, reserved_concurrency=3), said=said) as third:
        assert third.registry.functions["orders"].latest.settings["Timeout"] == 3
        assert third.service.functions.deployed["orders"].timeout == 3
        assert third.service.functions.deployed["orders"].reserved_concurrency == 3
        assert (list(third.service.urls), third.service.functions.asynchronous) == ([], {})
        assert third.service.functions.routings.keys() == {"orders:live"}


@in_loop
async def test_a_function_that_the_file_has_no_more_is_kept_aside(folder: Path, tmp_path: Path) -> None:
    """It does not run and is not shown; when the file has it again its versions are there, with their code."""
    async with Start(folder, given(tmp_path)) as first:
        await first.ask("PublishVersion", FunctionName="orders")
    for _ in range(2):
        async with Start(folder) as again:
            assert (again.registry.functions, again.service.functions.versions) == ({}, {})
    async with Start(folder, given(tmp_path)) as last:
        assert last.service.functions.versions.keys() == {"orders:1"}
        assert Path(last.registry.functions["orders"].versions["1"].code.folder).is_dir()


@in_loop
async def test_a_new_function_of_the_file_comes_beside_the_others(folder: Path, tmp_path: Path) -> None:
    """It is taken up while those with layers are made to run again."""
    async with Start(folder) as first:
        await first.ask("PublishLayerVersion", LayerName="tools", Content={"ZipFile": archive(("t", "x"))})
        await first.create(FunctionName="other", Layers=[LAYER])
    async with Start(folder, given(tmp_path)) as again:
        assert again.registry.functions.keys() == {"orders", "other"}
        assert again.service.functions.deployed.keys() == {"orders", "other"}


@in_loop
async def test_the_folder_can_be_moved(folder: Path) -> None:
    """What lies in it is found at its new place."""
    async with Start(folder) as first:
        await first.ask("PublishLayerVersion", LayerName="tools", Content={"ZipFile": archive(("t", "x"))})
        await first.create(Layers=[LAYER])
    moved = folder.with_name("elsewhere")
    shutil.move(folder, moved)
    async with Start(moved) as again:
        function = again.service.functions.deployed["orders"]
        code = again.registry.functions["orders"].latest.code
        for path in (function.code, *function.layers, Path(code.archive or "")):
            assert path is not None
            assert path.is_relative_to(moved)
            assert path.exists()


@in_loop
async def test_what_a_kill_has_left_is_removed(folder: Path) -> None:
    """Code and layers that nothing has; never what has another name than the emulator gives."""
    async with Start(folder) as first:
        await first.create()
    left = "orders-00000000-0000-0000-0000-000000000000"
    for path in (folder / "code" / left, folder / "code" / "mine", folder / "layers" / "tmpabc_1"):
        path.mkdir(parents=True)
    (folder / "layers" / f"{left}.zip").write_text("")
    async with Start(folder) as again:
        names = {path.name for store in ("code", "layers") for path in (folder / store).iterdir()}
        assert names == {"mine", Path(again.registry.functions["orders"].latest.code.folder).parent.name}


@in_loop
async def test_a_state_that_is_none_is_refused(folder: Path) -> None:
    """JSON of another form is damaged, too; the file stays as it is."""
    async with Start(folder) as first:
        await first.create()
    path = folder / "state.json"
    said = json.loads(path.read_text())
    del said["registry"]["functions"]["orders"]["latest"]["settings"]["MemorySize"]
    path.write_text(json.dumps(said))
    with pytest.raises(StateError, match=r"is damaged: state\.json has not what belongs there: KeyError"):
        await Start(folder).__aenter__()
    assert json.loads(path.read_text()) == said


@in_loop
async def test_what_cannot_be_written_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The change is in force; the next one writes it as well."""
    async with Start(folder) as first:

        def fail(self: StateFolder, said: bytes) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(StateFolder, "write", fail)
            await first.create()
        assert set(first.service.troubles) == {f"the state cannot be written to {folder}: No space left on device"}
        await first.ask("TagResource", Resource=first.service.arn("orders"), Tags={"a": "b"})
    async with Start(folder) as again:
        assert again.registry.functions["orders"].tags == {"a": "b"}


@in_loop
async def test_what_the_account_has_no_room_for_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the function is there."""
    async with Start(folder) as first:
        await first.create()
        await first.ask("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=7)
    again = Start(folder)

    def refuse(name: str, places: int | None) -> None:
        raise ConfigurationError("there are 5 places")

    monkeypatch.setattr(again.service.functions, "reserve", refuse)
    async with again:
        assert again.service.troubles == ["orders is not all that it was: there are 5 places"]
        assert again.service.functions.deployed.keys() == {"orders"}
