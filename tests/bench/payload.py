"""A large event, which comes back as it is."""

from __future__ import annotations

import contextlib

from tests.bench.client import RawClient
from tests.bench.errors import BenchError
from tests.bench.figures import Row
from tests.bench.part import Scale
from tests.bench.peers import rie
from tests.bench.product import echo_settings, product
from tests.bench.rounds import take_turns
from tests.bench.warm import compared

__all__ = ["event_of", "large_payload"]

_PART = "payload"
_SIZE = 5_000_000


def event_of(size: int) -> bytes:
    """An event of so many bytes."""
    frame = b'{"data":""}'
    return b'{"data":"%b"}' % (b"x" * (size - len(frame)))


def large_payload(scale: Scale) -> list[Row]:
    """5 MB, against RIE."""
    reasons: dict[str, str] = {}
    event = event_of(_SIZE)
    with contextlib.ExitStack() as stack:
        doors = {"product": stack.enter_context(product(echo_settings())).door()}
        try:
            doors["RIE"] = stack.enter_context(rie())
        except BenchError as error:
            reasons["RIE"] = str(error)
        clients = {name: stack.enter_context(RawClient(door, event)) for name, door in doors.items()}
        found = take_turns(
            {name: client.invoke for name, client in clients.items()},
            rounds=scale.pick(4, 10),
            each=scale.pick(10, 30),
            warm_up=2,
            tick=scale.tick,
        )
    return [compared(_PART, "echo of 5 MB, process: p50", found, "RIE", 1.0, "", reasons)]
