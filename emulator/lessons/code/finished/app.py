from shop import ask, connect

connection = connect()


def handler(event, context):
    sell = "UPDATE stock SET n = n - 1 WHERE item = %s"
    try:
        ask(connection, sell, event["item"])
        connection.commit()
        return "sold"
    finally:
        connection.rollback()  # whatever is left open, ends here
