"""What a conversation leaves in its session: variables, temporary tables, locks. Pure.

A session is read from its statements and not asked: nobody but its client can ask it, and MariaDB shows the variables
of one session to no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from emulator.audit.facts import Leftover
from emulator.audit.statements import Statement

__all__ = ["SessionState", "leftovers"]

_COMMENT = re.compile(r"/\*.*?\*/|(?:--\s|#)[^\n]*", re.DOTALL)
_SET = re.compile(r"^SET\s+(?!GLOBAL\b|@@global\.|PERSIST|PASSWORD|ROLE|DEFAULT\b|STATEMENT\b)(.*)$", re.I | re.DOTALL)
_ISOLATION = re.compile(r"^(SESSION\s+|LOCAL\s+)?TRANSACTION\s+(.*)$", re.I | re.DOTALL)
_NAMES = re.compile(r"^(?:NAMES|CHARACTER\s+SET|CHARSET)\s+(\S+)", re.I)
_ASSIGNMENT = re.compile(
    r"^(?:SESSION\s+|LOCAL\s+|@@(?:session\.|local\.)?)?(@?[\w.`$]+)\s*:?=\s*(.*)$", re.I | re.DOTALL
)
_ASSIGNED_IN_PASSING = re.compile(r"(?<!@)@(\w+)\s*:=|\bINTO\s+(@\w+(?:\s*,\s*@\w+)*)", re.I)
_CREATE = re.compile(r"^CREATE\s+(?:OR\s+REPLACE\s+)?TEMPORARY\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?([\w.`$]+)", re.I)
_DROP = re.compile(
    r"^DROP\s+(?:TEMPORARY\s+)?TABLE\s+(?:IF\s+EXISTS\s+)?(.+?)(?:\s+(?:RESTRICT|CASCADE))?$", re.I | re.DOTALL
)
_GET_LOCK = re.compile(r"\bGET_LOCK\s*\(\s*(['\"])(.*?)\1", re.I)
_RELEASE_LOCK = re.compile(r"\bRELEASE_LOCK\s*\(\s*(['\"])(.*?)\1", re.I)
_RELEASE_ALL = re.compile(r"\bRELEASE_ALL_LOCKS\s*\(", re.I)
_LOCK_TABLES = re.compile(r"^LOCK\s+TABLES?\s+(.+)$", re.I | re.DOTALL)
_UNLOCKS = re.compile(r"^(?:UNLOCK\s+TABLES?|START\s+TRANSACTION|BEGIN)\b", re.I)
_OF_A_LOGIN = re.compile(
    r"^(?:SET\b|SELECT\s+@@|SELECT\s+VERSION\s*\(|SHOW\b|SELECT\s+CONNECTION_ID\s*\(|COMMIT$|ROLLBACK$)", re.I
)
_NOT_A_COMMA = re.compile(r"""\s*,\s*(?=(?:[^'"]*(?:'[^']*'|"[^"]*"))*[^'"]*$)""")
_SPEAKING = frozenset({"Query", "Execute", "Prepare"})
_FORGETTING = frozenset({"Reset Connection", "Reset connection", "Change user"})
_OFF = {"0": "off", "1": "on", "false": "off", "true": "on"}


@dataclass(slots=True)
class SessionState:
    """What one session has, as far as its statements tell. Names are in lower case, as the server compares them."""

    user_variables: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    temporary_tables: set[str] = field(default_factory=set)
    named_locks: set[str] = field(default_factory=set)
    locked_tables: str = ""

    def take(self, text: str) -> None:
        """What one statement does to it."""
        text = _COMMENT.sub(" ", text).strip().rstrip(";").strip()
        if (found := _SET.match(text)) is not None:
            self._set(found[1])
        elif (found := _CREATE.match(text)) is not None:
            self.temporary_tables.add(_name(found[1]))
        elif (found := _DROP.match(text)) is not None:
            self.temporary_tables -= {_name(table) for table in found[1].split(",")}
        elif (found := _LOCK_TABLES.match(text)) is not None:
            self.locked_tables = " ".join(found[1].split())
        elif _UNLOCKS.match(text):
            self.locked_tables = ""
        self._take_functions(text)

    def _take_functions(self, text: str) -> None:
        """Locks and variables come in the middle of any statement."""
        self.named_locks |= {name for _, name in _GET_LOCK.findall(text)}
        self.named_locks -= {name for _, name in _RELEASE_LOCK.findall(text)}
        if _RELEASE_ALL.search(text):
            self.named_locks.clear()
        for name, several in _ASSIGNED_IN_PASSING.findall(text):
            for one in [name] if name else several.split(","):
                self.user_variables[one.strip().lstrip("@").lower()] = "?"

    def _set(self, assignments: str) -> None:
        if (isolation := _ISOLATION.match(assignments)) is not None:
            if isolation[1]:  # without it, only of the next transaction
                self.variables["transaction"] = " ".join(isolation[2].lower().split())
            return
        if (names := _NAMES.match(assignments)) is not None:
            self.variables["names"] = _value(names[1])
            return
        for assignment in _NOT_A_COMMA.split(assignments):
            if (found := _ASSIGNMENT.match(assignment.strip())) is None:
                continue
            name, value = found[1].strip("`").lower(), _value(found[2])
            if not name.startswith("@"):
                self.variables[name] = value
            elif value == "null":
                self.user_variables.pop(name[1:], None)
            else:
                self.user_variables[name[1:]] = value


def leftovers(statements: Sequence[Statement], defaults: Mapping[str, str]) -> tuple[Leftover, ...]:
    """What warm invocations have left in sessions that were there before them and are there after them.

    A variable that has the value again that the session began with is not left: what the driver set at the login, or
    the server's default.

    Arguments:
        statements: of all sessions, in order.
        defaults: the server's variables, by their names in lower case.
    """
    found: dict[Leftover, None] = {}
    for conversation in _conversations(statements):
        found.update(dict.fromkeys(_left_in(conversation, defaults)))
    return tuple(found)


def _conversations(statements: Iterable[Statement]) -> Iterator[list[Statement]]:
    """One session's statements each, of those that were used in more than one invocation and are open."""
    by_session: dict[int, list[Statement]] = {}
    for statement in statements:
        by_session.setdefault(statement.session, []).append(statement)
    for conversation in by_session.values():
        if conversation[-1].command != "Quit" and len({statement.invocation for statement in conversation}) > 1:
            yield conversation


def _left_in(conversation: Sequence[Statement], defaults: Mapping[str, str]) -> Iterator[Leftover]:
    state, at_login = SessionState(), dict(defaults)
    logging_in, set_at_work = True, set[str]()
    for statement in conversation:
        if statement.command in _FORGETTING:
            state = SessionState()
        if statement.command not in _SPEAKING:
            continue
        logging_in = logging_in and statement.invocation == 0 and bool(_OF_A_LOGIN.match(statement.text.strip()))
        state.take(statement.text)
        alone = SessionState()
        alone.take(statement.text)
        if logging_in:
            at_login.update(alone.variables)
        elif statement.invocation > 0:
            set_at_work |= {*alone.variables, *(f"@{name}" for name in alone.user_variables)}
    for name, value in sorted(state.user_variables.items()):
        if f"@{name}" in set_at_work:
            yield Leftover("user variable", f"@{name}", value)
    yield from (Leftover("temporary table", name) for name in sorted(state.temporary_tables))
    yield from (Leftover("named lock", name) for name in sorted(state.named_locks))
    if state.locked_tables:
        yield Leftover("table lock", state.locked_tables)
    for name in sorted(set_at_work & state.variables.keys()):
        if _plain(state.variables[name]) != _plain(at_login.get(name, "")):
            yield Leftover("session variable", name, state.variables[name])


def _name(table: str) -> str:
    return table.strip().replace("`", "").lower()


def _value(text: str) -> str:
    value = text.strip().strip("'\"").lower()
    return value if len(value) <= 60 else f"{value[:59]}…"


def _plain(value: str) -> str:
    return _OFF.get(value.lower(), value.lower())
