"""Parameters of templates: their values, and what is none."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.errors import ConfigurationError
from emulator.template.intrinsics import Resolver
from emulator.template.parameters import looked_up, values_of


def value(table: dict[str, Any], given: str | None = None) -> str | list[str]:
    """That of the one parameter that there is."""
    return values_of({"Size": table}, {} if given is None else {"Size": given})["Size"]


@pytest.mark.parametrize(
    ("table", "given", "answer"),
    [
        ({"Default": True}, None, "true"),
        ({"Type": "Number", "Default": 5, "MinValue": 5, "MaxValue": "9"}, "9", "9"),
        ({"Type": "String", "MinLength": 2, "MaxLength": 3, "AllowedPattern": "[a-z]+"}, "abc", "abc"),
        ({"AllowedPattern": "(?<name>a)"}, "1", "1"),  # Java knows what it is
        ({"Type": "List<Number>", "MinValue": 1}, "1, 2", ["1", "2"]),
        ({"Type": "CommaDelimitedList", "AllowedValues": ["a", "b"]}, "b,a", ["b", "a"]),
        ({"Type": "AWS::SSM::Parameter::Value<List<String>>", "Default": "/x"}, "a,b", ["a", "b"]),
    ],
)
def test_what_is_given_goes_before_the_default(table: dict[str, Any], given: str | None, answer: object) -> None:
    """As a text, or as a list of texts."""
    assert value(table, given) == answer


@pytest.mark.parametrize(
    ("table", "given", "cure"),
    [
        ({}, None, "Give it one: --parameter Size=VALUE"),
        ({"AllowedValues": ["a", 2]}, "b", "The template allows a, 2."),
        ({"Type": "Number"}, "many", "It is a number."),
        ({"Type": "Number", "MinValue": 5}, "4", "The template wants at least 5."),
        ({"Type": "List<Number>", "MaxValue": 5}, "1,6", "The template wants at most 5."),
        ({"MinLength": 2}, "a", "The template wants at least 2 characters."),
        ({"AllowedPattern": "[a-z]+", "ConstraintDescription": "Small."}, "ab1", "AllowedPattern is [a-z]+ Small."),
        ({"MaxLength": 2, "Default": "abc"}, None, "The template wants at most 2 characters."),
    ],
)
def test_what_the_template_does_not_allow_is_refused(table: dict[str, Any], given: str | None, cure: str) -> None:
    """The cure says what it allows, in its author's words where there are some."""
    with pytest.raises(ConfigurationError, match="the parameter Size") as refused:
        value(table, given)
    assert cure in refused.value.cure


def test_what_only_aws_can_look_up_is_told() -> None:
    """The name of a parameter that AWS keeps stands for its value, until somebody gives one."""
    described = {"Key": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/shop/key"}, "Size": {"Default": 1}}
    assert values_of(described, {}) == {"Key": "/shop/key", "Size": "1"}
    assert looked_up(described, {}) == {"Key": "Ref Key (AWS::SSM::Parameter::Value<String> /shop/key)"}
    assert looked_up(described, {"Key": "x"}) == {}
    told: list[str] = []
    document = {"Parameters": described}
    resolver = Resolver(document, {}, region="eu-west-1", account="123456789012", unknown=told.append)
    assert told == []
    assert resolver.resolve({"Ref": "Key"}) == "/shop/key"
    assert told == list(looked_up(described, {}).values())
