"""AWS's own client for Python, unmodified."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import boto3
from botocore.config import Config

from emulator import Emulator

__all__ = ["lambda_client"]


@contextmanager
def lambda_client(emulator: Emulator, **config: Any) -> Iterator[Any]:
    """boto3's client for Lambda; it does not try again, and its connections end with it.

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
    with closing(client):
        yield client
