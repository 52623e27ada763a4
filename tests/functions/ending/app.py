"""A function at its end: with an extension of its own that knows no events, and deaf to SIGTERM if it is told so."""

import http.client
import json
import os
import signal
import threading


def call(connection, method, path, body=None, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, f"/2020-01-01/extension/{path}", body, names)
    return connection.getresponse()


def extend():
    """As libraries do that want SIGTERM: register, and ask for an event that never comes."""
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    answer = call(api, "POST", "register", json.dumps({"events": []}), Lambda_Extension_Name="no-op")
    answer.read()
    identifier = answer.getheader("Lambda-Extension-Identifier")
    wait = {"Lambda_Extension_Identifier": identifier}
    threading.Thread(target=call, args=(api, "GET", "event/next"), kwargs=wait, daemon=True).start()


if os.environ.get("NO_OP"):
    extend()
if os.environ.get("DEAF"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def handler(event, context):
    return os.getpid()
