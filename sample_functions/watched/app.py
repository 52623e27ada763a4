"""A function with an extension beside it, which prints what it hears of each invocation."""


def handler(event, context):
    print("hello from the function")
    return {"request_id": context.aws_request_id}
