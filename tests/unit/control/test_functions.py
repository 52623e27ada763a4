"""Functions by AWS's API: what is answered, in which state they are, and what is made of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.errors import (
    CodeError,
    EmulatorError,
    ForbiddenError,
    FunctionNotFoundError,
    ImageNotFoundError,
    InvalidParameterValueError,
    NotImplementedHereError,
    PreconditionFailedError,
    RequestError,
    ResourceConflictError,
    SandboxError,
    ValidationError,
)
from emulator.model import Function
from tests.unit.control.archives import archive
from tests.unit.control.play import ACCOUNT, Play, refused

ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:fresh"
BASIC: dict[str, Any] = {"FunctionName": "fresh", "Role": ROLE, "Runtime": "python3.12", "Handler": "app.handler"}
UPDATE: tuple[str, dict[str, Any]] = ("UpdateFunctionConfiguration", {"FunctionName": "fresh"})
LAYER = f"arn:aws:lambda:us-east-1:{ACCOUNT}:layer:some{{}}:1"
VARIABLES = (
    "Lambda was unable to configure your environment variables because the environment variables you have provided"
)
PENDING = "The operation cannot be performed at this time. The function is currently in the following state: Pending"


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """A control plane over a service that only remembers."""
    play = Play(tmp_path)
    yield play
    play.settle()


def create(play: Play, **more: Any) -> dict[str, Any]:
    """A function ``fresh``, ready to be invoked."""
    answer = play.ask("CreateFunction", **{**BASIC, "Code": {"ZipFile": archive()}, **more})
    play.settle()
    return answer


def configuration(play: Play, name: str = "fresh") -> dict[str, Any]:
    """What is shown of it now."""
    return play.ask("GetFunctionConfiguration", FunctionName=name)


# -- create ------------------------------------------------------------------------------------------------------


def test_a_created_function_is_shown_as_recorded(play: Play) -> None:
    """[R] LS:test_lambda_invoke_with_timeout: every member of it, with AWS's defaults; nothing was given besides."""
    given_archive = archive()
    answer = play.ask("CreateFunction", **BASIC, Code={"ZipFile": given_archive})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", answer.pop("LastModified"))
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.pop("RevisionId"))
    assert re.fullmatch(r"[A-Za-z0-9+/]{43}=", answer.pop("CodeSha256"))
    version_arn = answer.pop("RuntimeVersionConfig")["RuntimeVersionArn"]
    assert re.fullmatch(r"arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}", version_arn)
    assert answer == {
        "Architectures": ["x86_64"],
        "CodeSize": len(given_archive),
        "Description": "",
        "EphemeralStorage": {"Size": 512},
        "FunctionArn": ARN,
        "FunctionName": "fresh",
        "Handler": "app.handler",
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/fresh"},
        "MemorySize": 128,
        "PackageType": "Zip",
        "Role": ROLE,
        "Runtime": "python3.12",
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
        "Timeout": 3,
        "TracingConfig": {"Mode": "PassThrough"},
        "Version": "$LATEST",
    }


def test_what_was_set_is_what_runs(play: Play) -> None:
    """Each setting gets to the function, and is shown."""
    create(
        play,
        Description="of orders",
        Timeout=7,
        MemorySize=256,
        EphemeralStorage={"Size": 1024},
        Environment={"Variables": {"STAGE": "test"}},
        LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "WARN"},
        Tags={"team": "blue"},
    )
    function = play.service.functions.deployed["fresh"]
    assert (function.timeout, function.memory, function.ephemeral_storage) == (7, 256, 1024)
    assert (function.handler, function.runtime, function.environment) == (
        "app.handler",
        "python3.12",
        {"STAGE": "test"},
    )
    assert (function.logging.format, function.logging.system_level, function.log_group) == (
        "JSON",
        "WARN",
        "/aws/lambda/fresh",
    )
    assert (function.folder / "app.py").is_file()
    answer = play.ask("GetFunction", FunctionName="fresh")
    assert answer["Tags"] == {"team": "blue"}
    shown = answer["Configuration"]
    assert (shown["Description"], shown["Environment"]) == ("of orders", {"Variables": {"STAGE": "test"}})
    assert shown["LoggingConfig"] == {  # [R] what was not said begins with INFO
        "LogFormat": "JSON",
        "LogGroup": "/aws/lambda/fresh",
        "ApplicationLogLevel": "INFO",
        "SystemLogLevel": "WARN",
    }


