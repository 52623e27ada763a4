"""Function URLs and routes for real clients: Python's own and curl, over real runtimes."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from emulator import Emulator, Function
from emulator.embedded import DeployedFunction
from emulator.urls import UrlConfig, UrlSettings
from tests.conformance.kinds import open_gate
from tests.integration.conftest import FUNCTIONS
from tests.integration.running import start_up
from tests.support import eventually

GATE_PORT = 8070  # of the streaming runtime
HEAD = "application/vnd.awslambda.http-integration-response"


@dataclass
class Answer:
    """What a client got."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    method: str, address: str, body: bytes | None = None, headers: dict[str, str] | None = None, *, json_: Any = None
) -> Answer:
    """One request by Python's own client."""
    if json_ is not None:
        body, headers = json.dumps(json_).encode(), {"Content-Type": "application/json"} | (headers or {})
    parts = urlsplit(address)
    with closing(http.client.HTTPConnection(parts.netloc, timeout=10)) as connection:
        connection.request(method, address.removeprefix(f"http://{parts.netloc}"), body, headers or {})
        with connection.getresponse() as response:
            return Answer(response.status, response.headers, response.read())


@dataclass
class Web:
    """An emulator with functions that have URLs and routes."""

    emulator: Emulator
    functions: dict[str, DeployedFunction] = field(default_factory=dict)

    def add(self, name: str, folder: str, url: UrlSettings, **settings: Any) -> None:
        self.functions[name] = self.emulator.add(
            Function(name=name, code=FUNCTIONS / folder, url=url, **{"memory": 512, "timeout": 5} | settings)
        )

    def config(self, name: str) -> UrlConfig:
        (config,) = self.emulator._service.urls.of(name)
        return config

    def url(self, name: str) -> str:
        url = self.functions[name].url
        assert url is not None
        return url

    def host(self, name: str) -> str:
        return f"{self.config(name).url_id}.lambda-url.localhost:{self.port}"

    @property
    def port(self) -> int:
        port = urlsplit(self.emulator.endpoint_url).port
        assert port is not None
        return port

    @contextmanager
    def steps(self, name: str, *steps: Any) -> Iterator[http.client.HTTPResponse]:
        """The response to a POST that tells the streaming runtime what to do."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            body = json.dumps(steps)
            connection.request("POST", "/", body, {"Host": self.host(name), "Content-Type": "application/json"})
            with connection.getresponse() as response:
                yield response


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    """As processes and without a database."""
    settings = {
        "emulator": {"sandbox": "process"},
        "database": {"server": "none"},
        "functions": {"api": {"code": str(FUNCTIONS / "web"), "memory": 512}},
        "routes": [
            {"method": "GET", "path": "/orders/{id}", "function": "api", "cors": {"allow_origins": ["*"]}},
            {"method": "ANY", "path": "/old/{proxy+}", "function": "api", "version": "1.0"},
        ],
    }
    wrapper = {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}
    with Emulator(settings) as emulator:
        web = Web(emulator)
        web.add("web", "web", UrlSettings(), timeout=3)
        web.add("signed", "web", UrlSettings(auth="AWS_IAM"))
        web.add("pieces", "streaming", UrlSettings(invoke_mode="RESPONSE_STREAM"), environment=wrapper)
        web.add("whole", "streaming", UrlSettings(), environment=wrapper)
        yield web


# -- buffered --------------------------------------------------------------------------------------------------


def test_an_event_and_its_response(web: Web) -> None:
    """By the host name of the URL: what the function sees, and what the client gets."""
    answer = ask(
        "POST",
        f"http://127.0.0.1:{web.port}/a%20b/c?x=1&x=2&y=",
        "grüße".encode(),
        {"Host": web.host("web"), "Cookie": "a=1; b=2", "Content-Type": "text/plain; charset=utf-8"},
    )
    event = answer.json()
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == ("2.0", "/a%20b/c", "x=1&x=2&y=")
    assert (event["body"], event["isBase64Encoded"], event["cookies"]) == ("grüße", False, ["a=1", "b=2"])
    assert event["queryStringParameters"] == {"x": "1,2", "y": ""}
    context = event["requestContext"]
    assert context["domainName"] == web.host("web").partition(":")[0]
    assert context["requestId"] == answer.headers["x-amzn-requestid"]
    assert (context["accountId"], context["http"]["sourceIp"]) == ("anonymous", "127.0.0.1")
    assert context["requestId"] in web.functions["web"].logs()


def test_curl_by_name_and_by_path(web: Web, tmp_path: Path) -> None:
    """Names below .localhost are resolved by curl itself; by path it needs no name at all. Binary bodies both ways."""
    if (curl := shutil.which("curl")) is None:
        pytest.skip("there is no curl")
    body = tmp_path / "body"
    wish = {"do": "answer", "answer": {"statusCode": 201, "body": "AP8=", "isBase64Encoded": True, "cookies": ["k=v"]}}
    body.write_text(json.dumps(wish))
    for address in (f"http://{web.host('web')}/", web.url("web")):
        done = subprocess.run(
            [curl, "-sS", "-i", "--noproxy", "*", "--data-binary", f"@{body}", address], capture_output=True, check=True
        )
        head, _, received = done.stdout.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 201 Created\r\n")
        assert b"\r\nset-cookie: k=v" in head
        assert received == b"\x00\xff"


@pytest.mark.parametrize("wish", [{"do": "fail"}, {"do": "answer", "answer": {"statusCode": "nonsense"}}])
def test_what_is_no_response_is_a_bad_gateway(web: Web, wish: Any) -> None:
    """An error of the function, and an answer that cannot be sent."""
    answer = ask("POST", web.url("web"), json_=wish)
    assert (answer.status, answer.text) == (502, "Internal Server Error")


def test_a_timeout_is_a_bad_gateway(web: Web) -> None:
    """And the URL serves on."""
    answer = ask("POST", web.url("web"), json_={"do": "sleep", "seconds": 60, "answer": None})
    assert (answer.status, answer.text) == (502, "Internal Server Error")
    assert ask("POST", web.url("web"), json_={"do": "answer", "answer": "hello"}).text == "hello"


def test_head_and_options(web: Web) -> None:
    """Both reach the function, where its URL is not set to answer for CORS; a HEAD gets no body."""
    head = ask("HEAD", f"{web.url('web')}thing")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) > 100
    preflight = {"Origin": "http://x.example", "Access-Control-Request-Method": "PUT"}
    asked = ask("OPTIONS", f"{web.url('web')}thing", headers=preflight)
    assert asked.json()["requestContext"]["http"]["method"] == "OPTIONS"


def test_who_has_not_signed_is_refused(web: Web) -> None:
    """And whoever has is named in the event."""
    refused = ask("GET", web.url("signed"))
    assert refused.status == 403
    assert refused.headers["x-amzn-errortype"] == "AccessDeniedException"
    signature = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/us-east-1/lambda/aws4_request, Signature=00ff"
    event = ask("GET", web.url("signed"), headers={"Authorization": signature}).json()
    assert event["requestContext"]["authorizer"]["iam"]["accessKey"] == "AKIDEXAMPLE"


def test_a_body_that_is_too_large(web: Web) -> None:
    """413 is answered when all of it was read, so that the client sees the answer."""
    answer = ask("POST", web.url("web"), b"x" * 7_000_000, headers={"Content-Type": "text/plain"})
    assert answer.status == 413
    assert answer.json()["Message"].startswith("Request must be smaller than 6291456 bytes")


# -- streamed --------------------------------------------------------------------------------------------------


def test_bytes_arrive_before_the_end(web: Web) -> None:
    """The prelude becomes the head of the response at once, and each piece comes when it was written."""
    prelude = json.dumps({"statusCode": 206, "headers": {"Content-Type": "text/event-stream"}, "cookies": ["a=b"]})
    steps = [{"headers": {"Content-Type": HEAD}}, ["write", prelude], ["write", "\0" * 8 + "one,"], ["gate"]]
    with web.steps("pieces", *steps, ["write", "two"]) as response:
        assert response.status == 206
        assert response.getheader("content-type") == "text/event-stream"
        assert response.getheader("set-cookie") == "a=b"
        assert response.read1() == b"one,"
        open_gate(web.functions["pieces"], GATE_PORT)
        assert response.read() == b"two"


def test_an_answer_in_one_piece_is_passed_on_as_it_is(web: Web) -> None:
    """[R] With RESPONSE_STREAM nobody looks into an answer that was not streamed."""
    envelope = '{"statusCode": 418, "body": "tea"}'
    with web.steps("pieces", ["answer", envelope]) as response:
        assert (response.status, response.read().decode()) == (200, envelope)


def test_an_error_before_the_first_byte(web: Web) -> None:
    """There is still time for a status."""
    with web.steps("pieces", ["error", "Function.Oops", {"errorMessage": "no"}]) as response:
        assert (response.status, response.read()) == (502, b"Internal Server Error")


def test_an_error_in_the_middle_breaks_the_response_off(web: Web, capfd: pytest.CaptureFixture[str]) -> None:
    """A client must not take the part for the whole; the server says nothing of it, and serves the next."""
    with web.steps("pieces", ["write", "half"], ["trailers", "Function.Oops", {}]) as response:
        assert response.status == 200
        with pytest.raises(http.client.IncompleteRead) as caught:
            response.read()
        assert caught.value.partial == b"half"
    with web.steps("pieces", ["write", "whole"]) as response:
        assert response.read() == b"whole"
    assert "ASGI" not in capfd.readouterr().err


def test_a_client_that_goes_away_does_not_disturb_the_function(web: Web) -> None:
    """It writes on to nobody, and is there for the next."""
    with web.steps("pieces", ["write", "a"], ["gate"], ["fill", 4_000_000]) as response:
        assert response.read1() == b"a"
    open_gate(web.functions["pieces"], GATE_PORT)
    with web.steps("pieces", ["write", "b"]) as response:
        assert response.read() == b"b"


def test_a_stream_for_a_url_that_does_not_stream(web: Web) -> None:
    """It is collected, and its prelude is read as well."""
    steps = [{"headers": {"Content-Type": HEAD}}, ["write", '{"statusCode": 202}' + "\0" * 8 + "one"], ["write", "two"]]
    with web.steps("whole", *steps) as response:
        assert (response.status, response.read()) == (202, b"onetwo")
        assert response.getheader("content-length") == "6"


def test_chunks_are_a_stream_only_for_a_url_that_streams(web: Web) -> None:
    """What Go's client sends in chunks, as everything, is read as an answer by the one, and passed on by the other."""
    answer = '{"statusCode": 201, "body": "made"}'
    with web.steps("whole", ["chunks", answer]) as response:
        assert (response.status, response.read()) == (201, b"made")
    with web.steps("pieces", ["chunks", answer]) as response:
        assert (response.status, response.read()) == (200, answer.encode())


