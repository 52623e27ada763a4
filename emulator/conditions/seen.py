"""What a function's answer says about its database: the first error's code and words."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from emulator.embedded import InvocationResult

__all__ = ["SeenError", "error_of"]

# As drivers write it: PyMySQL's and mysqlclient's tuple; the line of mysql-connector, the client program, the server.
_TUPLE = re.compile(r"""\((?P<code>\d{1,4}), (?P<quote>["'])(?P<words>.*?)(?P=quote)""", re.DOTALL)
_LINE = re.compile(r"(?:ERROR )?\b(?P<code>[1-4]\d{3}) \([0-9A-Z]{5}\)(?: at line \d+)?: (?P<words>.+)")
_WAS_CLOSED = "the connection object is dead, and was used again"  # [X] PyMySQL's InterfaceError (0, '')
_FAILED = 500  # status of an answer for API Gateway or a function URL, from which on it is no success
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class SeenError:
    """An error that an invocation has shown.

    Attributes:
        code: MySQL's number; ``None`` where none was told.
        words: what was told, in one line.
    """

    code: int | None
    words: str

    def __str__(self) -> str:
        return f"{self.code} {self.words}" if self.code else self.words

    @classmethod
    def of(cls, text: str) -> SeenError:
        """From what a driver, a runtime or a test has said."""
        found = _TUPLE.search(text) or _LINE.search(text)
        if found is None:
            return cls(None, _one_line(text) or "it failed without a word")
        code = int(found["code"])
        return cls(code or None, _one_line(found["words"]) or _WAS_CLOSED)


def error_of(result: InvocationResult) -> SeenError | None:
    """The error of an invocation that failed, also of one that answered with a status of 500 and more.

    A function that catches what its driver raises tells of it in its log only, so that is read as well.
    """
    if result.function_error is not None:
        return SeenError.of(_told(result.payload))
    status = result.payload.get("statusCode") if isinstance(result.payload, dict) else None
    if not isinstance(status, int) or status < _FAILED:
        return None
    told = SeenError.of(_told(result.payload))
    logged = SeenError.of(result.logs)
    return logged if told.code is None and logged.code is not None else told


def _told(payload: Any) -> str:
    if isinstance(payload, dict) and isinstance(message := payload.get("errorMessage"), str):
        kind = payload.get("errorType")
        # Lambda's own messages begin with a request id, which is another one each time.
        message = re.sub(r"^RequestId: \S+ (Error: )?", "", message)
        return message if message or not isinstance(kind, str) else kind
    return payload if isinstance(payload, str) else json.dumps(payload)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
