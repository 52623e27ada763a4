from shop import ask, connect


def handler(event, context):
    connection = connect()
    try:
        if event.get("fail"):
            raise ValueError("no such order")
        return ask(connection, "SELECT SLEEP(%s)", event["seconds"])
    finally:
        connection.close()
        print("closed")
