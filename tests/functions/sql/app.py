"""Runs the statements of the event on one connection, opened outside the handler and never checked."""

import os
import threading
import time

import pymysql

connection = pymysql.connect(
    host=os.environ["DB_HOST"],
    port=int(os.environ["DB_PORT"]),
    user=os.environ["DB_USER"],
    password=os.environ["DB_PASSWORD"],
    database=os.environ["DB_NAME"],
    read_timeout=float(os.environ.get("READ_TIMEOUT", "5")),
)
background = {}


def handler(event, context):
    if "join" in event:
        thread = background["thread"]
        thread.join(5)
        return background.get("answer")
    if "in_background" in event:
        background["thread"] = threading.Thread(target=run_in_background, args=(event["in_background"],))
        background["thread"].start()
        time.sleep(0.1)  # the statement is on its way
        return connection.thread_id()
    try:
        rows = run(event["statements"])
    except pymysql.err.MySQLError as error:
        return {"error": error.args[0], "message": str(error.args[1:])}
    time.sleep(event.get("seconds", 0))
    return {"connection_id": connection.thread_id(), "rows": rows}


def run(statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return [list(row) for row in cursor.fetchall()]


def run_in_background(statement):
    try:
        background["answer"] = run([statement])
    except pymysql.err.MySQLError as error:
        background["answer"] = {"error": error.args[0], "message": str(error.args[1:])}