def test_pending_becomes_active_with_another_revision(play: Play) -> None:
    """[R] LS:test_function_lifecycle; until then it is held back, and cannot be changed."""
    pending = play.ask("CreateFunction", **BASIC, Code={"ZipFile": archive()})
    assert play.service.functions.held_back == {"fresh": "Pending"}
    assert "LastUpdateStatus" not in pending
    for operation, more in (
        ("UpdateFunctionCode", {"ZipFile": archive()}),
        ("UpdateFunctionConfiguration", {"Timeout": 9}),
        ("PublishVersion", {}),
    ):
        assert refused(play, ResourceConflictError, operation, FunctionName="fresh", **more) == PENDING
    play.settle()
    active = configuration(play)
    assert (active["State"], active["LastUpdateStatus"]) == ("Active", "Successful")
    assert not {"StateReason", "StateReasonCode"} & active.keys()
    assert active["RevisionId"] != pending["RevisionId"]
    assert play.service.functions.held_back == {}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SandboxError("nothing here can run it", cure="Take Python."), "InternalError"),
        (ImageNotFoundError("the image is not here"), "InvalidImage"),
        (CodeError("it is empty"), "InvalidConfiguration"),
    ],
)
def test_what_cannot_run_is_failed_and_says_why(play: Play, error: EmulatorError, code: str) -> None:
    """The reason is the emulator's own, and the cure with it."""
    play.service.functions.refuses_with = error
    create(play)
    failed = configuration(play)
    assert (failed["State"], failed["StateReasonCode"]) == ("Failed", code)
    assert failed["StateReason"] == " ".join(str(error).split())
    assert play.service.functions.held_back == {"fresh": "Failed"}
    play.service.functions.refuses_with = None
    play.ask("UpdateFunctionCode", FunctionName="fresh", ZipFile=archive())
    play.settle()
    assert configuration(play)["State"] == "Active"


def test_a_name_is_taken_once(play: Play) -> None:
    """[R] Also by a function of the file."""
    create(play)
    for name in ("fresh", "orders"):
        code = {"ZipFile": archive()}
        message = refused(
            play, ResourceConflictError, "CreateFunction", **{**BASIC, "FunctionName": name, "Code": code}
        )
        assert message == f"Function already exist: {name}"


