"""What the checks of the conformance list need of a function, one handler each."""

import http.client
import json
import os
import tempfile
import threading
import time

answer = 0
asked = {}
time.sleep(float(os.environ.get("INIT_SECONDS", "0")))


def remember(event, context):
    """A global and a file; then too long a sleep, if one is wanted."""
    global answer
    before = {"global": answer, "file": os.path.exists(os.path.join(tempfile.gettempdir(), "kept"))}
    answer = 42
    with open(os.path.join(tempfile.gettempdir(), "kept"), "w") as file:
        file.write("kept")
    time.sleep(event.get("sleep", 0))
    return before


def tick(event, context):
    """A thread that goes on after the handler has returned."""
    if event == "begin":
        threading.Thread(target=_ticks, daemon=True).start()
    time.sleep(0.25)


def _ticks():
    while True:
        print(f"tick {time.time()}", flush=True)
        time.sleep(0.1)


def say_and_wait(event, context):
    print(f"environment {context.log_stream_name}")
    time.sleep(event.get("sleep", 0))


def late_at_first(event, context):
    """Takes too long the first time."""
    kept = os.path.join(tempfile.gettempdir(), f"late-{context.function_name}")
    if not os.path.exists(kept):
        with open(kept, "w") as file:
            file.write(context.aws_request_id)
        time.sleep(60)
    with open(kept) as file:
        return file.read() == context.aws_request_id


def ask_late(event, context):
    """Calls of the Extensions API and the Telemetry API that come too late."""
    return {
        "register": call("POST", "/2020-01-01/extension/register", "late", {"events": ["INVOKE"]}),
        "telemetry": call(
            "PUT",
            "/2022-07-01/telemetry",
            None,
            {
                "schemaVersion": "2022-12-13",
                "types": ["platform"],
                "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080"},
            },
            identifier=asked.get("identifier"),
        ),
        **asked,
    }


def call(method, path, name, body, identifier=None):
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"], timeout=5)
    headers = {"Content-Type": "application/json"}
    if name is not None:
        headers["Lambda-Extension-Name"] = name
    if identifier is not None:
        headers["Lambda-Extension-Identifier"] = identifier
    connection.request(method, path, json.dumps(body), headers)
    response = connection.getresponse()
    found = response.read().decode()
    if response.getheader("Lambda-Extension-Identifier"):
        asked["identifier"] = response.getheader("Lambda-Extension-Identifier")
    connection.close()
    return [response.status, json.loads(found).get("errorType") if response.status != 200 else None]


def park(identifier):
    """An extension that asked for no events parks once, and for ever."""
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    connection.request("GET", "/2020-01-01/extension/event/next", headers={"Lambda-Extension-Identifier": identifier})
    connection.getresponse()


if os.environ.get("INTERNAL_EXTENSIONS"):
    answers = []
    for number in range(int(os.environ["INTERNAL_EXTENSIONS"])):
        answers.append(call("POST", "/2020-01-01/extension/register", f"internal-{number}", {"events": []}))
        if answers[-1][0] == 200:
            threading.Thread(target=park, args=(asked["identifier"],), daemon=True).start()
    asked["registrations"] = answers
