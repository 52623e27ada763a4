"""AWS's own client makes functions, versions and aliases, waits for them with its own waiters, and invokes them.

Every answer is compared with the API's model on its way (:mod:`tests.conformance.aws`).
"""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator import Emulator, Function
from tests.conformance.aws import lambda_client
from tests.needs import need_engine
from tests.support import eventually, require
from tests.unit.control.archives import archive

ROLE = "arn:aws:iam::123456789012:role/worker"
ARN = "arn:aws:lambda:us-east-1:123456789012:function"
STAND_IN = "lambda-freezer/python:3.11"
_CODE = """
import os, time
def handler(event, context):
    open(event["began"], "w").close() if "began" in event else None
    while "until" in event and not os.path.exists(event["until"]):
        time.sleep(0.005)
    if "write" in event:
        with open(event["write"], "a") as file:
            file.write(NAME)
    variable = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
    return [NAME, context.function_version, variable, context.invoked_function_arn, context.log_stream_name]
"""


def code(name: str) -> bytes:
    """An archive whose function says that it is this one."""
    return archive(("app.py", f"NAME = {name!r}{_CODE}"))


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """An emulator with processes as sandboxes, and without a database."""
    with Emulator({"emulator": {"sandbox": "process", "seed": 1}, "database": {"server": "none"}}) as one:
        yield one


@pytest.fixture(scope="module")
def aws(emulator: Emulator) -> Iterator[Any]:
    """boto3's client for Lambda."""
    with lambda_client(emulator) as client:
        yield client


def create(aws: Any, name: str, text: str = "one", **more: Any) -> dict[str, Any]:
    """A function, waited for as one waits on AWS."""
    given = {"Runtime": "python3.11", "Handler": "app.handler", "Role": ROLE, "Code": {"ZipFile": code(text)}}
    answer: dict[str, Any] = aws.create_function(FunctionName=name, **{**given, **more})
    waiter(aws, "function_active_v2", name)
    return answer


def waiter(aws: Any, kind: str, name: str, **more: Any) -> None:
    """One of the client's own, in short steps."""
    aws.get_waiter(kind).wait(FunctionName=name, WaiterConfig={"Delay": 0.02, "MaxAttempts": 500}, **more)


def accept(aws: Any, kind: str = "Event", **arguments: Any) -> dict[str, Any]:
    """What is answered at once; the answer is read to its end, so that its connection can be used again."""
    answer: dict[str, Any] = aws.invoke(InvocationType=kind, **arguments)
    assert answer["Payload"].read() == b""
    return answer


def told(answer: dict[str, Any]) -> tuple[str, list[str]]:
    """The version that the client is told of, and what the function says."""
    return answer["ExecutedVersion"], json.load(answer["Payload"])


