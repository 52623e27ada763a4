"""Orders with PyMySQL, in four ways to hold a connection. The handler's name chooses one.

leave     opened in the handler, never closed
close     opened in the handler, closed there
once      opened once, outside of the handler
checked   opened once, and asked whether it still lives before each use
"""

import os
import time

import pymysql

TABLE = """
CREATE TABLE IF NOT EXISTS orders (
    id BIGINT PRIMARY KEY AUTO_INCREMENT,
    item VARCHAR(64) NOT NULL,
    pieces INT NOT NULL,
    placed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
)
"""
left_open = []  # a cache of the kind that real programs have: without it Python closes what nobody refers to
invocations = 0


def connect():
    connection = pymysql.connect(
        host=os.environ["DB_HOST"],
        port=int(os.environ["DB_PORT"]),
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASSWORD"],
        database=os.environ["DB_NAME"],
    )
    with connection.cursor() as cursor:
        cursor.execute(TABLE)
    return connection


# The handler's name is known before the first event: only the ways that hold a connection open one here.
opens_once = os.environ["_HANDLER"].endswith((".once", ".checked"))
shared = connect() if opens_once else None


def leave(event, context):
    connection = connect()
    left_open.append(connection)
    return serve(connection, event)


def close(event, context):
    connection = connect()
    try:
        return serve(connection, event)
    finally:
        connection.close()  # a timeout or a crash never reaches this


def once(event, context):
    return serve(shared, event)


def checked(event, context):
    shared.ping(reconnect=True)  # what an environment slept through, nobody has told it
    return serve(shared, event)


def serve(connection, event):
    global invocations
    invocations += 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        (session,) = cursor.fetchone()
        if event.get("show"):
            cursor.execute("SELECT COUNT(*) FROM orders")
            (answer,) = cursor.fetchone()
            connection.commit()
            return {"orders": answer, "session": session, "count": invocations}
        cursor.execute(
            "INSERT INTO orders (item, pieces) VALUES (%s, %s)", (event.get("item", "tea"), event.get("pieces", 1))
        )
        order = cursor.lastrowid
        time.sleep(event.get("hold", 0))
        connection.commit()
    return {"order": order, "session": session, "count": invocations}
