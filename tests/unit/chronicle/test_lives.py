"""The lives of a timeline: environments in their states, invocations, and sessions seen from both sides."""

from __future__ import annotations

from emulator.chronicle.lives import Stay, chronicle_of
from tests.unit.chronicle.told import BEGIN, Told


def test_an_environment_is_in_one_state_after_the_other() -> None:
    """Each ends where the next begins, with its reason; the last one lasts until the timeline ends."""
    told = Told().life("e1", 0, "starting", "init", "idle", request_id="r1").at(9, "emulator.something")
    (life,) = chronicle_of(told.events).environments.values()
    assert life.stays == [
        Stay("starting", BEGIN, BEGIN + 1, "why starting"),
        Stay("init", BEGIN + 1, BEGIN + 2, "why init"),
        Stay("idle", BEGIN + 2, BEGIN + 9, "why idle"),
    ]
    assert (life.function, life.cold_start) == ("orders", True)


def test_what_is_gone_stays_gone() -> None:
    """Its last state takes no time; and one that was started ahead of requests was no cold start."""
    told = Told().life("e1", 0, "starting", "gone").at(9, "emulator.something")
    (life,) = chronicle_of(told.events).environments.values()
    assert life.stays[-1] == Stay("gone", BEGIN + 1, BEGIN + 1, "why gone")
    assert not life.cold_start


def test_an_invocation_goes_from_its_hand_out_to_its_end() -> None:
    """With its answer in between, and what is known of its end."""
    told = Told().invocation("e1", 1, "r1").invocation("e1", 5, "r2", error="ValueError", status="error")
    first, second = chronicle_of(told.events).invocations
    assert (first.begin, first.answered, first.end, first.error) == (BEGIN + 1, BEGIN + 2, BEGIN + 3, None)
    assert (second.request_id, second.environment, second.error) == ("r2", "e1", "ValueError")


def test_an_invocation_that_was_never_handed_out_has_the_length_that_it_says() -> None:
    """An init inside it failed; or the timeline begins after it did, and then it begins with that."""
    detail = {"duration_ms": 500.0, "error": "Runtime.ExitError"}
    told = Told().at(0, "emulator.started").at(3, "invocation.finished", "e1", request_id="r1", detail=detail)
    (failed,) = chronicle_of(told.events).invocations
    assert (failed.begin, failed.end) == (BEGIN + 2.5, BEGIN + 3)
    told = Told().at(3, "invocation.finished", "e1", request_id="r1", detail={"duration_ms": 9000.0})
    (cut,) = chronicle_of(told.events).invocations
    assert (cut.begin, cut.end) == (BEGIN + 3, BEGIN + 3)


def test_a_session_is_one_though_relay_and_server_both_tell_of_it() -> None:
    """The relay knows the moments, the server its number."""
    told = Told().life("e1", 0, "starting")
    told.connection(1, "opened", "e1", 7).session(1.4, "opened", "e1", 7, 42)
    told.connection(3, "closed", "e1", 7, "the client closed it").session(3.3, "closed", "e1", 7, 42)
    (session,) = chronicle_of(told.events).sessions
    assert (session.session, session.relayed, session.function) == (42, True, "orders")
    assert (session.opened, session.closed, session.end) == (BEGIN + 1, BEGIN + 3, "the client closed it")


def test_a_session_past_the_relay_is_told_by_the_server_alone() -> None:
    """And one of nobody's, such as a developer's own, is not counted."""
    told = Told().session(1, "opened", "e1", 7, 42).session(2, "opened", None, 8, 43)
    told.session(3, "zombie", "e1", 7, 42).session(5, "closed", "e1", 7, 42)
    (session,) = chronicle_of(told.events).sessions
    assert (session.session, session.relayed) == (42, False)
    assert (session.zombie_since, session.closed) == (BEGIN + 3, BEGIN + 5)


def test_a_port_that_comes_again_is_another_session() -> None:
    """Numbers of sessions and ports are used again."""
    told = Told().connection(1, "opened", "e1", 7).session(1, "opened", "e1", 7, 42).connection(2, "closed", "e1", 7)
    told.connection(3, "opened", "e2", 7).session(3, "opened", "e2", 7, 43)
    first, second = chronicle_of(told.events).sessions
    assert (first.environment, first.session, first.closed) == ("e1", 42, BEGIN + 2)
    assert (second.environment, second.session, second.closed) == ("e2", 43, None)


def test_a_session_goes_stale_and_becomes_a_zombie_once() -> None:
    """Both sides tell of a zombie; the first to do so is right."""
    told = Told().connection(1, "opened", "e1", 7).session(1, "opened", "e1", 7, 42)
    told.connection(2, "stale", "e1", 7).connection(3, "zombie", "e1", 7).session(4, "zombie", "e1", 7, 42)
    (session,) = chronicle_of(told.events).sessions
    assert (session.stale_since, session.zombie_since, session.closed) == (BEGIN + 2, BEGIN + 3, None)


def test_levels_count_what_is_open_and_what_of_it_is_a_zombie() -> None:
    """One level for each moment; the peak is the highest of them."""
    told = Told().connection(1, "opened", "e1", 7).connection(1, "opened", "e2", 8).connection(2, "zombie", "e1", 7)
    told.connection(3, "closed", "e2", 8).connection(4, "closed", "e1", 7)
    chronicle = chronicle_of(told.events)
    assert chronicle.levels() == [
        (BEGIN + 1, 2, 0),
        (BEGIN + 2, 2, 1),
        (BEGIN + 3, 1, 1),
        (BEGIN + 4, 0, 0),
    ]
    assert chronicle.peak == 2


def test_a_connection_that_the_server_refuses_never_was_a_session() -> None:
    """It connected, and was told that there are too many."""
    told = Told().connection(1, "opened", "e1", 7).connection(1, "refused", "e1", 7).connection(1, "closed", "e1", 7)
    assert chronicle_of(told.events).sessions == []


def test_a_timeline_that_begins_in_the_middle_is_told_from_there() -> None:
    """Ends of what nobody saw begin are passed over."""
    told = Told().connection(1, "closed", "e1", 7).session(1, "closed", "e1", 7, 42)
    told.at(1, "invocation.answered", "e1", request_id="r1").at(2, "environment.frozen", "e1")
    chronicle = chronicle_of(told.events)
    assert chronicle.sessions == []
    assert [stay.state for stay in chronicle.environments["e1"].stays] == ["frozen"]
    assert chronicle_of([]).peak == 0
