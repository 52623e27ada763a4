import functools
import os

from shop import ask, connect

PRICES = os.environ["PRICES"]  # what can fail comes first


@functools.cache
def connection():  # when it is needed, and once
    return connect(autocommit=True)


def handler(event, context):
    ask(connection(), "INSERT INTO starts VALUES (NOW())")
    return ask(connection(), "SELECT COUNT(*) FROM starts")
