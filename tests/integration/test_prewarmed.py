"""Prewarmed sandboxes: an environment that comes from the pool is like any other, only sooner."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator, Function
from emulator.embedded import DeployedFunction
from emulator.sandbox import vessel
from tests.integration import test_connections as connections
from tests.integration import test_reset as resets
from tests.integration import test_sandbox_contents as contents
from tests.integration.conftest import FUNCTIONS, Deploy
from tests.needs import need_database, need_engine
from tests.support import eventually, require

pytestmark = pytest.mark.container


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One that keeps one prewarmed sandbox."""
    need_engine()
    need_database()
    require(os.geteuid() == 0, "Prewarmed sandboxes are for root only.", "Run as root.")
    with Emulator({"emulator": {"sandbox": "container", "prewarmed": 1}}) as running:
        yield running


@pytest.fixture
def deploy(emulator: Emulator, deploy: Deploy) -> Deploy:
    """As ever; but the pool is full when the function is there."""

    def deploy_and_wait(*arguments: Any, **settings: Any) -> DeployedFunction:
        function = deploy(*arguments, **settings)
        wait_for_the_pool(emulator)
        return function

    return deploy_and_wait


def wait_for_the_pool(emulator: Emulator) -> None:
    eventually(
        lambda: any(note.startswith("1 of 1 prewarmed sandboxes wait for") for note in emulator.status().notes),
        "a prewarmed sandbox",
        deadline=10,
    )


def is_from_the_pool(function: DeployedFunction) -> bool:
    """Whether its one environment is: the folder of its pipes has the name with which it was started."""
    (view,) = function.environments()
    return "/prewarmed-" in Path(f"/proc/{view.sandbox.pid}/mountinfo").read_text()


SAME = [
    contents.test_variables,
    contents.test_variables_that_users_may_change,
    contents.test_files_user_and_limits,
    contents.test_an_environment_knows_its_own_names,
    contents.test_curl_is_there,
    contents.test_processes_without_a_parent_leave_nothing_behind,
    contents.test_layers,
    contents.test_a_wrapper_starts_the_runtime,
    contents.test_a_wrapper_may_be_in_the_code,
    contents.test_a_missing_wrapper_ends_with_status_127,
    connections.test_connection_opened_once_is_used_again,
    resets.test_timeout_keeps_tmp_and_loses_memory,
]


@pytest.mark.parametrize("shown", SAME, ids=lambda shown: shown.__name__)
def test_the_same_is_found_as_in_any_other(
    shown: Callable[..., None], emulator: Emulator, deploy: Deploy, tmp_path: Path
) -> None:
    """What is shown of ordinary containers elsewhere, with environments from the pool."""
    deployed: list[DeployedFunction] = []

    def deploy_and_remember(*arguments: Any, **settings: Any) -> DeployedFunction:
        deployed.append(deploy(*arguments, **settings))
        return deployed[-1]

    given = {"emulator": emulator, "deploy": deploy_and_remember, "tmp_path": tmp_path}
    wanted = shown.__code__.co_varnames[: shown.__code__.co_argcount]
    shown(**{name: given[name] for name in wanted})
    assert deployed
    assert is_from_the_pool(deployed[-1])


LOOKING = """
import os

def read(path):
    with open(path) as file:
        return file.read()

def handler(event, context):
    mounts = [line.split() for line in read("/proc/self/mountinfo").splitlines()]
    size = os.statvfs("/tmp")
    places = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "../memory.max", "../memory.swap.max"]
    paths = [os.path.join("/sys/fs/cgroup/memory", place) for place in places]
    return {
        "variables": sorted(os.environ),
        "variables of the first": sorted(v.split("=")[0] for v in read("/proc/1/environ").split("\\0")),
        "commands": read("/proc/1/cmdline").replace(" PS4", ""),
        "mounts": sorted([mount[4], mount[5], mount[mount.index("-") + 1]] for mount in mounts),
        "folder": os.getcwd(),
        "tmp": size.f_blocks * size.f_frsize,
        "memory": [read(path) for path in paths if os.path.exists(path)],
        "pipes": sorted(os.listdir("/run/lambda-freezer")),
        "interfaces": sorted(os.listdir("/sys/class/net")),
        "hosts": [name for name in read("/etc/hosts").split() if name in ("sandbox", "sandbox.localdomain", "mysql")],
        "open": sorted(os.listdir("/proc/self/fd")),
        "rights": [line for line in read("/proc/self/status").splitlines() if line.startswith(("Sig", "Cap", "NoNew"))],
    }
"""


def test_from_the_inside_there_is_no_difference(deploy: Deploy, tmp_path: Path) -> None:
    """Mounts, limits, variables, descriptors, names: compared with a container that was made for its function.

    That one has a variable that a shell cannot be told, for which reason nothing from the pool can serve it.
    """
    settings: dict[str, Any] = {
        "code": contents.package(tmp_path, LOOKING),
        "memory": 300,
        "ephemeral_storage": 600,
        "layers": contents.two_layers(tmp_path / "layers"),
    }
    prewarmed = deploy(environment={"COLOUR": "it's\nblue"}, **settings)
    ordinary = deploy(environment={"COLOUR": "it's\nblue", "PS4": "+"}, **settings)
    found, expected = prewarmed.invoke({}).payload, ordinary.invoke({}).payload
    assert is_from_the_pool(prewarmed)
    assert not is_from_the_pool(ordinary)
    assert found["tmp"] == 600 * 2**20
    assert str(300 * 2**20) + "\n" in found["memory"]
    for name in ("variables", "variables of the first"):
        expected[name].remove("PS4")
    assert found == expected


def test_it_is_sooner(deploy: Deploy, tmp_path: Path) -> None:
    """Almost everything that is left of a cold start is the runtime's own."""
    function = deploy(code=contents.package(tmp_path, "def handler(event, context): pass\n"), memory=1769)
    result = function.invoke({})
    begin, init, idle = (
        next(
            event.at
            for event in function.emulator.timeline()
            if event.environment == result.environment_id and event.kind == f"environment.{state}"
        )
        for state in ("starting", "init", "idle")
    )
    assert result.report.init_ms is not None
    assert begin <= init <= idle
    beyond = (idle - begin) * 1000 - result.report.init_ms
    assert beyond < 100  # 2 ms on a quiet machine; a container from nothing takes 150 at the least


def test_what_cannot_be_changed_any_more_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event is served all the same, the reason is told, and the pool is given up."""
    need_engine()

    def refuse(*_arguments: object, **_settings: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    with Emulator({"emulator": {"sandbox": "container", "prewarmed": 1}, "database": {"server": "none"}}) as emulator:
        function = emulator.add(Function(name="anything", code=FUNCTIONS / "anything", memory=512))
        wait_for_the_pool(emulator)
        monkeypatch.setattr(vessel, "mounted", refuse)
        assert function.invoke({"do": "count"}).payload == 1
        assert not is_from_the_pool(function)
        (note,) = [note for note in emulator.status().notes if "prewarmed" in note]
        assert note.startswith("A prewarmed sandbox for lambda-freezer/python")
        assert note.endswith("is missing: [Errno 1] Operation not permitted.")
        assert function.invoke({"do": "count"}).payload == 2
