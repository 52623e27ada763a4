"""What is declared outside the handler lives as long as the execution environment."""

count = 0


def handler(event, context):
    global count
    count += 1
    return {"count": count, "log_stream": context.log_stream_name}
