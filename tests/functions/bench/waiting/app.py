"""Holds a database session, where it is told to, and waits at a gate, so that as many run at once as are wanted."""

import fcntl
import os

if os.environ.get("WITH_SESSION"):
    import pymysql

    connection = pymysql.connect(
        host=os.environ["DB_HOST"],
        port=int(os.environ["DB_PORT"]),
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASSWORD"],
        database=os.environ["DB_NAME"],
    )
gate = os.path.join(os.environ["LAMBDA_TASK_ROOT"], "gate")


def handler(event, context):
    if event.get("wait"):
        with open(gate) as file:
            fcntl.flock(file, fcntl.LOCK_SH)
    return event