# -- routes ----------------------------------------------------------------------------------------------------


def test_routes_of_an_http_api(web: Web) -> None:
    """Parameters and route key in the event; a page of any site may call as CORS says."""
    answer = ask("GET", f"{web.emulator.endpoint_url}/orders/7%2B", headers={"Origin": "http://shop.example:5173"})
    event = answer.json()
    assert (event["routeKey"], event["pathParameters"]) == ("GET /orders/{id}", {"id": "7+"})
    assert answer.headers["access-control-allow-origin"] == "http://shop.example:5173"
    assert ask("GET", f"{web.emulator.endpoint_url}/nowhere").status == 404


def test_routes_of_a_rest_api(web: Web) -> None:
    """Payload format 1.0, and an answer with anything of its own in it is an error there."""
    endpoint = f"{web.emulator.endpoint_url}/old/a/b"
    assert ask("GET", endpoint).status == 502
    wish = {"do": "answer", "answer": {"statusCode": 200, "multiValueHeaders": {"X-A": ["1", "2"]}, "body": "ok"}}
    answer = ask("PUT", endpoint, json_=wish)
    assert (answer.text, answer.headers.get_all("x-a")) == ("ok", ["1", "2"])


def test_the_inspection_api_names_them(web: Web) -> None:
    """Each function with its URLs and routes, and the status all of them."""
    found = ask("GET", f"{web.emulator.endpoint_url}/_emulator/api/functions").json()["functions"]
    by_name = {function["name"]: function for function in found}
    assert by_name["web"]["urls"][0]["address"] == f"http://{web.host('web')}/"
    assert by_name["api"]["routes"] == ["GET /orders/{id}", "ANY /old/{proxy+}"]
    assert web.emulator.status().urls["web"] == f"http://{web.host('web')}/"


def test_up_and_ps_print_them(tmp_path: Path) -> None:
    """And what is printed can be called; the names are the same after a restart."""
    (tmp_path / "lambda-freezer.toml").write_text(
        f"""
        [emulator]
        sandbox = "process"
        [database]
        server = "none"
        [functions.web]
        code = "{FUNCTIONS / "web"}"
        url = {{ cors = {{ allow_origins = ["*"] }} }}
        [[routes]]
        path = "/"
        function = "web"
        """
    )
    with start_up(tmp_path) as up:
        port = urlsplit(up.endpoint).port
        eventually(lambda: "route" in up.output.read_text(), "the routes are printed")
        printed = up.output.read_text()
        assert f".lambda-url.localhost:{port}/" in printed
        assert ".lambda-url.localhost" in up.run("ps").stdout
        assert ask("GET", up.endpoint).json()["routeKey"] == "ANY /"
        assert ask("GET", f"{up.endpoint}/_url/web/x").json()["rawPath"] == "/x"
