"""Who may call a function: ``AddPermission``, ``RemovePermission``, ``GetPolicy``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emulator.control import policies
from emulator.control.control import Control, Operation
from emulator.control.resources import check_revision, find_resource
from emulator.errors import FunctionNotFoundError, InvalidParameterValueError
from emulator.model import LATEST

__all__ = [
    "OPERATIONS",
    "add_permission",
    "get_policy",
    "remove_permission",
]

_CONDITIONS = {
    "SourceArn": ("ArnLike", "AWS:SourceArn"),  # [R]
    "SourceAccount": ("StringEquals", "AWS:SourceAccount"),
    "EventSourceToken": ("StringEquals", "lambda:EventSourceToken"),
    "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
    "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
    "InvokedViaFunctionUrl": ("Bool", "lambda:InvokedViaFunctionUrl"),
}
_NOTHING = "The resource you requested does not exist."


async def add_permission(control: Control, request: dict[str, Any]) -> dict[str, Any]:
    """One more statement [R]."""
    _, qualifier = control.named(request)
    if qualifier == LATEST:
        raise InvalidParameterValueError("We currently do not support adding policies for $LATEST.")
    resource = find_resource(control, request)
    check_revision(request.get("RevisionId"), resource.holder.revision)
    statement = {
        "Sid": request["StatementId"],
        "Effect": "Allow",
        "Principal": policies.principal(request["Principal"]),
        "Action": request["Action"],
        "Resource": resource.arn,
        **policies.conditions(request, _CONDITIONS),
    }
    policies.add_statement(resource.record.policy.setdefault(resource.key, {}), statement)
    resource.changed()
    control.changed()
    return {"Statement": policies.to_text(statement)}


async def remove_permission(control: Control, request: dict[str, Any]) -> dict[str, Any]:
    """One statement less."""
    name, qualifier = control.named(request)
    if name not in control.registry.functions:
        raise FunctionNotFoundError(f"No policy found for: {control.arn(name, qualifier)}")
    resource = find_resource(control, request)
    check_revision(request.get("RevisionId"), resource.holder.revision)
    statements = resource.record.policy.get(resource.key, {})
    policies.remove_statement(statements, request["StatementId"])
    if not statements:
        del resource.record.policy[resource.key]
    resource.changed()
    control.changed()
    return {}


async def get_policy(control: Control, request: dict[str, Any]) -> dict[str, Any]:
    """All statements; [R] the revision is that of what they belong to."""
    record = control.find(request)
    _, qualifier = control.named(request)
    statements = record.policy.get(qualifier or "")
    if not statements:
        raise FunctionNotFoundError(_NOTHING)
    return {
        "Policy": policies.document(statements),
        "RevisionId": find_resource(control, request).holder.revision,
    }


OPERATIONS: Mapping[str, Operation] = {
    "AddPermission": add_permission,
    "GetPolicy": get_policy,
    "RemovePermission": remove_permission,
}