@pytest.mark.parametrize("name", ["fresh", f"{ACCOUNT}:function:fresh", ARN])
def test_a_name_may_be_an_arn(play: Play, name: str) -> None:
    """Of this account and region."""
    assert create(play, FunctionName=name)["FunctionArn"] == ARN


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("fresh:1", ValidationError, "Member must satisfy regular expression pattern"),
        ("two words", ValidationError, "Member must satisfy regular expression pattern"),
        ("n" * 65, RequestError, "Member must have length less than or equal to"),
        (ARN.replace("us-east-1", "eu-west-1"), FunctionNotFoundError, "not reachable in this region ('us-east-1')"),
        (ARN.replace(ACCOUNT, "999999999999"), ForbiddenError, "not authorized"),
    ],
)
def test_a_name_that_is_none_of_ours_is_refused(play: Play, name: str, error: type[RequestError], text: str) -> None:
    """What does not parse, is too long, or is of another region or account; nothing is kept."""
    code = {"ZipFile": archive()}
    assert text in refused(play, error, "CreateFunction", **{**BASIC, "FunctionName": name, "Code": code})
    assert set(play.control.registry.functions) == {"orders", "other"}


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (
            {"Runtime": None},
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ),
        (
            {"Handler": None},
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ),
        (
            {"Runtime": "python1"},
            "Value python1 at 'runtime' failed to satisfy constraint: Member must satisfy enum value",
        ),
        ({"Code": {}}, "Please provide a source for function code."),
        (
            {"Code": {"ImageUri": "image:1"}},
            "Please don't provide ImageUri when creating a function with packageType Zip.",
        ),
        (
            {"PackageType": "Image", "Code": {"ImageUri": "image:1"}},
            "Please don't provide Runtime or Handler or Layer when the intended function PackageType is Image.",
        ),
        (
            {"PackageType": "Image", "Runtime": None, "Handler": None},
            "Please provide ImageUri when creating a function with packageType Image.",
        ),
        ({"Layers": [LAYER.format(number) for number in range(6)]}, "Cannot reference more than 5 layers."),
        ({"Tags": {f"key-{number}": "" for number in range(51)}}, "Number of tags exceeds resource tag limit."),
        (
            {"Environment": {"Variables": {"LANG": "C", "AWS_REGION": "x", "AWS_LAMBDA_LOG_GROUP_NAME": "y"}}},
            (
                f"{VARIABLES} contains reserved keys that are currently not supported for modification. "
                "Reserved keys used in this request: AWS_LAMBDA_LOG_GROUP_NAME, AWS_REGION"
            ),
        ),
        (
            {"Environment": {"Variables": {"LONG": "x" * 4096}}},
            f'{VARIABLES} exceeded the 4KB limit. String measured: {{"LONG":"xx',
        ),
        ({"LoggingConfig": {"SystemLogLevel": "WARN"}}, "Log levels can only be set when LogFormat is JSON."),
    ],
)
def test_what_does_not_go_together_is_refused(play: Play, more: dict[str, Any], text: str, tmp_path: Path) -> None:
    """In AWS's words where they are known; no code is left behind."""
    given = {
        key: value for key, value in {**BASIC, "Code": {"ZipFile": archive()}, **more}.items() if value is not None
    }
    assert refused(play, InvalidParameterValueError, "CreateFunction", **given).startswith(text)
    assert list(tmp_path.rglob("*.py")) == []


def test_values_that_the_function_itself_refuses_leave_nothing(play: Play, tmp_path: Path) -> None:
    """A variable with a NUL, for one."""
    given = {**BASIC, "Code": {"ZipFile": archive()}, "Environment": {"Variables": {"SOME": "\0"}}}
    with pytest.raises(EmulatorError, match="SOME has a NUL in it"):
        play.ask("CreateFunction", **given)
    assert list(tmp_path.rglob("*.py")) == []
    assert set(play.control.registry.functions) == {"orders", "other"}


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"Timeout": 901}, "Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than"),
        ({"MemorySize": 10241}, "Value '10241' at 'memorySize' failed to satisfy constraint: Member must have value"),
        ({"EphemeralStorage": {"Size": 10241}}, "Value '10241' at 'ephemeralStorage.size' failed to satisfy"),
    ],
)
def test_values_that_only_other_functions_may_have(play: Play, more: dict[str, Any], text: str) -> None:
    """The model allows them for functions that are not here; AWS refuses them as it does what the model forbids."""
    create(play)
    for operation, given in (
        ("CreateFunction", {**BASIC, "FunctionName": "new", "Code": {"ZipFile": archive()}}),
        UPDATE,
    ):
        message = refused(play, ValidationError, operation, **given, **more)
        assert message.startswith(f"1 validation error detected: {text}")


