"""Moving to another database, and re-encrypting what is stored: in batches, resumable, counted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, Select, Table, Text, and_, func, literal, select, true, tuple_, update

from gateway.errors import GatewayError
from gateway.storage.database import Database
from gateway.storage.keys import rewrap
from gateway.storage.lists import is_in_rows, rows_parameter
from gateway.storage.sealing import Keyring
from gateway.storage.statements import upsert
from gateway.storage.tables import bodies, facts, metadata, records, renewals

BATCH: Final = 500
_MARK: Final = "copy:"
Progress = Callable[[str, int, int], None]


class CopyDiffers(GatewayError):
    """The copy does not hold what its source holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """Rows of one table that are in the target now."""

    table: str
    rows: int


def copy_database(source: Database, target: Database, progress: Progress) -> list[Copied]:
    """Copy every row into a migrated target and compare the counts; started again, it goes on where it stopped.

    Nothing may write to the source meanwhile. `progress` hears the table, the rows copied and the rows in all.
    """
    tables = [table for table in metadata.sorted_tables if table is not facts]
    copied = [_copy_table(source, target, table, progress) for table in (*tables, facts)]
    target.write(_set_sequences)
    target.write(lambda connection: connection.execute(facts.delete().where(facts.c.name.startswith(_MARK))))
    _compare(source, target)
    return copied


def rotate_keys(database: Database, keyring: Keyring, progress: Progress) -> int:
    """Seal everything under the current key and return how many rows that changed; safe while others work.

    Rows that another process wrote under the previous key meanwhile are found by running it again.
    """
    changed = int(rewrap(database, keyring))
    for table, purpose in SEALED:
        changed += _reseal_table(database, keyring, table, purpose, progress)
    return changed


# What is sealed, and for which purpose.
SEALED: Final = ((bodies, "body"), (records, "evidence"), (renewals, "renewal"))


def _copy_table(source: Database, target: Database, table: Table, progress: Progress) -> Copied:
    total, after = _count(source, table), _marked(target, table)
    while rows := _following(source, table, after):
        after = [rows[-1][column.name] for column in table.primary_key]
        target.write(partial(_put, table=table, rows=rows, after=after, now=target.now()))
        progress(table.name, _count(target, table), total)
    return Copied(table=table.name, rows=_count(target, table))


def _following(source: Database, table: Table, after: Sequence[Any]) -> list[dict[str, Any]]:
    keys = list(table.primary_key)
    query = select(table).order_by(*keys).limit(BATCH)
    if after:
        query = query.where(_is_after(keys, after))
    return [dict(row) for row in source.read(lambda connection: connection.execute(query).mappings().all())]


def _put(
    connection: Connection, *, table: Table, rows: Sequence[dict[str, Any]], after: Sequence[Any], now: datetime
) -> None:
    upsert(connection, table, rows)
    mark = {"name": f"{_MARK}{table.name}", "value": orjson.dumps(after).decode(), "updated_at": now}
    upsert(connection, facts, [mark])


def _marked(target: Database, table: Table) -> list[Any]:
    query = select(facts.c.value).where(facts.c.name == f"{_MARK}{table.name}")
    value = target.read(lambda connection: connection.execute(query).scalar_one_or_none())
    if value is None and table is not facts and _count(target, table):
        raise CopyDiffers(f"the target holds rows of its own in {table.name}; copy into an empty database")
    return list(orjson.loads(value)) if value else []


def _count(database: Database, table: Table) -> int:
    is_own = facts.c.name.not_like(f"{_MARK}%") if table is facts else true()
    query = select(func.count()).select_from(table).where(is_own)
    return int(database.read(lambda connection: connection.execute(query).scalar_one()))


def _set_sequences(connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        return
    for table in metadata.sorted_tables:
        if table.autoincrement_column is not None:
            newest = connection.execute(select(func.max(table.autoincrement_column))).scalar()
            if newest is not None:
                sequence = func.pg_get_serial_sequence(table.name, table.autoincrement_column.name)
                connection.execute(select(func.setval(sequence, newest)))


def _compare(source: Database, target: Database) -> None:
    for table in metadata.sorted_tables:
        if _count(source, table) != _count(target, table):
            raise CopyDiffers(f"{table.name} has {_count(target, table)} rows of {_count(source, table)}")
        after: list[Any] = []
        while rows := _following(source, table, after):
            after = [rows[-1][column.name] for column in table.primary_key]
            if _same_rows(target, table, rows) != _by_key(table, rows):
                raise CopyDiffers(f"rows of {table.name} differ from those of the source")


def _same_rows(target: Database, table: Table, rows: Sequence[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    keys = list(table.primary_key)
    wanted = [tuple(row[key.name] for key in keys) for row in rows]
    query = select(table).where(is_in_rows(keys, literal(rows_parameter(wanted), Text)))
    found = target.read(lambda connection: connection.execute(query).mappings().all())
    return _by_key(table, [dict(row) for row in found])


def _by_key(table: Table, rows: Sequence[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    return {tuple(row[key.name] for key in table.primary_key): row for row in rows}


def _reseal_table(database: Database, keyring: Keyring, table: Table, purpose: str, progress: Progress) -> int:
    keys, done = list(table.primary_key), 0
    is_other = and_(table.c.key_id != keyring.key_id, table.c.sealed.is_not(None))
    query = select(*keys).where(is_other).order_by(*keys).limit(BATCH)
    while rows := database.read(partial(_rows, query=query)):
        values = [tuple(row) for row in rows]
        reseal = partial(
            _reseal,
            keyring=keyring,
            table=table,
            purpose=purpose,
            is_wanted=is_in_rows(keys, literal(rows_parameter(values), Text)),
        )
        done += database.write(reseal)
        progress(table.name, done, done)
        query = select(*keys).where(is_other, _is_after(keys, values[-1])).order_by(*keys).limit(BATCH)
    return done


def _reseal(
    connection: Connection, *, keyring: Keyring, table: Table, purpose: str, is_wanted: ColumnElement[bool]
) -> int:
    keys = list(table.primary_key)
    query = select(*keys, table.c.key_id, table.c.sealed).where(is_wanted, table.c.key_id != keyring.key_id)
    rows = connection.execute(query.with_for_update()).all()
    for row in rows:
        data = keyring.open(row.sealed, key_id=row.key_id, purpose=purpose)
        own = (key == getattr(row, key.name) for key in keys)
        sealed = {"sealed": keyring.seal(data, purpose=purpose), "key_id": keyring.key_id}
        connection.execute(update(table).where(*own).values(sealed))
    return len(rows)


def _rows(connection: Connection, *, query: Select[Any]) -> Sequence[Any]:
    return connection.execute(query).all()


def _is_after(keys: Sequence[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    return tuple_(*keys) > tuple_(*(literal(value, key.type) for key, value in zip(keys, values, strict=True)))
