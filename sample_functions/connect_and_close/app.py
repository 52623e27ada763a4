"""Opened and closed in the handler: nothing is left behind, and every invocation pays for the connection.

The close is in a finally block. A timeout or a crash never reaches it.
"""

import os

import pymysql


def handler(event, context):
    connection = pymysql.connect(
        host=os.environ["DB_HOST"],
        port=int(os.environ["DB_PORT"]),
        user=os.environ["DB_USER"],
        password=os.environ["DB_PASSWORD"],
        database=os.environ["DB_NAME"],
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT CONNECTION_ID()")
            (connection_id,) = cursor.fetchone()
    finally:
        connection.close()
    return {"connection_id": connection_id}
