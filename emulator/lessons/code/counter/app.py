import time

count = 0  # outside the handler


def handler(event, context):
    global count
    count += 1
    time.sleep(event.get("seconds", 0))
    if event.get("fail"):
        raise ValueError("no such order")
    return count
