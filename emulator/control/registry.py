"""What the control plane knows of functions: plain records, which JSON can say and read again. No I/O, no clock.

What runs is :class:`~emulator.functions.Functions`'; here is only what AWS's API shows of it, and what a running
function has no use for: descriptions, roles, tags, statements of policies.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from emulator.model import LATEST

__all__ = ["Alias", "Code", "FunctionRecord", "Registry", "Serving", "Version"]

_Json = dict[str, Any]


@dataclass(slots=True)
class Code:
    """Where the code of a version is.

    Attributes:
        kind: ``zip`` (unpacked into a folder of the emulator's), ``folder`` (the user's own, hot) or ``image``.
        folder: what becomes ``/var/task``; empty for an image, which has its code inside.
        sha256: in base64; of a user's folder empty, for it is counted when somebody asks.
        size: bytes of the archive; likewise.
        archive: the file that the client sent, of a zip.
    """

    kind: str
    folder: str
    sha256: str = ""
    size: int = 0
    image: str | None = None
    archive: str | None = None


@dataclass(slots=True)
class Serving:
    """What serves instead of what is shown: settings and code from before an update that has not succeeded."""

    settings: _Json
    code: Code


@dataclass(slots=True)
class Version:
    """One version of a function: ``$LATEST``, or a published one, which changes no more.

    Attributes:
        settings: the members of AWS's ``FunctionConfiguration`` that a client has set, defaults included.
        state: ``Pending``, ``Active`` or ``Failed``; ``update`` likewise: ``InProgress``, ``Successful``, ``Failed``.
        modified: seconds since the epoch.
        source: what tells whether ``$LATEST`` has changed since this version was published of it.
        serving: what goes on while an update is made, and when it has failed.
    """

    number: str
    settings: _Json
    code: Code
    revision: str
    modified: float
    state: str = "Active"
    state_reason: str | None = None
    state_reason_code: str | None = None
    update: str | None = "Successful"
    update_reason: str | None = None
    update_reason_code: str | None = None
    source: str | None = None
    serving: Serving | None = None

    @property
    def codes(self) -> list[Code]:
        """All code that it has use for."""
        return [self.code] if self.serving is None else [self.code, self.serving.code]


@dataclass(slots=True)
class Alias:
    """A name for a version, or for two: ``weights`` says how many of a hundred parts go to another one."""

    name: str
    version: str
    revision: str
    description: str = ""
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class FunctionRecord:
    """All that there is of one function.

    What is kept ``by qualifier`` has ``""`` for the function itself.

    Attributes:
        latest: ``$LATEST``.
        versions: the published ones by number, oldest first.
        next_version: the number of the next one; those of deleted ones do not come again.
        tags: by key.
        policy: statements by qualifier, each by its id.
        policy_revisions: by qualifier.
        url_configs: by qualifier.
        event_configs: by qualifier.
        provisioned: by qualifier.
        other: whatever else an operation keeps, by its name.
    """

    name: str
    latest: Version
    versions: dict[str, Version] = field(default_factory=dict)
    aliases: dict[str, Alias] = field(default_factory=dict)
    next_version: int = 1
    tags: dict[str, str] = field(default_factory=dict)
    policy: dict[str, dict[str, _Json]] = field(default_factory=dict)
    policy_revisions: dict[str, str] = field(default_factory=dict)
    url_configs: dict[str, _Json] = field(default_factory=dict)
    event_configs: dict[str, _Json] = field(default_factory=dict)
    provisioned: dict[str, _Json] = field(default_factory=dict)
    other: _Json = field(default_factory=dict)

    def version(self, number: str | None) -> Version | None:
        """By number or ``$LATEST``, which is also meant where none is given; ``None``: there is no such version."""
        return self.latest if number in (None, LATEST) else self.versions.get(str(number))


@dataclass(slots=True)
class Registry:
    """Everything. ``layers`` and ``account`` are for the operations on these, which know their form."""

    functions: dict[str, FunctionRecord] = field(default_factory=dict)
    layers: _Json = field(default_factory=dict)
    account: _Json = field(default_factory=dict)

    def to_json(self) -> _Json:
        """All of it, as JSON has it."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """What :meth:`to_json` made.

        Raises:
            KeyError, TypeError: it is something else.
        """
        value = copy.deepcopy(dict(value))
        return cls(
            functions={name: _function(record) for name, record in value["functions"].items()},
            layers=value["layers"],
            account=value["account"],
        )


def _function(record: _Json) -> FunctionRecord:
    made: _Json = {
        "latest": _version(record["latest"]),
        "versions": {number: _version(version) for number, version in record["versions"].items()},
        "aliases": {name: Alias(**alias) for name, alias in record["aliases"].items()},
    }
    return FunctionRecord(**{**record, **made})


def _version(version: _Json) -> Version:
    serving = version.get("serving")
    made: _Json = {
        "code": Code(**version["code"]),
        "serving": Serving(serving["settings"], Code(**serving["code"])) if serving is not None else None,
    }
    return Version(**{**version, **made})
