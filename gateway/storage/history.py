"""What happened to one order, read back."""

from sqlalchemy import Connection, or_, select

from gateway.storage.statements import Row
from gateway.storage.tables import attempts, deliveries, records, webhooks

_LIMIT = 500  # an order has a handful; a store gone wild cannot make a page endless


def webhooks_of_order(connection: Connection, store_id: str, order_id: str) -> list[Row]:
    """Return the webhooks about an order, oldest first."""
    statement = (
        select(webhooks)
        .where(webhooks.c.store_id == store_id, webhooks.c.order_id == order_id)
        .order_by(webhooks.c.received_at)
        .limit(_LIMIT)
    )
    return [dict(row) for row in connection.execute(statement).mappings()]


def records_of_order(connection: Connection, store_id: str, order_id: str, row: Row | None) -> list[Row]:
    """Return the signals heard for an order or for the session that it names, and its own record, oldest first."""
    about = [records.c.order_id == order_id]
    if row and row["session_hash"]:
        about.append(records.c.session_hash == row["session_hash"])
    if row and row["record_id"]:
        about.append(records.c.id == row["record_id"])
    statement = select(records).where(records.c.store_id == store_id, or_(*about)).order_by(records.c.id).limit(_LIMIT)
    return [dict(row) for row in connection.execute(statement).mappings()]


def deliveries_of_order(connection: Connection, store_id: str, order_id: str) -> list[tuple[Row, list[Row]]]:
    """Return an order's deliveries with their attempts, oldest first."""
    statement = (
        select(deliveries)
        .where(deliveries.c.store_id == store_id, deliveries.c.order_id == order_id)
        .order_by(deliveries.c.id)
        .limit(_LIMIT)
    )
    found = [dict(row) for row in connection.execute(statement).mappings()]
    tries: dict[int, list[Row]] = {}
    if found:
        where = attempts.c.delivery_id.in_([row["id"] for row in found])
        ordered = select(attempts).where(where).order_by(attempts.c.delivery_id, attempts.c.number)
        for row in connection.execute(ordered).mappings():
            tries.setdefault(row["delivery_id"], []).append(dict(row))
    return [(row, tries.get(row["id"], [])) for row in found]
