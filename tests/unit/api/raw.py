"""Requests as bytes, and whether the door of a connection serves each of them itself."""

from __future__ import annotations

import json

__all__ = ["INVOKE", "PATHS", "REQUESTS", "raw_request"]

INVOKE = "/2015-03-31/functions/{}/invocations"
# Each says whether the front serves it itself.
REQUESTS = {
    "plain": (True, [], b'{"do": "echo", "text": "\xe2\x9c\x93"}'),
    "without a payload": (True, [], b""),
    "an error of the function": (True, [], b'{"do": "fail", "message": "no"}'),
    "no json": (True, [], b"{"),
    "more than a client may send": (True, [], b'"' + b"x" * (6 * 2**20) + b'"'),
    "a large one": (True, [], json.dumps({"do": "echo", "text": "x" * 3_000_000}).encode()),
    "asynchronous": (True, ["X-Amz-Invocation-Type: Event"], b'{"do": "count"}'),
    "asynchronous and too large": (True, ["X-Amz-Invocation-Type: Event"], b'"' + b"x" * 2**20 + b'"'),
    "a dry run": (True, ["X-Amz-Invocation-Type: DryRun"], b"{}"),
    "a type that there is not": (True, ["x-amz-invocation-type: Later"], b"{}"),
    "a log type that there is not": (True, ["X-Amz-Log-Type: Head"], b"{}"),
    "a client context": (True, ["X-Amz-Client-Context: eyJhIjogMX0="], b'{"do": "echo"}'),
    "a client context that is none": (True, ["X-Amz-Client-Context: {}"], b'{"do": "echo"}'),
    "a trace id": (True, ["X-Amzn-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793"], b'{"do": "echo"}'),
    "a kept connection": (True, ["Connection: Keep-Alive"], b'{"do": "echo"}'),
    "headers in another spelling": (True, ["CONTENT-type:application/json", "x-other:  a b \t"], b'{"do": "echo"}'),
    "a client that waits for leave": (False, ["Expect: 100-continue"], b'{"do": "echo"}'),
    "a connection that ends": (False, ["Connection: close"], b'{"do": "echo"}'),
    "an offer of another protocol": (False, ["Connection: Upgrade", "Upgrade: other"], b'{"do": "echo"}'),
    "from a page": (False, ["Origin: http://a"], b'{"do": "echo"}'),
    "from a browser": (False, ["sec-fetch-site: same-origin"], b'{"do": "echo"}'),
    "a header twice": (False, ["X-A: 1", "X-A: 2"], b'{"do": "echo"}'),
    "a header of two lines": (False, ["X-A: 1\r\n and more"], b'{"do": "echo"}'),
    "a header that is none": (False, ["X A: 1"], b'{"do": "echo"}'),
}
PATHS = {
    "a qualifier": (True, INVOKE.format("front") + "?Qualifier=%24LATEST"),
    "one that there is not": (True, INVOKE.format("front") + "?Qualifier=7"),
    "an arn": (True, INVOKE.format("arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Afront")),
    "another slash": (True, INVOKE.format("front") + "/"),
    "no such function": (True, INVOKE.format("missing")),
    "no name": (True, INVOKE.format("a%20b")),
    "another operation": (False, INVOKE.format("front").replace("invocations", "nowhere")),
    "nothing": (False, "/nothing"),
}


def raw_request(path: str, lines: list[str], payload: bytes) -> bytes:
    """A ``POST``, whole."""
    head = [f"POST {path} HTTP/1.1", "Host: a", *lines, f"Content-Length: {len(payload)}", "", ""]
    return "\r\n".join(head).encode() + payload
