"""The way of telemetry to a subscriber, over real sockets: batches, failures, freezes, losses, the end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.runtime_api.delivery import KEPT_BATCHES, Buffer, Delivery
from emulator.runtime_api.subscription import Api, Buffering, HttpDestination, Subscription, TcpDestination
from tests.support import in_loop, run, skip_time
from tests.unit.runtime_api.listeners import ADDRESS, HttpListener, Tasks, TcpListener, arrival, free_port, rounds

SMALL = Buffering(max_items=4, max_bytes=200, timeout=1.0)
REFUSED = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
TAKEN = HttpListener().answer


def record(number: int, size: int = 0) -> bytes:
    return json.dumps({"n": number, "pad": "x" * size}).encode()


def numbers(records: list[Any]) -> list[int]:
    return [entry["n"] for entry in records if "n" in entry]


def losses(records: list[Any]) -> tuple[int, int]:
    told = [entry["record"] for entry in records if "n" not in entry]
    return sum(loss["droppedBytes"] for loss in told), sum(loss["droppedRecords"] for loss in told)


class Sent(Delivery):
    """A delivery to a listener of the test, and the tasks it runs in."""

    def __init__(self, port: int, buffering: Buffering = SMALL, *, tcp: bool = False, path: str = "/") -> None:
        http = HttpDestination(f"sandbox.localdomain:{port}", port, path)
        destination = TcpDestination(port) if tcp else http
        subscription = Subscription(Api.TELEMETRY, "2022-07-01", ("platform",), destination, buffering)
        self.tasks = Tasks()
        super().__init__(subscription, ADDRESS, self.tasks.spawn, now=lambda: 0.0)

    async def end(self) -> None:
        self.close()
        await self.tasks.end()


@in_loop
async def test_a_batch_is_an_array_posted_to_the_path_of_the_uri() -> None:
    """One POST with the headers that listeners rely on, and the host as the extension wrote it."""
    async with HttpListener().listen() as listener:
        delivery = Sent(listener.port, path="/events?of=lambda")
        delivery.publish(record(1))
        delivery.publish(record(2))
        delivery.flush()
        await arrival(lambda: listener.taken, "the batch")
        request = listener.requests[0]
        assert request.line == "POST /events?of=lambda HTTP/1.1"
        assert request.headers["host"] == f"sandbox.localdomain:{listener.port}"
        assert request.headers["content-type"] == "application/json"
        assert request.body == b"[" + record(1) + b"," + record(2) + b"]"
        await delivery.end()


@in_loop
async def test_a_batch_waits_for_its_time() -> None:
    """Nothing goes before the buffering time is over; then everything goes in one piece."""
    async with HttpListener().listen() as listener:
        delivery = Sent(listener.port)
        delivery.publish(record(1))
        await rounds()
        skip_time(0.9)
        delivery.publish(record(2))
        await rounds()
        assert listener.dialled == 0
        skip_time(0.2)
        await arrival(lambda: listener.taken, "the batch")
        assert numbers(listener.taken) == [1, 2]
        await delivery.end()


@pytest.mark.parametrize("sizes", [[0, 0, 0, 0], [150, 150]], ids=["items", "bytes"])
def test_a_full_batch_does_not_wait(sizes: list[int]) -> None:
    """The limit on records and the limit on bytes both send at once."""

    async def play() -> None:
        async with HttpListener().listen() as listener:
            delivery = Sent(listener.port)
            for number, size in enumerate(sizes):
                delivery.publish(record(number, size))
            await arrival(lambda: listener.taken, "the batch")
            assert numbers(listener.taken) == list(range(len(sizes)))
            await delivery.end()

    run(play())


@in_loop
async def test_a_record_that_came_during_a_slow_answer_has_waited_already() -> None:
    """The buffering time counts from the record and not from the end of the batch before it."""
    async with HttpListener().listen() as listener:
        delivery = Sent(listener.port)
        delivery.publish(record(1))
        delivery.flush()
        await arrival(lambda: listener.requests, "the first batch")
        listener.gate.clear()
        delivery.publish(record(2))
        delivery.flush()
        await arrival(lambda: len(listener.requests) == 2, "the second batch")
        delivery.publish(record(3))
        skip_time(1.1)
        listener.gate.set()
        await arrival(lambda: len(listener.taken) == 3, "the record that has waited")
        await delivery.end()


@in_loop
async def test_flush_sends_what_is_there_at_once() -> None:
    """No time passes between the call and the request; what comes later waits as ever."""
    async with HttpListener().listen() as listener:
        delivery = Sent(listener.port)
        delivery.flush()
        delivery.publish(record(1))
        await rounds()
        assert listener.dialled == 0
        delivery.flush()
        await arrival(lambda: listener.taken, "the batch")
        delivery.publish(record(2))
        await rounds()
        assert numbers(listener.taken) == [1]
        await delivery.end()


@pytest.mark.parametrize("tcp", [False, True], ids=["http", "tcp"])
def test_a_listener_that_comes_late_gets_everything(tcp: bool) -> None:
    """Dialling is tried again with growing pauses until somebody listens."""

    async def play() -> None:
        port = await free_port()
        delivery = Sent(port, tcp=tcp)
        delivery.publish(record(1))
        delivery.flush()
        for _ in range(5):
            await rounds()
            skip_time(0.5)
        listener: TcpListener | HttpListener = TcpListener() if tcp else HttpListener()
        async with listener.listen(port):
            skip_time(3.0)
            await arrival(lambda: numbers(listener.records) == [1], "the batch")
            await delivery.end()

    run(play())


@pytest.mark.parametrize(
    "answer",
    [REFUSED, b"", b"HTTP/1.1 302 Elsewhere\r\nContent-Length: 0\r\n\r\n", b"no HTTP at all\r\n\r\n"],
    ids=["error", "hangs-up", "redirects", "nonsense"],
)
def test_a_batch_that_was_not_taken_comes_again(answer: bytes) -> None:
    """After a pause that grows, the same records come in the same order, before newer ones."""

    async def play() -> None:
        async with HttpListener(answer).listen() as listener:
            delivery = Sent(listener.port)
            delivery.publish(record(1))
            delivery.flush()
            await arrival(lambda: listener.requests, "the first attempt")
            delivery.publish(record(2))
            await rounds()
            assert len(listener.requests) == 1
            skip_time(0.06)
            await arrival(lambda: len(listener.requests) == 2, "the second attempt")
            await rounds()
            skip_time(0.06)
            await rounds()
            assert len(listener.requests) == 2  # the pause is twice as long now
            listener.answer = TAKEN
            delivery.flush()
            await arrival(lambda: len(listener.taken) == 2, "both records")
            assert numbers(listener.taken) == [1, 2]
            await delivery.end()

    run(play())


@in_loop
async def test_an_answer_that_does_not_come_is_waited_for_with_a_limit() -> None:
    """A listener that hangs gets the batch again after half a minute."""
    async with HttpListener().listen() as listener:
        delivery = Sent(listener.port)
        listener.gate.clear()
        delivery.publish(record(1))
        delivery.flush()
        await arrival(lambda: listener.requests, "the first attempt")
        skip_time(29.0)
        await rounds()
        assert listener.dialled == 1
        skip_time(2.0)
        await rounds()
        skip_time(1.0)
        await arrival(lambda: listener.dialled == 2, "the second attempt")
        await delivery.end()


@in_loop
async def test_an_answer_without_an_end_counts_by_its_status() -> None:
    """Once the listener has said 200 the batch is its own, whatever comes of the rest."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nand then nothing"
    async with HttpListener(answer).listen() as listener:
        delivery = Sent(listener.port)
        delivery.publish(record(1))
        delivery.flush()
        await arrival(lambda: listener.taken, "the batch")
        for _ in range(10):
            await rounds()
            skip_time(1.0)
        assert listener.dialled == 1
        assert listener.open == 0
        await delivery.end()


