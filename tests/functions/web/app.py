"""A function that answers HTTP requests: with its event, or as the body of the request says."""

import base64
import json
import time


def handler(event, context):
    body = event.get("body")
    if event.get("isBase64Encoded"):
        body = base64.b64decode(body).decode("latin-1")
    try:
        wish = json.loads(body or "")
    except ValueError:
        wish = None
    if not isinstance(wish, dict) or "do" not in wish:
        return event
    if wish["do"] == "fail":
        raise ValueError("no")
    if wish["do"] == "sleep":
        time.sleep(wish["seconds"])
    return wish["answer"]
