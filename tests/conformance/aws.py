"""AWS's own client for Python, unmodified."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import boto3
from botocore.config import Config

from emulator import Emulator
from tests.conformance.shapes import check_answer

__all__ = ["lambda_client"]


@contextmanager
def lambda_client(emulator: Emulator, **config: Any) -> Iterator[Any]:
    """boto3's client for Lambda; it does not try again, and its connections end with it.

    Every answer that it gets is compared with the service model, which fails the test that has asked.

    Arguments:
        emulator: what it talks to.
        config: more of botocore's own settings.
    """
    client = boto3.client(
        "lambda",
        endpoint_url=emulator.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 0}, read_timeout=60, **config),
    )
    client.meta.events.register("response-received.lambda", _compare)
    with closing(client):
        yield client


def _compare(*, event_name: str, response_dict: dict[str, Any], **_: Any) -> None:
    headers = {str(key): str(value) for key, value in response_dict["headers"].items()}
    operation = event_name.rpartition(".")[2]
    body = response_dict["body"]
    check_answer(operation, response_dict["status_code"], headers, body if isinstance(body, bytes) else b"")
