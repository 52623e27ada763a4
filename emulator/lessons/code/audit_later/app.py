import threading
import time

from shop import ask, connect

connection = connect(autocommit=True)
serving = None


def audit(order):
    for _ in range(20):  # many small pieces of work
        time.sleep(0.01)
    ask(connection, "INSERT INTO audit VALUES (%s, %s)", order, serving)


def handler(event, context):
    global serving
    serving = event["order"]
    threading.Thread(target=audit, args=[serving]).start()
    time.sleep(event.get("seconds", 0))
    return "thank you"
