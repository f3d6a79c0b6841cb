"""Consent as rows: evidence, records, lowerings and what an order holds."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Insert, insert

from gateway.model.consent import (
    Basis,
    Category,
    Channel,
    Choices,
    Evidence,
    Lowering,
    OrderConsent,
    SignalState,
    Source,
)
from gateway.storage.bulk import Row, Wanted, execute_rows, insert_returning
from gateway.storage.statements import insert_of, rows_by, rows_wanted
from gateway.storage.tables import lowerings, orders, records

Subject = tuple[str, str, str]  # store id, subject kind, subject

ADD_RECORDS: Final = insert(records).inline()  # under ids that were given out before
_NUMBER_RECORDS: Final = insert(records).returning(records.c.id)
_SUBJECT: Final = ("store_id", "subject_kind", "subject")
_ORDER: Final = ("store_id", "order_id")


def evidence_columns(evidence: Evidence) -> Row:
    """Return the columns of `records` that hold evidence."""
    return {
        "state": evidence.state.value,
        "choices": evidence.choices.as_json,
        "source": evidence.source.value,
        "basis": evidence.basis.value,
        "captured_at": evidence.captured_at,
        "gpc": evidence.gpc,
        "cmp": evidence.cmp,
        "entry": evidence.entry,
        "region": evidence.region,
        "note": evidence.note,
        "unreadable": evidence.unreadable,
    }


def evidence_of(row: Mapping[Any, Any]) -> Evidence:
    """Read back what `evidence_columns` wrote."""
    return Evidence(
        choices=Choices.of_json(row["choices"]),
        state=SignalState(row["state"]),
        source=Source(row["source"]),
        basis=Basis(row["basis"]),
        captured_at=row["captured_at"],
        gpc=bool(row["gpc"]),
        cmp=row["cmp"],
        entry=row["entry"],
        region=row["region"],
        note=row["note"],
        unreadable=bool(row["unreadable"]),
    )


def stamp_of(evidence: Evidence) -> str:
    """Return a digest by which the same entry in a later webhook is told from a new one."""
    said = orjson.dumps(
        [evidence.entry, evidence.choices.as_json, evidence.state, evidence.captured_at, evidence.gpc, evidence.note]
    )
    return hashlib.sha256(said).hexdigest()


def order_columns(consent: OrderConsent) -> Row:
    """Return the columns of `orders` that hold the consent at order time."""
    recorded = consent.recorded
    known = evidence_columns(recorded) if recorded else {}
    return {
        "record_id": consent.record_id,
        "consent_state": known.get("state"),
        "choices": known.get("choices"),
        "source": known.get("source"),
        "basis": known.get("basis"),
        "captured_at": known.get("captured_at"),
        "recorded_at": consent.recorded_at,
        "entry": known.get("entry"),
        "gpc": known.get("gpc", False),
        "region": known.get("region", ""),
        "unreadable": known.get("unreadable", False),
        "given_after": consent.given_after,
        "frozen_at": consent.frozen_at,
    }


def order_consent_of(row: Mapping[Any, Any]) -> OrderConsent:
    """Read the consent of an order from its row."""
    recorded = None
    if row["consent_state"] is not None:
        recorded = evidence_of({**row, "state": row["consent_state"], "cmp": "", "note": ""})
    return OrderConsent(
        recorded=recorded,
        record_id=row["record_id"],
        recorded_at=row["recorded_at"],
        frozen_at=row["frozen_at"],
        given_after=bool(row["given_after"]),
        placed_at=row["placed_at"],
    )


def copied_to_json(evidence: Evidence) -> Row:
    """Return evidence that a shop copied onto a renewal, for the `copied` column."""
    columns = evidence_columns(evidence)
    at = evidence.captured_at
    return {**columns, "captured_at": at.isoformat() if at else None}


def copied_of_json(value: Row | None) -> Evidence | None:
    """Read what `copied_to_json` wrote."""
    if value is None:
        return None
    at = value["captured_at"]
    return evidence_of({**value, "captured_at": datetime.fromisoformat(at) if at else None})


def add_records(connection: Connection, rows: Sequence[Row]) -> list[int]:
    """Add rows to the append-only records; return their ids in the same order."""
    return sorted(row[0] for row in insert_returning(connection, _NUMBER_RECORDS, rows))  # numbers rise in order


def record_row(
    store_id: str, evidence: Evidence, channel: Channel, received_at: datetime, **given: str | int | bytes | None
) -> Row:
    """Return one row of `records`; every column is named, so that rows of one batch have the same shape."""
    return {
        "store_id": store_id,
        "order_id": None,
        "session_hash": None,
        "customer_id": None,
        "seq": None,
        "key_id": None,
        "sealed": None,
        **given,
        "channel": channel.value,
        "received_at": received_at,
        **evidence_columns(evidence),
    }


def lowering_row(subject: Subject, category: Category, *, by: str, at: datetime, record_id: int | None = None) -> Row:
    """Return a row for `lower`: what takes one category back from a subject; `record_id` is the signal that said so."""
    store_id, kind, name = subject
    return {
        "store_id": store_id,
        "subject_kind": kind,
        "subject": name,
        "category": category.value,
        "by": by,
        "at": at,
        "record_id": record_id,
    }


def lower(connection: Connection, rows: Sequence[Row]) -> None:
    """Remember what takes grants back, by rows of `lowering_row`.

    What came last is kept, also when something older is heard of later.
    """
    last: dict[tuple[str, ...], Row] = {}
    for row in sorted(rows, key=lambda row: row["at"]):
        last[row["store_id"], row["subject_kind"], row["subject"], row["category"]] = row
    if not last:
        return
    execute_rows(connection, _lower(connection.dialect.name), [last[key] for key in sorted(last)])


@cache
def _lower(dialect: str) -> Insert:
    statement = insert_of(dialect, lowerings)
    told = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["store_id", "subject_kind", "subject", "category"],
        set_={name: told[name] for name in ("by", "at", "record_id")},
        where=told["at"] >= lowerings.c.at,
    ).inline()


def lowerings_of(connection: Connection, subjects: Sequence[Subject]) -> dict[Subject, list[Lowering]]:
    """Return all lowerings of the given subjects."""
    found: dict[Subject, list[Lowering]] = {}
    for row in rows_by(connection, lowerings, _SUBJECT, subjects):
        key = (row["store_id"], row["subject_kind"], row["subject"])
        lowering = Lowering(category=Category(row["category"]), by=row["by"], at=row["at"])
        found.setdefault(key, []).append(lowering)
    return found


def order_rows(connection: Connection, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Row]:
    """Return the rows of orders by (store id, order id)."""
    return orders_of(rows_by(connection, orders, _ORDER, keys))


def orders_wanted(dialect: str, keys: Collection[tuple[str, str]]) -> Wanted:
    """Return what `order_rows` asks, for `select_together`; `orders_of` reads the answer."""
    return rows_wanted(dialect, orders, _ORDER, keys)


def orders_of(rows: Sequence[Row]) -> dict[tuple[str, str], Row]:
    """Return rows by (store id, order id)."""
    return {(row["store_id"], row["order_id"]): row for row in rows}
