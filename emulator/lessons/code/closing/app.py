from shop import at_the_end, connect, session_of

connection = connect()


def close():
    connection.close()
    print("closed on SIGTERM", flush=True)


at_the_end(close)


def handler(event, context):
    return session_of(connection)
