"""Templates of AWS SAM and CloudFormation, as tables of the configuration."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from emulator.errors import ConfigurationError
from emulator.template import Template, is_template, read_template

SAM = """
    AWSTemplateFormatVersion: "2010-09-09"
    Transform: AWS::Serverless-2016-10-31
    Parameters:
      Stage: {Type: String, Default: dev, AllowedValues: [dev, prod]}
      Memory: {Type: Number, Default: 256}
    Conditions:
      IsProd: !Equals [!Ref Stage, prod]
    Globals:
      Function:
        Runtime: python3.11
        Timeout: 7
        Environment: {Variables: {STAGE: !Ref Stage}}
    Resources:
      Table: {Type: AWS::DynamoDB::Table}
      Shared:
        Type: AWS::Serverless::LayerVersion
        Properties: {ContentUri: layer/}
      Orders:
        Type: AWS::Serverless::Function
        Properties:
          CodeUri: src/
          Handler: app.handler
          MemorySize: !Ref Memory
          Layers: [!Ref Shared]
          Policies: [AWSLambdaBasicExecutionRole]
          FunctionUrlConfig: {AuthType: NONE, InvokeMode: BUFFERED, Cors: {AllowOrigins: ["https://shop.example"]}}
          Environment:
            Variables:
              TABLE: !Ref Table
              NEXT: !GetAtt Mailer.Arn
              GREETING: !Sub "${Stage}-${AWS::Region}"
              ONLY_PROD: !If [IsProd, "yes", !Ref AWS::NoValue]
          Events:
            Get: {Type: HttpApi, Properties: {Path: "/orders/{id}", Method: get}}
            Old: {Type: Api, Properties: {Path: /v1/orders, Method: post}}
            Nightly: {Type: Schedule, Properties: {Schedule: "rate(1 day)", Input: '{"all": true}'}}
            Queue: {Type: SQS, Properties: {Queue: "arn:aws:sqs:us-east-1:123456789012:q"}}
          EventInvokeConfig:
            MaximumRetryAttempts: 1
            DestinationConfig: {OnFailure: {Type: Lambda, Destination: !GetAtt Mailer.Arn}}
      Mailer:
        Type: AWS::Serverless::Function
        Properties: {FunctionName: !Sub "mailer-${Stage}", CodeUri: mailer, Handler: m.handler, Timeout: 30}
      Audit:
        Type: AWS::Serverless::Function
        Condition: IsProd
        Properties: {CodeUri: audit, Handler: a.handler}
"""


def _read(tmp_path: Path, text: str, name: str = "template.yaml", **parameters: str) -> Template:
    path = tmp_path / name
    path.write_text(dedent(text))
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return read_template(path, parameters, scratch, region="us-east-1", account="123456789012")


def _function(template: Template, name: str) -> dict[str, Any]:
    found: dict[str, Any] = template.tables["functions"][name]
    return found


def test_a_function_has_what_the_template_says(tmp_path: Path) -> None:
    """Globals, parameters, layers, URL and asynchronous settings come to the tables of the configuration."""
    orders = _function(_read(tmp_path, SAM), "Orders")
    assert orders == {
        "code": str(tmp_path / "src"),
        "handler": "app.handler",
        "runtime": "python3.11",
        "memory": 256,
        "timeout": 7,
        "layers": [str(tmp_path / "layer")],
        "environment": {
            "STAGE": "dev",
            "TABLE": "Table",
            "NEXT": "arn:aws:lambda:us-east-1:123456789012:function:mailer-dev",
            "GREETING": "dev-us-east-1",
        },
        "url": {"auth": "NONE", "invoke_mode": "BUFFERED", "cors": {"allow_origins": ["https://shop.example"]}},
        "asynchronous": {"retries": 1, "on_failure": "function:mailer-dev"},
    }


def test_a_functions_own_values_go_before_globals(tmp_path: Path) -> None:
    """By AWS's own rules, and a name that is put together is a name."""
    assert _function(_read(tmp_path, SAM), "mailer-dev")["timeout"] == 30


def test_conditions_and_parameters(tmp_path: Path) -> None:
    """A parameter that is given goes before its default, and decides which resources and values there are."""
    template = _read(tmp_path, SAM, Stage="prod", Memory="512")
    assert set(template.tables["functions"]) == {"Orders", "mailer-prod", "Audit"}
    assert _function(template, "Orders")["memory"] == 512
    assert _function(template, "Orders")["environment"]["ONLY_PROD"] == "yes"


def test_events_are_routes_and_schedules(tmp_path: Path) -> None:
    """HTTP APIs have payload 2.0, REST APIs 1.0 and a stage; schedules their input."""
    tables = _read(tmp_path, SAM).tables
    assert tables["routes"] == [
        {"function": "Orders", "method": "GET", "path": "/orders/{id}", "version": "2.0"},
        {"function": "Orders", "method": "POST", "path": "/v1/orders", "version": "1.0", "stage": "Prod"},
    ]
    assert tables["schedules"] == [
        {"name": "OrdersNightly", "function": "Orders", "expression": "rate(1 day)", "input": '{"all": true}'}
    ]


