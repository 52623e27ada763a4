from shop import ask, connect, limit_statements


def handler(event, context):
    connection = connect()
    try:
        left = context.get_remaining_time_in_millis()
        limit_statements(connection, left - 500)
        return ask(connection, "SELECT SLEEP(%s)", event["seconds"])
    finally:
        connection.close()
        print("closed")