def refusal(call: Any, **arguments: Any) -> tuple[int, str, str]:
    """Status, code and message of an error."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["Error"]["Message"]


def test_a_function_from_its_creation_to_its_end(aws: Any) -> None:
    """Create, wait, invoke, change the code, wait, invoke, delete: as a script does that is written for AWS."""
    assert create(aws, "whole")["State"] == "Pending"
    assert told(aws.invoke(FunctionName="whole"))[1][0] == "one"
    assert aws.update_function_code(FunctionName="whole", ZipFile=code("two"))["LastUpdateStatus"] == "InProgress"
    waiter(aws, "function_updated_v2", "whole")
    assert told(aws.invoke(FunctionName="whole"))[1][0] == "two"
    assert aws.delete_function(FunctionName="whole")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refusal(aws.invoke, FunctionName="whole") == (
        404,
        "ResourceNotFoundException",
        f"Function not found: {ARN}:whole:$LATEST",
    )
    assert refusal(aws.get_function, FunctionName="whole")[2] == f"Function not found: {ARN}:whole"


def test_versions_have_environments_of_their_own(aws: Any, emulator: Emulator) -> None:
    """By name, partial ARN, ARN, with the qualifier in it or beside it: version, variable, ARN and log stream agree."""
    create(aws, "versioned", Publish=True)
    waiter(aws, "published_version_active", "versioned", Qualifier="1")
    aws.update_function_code(FunctionName="versioned", ZipFile=code("two"))
    waiter(aws, "function_updated_v2", "versioned")
    streams = set()
    for name, qualifier, version, text, arn in (
        ("versioned", None, "$LATEST", "two", f"{ARN}:versioned"),
        (f"{ARN}:versioned", "$LATEST", "$LATEST", "two", f"{ARN}:versioned:$LATEST"),
        ("versioned", "1", "1", "one", f"{ARN}:versioned:1"),
        ("versioned:1", None, "1", "one", f"{ARN}:versioned:1"),
        ("123456789012:function:versioned:1", "1", "1", "one", f"{ARN}:versioned:1"),
    ):
        more = {} if qualifier is None else {"Qualifier": qualifier}
        executed, (said, of_context, of_variable, invoked, stream) = told(aws.invoke(FunctionName=name, **more))
        assert (executed, said, of_context, of_variable, invoked) == (version, text, version, version, arn)
        assert f"[{version}]" in stream
        streams.add(stream)
    views = emulator.environments("versioned")
    assert {view.log_stream: view.version for view in views if view.log_stream in streams} == {
        stream: stream[stream.index("[") + 1 : stream.index("]")] for stream in streams
    }


def test_an_alias_with_weights_divides_what_comes(aws: Any) -> None:
    """Every kind of invocation goes by it; the version that served is told, and the function sees the alias's ARN."""
    create(aws, "aliased", Publish=True)
    aws.update_function_code(FunctionName="aliased", ZipFile=code("two"), Publish=True)
    for number in ("1", "2"):
        waiter(aws, "published_version_active", "aliased", Qualifier=number)
    weights = {"AdditionalVersionWeights": {"2": 0.5}}
    aws.create_alias(FunctionName="aliased", Name="live", FunctionVersion="1", RoutingConfig=weights)
    served = Counter[str]()
    for _ in range(30):
        version, (said, of_context, _, arn, _) = told(aws.invoke(FunctionName="aliased", Qualifier="live"))
        assert (said, of_context) == ({"1": "one", "2": "two"}[version], version)
        assert arn == f"{ARN}:aliased:live"
        served[version] += 1
    assert 5 <= served["2"] <= 25
    aws.update_alias(FunctionName="aliased", Name="live", FunctionVersion="2", RoutingConfig={})
    assert told(aws.invoke(FunctionName="aliased:live"))[0] == "2"
    streamed = aws.invoke_with_response_stream(FunctionName="aliased", Qualifier="live")
    assert streamed["ExecutedVersion"] == "2"
    chunks = [event["PayloadChunk"]["Payload"] for event in streamed["EventStream"] if "PayloadChunk" in event]
    assert json.loads(b"".join(chunks))[0] == "two"
    aws.delete_alias(FunctionName="aliased", Name="live")
    assert refusal(aws.invoke, FunctionName="aliased:live") == (
        404,
        "ResourceNotFoundException",
        f"Function not found: {ARN}:aliased:live",
    )


def test_an_event_for_an_alias_runs_on_its_version(aws: Any, tmp_path: Path) -> None:
    """[R] The answer of an asynchronous invocation names no version."""
    create(aws, "later", Publish=True)
    aws.update_function_code(FunctionName="later", ZipFile=code("two"))
    waiter(aws, "function_updated_v2", "later")
    waiter(aws, "published_version_active", "later", Qualifier="1")
    aws.create_alias(FunctionName="later", Name="live", FunctionVersion="1")
    written = tmp_path / "written"
    payload = json.dumps({"write": str(written)})
    answer = accept(aws, FunctionName="later", Qualifier="live", Payload=payload)
    assert (answer["StatusCode"], "ExecutedVersion" in answer) == (202, False)
    eventually(written.exists, "the event's run")
    eventually(lambda: written.read_text() == "one", "its writing")
    assert accept(aws, "DryRun", FunctionName="later", Qualifier="1")["StatusCode"] == 204