def test_a_version_is_not_updated(play: Play) -> None:
    """Nor is $LATEST, where a version or an alias was named; $LATEST may be named itself."""
    create(play, Publish=True)
    for operation, more in (("UpdateFunctionCode", {"ZipFile": archive()}), ("UpdateFunctionConfiguration", {})):
        message = refused(play, InvalidParameterValueError, operation, FunctionName="fresh:1", **more)
        assert message.startswith("This operation is permitted on Lambda functions only.")
    play.ask("UpdateFunctionConfiguration", FunctionName="fresh:$LATEST", Timeout=5)
    play.settle()


def test_what_is_not_emulated_is_refused_and_not_passed_over(play: Play) -> None:
    """501 and the name of the member, where a function would not be what it seems."""
    given = {**BASIC, "Code": {"ZipFile": archive()}, "TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}}
    assert refused(play, NotImplementedHereError, "CreateFunction", **given).startswith("TenancyConfig")


def test_an_image_is_a_function_without_a_folder(play: Play) -> None:
    """Its command and entry point are those of the image, where nothing else is said."""
    given = {"FunctionName": "fresh", "Role": ROLE, "PackageType": "Image", "Code": {"ImageUri": "image:1"}}
    play.ask("CreateFunction", **given, ImageConfig={"Command": ["app.other"]})
    play.settle()
    function = play.service.functions.deployed["fresh"]
    assert (function.image, function.code, function.command, function.entry_point) == (
        "image:1",
        None,
        ("app.other",),
        (),
    )
    answer = play.ask("GetFunction", FunctionName="fresh")
    assert answer["Code"] == {"RepositoryType": "ECR", "ImageUri": "image:1", "ResolvedImageUri": "image:1"}
    shown = answer["Configuration"]
    assert (shown["PackageType"], shown["CodeSize"]) == ("Image", 0)
    assert shown["ImageConfigResponse"] == {"ImageConfig": {"Command": ["app.other"]}}
    assert not {"Runtime", "Handler", "RuntimeVersionConfig"} & shown.keys()
    message = refused(play, InvalidParameterValueError, "UpdateFunctionCode", FunctionName="fresh", ZipFile=archive())
    assert message == "Please provide ImageUri when updating a function with packageType Image."


def test_publish_on_create(play: Play) -> None:
    """[R] LS:test_publish_version_on_create: the number of the version, and an ARN without it."""
    answer = create(play, Publish=True)
    assert (answer["Version"], answer["FunctionArn"], answer["State"]) == ("1", ARN, "Pending")
    assert set(play.service.functions.versions) == {"fresh:1"}
    assert configuration(play, "fresh:1")["State"] == "Active"
    assert configuration(play)["Version"] == "$LATEST"


# -- get and list ------------------------------------------------------------------------------------------------


def test_get_by_every_name(play: Play) -> None:
    """The ARN has the qualifier that was asked for; an alias shows the version that it leads to."""
    create(play, Publish=True)
    play.ask("CreateAlias", FunctionName="fresh", Name="live", FunctionVersion="1")
    for name, qualifier, arn, version in (
        ("fresh", None, ARN, "$LATEST"),
        (ARN, "$LATEST", f"{ARN}:$LATEST", "$LATEST"),
        (f"{ACCOUNT}:function:fresh:1", None, f"{ARN}:1", "1"),
        (f"{ARN}:live", "live", f"{ARN}:live", "1"),
    ):
        more = {} if qualifier is None else {"Qualifier": qualifier}
        shown = play.ask("GetFunction", FunctionName=name, **more)["Configuration"]
        assert (shown["FunctionArn"], shown["Version"]) == (arn, version)
        assert play.ask("GetFunctionConfiguration", FunctionName=name, **more) == shown


@pytest.mark.parametrize(("name", "arn"), [("nope", "nope"), ("nope:1", "nope:1"), ("orders:9", "orders:9")])
def test_what_is_not_there_is_named_as_it_was_asked_for(play: Play, name: str, arn: str) -> None:
    """[R] Without ``$LATEST``, where nobody has said it."""
    for operation in ("GetFunction", "GetFunctionConfiguration"):
        message = refused(play, FunctionNotFoundError, operation, FunctionName=name)
        assert message == f"Function not found: arn:aws:lambda:us-east-1:{ACCOUNT}:function:{arn}"


def test_where_the_code_is(play: Play, tmp_path: Path) -> None:
    """The archive of one that was sent, and the folder of one that was named."""
    given_archive = archive()
    create(play, Code={"ZipFile": given_archive})
    location = play.ask("GetFunction", FunctionName="fresh")["Code"]
    assert location["RepositoryType"] == "S3"
    assert Path(location["Location"].removeprefix("file://")).read_bytes() == given_archive
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "app.py").write_text("x = 1")
    create(play, FunctionName="hot", Code={"S3Bucket": "hot-reload", "S3Key": str(folder)})
    assert play.ask("GetFunction", FunctionName="hot")["Code"]["Location"] == f"file://{folder}"
    assert play.service.functions.deployed["hot"].code == folder


