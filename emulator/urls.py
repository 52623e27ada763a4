"""Function URLs: what one is set to, which there are, and under which address each is reached.

Pure. How a request becomes an event, and an answer a response, is in :mod:`emulator.http_events`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from emulator.errors import ConfigurationError

__all__ = ["AUTH_TYPES", "INVOKE_MODES", "Cors", "UrlConfig", "UrlSettings", "Urls", "make_url_id"]

AUTH_TYPES = ("NONE", "AWS_IAM")
INVOKE_MODES = ("BUFFERED", "RESPONSE_STREAM")
_MAX_AGE = 86_400  # seconds [D]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """Which pages may call a URL; AWS's ``Cors`` [D].

    Arguments:
        allow_origins: as ``https://example.com``, or ``*`` for every one; ``https://*`` for all of a scheme.
        allow_methods: such as ``GET``, or ``*``.
        allow_headers: that a page may send, or ``*``.
        expose_headers: that a page may read of the response.
        max_age: how long a browser may keep the answer to a preflight, in seconds, up to 86,400.
        allow_credentials: whether a page may send cookies.

    Raises:
        ConfigurationError: a value that AWS would refuse.
    """

    allow_origins: tuple[str, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: int | None = None
    allow_credentials: bool = False

    def __post_init__(self) -> None:
        for key in ("allow_origins", "allow_methods", "allow_headers", "expose_headers"):
            object.__setattr__(self, key, tuple(getattr(self, key)))
        if self.max_age is not None and not 0 <= self.max_age <= _MAX_AGE:
            raise ConfigurationError(f"cors max_age is {self.max_age!r}", cure="It is 0 to 86,400 seconds.")


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlSettings:
    """How a function's URL answers.

    Arguments:
        auth: ``NONE``, or ``AWS_IAM``: a request has to be signed.
        invoke_mode: ``BUFFERED``, or ``RESPONSE_STREAM``: the response goes out as it comes.
        cors: which pages may call it; without it the function says so itself. Also as a mapping of the same names.

    Raises:
        ConfigurationError: a value that AWS would refuse.
    """

    auth: str = "NONE"
    invoke_mode: str = "BUFFERED"
    cors: Cors | None = None

    def __post_init__(self) -> None:
        for key, allowed in (("auth", AUTH_TYPES), ("invoke_mode", INVOKE_MODES)):
            if (value := getattr(self, key)) not in allowed:
                raise ConfigurationError(f"url {key} is {value!r}", cure=f"{key} is one of {', '.join(allowed)}.")
        cors: Cors | Mapping[str, Any] | None = self.cors
        if isinstance(cors, Mapping):
            object.__setattr__(self, "cors", Cors(**_known(Cors, "url cors", cors)))

    @classmethod
    def of(cls, given: Any) -> UrlSettings | None:
        """From what a configuration says: ``True``, ``False``, a mapping of the same names, or settings.

        Raises:
            ConfigurationError: it is none of these.
        """
        if given is None or isinstance(given, UrlSettings):
            return given
        if isinstance(given, bool):
            return cls() if given else None
        if not isinstance(given, Mapping):
            raise ConfigurationError(f"url is {given!r}", cure="It is true, or a table: { invoke_mode = ... }.")
        return cls(**_known(cls, "url", given))


@dataclass(frozen=True, slots=True)
class UrlConfig:
    """One URL of a function, or of an alias of it; AWS's ``FunctionUrlConfig``.

    Attributes:
        url_id: what its host name begins with: 32 lower-case letters and digits.
        qualifier: the name of an alias; ``None`` for ``$LATEST``.
        created_at: moments are seconds since the epoch.
    """

    url_id: str
    function: str
    qualifier: str | None = None
    auth: str = "NONE"
    cors: Cors | None = None
    invoke_mode: str = "BUFFERED"
    created_at: float = 0.0
    modified_at: float = 0.0

    def with_settings(self, settings: UrlSettings, now: float) -> UrlConfig:
        """The same URL, set otherwise."""
        return replace(self, auth=settings.auth, cors=settings.cors, invoke_mode=settings.invoke_mode, modified_at=now)


@dataclass(slots=True)
class Urls:
    """The URLs that there are.

    Attributes:
        port: where the emulator listens; known once it does.
    """

    port: int = 3001
    _configs: dict[str, UrlConfig] = field(default_factory=dict)

    def add(self, config: UrlConfig) -> None:
        """A new one, or the same set otherwise."""
        self._configs[config.url_id] = config

    def remove(self, url_id: str) -> None:
        """It answers no more; nothing where it is not there."""
        self._configs.pop(url_id, None)

    def by_id(self, url_id: str) -> UrlConfig | None:
        return self._configs.get(url_id)

    def of(self, function: str) -> list[UrlConfig]:
        """Those of a function and of its aliases, in the order in which they were made."""
        return [config for config in self._configs.values() if config.function == function]

    def find(self, function: str, qualifier: str | None = None) -> UrlConfig | None:
        """That of a function, or of one alias of it."""
        return next((config for config in self.of(function) if config.qualifier == qualifier), None)

    def address(self, config: UrlConfig) -> str:
        """Where a client finds it: ``http://<url-id>.lambda-url.localhost:3001/``."""
        return f"http://{config.url_id}.lambda-url.localhost:{self.port}/"

    def __iter__(self) -> Iterator[UrlConfig]:
        return iter(self._configs.values())


def make_url_id(account: str, function: str, qualifier: str | None = None) -> str:
    """The same for the same function, so that an address outlives a restart; [D] on AWS it is made likewise."""
    digest = hashlib.sha256("\0".join((account, function, qualifier or "")).encode()).digest()
    return base64.b32encode(digest[:20]).decode().lower()


def _known(record: type[Any], where: str, given: Mapping[str, Any]) -> dict[str, Any]:
    names = [each.name for each in fields(record)]
    if unknown := sorted(given.keys() - set(names)):
        raise ConfigurationError(f"{where} has no {unknown[0]}", cure=f"It has {', '.join(names)}.")
    return dict(given)
