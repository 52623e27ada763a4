import threading
import time

from shop import ask, connect

connection = connect(autocommit=True)


def audit(order):
    for _ in range(20):
        time.sleep(0.01)
    ask(connection, "INSERT INTO audit VALUES (%s, %s)", order, order)


def handler(event, context):
    thread = threading.Thread(target=audit, args=[event["order"]])
    thread.start()
    time.sleep(event.get("seconds", 0))  # work, side by side
    thread.join()  # before the answer, not after it
    return "thank you"
