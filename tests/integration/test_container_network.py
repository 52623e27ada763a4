"""The two networks of containers, and the proof at start, for each means to cut one of them."""

from __future__ import annotations

import asyncio

import pytest

from emulator.errors import ConfigurationError, one_error
from emulator.model import NetworkReport
from emulator.sandbox import container_network
from emulator.sandbox.container_network import ContainerNetwork
from emulator.sandbox.engine import Engine
from emulator.sandbox.instance import Instance
from tests.needs import need_engine

pytestmark = pytest.mark.container
IMAGE = "lambda-freezer/python:3.11"


async def prove(wanted: str, *, look_inside: bool = True) -> NetworkReport:
    """The report of one emulator's networks."""
    with Instance() as instance:
        async with asyncio.timeout(50), asyncio.TaskGroup() as tasks, Engine(instance) as engine:
            network = ContainerNetwork(instance, engine, tasks.create_task, wanted=wanted, look_inside=look_inside)
            async with network:
                await network.prove(IMAGE)
                return network.report


@pytest.mark.parametrize("means", ["netlink", "helper", "disconnect"])
def test_each_means_is_silent(means: str) -> None:
    """Cut, a container acknowledges nothing and its death is not heard; restored, it goes on."""
    need_engine()
    report = asyncio.run(prove(means))
    assert (report.fidelity, report.mechanism) == ("full", means)
    (rung,) = [rung for rung in report.rungs if rung.available]
    assert rung.reason == "works here"
    assert rung.off_us is not None
    assert rung.on_us is not None


def test_where_cables_cannot_be_laid_the_engine_lays_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network is as silent; only the start of a container takes longer, and the reason is told."""
    need_engine()
    monkeypatch.setattr(container_network, "names_can_be_looked_up", lambda: False)
    report = asyncio.run(prove("netlink"))
    assert (report.fidelity, report.mechanism) == ("full", "netlink")
    assert "the engine lays the cables (this machine's name server cannot be reached" in report.rungs[0].reason


def test_without_a_look_into_containers_the_helper_serves() -> None:
    """For a user who is not root the engine is asked for the interfaces, and the helper cuts as silently."""
    need_engine()
    report = asyncio.run(prove("auto", look_inside=False))
    assert (report.fidelity, report.mechanism) == ("full", "helper")


def test_no_cut_is_no_fidelity() -> None:
    """Where nothing may be cut, the report says so and claims nothing."""
    need_engine()
    report = asyncio.run(prove("none"))
    assert (report.fidelity, report.mechanism) == ("none", "none")
    assert report.note


def test_means_that_does_not_work_is_refused() -> None:
    """A means that was asked for by name and does not work here is an error, with the reason."""
    need_engine()
    with pytest.raises(ConfigurationError, match="netlink"), one_error():
        asyncio.run(prove("netlink", look_inside=False))
