"""Aliases: names that lead to a version, or by weights to two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator import text
from emulator.control.concurrency import apply_provisioned
from emulator.control.control import Control, Operation
from emulator.control.paging import page
from emulator.control.registry import Alias, FunctionRecord
from emulator.control.resources import check_revision
from emulator.errors import (
    FunctionNotFoundError,
    InvalidParameterValueError,
    ResourceConflictError,
    ValidationError,
)
from emulator.model import LATEST
from emulator.qualifiers import Routing

__all__ = ["OPERATIONS", "apply_alias", "create_alias", "delete_alias", "get_alias", "list_aliases", "update_alias"]

_Json = dict[str, Any]


async def create_alias(control: Control, request: _Json) -> _Json:
    """A new one."""
    record = control.record(control.named(request).name)
    name, version = request["Name"], request["FunctionVersion"]
    _check_version(control, record, version)
    if name in record.aliases:
        raise ResourceConflictError(f"Alias already exists: {control.arn(record.name, name)}")  # [R]
    weights = _weights(control, record, version, request)
    alias = Alias(name, version, text.new_request_id(), request.get("Description", ""), weights)
    record.aliases[name] = alias
    _apply(control, record, alias)
    return _shown(control, record, alias)


async def get_alias(control: Control, request: _Json) -> _Json:
    """One of them."""
    return _shown(control, *_find(control, request))


async def update_alias(control: Control, request: _Json) -> _Json:
    """Have it lead elsewhere, from the next invocation on. [R] Its revision is a new one whatever has changed."""
    record, alias = _find(control, request)
    check_revision(request.get("RevisionId"), alias.revision)
    version = request.get("FunctionVersion", alias.version)
    _check_version(control, record, version)
    weights = _weights(control, record, version, request) if "RoutingConfig" in request else alias.weights
    if version in weights:
        raise _included(version)
    if weights and version == LATEST:
        raise _not_of_latest()
    alias.version, alias.weights = version, weights
    alias.description = request.get("Description", alias.description)
    alias.revision = text.new_request_id()
    _apply(control, record, alias)
    return _shown(control, record, alias)


async def list_aliases(control: Control, request: _Json) -> _Json:
    """All of a function, or those that lead to one version first."""
    record = control.record(control.named(request).name)
    wanted = request.get("FunctionVersion")
    told = [
        _shown(control, record, alias)
        for _, alias in sorted(record.aliases.items())
        if wanted is None or alias.version == wanted
    ]
    return page(told, request, "Aliases", lambda alias: str(alias["Name"]))


async def delete_alias(control: Control, request: _Json) -> _Json:
    """One less; [D] AWS has no error for one that is not there."""
    record = control.record(control.named(request).name)
    if record.aliases.pop(request["Name"], None) is not None:
        control.service.functions.remove_alias(record.name, request["Name"])
        apply_provisioned(control, record)
        control.changed()
    return {}


# -- inside ----------------------------------------------------------------------------------------------


def _find(control: Control, request: _Json) -> tuple[FunctionRecord, Alias]:
    record = control.record(control.named(request).name)
    alias = record.aliases.get(request["Name"])
    if alias is None:
        raise FunctionNotFoundError(f"Cannot find alias arn: {control.arn(record.name, request['Name'])}")  # [R]
    return record, alias


def _check_version(control: Control, record: FunctionRecord, version: str) -> None:
    if record.version(version) is None:
        raise FunctionNotFoundError(f"Function not found: {control.arn(record.name, version)}")


def _weights(control: Control, record: FunctionRecord, version: str, request: _Json) -> dict[str, float]:
    """What goes to another version [R]; nothing where all goes to one."""
    given: dict[str, float] = (request.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    if len(given) > 1:
        raise InvalidParameterValueError("Number of items in AdditionalVersionWeights cannot be greater than 1")
    for other, weight in given.items():
        if not 0.0 <= weight <= 1.0:
            raise ValidationError(
                f"1 validation error detected: Value '{{{other}={weight}}}' at "
                "'routingConfig.additionalVersionWeights' failed to satisfy constraint: Map value must satisfy "
                "constraint: [Member must have value less than or equal to 1.0, Member must have value greater than "
                "or equal to 0.0, Member must not be null]"
            )
        if other == version:
            raise _included(version)
        if version == LATEST:
            raise _not_of_latest()
        _check_version(control, record, other)
    return dict(given)


def _included(version: str) -> InvalidParameterValueError:
    return InvalidParameterValueError(
        f"Invalid function version {version}. Function version {version} is already included in routing configuration."
    )


def _not_of_latest() -> InvalidParameterValueError:
    return InvalidParameterValueError("$LATEST is not supported for an alias pointing to more than 1 version")


def apply_alias(control: Control, record: FunctionRecord, alias: Alias) -> None:
    """Have it lead where its record says."""
    control.service.functions.set_alias(record.name, alias.name, Routing(alias.version, dict(alias.weights)))


def _apply(control: Control, record: FunctionRecord, alias: Alias) -> None:
    apply_alias(control, record, alias)
    apply_provisioned(control, record)
    control.changed()


def _shown(control: Control, record: FunctionRecord, alias: Alias) -> _Json:
    shown: _Json = {
        "AliasArn": control.arn(record.name, alias.name),
        "Name": alias.name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision,
    }
    if alias.weights:
        shown["RoutingConfig"] = {"AdditionalVersionWeights": dict(alias.weights)}
    return shown


OPERATIONS: Mapping[str, Operation] = {
    "CreateAlias": create_alias,
    "DeleteAlias": delete_alias,
    "GetAlias": get_alias,
    "ListAliases": list_aliases,
    "UpdateAlias": update_alias,
}
