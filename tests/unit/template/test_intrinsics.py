"""CloudFormation's intrinsic functions."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.errors import ConfigurationError
from emulator.template.intrinsics import Resolver

TEMPLATE: dict[str, Any] = {
    "Parameters": {"Name": {"Default": "shop"}, "Zones": {"Type": "CommaDelimitedList", "Default": "a, b"}},
    "Mappings": {"Sizes": {"dev": {"memory": 256}}},
    "Conditions": {
        "Yes": {"Fn::Equals": [{"Ref": "Name"}, "shop"]},
        "No": {"Fn::Not": [{"Condition": "Yes"}]},
        "Both": {"Fn::And": [{"Condition": "Yes"}, {"Condition": "No"}]},
        "Either": {"Fn::Or": [{"Condition": "Yes"}, {"Condition": "No"}]},
    },
    "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}, "F": {"Type": "AWS::Lambda::Function"}},
}


def _resolver(unknown: list[str] | None = None) -> Resolver:
    told = unknown if unknown is not None else []
    return Resolver(TEMPLATE, {}, region="eu-west-1", account="123456789012", unknown=told.append)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"Ref": "Name"}, "shop"),
        ({"Ref": "Zones"}, ["a", "b"]),
        ({"Ref": "AWS::Region"}, "eu-west-1"),
        ({"Ref": "F"}, "F"),
        ({"Fn::GetAtt": "F.Arn"}, "arn:aws:lambda:eu-west-1:123456789012:function:F"),
        ({"Fn::GetAtt": ["F", "Arn"]}, "arn:aws:lambda:eu-west-1:123456789012:function:F"),
        ({"Fn::Sub": "${Name}-${AWS::AccountId}-${!Kept}"}, "shop-123456789012-${Kept}"),
        ({"Fn::Sub": ["${a}/${Name}", {"a": {"Ref": "AWS::Partition"}}]}, "aws/shop"),
        ({"Fn::Join": ["-", ["x", {"Ref": "Name"}, 1]]}, "x-shop-1"),
        ({"Fn::Select": [1, {"Ref": "Zones"}]}, "b"),
        ({"Fn::Split": [",", "a,b"]}, ["a", "b"]),
        ({"Fn::FindInMap": ["Sizes", "dev", "memory"]}, 256),
        ({"Fn::FindInMap": ["Sizes", "x", "memory", {"DefaultValue": 1}]}, 1),
        ({"Fn::Base64": "abc"}, "YWJj"),
        ({"Fn::Length": {"Ref": "Zones"}}, 2),
        ({"Fn::ToJsonString": {"name": {"Ref": "Name"}}}, '{"name":"shop"}'),
        ({"Fn::If": ["Yes", 1, 2]}, 1),
        ({"Fn::If": ["No", 1, 2]}, 2),
        ({"Fn::If": ["Both", 1, 2]}, 2),
        ({"Fn::If": ["Either", 1, 2]}, 1),
        ({"a": {"Ref": "AWS::NoValue"}, "b": [{"Ref": "AWS::NoValue"}, 3]}, {"b": [3]}),
    ],
)
def test_answers(asked: Any, answer: Any) -> None:
    """As CloudFormation answers, wherever they stand."""
    assert _resolver().resolve({"Value": asked}).get("Value") == answer


def test_what_only_aws_knows_is_told() -> None:
    """A text stands for it, and somebody hears of it."""
    told: list[str] = []
    answered = _resolver(told).resolve([{"Ref": "Topic"}, {"Fn::GetAtt": "Topic.TopicName"}, {"Fn::ImportValue": "x"}])
    assert answered == ["Topic", "Topic.TopicName", "Fn::ImportValue"]
    assert told == ["Ref Topic", "GetAtt Topic.TopicName", "Fn::ImportValue x"]
    told.clear()
    assert _resolver(told).resolve("a{{resolve:ssm:/x:1}}b") == "a{{resolve:ssm:/x:1}}b"
    assert told == ["{{resolve:ssm:/x:1}}"]


def test_names_that_ask_for_each_other_are_refused() -> None:
    """With the way that they take."""
    resources = {
        "A": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": {"Ref": "B"}}},
        "B": {"Type": "AWS::Lambda::Function", "Properties": {"FunctionName": {"Fn::Sub": "${A}-b"}}},
    }
    resolver = Resolver({"Resources": resources}, {}, region="eu-west-1", account="1", unknown=lambda what: None)
    with pytest.raises(ConfigurationError, match="the name of A asks for itself: A -> B -> A"):
        resolver.resolve({"Ref": "A"})


def test_what_sam_makes_is_told() -> None:
    """An implicit API, a function's role or URL are in no template, and no mistake either."""
    told: list[str] = []
    document = {"Resources": {"F": {"Type": "AWS::Serverless::Function"}}}
    resolver = Resolver(document, {}, region="eu-west-1", account="123456789012", unknown=told.append)
    assert resolver.resolve({"Fn::Sub": "${ServerlessRestApi}/${FRole.Arn}"}) == "ServerlessRestApi/FRole.Arn"
    assert told == ["Ref ServerlessRestApi", "GetAtt FRole.Arn"]


@pytest.mark.parametrize(
    "asked", [{"Ref": "Nobody"}, {"Fn::GetAtt": "Nobody.Arn"}, {"Fn::GetAtt": "F"}, {"Fn::Select": [5, ["a"]]}]
)
def test_what_the_template_does_not_have_is_refused(asked: Any) -> None:
    """With a cure, instead of an empty text in some variable."""
    with pytest.raises(ConfigurationError) as refused:
        _resolver().resolve(asked)
    assert refused.value.cure
