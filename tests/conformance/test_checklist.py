"""The checklist of how Lambda behaves, each check under its number, in both kinds of sandbox.

Of 19 the Python client is what everything here runs on.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import textwrap
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from emulator import Emulator, Function
from emulator.embedded import DeployedFunction
from emulator.event_settings import Asynchronous
from emulator.skipping import FastForwardAnswer
from emulator.timeline import TimelineEvent
from tests.conformance.aws import lambda_client
from tests.conformance.kinds import open_gate
from tests.integration.conftest import FUNCTIONS, SAMPLES
from tests.needs import need_database, need_engine
from tests.support import eventually

LAYERS = Path(__file__).parent.parent / "layers"
GATE_PORT = 8060
PLATFORM = ("INIT_START", "INIT_REPORT", "START", "END", "REPORT", "EXTENSION")
_numbers = itertools.count(1)


@dataclass
class Bench:
    """An emulator, and everything its functions and Lambda ever wrote."""

    emulator: Emulator
    written: dict[str, bytes] = field(default_factory=lambda: defaultdict(bytes))

    def deploy(self, code: Path | str, **settings: Any) -> DeployedFunction:
        folder = FUNCTIONS / code if isinstance(code, str) else code
        if folder.stat().st_mode & 0o777 != 0o755:  # a change of what others watch would be new code to them
            folder.chmod(0o755)  # a temporary folder is its owner's only
        chosen: dict[str, Any] = {"memory": 512, "timeout": 10, "code": folder} | settings
        return self.emulator.add(Function(name=f"check-{next(_numbers)}", **chosen))

    def log(self, function: DeployedFunction) -> str:
        return self.written[function.name].decode()

    def client(self) -> AbstractContextManager[Any]:
        """AWS's own client."""
        return lambda_client(self.emulator, max_pool_connections=50)


def _bench(kind: str, **settings: dict[str, Any]) -> Iterator[Bench]:
    if kind == "container":
        need_engine()
    need_database()
    written: dict[str, bytes] = defaultdict(bytes)

    def sink(function: str, _environment: str, lines: bytes) -> None:
        written[function] += lines

    with Emulator({"emulator": {"sandbox": kind}, **settings}, log_sink=sink) as emulator:
        yield Bench(emulator, written)


KINDS = pytest.mark.parametrize("kind", ["process", pytest.param("container", marks=pytest.mark.container)])


@pytest.fixture(scope="module", params=["process", pytest.param("container", marks=pytest.mark.container)])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """One emulator for each kind of sandbox."""
    yield from _bench(request.param)


def kinds(log: str) -> list[str]:
    """The platform's lines by their first word, the function's as they are."""
    return [line.split()[0] if line.startswith(PLATFORM) else line for line in log.splitlines()]


def with_driver(tmp_path: Path, name: str) -> Path:
    """A deployment package of one of the tests' modules and the database driver."""
    package = tmp_path / "package"
    shutil.copytree(SAMPLES / "connect_once" / "pymysql", package / "pymysql")
    shutil.copy(FUNCTIONS / name, package / "app.py")
    return package


def test_01_a_module_lives_on(bench: Bench) -> None:
    """A counter in the module goes up from one invocation to the next, in one log stream."""
    function = bench.deploy("anything")
    first, second = function.invoke({"do": "count"}), function.invoke({"do": "count"})
    assert (first.payload, second.payload) == (1, 2)
    assert first.report.log_stream == second.report.log_stream


def test_02_two_at_once_are_two_environments(bench: Bench) -> None:
    """Two streams, and an INIT_START in each."""
    function = bench.deploy("anything")
    results = function.invoke_parallel([{"do": "sleep", "seconds": 1}] * 2)
    assert len({result.report.log_stream for result in results}) == 2
    assert all(result.cold_start for result in results)
    assert kinds(bench.log(function)).count("INIT_START") == 2


def test_03_a_thread_stops_with_its_environment(bench: Bench) -> None:
    """No tick while nothing runs; they go on in the next invocation, and in its log."""
    function = bench.deploy("checklist", handler="app.tick", memory=1769)
    function.invoke("begin")
    assert [environment.state for environment in function.environments()] == ["frozen"]
    end = time.time()
    threading.Event().wait(1)  # the gap that is looked at
    begin = time.time()
    second = function.invoke("go on")
    times = [float(moment) for moment in re.findall(r"tick (\d+\.\d+)", bench.log(function))]
    assert len([moment for moment in times if moment <= end]) >= 2
    assert [moment for moment in times if end < moment < begin] == []
    assert len(re.findall(r"tick (\d+\.\d+)", second.logs)) >= 2


