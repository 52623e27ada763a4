from shop import connect, session_of


def handler(event, context):
    connection = connect()
    try:
        return session_of(connection)
    finally:
        connection.close()