def test_what_has_no_effect_is_told_once(tmp_path: Path) -> None:
    """Resources, properties and events that nothing here stands for, and references that only AWS can answer."""
    assert _read(tmp_path, SAM).passed_over == (
        "Table (AWS::DynamoDB::Table)",
        "Ref Table",
        "Orders.Policies",
        "Orders.Events.Queue (SQS)",
    )


def test_what_guards_an_api_is_told(tmp_path: Path) -> None:
    """Whoever has an authorizer, or ways in a document of their own, hears that they are not here; so of aliases."""
    text = """
        Resources:
          Web: {Type: AWS::Serverless::HttpApi, Properties: {Auth: {DefaultAuthorizer: own}, StageName: dev}}
          Rest: {Type: AWS::Serverless::Api, Properties: {StageName: dev, DefinitionUri: api.yaml, Cors: "'*'"}}
          A:
            Type: AWS::Serverless::Function
            Properties:
              CodeUri: src
              Handler: app.handler
              AutoPublishAlias: live
              Events: {Get: {Type: HttpApi, Properties: {Path: /, Method: get, Auth: {Authorizer: NONE}}}}
    """
    told = _read(tmp_path, text).passed_over
    assert told == ("Web.Auth", "Rest.Cors", "Rest.DefinitionUri", "A.AutoPublishAlias", "A.Events.Get.Auth")


PLAIN = """
    Resources:
      Hello:
        Type: AWS::Lambda::Function
        Properties:
          FunctionName: hello
          Runtime: python3.12
          Handler: index.handler
          Code: {ZipFile: "def handler(event, context): return 1\\n"}
      Link: {Type: AWS::Lambda::Url, Properties: {TargetFunctionArn: !GetAtt Hello.Arn, AuthType: NONE}}
      Api: {Type: AWS::ApiGatewayV2::Api, Properties: {ProtocolType: HTTP}}
      Joint:
        Type: AWS::ApiGatewayV2::Integration
        Properties: {ApiId: !Ref Api, IntegrationUri: !GetAtt Hello.Arn, PayloadFormatVersion: "2.0"}
      Way:
        Type: AWS::ApiGatewayV2::Route
        Properties: {ApiId: !Ref Api, RouteKey: "GET /hello", Target: !Join [/, [integrations, !Ref Joint]]}
      Rest: {Type: AWS::ApiGateway::RestApi}
      Users: {Type: AWS::ApiGateway::Resource, Properties: {ParentId: !GetAtt Rest.RootResourceId, PathPart: users}}
      User: {Type: AWS::ApiGateway::Resource, Properties: {ParentId: !Ref Users, PathPart: "{id}"}}
      GetUser:
        Type: AWS::ApiGateway::Method
        Properties:
          HttpMethod: GET
          ResourceId: !Ref User
          Integration:
            Uri: !Sub "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Hello.Arn}/invocations"
      Rule:
        Type: AWS::Events::Rule
        Properties: {ScheduleExpression: "cron(0 3 * * ? *)", Targets: [{Id: one, Arn: !GetAtt Hello.Arn}]}
      Later:
        Type: AWS::Scheduler::Schedule
        Properties:
          ScheduleExpression: at(2030-01-01T00:00:00)
          ScheduleExpressionTimezone: Europe/Berlin
          Target: {Arn: !GetAtt Hello.Arn, Input: "[1]"}
"""


def test_plain_cloudformation(tmp_path: Path) -> None:
    """Inline code becomes a file; URLs, routes of both kinds of API, rules and schedules find their function."""
    template = _read(tmp_path, PLAIN)
    hello = _function(template, "hello")
    assert (Path(hello["code"]) / "index.py").read_text() == "def handler(event, context): return 1\n"
    assert hello["url"] == {"auth": "NONE"}
    assert template.tables["routes"] == [
        {"function": "hello", "method": "GET", "path": "/hello", "version": "2.0"},
        {"function": "hello", "method": "GET", "path": "/users/{id}", "version": "1.0", "stage": "Prod"},
    ]
    assert template.tables["schedules"] == [
        {"name": "Rule", "function": "hello", "expression": "cron(0 3 * * ? *)"},
        {
            "name": "Later",
            "function": "hello",
            "expression": "at(2030-01-01T00:00:00)",
            "source": "aws.scheduler",
            "timezone": "Europe/Berlin",
            "input": "[1]",
        },
    ]
    assert template.passed_over == ()


