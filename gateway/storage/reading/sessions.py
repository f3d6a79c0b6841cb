"""The session list, and one session with its signals and events."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, FromClause, select

from gateway.model.consent import Choices
from gateway.model.session import SessionState
from gateway.storage.reading.deliveries import DeliveryRow, delivery_row
from gateway.storage.reading.keyset import Columns, Cursor, Listing, Page, read_page
from gateway.storage.tables import deliveries, orders, records, sessions

ROWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFilter:
    """How the session list is narrowed."""

    analytics: SessionState | None = None
    marketing: SessionState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """One session; its id is known only as a keyed hash."""

    store_id: str
    session_hash: str
    analytics: SessionState
    marketing: SessionState
    gpc: bool
    customer_id: str | None
    seen_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSignal:
    """One signal of a session."""

    channel: str
    state: str
    received_at: datetime
    gpc: bool
    cmp: str
    choices: Choices


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHistory:
    """One session with what was heard, what waited, and the orders that came of it."""

    session: SessionRow
    signals: Sequence[SessionSignal] = ()
    deliveries: Sequence[DeliveryRow] = ()
    orders: Sequence[tuple[str, str]] = ()  # order id and number


def list_sessions(connection: Connection, store_id: str, wanted: SessionFilter, cursor: Cursor) -> Page[SessionRow]:
    """Return a page of a store's sessions, the last heard first."""
    return read_page(
        connection,
        Listing(
            query=select(*_COLUMNS),
            keys=(sessions.c.updated_at, sessions.c.session_hash),
            build=_session,
            conditions=(sessions.c.store_id == store_id,),
            filters=(lambda window: _matching(window, wanted)) if wanted.analytics or wanted.marketing else None,
        ),
        cursor,
    )


def read_session(connection: Connection, store_id: str, session_hash: str) -> SessionHistory | None:
    """Read one session with its history, None where there is none."""
    own = (sessions.c.store_id == store_id, sessions.c.session_hash == session_hash)
    row = connection.execute(select(*_COLUMNS).where(*own)).mappings().first()
    if row is None:
        return None
    return SessionHistory(
        session=_session(row),
        signals=_signals(connection, store_id, session_hash),
        deliveries=_deliveries(connection, store_id, session_hash),
        orders=_orders(connection, store_id, session_hash),
    )


def store_of_session(connection: Connection, store_ids: Sequence[str], session_hash: str) -> str | None:
    """Return the store that knows this session."""
    query = select(sessions.c.store_id).where(
        sessions.c.store_id.in_(list(store_ids)), sessions.c.session_hash == session_hash
    )
    return connection.execute(query.limit(1)).scalar()


_COLUMNS = (
    sessions.c.store_id,
    sessions.c.session_hash,
    sessions.c.analytics,
    sessions.c.marketing,
    sessions.c.gpc,
    sessions.c.customer_id,
    sessions.c.seen_at,
    sessions.c.updated_at,
)


def _matching(window: FromClause, wanted: SessionFilter) -> list[ColumnElement[bool]]:
    analytics = [window.c.analytics == wanted.analytics.value] if wanted.analytics else []
    return analytics + ([window.c.marketing == wanted.marketing.value] if wanted.marketing else [])


def _signals(connection: Connection, store_id: str, session_hash: str) -> list[SessionSignal]:
    names = [name for name in SessionSignal.__dataclass_fields__ if name != "choices"]
    query = (
        select(records.c.choices, *(records.c[name] for name in names))
        .where(records.c.store_id == store_id, records.c.session_hash == session_hash)
        .order_by(records.c.id.desc())
        .limit(ROWS)
    )
    rows = connection.execute(query).mappings()
    return [SessionSignal(**{**row, "choices": Choices.of_json(row["choices"] or {})}) for row in rows][::-1]


def _deliveries(connection: Connection, store_id: str, session_hash: str) -> list[DeliveryRow]:
    query = (
        select(deliveries)
        .where(deliveries.c.store_id == store_id, deliveries.c.session_hash == session_hash)
        .order_by(deliveries.c.id.desc())
        .limit(ROWS)
    )
    return [delivery_row(row) for row in connection.execute(query).mappings()][::-1]


def _orders(connection: Connection, store_id: str, session_hash: str) -> list[tuple[str, str]]:
    query = select(orders.c.order_id, orders.c.number).where(
        orders.c.store_id == store_id, orders.c.session_hash == session_hash
    )
    return [(row.order_id, row.number) for row in connection.execute(query.limit(ROWS))]


def _session(row: Columns) -> SessionRow:
    return SessionRow(
        **{**row, "analytics": SessionState(row["analytics"]), "marketing": SessionState(row["marketing"])}
    )
