"""A store's newest orders and its customers' newest answers, for looking at what another policy would do."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from gateway.storage.statements import Row
from gateway.storage.tables import orders


def recent_orders(
    connection: Connection, store_id: str, *, limit: int, since: datetime | None = None
) -> list[tuple[str, str]]:
    """Return the keys of a store's newest orders, the newest first."""
    bounds = [orders.c.seen_at >= since] if since else []
    newest = (orders.c.seen_at.desc(), orders.c.order_id.desc())
    query = select(orders.c.order_id).where(orders.c.store_id == store_id, orders.c.has_order.is_(True), *bounds)
    return [(store_id, one) for one in connection.execute(query.order_by(*newest).limit(limit)).scalars()]


def newest_answers(connection: Connection, store_id: str, customer_ids: Sequence[str]) -> dict[str, Row]:
    """Return, per customer, the order whose answer was captured last."""
    query = (
        select(orders)
        .where(
            orders.c.store_id == store_id,
            orders.c.customer_id.in_(sorted(customer_ids)),
            orders.c.customer_id.is_not(None),
            orders.c.consent_state == "answered",
        )
        .order_by(orders.c.captured_at)
    )
    return {row["customer_id"]: dict(row) for row in connection.execute(query).mappings()}