# -- frozen --------------------------------------------------------------------------------------------------


@in_loop
async def test_while_frozen_nothing_is_dialled_and_no_timer_runs() -> None:
    """Of the buffering time only what was thawed counts, however long the freeze; and a flush waits as well."""
    async with HttpListener().listen() as listener:
        delivery = Sent(listener.port)
        delivery.publish(record(1))
        await rounds()
        skip_time(0.5)
        delivery.pause()
        skip_time(3600.0)
        await rounds()
        delivery.resume()
        await rounds()
        assert listener.dialled == 0  # half of its second is left
        delivery.pause()
        delivery.publish(record(2))
        delivery.flush()
        skip_time(3600.0)
        await rounds()
        assert listener.dialled == 0
        delivery.resume()
        await arrival(lambda: listener.taken, "the batch")
        assert numbers(listener.taken) == [1, 2]
        await delivery.end()


@in_loop
async def test_a_request_in_flight_outlasts_a_freeze() -> None:
    """A frozen listener cannot answer, and is not held to any limit for it."""
    async with HttpListener().listen() as listener:
        delivery = Sent(listener.port)
        listener.gate.clear()
        delivery.publish(record(1))
        delivery.flush()
        await arrival(lambda: listener.requests, "the request")
        delivery.pause()
        skip_time(7200.0)
        await rounds()
        delivery.resume()
        listener.gate.set()
        await arrival(lambda: listener.taken, "the answer")
        await rounds()
        assert listener.dialled == 1
        await delivery.end()


