from shop import connect, session_of

opened = []  # as caches, loggers and ORMs keep things


def handler(event, context):
    connection = connect()
    opened.append(connection)
    return session_of(connection)
