"""The states of versions: what is shown of one, what may be done with it, and how it gets from one state to the next.

[R] ``Pending`` becomes ``Active`` or ``Failed``; an update of what is ``Active`` is ``InProgress`` and becomes
``Successful`` or ``Failed``, and until then the version before it serves. Each of these steps is a new revision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from emulator import text
from emulator.control.configuration import as_shown, function_of
from emulator.control.control import Control
from emulator.control.layers import layer_members, layer_paths
from emulator.control.registry import Code, FunctionRecord, Serving, Version
from emulator.errors import (
    CodeError,
    ConfigurationError,
    EmulatorError,
    ImageNotFoundError,
    InvalidParameterValueError,
    ResourceConflictError,
)
from emulator.layers import MAX_UNZIPPED_BYTES, unpacked_size
from emulator.model import LATEST, Function

__all__ = [
    "activate",
    "activate_again",
    "begin_update",
    "check_at_rest",
    "check_size",
    "make_function",
    "new_version",
    "release",
    "show",
]

_CREATING = ("The function is being created.", "Creating")


def new_version(control: Control, number: str, settings: dict[str, Any], code: Code) -> Version:
    """A version that is not there yet."""
    reason, why = _CREATING
    return Version(
        number,
        settings,
        code,
        text.new_request_id(),
        control.clock.now(),
        state="Pending",
        state_reason=reason,
        state_reason_code=why,
        update=None,
    )


def check_at_rest(control: Control, record: FunctionRecord) -> None:
    """See that nothing else is done with a function now.

    Raises:
        ResourceConflictError: it is being created or updated.
    """
    latest = record.latest
    if latest.state == "Pending":
        raise ResourceConflictError(
            "The operation cannot be performed at this time. "
            f"The function is currently in the following state: {latest.state}"
        )
    if latest.update == "InProgress":
        raise ResourceConflictError(
            "The operation cannot be performed at this time. "
            f"An update is in progress for resource: {control.arn(record.name)}"
        )


def begin_update(control: Control, record: FunctionRecord, settings: dict[str, Any], code: Code) -> None:
    """``$LATEST`` is shown as it will be, from now on; :func:`activate` makes it true. What was there serves on."""
    latest = record.latest
    if latest.state == "Active" and latest.serving is None:
        latest.serving = Serving(latest.settings, latest.code)
    latest.settings, latest.code = settings, code
    latest.revision, latest.modified = text.new_request_id(), control.clock.now()
    latest.update, (latest.update_reason, latest.update_reason_code) = "InProgress", _CREATING  # [R] these words
    control.changed()


def make_function(
    control: Control, record: FunctionRecord, version: Version, layers_before: Sequence[str] = ()
) -> Function:
    """The function that a version is.

    Raises:
        ConfigurationError: a value that AWS would refuse as well.
        InvalidParameterValueError: a layer is not there.
    """
    base = control.deployed(record.name)
    arns = version.settings.get("Layers")
    given = layer_paths(control, arns, layers_before) if arns is not None else None
    return function_of(record.name, version, base, given)


async def check_size(control: Control, settings: dict[str, Any], code: Code) -> None:
    """See that code and layers together are not too large; what cannot be measured is told of when it is deployed.

    Raises:
        InvalidParameterValueError: they are, or a layer is not there.
    """
    arns = settings.get("Layers") or ()
    if not arns or code.kind == "image":
        return
    paths = [Path(code.folder), *layer_paths(control, arns, arns)]
    try:
        size = await asyncio.to_thread(lambda: sum(map(unpacked_size, paths)))
    except (OSError, CodeError):
        return
    if size > MAX_UNZIPPED_BYTES:
        raise InvalidParameterValueError(  # [X]
            f"Function code combined with layers exceeds the maximum allowed size of {MAX_UNZIPPED_BYTES} bytes. "
            f"The actual size is {size} bytes."
        )


async def activate(
    control: Control, record: FunctionRecord, versions: Sequence[Version], old: Sequence[Code] = ()
) -> None:
    """Have versions run, in their order; what they come to is their state.

    Arguments:
        old: the code before; what of it no version has any more goes, when no environment has it either.
    """
    async with control.turns[record.name]:
        for version in versions:
            if not _is_wanted(control, record, version):
                continue  # it was deleted, or there is another one already
            try:
                await _deploy(control, record, version)
            except (OSError, EmulatorError) as error:
                _failed(control, record, version, error)
            else:
                _succeeded(version)
            if not _is_wanted(control, record, version):
                _take_back(control, record, version)
        control.changed()
    for code in old:
        await release(control, record, code)


async def activate_again(control: Control, record: FunctionRecord, version: Version) -> None:
    """Have a version run that another emulator has had; its revision stays where it is what it was.

    An update that had failed is not tried again: what served then serves. One that was under way is.
    """
    if version.update == "Failed" and version.serving is not None:
        await _serve_again(control, record, version)
        return
    try:
        await _deploy(control, record, version)
    except (OSError, EmulatorError) as error:
        if version.serving is not None and await _serve_again(control, record, version):
            _failed(control, record, version, error)
        else:
            version.state = "Failed"
            _failed(control, record, version, error)
    else:
        if (version.state, version.update) != ("Active", "Successful"):
            _succeeded(version)


async def _serve_again(control: Control, record: FunctionRecord, version: Version) -> bool:
    """Have what served before its update; whether that goes."""
    assert version.serving is not None, "there is something that served"
    before = replace(version, settings=version.serving.settings, code=version.serving.code, serving=None)
    try:
        await _deploy(control, record, before)
    except (OSError, EmulatorError) as error:
        version.state = "Failed"
        _failed(control, record, version, error)
        return False
    if version.state != "Active":
        version.state, version.state_reason, version.state_reason_code = "Active", None, None
        version.revision = text.new_request_id()
    return True


async def _deploy(control: Control, record: FunctionRecord, version: Version) -> None:
    function = make_function(control, record, version, version.settings.get("Layers", ()))
    if version.number == LATEST:
        await control.deploy(function)
    else:
        await control.service.functions.add_version(function)


def _is_wanted(control: Control, record: FunctionRecord, version: Version) -> bool:
    return control.registry.functions.get(record.name) is record and record.version(version.number) is version


def _take_back(control: Control, record: FunctionRecord, version: Version) -> None:
    """It was deleted while it was made ready."""
    if control.registry.functions.get(record.name) is record:
        control.service.functions.remove_version(record.name, version.number)
    else:
        control.service.functions.remove(record.name)


def _succeeded(version: Version) -> None:
    version.state, version.state_reason, version.state_reason_code = "Active", None, None
    version.update, version.update_reason, version.update_reason_code = "Successful", None, None
    version.serving = None
    version.revision = text.new_request_id()


def _failed(control: Control, record: FunctionRecord, version: Version, error: Exception) -> None:
    reason, why = " ".join(str(error).split()), _reason_code(error)
    if version.state == "Active":
        version.update, version.update_reason, version.update_reason_code = "Failed", reason, why
    else:
        version.state, version.state_reason, version.state_reason_code = "Failed", reason, why
        key = record.name if version.number == LATEST else f"{record.name}:{version.number}"
        control.service.functions.hold_back(key, "Failed")
    version.revision = text.new_request_id()


def _reason_code(error: Exception) -> str:
    if isinstance(error, ImageNotFoundError):
        return "InvalidImage"
    return "InvalidConfiguration" if isinstance(error, ConfigurationError) else "InternalError"


async def release(control: Control, record: FunctionRecord, code: Code) -> None:
    """Remove code that no version has any more, when no environment has it either."""
    is_there = control.registry.functions.get(record.name) is record
    versions = (record.latest, *record.versions.values()) if is_there else ()
    if any(code.folder == kept.folder for version in versions for kept in version.codes):
        return
    await control.service.functions.until_unused(Path(code.folder))
    await control.code.drop(code)


async def show(
    control: Control, record: FunctionRecord, version: Version, qualifier: str | None = None, *, listed: bool = False
) -> dict[str, Any]:
    """AWS's ``FunctionConfiguration`` of a version; the ARN has the qualifier that is given [R]."""
    return as_shown(
        record.name,
        control.arn(record.name, qualifier),
        control.service.settings.emulator.region,
        version,
        await control.code.count(version.code),
        layer_members(control, version.settings.get("Layers", ())),
        listed=listed,
    )
