"""CloudFormation's intrinsic functions, as far as a single template can answer them. Pure.

[D] CloudFormation user guide, intrinsic function reference and pseudo parameters.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from emulator.errors import ConfigurationError
from emulator.template.parameters import as_text, looked_up, values_of

__all__ = ["NO_VALUE", "Resolver", "function_name_of"]

NO_VALUE = object()
"""What ``AWS::NoValue`` comes to: the property is as if it were not there."""

_STACK = "lambda-freezer"
_VARIABLE = re.compile(r"\$\{(!?)([^}]*)\}")
_FUNCTIONS = ("AWS::Serverless::Function", "AWS::Lambda::Function")
# Read by their ids; nobody asks for more of them.
_OF_APIS = ("AWS::ApiGateway::", "AWS::ApiGatewayV2::", "AWS::Serverless::Api", "AWS::Serverless::HttpApi")
_SAMS_OWN = ("ServerlessRestApi", "ServerlessHttpApi", "ServerlessDeploymentApplication")
_DEEPEST = 50  # of conditions that ask for each other
_DYNAMIC = re.compile(r"\{\{resolve:[^}]*\}\}")  # [D] secrets and parameters, which AWS looks up


def function_name_of(logical_id: str, resource: Mapping[str, Any]) -> str:
    """The name that a function has here. DIFFERS: without one of its own AWS makes one of stack, id and chance."""
    name = (resource.get("Properties") or {}).get("FunctionName")
    return name if isinstance(name, str) else logical_id


class Resolver:
    """Answers the intrinsic functions of one template.

    Arguments:
        parameters: values by name; what is not given has the template's default.
        unknown: told of what only AWS could answer, as ``Ref Orders`` or ``GetAtt Orders.StreamArn``; a text that
            stands for it is used.

    Raises:
        ConfigurationError: a parameter has neither a value nor a default, or a value that the template refuses.
    """

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, str],
        *,
        region: str,
        account: str,
        unknown: Callable[[str], None],
    ) -> None:
        self._resources: Mapping[str, Any] = template.get("Resources") or {}
        self._mappings: Mapping[str, Any] = template.get("Mappings") or {}
        self._conditions: Mapping[str, Any] = template.get("Conditions") or {}
        self._region, self._account, self._unknown = region, account, unknown
        self._asked: list[str] = []  # conditions that are being answered
        self._named: list[str] = []  # functions whose names are being answered
        self._values: dict[str, Any] = {
            "AWS::AccountId": account,
            "AWS::NoValue": NO_VALUE,
            "AWS::NotificationARNs": [],
            "AWS::Partition": "aws",
            "AWS::Region": region,
            "AWS::StackId": f"arn:aws:cloudformation:{region}:{account}:stack/{_STACK}/{_STACK}",
            "AWS::StackName": _STACK,
            "AWS::URLSuffix": "amazonaws.com",
            **values_of(template.get("Parameters") or {}, parameters),
        }
        self._looked_up = looked_up(template.get("Parameters") or {}, parameters)

    def resolve(self, value: Any) -> Any:
        """A part of the template with every intrinsic function answered; members without a value are left out."""
        if isinstance(value, list):
            found = [self.resolve(each) for each in value]
            return [each for each in found if each is not NO_VALUE]
        if isinstance(value, str):
            for reference in _DYNAMIC.findall(value):
                self._unknown(reference)
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if (answer := self._answers().get(name)) is not None:
                return answer(argument)
            if isinstance(name, str) and name.startswith("Fn::"):
                return self._unanswered(f"{name} {argument}", name)
        members = {key: self.resolve(each) for key, each in value.items()}
        return {key: each for key, each in members.items() if each is not NO_VALUE}

    def holds(self, condition: str) -> bool:
        """Whether a condition of the template is met.

        Raises:
            ConfigurationError: there is none of that name, or it asks for itself.
        """
        if condition not in self._conditions:
            raise ConfigurationError(
                f"there is no condition {condition!r}", cure="Conditions of the template has them."
            )
        if condition in self._asked or len(self._asked) > _DEEPEST:
            raise ConfigurationError(
                f"condition {condition!r} asks for itself", cure="Take the circle out of Conditions."
            )
        self._asked.append(condition)
        try:
            return bool(self._truth(self._conditions[condition]))
        finally:
            self._asked.pop()

    def _answers(self) -> Mapping[str, Callable[[Any], Any]]:
        return {
            "Ref": self._ref,
            "Condition": lambda argument: self.holds(str(argument)),
            "Fn::GetAtt": self._attribute,
            "Fn::Sub": self._substitute,
            "Fn::Join": self._join,
            "Fn::Split": self._split,
            "Fn::Select": self._select,
            "Fn::FindInMap": self._find_in_map,
            "Fn::Base64": lambda argument: base64.b64encode(str(self.resolve(argument)).encode()).decode(),
            "Fn::If": self._if,
            "Fn::Equals": self._truth_of("Fn::Equals"),
            "Fn::And": self._truth_of("Fn::And"),
            "Fn::Or": self._truth_of("Fn::Or"),
            "Fn::Not": self._truth_of("Fn::Not"),
            "Fn::Length": lambda argument: len(self.resolve(argument)),
            "Fn::ToJsonString": lambda argument: json.dumps(self.resolve(argument), separators=(",", ":")),
            "Fn::GetAZs": lambda _: [f"{self._region}{zone}" for zone in "abc"],
        }

    # -- what is referred to -----------------------------------------------------------------------------

    def _ref(self, name: Any) -> Any:
        if name in self._looked_up:
            self._unknown(self._looked_up[name])
        if name in self._values:
            return self._values[name]
        resource = self._resources.get(name)
        if resource is None and self._is_made_by_sam(str(name)):
            return self._unanswered(f"Ref {name}", str(name))
        if resource is None:
            raise ConfigurationError(
                f"Ref {name}: the template has no parameter and no resource of that name",
                cure="Correct the name, or describe it in Parameters.",
            )
        if resource.get("Type") in _FUNCTIONS:
            return self._name_of(name)
        if resource.get("Type") in ("AWS::Serverless::LayerVersion", "AWS::Lambda::LayerVersion"):
            return f"arn:aws:lambda:{self._region}:{self._account}:layer:{name}:1"
        if str(resource.get("Type")).startswith(_OF_APIS):
            return str(name)
        return self._unanswered(f"Ref {name}", str(name))

    def _attribute(self, argument: Any) -> Any:
        parts = argument.split(".", 1) if isinstance(argument, str) else [self.resolve(part) for part in argument]
        if len(parts) != 2:
            raise ConfigurationError(
                f"GetAtt {argument!r} names no attribute", cure="Write !GetAtt Resource.Attribute."
            )
        name, attribute = str(parts[0]), str(parts[1])
        resource = self._resources.get(name)
        if resource is None and self._is_made_by_sam(name):
            return self._unanswered(f"GetAtt {name}.{attribute}", f"{name}.{attribute}")
        if resource is None:
            raise ConfigurationError(
                f"GetAtt {name}.{attribute}: the template has no resource {name}", cure="Correct the name."
            )
        if resource.get("Type") in _FUNCTIONS and attribute == "Arn":
            return f"arn:aws:lambda:{self._region}:{self._account}:function:{self._name_of(name)}"
        if str(resource.get("Type")).startswith(_OF_APIS):
            return f"{name}.{attribute}"
        return self._unanswered(f"GetAtt {name}.{attribute}", f"{name}.{attribute}")

    def _is_made_by_sam(self, name: str) -> bool:
        """Resources that are in no template: AWS makes them of those that are [D]."""
        return name in _SAMS_OWN or any(
            name.startswith(key) and resource.get("Type", "").startswith("AWS::Serverless::")
            for key, resource in self._resources.items()
        )

    def _name_of(self, logical_id: str) -> str:
        if logical_id in self._named:
            circle = " -> ".join([*self._named, logical_id])
            raise ConfigurationError(
                f"the name of {logical_id} asks for itself: {circle}", cure="Take the circle out of FunctionName."
            )
        self._named.append(logical_id)
        try:
            resource = self._resources[logical_id]
            properties = {"FunctionName": self.resolve((resource.get("Properties") or {}).get("FunctionName"))}
            return function_name_of(logical_id, {"Properties": properties})
        finally:
            self._named.pop()

    def _unanswered(self, what: str, stand_in: str) -> str:
        self._unknown(what)
        return stand_in

    # -- texts and lists ---------------------------------------------------------------------------------

    def _substitute(self, argument: Any) -> str:
        text, own = argument if isinstance(argument, list) else (argument, {})
        values = {name: self.resolve(value) for name, value in own.items()}

        def value_of(found: re.Match[str]) -> str:
            literal, name = found[1], found[2].strip()
            if literal:
                return f"${{{found[2]}}}"
            value = values[name] if name in values else self._attribute(name) if "." in name else self._ref(name)
            return "" if value is NO_VALUE else as_text(value)

        return _VARIABLE.sub(value_of, str(text))

    def _join(self, argument: Any) -> str:
        between, parts = argument
        return str(between).join(as_text(part) for part in self.resolve(parts))

    def _split(self, argument: Any) -> list[str]:
        between, text = argument
        return str(self.resolve(text)).split(str(between))

    def _select(self, argument: Any) -> Any:
        index, choices = self.resolve(argument[0]), self.resolve(argument[1])
        try:
            return choices[int(index)]
        except (IndexError, ValueError, TypeError):
            raise ConfigurationError(f"Select {index} of {choices!r}: there is none", cure="Count from 0.") from None

    def _find_in_map(self, argument: Any) -> Any:
        keys = [self.resolve(part) for part in argument[:3]]
        found: Any = self._mappings
        for key in keys:
            found = found.get(str(key)) if isinstance(found, Mapping) else None
        if found is not None:
            return found
        if len(argument) > 3 and "DefaultValue" in argument[3]:
            return self.resolve(argument[3]["DefaultValue"])
        raise ConfigurationError(f"FindInMap {keys}: Mappings has no such value", cure="Add it, or correct the keys.")

    # -- conditions --------------------------------------------------------------------------------------

    def _if(self, argument: Any) -> Any:
        condition, yes, no = argument
        return self.resolve(yes if self.holds(str(condition)) else no)

    def _truth_of(self, name: str) -> Callable[[Any], bool]:
        return lambda argument: self._truth({name: argument})

    def _truth(self, value: Any) -> bool:
        name, argument = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else ("", [])
        match name:
            case "Fn::Equals":
                left, right = (self.resolve(each) for each in argument)
                return as_text(left) == as_text(right)
            case "Fn::And":
                return all(self._truth(each) for each in argument)
            case "Fn::Or":
                return any(self._truth(each) for each in argument)
            case "Fn::Not":
                return not self._truth(argument[0])
            case "Condition":
                return self.holds(str(argument))
        raise ConfigurationError(
            f"{value!r} is no condition", cure="A condition is Fn::Equals, Fn::And, Fn::Or, Fn::Not or Condition."
        )
