"""Tags of functions."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.errors import FunctionNotFoundError, InvalidParameterValueError, ValidationError
from tests.unit.control.play import ARN, Play, refused


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """A control plane over nothing."""
    return Play(tmp_path)


def test_a_life(play: Play) -> None:
    """[R] LS:test_tag_lifecycle: added, overwritten, taken away, and none of those is missed."""
    assert play.ask("ListTags", Resource=ARN) == {"Tags": {}}
    play.ask("TagResource", Resource=ARN, Tags={"a": "1", "b": "2"})
    play.ask("TagResource", Resource=ARN, Tags={"b": "3"})
    assert play.ask("ListTags", Resource=ARN) == {"Tags": {"a": "1", "b": "3"}}
    revision = play.record.latest.revision
    assert revision != "revision-of-$LATEST"
    play.ask("UntagResource", Resource=ARN, TagKeys=["a", "nothing"])
    assert play.ask("ListTags", Resource=ARN) == {"Tags": {"b": "3"}}
    assert play.record.latest.revision != revision


def test_what_is_refused(play: Play) -> None:
    """[R] LS:test_tag_exceptions, test_tag_limits."""
    words = "Tags on function aliases and versions are not supported. Please specify a function ARN."
    for qualifier in ("1", "$LATEST", "nothing"):
        message = refused(
            play, InvalidParameterValueError, "TagResource", Resource=f"{ARN}:{qualifier}", Tags={"a": "b"}
        )
        assert message == words
    nobody = ARN.replace("orders", "nobody")
    for operation, more in (("ListTags", {}), ("TagResource", {"Tags": {}}), ("UntagResource", {"TagKeys": ["a"]})):
        message = refused(play, FunctionNotFoundError, operation, Resource=nobody, **more)
        assert message == f"Function not found: {nobody}"
    message = refused(play, InvalidParameterValueError, "TagResource", Resource=ARN, Tags={})
    assert message == "An error occurred and the request cannot be processed."
    message = refused(play, ValidationError, "UntagResource", Resource=ARN, TagKeys=[])
    assert message.endswith("Value null at 'tagKeys' failed to satisfy constraint: Member must not be null")
    refused(play, ValidationError, "ListTags", Resource="arn:aws:something")


def test_fifty_at_most(play: Play) -> None:
    """The fifty-first is refused, with all that came with it."""
    play.ask("TagResource", Resource=ARN, Tags={f"k{number}": "v" for number in range(50)})
    message = refused(play, InvalidParameterValueError, "TagResource", Resource=ARN, Tags={"one": "more", "k1": "x"})
    assert message == "Number of tags exceeds resource tag limit."
    assert play.record.tags["k1"] == "v"
