"""Published versions: numbers, what they keep, and when there is nothing new to publish."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.errors import (
    FunctionNotFoundError,
    InvalidParameterValueError,
    PreconditionFailedError,
    ResourceConflictError,
)
from tests.unit.control.archives import archive
from tests.unit.control.play import ACCOUNT, Play, refused

ARN = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:fresh"
BASIC: dict[str, Any] = {
    "FunctionName": "fresh",
    "Role": f"arn:aws:iam::{ACCOUNT}:role/worker",
    "Runtime": "python3.12",
    "Handler": "app.handler",
}


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """A control plane with a function ``fresh``."""
    play = Play(tmp_path)
    play.ask("CreateFunction", **BASIC, Code={"ZipFile": archive()})
    play.settle()
    yield play
    play.settle()


def publish(play: Play, **more: Any) -> dict[str, Any]:
    """A version, made ready."""
    answer = play.ask("PublishVersion", FunctionName="fresh", **more)
    play.settle()
    return answer


def configuration(play: Play, name: str = "fresh") -> dict[str, Any]:
    """What is shown of it now."""
    return play.ask("GetFunctionConfiguration", FunctionName=name)


def test_a_version_is_pending_and_then_active(play: Play) -> None:
    """The answer has its own ARN; ``$LATEST`` has another revision [R]; it is held back until it can be invoked."""
    revision = configuration(play)["RevisionId"]
    answer = play.ask("PublishVersion", FunctionName="fresh", Description="first")
    assert (answer["Version"], answer["FunctionArn"], answer["State"]) == ("1", f"{ARN}:1", "Pending")
    assert (answer["Description"], configuration(play)["Description"]) == ("first", "")
    assert play.service.functions.held_back == {"fresh:1": "Pending"}
    assert configuration(play)["RevisionId"] != revision
    play.settle()
    assert configuration(play, "fresh:1")["State"] == "Active"
    assert (play.service.functions.versions["fresh:1"].version, play.service.functions.held_back) == ("1", {})


def test_nothing_new_is_the_last_version_again(play: Play) -> None:
    """[R] LS:test_version_lifecycle: the same number, the same revision; whatever has changed makes a new one."""
    publish(play)
    first = configuration(play, "fresh:1")
    again = publish(play, Description="not taken")
    assert {key: again[key] for key in ("Version", "RevisionId", "Description")} == {
        key: first[key] for key in ("Version", "RevisionId", "Description")
    }
    play.ask("UpdateFunctionConfiguration", FunctionName="fresh", Timeout=9)
    play.settle()
    assert publish(play)["Version"] == "2"
    play.ask("UpdateFunctionCode", FunctionName="fresh", ZipFile=archive(("new.py", "x = 1")))
    play.settle()
    assert publish(play)["Version"] == "3"


def test_a_version_keeps_what_it_was(play: Play) -> None:
    """Settings and code, whatever becomes of ``$LATEST``."""
    publish(play)
    before = configuration(play, "fresh:1")
    play.ask("UpdateFunctionCode", FunctionName="fresh", ZipFile=archive(("new.py", "x = 1")))
    play.settle()
    play.ask("UpdateFunctionConfiguration", FunctionName="fresh", Timeout=9)
    play.settle()
    assert configuration(play, "fresh:1") == before
    function = play.service.functions.versions["fresh:1"]
    assert function.timeout == 3
    assert (function.folder / "app.py").is_file()


def test_a_version_of_a_folder_is_a_copy(play: Play, tmp_path: Path) -> None:
    """What is saved after it was published is not in it, and is something new to publish."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "app.py").write_text("x = 1")
    hot = {"S3Bucket": "hot-reload", "S3Key": str(folder)}
    play.ask("UpdateFunctionCode", FunctionName="fresh", **hot)
    play.settle()
    assert publish(play)["CodeSha256"] == configuration(play)["CodeSha256"]
    (folder / "app.py").write_text("x = 2222")
    assert (play.service.functions.versions["fresh:1"].folder / "app.py").read_text() == "x = 1"
    assert publish(play)["Version"] == "2"


