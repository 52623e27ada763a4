"""Functions: create, get, list, update, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.control.configuration import changed_settings, new_settings
from emulator.control.control import Control, Operation
from emulator.control.deploying import (
    activate,
    begin_update,
    check_at_rest,
    check_size,
    make_function,
    new_version,
    release,
    show,
)
from emulator.control.paging import page
from emulator.control.registry import Code, FunctionRecord, Version
from emulator.control.resources import check_only_function, check_revision
from emulator.control.tags import check_number_of_tags
from emulator.control.versions import delete_version, publish
from emulator.errors import InvalidParameterValueError, ResourceConflictError, ValidationError
from emulator.function_names import NAME_PATTERN
from emulator.model import LATEST

__all__ = [
    "OPERATIONS",
    "create_function",
    "delete_function",
    "get_function",
    "get_function_configuration",
    "list_functions",
    "update_function_code",
    "update_function_configuration",
]

_Json = dict[str, Any]

_LONGEST_NAME = 64


async def create_function(control: Control, request: _Json) -> _Json:
    """A new function: ``Pending`` now, ``Active`` in a moment. With ``Publish`` its first version as well."""
    name = _new_name(control, request)
    settings = new_settings(name, request)
    check_number_of_tags(request.get("Tags", {}))
    async with control.turns[name]:
        if name in control.registry.functions:
            raise ResourceConflictError(f"Function already exist: {name}")  # [R]
        code = await control.code.take(name, request["Code"])
        record = FunctionRecord(name, new_version(control, LATEST, settings, code), tags=dict(request.get("Tags", {})))
        try:
            make_function(control, record, record.latest)
            await check_size(control, settings, code)
            shown = await publish(control, record) if request.get("Publish") else record.latest
        except BaseException:
            await control.code.drop(code)
            raise
        control.service.functions.hold_back(name, "Pending")
        control.registry.functions[name] = record
        control.changed()
    answer = await show(control, record, shown)  # [R] with the number of what was published, and without it in the ARN
    control.service.spawn(activate(control, record, [record.latest, *record.versions.values()]))
    return answer


async def get_function(control: Control, request: _Json) -> _Json:
    """All of a function, or of a version of it; where its code is; its tags."""
    record, version = control.find_version(request)
    answer: _Json = {
        "Configuration": await show(control, record, version, control.named(request).qualifier),
        "Code": _location(version.code),
    }
    deployed = control.deployed(record.name)
    if deployed is not None and deployed.reserved_concurrency is not None:
        answer["Concurrency"] = {"ReservedConcurrentExecutions": deployed.reserved_concurrency}
    if record.tags:
        answer["Tags"] = dict(record.tags)
    return answer


async def get_function_configuration(control: Control, request: _Json) -> _Json:
    """The configuration of a function, or of a version of it."""
    record, version = control.find_version(request)
    return await show(control, record, version, control.named(request).qualifier)


async def list_functions(control: Control, request: _Json) -> _Json:
    """All functions, or with ``FunctionVersion=ALL`` all their versions."""
    records = [record for _, record in sorted(control.registry.functions.items())]
    everything = request.get("FunctionVersion") == "ALL"
    found: list[tuple[FunctionRecord, Version]] = [(record, record.latest) for record in records]
    if everything:
        found = [(record, version) for record in records for version in (record.latest, *record.versions.values())]
    answer = page(found, request, "Functions", lambda each: f"{each[0].name}:{each[1].number}")
    answer["Functions"] = [
        await show(control, record, version, version.number if everything else None, listed=True)
        for record, version in answer["Functions"]
    ]
    return answer


async def update_function_code(control: Control, request: _Json) -> _Json:
    """Other code for ``$LATEST``: what runs is done on the old, what waits runs on the new."""
    record = _to_change(control, request)
    is_image = record.latest.settings["PackageType"] == "Image"
    if is_image and "ImageUri" not in request:
        raise InvalidParameterValueError("Please provide ImageUri when updating a function with packageType Image.")
    if not is_image and "ImageUri" in request:
        raise InvalidParameterValueError("Please don't provide ImageUri when updating a function with packageType Zip.")
    code = await control.code.take(record.name, request)
    try:
        await check_size(control, record.latest.settings, code)
        record = _to_change(control, request)  # somebody else may have begun while the archive was unpacked
        settings = record.latest.settings
        if "Architectures" in request:
            settings = {**settings, "Architectures": request["Architectures"]}
        changed = _preview(control, record, settings, code)
    except BaseException:
        await control.code.drop(code)
        raise
    if request.get("DryRun"):
        answer = await show(control, record, changed)
        await control.code.drop(code)
        return answer
    return await _update(control, record, settings, code, publishes=bool(request.get("Publish")))


async def update_function_configuration(control: Control, request: _Json) -> _Json:
    """Other settings for ``$LATEST``."""
    record = _to_change(control, request)
    settings = changed_settings(record.name, record.latest.settings, request)
    if "Layers" in request:
        await check_size(control, settings, record.latest.code)
        record = _to_change(control, request)  # somebody else may have begun while they were measured
        settings = changed_settings(record.name, record.latest.settings, request)
    _preview(control, record, settings, record.latest.code)
    return await _update(control, record, settings, record.latest.code, publishes=False)


async def delete_function(control: Control, request: _Json) -> _Json:
    """The function with everything that belongs to it; or, with a qualifier, one version."""
    name, qualifier = control.named(request)
    if qualifier == LATEST:
        raise InvalidParameterValueError("$LATEST version cannot be deleted without deleting the function.")  # [R]
    record = control.record(name)  # [R] without the qualifier in the text
    if qualifier is not None:
        delete_version(control, record, qualifier)
        return {"StatusCode": 204}
    control.remove(name)
    for code in _codes(record):
        control.service.spawn(release(control, record, code))
    return {"StatusCode": 204}


# -- inside ----------------------------------------------------------------------------------------------


def _new_name(control: Control, request: _Json) -> str:
    name, qualifier = control.named(request)
    given = request["FunctionName"]
    if qualifier is not None or "." in name:
        raise ValidationError(
            f"1 validation error detected: Value '{given}' at 'functionName' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {NAME_PATTERN}"
        )
    if len(name) > _LONGEST_NAME:  # [R] with this error, whatever it says
        raise InvalidParameterValueError(
            f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: "
            f"Member must have length less than or equal to {_LONGEST_NAME}"
        )
    return name


def _to_change(control: Control, request: _Json) -> FunctionRecord:
    name, qualifier = control.named(request)
    record = control.record(name)
    if qualifier != LATEST:
        check_only_function(qualifier)  # [I] or whoever names a version would find $LATEST changed
    check_at_rest(control, record)
    check_revision(request.get("RevisionId"), record.latest.revision)
    return record


def _preview(control: Control, record: FunctionRecord, settings: _Json, code: Code) -> Version:
    """What ``$LATEST`` would be.

    Raises:
        EmulatorError: it cannot be.
    """
    version = Version(LATEST, settings, code, record.latest.revision, record.latest.modified)
    make_function(control, record, version, record.latest.settings.get("Layers", ()))
    return version


async def _update(control: Control, record: FunctionRecord, settings: _Json, code: Code, *, publishes: bool) -> _Json:
    old = [kept for kept in record.latest.codes if kept is not code]
    begin_update(control, record, settings, code)
    versions = [record.latest]
    try:
        if not publishes:
            return await show(control, record, record.latest)
        published = await publish(control, record)
        if published.state == "Pending":
            versions.append(published)
        return await show(control, record, published, published.number)  # [R]
    finally:
        control.service.spawn(activate(control, record, versions, old))


def _codes(record: FunctionRecord) -> list[Code]:
    """Each that it has, once."""
    versions = (record.latest, *record.versions.values())
    return list({code.folder: code for version in versions for code in version.codes}.values())


def _location(code: Code) -> _Json:
    """DIFFERS: an address of this machine's files, where AWS has one in S3."""
    if code.kind == "image":
        return {"RepositoryType": "ECR", "ImageUri": code.image, "ResolvedImageUri": code.image}
    return {"RepositoryType": "S3", "Location": f"file://{code.archive or code.folder}"}


OPERATIONS: Mapping[str, Operation] = {
    "CreateFunction": create_function,
    "DeleteFunction": delete_function,
    "GetFunction": get_function,
    "GetFunctionConfiguration": get_function_configuration,
    "ListFunctions": list_functions,
    "UpdateFunctionCode": update_function_code,
    "UpdateFunctionConfiguration": update_function_configuration,
}
