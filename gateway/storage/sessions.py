"""Sessions and customers as rows: what every source said of them, and the states that follow from it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, select, update

from gateway.model.consent import GATING, Basis, Choices, Evidence, SignalState, Source
from gateway.model.session import Said, SessionConsent, SessionState
from gateway.storage.bulk import Row, Wanted
from gateway.storage.statements import insert_ignoring, rows_by, rows_wanted, upsert
from gateway.storage.tables import customers, orders, sessions

Key = tuple[str, str]  # store id, and session hash or customer id
_SESSION: Final = ("store_id", "session_hash")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A session as it is stored; `customer_id` is the customer that it is known to belong to."""

    consent: SessionConsent = field(default_factory=SessionConsent)
    customer_id: str | None = None
    is_stored: bool = False


def consent_of_row(row: Mapping[Any, Any]) -> SessionConsent:
    """Read what was said from a row of `sessions` or `customers`."""
    return SessionConsent(by_source={name: _said_of_json(one) for name, one in (row["by_source"] or {}).items()})


def load_visits(connection: Connection, keys: Collection[Key]) -> dict[Key, Visit]:
    """Return the sessions that are known among `keys`."""
    return _visits_of(rows_by(connection, sessions, _SESSION, keys))


def visits_wanted(dialect: str, keys: Collection[Key]) -> Wanted:
    """Return what `load_visits` asks, for `select_together`; `evidence_of_visits` reads the answer."""
    return rows_wanted(dialect, sessions, _SESSION, keys)


def load_customers(connection: Connection, keys: Collection[Key]) -> dict[Key, SessionConsent]:
    """Return the stored choices of the customers that are known among `keys`."""
    found = rows_by(connection, customers, ("store_id", "customer_id"), keys)
    return {(row["store_id"], row["customer_id"]): consent_of_row(row) for row in found}


def put_visit(connection: Connection, key: Key, visit: Visit, now: datetime) -> None:
    """Write what is known of a session."""
    row = {
        "store_id": key[0],
        "session_hash": key[1],
        **_columns(visit.consent),
        "customer_id": visit.customer_id,
        "seen_at": now,
        "updated_at": now,
    }
    upsert(connection, sessions, [row], keep=("seen_at",))


def put_customer(
    connection: Connection, key: Key, consent: SessionConsent, now: datetime, *, record_id: int | None = None
) -> None:
    """Write the stored choice of a customer."""
    row = {
        "store_id": key[0],
        "customer_id": key[1],
        **_columns(consent),
        "record_id": record_id,
        "captured_at": consent.given_at or now,
        "updated_at": now,
    }
    upsert(connection, customers, [row])


def note_visits(connection: Connection, owners: Mapping[Key, str | None], now: datetime) -> None:
    """Remember sessions that events named, and the customers that they belong to, where that is known."""
    rows = [
        {
            "store_id": key[0],
            "session_hash": key[1],
            **_columns(SessionConsent()),
            "customer_id": owners[key],
            "seen_at": now,
            "updated_at": now,
        }
        for key in sorted(owners)
    ]
    insert_ignoring(connection, sessions, rows)


def link_visits(connection: Connection, owners: Mapping[Key, str]) -> None:
    """Note to which customer a session that is stored already turned out to belong."""
    for store_id, session_hash in sorted(owners):
        connection.execute(
            update(sessions)
            .where(sessions.c.store_id == store_id, sessions.c.session_hash == session_hash)
            .values(customer_id=owners[store_id, session_hash])
        )


def link_visits_of_orders(connection: Connection, store_id: str, customer_id: str) -> None:
    """Note which sessions belong to a customer by the orders that name both, where nothing else was known."""
    ordered = select(orders.c.session_hash).where(
        orders.c.store_id == store_id, orders.c.customer_id == customer_id, orders.c.session_hash.is_not(None)
    )
    theirs = (sessions.c.store_id == store_id, sessions.c.session_hash.in_(ordered), sessions.c.customer_id.is_(None))
    connection.execute(update(sessions).where(*theirs).values(customer_id=customer_id))


def sessions_of_customer(connection: Connection, store_id: str, customer_id: str) -> list[str]:
    """Return the hashes of the sessions that are known to belong to a customer."""
    where = (sessions.c.store_id == store_id, sessions.c.customer_id == customer_id)
    return list(connection.execute(select(sessions.c.session_hash).where(*where)).scalars())


def evidence_of_visits(rows: Sequence[Row]) -> dict[Key, Evidence]:
    """Return what sessions say in which anybody was asked, by (store id, session hash)."""
    found = {key: evidence_of_session(visit.consent) for key, visit in _visits_of(rows).items()}
    return {key: evidence for key, evidence in found.items() if evidence is not None}


def evidence_of_session(consent: SessionConsent) -> Evidence | None:
    """Return what a session says as evidence for its orders; None while nothing was heard."""
    last = consent.last
    if last is None or not (consent.is_answered or consent.is_pending):
        return None
    # An objection by the browser is no answer to the banner that is still open.
    is_open = consent.gpc and SessionState.PENDING in consent.states.values()
    return Evidence(
        choices=consent.choices,
        state=SignalState.PENDING if is_open or not consent.is_answered else SignalState.ANSWERED,
        source=last.source,
        basis=last.basis,
        captured_at=consent.given_at,
        gpc=consent.gpc,
        entry="session",
    )


def _columns(consent: SessionConsent) -> Row:
    return {
        **{category.value: state.value for category, state in consent.states.items()},
        "by_source": {name: _said_to_json(one) for name, one in consent.by_source.items()},
        "choices": consent.choices.as_json,
        "gpc": consent.gpc,
    }


def _visits_of(rows: Sequence[Row]) -> dict[Key, Visit]:
    return {
        (row["store_id"], row["session_hash"]): Visit(
            consent=consent_of_row(row), customer_id=row["customer_id"], is_stored=True
        )
        for row in rows
    }


def _said_to_json(said: Said) -> Row:
    return {
        "source": said.source.value,
        **{category.value: said.state(category).value for category in GATING},
        "choices": said.choices.as_json,
        "seq": said.seq,
        "gpc": said.gpc,
        "basis": said.basis.value,
        "captured_at": said.captured_at.isoformat() if said.captured_at else None,
        "received_at": said.received_at.isoformat(),
    }


def _said_of_json(value: Mapping[str, Any]) -> Said:
    captured_at = value["captured_at"]
    return Said(
        source=Source(value["source"]),
        states={category: SessionState(value[category.value]) for category in GATING},
        choices=Choices.of_json(value["choices"]),
        seq=value["seq"],
        gpc=value["gpc"],
        basis=Basis(value["basis"]),
        captured_at=datetime.fromisoformat(captured_at) if captured_at else None,
        received_at=datetime.fromisoformat(value["received_at"]),
    )
