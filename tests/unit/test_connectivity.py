"""An environment's network as a whole: what is silenced when, and who waits for what."""

from __future__ import annotations

import asyncio

import pytest

from emulator.clock import FakeClock
from emulator.connectivity import Connectivity
from emulator.database.relay import Relay
from emulator.errors import SandboxError
from emulator.model import EnvironmentId, Reclaim
from emulator.sandbox.network import OnSwitched
from tests.support import in_loop, run, skip_time
from tests.unit.stage import settle

QUIET = 60.0  # seconds; on a loop whose time can be skipped a long span costs nothing and cannot pass by accident


class NotedRelay(Relay):
    """A relay that says what it is told, in the order of everything else."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes
        super().__init__(
            EnvironmentId("e"), ("127.0.0.1", 9), clock=FakeClock(), on_event=lambda _event: None, listen=None
        )

    def freeze(self) -> None:
        self._notes.append("relay silent")
        super().freeze()

    def thaw(self) -> None:
        self._notes.append("relay speaks")
        super().thaw()

    def reclaim(self, how: Reclaim) -> None:
        self._notes.append(f"relay reclaimed: {how}")
        super().reclaim(how)


class PlayedCut:
    """A cut that answers when the test says so, in the order that the test says; or at once."""

    name = "played"

    def __init__(self, notes: list[str], *, slow: bool) -> None:
        self._notes, self._slow = notes, slow
        self.waiting: list[OnSwitched] = []
        self.failure: SandboxError | None = None

    def off(self, done: OnSwitched) -> None:
        self._asked("off", done)

    def on(self, done: OnSwitched) -> None:
        self._asked("on", done)

    def answer(self, index: int = 0, failure: str = "") -> None:
        """One of those that wait gets its answer; by default the oldest."""
        self.waiting.pop(index)(SandboxError(failure) if failure else None)

    def _asked(self, what: str, done: OnSwitched) -> None:
        self._notes.append(f"network {what}")
        if self._slow:
            self.waiting.append(done)
        else:
            done(self.failure)


class Play:
    """A connectivity, everything around it, and a diary of what all of them do."""

    def __init__(self, *, slow: bool = False, with_relay: bool = True) -> None:
        self.notes: list[str] = []
        self.cut = PlayedCut(self.notes, slow=slow)
        self.relay = NotedRelay(self.notes) if with_relay else None
        self.network = Connectivity(self.cut, self.relay, quiet=QUIET, on_trouble=self._trouble)

    def thaw(self) -> None:
        self.network.thaw(lambda error: self.notes.append(f"ready: {error.message}" if error else "ready"))

    async def cut_off(self) -> None:
        """Frozen, and quiet for long enough."""
        self.network.freeze()
        await self.pass_quiet()

    async def pass_quiet(self) -> None:
        skip_time(QUIET)
        await settle()

    async def reclaim(self, how: Reclaim) -> asyncio.Task[None]:
        """Begin it; it is as far as it gets when this returns."""
        task = asyncio.get_running_loop().create_task(self._reclaim(how))
        await settle()
        return task

    async def _reclaim(self, how: Reclaim) -> None:
        await self.network.reclaim(how)
        self.notes.append("reclaimed")

    def _trouble(self, what: str) -> None:
        self.notes.append(f"trouble: {what}")


@in_loop
async def test_the_relay_is_silent_at_once_and_the_rest_after_a_span_of_quiet() -> None:
    """The last acknowledgements still get out, as they do where a machine is not stopped in mid-packet."""
    play = Play()
    play.network.freeze()
    assert play.notes == ["relay silent"]
    skip_time(QUIET - 1)
    await settle()
    assert play.notes == ["relay silent"]
    assert not play.network.is_cut
    skip_time(1)
    await settle()
    assert play.notes == ["relay silent", "network off"]
    assert play.network.is_cut


@in_loop
async def test_a_thaw_before_the_cut_finds_the_network_as_it_was() -> None:
    """Nothing is switched, then or later, and nobody waits."""
    play = Play(slow=True)
    play.network.freeze()
    play.thaw()
    assert play.notes == ["relay silent", "relay speaks", "ready"]
    await play.pass_quiet()
    assert "network off" not in play.notes


@in_loop
async def test_a_thaw_after_the_cut_brings_the_network_back_before_anybody_goes_on() -> None:
    """The network, then the relay, then the processes: a packet that finds no network is lost for a second."""
    play = Play(slow=True)
    await play.cut_off()
    play.cut.answer()
    play.thaw()
    assert play.notes == ["relay silent", "network off", "network on"]
    assert play.relay is not None
    assert play.relay.is_cut
    play.cut.answer()
    assert play.notes[3:] == ["relay speaks", "ready"]
    assert not play.network.is_cut
    assert not play.relay.is_cut


@in_loop
async def test_a_thaw_while_the_cut_is_in_flight_waits_for_the_way_back_only() -> None:
    """The late word of the cut does not make anybody ready, and does not pass for a network that is off."""
    play = Play(slow=True)
    await play.cut_off()
    play.thaw()
    assert play.notes[1:] == ["network off", "network on"]
    play.cut.answer()
    assert "ready" not in play.notes
    assert not play.network.is_cut
    play.cut.answer()
    assert play.notes[3:] == ["relay speaks", "ready"]


@in_loop
async def test_the_late_word_of_a_cut_after_the_thaw_changes_nothing() -> None:
    """Answers out of order: the environment is ready, once, and the next freeze cuts again."""
    play = Play(slow=True)
    await play.cut_off()
    play.thaw()
    play.cut.answer(1)
    assert play.notes[3:] == ["relay speaks", "ready"]
    play.cut.answer(0)
    assert play.notes[5:] == []
    assert not play.network.is_cut
    await play.cut_off()
    assert play.notes[5:] == ["relay silent", "network off"]


@in_loop
async def test_the_late_failure_of_a_cut_after_the_thaw_is_told_and_changes_nothing() -> None:
    """Less silent than it should have been, and awake by now."""
    play = Play(slow=True)
    await play.cut_off()
    play.thaw()
    play.cut.answer(0, "no such port")
    play.cut.answer(0)
    assert play.notes[3:] == ["trouble: its network could not be cut: no such port", "relay speaks", "ready"]


@in_loop
async def test_every_freeze_has_its_own_span_of_quiet() -> None:
    """The time that an earlier freeze had waited does not count."""
    play = Play()
    play.network.freeze()
    skip_time(QUIET - 1)
    await settle()
    play.thaw()
    play.network.freeze()
    skip_time(QUIET - 1)
    await settle()
    assert "network off" not in play.notes
    skip_time(1)
    await settle()
    assert play.notes[-1] == "network off"


@in_loop
async def test_a_cut_that_fails_is_told_and_the_environment_goes_on() -> None:
    """Its relay is silent all the same; there is nothing to be brought back at the thaw."""
    play = Play()
    play.cut.failure = SandboxError("no such port")
    await play.cut_off()
    assert play.notes[2:] == ["trouble: its network could not be cut: no such port"]
    assert not play.network.is_cut
    play.thaw()
    assert play.notes[3:] == ["relay speaks", "ready"]


@in_loop
async def test_a_network_that_does_not_come_back_is_told_to_whoever_waits() -> None:
    """The environment has to decide what becomes of it."""
    play = Play(slow=True)
    await play.cut_off()
    play.cut.answer()
    play.thaw()
    play.cut.answer(0, "no such network")
    assert play.notes[-1] == "ready: no such network"


@in_loop
async def test_without_a_relay_the_cut_is_all_there_is() -> None:
    """A function without a declared database."""
    play = Play(with_relay=False)
    await play.cut_off()
    play.thaw()
    await play.cut_off()
    task = await play.reclaim(Reclaim.SILENT)
    await task
    assert play.notes == ["network off", "network on", "ready", "network off", "reclaimed"]


@in_loop
async def test_a_silent_end_cuts_what_was_not_cut_and_waits_for_it() -> None:
    """Before the relay is told, and before anybody may be killed."""
    play = Play(slow=True)
    task = await play.reclaim(Reclaim.SILENT)
    assert play.notes == ["network off"]
    play.cut.answer()
    await task
    assert play.notes == ["network off", "relay reclaimed: silent", "reclaimed"]
    assert play.network.is_cut


@in_loop
async def test_a_silent_end_in_the_span_of_quiet_cuts_once() -> None:
    """The timer of the freeze does not come after it."""
    play = Play()
    play.network.freeze()
    await (await play.reclaim(Reclaim.SILENT))
    await play.pass_quiet()
    assert play.notes == ["relay silent", "network off", "relay reclaimed: silent", "reclaimed"]


@in_loop
async def test_a_silent_end_after_the_cut_leaves_it_alone() -> None:
    """It is silent already."""
    play = Play()
    await play.cut_off()
    await (await play.reclaim(Reclaim.SILENT))
    assert play.notes == ["relay silent", "network off", "relay reclaimed: silent", "reclaimed"]


@in_loop
async def test_a_silent_end_while_the_cut_is_in_flight_waits_for_it() -> None:
    """Asked for is not done: whoever is killed before could still be heard."""
    play = Play(slow=True)
    await play.cut_off()
    task = await play.reclaim(Reclaim.SILENT)
    assert not task.done()
    assert play.notes == ["relay silent", "network off"]
    play.cut.answer()
    await task
    assert play.notes[2:] == ["relay reclaimed: silent", "reclaimed"]


@in_loop
async def test_a_silent_end_tries_again_where_the_cut_in_flight_fails() -> None:
    """A second chance, for the last moment in which it matters."""
    play = Play(slow=True)
    await play.cut_off()
    task = await play.reclaim(Reclaim.SILENT)
    play.cut.answer(0, "busy")
    await settle()
    assert play.notes[2:] == ["trouble: its network could not be cut: busy", "network off"]
    play.cut.answer()
    await task
    assert play.notes[4:] == ["relay reclaimed: silent", "reclaimed"]


@in_loop
async def test_a_silent_end_while_the_network_is_on_its_way_back_cuts_it_again() -> None:
    """In that order, whatever else waits for the thaw."""
    play = Play(slow=True)
    await play.cut_off()
    play.cut.answer()
    play.thaw()
    task = await play.reclaim(Reclaim.SILENT)
    assert play.notes[1:] == ["network off", "network on", "network off"]
    play.cut.answer()
    assert not task.done()
    play.cut.answer()
    await task
    assert play.notes[4:] == ["relay speaks", "ready", "relay reclaimed: silent", "reclaimed"]
    assert play.relay is not None
    assert play.relay.is_cut


@in_loop
async def test_who_asks_for_a_network_that_is_on_its_way_back_waits_for_it() -> None:
    """One switch serves all who ask, and nobody goes on before it."""
    play = Play(slow=True)
    await play.cut_off()
    play.cut.answer()
    play.thaw()
    play.thaw()
    assert play.notes[1:] == ["network off", "network on"]
    play.cut.answer()
    assert play.notes[3:] == ["relay speaks", "ready", "relay speaks", "ready"]
    play.thaw()
    assert play.notes[7:] == ["relay speaks", "ready"]


HEARD = [Reclaim.FIN, Reclaim.RST, Reclaim.GRACEFUL]


@pytest.mark.parametrize("how", HEARD)
def test_an_end_that_shall_be_heard_waits_for_a_network_on_its_way_back(how: Reclaim) -> None:
    """A thaw has asked for it, and the end has overtaken the thaw."""

    async def play_it() -> None:
        play = Play(slow=True)
        await play.cut_off()
        play.cut.answer()
        play.thaw()
        task = await play.reclaim(how)
        assert not task.done()
        play.cut.answer()
        await task
        assert play.notes[2:].count("network on") == 1
        assert play.notes.index(f"relay reclaimed: {how}") > play.notes.index("ready")

    run(play_it())


@pytest.mark.parametrize("how", HEARD)
def test_an_end_that_shall_be_heard_gets_its_network_back_first(how: Reclaim) -> None:
    """And waits until it is there: what is closed without a network is closed in silence."""

    async def play_it() -> None:
        play = Play(slow=True)
        await play.cut_off()
        play.cut.answer()
        task = await play.reclaim(how)
        assert play.notes[1:] == ["network off", "network on"]
        play.cut.answer()
        await task
        assert play.notes[3] == f"relay reclaimed: {how}"
        assert play.notes[-1] == "reclaimed"
        assert not play.network.is_cut

    run(play_it())


@pytest.mark.parametrize("how", HEARD)
def test_an_end_that_shall_be_heard_waits_for_a_cut_in_flight(how: Reclaim) -> None:
    """Off, then on, then the end; never the other way round."""

    async def play_it() -> None:
        play = Play(slow=True)
        await play.cut_off()
        task = await play.reclaim(how)
        assert play.notes[1:] == ["network off"]
        play.cut.answer()
        await settle()
        assert play.notes[1:] == ["network off", "network on"]
        play.cut.answer()
        await task
        assert play.notes[3] == f"relay reclaimed: {how}"

    run(play_it())


@pytest.mark.parametrize("how", HEARD)
def test_an_end_that_shall_be_heard_changes_no_network_that_is_on(how: Reclaim) -> None:
    """In the span of quiet, or awake: there is nothing to be switched, then or later."""

    async def play_it() -> None:
        for frozen in (False, True):
            play = Play(slow=True)
            if frozen:
                play.network.freeze()
            await (await play.reclaim(how))
            await play.pass_quiet()
            assert not [note for note in play.notes if note.startswith("network")]
            assert f"relay reclaimed: {how}" in play.notes

    run(play_it())


@pytest.mark.parametrize("how", [Reclaim.SILENT, Reclaim.FIN])
def test_an_end_goes_on_where_the_network_cannot_be_switched(how: Reclaim) -> None:
    """It is told, for the end is less faithful than it should be; but it is the end."""

    async def play_it() -> None:
        play = Play(slow=True)
        if how is Reclaim.FIN:
            await play.cut_off()
            play.cut.answer()
        task = await play.reclaim(how)
        play.cut.answer(0, "no such port")
        await task
        assert "trouble: its network could not be switched: no such port" in play.notes
        assert play.notes[-1] == "reclaimed"
        assert f"relay reclaimed: {how}" in play.notes

    run(play_it())
