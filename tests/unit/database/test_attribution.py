"""What is remembered of whose session is whose."""

from __future__ import annotations

from emulator.database.attribution import Attribution
from emulator.model import EnvironmentId, RequestId
from tests.unit.database.scripted import SomeEnvironment, row

ONE, TWO = EnvironmentId("one"), EnvironmentId("two")


def container(name: EnvironmentId, address: str) -> SomeEnvironment:
    return SomeEnvironment(name, "container", address)


def process(name: EnvironmentId) -> SomeEnvironment:
    return SomeEnvironment(name, "process", "127.0.0.5")


def test_container_is_known_by_its_address() -> None:
    """No question to the kernel is left over."""
    attribution = Attribution()
    attribution.meet([container(ONE, "10.80.0.2"), container(TWO, "10.80.0.3")])
    assert attribution.place([row(7, "10.80.0.3:4000"), row(8, "10.80.0.2:4000")]) == {}
    assert attribution.owners == {7: TWO, 8: ONE}


def test_gone_container_is_known_by_its_address() -> None:
    """Its session may be seen for the first time after its end."""
    attribution = Attribution()
    attribution.meet([container(ONE, "10.80.0.2")])
    attribution.meet([])
    attribution.place([row(7, "10.80.0.2:4000")])
    assert attribution.owners == {7: ONE}
    assert attribution.facts[ONE].gone


def test_process_is_left_for_the_kernel_to_name() -> None:
    """The address of a process environment is not its clients' address, even where they are the same."""
    attribution = Attribution()
    attribution.meet([process(ONE)])
    assert attribution.place([row(7, "127.0.0.5:4000")]) == {7: "127.0.0.5:4000"}
    attribution.settle({7: ONE})
    assert attribution.place([row(7, "127.0.0.5:4000")]) == {}
    assert attribution.owners == {7: ONE}


def test_owner_is_kept_while_the_session_is_there() -> None:
    """The environment's end changes nothing, the session's end everything."""
    attribution = Attribution()
    attribution.meet([process(ONE)])
    attribution.settle({7: ONE})
    attribution.meet([])
    attribution.place([row(7)])
    assert attribution.owners == {7: ONE}
    attribution.place([])
    assert attribution.owners == {}


def test_stranger_is_looked_for_a_few_times_only() -> None:
    """Someone's own client stays open for hours; the kernel is not asked about it twice a second."""
    attribution = Attribution()
    looks = [attribution.place([row(7)]) for _ in range(10)]
    assert [bool(look) for look in looks] == [True] * 5 + [False] * 5
    assert attribution.place([row(7)], insist=True) == {7: "127.0.0.1:40000"}


def test_client_without_an_address_is_not_looked_for() -> None:
    """One of a local socket, one at the door, one of the server's own threads."""
    attribution = Attribution()
    rows = [row(7, "localhost"), row(8, user="unauthenticated user"), row(9, "", user="system user")]
    assert attribution.place(rows, insist=True) == {}


def test_state_gone_and_not_listed_are_the_same() -> None:
    """Whichever comes first makes its sessions zombies."""
    attribution = Attribution()
    ended, vanished = process(ONE), process(TWO)
    attribution.meet([ended, vanished])
    assert not attribution.facts[ONE].gone
    ended.state, vanished.last_request_id = "gone", RequestId("request-9")
    attribution.meet([ended, vanished])
    attribution.meet([ended])
    assert [attribution.facts[name].gone for name in (ONE, TWO)] == [True, True]
    assert attribution.facts[TWO].state == "gone"
    assert attribution.facts[TWO].request_id == "request-9"


def test_newcomers_can_be_met_alone() -> None:
    """What was known before the question stays as it was."""
    attribution = Attribution()
    known = process(ONE)
    attribution.meet([known])
    known.state = "gone"
    attribution.meet([known, process(TWO)], only_new=True)
    assert not attribution.facts[ONE].gone
    assert TWO in attribution.facts
    attribution.meet([], only_new=True)
    assert not attribution.facts[TWO].gone


def test_memory_is_bounded_but_not_for_those_that_hold_sessions() -> None:
    """The oldest goes first; a zombie keeps its environment's name whatever comes after it."""
    attribution = Attribution(remembered=2)
    names = [EnvironmentId(f"e{number}") for number in range(6)]
    for number, name in enumerate(names):
        attribution.meet([container(name, f"10.80.0.{number}")])
        attribution.place([row(7, "10.80.0.0:4000")])
    attribution.meet([])
    assert set(attribution.facts) == {names[0], names[5]}
    attribution.place([row(7, "10.80.0.0:4000"), row(8, "10.80.0.1:4000")])
    assert attribution.owners == {7: names[0]}


def test_restarted_server_has_other_sessions_of_the_same_numbers() -> None:
    """Owners are forgotten, environments are not."""
    attribution = Attribution()
    attribution.meet([process(ONE)])
    attribution.settle({7: ONE})
    attribution.forget_sessions()
    assert attribution.owners == {}
    assert attribution.place([row(7)]) == {7: "127.0.0.1:40000"}
    assert ONE in attribution.facts
