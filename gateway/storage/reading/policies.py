"""The versions of a store's policy, as pages show them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from gateway.storage.reading.keyset import Columns
from gateway.storage.tables import policies

ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersion:
    """One version: who made it, when, and every value."""

    store_id: str
    version: int
    values: Mapping[str, Any]
    changed_by: str
    changed_at: datetime


def read_versions(connection: Connection, store_id: str) -> list[PolicyVersion]:
    """Return a store's versions, the newest first; the newest is the one in force."""
    query = select(policies).where(policies.c.store_id == store_id).order_by(policies.c.version.desc()).limit(ROWS)
    return [_version(row) for row in connection.execute(query).mappings()]


def read_newest(connection: Connection, store_ids: Sequence[str]) -> dict[str, PolicyVersion]:
    """Return the version in force of each of these stores."""
    newest = select(policies.c.store_id, func.max(policies.c.version).label("version")).where(
        policies.c.store_id.in_(list(store_ids))
    )
    last = newest.group_by(policies.c.store_id).subquery()
    same = (last.c.store_id == policies.c.store_id) & (last.c.version == policies.c.version)
    rows = connection.execute(select(policies).join(last, same)).mappings()
    return {row["store_id"]: _version(row) for row in rows}


def _version(row: Columns) -> PolicyVersion:
    return PolicyVersion(
        store_id=row["store_id"],
        version=row["version"],
        values=row["values"],
        changed_by=row["changed_by"],
        changed_at=row["changed_at"],
    )