@in_loop
async def test_attempts_stop_while_frozen_and_go_on_after() -> None:
    """The pause after a failure does not end while frozen."""
    async with HttpListener(REFUSED).listen() as listener:
        delivery = Sent(listener.port)
        delivery.publish(record(1))
        delivery.flush()
        await arrival(lambda: listener.requests, "the first attempt")
        await rounds()
        delivery.pause()
        skip_time(3600.0)
        await rounds()
        assert listener.dialled == 1
        delivery.resume()
        skip_time(0.06)
        await arrival(lambda: listener.dialled == 2, "the second attempt")
        await delivery.end()


@in_loop
async def test_a_large_batch_stops_in_its_middle() -> None:
    """A freeze while a batch is on its way holds back what the system has not taken yet."""
    async with TcpListener().listen() as listener:
        delivery = Sent(listener.port, Buffering(max_bytes=60_000_000), tcp=True)
        delivery.publish(record(1, 50_000_000))  # more than the system keeps for a reader that reads nothing
        listener.gate.clear()
        delivery.flush()
        await arrival(lambda: listener.connections, "the connection")
        await rounds(2000)
        delivery.pause()
        listener.gate.set()
        await rounds(2000)
        received = len(listener.connections[0])
        assert received < 50_000_000
        await rounds()
        assert len(listener.connections[0]) == received
        delivery.resume()
        await arrival(lambda: len(listener.connections[0]) > 50_000_000, "the rest")
        assert numbers(listener.records) == [1]
        await delivery.end()


@in_loop
async def test_pausing_twice_is_pausing_once() -> None:
    """Neither call depends on how often it came before."""
    async with HttpListener().listen() as listener:
        delivery = Sent(listener.port)
        delivery.publish(record(1))
        for call in (delivery.resume, delivery.pause, delivery.pause, delivery.resume, delivery.resume):
            call()
            await rounds()
        skip_time(1.1)
        await arrival(lambda: listener.taken, "the batch")
        await delivery.end()


# -- losses --------------------------------------------------------------------------------------------------


def test_the_buffer_keeps_the_newest() -> None:
    """Beyond ten batches the oldest go, and are told of first; one record alone is never too large."""
    buffer = Buffer(SMALL)
    for number in range(300):
        buffer.add(record(number))
    size = len(record(299))
    kept = KEPT_BATCHES * SMALL.max_bytes // size
    told: list[tuple[int, int]] = []

    def tell(lost_bytes: int, records: int) -> bytes:
        told.append((lost_bytes, records))
        return b"told"

    batches = []
    while buffer:
        batches.append(buffer.take(tell))
    everything = [entry for batch in batches for entry in batch]
    assert everything == [b"told", *(record(number) for number in range(300 - kept, 300))]
    assert told == [(sum(len(record(number)) for number in range(300 - kept)), 300 - kept)]
    buffer.add(record(1, 100_000))
    assert len(buffer) == 1


@given(st.lists(st.integers(0, 400), max_size=60))
def test_batches_keep_their_limits(sizes: list[int]) -> None:
    """A batch has at most its number of records, and no more bytes than the limit and its last record."""
    buffer = Buffer(SMALL)
    for number, size in enumerate(sizes):
        buffer.add(record(number, size))
    while buffer:
        batch = buffer.take(lambda *_: b"told")
        records = [entry for entry in batch if entry != b"told"]
        assert 1 <= len(batch) <= SMALL.max_items
        assert sum(map(len, records[:-1])) < SMALL.max_bytes


@in_loop
async def test_a_slow_subscriber_is_told_what_it_lost() -> None:
    """The record of the loss stands first in the next batch, which does not wait."""
    async with HttpListener(REFUSED).listen() as listener:
        delivery = Sent(listener.port)
        for number in range(100):
            delivery.publish(record(number, 50))
        await arrival(lambda: listener.requests, "an attempt")
        listener.answer = TAKEN
        delivery.flush()
        await arrival(lambda: 99 in numbers(listener.taken), "the newest record")
        after = next(request for request in listener.requests if numbers(request.records)[0] > 0)
        told = after.records[0]
        assert (told["type"], told["time"]) == ("platform.logsDropped", "1970-01-01T00:00:00.000Z")
        assert told["record"]["droppedRecords"] == 100 - len(numbers(listener.taken))
        await delivery.end()


STEPS = st.one_of(
    st.tuples(st.just("publish"), st.integers(0, 300)),
    st.tuples(st.sampled_from(["pause", "resume", "flush", "refuse", "hang up", "mend"]), st.just(0)),
    st.tuples(st.just("skip"), st.integers(1, 12)),
)


