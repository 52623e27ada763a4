"""The metadata endpoint: the zone, for those who have the token."""

from __future__ import annotations

import pytest

from emulator.runtime_api.metadata import availability_zone_id, serve_metadata
from emulator.runtime_api.reply import Reply

OK = Reply(
    200,
    b'{"AvailabilityZoneID":"use1-az1"}',
    (("Content-Type", "application/json"), ("Cache-Control", "private, max-age=43200, immutable")),
)


@pytest.mark.parametrize(
    ("region", "zone"),
    [
        ("us-east-1", "use1-az1"),
        ("us-west-2", "usw2-az1"),
        ("eu-central-1", "euc1-az1"),
        ("eu-north-1", "eun1-az1"),
        ("ap-southeast-2", "apse2-az1"),
        ("ap-northeast-1", "apne1-az1"),
        ("ap-south-1", "aps1-az1"),
        ("sa-east-1", "sae1-az1"),
        ("ca-central-1", "cac1-az1"),
        ("us-gov-west-1", "usgw1-az1"),
        ("cn-northwest-1", "cnnw1-az1"),
    ],
)
def test_a_zone_has_the_short_name_of_its_region(region: str, zone: str) -> None:
    """As AWS shortens them."""
    assert availability_zone_id(region) == zone


def test_who_has_the_token_is_told_the_zone() -> None:
    """With leave to keep the answer for half a day, for it does not change."""
    assert serve_metadata(b"GET", "Bearer secret", token="secret", zone="use1-az1") == OK


@pytest.mark.parametrize("authorization", [None, "", "secret", "Bearer ", "Bearer other", "Basic secret"])
def test_who_has_not_is_not(authorization: str | None) -> None:
    """401 without the token, with another one, or with another scheme."""
    assert serve_metadata(b"GET", authorization, token="secret", zone="use1-az1").status == 401


def test_an_empty_token_opens_nothing() -> None:
    """An environment without a token has no open door."""
    assert serve_metadata(b"GET", "Bearer ", token="", zone="use1-az1").status == 401


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"HEAD", b"DELETE"])
def test_only_get_is_allowed(method: bytes) -> None:
    """405, whoever asks."""
    assert serve_metadata(method, "Bearer secret", token="secret", zone="use1-az1").status == 405
