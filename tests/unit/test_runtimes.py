"""The table of runtimes: AWS's identifiers, their images, and what a configuration adds."""

from __future__ import annotations

import sys

import pytest

from emulator.errors import ConfigurationError
from emulator.runtimes import KNOWN, RuntimeKind, Runtimes, is_python, own_runtime


@pytest.mark.parametrize(
    ("name", "kind", "image", "stand_in"),
    [
        ("python3.12", "python", "public.ecr.aws/lambda/python:3.12", "lambda-freezer/python"),
        ("nodejs20.x", "nodejs", "public.ecr.aws/lambda/nodejs:20", "lambda-freezer/nodejs"),
        ("java21", "java", "public.ecr.aws/lambda/java:21", "lambda-freezer/java"),
        ("java8.al2", "java", "public.ecr.aws/lambda/java:8.al2", "lambda-freezer/java"),
        ("provided.al2023", "provided", "public.ecr.aws/lambda/provided:al2023", "lambda-freezer/provided"),
        ("ruby3.4", "other", "public.ecr.aws/lambda/ruby:3.4", ""),
    ],
)
def test_an_identifier_of_aws_names_its_image(name: str, kind: str, image: str, stand_in: str) -> None:
    """With the kind by which it is run, and where stand-ins are."""
    found = Runtimes().find(name)
    assert (found.name, found.kind, found.image, found.stand_in) == (name, kind, image, stand_in)


def test_every_identifier_is_one_of_the_api() -> None:
    """By the model of AWS's own client; but for the Python that runs this, which may be newer."""
    loaders = pytest.importorskip("botocore.loaders")
    allowed = loaders.Loader().load_service_model("lambda", "service-2")["shapes"]["Runtime"]["enum"]
    assert KNOWN.keys() - set(allowed) <= {f"python{sys.version_info.major}.{sys.version_info.minor}"}


def test_the_default_of_a_function_is_known() -> None:
    """Whatever Python runs the emulator."""
    assert is_python(f"python{sys.version_info.major}.{sys.version_info.minor}")


@pytest.mark.parametrize("name", ["nodejs20.x", "provided.al2023", "python-of-mine", "python9.9"])
def test_python_is_what_aws_calls_so(name: str) -> None:
    """By the table and not by how a name begins."""
    assert not is_python(name)


@pytest.mark.parametrize(
    ("name", "message", "cure"),
    [
        ("cobol", "there is no runtime 'cobol'", "nodejs20.x"),
        ("go1.x", "AWS has ended the runtime go1.x", "provided.al2023"),
        ("java8", "AWS has ended the runtime java8", "java8.al2"),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(name: str, message: str, cure: str) -> None:
    """And with what became of those that many still name."""
    with pytest.raises(ConfigurationError) as caught:
        Runtimes().find(name)
    assert caught.value.message == message
    assert cure in caught.value.cure


def test_a_runtime_of_ones_own_is_found_beside_those_of_aws() -> None:
    """It has no version and no stand-in."""
    runtimes = Runtimes({"deno": own_runtime("deno", image="deno:1", command=("deno", "run", "$_HANDLER"))})
    found = runtimes.find("deno")
    assert (found.kind, found.image, found.stand_in) == (RuntimeKind.OWN, "deno:1", "")
    assert found.command == ("deno", "run", "$_HANDLER")
    assert runtimes.find("java17").kind is RuntimeKind.JAVA
    assert [runtime.name for runtime in runtimes] == [*KNOWN, "deno"]


def test_one_of_awss_may_have_another_image_and_stays_what_it_is() -> None:
    """Nothing stands in for an image that somebody has named."""
    found = own_runtime("nodejs22.x", image="mine:22")
    assert (found.kind, found.version, found.image, found.stand_in) == (RuntimeKind.NODEJS, "22", "mine:22", "")
    assert not found.is_of_lambda
    assert own_runtime("nodejs22.x", command=("bun", "run")).image == "public.ecr.aws/lambda/nodejs:22"


@pytest.mark.parametrize(
    ("name", "image", "command", "message"),
    [
        ("", "x", (), "'' is not a name for a runtime"),
        ("two words", "x", (), "'two words' is not a name for a runtime"),
        ("a" * 65, "x", (), "is not a name for a runtime"),
        ("deno", None, (), "runtime deno has neither an image nor a command"),
        ("deno", "", (), "runtime deno has neither an image nor a command"),
        ("deno", None, ("", "run"), "the command of runtime deno does not begin with a program"),
    ],
)
def test_what_is_no_runtime_is_refused(name: str, image: str | None, command: tuple[str, ...], message: str) -> None:
    """Each with its cure."""
    with pytest.raises(ConfigurationError) as caught:
        own_runtime(name, image=image, command=command)
    assert message in caught.value.message
    assert caught.value.cure