class Play:
    """A delivery and a listener, moved step by step; remembers what was handed in."""

    def __init__(self, listener: HttpListener) -> None:
        self.listener = listener
        self.delivery = Sent(listener.port)
        self.published: list[bytes] = []
        self.is_paused = False

    async def step(self, name: str, argument: int) -> None:
        answers = {"refuse": REFUSED, "hang up": b"", "mend": TAKEN}
        match name:
            case "publish":
                self.published.append(record(len(self.published), argument))
                self.delivery.publish(self.published[-1])
            case "pause" | "resume" | "flush":
                getattr(self.delivery, name)()
                self.is_paused = name == "pause" or (self.is_paused and name != "resume")
            case "skip":
                skip_time(argument / 10)
            case _:
                self.listener.answer = answers[name]
        dialled = self.listener.dialled
        await rounds(30)
        assert not self.is_paused or self.listener.dialled == dialled

    async def finish(self) -> None:
        for name in ("mend", "resume", "flush"):
            await self.step(name, 0)
        skip_time(3.0)
        taken = self.listener.taken
        await arrival(lambda: losses(taken)[1] + len(numbers(taken)) == len(self.published), "the last record")
        arrived = numbers(taken)
        missing = set(range(len(self.published))) - set(arrived)
        assert arrived == sorted(set(arrived))
        assert losses(taken) == (sum(len(self.published[number]) for number in missing), len(missing))
        await self.delivery.end()
        assert self.listener.open == 0


@given(st.lists(STEPS, max_size=50))
def test_any_order_of_things_delivers_once_or_counts(steps: list[tuple[str, int]]) -> None:
    """Whatever happens: each record comes once and in order, or is counted as lost; nothing comes while frozen."""

    async def play() -> None:
        async with HttpListener().listen() as listener:
            one = Play(listener)
            for name, argument in steps:
                await one.step(name, argument)
            await one.finish()

    run(play())


# -- TCP -----------------------------------------------------------------------------------------------------


@in_loop
async def test_tcp_keeps_one_connection_and_ends_each_record_with_a_newline() -> None:
    """Batches follow each other on the same connection, also over a freeze."""
    async with TcpListener().listen() as listener:
        delivery = Sent(listener.port, tcp=True)
        for number in range(3):
            delivery.publish(record(number))
            delivery.flush()
            await arrival(lambda number=number: len(listener.records) == number + 1, "the record")  # type: ignore[misc]
            delivery.pause()
            skip_time(3600.0)
            await rounds()
            delivery.resume()
        assert bytes(listener.connections[0]) == b"".join(record(number) + b"\n" for number in range(3))
        assert len(listener.connections) == 1
        await delivery.end()
        assert listener.open == 0


@in_loop
async def test_tcp_dials_again_when_the_listener_has_closed() -> None:
    """A listener that starts anew gets what comes from then on."""
    async with TcpListener().listen() as listener:
        delivery = Sent(listener.port, tcp=True)
        delivery.publish(record(1))
        delivery.flush()
        await arrival(lambda: listener.records, "the first record")
        listener.writers[0].close()
        await rounds()
        delivery.publish(record(2))
        delivery.flush()
        await arrival(lambda: len(listener.records) == 2, "the second record")
        assert len(listener.connections) == 2
        await delivery.end()


# -- the end -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["idle", "collecting", "in flight", "failing", "frozen", "twice"])
def test_close_ends_whatever_goes_on(moment: str) -> None:
    """At any moment: the task ends, connections close, nothing is sent any more, and a second time is no matter."""

    async def play() -> None:
        async with HttpListener(REFUSED if moment == "failing" else TAKEN).listen() as listener:
            delivery = Sent(listener.port)
            if moment != "idle":
                delivery.publish(record(1))
            if moment in ("in flight", "failing", "frozen"):
                listener.gate.set() if moment == "failing" else listener.gate.clear()
                delivery.flush()
                await arrival(lambda: listener.requests, "the request")
            if moment == "frozen":
                delivery.pause()
            await rounds()
            delivery.close()
            if moment == "twice":
                delivery.close()
            delivery.publish(record(2))
            delivery.flush()
            delivery.resume()
            await delivery.tasks.end()
            listener.gate.set()
            skip_time(60.0)
            await rounds()
            assert listener.open == 0
            assert len(listener.requests) == (moment in ("in flight", "failing", "frozen"))

    run(play())


@in_loop
async def test_an_idle_delivery_does_nothing() -> None:
    """Without records no timer is set and no step of its task is taken."""
    delivery = Sent(await free_port())
    await rounds()
    loop: Any = asyncio.get_running_loop()
    assert [handle for handle in loop._scheduled if not handle.cancelled()] == []
    assert delivery.tasks.running == 1
    await delivery.end()
