"""The timeline through the real server: pages, a stream that survives a reconnect and slow readers; and the figures."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from emulator import Emulator, Function
from emulator.chronicle.lines import read_recording
from emulator.client import Client, Message
from emulator.errors import ThrottledError
from tests.integration.conftest import FUNCTIONS, SAMPLES
from tests.needs import need_database
from tests.support import eventually

KEPT = 3000  # events; few enough to be filled in a moment
STREAM = "/_emulator/api/timeline/stream"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the timeline."""
    return tmp_path_factory.mktemp("timeline") / "run.jsonl"


@pytest.fixture(scope="module")
def emulator(path: Path) -> Iterator[Emulator]:
    """One with a database of a class, a short timeline and a function that was invoked twice."""
    need_database()
    settings = {
        "emulator": {"sandbox": "process", "timeline_file": str(path), "timeline_events": KEPT},
        "database": {"profile": "db.t3.micro", "wait_timeout": 600},
    }
    with Emulator(settings) as running:
        running.add(Function(name="orders", code=SAMPLES / "connect_once", timeout=10))
        running.add(Function(name="anything", code=FUNCTIONS / "anything", timeout=10, reserved_concurrency=1))
        running.invoke("orders", {})
        running.invoke("orders", {})
        running.invoke("anything", {"do": "fail", "message": "no"})
        yield running


def page(emulator: Emulator, query: str = "") -> dict[str, Any]:
    return dict(Client(emulator.endpoint_url).get(f"/_emulator/api/timeline?{query}"))


@contextmanager
def stream(emulator: Emulator, query: str = "", last: str | None = None) -> Iterator[Iterator[Message]]:
    """The messages of a stream, until the block ends; each must come within ten seconds."""
    from emulator.client import read_messages

    url = urlsplit(emulator.endpoint_url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=10)
    try:
        connection.request("GET", f"{STREAM}?{query}", headers={} if last is None else {"Last-Event-ID": last})
        with connection.getresponse() as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield read_messages(iter(lambda: answer.read1(1 << 16), b""))
    finally:
        connection.close()


def numbers(message: Message) -> list[int]:
    return [event["seq"] for event in json.loads(message.data)]


def record(emulator: Emulator, count: int, kind: str = "test.filler") -> None:
    """So many events more, at once."""

    def fill() -> None:
        for _ in range(count):
            emulator._service.timeline.record(kind, "to fill it")

    emulator._do(fill)


def test_pages_make_the_whole_and_say_where_to_go_on(emulator: Emulator) -> None:
    """``last`` of one page is ``since`` of the next, with filters and without."""
    whole = emulator.timeline()
    found, since, more = [], 0, True
    while more:
        answer = page(emulator, f"since={since}&limit=7")
        assert len(answer["events"]) <= 7
        found += answer["events"]
        since, more = answer["last"], answer["more"]
    assert [event["seq"] for event in found[: len(whole)]] == [event.seq for event in whole]
    assert found[0].keys() == whole[0]._asdict().keys()
    only = page(emulator, "kind=invocation.finished&kind=connection.opened&function=orders")
    assert [event["kind"] for event in only["events"]] == [
        "connection.opened",
        "invocation.finished",
        "invocation.finished",
    ]
    assert (only["dropped"], only["more"]) == (0, False)


def test_what_is_told_of_invocations_and_freezes(emulator: Emulator) -> None:
    """How long, how late, cold or not, and the error; a connection knows whose function it is."""
    events = emulator.timeline()
    cold, warm, failed = [dict(e.detail or {}) for e in events if e.kind == "invocation.finished"][:3]
    assert cold["cold"]
    assert cold["init_ms"] > 10
    assert warm.keys() == {"duration_ms"}
    assert failed["error"]
    assert failed["status"] == "error"
    lags = [(e.detail or {})["lag_ms"] for e in events if e.kind == "environment.frozen"]
    assert all(lag > 0 for lag in lags)
    assert {e.function for e in events if e.kind.startswith("connection.")} == {"orders"}


