"""The cure: one connection per environment, opened outside the handler, and checked before use.

While the environment is frozen nobody answers for this connection. The server may have closed it by the time
of the next event, so ask before relying on it; ping() opens it again where it has to.
"""

import os
import time

import pymysql

connection = pymysql.connect(
    host=os.environ["DB_HOST"],
    port=int(os.environ["DB_PORT"]),
    user=os.environ["DB_USER"],
    password=os.environ["DB_PASSWORD"],
    database=os.environ["DB_NAME"],
    autocommit=True,
)


def handler(event, context):
    connection.ping(reconnect=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        (connection_id,) = cursor.fetchone()
    time.sleep(event.get("seconds", 0))
    return {"connection_id": connection_id}
