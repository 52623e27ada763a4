"""What the timeline hears of sessions."""

from __future__ import annotations

from dataclasses import replace

from emulator.clock import FakeClock
from emulator.database.history import SessionHistory
from emulator.database.sessions import summarize
from emulator.model import EnvironmentId, RequestId, Session
from emulator.timeline import Timeline

SESSION = Session(
    id=7,
    environment=EnvironmentId("one"),
    environment_state="frozen",
    function="orders",
    request_id=RequestId("request-1"),
    user="lambda",
    database="shop",
    command="Sleep",
    seconds=3.0,
    statement=None,
    client_address="127.0.0.1:40000",
    zombie=False,
)
ZOMBIE = replace(SESSION, environment_state="gone", zombie=True)


class Told:
    """A history, and what its timeline holds."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.timeline = Timeline(self.clock)
        self.history = SessionHistory(self.timeline, self.clock)

    def look(self, *sessions: Session) -> list[str]:
        """The kinds of the events that one look causes."""
        before = self.timeline.last_seq
        summary = summarize(sessions, max_connections=152, wait_timeout=28800, reserved=1)
        self.history.update(sessions, summary)
        return [event.kind for event in self.timeline.since(before)]


def test_opened_and_closed_once() -> None:
    """A look at what is known already tells nothing."""
    told = Told()
    assert told.look() == []
    assert told.look(SESSION) == ["session.opened"]
    assert told.look(replace(SESSION, command="Query")) == []
    assert told.look() == ["session.closed"]
    assert told.look() == []


def test_event_names_session_and_environment() -> None:
    """Enough to find it on the server and in the list of environments."""
    told = Told()
    told.look()
    told.look(SESSION)
    (event,) = told.timeline.since()
    assert (event.function, event.environment, event.request_id) == ("orders", "one", "request-1")
    assert event.detail == {"session": 7, "user": "lambda", "client": "127.0.0.1:40000", "database": "shop"}
    assert event.reason == "a client logged in"


def test_first_look_opens_nothing_new() -> None:
    """On the user's own server there are sessions that began before the emulator."""
    told = Told()
    told.look(SESSION)
    (event,) = told.timeline.since()
    assert event.reason == "it was there when the emulator first looked"


def test_on_a_fast_clock_the_server_still_gets_its_moment() -> None:
    """It lives in real time: a quarter of a second is fifteen on a clock that runs sixty times as fast."""
    told = Told()
    told.clock.speed = 60.0
    told.look(SESSION)
    assert told.look(ZOMBIE) == []
    told.clock.fast_forward(14)
    assert told.look(ZOMBIE) == []
    told.clock.fast_forward(1)
    assert told.look(ZOMBIE) == ["session.zombie"]


def test_zombie_is_told_once_and_only_if_it_lasts() -> None:
    """A server needs a moment to see that its client is gone; that is no zombie yet."""
    told = Told()
    told.look(SESSION)
    assert told.look(ZOMBIE) == []
    told.clock.fast_forward(0.25)
    assert told.look(ZOMBIE) == ["session.zombie"]
    told.clock.fast_forward(3600)
    assert told.look(ZOMBIE) == []
    assert "28800 s" in list(told.timeline.since())[1].reason


def test_end_of_a_zombie_says_who_ended_it() -> None:
    """There is nobody left but the server."""
    told = Told()
    told.look(SESSION)
    told.look(replace(ZOMBIE, seconds=28800.0))
    assert told.look() == ["session.closed"]
    assert list(told.timeline.since())[-1].reason.startswith("the server gave it up, 28800 s after")


def test_number_used_again_is_another_session() -> None:
    """After a restart of the server the same thread id is closed and opened, and may become a zombie again."""
    told = Told()
    told.look(ZOMBIE)
    told.clock.fast_forward(1)
    told.look(ZOMBIE)
    told.history.restart()
    assert told.look(ZOMBIE) == ["session.opened"]
    told.clock.fast_forward(1)
    assert told.look(ZOMBIE) == ["session.zombie"]
    kinds = [event.kind for event in told.timeline.since()]
    assert kinds == ["session.opened", "session.zombie", "session.closed", "session.opened", "session.zombie"]
    assert [e.reason for e in told.timeline.since() if e.kind == "session.closed"] == ["the server was started anew"]
