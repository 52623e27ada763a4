from shop import connect

connection = connect(autocommit=True)


def handler(event, context):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE counter SET n = LAST_INSERT_ID(n + 1)")
        return cursor.lastrowid
