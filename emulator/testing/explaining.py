"""Evidence in sentences: which line of which invocation opened which session, and why the earlier one was not used.

Pure. A table has the reason and the cure for each cause.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from emulator.evidence import Cause, Evidence, InvocationStory, SessionStory, Why
from emulator.model import RequestId
from emulator.spans import in_words

__all__ = [
    "CURES",
    "counted",
    "explain_idle_invocations",
    "explain_opened",
    "explain_peak",
    "explain_zombies",
    "name_of",
]

_SHOWN = 8  # sessions that a message tells of, one by one
_NO_LINES = (
    "(Lines of code are known where a Python runtime opens a connection with Python's own socket, in the thread that "
    "asks for it, and origins = true in [emulator].)"
)

CURES: dict[Cause, str] = {
    Cause.CLOSED_BY_FUNCTION: (
        "Open it once, outside the handler, and leave it open: it is kept from one invocation to the next."
    ),
    Cause.CLOSED_WHILE_FROZEN: (
        "No session outlives the server's wait_timeout. Check the one you have before you use it (ping), open another "
        "one only when it is gone, and allow for that one here: assert_opened(at_most=2)."
    ),
    Cause.CLOSED_BY_SERVER: (
        "A session can end at any time. Check the one you have before you use it, and open another one when it is gone."
    ),
    Cause.FORGOTTEN_BY_PATH: (
        "What lies between function and server forgets idle connections. Check the one you have before you use it, "
        "with a short read timeout, and open another one when it is gone."
    ),
    Cause.RESET: (
        "A timeout or a crash takes processes and connections along. Give the function more time than its slowest "
        "query may take, or the query less."
    ),
    Cause.RECYCLED: (
        "Environments end, and what they had open ends with them, or stays behind as a zombie. In a test that is not "
        'about this, keep them: @pytest.mark.lambda_policy("keep-warm").'
    ),
    Cause.BUSY: (
        "Every environment has connections of its own. Limit how many serve at once (reserved_concurrency), or put a "
        "proxy between them and the server."
    ),
    Cause.NOT_USED: (
        "Keep the connection in a variable outside the handler and use that one. What is opened anew each time, and "
        "not closed, stays open for as long as the environment lives."
    ),
    Cause.BESIDE: "An environment serves one invocation at a time: one connection is enough, a pool of the size 1.",
}
"""What to do about a session that was opened where there had been one."""

_Tell = Callable[[Why, str, str], str]
_REASONS: dict[Cause, _Tell] = {
    Cause.FIRST: lambda _why, _it, _where: "",
    Cause.CLOSED_BY_FUNCTION: lambda _why, it, _where: f"It could not use {it}: the function itself had closed it.",
    Cause.CLOSED_WHILE_FROZEN: lambda why, it, _where: (
        f"It could not use {it}: the server's end of that was closed while the environment was frozen"
        f"{_frozen_for(why.earlier)}, and nobody could hear of it: {why.reason}.{_met(why.earlier)}"
    ),
    Cause.CLOSED_BY_SERVER: lambda why, it, _where: (
        f"It could not use {it}: {why.reason or 'the server had closed it'}.{_met(why.earlier)}"
    ),
    Cause.FORGOTTEN_BY_PATH: lambda why, it, _where: f"It could not use {it}: {why.reason}.{_met(why.earlier)}",
    Cause.RESET: lambda why, it, _where: (
        f"It could not use {it}: the environment had been reset after a timeout or a crash ({why.reason})."
    ),
    Cause.RECYCLED: lambda why, it, where: (
        f"It could not use {it}: {where} had been recycled ({why.reason or 'its policy said so'})."
    ),
    Cause.BUSY: lambda _why, it, where: (
        f"It could not use {it}: {where} was serving another invocation at that moment, so a new one was started."
    ),
    Cause.NOT_USED: lambda _why, it, _where: f"{it} was open in the same environment, and it did not use it.",
    Cause.BESIDE: lambda _why, it, _where: f"The same invocation had opened {it} already.",
    Cause.ELSEWHERE: lambda _why, it, where: f"It could not use {it}: {where} has that, and another one served.",
}


def counted(sessions: int) -> str:
    """``1 session``, ``2 sessions``."""
    return "1 session" if sessions == 1 else f"{sessions} sessions"


def name_of(session: SessionStory) -> str:
    """``session 8``; by its port where the server was never asked while it lived."""
    if session.id is not None:
        return f"session {session.id}"
    return f"the session of port {session.client}" if session.client else "a session"


def explain_opened(evidence: Evidence, sessions: Sequence[SessionStory], *, first: str) -> str:
    """A paragraph for each: who opened it where, and why an earlier one would not do; the cures at the end.

    Arguments:
        sessions: those to tell of, of the evidence's own.
        first: the sentence that says what is wrong.
    """
    lines, causes = [first], []
    for session in sessions[:_SHOWN]:
        why = evidence.why(session)
        lines.append(f"- {_opening(evidence, session)}")
        if reason := _reason(why):
            lines.append(f"  {reason}")
        causes.append(why.cause)
    if len(sessions) > _SHOWN:
        lines.append(f"- and {len(sessions) - _SHOWN} more.")
    cures = [CURES[cause] for cause in dict.fromkeys(causes) if cause in CURES]
    return "\n".join([*lines, *(f"Cure: {cure}" for cure in cures), *_unknown_lines(sessions)])


def explain_idle_invocations(evidence: Evidence, idle: Sequence[InvocationStory], *, first: str) -> str:
    """What the invocations did that did not speak to the database."""
    lines = [first]
    lines += [f"- {_invocation(evidence, story.request_id)} did not speak to the database." for story in idle[:_SHOWN]]
    lines.append("Cure: have the function ask the database in every invocation that the test is about.")
    return "\n".join(lines)


def explain_zombies(evidence: Evidence, zombies: Sequence[SessionStory], *, first: str) -> str:
    """Whose they were, how their environments ended, and what helps."""
    lines = [first]
    for session in zombies[:_SHOWN]:
        environment = evidence.environment(session.environment)
        end = f" ({environment.end})" if environment is not None and environment.end else ""
        lines.append(f"- {_opening(evidence, session)}")
        lines.append(
            f"  It was open when environment {session.environment[:8]} ended{end}, and nobody told the server."
        )
    if len(zombies) > _SHOWN:
        lines.append(f"- and {len(zombies) - _SHOWN} more.")
    lines.append(
        "Cure: nothing runs in an environment that vanishes, so let the server give up sooner what is silent "
        "(wait_timeout), keep room for zombies in max_connections, or put a proxy between. With an extension the "
        'function is told of most ends and can close its connection then: reclaim="graceful" shows that.'
    )
    return "\n".join([*lines, *_unknown_lines(zombies)])


def explain_peak(evidence: Evidence, *, at_most: int, concurrency: int | None, function: str) -> str:
    """How many there were at once, and what that comes to at a concurrency."""
    one, together = evidence.peak_of_one(), evidence.peak()
    if concurrency is None:
        first = f"{function} had {counted(together)} open at once, and {at_most} may be:"
        return explain_opened(evidence, evidence.opened(), first=first)
    most = max(evidence.environments, key=lambda story: story.peak)
    first = (
        f"{function} would hold {counted(one * concurrency)} with {concurrency} environments at once, and {at_most} "
        f"may be. That is reckoned: {one} at once were seen in environment {most.id[:8]}, times {concurrency}:"
    )
    theirs = [session for session in evidence.sessions if session.environment == most.id]
    told = explain_opened(evidence, theirs, first=first)
    fitting = at_most // one
    limit = f"reserved_concurrency = {fitting}" if fitting else "raise max_connections"
    return f"{told}\nCure: with {one} for each environment no more than {fitting} may run at once: {limit}, or a proxy."


def _opening(evidence: Evidence, session: SessionStory) -> str:
    name, environment = name_of(session), session.environment[:8]
    if not session.is_new:
        return f"{name} of environment {environment} was there before."
    at = f" at {session.origin}" if session.origin is not None else ""
    if session.opened_by is None:
        return f"{name} was opened{at} in environment {environment}, ahead of any invocation."
    invocation = _invocation(evidence, session.opened_by)
    if session.in_init:
        return f"{name} was opened{at}, while environment {environment} was initialised for {invocation}."
    return f"{name} was opened{at} by {invocation} in environment {environment}."


def _invocation(evidence: Evidence, request_id: RequestId) -> str:
    story = evidence.invocation(request_id)
    number = f"invocation {story.number}" if story is not None else "an invocation of before"
    return f"{number} (request {request_id[:8]})"


def _reason(why: Why) -> str:
    it = name_of(why.earlier) if why.earlier is not None else "a connection of before"
    where = f"environment {why.environment.id[:8]}" if why.environment is not None else "its environment"
    sentence = _REASONS[why.cause](why, it, where)
    return sentence[:1].upper() + sentence[1:]


def _frozen_for(session: SessionStory | None) -> str:
    return f" for {in_words(session.frozen_for)}" if session is not None and session.frozen_for is not None else ""


def _met(session: SessionStory | None) -> str:
    return " The function spoke on it and was not answered." if session is not None and session.broken_by else ""


def _unknown_lines(sessions: Sequence[SessionStory]) -> list[str]:
    if all(session.origin is not None or not session.is_new for session in sessions):
        return []
    return [_NO_LINES]
