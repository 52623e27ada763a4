import time

from shop import connect, session_of

connection = connect()


def handler(event, context):
    time.sleep(event.get("seconds", 0))
    connection.ping(reconnect=True)  # opens it again if it must
    return session_of(connection)
