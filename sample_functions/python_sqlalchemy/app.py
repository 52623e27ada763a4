"""Orders over SQLAlchemy and PyMySQL. The handler's name chooses how long a connection lives.

leave, close, once, checked, nullpool
"""

import os
import time

from sqlalchemy import (
    URL,
    Column,
    Engine,
    Integer,
    MetaData,
    NullPool,
    String,
    Table,
    create_engine,
    func,
    select,
    text,
)
from sqlalchemy.dialects.mysql import BIGINT, TIMESTAMP
from sqlalchemy.schema import CreateTable

address = URL.create(
    "mysql+pymysql",
    username=os.environ["DB_USER"],
    password=os.environ["DB_PASSWORD"],
    host=os.environ["DB_HOST"],
    port=int(os.environ["DB_PORT"]),
    database=os.environ["DB_NAME"],
)

orders = Table(
    "orders",
    MetaData(),
    Column("id", BIGINT, primary_key=True),
    Column("item", String(64), nullable=False),
    Column("pieces", Integer, nullable=False),
    Column("placed", TIMESTAMP, nullable=False, server_default=text("CURRENT_TIMESTAMP")),
)

# An engine opens nothing before it is asked to. One environment serves one event at a time: a pool of one is enough.
kept = create_engine(address, pool_size=1, max_overflow=0)

# Asked before use, and not used for longer than the path or the server is known to remember it. Without a limit the
# question itself would wait for ever where the path has forgotten the connection; no statement here takes as long.
checking = create_engine(
    address,
    pool_size=1,
    max_overflow=0,
    pool_pre_ping=True,
    pool_recycle=300,
    connect_args={"connect_timeout": 2, "read_timeout": 2},
)

poolless = create_engine(address, poolclass=NullPool)

opened: list[Engine] = []
state = {"count": 0, "table": False}


def leave(event, context):
    """The famous mistake: an engine, and so a pool, for every event. The list is why Python cannot tidy up."""
    engine = create_engine(address)
    opened.append(engine)
    return take_order(engine, event)


def close(event, context):
    """An engine for every event, disposed of at its end; a timeout or a crash never gets there."""
    engine = create_engine(address)
    try:
        return take_order(engine, event)
    finally:
        engine.dispose()


def once(event, context):
    """The pool as it comes: it drops a connection after the error, so one event has to fail first."""
    return take_order(kept, event)


def checked(event, context):
    """The pool, and a question before use."""
    return take_order(checking, event)


def nullpool(event, context):
    """One engine, no pool: every event connects, and leaves nothing behind."""
    return take_order(poolless, event)


def take_order(engine, event):
    state["count"] += 1
    with engine.begin() as connection:
        if not state["table"]:
            connection.execute(CreateTable(orders, if_not_exists=True))
            state["table"] = True
        session = connection.scalar(text("SELECT CONNECTION_ID()"))
        if event.get("show"):
            number = connection.scalar(select(func.count()).select_from(orders))
            return {"orders": number, "session": session, "count": state["count"]}
        inserted = connection.execute(
            orders.insert().values(item=event.get("item", "tea"), pieces=event.get("pieces", 2))
        )
        time.sleep(event.get("hold", 0))
    return {"order": inserted.lastrowid, "session": session, "count": state["count"]}
