"""Policies as versioned rows: who or what changed them, when, and to what."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, func, insert, select

from gateway.storage.bulk import select_rows
from gateway.storage.signals import call_back
from gateway.storage.statements import Row
from gateway.storage.streams import lock_streams
from gateway.storage.tables import policies

FROM_FILE = "settings.toml"
_NEWEST: Final = select(policies.c.store_id, func.max(policies.c.version).label("newest")).group_by(policies.c.store_id)


def lock_policies(connection: Connection, store_ids: Collection[str]) -> None:
    """Let nobody else add a version for these stores until this transaction ends; before the newest is looked at."""
    lock_streams(connection, {(store_id, "policy") for store_id in store_ids})


def seed_policy(connection: Connection, store_id: str, file_values: Mapping[str, Any], now: datetime) -> int:
    """Make a version of what settings.toml changed since the last version that came from it; return the newest.

    A key counts as changed only when its value in the file differs from what the file said then, so that a restart
    never undoes what was set in the admin pages. The store's policies are locked.
    """
    newest = newest_policy(connection, store_id)
    if newest is None:
        return add_policy(connection, store_id, file_values, FROM_FILE, now, file_values=file_values)
    said = _last_file_values(connection, store_id)
    changed = {key: value for key, value in file_values.items() if key not in said or said[key] != value}
    if not changed:
        return int(newest["version"])
    values = {**newest["values"], **changed}
    return add_policy(connection, store_id, values, FROM_FILE, now, file_values=file_values)


def add_policy(
    connection: Connection,
    store_id: str,
    values: Mapping[str, Any],
    changed_by: str,
    now: datetime,
    *,
    file_values: Mapping[str, Any] | None = None,
) -> int:
    """Add the next version, also for what was decided and has not left; return its number, counted from 1 per store.

    The store's policies are locked.
    """
    newest = select(func.max(policies.c.version)).where(policies.c.store_id == store_id)
    version = (connection.execute(newest).scalar() or 0) + 1
    row = {
        "store_id": store_id,
        "version": version,
        "values": dict(values),
        "file_values": dict(file_values) if file_values is not None else None,
        "changed_by": changed_by,
        "changed_at": now,
    }
    connection.execute(insert(policies), [row])
    call_back(connection, now)
    return version


def newest_policy(connection: Connection, store_id: str) -> Row | None:
    """Return the newest version of a store's policy."""
    statement = select(policies).where(policies.c.store_id == store_id).order_by(policies.c.version.desc()).limit(1)
    row = connection.execute(statement).mappings().first()
    return dict(row) if row else None


def newest_versions(connection: Connection) -> dict[str, int]:
    """Return the number of every store's newest version."""
    return {row["store_id"]: row["newest"] for row in select_rows(connection, _NEWEST, {})}


def policy_of_version(connection: Connection, store_id: str, version: int) -> Row | None:
    """Return the values of one version, and when it was made."""
    where = and_(policies.c.store_id == store_id, policies.c.version == version)
    row = connection.execute(select(policies.c["values"], policies.c.changed_at).where(where)).mappings().first()
    return dict(row) if row else None


def _last_file_values(connection: Connection, store_id: str) -> Row:
    statement = (
        select(policies.c.file_values)
        .where(policies.c.store_id == store_id, policies.c.changed_by == FROM_FILE)
        .order_by(policies.c.version.desc())
        .limit(1)
    )
    return connection.execute(statement).scalar() or {}