def test_reserved_concurrency_is_shown(play: Play) -> None:
    """[R] LS:test_lambda_concurrency_update."""
    create(play)
    assert "Concurrency" not in play.ask("GetFunction", FunctionName="fresh")
    play.ask("PutFunctionConcurrency", FunctionName="fresh", ReservedConcurrentExecutions=5)
    assert play.ask("GetFunction", FunctionName="fresh")["Concurrency"] == {"ReservedConcurrentExecutions": 5}


def test_a_list_has_pieces(play: Play) -> None:
    """By name, without states [R]; all versions with their own ARNs; each once, in whatever pieces."""
    play.ask("DeleteFunction", FunctionName="orders")
    play.ask("DeleteFunction", FunctionName="other")
    for name in ("b", "a", "c"):
        create(play, FunctionName=name)
    play.ask("PublishVersion", FunctionName="b")
    play.settle()
    answer = play.ask("ListFunctions")
    assert [one["FunctionName"] for one in answer["Functions"]] == ["a", "b", "c"]
    assert "NextMarker" not in answer
    assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig"} & answer["Functions"][0].keys()
    arns: list[str] = []
    marker: dict[str, str] = {}
    while True:
        piece = play.ask("ListFunctions", FunctionVersion="ALL", MaxItems=1, **marker)
        arns += [one["FunctionArn"].rpartition("function:")[2] for one in piece["Functions"]]
        if "NextMarker" not in piece:
            break
        marker = {"Marker": piece["NextMarker"]}
    assert arns == ["a:$LATEST", "b:$LATEST", "b:1", "c:$LATEST"]


def test_a_function_of_the_file_is_one_like_any_other(play: Play, tmp_path: Path) -> None:
    """It is shown with what the file says of it, counted when asked for, and can be changed."""
    (tmp_path / "app.py").write_text("x = 1")
    function = Function(name="filed", code=tmp_path, runtime="python3.11", memory=512, environment={"STAGE": "dev"})
    play.service.functions.deployed["filed"] = function
    shown = configuration(play, "filed")
    assert (shown["Runtime"], shown["MemorySize"], shown["Environment"]) == (
        "python3.11",
        512,
        {"Variables": {"STAGE": "dev"}},
    )
    assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Successful")
    assert shown["CodeSize"] > 0
    assert re.fullmatch(r"arn:aws:iam::\d{12}:role/.+", shown["Role"])
    assert configuration(play, "filed") == shown
    play.ask("UpdateFunctionConfiguration", FunctionName="filed", Timeout=9)
    play.settle()
    assert play.service.functions.deployed["filed"].timeout == 9
    assert play.service.functions.deployed["filed"].memory == 512


