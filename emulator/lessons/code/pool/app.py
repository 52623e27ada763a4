import os

from shop import ask, connect

SIZE = int(os.environ["POOL_SIZE"])
pool = [connect() for _ in range(SIZE)]


def handler(event, context):
    connection = pool.pop()
    try:
        return ask(connection, "SELECT SLEEP(%s)", event["seconds"])
    finally:
        pool.append(connection)