@pytest.mark.parametrize("query", ["since=-1", "since=x", "limit=0", "limit=10001", "age=-1", "age=nan"])
def test_a_wrong_query_is_refused(emulator: Emulator, query: str) -> None:
    """With status 422, and the emulator goes on."""
    url = urlsplit(emulator.endpoint_url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=10)
    try:
        connection.request("GET", f"/_emulator/api/timeline?{query}")
        with connection.getresponse() as answer:
            assert answer.status == 422
    finally:
        connection.close()


def test_a_reader_who_comes_again_misses_nothing_and_gets_nothing_twice(emulator: Emulator) -> None:
    """``Last-Event-ID`` is where it was, and it is worth more than ``since``, which the address still says."""
    with stream(emulator, "since=0") as messages:
        first = next(messages)
    run, _, last = first.id.partition(":")
    assert int(last) == numbers(first)[-1]
    record(emulator, 3)
    with stream(emulator, "since=0", last=first.id) as messages:
        found = list(itertools.chain.from_iterable(numbers(m) for m in itertools.islice(messages, 1)))
        record(emulator, 2)
        found += numbers(next(messages))
    assert found == list(range(int(last) + 1, int(last) + 1 + len(found)))
    with stream(emulator, last=f"another-run:{last}") as messages:
        assert numbers(next(messages))[0] == 1
    assert page(emulator)["run"] == run


def test_a_stream_brings_only_what_is_wanted(emulator: Emulator) -> None:
    """By the same filters as pages."""
    with stream(emulator, f"since={emulator.timeline()[-1].seq}&kind=test.wanted") as messages:
        record(emulator, 2)
        record(emulator, 1, "test.wanted")
        (event,) = json.loads(next(messages).data)
    assert event["kind"] == "test.wanted"


