"""Holds a database session, where it is told to, and waits at a gate, so that as many run at once as are wanted."""

import fcntl
import os


def _coordinates():
    names = ("host", "port", "user", "password", "database")
    values = [os.environ[name] for name in ("DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD", "DB_NAME")]
    return {**dict(zip(names, values, strict=True)), "port": int(values[1])}


connection = None
match os.environ.get("WITH_SESSION"):
    case "lean":
        from session import connect

        connection = connect(**_coordinates())
    case "pymysql":
        import pymysql

        connection = pymysql.connect(**_coordinates())
gate = os.path.join(os.environ["LAMBDA_TASK_ROOT"], "gate")


def handler(event, context):
    if event.get("wait"):
        with open(gate) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
    return event
