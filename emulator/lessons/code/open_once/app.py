import time

from shop import connect, session_of

connection = connect()  # once for each environment


def handler(event, context):
    time.sleep(event.get("seconds", 0))
    return session_of(connection)