def test_an_update_lets_what_runs_finish(aws: Any, tmp_path: Path) -> None:
    """What runs ends on the old code, what waits for its place and what comes run on the new."""
    create(aws, "updated")
    aws.put_function_concurrency(FunctionName="updated", ReservedConcurrentExecutions=1)
    began, go, written = tmp_path / "began", tmp_path / "go", tmp_path / "written"
    with ThreadPoolExecutor(1) as clients:
        event = {"began": str(began), "until": str(go)}
        running = clients.submit(aws.invoke, FunctionName="updated", Payload=json.dumps(event))
        eventually(began.exists, "the beginning of an invocation")
        waiting = json.dumps({"write": str(written)})
        accept(aws, FunctionName="updated", Payload=waiting)
        aws.update_function_code(FunctionName="updated", ZipFile=code("two"))
        waiter(aws, "function_updated_v2", "updated")
        go.touch()
        assert told(running.result(timeout=20))[1][0] == "one"
    eventually(written.exists, "the event's run")
    eventually(lambda: written.read_text() == "two", "its writing")


def test_a_deletion_drops_what_waits_and_lets_what_runs_finish(aws: Any, emulator: Emulator, tmp_path: Path) -> None:
    """The environments end; a dropped event is told of with its payload; the name is free at once."""
    create(aws, "deleted")
    aws.put_function_concurrency(FunctionName="deleted", ReservedConcurrentExecutions=1)
    began, go, written = tmp_path / "began", tmp_path / "go", tmp_path / "written"
    since = emulator.timeline()[-1].seq
    with ThreadPoolExecutor(1) as clients:
        event = {"began": str(began), "until": str(go)}
        running = clients.submit(aws.invoke, FunctionName="deleted", Payload=json.dumps(event))
        eventually(began.exists, "the beginning of an invocation")
        waiting = json.dumps({"write": str(written)})
        accept(aws, FunctionName="deleted", Payload=waiting)
        aws.delete_function(FunctionName="deleted")
        assert refusal(aws.invoke, FunctionName="deleted")[0] == 404
        create(aws, "deleted", "again")
        assert told(aws.invoke(FunctionName="deleted"))[1][0] == "again"
        go.touch()
        assert told(running.result(timeout=20))[1][0] == "one"
    (dropped,) = [event for event in emulator.timeline(since=since) if event.kind == "event.dropped"]
    assert dropped.detail is not None
    assert (dropped.function, dropped.detail["payload"]) == ("deleted", waiting)
    assert dropped.reason.startswith("the function was deleted")
    eventually(
        lambda: len(emulator.environments()) and all(view.state != "shutting-down" for view in emulator.environments()),
        "the end of the old environment",
    )
    assert not written.exists()


def test_a_folder_is_hot(aws: Any, tmp_path: Path) -> None:
    """The convention for a local folder: what is saved is what runs next, and a published version stays as it was."""
    (tmp_path / "app.py").write_text(f"NAME = 'saved'{_CODE}")
    create(aws, "hot", Code={"S3Bucket": "hot-reload", "S3Key": str(tmp_path)})
    assert told(aws.invoke(FunctionName="hot"))[1][0] == "saved"
    before = aws.publish_version(FunctionName="hot")["CodeSha256"]
    waiter(aws, "published_version_active", "hot", Qualifier="1")
    (tmp_path / "app.py").write_text(f"NAME = 'saved again'{_CODE}")
    eventually(lambda: told(aws.invoke(FunctionName="hot"))[1][0] == "saved again", "hot reload", deadline=10)
    assert told(aws.invoke(FunctionName="hot:1"))[1][0] == "saved"
    assert aws.get_function_configuration(FunctionName="hot")["CodeSha256"] != before
    assert aws.get_function_configuration(FunctionName="hot:1")["CodeSha256"] == before


def test_a_function_of_a_program_is_one_like_any_other(aws: Any, emulator: Emulator, tmp_path: Path) -> None:
    """It is listed, published, aliased, changed and deleted; its folder is not touched."""
    (tmp_path / "app.py").write_text(f"NAME = 'mine'{_CODE}")
    emulator.add(Function(name="of-a-program", code=tmp_path, memory=256))
    pages = aws.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 1})
    listed = {one["FunctionName"]: one for page in pages for one in page["Functions"]}
    assert listed["of-a-program"]["MemorySize"] == 256
    assert aws.publish_version(FunctionName="of-a-program")["Version"] == "1"
    waiter(aws, "published_version_active", "of-a-program", Qualifier="1")
    aws.update_function_configuration(FunctionName="of-a-program", Environment={"Variables": {"STAGE": "test"}})
    waiter(aws, "function_updated_v2", "of-a-program")
    assert told(aws.invoke(FunctionName="of-a-program"))[1][0] == "mine"
    assert aws.get_function_configuration(FunctionName="of-a-program")["MemorySize"] == 256
    aws.delete_function(FunctionName="of-a-program")
    assert (tmp_path / "app.py").is_file()


