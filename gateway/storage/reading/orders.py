"""The order list, and orders found by a number, an id or a keyed hash of an e-mail address."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, FromClause, and_, or_, select

from gateway.model.consent import Choices
from gateway.model.order import Origin, Relation
from gateway.storage.context import is_renewal
from gateway.storage.reading.keyset import Columns, Cursor, Listing, Page, read_page, sorted_last
from gateway.storage.tables import orders

FOUND_ROWS = 50


class ConsentFilter(StrEnum):
    """What the list may be narrowed to."""

    GRANTED = "granted"  # analytics and marketing
    DENIED = "denied"  # at least one of them was refused
    UNANSWERED = "unanswered"  # a banner was seen, no answer
    INHERITED = "inherited"  # renewals
    NONE = "none"  # no record


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """How the order list is narrowed: `since` and `until` bound the time of the first webhook."""

    consent: ConsentFilter | None = None
    origin: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """One order in a list."""

    store_id: str
    order_id: str
    number: str
    status: str
    origin: str
    relation: str
    seen_at: datetime
    placed_at: datetime | None
    currency: str
    total: str
    has_record: bool
    is_unreadable: bool
    choices: Choices = field(default_factory=Choices)
    erased_at: datetime | None = None

    @property
    def is_renewal(self) -> bool:
        """Whether a subscription made this order."""
        return is_renewal({"origin": self.origin, "relation": self.relation})


def list_orders(connection: Connection, store_id: str, wanted: OrderFilter, cursor: Cursor) -> Page[OrderRow]:
    """Return a page of a store's orders, the last seen first."""
    return read_page(
        connection,
        Listing(
            query=select(*_COLUMNS),
            keys=(orders.c.seen_at, orders.c.order_id),
            build=_order_row,
            conditions=(orders.c.store_id == store_id, *_between(wanted)),
            filters=(lambda window: _matching(window, wanted)) if wanted.consent or wanted.origin else None,
        ),
        cursor,
    )


def find_orders(connection: Connection, store_ids: Sequence[str], text: str) -> list[OrderRow]:
    """Return the orders of these stores whose number or id is `text`, the newest first."""
    by_number = orders.c.number == text
    return _found(connection, or_(*(and_(orders.c.store_id == one, by_number) for one in store_ids))) or _found(
        connection, or_(*(and_(orders.c.store_id == one, orders.c.order_id == text) for one in store_ids))
    )


def find_orders_by_email(connection: Connection, store_ids: Sequence[str], email_hash: str) -> list[OrderRow]:
    """Return the orders of these stores that were placed under an e-mail address, the newest first."""
    by_email = and_(orders.c.email_hash == email_hash, orders.c.email_hash.is_not(None))
    return _found(connection, or_(*(and_(orders.c.store_id == one, by_email) for one in store_ids)))


_COLUMNS = (
    orders.c.store_id,
    orders.c.order_id,
    orders.c.number,
    orders.c.status,
    orders.c.origin,
    orders.c.relation,
    orders.c.seen_at,
    orders.c.placed_at,
    orders.c.currency,
    orders.c.total,
    orders.c.consent_state,
    orders.c.choices,
    orders.c.unreadable,
    orders.c.erased_at,
)


def _found(connection: Connection, condition: ColumnElement[bool]) -> list[OrderRow]:
    newest = (sorted_last(orders.c.seen_at).desc(), orders.c.order_id.desc())
    rows = connection.execute(select(*_COLUMNS).where(condition).order_by(*newest).limit(FOUND_ROWS)).mappings()
    return [_order_row(row) for row in rows]


def _between(wanted: OrderFilter) -> list[ColumnElement[bool]]:
    since = [orders.c.seen_at >= wanted.since] if wanted.since else []
    return since + ([orders.c.seen_at < wanted.until] if wanted.until else [])


def _matching(window: FromClause, wanted: OrderFilter) -> list[ColumnElement[bool]]:
    conditions = [window.c.origin == wanted.origin] if wanted.origin else []
    return conditions + ([_consent_is(window, wanted.consent)] if wanted.consent else [])


def _consent_is(window: FromClause, consent: ConsentFilter) -> ColumnElement[bool]:
    analytics = window.c.choices["analytics"].as_boolean()
    marketing = window.c.choices["marketing"].as_boolean()
    has_record = window.c.consent_state.is_not(None)
    by_subscription = or_(window.c.origin == Origin.RENEWAL.value, window.c.relation == Relation.RENEWAL.value)
    conditions: dict[ConsentFilter, ColumnElement[bool]] = {
        ConsentFilter.GRANTED: and_(has_record, analytics.is_(True), marketing.is_(True)),
        ConsentFilter.DENIED: and_(has_record, or_(analytics.is_(False), marketing.is_(False))),
        ConsentFilter.UNANSWERED: and_(has_record, window.c.consent_state == "pending"),
        ConsentFilter.INHERITED: and_(~has_record, by_subscription),
        ConsentFilter.NONE: and_(~has_record, ~by_subscription),
    }
    return conditions[consent]


def _order_row(row: Columns) -> OrderRow:
    return OrderRow(
        store_id=row["store_id"],
        order_id=row["order_id"],
        number=row["number"],
        status=row["status"],
        origin=row["origin"],
        relation=row["relation"],
        seen_at=row["seen_at"],
        placed_at=row["placed_at"],
        currency=row["currency"],
        total=row["total"],
        has_record=row["consent_state"] is not None,
        is_unreadable=row["unreadable"],
        choices=Choices.of_json(row["choices"] or {}),
        erased_at=row["erased_at"],
    )
