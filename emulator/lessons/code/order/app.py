import time

from shop import ask, connect

connection = connect(autocommit=True)


def handler(event, context):
    time.sleep(0.1)  # work
    ask(connection, "INSERT INTO orders VALUES (%s)", event["id"])
    return "ordered"
