"""Policies of functions and layers as AWS writes them. Pure.

DIFFERS: nobody is refused because of a policy: who calls is not known here. It is kept and shown, so that what deploys
it works.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from emulator.errors import (
    FunctionNotFoundError,
    InvalidParameterValueError,
    PolicyLengthExceededError,
    ResourceConflictError,
)

__all__ = ["Statements", "add_statement", "conditions", "document", "principal", "remove_statement", "to_text"]

Statements = dict[str, dict[str, Any]]
"""The statements of one policy by their ids, in the order in which they came."""

_MAX_BYTES = 20_480  # [D]
_SERVICE = re.compile(r"[a-zA-Z0-9.-]+\.(amazonaws\.com(\.cn)?|amazon\.com)")
_ACCOUNT = re.compile(r"\d{12}")


def principal(given: str) -> str | dict[str, str]:
    """As a statement has it [R].

    Raises:
        InvalidParameterValueError: it is no service, no account and no ARN.
    """
    if given == "*":
        return given
    if _SERVICE.fullmatch(given):
        return {"Service": given}
    if _ACCOUNT.fullmatch(given):
        return {"AWS": f"arn:aws:iam::{given}:root"}
    if given.startswith("arn:") and given.count(":") >= 5:
        return {"AWS": given}
    raise InvalidParameterValueError("The provided principal was invalid. Please check the principal and try again.")


def conditions(given: Mapping[str, Any], where: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """The ``Condition`` of a statement, or nothing.

    Arguments:
        given: a request.
        where: by its members, under which operator and key each goes.
    """
    told: dict[str, dict[str, Any]] = {}
    for member, (operator, key) in where.items():
        if (value := given.get(member)) is not None:
            told.setdefault(operator, {})[key] = str(value).lower() if isinstance(value, bool) else value
    return {"Condition": told} if told else {}


def add_statement(statements: Statements, statement: dict[str, Any]) -> None:
    """One more.

    Raises:
        ResourceConflictError: there is one of that id [R].
        PolicyLengthExceededError: together they are too long.
    """
    sid = statement["Sid"]
    if sid in statements:
        raise ResourceConflictError(
            f"The statement id ({sid}) provided already exists. "
            "Please provide a new statement id, or remove the existing statement."
        )
    size = len(document({**statements, sid: statement}).encode())
    if size > _MAX_BYTES:
        raise PolicyLengthExceededError(f"The final policy size ({size}) is bigger than the limit ({_MAX_BYTES}).")
    statements[sid] = statement


def remove_statement(statements: Statements, sid: str) -> None:
    """One less.

    Raises:
        FunctionNotFoundError: there is no policy, or none of that id [R].
    """
    if not statements:
        raise FunctionNotFoundError("No policy is associated with the given resource.")
    if sid not in statements:
        raise FunctionNotFoundError(f"Statement {sid} is not found in resource policy.")
    del statements[sid]


def document(statements: Statements) -> str:
    """The policy."""
    return to_text({"Version": "2012-10-17", "Id": "default", "Statement": list(statements.values())})


def to_text(value: Any) -> str:
    """JSON in a member of an answer: without blanks."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
