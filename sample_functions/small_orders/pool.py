"""A pool of database connections, opened once when the module is loaded."""

import os
import queue
from contextlib import contextmanager

import pymysql

POOL_SIZE = 5


class ConnectionPool:
    """Hands out connections, and takes them back."""

    def __init__(self, size, **settings):
        self._connections = queue.Queue(maxsize=size)
        for _ in range(size):
            self._connections.put(pymysql.connect(**settings))

    @contextmanager
    def connection(self):
        connection = self._connections.get(timeout=5)
        try:
            yield connection
        finally:
            self._connections.put(connection)


pool = ConnectionPool(
    POOL_SIZE,
    host=os.environ["DB_HOST"],
    port=int(os.environ["DB_PORT"]),
    user=os.environ["DB_USER"],
    password=os.environ["DB_PASSWORD"],
    database=os.environ["DB_NAME"],
    cursorclass=pymysql.cursors.DictCursor,
)
