"""What can be done with orders."""


class OrderError(Exception):
    """The order cannot be taken, or there is none."""


class Orders:
    def __init__(self, pool):
        self._pool = pool

    def place(self, customer, lines):
        """Take what was ordered from stock, and write the order down."""
        with self._pool.connection() as connection:
            with connection.cursor() as cursor:
                total = 0
                for line in lines:
                    total += self._take_from_stock(cursor, line["item"], line["pieces"])
                cursor.execute("INSERT INTO orders (customer, cents) VALUES (%s, %s)", (customer, total))
                order_id = cursor.lastrowid
                for line in lines:
                    cursor.execute(
                        "INSERT INTO order_lines (order_id, item, pieces) VALUES (%s, %s, %s)",
                        (order_id, line["item"], line["pieces"]),
                    )
            connection.commit()
        return self.show(order_id)

    def _take_from_stock(self, cursor, item, pieces):
        cursor.execute("SELECT pieces, cents FROM stock WHERE item = %s FOR UPDATE", (item,))
        stock = cursor.fetchone()
        if stock is None or stock["pieces"] < pieces:
            raise OrderError(f"not enough {item}")
        cursor.execute("UPDATE stock SET pieces = pieces - %s WHERE item = %s", (pieces, item))
        return stock["cents"] * pieces

    def show(self, order_id):
        with self._pool.connection() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT id, customer, cents FROM orders WHERE id = %s", (order_id,))
            order = cursor.fetchone()
            if order is None:
                raise OrderError(f"there is no order {order_id}")
            cursor.execute("SELECT item, pieces FROM order_lines WHERE order_id = %s", (order_id,))
            return {
                "order": order["id"],
                "customer": order["customer"],
                "cents": order["cents"],
                "lines": cursor.fetchall(),
            }

    def of_customer(self, customer):
        with self._pool.connection() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT id, cents FROM orders WHERE customer = %s ORDER BY id DESC LIMIT 20", (customer,))
            return cursor.fetchall()
