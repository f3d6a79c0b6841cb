"""The audit log: who signed in, changed or revealed what. Rows are only ever added."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, FromClause, insert, select

from gateway.storage.database import Database
from gateway.storage.reading.keyset import Columns, Cursor, Listing, Page, read_page
from gateway.storage.tables import audits


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One entry; `subject` names a thing, never a person's data, and `detail` holds names and numbers only."""

    at: datetime
    actor: str
    action: str
    store_id: str | None = None
    subject: str = ""
    detail: Mapping[str, object] | None = None


def write_audit(connection: Connection, audit: Audit) -> None:
    """Add one entry within a transaction."""
    row = {"at": audit.at, "actor": audit.actor, "action": audit.action, "store_id": audit.store_id}
    detail = dict(audit.detail) if audit.detail else None
    connection.execute(insert(audits).values(**row, subject=audit.subject, detail=detail))


def log_audit(
    database: Database,
    *,
    actor: str,
    action: str,
    store_id: str | None = None,
    subject: str = "",
    detail: Mapping[str, object] | None = None,
) -> None:
    """Add one entry in a transaction of its own."""
    audit = Audit(at=database.now(), actor=actor, action=action, store_id=store_id, subject=subject, detail=detail)
    database.write(lambda connection: write_audit(connection, audit))


def list_audits(database: Database, cursor: Cursor, *, actor: str = "", stores: Sequence[str] = ()) -> Page[Audit]:
    """Return a page of entries, the newest first; with `stores`, only what was done to one of those."""

    def narrowed(window: FromClause) -> list[ColumnElement[bool]]:
        by_actor = [window.c.actor == actor] if actor else []
        return by_actor + ([window.c.store_id.in_(stores)] if stores else [])

    filters = narrowed if actor or stores else None
    listing = Listing(query=select(audits), keys=(audits.c.id,), build=_audit, filters=filters)
    return database.read(lambda connection: read_page(connection, listing, cursor))


def _audit(row: Columns) -> Audit:
    return Audit(
        at=row["at"],
        actor=row["actor"],
        action=row["action"],
        store_id=row["store_id"],
        subject=row["subject"],
        detail=row["detail"],
    )
