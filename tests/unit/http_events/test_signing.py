"""Whether a request is signed."""

from __future__ import annotations

import pytest

from emulator.http_events.signing import iam_of
from tests.unit.http_events.asked import request

SIGNED = (
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/lambda/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
)
QUERY = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1&X-Amz-Signature=00"


def test_who_has_signed() -> None:
    """In the header or in the query."""
    for asked in (request(authorization=SIGNED), request("GET", QUERY)):
        iam = iam_of(asked, "123456789012")
        assert iam is not None
        assert (iam["accessKey"], iam["accountId"]) == ("AKIDEXAMPLE", "123456789012")
        assert iam["cognitoIdentity"] is None


@pytest.mark.parametrize("header", ["", "Bearer abc", "AWS4-HMAC-SHA256", SIGNED.partition(", Signature")[0]])
def test_what_is_no_signature(header: str) -> None:
    """Another kind of authorization, or a part of one."""
    assert iam_of(request(authorization=header), "123456789012") is None
    assert iam_of(request("GET", "/?X-Amz-Signature=00"), "123456789012") is None
