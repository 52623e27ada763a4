"""A function that does what the event says: the tests' hand inside an environment."""

import ctypes
import json
import os
import resource
import signal
import sys
import tempfile
import time

calls = 0


def handler(event, context):
    global calls
    calls += 1
    return globals()[event["do"]](event, context)


def echo(event, context):
    return event


def count(event, context):
    return calls


def nothing(event, context):
    return None


def describe(event, context):
    return {
        "cwd": os.getcwd(),
        "uid": os.getuid(),
        "gid": os.getgid(),
        "environment": dict(os.environ),
        "temporary": tempfile.gettempdir(),
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "log_stream": context.log_stream_name,
        "remaining_ms": context.get_remaining_time_in_millis(),
        "client_context": context.client_context.custom if context.client_context else None,
        "processes": resource.getrlimit(resource.RLIMIT_NPROC),
    }


def fail(event, context):
    raise ValueError(event["message"])


def leave(event, context):
    sys.stdout.flush()
    os._exit(event["status"])


def kill_self(event, context):
    os.kill(os.getpid(), signal.SIGKILL)


def segfault(event, context):
    ctypes.string_at(0)


def sleep(event, context):
    time.sleep(event["seconds"])
    return calls


def say(event, context):
    for line in event["lines"]:
        print(line)
    sys.stdout.write(event.get("rest", ""))
    return


def eat(event, context):
    kept = []
    for _ in range(event["megabytes"]):
        kept.append(b"x" * 2**20)
    return len(kept)


def size(event, context):
    return "x" * event["characters"]


def write(event, context):
    with open(os.path.join(event.get("folder", tempfile.gettempdir()), event["name"]), "w") as file:
        file.write(event["content"])
    return True


def read(event, context):
    with open(os.path.join(tempfile.gettempdir(), event["name"])) as file:
        return file.read()


def ask_runtime_api(event, context):
    """Try to take another environment's events."""
    import http.client

    connection = http.client.HTTPConnection(event["address"], timeout=2)
    try:
        connection.request("GET", "/2018-06-01/runtime/invocation/next")
        return connection.getresponse().status
    except OSError as error:
        return type(error).__name__


def not_json(event, context):
    return {1, 2}


def unicode_echo(event, context):
    print(json.dumps(event, ensure_ascii=False))
    return {"text": event["text"] + " ✓"}
