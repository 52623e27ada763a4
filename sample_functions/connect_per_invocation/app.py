"""The bug: every invocation opens a connection and none closes it.

As long as the environment lives, the connections live: MySQL shows them as Sleep. Python would close one
when its last reference goes; here a cache of the kind that real programs have keeps them all.
"""

import os

import pymysql

opened = []


def handler(event, context):
    connection = pymysql.connect(
        host=os.environ["DB_HOST"],
        port=int(os.environ["DB_PORT"]),
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASSWORD"],
        database=os.environ["DB_NAME"],
    )
    opened.append(connection)
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        (connection_id,) = cursor.fetchone()
    return {"connection_id": connection_id, "open_connections": len(opened)}
