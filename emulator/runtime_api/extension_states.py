"""What happens to an extension, as a table: its states, the calls it makes, and where they lead.

Whatever is not in the table is refused and changes nothing. :mod:`emulator.runtime_api.extensions` is its only reader.

``Started``      its program was started, or is about to be; it has not registered
``Registered``   it may still set itself up
``Ready``        it waits for its next event
``Running``      it was handed an event and has not asked for the next one
``InitError``    it has said that it cannot start
``ExitError``    it has said that it cannot go on
``Exited``       its process is gone
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

__all__ = ["TABLE", "ExtensionCall", "ExtensionState"]


class ExtensionState(StrEnum):
    """An extension's states, under the names that appear in AWS's messages and log lines [C]."""

    STARTED = "Started"
    REGISTERED = "Registered"
    READY = "Ready"
    RUNNING = "Running"
    INIT_ERROR = "InitError"
    EXIT_ERROR = "ExitError"
    EXITED = "Exited"


class ExtensionCall(StrEnum):
    """What can happen to an extension."""

    REGISTER = "register"
    NEXT = "next"
    EVENT = "event"  # it is handed one
    INIT_ERROR = "init-error"
    EXIT_ERROR = "exit-error"
    EXIT = "exit"  # its process is gone


_S, _C = ExtensionState, ExtensionCall

_CALLS: dict[ExtensionState, dict[ExtensionCall, ExtensionState]] = {
    _S.STARTED: {_C.REGISTER: _S.REGISTERED},
    _S.REGISTERED: {_C.NEXT: _S.READY, _C.INIT_ERROR: _S.INIT_ERROR, _C.EXIT_ERROR: _S.EXIT_ERROR},
    _S.READY: {_C.EVENT: _S.RUNNING, _C.EXIT_ERROR: _S.EXIT_ERROR},
    _S.RUNNING: {_C.NEXT: _S.READY, _C.EXIT_ERROR: _S.EXIT_ERROR},
    # [C] Saying it again is accepted; only the first error counts.
    _S.INIT_ERROR: {_C.INIT_ERROR: _S.INIT_ERROR},
    _S.EXIT_ERROR: {_C.EXIT_ERROR: _S.EXIT_ERROR},
    _S.EXITED: {},
}

TABLE: Mapping[ExtensionState, Mapping[ExtensionCall, ExtensionState]] = MappingProxyType(
    # Whatever an extension does, its process can end.
    {state: MappingProxyType(row | {_C.EXIT: _S.EXITED}) for state, row in _CALLS.items()}
)
