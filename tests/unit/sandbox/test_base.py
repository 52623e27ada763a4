"""The seam to sandboxes: exit statuses, and fakes that are what they stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.model import EnvironmentId, Function
from emulator.sandbox.base import (
    ExitStatus,
    FakeProvider,
    FakeSandbox,
    Sandbox,
    SandboxEvents,
    SandboxProvider,
    SandboxSpec,
)
from tests.support import in_loop

SPEC = SandboxSpec(EnvironmentId("e1"), Function(name="orders", code=Path()), {}, 9001)


class Deaf(SandboxEvents):
    """Somebody who hears nothing of what a sandbox tells."""

    def runtime_wrote(self, output: bytes) -> None:
        return

    def extension_wrote(self, output: bytes) -> None:
        return

    def runtime_exited(self, status: ExitStatus) -> None:
        return

    def extension_exited(self, name: str, status: ExitStatus) -> None:
        return

    def connection_told(self, port: int, peer_port: int, place: str) -> None:
        return


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (0, ExitStatus(code=0)),
        (1, ExitStatus(code=1)),
        (127, ExitStatus(code=127)),
        (128, ExitStatus(code=128)),
        (137, ExitStatus(signal=9)),
        (139, ExitStatus(signal=11)),
        (143, ExitStatus(signal=15)),
        (255, ExitStatus(code=255)),  # no signal has that number
    ],
)
def test_a_shells_number_is_a_code_or_a_signal(code: int, status: ExitStatus) -> None:
    """128 and a signal's number, as engines report it; anything else is a code."""
    assert ExitStatus.from_shell(code) == status


def test_an_end_for_want_of_memory_stays_one() -> None:
    """The number alone does not tell."""
    assert ExitStatus.from_shell(137, out_of_memory=True) == ExitStatus(signal=9, out_of_memory=True)


@in_loop
async def test_the_fakes_are_what_they_stand_for() -> None:
    """Type checkers hold them against the protocols; here they go through one life."""
    provider: SandboxProvider = FakeProvider()
    async with provider:
        await provider.prepare(SPEC.function)
        sandbox: Sandbox = provider.create(SPEC, Deaf())
        await sandbox.start()
        sandbox.initialized()
        begun = sandbox.started_at
        await sandbox.reset()
        sandbox.start_runtime()
        assert sandbox.started_at >= begun
        await sandbox.stop()
    assert isinstance(sandbox, FakeSandbox)
    assert (sandbox.resets, sandbox.runtime_starts) == (1, 1)
    assert (sandbox.started, sandbox.is_initialized, sandbox.stopped) == (True, True, True)


def test_every_fake_sandbox_has_an_address_of_its_own() -> None:
    """As real ones have; it is how the Runtime API tells them apart."""
    provider = FakeProvider()
    made = [provider.create(SPEC, Deaf()) for _ in range(300)]
    assert len({sandbox.view.address for sandbox in made}) == 300
    assert provider.sandboxes == made