def test_04_a_timeout_loses_memory_and_keeps_files(bench: Bench) -> None:
    """Two decimals for the client; then the global is as new, the file is there, and init is part of the time."""
    function = bench.deploy("checklist", handler="app.remember", timeout=3, environment={"INIT_SECONDS": "0.3"})
    failed = function.invoke({"sleep": 60})
    assert failed.payload == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {failed.request_id} Error: Task timed out after 3.00 seconds",
    }
    after = function.invoke({})
    assert after.payload == {"global": 0, "file": True}
    assert kinds(after.logs) == ["START", "END", "REPORT"]
    assert after.report.init_ms is None
    assert after.report.duration_ms >= 300


@pytest.mark.parametrize(
    ("event", "text"),
    [
        ({"do": "leave", "status": 0}, "Runtime exited without providing a reason"),
        ({"do": "leave", "status": 3}, "Runtime exited with error: exit status 3"),
        ({"do": "kill_self"}, "Runtime exited with error: signal: killed"),
    ],
)
def test_05_the_runtime_ends(bench: Bench, event: dict[str, Any], text: str) -> None:
    """Three ends, three texts; the environment is initialised again by the next invocation."""
    function = bench.deploy("anything")
    function.invoke({"do": "count"})
    failed = function.invoke(event)
    assert failed.payload == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {failed.request_id} Error: {text}",
    }
    after = function.invoke({"do": "count"})
    assert after.payload == 1
    assert after.environment_id == failed.environment_id


def test_06_a_module_that_raises_runs_twice(bench: Bench, tmp_path: Path) -> None:
    """INIT_REPORT for each try, START behind both, and a request id that is empty."""
    (tmp_path / "app.py").write_text("print('module runs')\nraise RuntimeError('no')\n")
    function = bench.deploy(tmp_path)
    failed = function.invoke()
    assert failed.payload["requestId"] == ""
    found = [kind for kind in kinds(bench.log(function)) if kind in (*PLATFORM, "module runs")]
    assert found == ["INIT_START", "module runs", "INIT_REPORT", "module runs", "INIT_REPORT", "START", "END", "REPORT"]
    assert [re.findall(r"Phase: (\w+)", line) for line in bench.log(function).splitlines() if "Phase" in line] == [
        ["init"],
        ["invoke"],
    ]


