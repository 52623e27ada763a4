"""What can be said of a function's asynchronous events: how often each is tried, and who hears of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from emulator.errors import ConfigurationError

__all__ = ["MAX_AGE", "MAX_RETRIES", "MIN_AGE", "Asynchronous", "Destination"]

MAX_RETRIES = 2  # [D] EventInvokeConfig
MIN_AGE, MAX_AGE = 60.0, 21_600.0  # seconds [D]

_FUNCTION = re.compile(
    r"(?:arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:)?(?:function:)?([a-zA-Z0-9-_]{1,64})(?::\$LATEST)?"
)
_CURE = 'It is "function:NAME", "file:PATH" or an HTTP address.'


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to a record goes. Exactly one of ``function``, ``file`` and ``address`` is set."""

    given: str
    function: str | None = None
    file: str | None = None
    address: str | None = None

    @classmethod
    def of(cls, given: str) -> Destination:
        """From ``function:NAME``, a name or an ARN; ``file:PATH``; or an address that begins with ``http``.

        Raises:
            ConfigurationError: it is none of these.
        """
        if given.startswith("file:") and len(given) > len("file:"):
            return cls(given, file=given.removeprefix("file:"))
        if given.startswith(("http://", "https://")):
            try:
                parts = urlsplit(given)
                fine = bool(parts.hostname) and parts.port != 0
            except ValueError:
                fine = False
            if not fine:
                raise ConfigurationError(f"{given!r} is not an address", cure=_CURE)
            return cls(given, address=given)
        if (match := _FUNCTION.fullmatch(given)) is not None:
            return cls(given, function=match[1])
        raise ConfigurationError(f"{given!r} is no destination that this emulator knows", cure=_CURE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asynchronous:
    """What becomes of asynchronous events; AWS's ``EventInvokeConfig``, and the dead letters of a function.

    Arguments:
        retries: how often an event is tried again whose function failed, 0 to 2.
        max_age: seconds after which one that was not served is given up, 60 to 21,600.
        on_success: where to the record of one goes that was served; as :meth:`Destination.of` takes it.
        on_failure: where to the record of one goes that was given up.
        dead_letter: where to an event itself goes that was given up.

    Raises:
        ConfigurationError: a value that AWS would refuse as well, with what is allowed.
    """

    retries: int = MAX_RETRIES
    max_age: float = MAX_AGE
    on_success: str | None = None
    on_failure: str | None = None
    dead_letter: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.retries, bool) or not isinstance(self.retries, int) or not 0 <= self.retries <= MAX_RETRIES:
            raise ConfigurationError(f"asynchronous retries are {self.retries!r}", cure="They are 0, 1 or 2.")
        if not MIN_AGE <= self.max_age <= MAX_AGE:
            raise ConfigurationError(
                f"asynchronous max_age is {self.max_age!r}", cure="It is from 60 to 21,600 seconds."
            )
        _ = self.destinations

    @property
    def destinations(self) -> Sequence[Destination]:
        """All that are named."""
        named = (self.on_success, self.on_failure, self.dead_letter)
        return [Destination.of(given) for given in named if given is not None]
