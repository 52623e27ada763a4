"""The samples in Go, Rust and shell: what each way to hold a connection leaves on the server, and how each ends."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from emulator import Emulator
from emulator.conditions import Stage, find_condition
from emulator.embedded import DeployedFunction
from emulator.errors import EmulatorError
from emulator.urls import UrlSettings
from tests.integration.conftest import Deploy
from tests.needs import need_sample
from tests.support import eventually

SAMPLES = ("go_database_sql", "go_gorm", "rust_sqlx", "shell_bootstrap")
IN_A_PROCESS = pytest.mark.parametrize("emulator", ["process"], indirect=True)
EVERY_KIND = pytest.mark.parametrize(
    "emulator", ["process", pytest.param("container", marks=pytest.mark.container)], indirect=True
)
EVERY_SAMPLE = pytest.mark.parametrize("sample", SAMPLES)
# The image for provided runtimes has no client of a database for the shell.
EVERYWHERE = [
    *(pytest.param("process", sample) for sample in SAMPLES),
    *(pytest.param("container", sample, marks=pytest.mark.container) for sample in SAMPLES[:3]),
]

DeploySample = Callable[..., DeployedFunction]


@pytest.fixture
def deploy_sample(deploy: Deploy) -> DeploySample:
    """Deploy a sample's package; the handler chooses the way in which it holds its connection."""

    def deploy_sample(sample: str, handler: str, **settings: Any) -> DeployedFunction:
        return deploy(code=need_sample(sample), handler=handler, runtime="provided.al2023", **settings)

    return deploy_sample


def sessions_of(emulator: Emulator, function: DeployedFunction) -> list[int]:
    """The server's thread ids of a function's sessions, in the order in which they were opened."""
    return sorted(session.id for session in emulator.connections() if session.function == function.name)


@IN_A_PROCESS
@EVERY_SAMPLE
@pytest.mark.parametrize("handler", ["leave", "close", "once", "checked"])
def test_sessions_after_the_freeze(emulator: Emulator, deploy_sample: DeploySample, sample: str, handler: str) -> None:
    """One more with every event, none, or one for all, as the handler says; Rust leaves nothing that was dropped."""
    function = deploy_sample(sample, handler)
    first, second, third = (function.invoke(event) for event in ({}, {"item": "coffee", "pieces": 2}, {"show": True}))
    assert [result.payload.get("count") for result in (first, second, third)] == [1, 2, 3]
    assert [result.cold_start for result in (first, second, third)] == [True, False, False]
    assert second.payload["order"] > first.payload["order"]
    assert third.payload["orders"] >= 2
    opened = [result.payload["session"] for result in (first, second, third)]
    if handler in ("leave", "close"):
        assert len(set(opened)) == 3
        left = opened if handler == "leave" and sample != "rust_sqlx" else []
    elif sample == "rust_sqlx" and handler == "once":
        # Its pool opens another one where the ping that follows a release is not answered when the next event comes.
        left = sorted(set(opened))
    else:
        assert len(set(opened)) == 1
        left = opened[:1]
    eventually(lambda: sessions_of(emulator, function) == left, f"the server has {left} of {opened}")


@pytest.mark.parametrize(("emulator", "sample"), EVERYWHERE, indirect=["emulator"])
def test_function_says_goodbye_itself(emulator: Emulator, deploy_sample: DeploySample, sample: str) -> None:
    """As an internal extension it is sent SIGTERM, and closes; one that is not leaves a zombie in the same silence."""
    told, silent = deploy_sample(sample, "checked"), deploy_sample(sample, "once")
    for function in (told, silent):
        assert function.invoke({}).payload["count"] == 1
        assert len(sessions_of(emulator, function)) == 1
        function.recycle("silent")
    eventually(lambda: not sessions_of(emulator, told), "the function closes its session at SIGTERM")
    assert [session.zombie for session in emulator.connections() if session.function == silent.name] == [True]
    emulator.kill_zombies()


@IN_A_PROCESS
@pytest.mark.parametrize(
    ("sample", "kind", "words"),
    [
        ("go_database_sql", "MySQLError", "Error 1045 (28000): Access denied"),
        ("go_gorm", "MySQLError", "Error 1045 (28000): Access denied"),
        ("rust_sqlx", "&alloc::boxed::Box<dyn core::error::Error", "error returned from database: 1045 (28000)"),
        ("shell_bootstrap", "Client.1045", "ERROR 1045 (28000): Access denied"),
    ],
)
def test_error_of_the_driver(deploy_sample: DeploySample, sample: str, kind: str, words: str) -> None:
    """What the driver says reaches the caller as the runtime client reports it, and the environment serves on."""
    function = deploy_sample(sample, "close", environment={"DB_PASSWORD": "wrong"})
    for _ in range(2):
        failed = function.invoke({})
        assert failed.function_error == "Unhandled"
        assert failed.payload["errorType"].startswith(kind)
        assert words in failed.payload["errorMessage"]
    assert not failed.cold_start


