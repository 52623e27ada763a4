import time

from shop import connect, session_of

pool = []


def borrow():
    while pool:
        connection, used = pool.pop()
        if time.monotonic() - used < 0.5:
            return connection
        connection.close()  # too old: seen when it is wanted
    return connect()


def give_back(connection):
    pool.append((connection, time.monotonic()))
    while len(pool) > 1:
        pool.pop(0)[0].close()  # before the freeze


def handler(event, context):
    borrowed = [borrow() for _ in range(2)]
    found = [session_of(connection) for connection in borrowed]
    for connection in borrowed:
        give_back(connection)
    return found
