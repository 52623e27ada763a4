from shop import ask, connect

connection = connect(autocommit=True)


def handler(event, context):
    if "customer" in event:  # logged in
        ask(connection, "SET @customer = %s", event["customer"])
        ask(connection, "SET time_zone = '+09:00'")
        ask(connection, "SELECT GET_LOCK('basket', 0)")
    who = ask(connection, "SELECT IFNULL(@customer, 'guest')")
    zone = ask(connection, "SELECT @@time_zone")
    free = ask(connection, "SELECT IS_FREE_LOCK('basket')")
    return {"customer": who, "time zone": zone, "basket is free": free}