def test_what_a_program_deploys_again_is_shown_as_it_is_now(play: Play, tmp_path: Path) -> None:
    """With another revision; what AWS's settings do not say makes none."""
    play.service.functions.deployed["filed"] = Function(name="filed", code=tmp_path)
    revision = configuration(play, "filed")["RevisionId"]
    play.service.functions.deployed["filed"] = Function(name="filed", code=tmp_path, policy={"max_invocations": 3})
    assert configuration(play, "filed")["RevisionId"] == revision
    play.service.functions.deployed["filed"] = Function(name="filed", code=tmp_path, timeout=11)
    shown = configuration(play, "filed")
    assert shown["RevisionId"] != revision
    assert shown["Timeout"] == 11


# -- update ------------------------------------------------------------------------------------------------------


def test_an_update_is_in_progress_and_then_successful(play: Play) -> None:
    """[R] LS:test_function_lifecycle, with its odd reason; a second one meanwhile is a conflict."""
    create(play)
    before = configuration(play)
    answer = play.ask("UpdateFunctionConfiguration", FunctionName="fresh", Description="new", MemorySize=512)
    assert (answer["State"], answer["LastUpdateStatus"]) == ("Active", "InProgress")
    assert answer["LastUpdateStatusReason"] == "The function is being created."
    assert answer["LastUpdateStatusReasonCode"] == "Creating"
    assert (answer["Description"], answer["MemorySize"], answer["Timeout"]) == ("new", 512, 3)
    assert play.service.functions.deployed["fresh"].memory == 128
    conflict = refused(play, ResourceConflictError, "UpdateFunctionCode", FunctionName="fresh", ZipFile=archive())
    assert conflict == f"The operation cannot be performed at this time. An update is in progress for resource: {ARN}"
    play.settle()
    after = configuration(play)
    assert (after["LastUpdateStatus"], play.service.functions.deployed["fresh"].memory) == ("Successful", 512)
    assert "LastUpdateStatusReason" not in after
    assert len({before["RevisionId"], answer["RevisionId"], after["RevisionId"]}) == 3
    assert before["CodeSha256"] == after["CodeSha256"]


def test_new_code_takes_the_place_of_the_old(play: Play, tmp_path: Path) -> None:
    """The old goes when nobody has it; the settings stay."""
    create(play, Timeout=8)
    before = configuration(play)
    play.ask("UpdateFunctionCode", FunctionName="fresh", ZipFile=archive(("new.py", "x = 1")))
    play.settle()
    after = configuration(play)
    assert after["CodeSha256"] != before["CodeSha256"]
    assert (after["Timeout"], play.service.functions.deployed["fresh"].timeout) == (8, 8)
    assert [path.name for path in tmp_path.rglob("*.py")] == ["new.py"]


def test_a_failed_update_leaves_what_runs(play: Play) -> None:
    """It is shown as failed, with the reason, and the function that runs is the one before."""
    create(play)
    play.service.functions.refuses_with = SandboxError("no room")
    play.ask("UpdateFunctionConfiguration", FunctionName="fresh", Timeout=9)
    play.settle()
    shown = configuration(play)
    assert (shown["State"], shown["LastUpdateStatus"]) == ("Active", "Failed")
    assert (shown["LastUpdateStatusReason"], shown["LastUpdateStatusReasonCode"]) == ("no room", "InternalError")
    assert play.service.functions.deployed["fresh"].timeout == 3
    assert play.service.functions.held_back == {}


def test_code_that_could_not_be_deployed_leaves_the_old(play: Play, tmp_path: Path) -> None:
    """What serves on keeps its files, until an update has succeeded; what has failed loses its own to the next one."""
    create(play)
    play.service.functions.refuses_with = SandboxError("no room")
    for name in ("second.py", "third.py"):
        play.ask("UpdateFunctionCode", FunctionName="fresh", ZipFile=archive((name, "x = 1")))
        play.settle()
        assert sorted(path.name for path in tmp_path.rglob("*.py")) == ["app.py", name]
    play.service.functions.refuses_with = None
    play.ask("UpdateFunctionConfiguration", FunctionName="fresh", Timeout=9)
    play.settle()
    assert configuration(play)["LastUpdateStatus"] == "Successful"
    assert [path.name for path in tmp_path.rglob("*.py")] == ["third.py"]


