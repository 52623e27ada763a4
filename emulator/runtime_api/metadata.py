"""The metadata endpoint: in which availability zone an environment runs."""

from __future__ import annotations

from emulator.runtime_api.reply import JSON, Reply, go_json

__all__ = ["availability_zone_id", "serve_metadata"]

_DIRECTIONS = {
    "northeast": "ne",
    "northwest": "nw",
    "southeast": "se",
    "southwest": "sw",
}
# [I] Only the statuses are documented, not their bodies.
_UNAUTHORIZED = Reply(401, b"Unauthorized\n")
_NOT_ALLOWED = Reply(405, b"Method Not Allowed\n")


def availability_zone_id(region: str) -> str:
    """The first zone of a region: ``use1-az1`` for ``us-east-1``.

    DIFFERS: on AWS environments are spread over the zones of a region; here all are in the first one. [I] The short
    name follows the rule that the documented ones follow: ``apse2`` for ``ap-southeast-2``, ``usgw1`` for
    ``us-gov-west-1``.
    """
    area, *words, number = region.split("-")
    short = "".join(_DIRECTIONS.get(word, word[:1]) for word in words)
    return f"{area}{short}{number}-az1"


def serve_metadata(method: bytes, authorization: str | None, *, token: str, zone: str) -> Reply:
    """Any method on ``/2026-01-15/metadata/execution-environment``; only ``GET`` is allowed [D]."""
    if method != b"GET":
        return _NOT_ALLOWED
    if not token or authorization != f"Bearer {token}":
        return _UNAUTHORIZED
    headers = (("Content-Type", JSON), ("Cache-Control", "private, max-age=43200, immutable"))
    return Reply(200, go_json({"AvailabilityZoneID": zone}), headers)