def test_what_cannot_run_here_fails_and_the_waiter_hears_of_it(aws: Any) -> None:
    """A process sandbox has no image; whoever invokes is told the state."""
    given = {"PackageType": "Image", "Role": ROLE, "Code": {"ImageUri": "image:1"}}
    aws.create_function(FunctionName="no-image-here", **given)
    with pytest.raises(Exception, match="terminal failure state"):
        waiter(aws, "function_active_v2", "no-image-here")
    shown = aws.get_function_configuration(FunctionName="no-image-here")
    assert (shown["State"], "runs in a container" in shown["StateReason"]) == ("Failed", True)
    assert refusal(aws.invoke, FunctionName="no-image-here") == (
        409,
        "ResourceConflictException",
        "The operation cannot be performed at this time. The function is currently in the following state: Failed",
    )


def test_a_provisioned_version_is_ready_before_it_is_asked(aws: Any) -> None:
    """Its environments are initialised ahead; ``$LATEST`` has none of them."""
    create(aws, "ahead", Publish=True)
    waiter(aws, "published_version_active", "ahead", Qualifier="1")
    wish = {"FunctionName": "ahead", "Qualifier": "1"}
    aws.put_provisioned_concurrency_config(**wish, ProvisionedConcurrentExecutions=1)
    eventually(
        lambda: aws.get_provisioned_concurrency_config(**wish)["Status"] == "READY", "the init ahead", deadline=10
    )
    assert told(aws.invoke(FunctionName="ahead:1"))[0] == "1"
    aws.delete_function(FunctionName="ahead")


def test_bad_archives_leave_nothing_outside(aws: Any, emulator: Emulator, tmp_path: Path) -> None:
    """400 in AWS's words over the wire; the folder that a name would have climbed to is empty."""
    evil = os.path.relpath(tmp_path / "evil.py", "/")
    for name in (f"../../../../../../../../{evil}", f"/{evil}"):
        answer = refusal(
            aws.create_function,
            FunctionName="evil",
            Role=ROLE,
            Runtime="python3.11",
            Handler="app.handler",
            Code={"ZipFile": archive((name, "x"))},
        )
        assert answer == (
            400,
            "InvalidParameterValueException",
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.container
def test_an_image_is_a_function() -> None:
    """Code, command and entry point come from the image; nothing is mounted over them."""
    need_engine()
    import docker

    with Emulator({"emulator": {"sandbox": "container"}, "database": {"server": "none"}}) as emulator:
        client = docker.from_env()
        try:
            require(client.images.list(STAND_IN), f"There is no image {STAND_IN}.", "Run docker/build-images.")
            context = io.BytesIO()
            recipe = f'FROM {STAND_IN}\nCOPY app.py /var/task/\nCMD ["app.handler"]\n'
            _write_context(context, {"Dockerfile": recipe, "app.py": f"NAME = 'image'{_CODE}"})
            image, _ = client.images.build(fileobj=context, custom_context=True, rm=True, tag="lambda-freezer-test:one")
            try:
                with lambda_client(emulator) as aws:
                    given = {"PackageType": "Image", "Role": ROLE, "Code": {"ImageUri": "lambda-freezer-test:one"}}
                    aws.create_function(FunctionName="image", **given)
                    waiter(aws, "function_active_v2", "image")
                    assert told(aws.invoke(FunctionName="image"))[1][0] == "image"
                    create(aws, "zipped", "zip")
                    assert told(aws.invoke(FunctionName="zipped"))[1][0] == "zip"
                emulator.recycle("image")
            finally:
                client.images.remove(str(image.id), force=True)
        finally:
            client.close()


def _write_context(file: io.BytesIO, files: dict[str, str]) -> None:
    import tarfile

    with tarfile.open(fileobj=file, mode="w") as opened:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content.encode()), 0o644
            opened.addfile(entry, io.BytesIO(content.encode()))
    file.seek(0)
