"""Reserved concurrency of functions, and what is initialised ahead for their versions and aliases.

DIFFERS: an account of less than 1,000 places may reserve them all, for who makes it that small wants to see what
happens then; [R] AWS keeps 100 unreserved. TOML's ``provisioned_concurrency`` is that of ``$LATEST``, which AWS does
not have; it is not shown here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from emulator.control.control import Control, Operation
from emulator.control.paging import page
from emulator.control.registry import FunctionRecord
from emulator.control.resources import Resource, absent, check_only_function, find_resource
from emulator.errors import (
    InvalidParameterValueError,
    ProvisionedConfigNotFoundError,
    ResourceConflictError,
)
from emulator.model import LATEST

__all__ = [
    "OPERATIONS",
    "apply_provisioned",
    "apply_reserved",
    "delete_function_concurrency",
    "delete_provisioned_concurrency_config",
    "get_function_concurrency",
    "get_provisioned_concurrency_config",
    "list_provisioned_concurrency_configs",
    "put_function_concurrency",
    "put_provisioned_concurrency_config",
]

_RESERVED = "reserved_concurrency"  # what a record keeps
_UNRESERVED = 100  # [R] what an account keeps
_WHOLE_ACCOUNT = 1000
_ONLY_PUBLISHED = "The function resource provided must be an alias or a published version."

_Json = dict[str, Any]


# -- reserved --------------------------------------------------------------------------------------------


async def put_function_concurrency(control: Control, request: _Json) -> _Json:
    """So many places for this function and no other [R]."""
    record = _function(control, request)
    wanted: int = request["ReservedConcurrentExecutions"]
    ahead = sum(config["requested"] for config in record.provisioned.values())
    if wanted < ahead:
        # [R] with all its blanks
        raise InvalidParameterValueError(
            f" ReservedConcurrentExecutions  {wanted} should not be lower than function's total provisioned "
            f"concurrency [{ahead}]."
        )
    account, _ = control.service.concurrency()
    before = control.service.functions.named(record.name).reserved_concurrency or 0
    kept = _UNRESERVED if account.limit >= _WHOLE_ACCOUNT else 0
    if wanted > before and account.unreserved + before - wanted < kept:
        raise InvalidParameterValueError(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            f"below its minimum value of [{kept}]."
        )
    record.other[_RESERVED] = wanted
    apply_reserved(control, record)
    control.changed()
    return {"ReservedConcurrentExecutions": wanted}


async def get_function_concurrency(control: Control, request: _Json) -> _Json:
    """What is reserved; nothing where nothing is [R]."""
    record = _function(control, request)
    return {"ReservedConcurrentExecutions": control.service.functions.named(record.name).reserved_concurrency}


async def delete_function_concurrency(control: Control, request: _Json) -> _Json:
    """Its part of the rest again."""
    record = _function(control, request)
    record.other.pop(_RESERVED, None)
    control.service.functions.reserve(record.name, None)
    control.changed()
    return {}


def apply_reserved(control: Control, record: FunctionRecord) -> None:
    """Have it as a client has put it, if one has.

    Raises:
        ConfigurationError: the account has not so many places left.
    """
    if (places := record.other.get(_RESERVED)) is not None:
        control.service.functions.reserve(record.name, places)


def _function(control: Control, request: _Json) -> FunctionRecord:
    name, qualifier = control.named(request)
    check_only_function(qualifier)
    record = control.registry.functions.get(name)
    if record is None:
        raise absent(control, name, LATEST)  # [R] with the version
    return record


# -- provisioned -----------------------------------------------------------------------------------------


async def put_provisioned_concurrency_config(control: Control, request: _Json) -> _Json:
    """Have environments ready for a version, or for the one that an alias leads to [R]."""
    if control.named(request).qualifier in (None, LATEST):
        raise InvalidParameterValueError(
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
        )
    resource = find_resource(control, request)
    wanted: int = request["ProvisionedConcurrentExecutions"]
    _check_conflict(resource)
    _check_places(control, resource, wanted)
    resource.record.provisioned[resource.key] = {"requested": wanted, "modified": control.clock.now()}
    apply_provisioned(control, resource.record)
    control.changed()
    return {  # [R] what is there is not counted yet
        **_config(resource.record.provisioned[resource.key]),
        "AvailableProvisionedConcurrentExecutions": 0,
        "AllocatedProvisionedConcurrentExecutions": 0,
        "Status": "IN_PROGRESS",
    }


async def get_provisioned_concurrency_config(control: Control, request: _Json) -> _Json:
    """How far it is."""
    resource = _published(control, request)
    if resource.key not in resource.record.provisioned:
        raise ProvisionedConfigNotFoundError("No Provisioned Concurrency Config found for this function")
    return _view(control, resource.record, resource.key)


async def delete_provisioned_concurrency_config(control: Control, request: _Json) -> _Json:
    """No more of them; [R] none that was not there is missed."""
    resource = _published(control, request)
    if resource.record.provisioned.pop(resource.key, None) is not None:
        apply_provisioned(control, resource.record)
        control.changed()
    return {}


async def list_provisioned_concurrency_configs(control: Control, request: _Json) -> _Json:
    """All of a function."""
    record = control.find(request)
    told = [
        {"FunctionArn": control.arn(record.name, key), **_view(control, record, key)}
        for key in sorted(record.provisioned)
    ]
    return page(told, request, "ProvisionedConcurrencyConfigs", lambda config: str(config["FunctionArn"]))


def apply_provisioned(control: Control, record: FunctionRecord) -> None:
    """Have each version as many environments ready as it and its aliases ask for.

    To be called when a config, a version or an alias has changed; what was kept for one that is no more is forgotten,
    its policy and its event config included. [R] A URL outlives its alias.
    """
    there = {"", LATEST, *record.aliases, *record.versions}
    for kept in (record.provisioned, record.policy, record.event_configs):
        for key in kept.keys() - there:
            del kept[key]
    for number in record.versions:
        wanted = [
            config["requested"] for key, config in record.provisioned.items() if _version_of(record, key) == number
        ]
        control.service.functions.provision(f"{record.name}:{number}", sum(wanted))


def _published(control: Control, request: _Json) -> Resource:
    if control.named(request).qualifier in (None, LATEST):
        raise InvalidParameterValueError(_ONLY_PUBLISHED)
    return find_resource(control, request)


def _version_of(record: FunctionRecord, key: str) -> str:
    return record.aliases[key].version if key in record.aliases else key


def _check_conflict(resource: Resource) -> None:
    """[R] A version and an alias that leads to it cannot both have some."""
    record, key = resource.record, resource.key
    if resource.version == LATEST:
        raise InvalidParameterValueError("Alias with weights can not be used with Provisioned Concurrency")
    for other in record.provisioned:
        if other == key or _version_of(record, other) != resource.version:
            continue
        if key in record.aliases:
            raise ResourceConflictError(
                "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
            )
        raise ResourceConflictError("Version is pointed by a Provisioned Concurrency alias")


def _check_places(control: Control, resource: Resource, wanted: int) -> None:
    record = resource.record
    all_of_it = wanted + sum(config["requested"] for key, config in record.provisioned.items() if key != resource.key)
    reserved = control.service.functions.named(record.name).reserved_concurrency
    account, _ = control.service.concurrency()
    if reserved is not None:
        if all_of_it > reserved:
            raise InvalidParameterValueError(
                "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for "
                "function"
            )
    elif all_of_it > account.unreserved:
        raise InvalidParameterValueError(
            "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency "
            f"[{account.unreserved}]."
        )


def _view(control: Control, record: FunctionRecord, key: str) -> _Json:
    view = control.service.functions.provisioned(f"{record.name}:{_version_of(record, key)}")
    config = record.provisioned[key]
    if view is None:
        return {**_config(config), "Status": "IN_PROGRESS"}
    return {
        **_config(config),
        "AvailableProvisionedConcurrentExecutions": view.available,
        "AllocatedProvisionedConcurrentExecutions": view.allocated,
        "Status": str(view.status),
        "StatusReason": view.reason,
    }


def _config(config: _Json) -> _Json:
    return {
        "RequestedProvisionedConcurrentExecutions": config["requested"],
        "LastModified": time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime(config["modified"])),
    }


OPERATIONS: Mapping[str, Operation] = {
    "DeleteFunctionConcurrency": delete_function_concurrency,
    "DeleteProvisionedConcurrencyConfig": delete_provisioned_concurrency_config,
    "GetFunctionConcurrency": get_function_concurrency,
    "GetProvisionedConcurrencyConfig": get_provisioned_concurrency_config,
    "ListProvisionedConcurrencyConfigs": list_provisioned_concurrency_configs,
    "PutFunctionConcurrency": put_function_concurrency,
    "PutProvisionedConcurrencyConfig": put_provisioned_concurrency_config,
}