def test_a_dry_run_changes_nothing(play: Play, tmp_path: Path) -> None:
    """[D] What would be is answered, and checked."""
    create(play)
    before = configuration(play)
    new = archive(("new.py", "x = 1"))
    answer = play.ask("UpdateFunctionCode", FunctionName="fresh", ZipFile=new, DryRun=True)
    assert answer["CodeSize"] == len(new)
    assert configuration(play) == before
    assert play.service.spawned == []
    assert [path.name for path in tmp_path.rglob("*.py")] == ["app.py"]
    refused(play, InvalidParameterValueError, "UpdateFunctionCode", FunctionName="fresh", ZipFile=b"x", DryRun=True)


def test_another_revision_is_refused(play: Play) -> None:
    """412, in the recorded words; the right one is taken."""
    create(play)
    for operation, more in (("UpdateFunctionCode", {"ZipFile": archive()}), ("UpdateFunctionConfiguration", {})):
        message = refused(play, PreconditionFailedError, operation, FunctionName="fresh", RevisionId="old", **more)
        assert message == (
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
        )
    revision = configuration(play)["RevisionId"]
    play.ask("UpdateFunctionConfiguration", FunctionName="fresh", Timeout=5, RevisionId=revision)
    play.settle()


def test_bad_code_changes_nothing(play: Play) -> None:
    """Neither the state nor what runs."""
    create(play)
    before = configuration(play)
    message = refused(play, InvalidParameterValueError, "UpdateFunctionCode", FunctionName="fresh", ZipFile=b"no")
    assert message == "Could not unzip uploaded file. Please check your file, then try to upload again."
    message = refused(play, InvalidParameterValueError, "UpdateFunctionCode", FunctionName="fresh", ImageUri="image:1")
    assert message == "Please don't provide ImageUri when updating a function with packageType Zip."
    assert configuration(play) == before


def test_variables_are_replaced_as_a_whole(play: Play) -> None:
    """And an empty table is one [R]; so are levels of a log that becomes a text again."""
    create(play, Environment={"Variables": {"A1": "1"}}, LoggingConfig={"LogFormat": "JSON"})
    change = {"Environment": {"Variables": {}}, "LoggingConfig": {"LogFormat": "Text"}}
    answer = play.ask("UpdateFunctionConfiguration", FunctionName="fresh", **change)
    play.settle()
    assert answer["Environment"] == {"Variables": {}}
    assert answer["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/fresh"}
    assert play.service.functions.deployed["fresh"].environment == {}


