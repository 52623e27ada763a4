"""A small order service: place an order, look at one, list those of a customer.

{"action": "place", "customer": "ada", "lines": [{"item": "tea", "pieces": 2}]}
{"action": "show", "order": 1}
{"action": "list", "customer": "ada"}
"""

import json
import logging

from orders import OrderError, Orders
from pool import pool
from schema import create_tables

logging.getLogger().setLevel(logging.INFO)
create_tables(pool)
orders = Orders(pool)


def handler(event, context):
    action = event.get("action", "place")
    if action == "place":
        order = orders.place(event.get("customer", "ada"), event.get("lines", [{"item": "tea", "pieces": 1}]))
        logging.info("order %s of %s", order["order"], order["customer"])
        return answer(201, order)
    if action == "show":
        return answer(200, orders.show(event["order"]))
    if action == "list":
        return answer(200, orders.of_customer(event.get("customer", "ada")))
    raise OrderError(f"unknown action {action}")


def answer(status, body):
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body)}
