import os

from shop import ask, connect

connection = connect(autocommit=True)
ask(connection, "INSERT INTO starts VALUES (NOW())")
PRICES = os.environ["PRICES"]  # nobody has set it


def handler(event, context):
    return ask(connection, "SELECT COUNT(*) FROM starts")
