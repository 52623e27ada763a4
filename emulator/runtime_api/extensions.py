"""The Extensions API as one environment's extensions see it: which call is allowed when, and what it is answered.

Like its neighbour for the runtime this is a state machine without I/O. What a call does to an extension stands in the
table next door; what is not in the table is refused with 403 in the words of AWS's agent and changes nothing. The
server hands calls in and writes the answers; the environment hears what matters through :class:`ExtensionEvents` and
hands events out with :meth:`ExtensionsSession.invoke` and :meth:`ExtensionsSession.shut_down`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from emulator.model import Function
from emulator.runtime_api.extension_states import TABLE, ExtensionCall, ExtensionState
from emulator.runtime_api.registration import requested_events
from emulator.runtime_api.reply import ACCEPTED, JSON, TEXT, Reply, go_json, reply_error
from emulator.runtime_api.runtime import InvocationEvent

__all__ = [
    "MAX_EXTENSIONS",
    "Extension",
    "ExtensionEvents",
    "ExtensionState",
    "ExtensionsSession",
]

MAX_EXTENSIONS = 10  # [C] external and internal together
_INVOKE, _SHUTDOWN = "INVOKE", "SHUTDOWN"

_S, _C = ExtensionState, ExtensionCall
_AT_REST = (_S.READY, _S.EXITED)
_LISTENING = (_S.REGISTERED, _S.READY, _S.RUNNING)
_Send = Callable[[Reply], None]


@dataclass(slots=True)
class Extension:
    """One extension: an external one has a process of its own, an internal one lives in the runtime's.

    ``error_type`` is its own word for why it cannot go on, ``ended_as`` the state in which its process has ended.
    """

    name: str
    identifier: str
    external: bool
    events: tuple[str, ...] = ()
    state: ExtensionState = ExtensionState.STARTED
    error_type: str | None = None
    ended_as: ExtensionState | None = None

    @property
    def is_parked(self) -> bool:
        """It waits for its next event, be it that its connection is just gone."""
        return self.state is ExtensionState.READY


class ExtensionEvents(Protocol):
    """What an environment wants to hear of its extensions."""

    def extension_registered(self, extension: Extension) -> None:
        """There is one more."""
        ...

    def extension_parked(self, extension: Extension) -> None:
        """It waits for its next event."""
        ...

    def extension_failed(self, extension: Extension, error_type: str, body: bytes) -> None:
        """It says that it cannot go on: in its init or later, as its state tells. Type and body are as it sent them."""
        ...


def _refuse(error_type: str, message: str) -> Reply:
    return reply_error(403, error_type, message)


_MISSING_IDENTIFIER = _refuse("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
_INVALID_IDENTIFIER = _refuse("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")
_UNKNOWN_IDENTIFIER = _refuse("Extension.UnknownExtensionIdentifier", "Unknown Lambda-Extension-Identifier")
_EMPTY_NAME = _refuse("Extension.InvalidExtensionName", "Empty extension name")
_CLOSED = _refuse("Extension.RegistrationClosed", "Extension registration closed already")
_TWICE = _refuse("Extension.InvalidExtensionState", "Extension with this name already registered")
_TOO_MANY = _refuse("Extension.TooManyExtensions", f"Extension limit ({MAX_EXTENSIONS}) reached")
_MISSING_TYPE = _refuse("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found")


class ExtensionsSession:
    """The conversation with all extensions of one generation of an environment.

    Arguments:
        external: names of the programs in ``/opt/extensions``; whoever registers under another name is internal.
            [C] One beyond ten is refused.
        account: the function's account, for extensions that ask for it.
    """

    def __init__(self, events: ExtensionEvents, function: Function, *, external: Sequence[str], account: str) -> None:
        self._events = events
        self._about = {"functionName": function.name, "functionVersion": function.version, "handler": function.handler}
        self._account = account
        self._by_name: dict[str, Extension] = {}
        self._by_identifier: dict[str, Extension] = {}
        for name in external[:MAX_EXTENSIONS]:
            self._add(name, external=True)
        self._surplus = frozenset(external[MAX_EXTENSIONS:])
        self._registered: list[Extension] = []
        self._parked: dict[str, _Send] = {}
        self._pending: dict[str, Reply] = {}
        self._closed = False

    # -- calls of extensions -----------------------------------------------------------------------------------

    def register(self, name: str | None, body: bytes, features: str | None) -> Reply:
        """``POST /extension/register``; ``features`` is the list of the header ``Lambda-Extension-Accept-Feature``."""
        if not name:
            return _EMPTY_NAME
        if name in self._surplus:
            return _TOO_MANY
        wanted = requested_events(body)
        if isinstance(wanted, Reply):
            return wanted
        extension = self._by_name.get(name)
        external = extension is not None and extension.external
        for event in wanted:
            if event == _SHUTDOWN and not external:
                return _refuse("Extension.InvalidEventType", f"{event}: ShutdownEventNotSupportedForInternalExtension")
            if event not in (_INVOKE, _SHUTDOWN):
                return _refuse("Extension.InvalidEventType", f"{event}: ErrorInvalidEventType")
        if not external:
            if (refused := self._check_room(extension)) is not None:
                return refused
            extension = self._add(name, external=False)
        assert extension is not None, "an external one is known before it calls"
        if not self._advance(extension, _C.REGISTER):
            return _forbidden(extension, _C.REGISTER, extension.name)
        extension.events = tuple(dict.fromkeys(wanted))
        self._registered.append(extension)
        self._events.extension_registered(extension)
        about = self._about
        if self._account and "accountId" in (feature.strip() for feature in (features or "").split(",")):
            about = about | {"accountId": self._account}
        headers = (("Content-Type", JSON), ("Lambda-Extension-Identifier", extension.identifier))
        return Reply(200, go_json(about) + b"\n", headers)

    def next(self, identifier: str | None, send: _Send) -> Reply | None:
        """``GET /extension/event/next``: parked until there is an event, however long that takes."""
        extension = self.find(identifier)
        if isinstance(extension, Reply):
            return extension
        if extension.is_parked and extension.identifier not in self._parked:
            # DIFFERS: AWS's agent does not see that a connection is gone and refuses the call that follows.
            self._parked[extension.identifier] = send
            return None
        if not self._advance(extension, _C.NEXT):
            return _forbidden(extension, _C.NEXT, extension.identifier)
        event = self._pending.pop(extension.identifier, None)
        if event is not None:
            self._advance(extension, _C.EVENT)
            return event
        self._parked[extension.identifier] = send
        self._events.extension_parked(extension)
        return None

    def unpark(self, send: _Send) -> None:
        """The connection of a parked call is gone; the extension still waits, and will call again."""
        for identifier, parked in list(self._parked.items()):
            if parked == send:
                del self._parked[identifier]

    def init_error(self, identifier: str | None, error_type: str | None, body: bytes) -> Reply:
        """``POST /extension/init/error``: between registration and the first ``next``."""
        return self._fail(_C.INIT_ERROR, identifier, error_type, body)

    def exit_error(self, identifier: str | None, error_type: str | None, body: bytes) -> Reply:
        """``POST /extension/exit/error``: at any time after registration."""
        return self._fail(_C.EXIT_ERROR, identifier, error_type, body)

    def find(self, identifier: str | None) -> Extension | Reply:
        """Whose identifier this is, or the refusal."""
        found = self._look_up(identifier)
        if isinstance(found, uuid.UUID):
            return _refuse("Extension.UnknownExtensionIdentifier", f"Unknown extension {found}")
        return found

    # -- what the environment asks and tells ------------------------------------------------------------------

    @property
    def known(self) -> Sequence[Extension]:
        """All that have registered, in that order."""
        return tuple(self._registered)

    @property
    def everyone(self) -> Sequence[Extension]:
        """Those as well that have not registered, or cannot; external ones first."""
        return tuple(self._by_name.values())

    @property
    def all_registered(self) -> bool:
        """Every external one has registered, or its process is gone."""
        return all(extension.state is not _S.STARTED for extension in self._by_name.values())

    @property
    def all_parked(self) -> bool:
        """Everyone who has registered waits for an event, or its process is gone."""
        if not self._registered:  # most have none, and this is asked once an invocation
            return True
        return all(extension.state in _AT_REST for extension in self._registered)

    def close_registration(self) -> None:
        """Init of the runtime is over: whoever comes now comes too late."""
        self._closed = True

    def invoke(self, event: InvocationEvent) -> None:
        """Hand the event out to all that want to hear of invocations; of the event itself they hear nothing [D]."""
        if not self._registered:
            return
        body: dict[str, Any] = {
            "eventType": _INVOKE,
            "deadlineMs": event.deadline_ms,
            "requestId": event.request_id,
            "invokedFunctionArn": event.function_arn,
        }
        if event.trace_id:
            body["tracing"] = {"type": "X-Amzn-Trace-Id", "value": event.trace_id}
        encoded = go_json(body)
        for extension in self._registered:
            if _INVOKE in extension.events:
                headers = (("Content-Type", JSON), ("Lambda-Extension-Event-Identifier", str(uuid.uuid4())))
                self._hand_out(extension, Reply(200, encoded, headers))

    def shut_down(self, reason: str, deadline_ms: int) -> list[str]:
        """Tell the external ones that want to know that this is the end; the names of those that will hear of it.

        Arguments:
            reason: ``spindown``, ``timeout`` or ``failure`` [R].
            deadline_ms: milliseconds since the epoch.
        """
        body = go_json({"eventType": _SHUTDOWN, "deadlineMs": deadline_ms, "shutdownReason": reason})
        # [C] No header names this event, nor its content type: what Go's server guesses is text.
        event = Reply(200, body, (("Content-Type", TEXT),))
        told = [
            extension
            for extension in self._registered
            if _SHUTDOWN in extension.events and extension.state in _LISTENING
        ]
        for extension in told:
            self._hand_out(extension, event)
        return [extension.name for extension in told]

    def exited(self, name: str) -> Extension | None:
        """The process of an external one is gone; ``None`` if it is none that could register."""
        extension = self._by_name.get(name)
        if extension is not None:
            extension.ended_as = extension.ended_as or extension.state
            self._advance(extension, _C.EXIT)
        return extension

    # -- within -----------------------------------------------------------------------------------------------

    def _add(self, name: str, *, external: bool) -> Extension:
        extension = Extension(name, str(uuid.uuid4()), external)
        self._by_name[name] = self._by_identifier[extension.identifier] = extension
        return extension

    def _check_room(self, namesake: Extension | None) -> Reply | None:
        if self._closed:
            return _CLOSED
        if len(self._by_name) >= MAX_EXTENSIONS:
            return _TOO_MANY
        return _TWICE if namesake is not None else None

    def _look_up(self, identifier: str | None) -> Extension | Reply | uuid.UUID:
        if not identifier:
            return _MISSING_IDENTIFIER
        found = self._by_identifier.get(identifier)
        if found is not None:
            return found
        try:
            parsed = uuid.UUID(identifier)  # there are several ways to write one
        except ValueError:
            return _INVALID_IDENTIFIER
        return self._by_identifier.get(str(parsed), parsed)

    def _advance(self, extension: Extension, call: ExtensionCall) -> bool:
        state = TABLE[extension.state].get(call)
        if state is None:
            return False
        extension.state = state
        return True

    def _hand_out(self, extension: Extension, event: Reply) -> None:
        if extension.state not in _LISTENING:
            return  # it has given up, or is gone
        self._advance(extension, _C.EVENT)
        send = self._parked.pop(extension.identifier, None)
        if send is not None:
            send(event)
        else:
            self._pending[extension.identifier] = event  # it will call; the newest event is the one that counts

    def _fail(self, call: ExtensionCall, identifier: str | None, error_type: str | None, body: bytes) -> Reply:
        found = self._look_up(identifier)
        if isinstance(found, Reply):
            return found
        if not error_type:
            return _MISSING_TYPE
        if isinstance(found, uuid.UUID):
            return _UNKNOWN_IDENTIFIER  # [C] in other words than elsewhere
        before = found.state
        if not self._advance(found, call):
            return _forbidden(found, call, found.identifier)
        if found.state is not before:
            found.error_type = error_type
            self._events.extension_failed(found, error_type, body)
        return ACCEPTED


# [C] What the agent says an extension was asked to become; for exit/error it names another state than it means.
_TARGETS = {_C.REGISTER: "Registered", _C.NEXT: "Ready", _C.INIT_ERROR: "InitError", _C.EXIT_ERROR: "Exited"}


def _forbidden(extension: Extension, call: ExtensionCall, named: str) -> Reply:
    return _refuse(
        "Extension.InvalidExtensionState",
        f"State transition from {extension.state} to {_TARGETS[call]} failed for extension {named}. "
        "Error: State transition is not allowed",
    )