def test_what_is_published_is_what_the_client_means(play: Play) -> None:
    """By digest of the code, and by revision."""
    shown = configuration(play)
    message = refused(play, InvalidParameterValueError, "PublishVersion", FunctionName="fresh", CodeSha256="other")
    assert message == (
        f"CodeSHA256 (other) is different from current CodeSHA256 in $LATEST ({shown['CodeSha256']}). "
        "Please try again with the CodeSHA256 in $LATEST."
    )
    refused(play, PreconditionFailedError, "PublishVersion", FunctionName="fresh", RevisionId="other")
    assert publish(play, CodeSha256=shown["CodeSha256"], RevisionId=shown["RevisionId"])["Version"] == "1"


def test_publish_with_new_code(play: Play) -> None:
    """[R] The answer is the version's, with its ARN; both become what they are."""
    code = {"ZipFile": archive(("new.py", "x = 1"))}
    answer = play.ask("UpdateFunctionCode", FunctionName="fresh", Publish=True, **code)
    assert (answer["Version"], answer["FunctionArn"]) == ("1", f"{ARN}:1")
    play.settle()
    assert configuration(play)["LastUpdateStatus"] == "Successful"
    assert configuration(play, "fresh:1")["State"] == "Active"


def test_versions_are_listed_oldest_first(play: Play) -> None:
    """``$LATEST`` first, each with its own ARN, in pieces if wanted."""
    publish(play)
    play.ask("UpdateFunctionConfiguration", FunctionName="fresh", Timeout=9)
    play.settle()
    publish(play)
    listed = play.ask("ListVersionsByFunction", FunctionName="fresh")["Versions"]
    assert [one["FunctionArn"] for one in listed] == [f"{ARN}:$LATEST", f"{ARN}:1", f"{ARN}:2"]
    piece = play.ask("ListVersionsByFunction", FunctionName="fresh", MaxItems=2)
    rest = play.ask("ListVersionsByFunction", FunctionName="fresh", Marker=piece["NextMarker"])
    assert [one["Version"] for one in (*piece["Versions"], *rest["Versions"])] == ["$LATEST", "1", "2"]
    with pytest.raises(FunctionNotFoundError):
        play.ask("ListVersionsByFunction", FunctionName="nope")


def test_a_deleted_version_does_not_come_again(play: Play, tmp_path: Path) -> None:
    """Its number is not given to another one; its code goes with the last who has it."""
    publish(play)
    play.ask("UpdateFunctionCode", FunctionName="fresh", ZipFile=archive(("new.py", "x = 1")))
    play.settle()
    assert {path.name for path in tmp_path.rglob("*.py")} == {"app.py", "new.py"}
    play.ask("DeleteFunction", FunctionName="fresh", Qualifier="1")
    play.settle()
    assert play.service.functions.versions == {}
    assert {path.name for path in tmp_path.rglob("*.py")} == {"new.py"}
    with pytest.raises(FunctionNotFoundError):
        configuration(play, "fresh:1")
    assert publish(play)["Version"] == "2"
    play.ask("DeleteFunction", FunctionName="fresh:1")  # one that is not there is not missed


def test_a_version_that_an_alias_leads_to_stays(play: Play) -> None:
    """Until the alias leads elsewhere; by its weights it leads there too."""
    publish(play)
    play.ask("UpdateFunctionConfiguration", FunctionName="fresh", Timeout=9)
    play.settle()
    publish(play)
    play.ask(
        "CreateAlias",
        FunctionName="fresh",
        Name="live",
        FunctionVersion="2",
        RoutingConfig={"AdditionalVersionWeights": {"1": 0.5}},
    )
    for number in ("1", "2"):
        message = refused(play, ResourceConflictError, "DeleteFunction", FunctionName="fresh", Qualifier=number)
        assert message == "Unable to delete version because the following aliases reference it: [live]"