@IN_A_PROCESS
@EVERY_SAMPLE
@pytest.mark.parametrize("name", ["frozen-past-wait-timeout", "nat"])
def test_checked_connection_is_replaced(
    emulator: Emulator, deploy_sample: DeploySample, sample: str, name: str
) -> None:
    """Whatever became of the connection during the freeze, who checks before use serves every event."""
    function, condition, stage = deploy_sample(sample, "checked"), find_condition(name), Stage(emulator)
    with stage.under(condition, function):
        answers = [condition.invoke(stage, function, {}, nth).payload for nth in (1, 2, 3)]
    assert [answer.get("count") for answer in answers] == [1, 2, 3], answers
    assert len({answer["session"] for answer in answers}) == 3


@IN_A_PROCESS
@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ("go_database_sql", "invalid connection"),
        ("go_gorm", "invalid connection"),
        ("shell_bootstrap", "ERROR 2013"),
    ],
)
def test_connection_used_as_it_is_fails_after_wait_timeout(
    emulator: Emulator, deploy_sample: DeploySample, sample: str, words: str
) -> None:
    """The close was lost during the freeze, so what the driver looks at by itself shows nothing of it."""
    function, condition, stage = (
        deploy_sample(sample, "once"),
        find_condition("frozen-past-wait-timeout"),
        Stage(emulator),
    )
    with stage.under(condition, function):
        _, failed = (condition.invoke(stage, function, {}, nth) for nth in (1, 2))
    assert words in failed.payload["errorMessage"]


@pytest.mark.container
@pytest.mark.parametrize("emulator", ["container"], indirect=True)
def test_shell_without_a_client_says_so(deploy_sample: DeploySample) -> None:
    """A program that the image lacks is the function's own error, with what to do about it."""
    failed = deploy_sample("shell_bootstrap", "close").invoke({})
    assert failed.payload["errorType"] == "Client.Missing"
    assert "layer" in failed.payload["errorMessage"]


# -- what Go streams -----------------------------------------------------------------------------------------------


def ask(emulator: Emulator, path: str, body: bytes | None = None) -> tuple[http.client.HTTPResponse, bytes]:
    """A request of an ordinary client: a POST where there is a body."""
    place = urlsplit(emulator.endpoint_url).netloc
    with closing(http.client.HTTPConnection(place, timeout=30)) as connection:
        connection.request("GET" if body is None else "POST", path, body)
        answer = connection.getresponse()
        return answer, answer.read()


@EVERY_KIND
def test_go_streams_a_reader(emulator: Emulator, deploy_sample: DeploySample) -> None:
    """Row by row, though its client never says that it streams; and whole for who did not ask for a stream."""
    function = deploy_sample("go_streaming", "reader")
    pieces = list(function.invoke_stream({"rows": 3}))
    (session,) = sessions_of(emulator, function)
    rows = [f"{number},{session}\n".encode() for number in (1, 2, 3)]
    assert pieces == rows
    path = f"/2015-03-31/functions/{function.name}/invocations"
    answer, body = ask(emulator, path, b'{"rows": 3}')
    assert (answer.status, body) == (200, b"".join(rows))


@EVERY_KIND
def test_go_tells_of_a_reader_that_breaks_off(deploy_sample: DeploySample) -> None:
    """Behind the rows that came, in trailers; the environment serves on."""
    function = deploy_sample("go_streaming", "reader")
    rows = function.invoke_stream({"rows": 3, "fail": 2})
    assert [next(rows)[:2], next(rows)[:2]] == [b"1,", b"2,"]
    with pytest.raises(EmulatorError, match="no more than 2 of 3 rows"):
        next(rows)
    assert len(list(function.invoke_stream({"rows": 1}))) == 1
    assert len(function.environments()) == 1


@EVERY_KIND
def test_go_streams_to_a_url(emulator: Emulator, deploy_sample: DeploySample) -> None:
    """What is an ordinary handler of net/http: status and headers, and the rows as they come."""
    function = deploy_sample("go_streaming", "url", url=UrlSettings(invoke_mode="RESPONSE_STREAM"))
    assert function.url is not None
    path = urlsplit(function.url).path
    answer, body = ask(emulator, f"{path}?rows=3")
    (session,) = sessions_of(emulator, function)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/csv")
    assert answer.headers["transfer-encoding"] == "chunked"
    assert body.decode().splitlines() == [f"{number},{session}" for number in (1, 2, 3)]
    answer, body = ask(emulator, path)
    assert (answer.status, body) == (400, b"say how many, up to 1000: ?rows=3\n")
