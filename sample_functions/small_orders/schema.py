"""The tables, and something in stock."""

TABLES = (
    "CREATE TABLE IF NOT EXISTS stock (item VARCHAR(40) PRIMARY KEY, pieces INT NOT NULL, cents INT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS orders (
        id INT PRIMARY KEY AUTO_INCREMENT, customer VARCHAR(80) NOT NULL, cents INT NOT NULL,
        placed_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, INDEX (customer)
    )""",
    """CREATE TABLE IF NOT EXISTS order_lines (
        order_id INT NOT NULL, item VARCHAR(40) NOT NULL, pieces INT NOT NULL, PRIMARY KEY (order_id, item)
    )""",
)
STOCK = [("coffee", 100_000, 1290), ("tea", 100_000, 890), ("mug", 100_000, 1490)]


def create_tables(pool):
    with pool.connection() as connection, connection.cursor() as cursor:
        for statement in TABLES:
            cursor.execute(statement)
        cursor.executemany("INSERT IGNORE INTO stock (item, pieces, cents) VALUES (%s, %s, %s)", STOCK)
        connection.commit()
