"""The forms in which AWS takes the name of a function. Pure."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from emulator.errors import ForbiddenError, FunctionNotFoundError, InvalidParameterValueError, ValidationError

__all__ = ["NAME_PATTERN", "FunctionName", "parse_function_name"]

# [R] as recorded in AWS's own validation message
NAME_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?"
    r"(function:)?([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
_NAME = re.compile(
    NAME_PATTERN.replace("((eusc-)", "(?P<region>(eusc-)", 1)
    .replace("(\\d{12}:)", "(?P<account>\\d{12}:)", 1)
    .replace("([a-zA-Z0-9-_\\.]+)", "(?P<name>[a-zA-Z0-9-_\\.]+)", 1)
    .replace("(:(\\$LATEST", "(:(?P<qualifier>\\$LATEST", 1)
)


class FunctionName(NamedTuple):
    """What a client calls a function by, without what says where it is."""

    name: str
    qualifier: str | None


@functools.lru_cache(1024)
def parse_function_name(given: str, qualifier: str | None, region: str, account: str | None = None) -> FunctionName:
    """Name and qualifier from any of the forms that AWS takes: name, partial ARN, ARN, each with ``:qualifier``.

    Raises:
        ValidationError: it has none of these forms.
        FunctionNotFoundError: the ARN is of another region.
        ForbiddenError: it is of another account.
        InvalidParameterValueError: two qualifiers that differ.
    """
    match = _NAME.fullmatch(given)
    if match is None:
        raise ValidationError(
            f"1 validation error detected: Value '{given}' at 'functionName' failed to satisfy constraint: "
            f"Member must satisfy regular expression pattern: {NAME_PATTERN}"
        )
    named_region = (match["region"] or f"{region}:").removesuffix(":")
    if named_region != region:
        raise FunctionNotFoundError(f"Functions from '{named_region}' are not reachable in this region ('{region}')")
    if account is not None and match["account"] not in (None, f"{account}:"):
        # [D] a request from another account needs a statement in the function's policy; [I] the words
        raise ForbiddenError(
            f"User: arn:aws:iam::{account}:root is not authorized to perform this operation on resource: {given} "
            "because no resource-based policy allows it"
        )
    inner = match["qualifier"]
    if inner is not None and qualifier is not None and inner != qualifier:
        raise InvalidParameterValueError(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    return FunctionName(match["name"], inner or qualifier)
