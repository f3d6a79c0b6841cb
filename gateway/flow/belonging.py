"""Whom an order belongs to may change with a later webhook; what those before took back of it stays."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from gateway.model.consent import Lowering
from gateway.storage.consent import Subject, lowering_row, lowerings_of
from gateway.storage.statements import Connection, Row

_OWNERS: Final = (("session", "session_hash"), ("customer", "customer_id"), ("email", "email_hash"))
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


def left_by(known: Row, row: Row) -> list[Subject]:
    """Return whom an order belonged to before a webhook that names somebody else."""
    left = [(kind, known[name]) for kind, name in _OWNERS if known[name] and known[name] != row[name]]
    return [(row["store_id"], kind, subject) for kind, subject in left]


def kept_lowerings(connection: Connection, left: Sequence[tuple[Row, Sequence[Subject]]], now: datetime) -> list[Row]:
    """Return what those whom orders belonged to took back since, as lowerings of the orders themselves."""
    found = lowerings_of(connection, [subject for _, subjects in left for subject in subjects])
    taken = [(row, one) for row, subjects in left for subject in subjects for one in found.get(subject, ())]
    return [_kept(row, one, now) for row, one in taken if one.at > _given_at(row)]


def _given_at(row: Row) -> datetime:
    """Since when an order's record stands; of an order without one, all that is known counts."""
    times: list[datetime | None] = [row["placed_at"], row["captured_at"]] if row["consent_state"] is not None else []
    return max((at for at in times if at is not None), default=_NEVER)


def _kept(row: Row, lowering: Lowering, now: datetime) -> Row:
    at = lowering.at if lowering.at > row["frozen_at"] else now
    return lowering_row((row["store_id"], "order", row["order_id"]), lowering.category, by=lowering.by, at=at)
