"""Published versions: a copy of ``$LATEST`` that changes no more."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from emulator import text
from emulator.control.concurrency import apply_provisioned
from emulator.control.control import Control, Operation
from emulator.control.deploying import activate, check_at_rest, new_version, release, show
from emulator.control.paging import page
from emulator.control.registry import FunctionRecord, Version
from emulator.control.resources import check_revision
from emulator.errors import InvalidParameterValueError, ResourceConflictError

__all__ = ["OPERATIONS", "delete_version", "list_versions_by_function", "publish", "publish_version"]

_Json = dict[str, Any]


async def publish_version(control: Control, request: _Json) -> _Json:
    """A version of what ``$LATEST`` is now; where nothing has changed since the last one, that one [R]."""
    record = control.record(control.named(request).name)
    check_at_rest(control, record)
    check_revision(request.get("RevisionId"), record.latest.revision)
    sha256, _ = await control.code.count(record.latest.code)
    wanted = request.get("CodeSha256")
    if wanted and wanted != sha256:
        raise InvalidParameterValueError(
            f"CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST ({sha256}). "
            "Please try again with the CodeSHA256 in $LATEST."
        )
    async with control.turns[record.name]:
        version = await publish(control, record, request.get("Description"))
    answer = await show(control, record, version, version.number)
    if version.state == "Pending":
        record.latest.revision = text.new_request_id()  # [R]
        control.service.spawn(activate(control, record, [version]))
    return answer


async def list_versions_by_function(control: Control, request: _Json) -> _Json:
    """``$LATEST`` and all that were published, oldest first."""
    record = control.find(request)
    answer = page([record.latest, *record.versions.values()], request, "Versions", lambda version: version.number)
    answer["Versions"] = [
        await show(control, record, version, version.number, listed=True) for version in answer["Versions"]
    ]
    return answer


async def publish(control: Control, record: FunctionRecord, description: str | None = None) -> Version:
    """A version of ``$LATEST``, ``Pending``; or the last one, where nothing has changed since. The caller activates it.

    Raises:
        InvalidParameterValueError: the code is a folder that cannot be copied.
    """
    latest = record.latest
    source = _digest(latest, await control.code.count(latest.code))
    last = next(reversed(record.versions.values()), None)
    if last is not None and last.source == source:
        return last
    number, record.next_version = str(record.next_version), record.next_version + 1
    settings = latest.settings if description is None else {**latest.settings, "Description": description}
    control.service.functions.hold_back(f"{record.name}:{number}", "Pending")
    version = new_version(control, number, settings, await control.code.keep(record.name, latest.code))
    version.source = source
    record.versions[number] = version
    control.changed()
    return version


def delete_version(control: Control, record: FunctionRecord, number: str) -> None:
    """One version less; none that is not there is missed [R].

    Raises:
        InvalidParameterValueError: it is the name of an alias.
        ResourceConflictError: an alias leads to it.
    """
    if not number.isdecimal():
        raise InvalidParameterValueError("Deletion of aliases is not currently supported.")  # [R]
    leading = sorted(alias.name for alias in record.aliases.values() if number in (alias.version, *alias.weights))
    if leading:  # [X] the words
        raise ResourceConflictError(
            f"Unable to delete version because the following aliases reference it: [{', '.join(leading)}]"
        )
    version = record.versions.pop(number, None)
    if version is None:
        return
    apply_provisioned(control, record)
    control.service.functions.remove_version(record.name, number)
    control.service.spawn(release(control, record, version.code))
    control.changed()


def _digest(version: Version, counted: tuple[str, int]) -> str:
    """What differs when there is something new to publish."""
    said = json.dumps([version.settings, counted[0], version.code.image], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


OPERATIONS: Mapping[str, Operation] = {
    "ListVersionsByFunction": list_versions_by_function,
    "PublishVersion": publish_version,
}
