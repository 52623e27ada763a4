from shop import ask, connect

connection = connect()  # autocommit is off: PyMySQL's default


def handler(event, context):
    sell = "UPDATE stock SET n = n - 1 WHERE item = %s"
    ask(connection, sell, event["item"])
    return "sold"
