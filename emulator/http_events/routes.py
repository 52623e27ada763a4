"""Routes: which function serves which path of the local port, as an HTTP API or a REST API would send it there.

[D] http-api-develop-routes: of several routes that fit, the one that names the most of the path itself; a method
that is named before ``ANY``; ``$default`` last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

from emulator.errors import ConfigurationError
from emulator.urls import Cors

__all__ = ["METHODS", "VERSIONS", "HttpRoute", "Routes"]

METHODS = ("ANY", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
VERSIONS = ("2.0", "1.0")
_DEFAULT = "$default"
_PARAMETER = re.compile(r"\{([A-Za-z0-9._:-]+)(\+?)\}")
_RESERVED = re.compile(r"/(_emulator|_url|20[0-9]{2}-[0-9]{2}-[0-9]{2})(/.*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRoute:
    """One route.

    Arguments:
        method: such as ``GET``, or ``ANY``.
        path: a template, ``/orders/{id}`` or ``/{proxy+}``; ``$default`` is everything that no other route serves.
        function: its name.
        qualifier: a version or an alias of it; without one, ``$LATEST``.
        version: of the payload format: ``2.0`` as from an HTTP API, ``1.0`` as from a REST API.
        stage: what the event names as its stage.
        api_id: what the event names as its API.
        cors: which pages may call it; without it the function says so itself.

    Raises:
        ConfigurationError: a method, a template or a version that cannot be.
    """

    method: str
    path: str
    function: str
    qualifier: str | None = None
    version: str = "2.0"
    stage: str = "$default"
    api_id: str = "local"
    cors: Cors | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", self.method.upper())
        where = f"route {self.key}"
        if self.method not in METHODS:
            raise ConfigurationError(f"{where}: no such method", cure=f"It is one of {', '.join(METHODS)}.")
        if self.version not in VERSIONS:
            raise ConfigurationError(f"{where}: version is {self.version!r}", cure='It is "2.0" or "1.0".')
        if self.path == _DEFAULT:
            return
        if not self.path.startswith("/") or _RESERVED.fullmatch(self.path):
            raise ConfigurationError(
                f"{where}: the path cannot be served",
                cure='It begins with / and not with /_emulator, /_url or a date; or it is "$default".',
            )
        for segment in (segments := self.path[1:].split("/")):
            match = _PARAMETER.fullmatch(segment)
            if match is None and re.search(r"[{}]", segment):
                raise ConfigurationError(f"{where}: {segment!r} is no part of a path", cure="A parameter is {name}.")
            if match is not None and match[2] and segment is not segments[-1]:
                raise ConfigurationError(f"{where}: {segment} is not at the end", cure="What takes the rest is last.")

    @property
    def key(self) -> str:
        """``GET /orders/{id}``, as events name it; ``$default`` has no method."""
        return self.path if self.path == _DEFAULT else f"{self.method} {self.path}"

    def match(self, raw_path: str) -> dict[str, str] | None:
        """The parameters, where the path is this route's; it is quoted still, and they are not."""
        if self.path == _DEFAULT:
            return {}
        segments = raw_path[1:].split("/")
        if self.version == "1.0" and len(segments) > 1 and not segments[-1]:
            segments.pop()  # [X] a REST API does not mind the slash at the end
        parameters: dict[str, str] = {}
        wanted = self.path[1:].split("/")
        for place, segment in enumerate(wanted):
            match = _PARAMETER.fullmatch(segment)
            rest = "/".join(segments[place:])
            if match is not None and match[2]:
                return {**parameters, match[1]: unquote(rest)} if rest else None
            if place >= len(segments) or (match is None and unquote(segments[place]) != segment):
                return None
            if match is not None:
                if not segments[place]:
                    return None
                parameters[match[1]] = unquote(segments[place])
        return parameters if len(segments) == len(wanted) else None

    @property
    def rank(self) -> tuple[bool, list[int], bool]:
        """Of several that fit, the one with the lowest serves."""
        kinds = [_PARAMETER.fullmatch(segment) for segment in self.path[1:].split("/")]
        weights = [0 if kind is None else 2 if kind[2] else 1 for kind in kinds]
        return self.path == _DEFAULT, weights, self.method == "ANY"


@dataclass(slots=True)
class Routes:
    """The routes that there are."""

    _routes: list[HttpRoute] = field(default_factory=list)

    def add(self, route: HttpRoute) -> None:
        """One more; another one with the same method and path is replaced."""
        self._routes = sorted([*(known for known in self._routes if known.key != route.key), route], key=_rank)

    def remove(self, route: HttpRoute) -> None:
        """It serves no more; nothing where it is not there."""
        self._routes = [known for known in self._routes if known != route]

    def find(self, method: str, raw_path: str) -> tuple[HttpRoute, dict[str, str]] | None:
        """The route that serves, and the parameters of the path."""
        if not self._routes or _RESERVED.fullmatch(raw_path):
            return None
        for route in self._routes:
            if route.method in (method, "ANY") and (parameters := route.match(raw_path)) is not None:
                return route, parameters
        return None

    def __iter__(self) -> Iterator[HttpRoute]:
        return iter(self._routes)

    def __len__(self) -> int:
        return len(self._routes)


def _rank(route: HttpRoute) -> tuple[bool, list[int], bool]:
    return route.rank