def test_a_rule_may_have_several_targets(tmp_path: Path) -> None:
    """Each is a schedule with a name of its own; a rule without a time is told."""
    text = (
        PLAIN
        + """
      Both:
        Type: AWS::Events::Rule
        Properties:
          ScheduleExpression: rate(1 hour)
          Targets: [{Id: one, Arn: !GetAtt Hello.Arn}, {Id: two, Arn: !GetAtt Hello.Arn}]
      Uploads: {Type: AWS::Events::Rule, Properties: {EventPattern: {source: [aws.s3]}}}
    """
    )
    template = _read(tmp_path, text)
    assert [table["name"] for table in template.tables["schedules"]] == ["Rule", "Later", "Both-one", "Both-two"]
    assert template.passed_over == ("Uploads (AWS::Events::Rule with an EventPattern)",)


def test_what_cdk_has_made_is_read(tmp_path: Path) -> None:
    """Code and layers lie beside the template, and are uploaded from there: Metadata says where."""
    text = """
        Resources:
          Fn:
            Type: AWS::Lambda::Function
            Properties: {Code: {S3Bucket: b, S3Key: k.zip}, Handler: a.h, Runtime: python3.12, Layers: [!Ref Lay]}
            Metadata: {"aws:asset:path": asset.0, "aws:asset:is-bundled": false, "aws:asset:property": Code}
          Lay:
            Type: AWS::Lambda::LayerVersion
            Properties: {Content: {S3Bucket: b, S3Key: l.zip}}
            Metadata: {"aws:asset:path": asset.1.zip, "aws:asset:property": Content}
    """
    function = _function(_read(tmp_path, text), "Fn")
    assert (function["code"], function["layers"]) == (str(tmp_path / "asset.0"), [str(tmp_path / "asset.1.zip")])


def test_json_is_read_as_well(tmp_path: Path) -> None:
    """CloudFormation takes both."""
    text = '{"Resources": {"A": {"Type": "AWS::Lambda::Function", "Properties": {"Code": "a", "Handler": "a.b"}}}}'
    assert _function(_read(tmp_path, text, "template.json"), "A")["code"] == str(tmp_path / "a")


def test_an_image_names_its_overrides(tmp_path: Path) -> None:
    """A function image has no folder of its own, and may have another command."""
    text = """
        Resources:
          A:
            Type: AWS::Serverless::Function
            Properties:
              PackageType: Image
              ImageUri: shop:1
              ImageConfig: {Command: [app.other], WorkingDirectory: /app}
    """
    function = _function(_read(tmp_path, text), "A")
    assert (function["image"], function["command"], function["working_directory"]) == ("shop:1", ["app.other"], "/app")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Resources: [", "cannot be parsed"),
        ("Hello: 1", "has no Resources"),
        ("Parameters: {Key: {Type: String}}\nResources: {}", "the parameter Key has no default"),
        ("Resources: {A: {Properties: {}}}", "the resource A has no Type"),
        ("Resources: {A: {Type: AWS::Lambda::Function, Properties: {Code: {S3Bucket: b}}}}", "lies elsewhere"),
        ("Resources: {A: {Type: AWS::Serverless::Function, Properties: {Timeout: soon}}}", "Timeout is 'soon'"),
        (
            "Resources: {A: {Type: AWS::Serverless::Function, Properties: {Handler: !Ref B}}}",
            "Ref B: the template has no",
        ),
        ("Resources: {A: {Type: AWS::Serverless::Function, Properties: {Events: [1]}}}", "another shape"),
        ("Resources: {A: {Type: AWS::Serverless::Function, Condition: C}}", "there is no condition 'C'"),
        ("Conditions: {C: !Condition C}\nResources: {A: {Type: X, Condition: C}}", "asks for itself"),
        (
            "Resources: {A: {Type: AWS::Serverless::Function, Properties: {Environment: {Variables: {KEY: }}}}}",
            "A: the variable KEY is None",
        ),
        (
            (
                "Resources: {A: {Type: AWS::Serverless::Function}, "
                "B: {Type: AWS::Serverless::Function, Properties: {FunctionName: !Ref A}}}"
            ),
            "two functions are called A",
        ),
        ("Globals: {Function: {Nonsense: 1}}\nResources: {}", "Nonsense"),
    ],
)
def test_a_wrong_template_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """With the file, what is wrong in it, and a cure."""
    with pytest.raises(ConfigurationError, match=told) as refused:
        _read(tmp_path, text)
    assert "template.yaml" in refused.value.message
    assert refused.value.cure


@pytest.mark.parametrize(
    ("given", "told"), [({"Stage": "test"}, "allows dev, prod"), ({"Stge": "dev"}, "It has Stage")]
)
def test_wrong_parameters_are_refused(tmp_path: Path, given: dict[str, str], told: str) -> None:
    """A value that the template does not allow, and a name that it does not have."""
    with pytest.raises(ConfigurationError) as refused:
        _read(tmp_path, SAM, **given)
    assert told in refused.value.cure


def test_a_file_is_a_template_by_its_name() -> None:
    """Everything else is a configuration file."""
    assert is_template(Path("template.yml"))
    assert not is_template(Path("lambda-freezer.toml"))