def test_a_slow_reader_slows_nobody_and_is_told_what_it_has_missed(emulator: Emulator) -> None:
    """It stops reading while far more comes than the way to it can hold; invocations go on as before."""
    url = urlsplit(emulator.endpoint_url)
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        reader.settimeout(30)
        reader.connect((url.hostname, url.port))
        reader.sendall(f"GET {STREAM}?since=0 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        reader.recv(100)
        for _ in range(30):
            record(emulator, 2000)
            time.sleep(0.01)  # the stream has a moment to write, until it cannot any more
        for _ in range(20):
            emulator.invoke("orders", {})  # would wait for ever for who does not read
        last = emulator.timeline()[-1].seq
        received = b""
        while f'"seq":{last}'.encode() not in received[-100_000:]:
            received += reader.recv(1 << 20)
    lost = [json.loads(part.split(b"\n")[1][6:]) for part in received.split(b"event: lost")[1:]]
    assert lost
    assert all(entry["to"] >= entry["from"] for entry in lost)
    told = sum(entry["to"] - entry["from"] + 1 for entry in lost)
    assert told + received.count(b'{"seq":') >= last - 5  # its first bytes were taken from it


def test_late_readers_are_told_at_once(emulator: Emulator) -> None:
    """Whoever asks for what is not kept any more, in a page or in a stream."""
    record(emulator, KEPT)
    answer = page(emulator, "since=0&limit=1")
    assert answer["dropped"] >= answer["events"][0]["seq"] - 1 > 0
    with stream(emulator, "since=5") as messages:
        lost = next(messages)
        assert lost.event == "lost"
        told = json.loads(lost.data)
        assert told["from"] == 6
        assert numbers(next(messages))[0] >= told["to"] + 1


def scrape(emulator: Emulator) -> Callable[..., float | None]:
    """One answer of the figures, as Prometheus' own parser reads it: by name and labels."""
    text = b"".join(Client(emulator.endpoint_url).stream("/_emulator/metrics")).decode()
    found = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return lambda name, **labels: found.get((name, tuple(sorted(labels.items()))))


def test_figures_for_prometheus(emulator: Emulator) -> None:
    """CloudWatch's and ours, of functions, environments, sessions and the timeline itself."""
    before = scrape(emulator)
    emulator.invoke("orders", {})
    emulator.invoke("anything", {"do": "fail", "message": "no"})
    with pytest.raises(ExceptionGroup) as caught:
        emulator._call(overload(emulator))
    assert caught.group_contains(ThrottledError)
    after = scrape(emulator)

    def grown(name: str, **labels: str) -> float:
        return (after(name, **labels) or 0) - (before(name, **labels) or 0)

    assert grown("lambda_invocations_total", function="orders") == 1
    assert grown("lambda_throttles_total", function="anything") == 1
    assert grown("lambda_errors_total", function="orders") == 0
    assert grown("lambda_errors_total", function="anything") == 1
    assert grown("lambda_duration_seconds_count", function="orders") == 1
    assert grown("lambda_duration_seconds_bucket", function="orders", le="+Inf") == 1
    assert grown("lambda_freezer_freeze_lag_seconds_count", function="orders") == 1
    assert after("lambda_concurrent_executions", function="orders") == 0
    assert after("lambda_freezer_environments", function="orders", state="frozen") == 1
    assert after("lambda_freezer_sessions", kind="asleep") == 1
    assert after("lambda_freezer_connections_total", event="opened") is not None
    assert after("lambda_freezer_zombies") == 0
    assert after("lambda_freezer_max_connections") == 66
    assert (after("lambda_freezer_timeline_dropped_total") or 0) > 0


async def overload(emulator: Emulator) -> None:
    """One invocation more than there are places for."""
    import asyncio

    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(emulator._invoke("anything", {"do": "echo"}))


def test_a_server_that_has_no_room_is_told_of(emulator: Emulator) -> None:
    """Error 1040, in the server's own words, for the environment that was refused."""
    since = emulator.timeline()[-1].seq
    emulator.recycle("orders", "fin")
    with contextlib.ExitStack() as stack:
        for _ in range(66):
            stack.enter_context(contextlib.closing(emulator.connect(as_function=True)))
        failed = emulator.invoke("orders", {})
        refused = emulator.wait_for("connection.refused", since=since)
    assert refused.reason == "the server refused it: Too many connections (1040)"
    assert (refused.environment, refused.function) == (failed.environment_id, "orders")


def test_a_profile_sets_the_limits_and_a_key_goes_before_it(emulator: Emulator) -> None:
    """The server itself says so, and the status names the class."""
    summary = emulator.connections_summary()
    assert (summary.max_connections, summary.wait_timeout) == (66, 600)
    assert emulator.status().profile == "db.t3.micro"


def test_everything_is_in_the_file(emulator: Emulator, path: Path) -> None:
    """Also what the timeline itself does not keep any more; it is written while the emulator runs."""
    emulator.invoke("orders", {})
    last = emulator.timeline()[-1].seq

    def written() -> bool:
        return read_recording(path).events[-1].seq >= last

    eventually(written, "the file has everything")
    events = read_recording(path).events
    assert [event.kind for event in events if event.seq <= 3].count("environment.starting") <= 1
    assert events[0].seq == 1
    assert emulator.status().timeline_file == str(path)


def test_the_end_ends_the_stream_and_the_file_has_it(tmp_path: Path) -> None:
    """A reader gets what happens while the emulator stops, and then the end instead of an error."""
    path = tmp_path / "run.jsonl"
    settings = {"emulator": {"sandbox": "process", "timeline_file": str(path)}, "database": {"server": "none"}}
    with Emulator(settings) as emulator:
        emulator.add(Function(name="anything", code=FUNCTIONS / "anything", timeout=10))
        emulator.invoke("anything", {"do": "echo"})
        client = Client(emulator.endpoint_url)
        messages = client.messages(f"{STREAM}?since=0")
        seen = json.loads(next(messages).data)
    seen += [event for message in messages for event in json.loads(message.data)]
    assert seen[-1]["kind"] == "environment.gone"
    assert [event.kind for event in read_recording(path).events] == [event["kind"] for event in seen]