def test_07_a_long_init_is_cut_and_tried_again(bench: Bench, tmp_path: Path) -> None:
    """After 10 s; then it has the function's timeout, which is enough for one of these two and not for the other."""
    source = "import time\ntime.sleep({})\ndef handler(event, context):\n    return 'in the end'\n"
    functions = {}
    for name, seconds, timeout in (("long", 12, 30), ("longer", 60, 1)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "app.py").write_text(source.format(seconds))
        functions[name] = bench.deploy(tmp_path / name, timeout=timeout)
    begin = time.monotonic()
    with ThreadPoolExecutor() as pool:
        long, longer = pool.map(DeployedFunction.invoke, functions.values())
    assert time.monotonic() - begin > 21
    assert long.payload == "in the end"
    assert long.report.duration_ms > 12_000
    assert longer.report.status == "timeout"
    assert longer.payload["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    # A timer's millisecond begins with the round of the loop that sets it: 9999.54 ms are ten seconds, on AWS, too.
    cut = r"INIT_REPORT Init Duration: (9999|1\d{4})\.\d\d ms\tPhase: init\tStatus: timeout\n"
    assert re.search(cut, bench.log(functions["long"]))
    assert re.search(cut, longer.logs)
    again = r"INIT_REPORT Init Duration: (999|[1-9]\d{3,})\.\d\d ms\tPhase: invoke\tStatus: timeout\n"
    assert re.search(again, longer.logs)


def test_08_a_slow_extension_holds_the_environment_not_the_client(bench: Bench) -> None:
    """The answer comes while it is still at work, the next event goes elsewhere, and REPORT has its time."""
    plan = json.dumps({"INVOKE": ["", "gate"]})
    function = bench.deploy("anything", layers=[LAYERS / "actor"], environment={"PLAN": plan}, timeout=50)
    event = json.dumps({"do": "echo"})

    def states() -> list[str]:
        return sorted(environment.state for environment in function.environments())

    with bench.client() as aws:
        aws.invoke(FunctionName=function.name, Payload=event)
        eventually(lambda: states() == ["frozen"], "the freeze")
        held = aws.invoke(FunctionName=function.name, Payload=event)["ResponseMetadata"]["RequestId"]
        aws.invoke(FunctionName=function.name, Payload=event)
    eventually(lambda: states() == ["frozen", "invoking"], "the rest of the second environment")
    assert len({environment.log_stream for environment in function.environments()}) == 2
    assert f"REPORT RequestId: {held}" not in bench.log(function)
    threading.Event().wait(0.5)  # so long at least is the extension at work
    open_gate(function, GATE_PORT)
    eventually(lambda: states() == ["frozen", "frozen"], "the rest of the first one")
    (duration,) = re.findall(rf"REPORT RequestId: {held}\tDuration: ([\d.]+) ms", bench.log(function))
    assert float(duration) >= 500


@pytest.mark.parametrize("reclaim", ["silent", "fin", "rst"])
def test_09_without_extensions_nobody_is_told(bench: Bench, tmp_path: Path, reclaim: str) -> None:
    """No SIGTERM arrives; the session stays when the end is silent, and goes when the kernel speaks."""
    function = bench.deploy(with_driver(tmp_path, "checklist/at_the_end.py"))
    session = function.invoke().payload
    function.recycle(reclaim)
    assert "SIGTERM" not in bench.log(function)
    if reclaim == "silent":
        assert session in {connection.id for connection in bench.emulator.connections()}
        bench.emulator.kill_zombies()
    else:
        eventually(
            lambda: session not in {connection.id for connection in bench.emulator.connections()},
            "the end of the session",
        )


def test_10_with_an_extension_there_is_time_to_close(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM first, and time to close the connection in; then the extension hears of the end that is ahead.

    On a busy machine 300 of 2,000 ms may be too short, so there are ten times as many here.
    """
    monkeypatch.setattr("emulator.generation._BUDGET_EXTERNAL", 20.0)
    monkeypatch.setattr("emulator.generation._RUNTIME_SHARE_EXTERNAL", 3.0)
    function = bench.deploy(with_driver(tmp_path, "checklist/at_the_end.py"), layers=[LAYERS / "told"])
    session = function.invoke().payload
    function.recycle("silent")
    log = bench.log(function)
    assert log.index("SIGTERM seen") < log.index("connection closed") < log.index("SHUTDOWN spindown")
    (ahead,) = re.findall(r"SHUTDOWN spindown, (\d+) ms ahead", log)
    assert 15_000 < int(ahead) <= 20_000
    assert session not in {connection.id for connection in bench.emulator.connections()}


@pytest.mark.parametrize("careful", [False, True])
def test_11_a_connection_dies_while_it_is_frozen(bench: Bench, tmp_path: Path, careful: bool) -> None:
    """The driver's error, or, with a ping before use, a new connection and no error."""
    package = tmp_path / "package"
    shutil.copytree(SAMPLES / "connect_once" / "pymysql", package / "pymysql")
    (package / "app.py").write_text(
        textwrap.dedent(
            """
            import os
            import pymysql
            connection = pymysql.connect(
                host=os.environ["DB_HOST"], port=int(os.environ["DB_PORT"]), user=os.environ["DB_USER"],
                password=os.environ["DB_PASSWORD"], database=os.environ["DB_NAME"], read_timeout=3,
                init_command="SET SESSION wait_timeout = 1",
            )
            def handler(careful, context):
                try:
                    if careful:
                        connection.ping(reconnect=True)
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT CONNECTION_ID()")
                        return cursor.fetchone()[0]
                except pymysql.err.MySQLError as error:
                    return f"error {error.args[0]}"
            """
        )
    )
    function = bench.deploy(package)
    session = function.invoke(careful).payload
    eventually(
        lambda: session not in {connection.id for connection in bench.emulator.connections()},
        "the server's end of the session",
    )
    found = function.invoke(careful).payload
    if careful:
        assert isinstance(found, int)
        assert found != session
    else:
        assert found in ("error 2006", "error 2013", "error 4031")


@KINDS
def test_12_forty_at_once_against_thirty_places(kind: str, tmp_path: Path) -> None:
    """Some get 1040; nobody does where no more run at once than the server takes."""
    package = tmp_path / "package"
    shutil.copytree(SAMPLES / "connect_once" / "pymysql", package / "pymysql")
    shutil.copy(FUNCTIONS / "sql" / "app.py", package / "app.py")
    for bench in _bench(kind, database={"max_connections": 30}):
        function = bench.deploy(package, timeout=60)
        for count, some in ((25, False), (40, True)):
            results = function.invoke_parallel([{"statements": ["SELECT SLEEP(3)"]}] * count)
            assert any("1040" in str(result.payload) for result in results) is some


def test_13_locks_after_a_timeout_and_after_a_silent_end(bench: Bench, tmp_path: Path) -> None:
    """A reset closes the connection, and the locks go; a silent end leaves them to the server."""
    package = tmp_path / "package"
    shutil.copytree(SAMPLES / "connect_once" / "pymysql", package / "pymysql")
    shutil.copy(FUNCTIONS / "sql" / "app.py", package / "app.py")
    holder, other = bench.deploy(package, timeout=3), bench.deploy(package)
    table = f"locks_{next(_numbers)}"
    hold = ["BEGIN", f"UPDATE {table} SET n = n + 1 WHERE id = 1"]
    want = [f"UPDATE {table} SET n = 0 WHERE id = 1", "COMMIT"]
    other.invoke(
        {
            "statements": [
                f"CREATE TABLE {table} (id INT PRIMARY KEY, n INT)",
                f"INSERT INTO {table} VALUES (1, 0)",
                "COMMIT",
            ]
        }
    )
    assert holder.invoke({"statements": hold, "seconds": 60}).report.status == "timeout"
    # The time is for a server that is slow to hear of the end of a connection.
    assert "rows" in other.invoke({"statements": ["SET innodb_lock_wait_timeout = 4", *want]}).payload
    holder.invoke({"statements": hold})
    holder.recycle("silent")
    assert other.invoke({"statements": ["SET innodb_lock_wait_timeout = 1", *want]}).payload["error"] == 1205
    bench.emulator.kill_zombies()


def accepted(aws: Any, function: DeployedFunction, event: Any) -> str:
    """Send an event through AWS's client; the request id of what was accepted."""
    answer = aws.invoke(FunctionName=function.name, InvocationType="Event", Payload=json.dumps(event))
    assert (answer["StatusCode"], answer["Payload"].read()) == (202, b"")
    assert "ExecutedVersion" not in answer
    return str(answer["ResponseMetadata"]["RequestId"])


def records(file: Path, count: int = 1) -> list[dict[str, Any]]:
    """What was delivered there; waits until it is so many."""
    eventually(lambda: file.exists() and file.read_text().count("\n") == count, f"{count} records")
    return [json.loads(line) for line in file.read_text().splitlines()]


def attempts_of(answer: FastForwardAnswer, function: DeployedFunction) -> list[tuple[str, str | None, float]]:
    """What was tried within a skip: the attempt, the request id, and when, in seconds since the first of them."""
    found = [e for e in answer.caused if e.kind == "event.attempt" and e.function == function.name]
    return [(event.reason, event.request_id, round(event.at - found[0].at)) for event in found]


def test_14_an_event_that_fails_is_tried_three_times(bench: Bench, tmp_path: Path) -> None:
    """With one request id, after one minute and after two; then the record is delivered, and the dead letter."""
    function = bench.deploy(
        "anything",
        asynchronous=Asynchronous(on_failure=f"file:{tmp_path}/failed", dead_letter=f"file:{tmp_path}/dead"),
    )
    event = {"do": "fail", "message": "no"}
    before = bench.emulator.timeline()[-1].seq
    with bench.client() as aws:
        request_id = accepted(aws, function, event)
    bench.emulator.wait_for("event.retry", since=before)
    (waiting,) = bench.emulator.queue(function.name)
    assert (waiting.request_id, waiting.state, waiting.attempts) == (request_id, "waiting", 1)
    assert waiting.next_attempt is not None
    early = bench.emulator.fast_forward(seconds=waiting.next_attempt - waiting.accepted_at - 30)
    assert attempts_of(early, function) == []
    answer = bench.emulator.fast_forward(minutes=10)
    assert attempts_of(answer, function) == [
        ("attempt 2 of 3", request_id, 0),
        ("attempt 3 of 3", request_id, 120),
    ]
    (record,) = records(tmp_path / "failed")
    assert record["requestContext"] == {
        "requestId": request_id,
        "functionArn": f"arn:aws:lambda:us-east-1:123456789012:function:{function.name}:$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 3,
    }
    assert record["requestPayload"] == event
    assert record["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert record["responsePayload"]["errorMessage"] == "no"
    assert record["responsePayload"]["requestId"] == request_id
    (letter,) = records(tmp_path / "dead")
    assert letter["Body"] == json.dumps(event)
    assert {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()} == {
        "RequestID": request_id,
        "ErrorCode": "200",
        "ErrorMessage": "no",
    }
    assert bench.log(function).count(f"START RequestId: {request_id}") == 3
    assert bench.emulator.queue(function.name) == []


def test_14_a_timeout_counts_and_a_success_is_told(bench: Bench, tmp_path: Path) -> None:
    """The first attempt takes too long, the second works in the same environment; another function hears of it."""
    other = bench.deploy("anything")
    function = bench.deploy(
        "checklist",
        handler="app.late_at_first",
        timeout=3,
        asynchronous=Asynchronous(on_success=f"function:{other.name}"),
    )
    before = bench.emulator.timeline()[-1].seq
    function.send({"n": 1})
    retry = bench.emulator.wait_for("event.retry", since=before)
    assert retry.reason == "attempt 1 of 3 failed: Sandbox.Timedout; again in 1 min"
    answer = bench.emulator.fast_forward(minutes=2)
    assert [reason for reason, _, _ in attempts_of(answer, function)] == ["attempt 2 of 3"]
    assert len(function.environments()) == 1

    def retries() -> list[TimelineEvent]:
        return [e for e in bench.emulator.timeline(before) if e.kind == "event.retry" and e.function == other.name]

    eventually(retries, "the record to be served")
    (failed,) = retries()
    assert "KeyError" in failed.reason  # what it got is a record, in which nothing says what to do


def test_15_a_function_that_is_switched_off(bench: Bench, tmp_path: Path) -> None:
    """A synchronous call is throttled, an event is accepted and told of: no attempt."""
    function = bench.deploy(
        "anything", reserved_concurrency=0, asynchronous=Asynchronous(on_failure=f"file:{tmp_path}/failed")
    )
    with bench.client() as aws:
        with pytest.raises(aws.exceptions.TooManyRequestsException) as caught:
            aws.invoke(FunctionName=function.name)
        assert caught.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
        accepted(aws, function, {"n": 1})
    (record,) = records(tmp_path / "failed")
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert record["requestPayload"] == {"n": 1}
    assert record.keys() == {"version", "timestamp", "requestContext", "requestPayload"}
    assert function.environments() == []


def test_15_what_is_reserved_is_a_limit(bench: Bench) -> None:
    """One more than that is throttled while the account has places; an event waits, and is served when one is free."""
    function = bench.deploy("anything", reserved_concurrency=1, timeout=30)
    with ThreadPoolExecutor() as pool, bench.client() as aws:
        before = bench.emulator.timeline()[-1].seq
        running = pool.submit(function.invoke, {"do": "sleep", "seconds": 4})
        bench.emulator.wait_for("environment.invoking", since=before)
        with pytest.raises(aws.exceptions.TooManyRequestsException) as caught:
            aws.invoke(FunctionName=function.name)
        assert caught.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        accepted(aws, function, {"do": "count"})
        assert [view.state for view in function.queue()] == ["ready"]
        running.result()
    bench.emulator.wait_for("event.succeeded", since=before)
    assert len(function.environments()) == 1


def test_16_new_code_while_an_invocation_runs(bench: Bench, tmp_path: Path) -> None:
    """What runs finishes on the old code, what waits runs on the new, and the old environment ends."""
    (tmp_path / "app.py").write_text(
        "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'old'\n"
    )
    function = bench.deploy(tmp_path)
    function.invoke(0)
    (old,) = function.environments()
    with ThreadPoolExecutor() as pool:
        before = bench.emulator.timeline()[-1].seq
        running = pool.submit(function.invoke, 2)
        bench.emulator.wait_for("environment.invoking", environment=old.id, since=before)
        (tmp_path / "app.py").write_text("def handler(event, context):\n    return 'new'\n")
        bench.emulator.add(Function(name=function.name, code=tmp_path, memory=512, timeout=10))
        assert function.invoke(0).payload == "new"
        assert running.result().payload == "old"
    bench.emulator.wait_for("environment.gone", environment=old.id)


def test_16_an_event_that_waits_runs_on_the_new_code(bench: Bench, tmp_path: Path) -> None:
    """Its first attempt failed on the old."""
    (tmp_path / "app.py").write_text("def handler(event, context):\n    raise ValueError('old')\n")
    told = tmp_path / "told"
    settings = Asynchronous(on_success=f"file:{told}")
    function = bench.deploy(tmp_path, asynchronous=settings)
    before = bench.emulator.timeline()[-1].seq
    function.send()
    bench.emulator.wait_for("event.retry", since=before)
    (tmp_path / "app.py").write_text("def handler(event, context):\n    return 'new'\n")
    bench.emulator.add(Function(name=function.name, code=tmp_path, memory=512, asynchronous=settings))
    bench.emulator.fast_forward(minutes=1)
    (record,) = records(told)
    assert record["responsePayload"] == "new"


def test_17_initialised_ahead_and_on_demand(bench: Bench, tmp_path: Path) -> None:
    """The first of two parallel calls is served by what was initialised ahead, the second by a cold start."""
    (tmp_path / "app.py").write_text(
        "import os, time\n"
        "def handler(event, context):\n"
        "    time.sleep(event)\n"
        "    return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']\n"
    )
    function = bench.deploy(tmp_path, provisioned_concurrency=1, timeout=30)
    (ahead,) = function.environments()
    assert (ahead.state, ahead.invocations) == ("frozen", 0)
    first = function.invoke(0)
    assert (first.payload, first.environment_id) == ("provisioned-concurrency", ahead.id)
    both = function.invoke_parallel([1, 1])
    assert [result.payload for result in both] == ["provisioned-concurrency", "on-demand"]
    assert both[0].environment_id == ahead.id
    assert function.invoke(0).environment_id == ahead.id
    answer = bench.emulator.fast_forward(hours=3)
    reasons = {e.environment: e.reason for e in answer.caused if e.kind == "environment.shutting-down"}
    assert reasons[ahead.id] == "initialised 2 h ago: renewed"
    (fresh,) = [environment for environment in function.environments() if environment.state != "shutting-down"]
    assert (fresh.id != ahead.id, fresh.invocations) == (True, 0)
    assert function.invoke(0).payload == "provisioned-concurrency"


def test_18_the_largest_answer(bench: Bench) -> None:
    """6 MiB pass, more does not; what Lambda answers then is a function's error."""
    function = bench.deploy("anything", memory=1769, timeout=30)
    size = 6 * 1024 * 1024
    assert len(function.invoke({"do": "size", "characters": size}).raw_payload) == size + 2
    beyond = function.invoke({"do": "size", "characters": size + 1024})
    assert beyond.payload["errorType"] == "Function.ResponseSizeTooLarge"
    # DIFFERS: the Runtime API stays usable, but AWS's Python client ends when it is answered 413.
    assert function.invoke({"do": "echo"}).payload == {"do": "echo"}


def test_19_the_python_client_is_the_public_one(bench: Bench) -> None:
    """It says who it is, and it is what AWS publishes."""
    function = bench.deploy("anything")
    described = function.invoke({"do": "describe"}).payload
    assert described["environment"]["AWS_EXECUTION_ENV"].startswith("AWS_Lambda_python")


def test_20_too_late_and_too_many(bench: Bench) -> None:
    """Registration and subscription close with init; the eleventh extension is refused."""
    function = bench.deploy("checklist", handler="app.ask_late", environment={"INTERNAL_EXTENSIONS": "11"})
    found = function.invoke().payload
    assert found["registrations"] == [[200, None]] * 10 + [[403, "Extension.TooManyExtensions"]]
    assert found["register"] == [403, "Extension.RegistrationClosed"]
    assert found["telemetry"] == [403, "Telemetry.SubscriptionClosed"]


def test_the_tail_of_a_log_is_the_log(bench: Bench) -> None:
    """What a client gets with ``LogType=Tail`` is what stands in the stream."""
    function = bench.deploy("anything")
    event = json.dumps({"do": "say", "lines": ["hello"]})
    with bench.client() as aws:
        answer = aws.invoke(FunctionName=function.name, Payload=event, LogType="Tail")
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert bench.log(function).endswith(tail[tail.index("START") :])
