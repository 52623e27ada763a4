"""Whether a request is signed, and by whom it says so."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs

from emulator.http_events.request import HttpRequest

__all__ = ["iam_of"]

_HEADER = re.compile(r"AWS4-(?:HMAC-SHA256|ECDSA-P256-SHA256) .*Credential=([^/,\s]+)/.*Signature=[0-9a-f]+")


def iam_of(request: HttpRequest, account: str) -> dict[str, Any] | None:
    """What an event says of the signer; nothing where the request is not signed, in its header or in its query.

    DIFFERS: [D] AWS compares the signature, and asks policies. Here a signature of the right form will do, for there
    are no secrets to compare it with.
    """
    match = _HEADER.match(request.header("authorization") or "")
    query = parse_qs(request.query)
    if match is not None:
        key = match[1]
    elif "X-Amz-Signature" in query and "X-Amz-Credential" in query:
        key = query["X-Amz-Credential"][0].partition("/")[0]
    else:
        return None
    return {
        "accessKey": key,
        "accountId": account,
        "callerId": key,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": f"arn:aws:iam::{account}:user/local",
        "userId": key,
    }
