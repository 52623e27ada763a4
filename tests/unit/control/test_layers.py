"""Layers as the API has them."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import stat
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from emulator.control.layers import layer_members, layer_paths
from emulator.errors import (
    ForbiddenError,
    FunctionNotFoundError,
    InvalidParameterValueError,
    PreconditionFailedError,
    RequestTooLargeError,
    ResourceConflictError,
    ValidationError,
)
from tests.unit.control.play import ACCOUNT, Play, refused

LAYER = f"arn:aws:lambda:us-east-1:{ACCOUNT}:layer:mine"
NOTHING = "The resource you requested does not exist."


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """A control plane over nothing."""
    return Play(tmp_path)


def zipped(**files: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in (files or {"python": "x"}).items():
            archive.writestr(name, content)
    return made.getvalue()


def publish(play: Play, name: str = "mine", **more: Any) -> dict[str, Any]:
    return play.ask("PublishLayerVersion", **{"LayerName": name, "Content": {"ZipFile": zipped()}, **more})


def files_kept(play: Play) -> list[str]:
    return [path.name for path in play.service.folder.rglob("*") if path.is_file()]


def test_a_life(play: Play) -> None:
    """[R] LS:test_layer_lifecycle: published, got by name and by ARN, listed newest first, deleted; numbers go on."""
    content = zipped(a="1")
    first = publish(
        play,
        Content={"ZipFile": content},
        Description="what it is",
        LicenseInfo="MIT",
        CompatibleRuntimes=["python3.12"],
        CompatibleArchitectures=["x86_64"],
    )
    path = Path(unquote(urlsplit(first["Content"]["Location"]).path))
    assert path.read_bytes() == content
    assert first["Content"]["CodeSize"] == len(content)
    assert base64.b64decode(first["Content"]["CodeSha256"]) == hashlib.sha256(content).digest()
    assert (first["LayerArn"], first["LayerVersionArn"], first["Version"]) == (LAYER, f"{LAYER}:1", 1)
    publish(play, LAYER)
    assert play.ask("GetLayerVersion", LayerName="mine", VersionNumber=1) == first
    assert play.ask("GetLayerVersionByArn", Arn=f"{LAYER}:1") == first
    versions = play.ask("ListLayerVersions", LayerName="mine")["LayerVersions"]
    assert [version["Version"] for version in versions] == [2, 1]
    (layer,) = play.ask("ListLayers")["Layers"]
    assert layer["LatestMatchingVersion"]["Version"] == 2
    for number in (1, 2, 2, 9):
        assert play.ask("DeleteLayerVersion", LayerName="mine", VersionNumber=number) == {}
    assert play.ask("ListLayerVersions", LayerName="mine") == {"LayerVersions": []}
    assert play.ask("ListLayers") == {"Layers": []}
    assert publish(play)["Version"] == 3


def test_lists_by_what_fits(play: Play) -> None:
    """A runtime or an architecture chooses among versions, and among layers."""
    publish(play, CompatibleRuntimes=["python3.11"])
    publish(play, CompatibleRuntimes=["python3.12"], CompatibleArchitectures=["arm64"])
    publish(play, "other")
    (layer,) = play.ask("ListLayers", CompatibleRuntime="python3.11")["Layers"]
    assert layer["LatestMatchingVersion"]["Version"] == 1
    (version,) = play.ask("ListLayerVersions", LayerName="mine", CompatibleArchitecture="arm64")["LayerVersions"]
    assert version["Version"] == 2
    assert play.ask("ListLayerVersions", LayerName="nothing") == {"LayerVersions": []}


def test_lists_in_pieces(play: Play) -> None:
    """A marker leads to the next piece, and what comes meanwhile does not disturb it."""
    for _ in range(3):
        publish(play)
    first = play.ask("ListLayerVersions", LayerName="mine", MaxItems=2)
    publish(play)
    second = play.ask("ListLayerVersions", LayerName="mine", MaxItems=2, Marker=first["NextMarker"])
    assert [version["Version"] for answer in (first, second) for version in answer["LayerVersions"]] == [3, 2, 1]
    assert "NextMarker" not in second
    refused(play, InvalidParameterValueError, "ListLayerVersions", LayerName="mine", Marker="nonsense")


def test_what_is_not_there(play: Play) -> None:
    """[R] LS:test_layer_exceptions."""
    publish(play)
    for name, number in (("nothing", 1), ("mine", 2)):
        assert refused(play, FunctionNotFoundError, "GetLayerVersion", LayerName=name, VersionNumber=number) == NOTHING
    assert refused(play, FunctionNotFoundError, "GetLayerVersionByArn", Arn=f"{LAYER}:2") == NOTHING
    refused(play, ValidationError, "GetLayerVersionByArn", Arn=LAYER)
    for operation in ("GetLayerVersion", "DeleteLayerVersion"):
        for number in (0, -1):
            message = refused(play, InvalidParameterValueError, operation, LayerName="mine", VersionNumber=number)
            assert message == "Layer Version Cannot be less than 1"
    message = refused(play, ValidationError, "ListLayers", CompatibleRuntime="cobol")
    assert "Value 'cobol' at 'compatibleRuntime' failed to satisfy constraint: Member must satisfy enum" in message
    elsewhere = LAYER.replace(ACCOUNT, "999999999999")
    refused(play, ForbiddenError, "GetLayerVersion", LayerName=elsewhere, VersionNumber=1)


def link(name: str, target: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, target)
        archive.writestr(f"{name}/file", "x")
    return made.getvalue()


def bomb() -> bytes:
    made = io.BytesIO()
    with (
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("zeros", "w", force_zip64=True) as out,
    ):
        for _ in range(260):
            out.write(bytes(2**20))
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no archive", "Could not unzip uploaded file."),
        (b"", "Could not unzip uploaded file."),
        (zipped(**{"../out": "x"}), "Could not unzip uploaded file."),
        (zipped(**{"/etc/out": "x"}), "Could not unzip uploaded file."),
        (link("out", "/tmp"), "Could not unzip uploaded file."),
        (zipped()[:-10], "Could not unzip uploaded file."),
    ],
    ids=["no archive", "nothing", "climbing", "absolute", "link", "cut off"],
)
def test_an_archive_that_cannot_be_unpacked(play: Play, content: bytes, words: str) -> None:
    """It is refused, and nothing of it is left, neither here nor outside."""
    before = {path.name for path in play.service.folder.parent.iterdir()}
    message = refused(
        play, InvalidParameterValueError, "PublishLayerVersion", LayerName="mine", Content={"ZipFile": content}
    )
    assert message.startswith(words)
    assert files_kept(play) == []
    assert {path.name for path in play.service.folder.parent.iterdir()} == before
    assert play.ask("ListLayers") == {"Layers": []}


def test_one_that_is_much_larger_unpacked(play: Play) -> None:
    """[R] 262,144,000 bytes are the limit; it is known from the list of contents, before anything is unpacked."""
    message = refused(
        play, InvalidParameterValueError, "PublishLayerVersion", LayerName="mine", Content={"ZipFile": bomb()}
    )
    assert message == "Unzipped size must be smaller than 262144000 bytes"
    assert files_kept(play) == []


def test_one_that_is_too_large_zipped(play: Play) -> None:
    """[R] 50 MiB are the limit of an archive in a request."""
    message = refused(
        play, RequestTooLargeError, "PublishLayerVersion", LayerName="mine", Content={"ZipFile": bytes(52_428_801)}
    )
    assert message == "Zipped size must be smaller than 52428800 bytes"


def test_from_elsewhere(play: Play, tmp_path: Path) -> None:
    """There is no S3; a folder of this machine can be named."""
    bucket = {"S3Bucket": "bucket", "S3Key": "key"}
    message = refused(play, InvalidParameterValueError, "PublishLayerVersion", LayerName="mine", Content=bucket)
    assert "hot-reload" in message
    hot = {"S3Bucket": "hot-reload", "S3Key": str(tmp_path)}
    play.ask("PublishLayerVersion", LayerName="mine", Content=hot)
    assert layer_paths(play.control, [f"{LAYER}:1"]) == [tmp_path]
    for key in ("relative", "/nowhere/at/all"):
        hot = {"S3Bucket": "hot-reload", "S3Key": key}
        refused(play, InvalidParameterValueError, "PublishLayerVersion", LayerName="mine", Content=hot)


def test_the_policy_of_a_version(play: Play) -> None:
    """[R] LS:test_layer_policy_lifecycle."""
    publish(play)
    which = {"LayerName": "mine", "VersionNumber": 1}
    statement = {**which, "StatementId": "s1", "Action": "lambda:GetLayerVersion", "Principal": "*"}
    message = refused(play, FunctionNotFoundError, "GetLayerVersionPolicy", **which)
    assert message == "No policy is associated with the given resource."
    added = play.ask("AddLayerVersionPermission", **statement)
    told = json.loads(added["Statement"])
    assert told == {
        "Sid": "s1",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "lambda:GetLayerVersion",
        "Resource": f"{LAYER}:1",
    }
    policy = play.ask("GetLayerVersionPolicy", **which)
    assert (json.loads(policy["Policy"])["Statement"], policy["RevisionId"]) == ([told], added["RevisionId"])
    other = {**statement, "StatementId": "s2", "OrganizationId": "o-1234567890"}
    message = refused(play, PreconditionFailedError, "AddLayerVersionPermission", **other, RevisionId="x")
    assert message.endswith("Call the GetLayerPolicy API to retrieve the latest Revision Id")
    play.ask("AddLayerVersionPermission", **other, RevisionId=added["RevisionId"])
    assert refused(play, ResourceConflictError, "AddLayerVersionPermission", **statement).startswith(
        "The statement id (s1) provided already exists."
    )
    assert play.ask("RemoveLayerVersionPermission", **which, StatementId="s2") == {}
    message = refused(play, FunctionNotFoundError, "RemoveLayerVersionPermission", **which, StatementId="s2")
    assert message == "Statement s2 is not found in resource policy."
    missing = {**which, "VersionNumber": 7}
    message = refused(play, FunctionNotFoundError, "GetLayerVersionPolicy", **missing)
    assert message == f"Layer version {LAYER}:7 does not exist."
    refused(play, ValidationError, "AddLayerVersionPermission", **{**statement, "Action": "*"})


def test_what_a_function_names(play: Play) -> None:
    """[R] LS:test_layer_function_exceptions; what a function has already may have been deleted since."""
    publish(play)
    publish(play)
    publish(play, "other")
    other = LAYER.replace("mine", "other")
    first, second = layer_paths(play.control, [f"{LAYER}:2", f"{other}:1"])
    assert zipfile.is_zipfile(first)
    assert zipfile.is_zipfile(second)
    assert layer_members(play.control, [f"{LAYER}:2"]) == [{"Arn": f"{LAYER}:2", "CodeSize": first.stat().st_size}]
    with pytest.raises(InvalidParameterValueError) as caught:
        layer_paths(play.control, [f"{LAYER}:1", f"{LAYER}:2"])
    assert caught.value.message == (
        "Two different versions of the same layer are not allowed to be referenced in the same function. "
        f"{LAYER}:1 and {LAYER}:2 are versions of the same layer."
    )
    with pytest.raises(InvalidParameterValueError, match=r"Layer version .*:9 does not exist"):
        layer_paths(play.control, [f"{LAYER}:9"])
    with pytest.raises(InvalidParameterValueError, match="expected to be in region us-east-1"):
        layer_paths(play.control, [f"{LAYER}:1".replace("us-east-1", "eu-west-1")])
    play.ask("DeleteLayerVersion", LayerName="mine", VersionNumber=2)
    with pytest.raises(InvalidParameterValueError, match="does not exist"):
        layer_paths(play.control, [f"{LAYER}:2"])
    assert layer_paths(play.control, [f"{LAYER}:2"], before=[f"{LAYER}:2"]) == [first]
