"""What a request names: a function, a published version, or an alias; with the words for what is not there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from emulator import text
from emulator.control.control import Control
from emulator.control.registry import Alias, FunctionRecord, Version
from emulator.errors import FunctionNotFoundError, InvalidParameterValueError, PreconditionFailedError
from emulator.model import LATEST

__all__ = ["Resource", "absent", "check_only_function", "check_revision", "find_resource"]

_ALIAS = re.compile(r"(?!\d+$)[a-zA-Z0-9-_]+")


@dataclass(frozen=True, slots=True)
class Resource:
    """A function, or one of its versions or aliases.

    Attributes:
        qualifier: as it was asked for; ``None`` is the function itself.
        holder: what has the revision: ``$LATEST``, the version, or the alias.
        arn: with the qualifier, where there is one.
    """

    record: FunctionRecord
    qualifier: str | None
    holder: Version | Alias
    arn: str

    @property
    def key(self) -> str:
        """Under which the record keeps what belongs to it."""
        return self.qualifier or ""

    @property
    def version(self) -> str:
        """Its number; of an alias that of the version it leads to first."""
        return self.holder.version if isinstance(self.holder, Alias) else self.holder.number

    def changed(self) -> None:
        """[R] Whatever changes what belongs to it changes its revision."""
        self.holder.revision = text.new_request_id()


def find_resource(control: Control, request: dict[str, Any]) -> Resource:
    """What ``FunctionName`` and ``Qualifier`` name.

    Raises:
        FunctionNotFoundError: there is no such function, version or alias.
        RequestError: the name or the qualifier makes no sense.
    """
    name, qualifier = control.named(request)
    record = control.registry.functions.get(name)
    if record is None:
        raise absent(control, name, qualifier)
    holder = record.aliases.get(qualifier or LATEST) or record.version(qualifier)
    if holder is None:
        raise absent(control, name, qualifier)
    return Resource(record, qualifier, holder, control.arn(name, qualifier))


def absent(control: Control, name: str, qualifier: str | None) -> FunctionNotFoundError:
    """[R] An alias that is not there is told of in other words than a version or a function."""
    arn = control.arn(name, qualifier)
    if qualifier is not None and _ALIAS.fullmatch(qualifier):
        return FunctionNotFoundError(f"Cannot find alias arn: {arn}")
    return FunctionNotFoundError(f"Function not found: {arn}")


def check_only_function(qualifier: str | None) -> None:
    """See that a function itself is named [R].

    Raises:
        InvalidParameterValueError: it is a version of it, or an alias.
    """
    if qualifier is not None:
        raise InvalidParameterValueError(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
            "Please specify either a function name or an unqualified function ARN."
        )


def check_revision(expected: str | None, revision: str, where: str = "GetFunction/GetAlias") -> None:
    """Nothing, where nobody expects another revision [R].

    Raises:
        PreconditionFailedError: somebody has changed it meanwhile.
    """
    if expected is not None and expected != revision:
        raise PreconditionFailedError(
            "The Revision Id provided does not match the latest Revision Id. "
            f"Call the {where} API to retrieve the latest Revision Id"
        )