def test_code_and_layers_together_have_a_limit(play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each may be small enough by itself; nothing of what is refused is left."""
    layer = archive(("python/large.py", "#" * 600))
    arn = play.ask("PublishLayerVersion", LayerName="large", Content={"ZipFile": layer})["LayerVersionArn"]
    create(play)
    monkeypatch.setattr("emulator.control.deploying.MAX_UNZIPPED_BYTES", 1000)
    large = {"ZipFile": archive(("large.py", "#" * 600))}
    new = {**BASIC, "FunctionName": "new", "Code": large, "Layers": [arn]}
    told = "Function code combined with layers exceeds the maximum allowed size of 1000 bytes. The actual size is 1200 "
    assert refused(play, InvalidParameterValueError, "CreateFunction", **new).startswith(told)
    play.ask("UpdateFunctionConfiguration", FunctionName="fresh", Layers=[arn])
    play.settle()
    assert refused(play, InvalidParameterValueError, "UpdateFunctionCode", FunctionName="fresh", **large).startswith(
        told
    )
    assert [path.name for path in tmp_path.rglob("*.py")] == ["app.py"]
    play.ask("UpdateFunctionConfiguration", FunctionName="fresh", Layers=[])
    play.settle()
    play.ask("UpdateFunctionCode", FunctionName="fresh", **large)
    play.settle()
    more = {"FunctionName": "fresh", "Layers": [arn]}
    assert refused(play, InvalidParameterValueError, "UpdateFunctionConfiguration", **more).startswith(told)


def test_what_is_set_to_nothing_is_not_shown(play: Play) -> None:
    """[D] So a key and a dead letter queue are taken away."""
    queue = {"TargetArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"}
    key = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/k"
    create(play, DeadLetterConfig=queue, KMSKeyArn=key)
    shown = configuration(play)
    assert (shown["DeadLetterConfig"], shown["KMSKeyArn"]) == (queue, key)
    nothing: dict[str, Any] = {"DeadLetterConfig": {"TargetArn": ""}, "KMSKeyArn": ""}
    play.ask("UpdateFunctionConfiguration", FunctionName="fresh", **nothing)
    play.settle()
    assert nothing.keys().isdisjoint(configuration(play))


def test_layers_are_found_and_shown(play: Play) -> None:
    """By their ARNs; none that is not there is taken."""
    content = {"ZipFile": archive(("python/lib.py", "x = 1"))}
    arn = play.ask("PublishLayerVersion", LayerName="tools", Content=content)["LayerVersionArn"]
    answer = create(play, Layers=[arn])
    assert [layer["Arn"] for layer in answer["Layers"]] == [arn]
    assert [path.suffix for path in play.service.functions.deployed["fresh"].layers] == [".zip"]
    message = refused(
        play, InvalidParameterValueError, "UpdateFunctionConfiguration", FunctionName="fresh", Layers=[f"{arn[:-1]}9"]
    )
    assert message == f"Layer version {arn[:-1]}9 does not exist."
    play.ask("UpdateFunctionConfiguration", FunctionName="fresh", Layers=[])
    play.settle()
    assert play.service.functions.deployed["fresh"].layers == ()
    assert "Layers" not in configuration(play)


# -- delete ------------------------------------------------------------------------------------------------------


def test_a_deleted_function_is_gone_with_its_versions(play: Play, tmp_path: Path) -> None:
    """[R] 204; a second time 404, with the ARN as it was; its code is removed, its name is free."""
    create(play, Publish=True)
    assert play.ask("DeleteFunction", FunctionName="fresh") == {"StatusCode": 204}
    play.settle()
    assert "fresh" not in play.service.functions.deployed
    assert play.service.functions.versions == {}
    assert refused(play, FunctionNotFoundError, "DeleteFunction", FunctionName="fresh") == f"Function not found: {ARN}"
    assert list(tmp_path.rglob("app.py")) == []
    create(play)
    assert configuration(play)["State"] == "Active"


def test_one_that_is_deleted_while_it_is_created_does_not_come(play: Play) -> None:
    """Nor does it take the name from one that was created meanwhile."""
    play.ask("CreateFunction", **BASIC, Code={"ZipFile": archive()})
    play.ask("DeleteFunction", FunctionName="fresh")
    play.settle()
    assert "fresh" not in play.service.functions.deployed
    play.ask("CreateFunction", **BASIC, Code={"ZipFile": archive()})
    play.ask("DeleteFunction", FunctionName="fresh")
    create(play, Timeout=12)
    assert play.service.functions.deployed["fresh"].timeout == 12


@pytest.mark.parametrize(
    ("qualifier", "text"),
    [
        ("$LATEST", "$LATEST version cannot be deleted without deleting the function."),
        ("live", "Deletion of aliases is not currently supported."),
    ],
)
def test_what_is_no_version_is_not_deleted(play: Play, qualifier: str, text: str) -> None:
    """[R] The words for each."""
    message = refused(play, InvalidParameterValueError, "DeleteFunction", FunctionName="orders", Qualifier=qualifier)
    assert message == text
