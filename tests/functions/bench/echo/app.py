"""What everybody who is compared runs."""


def handler(event, context):
    return event
