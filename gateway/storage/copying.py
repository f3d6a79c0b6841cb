"""Moving to another database, and re-encrypting what is stored: in batches, resumable, counted."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

import orjson
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    Table,
    and_,
    cast,
    func,
    literal,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import REGCLASS

from gateway.errors import GatewayError
from gateway.model.counting import count
from gateway.storage.database import Database
from gateway.storage.keys import rewrap
from gateway.storage.schema import COPY_MARK, revision_of
from gateway.storage.sealing import Keyring
from gateway.storage.statements import is_among, rows_by, upsert
from gateway.storage.tables import bodies, facts, metadata, records, renewals

BATCH: Final = 500
_WRITTEN: Final = "if something wrote to the source meanwhile, stop that and copy into an empty database"
Progress = Callable[[str, int, int], None]


class CopyDiffers(GatewayError):
    """The copy does not hold what its source holds."""


class OtherKeyInUse(GatewayError):
    """Some process still seals under a key that is to be given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """Rows of one table that are in the target now."""

    table: str
    rows: int


def copy_database(source: Database, target: Database, progress: Progress) -> list[Copied]:
    """Copy every row into a migrated target and compare the counts; started again, it goes on where it stopped.

    Nothing may write to the source meanwhile. `progress` hears the table, the rows copied and the rows in all.
    """
    if source.read(revision_of) != target.read(revision_of):
        raise CopyDiffers("the source has the schema of a later release; copy with that one")
    tables = [table for table in metadata.sorted_tables if table is not facts]
    copied = [_copy_table(source, target, table, progress) for table in (*tables, facts)]
    given_out = source.read(_given_out)
    target.write(partial(_give_out_after, given_out=given_out))
    if not target.is_sqlite:
        target.write(lambda connection: connection.exec_driver_sql("ANALYZE"))  # plans for empty tables are no use now
    _compare(source, target)
    # Until then it may be interrupted, and has to know how far it came.
    target.write(lambda connection: connection.execute(facts.delete().where(facts.c.name.startswith(COPY_MARK))))
    return copied


def rotate_keys(database: Database, keyring: Keyring, progress: Progress, *, apart_seconds: float = 0.0) -> int:
    """Seal everything under the current key and return how many rows that changed; safe while others work.

    It looks twice, `apart_seconds` from one look to the other. Raises OtherKeyInUse when rows came in under another key
    meanwhile: they are changed as well, but for as long as a process writes such rows there will be more.
    """
    changed = _rotate_once(database, keyring, progress)
    time.sleep(apart_seconds)
    if meanwhile := _rotate_once(database, keyring, progress):
        raise OtherKeyInUse(
            f"{now_current(changed + meanwhile)}, but {meanwhile} of them came under another meanwhile; restart every "
            "process with this security.key, then rotate again"
        )
    return changed


def now_current(rows: int) -> str:
    """Say that so many rows are under the current key."""
    return f"{count(rows, 'row')} {'is' if rows == 1 else 'are'} under the current key now"


# What is sealed, and for which purpose.
SEALED: Final = ((bodies, "body"), (records, "evidence"), (renewals, "renewal"))


def _rotate_once(database: Database, keyring: Keyring, progress: Progress) -> int:
    changed = int(rewrap(database, keyring))
    for table, purpose in SEALED:
        changed += _reseal_table(database, keyring, table, purpose, progress)
    return changed


def _copy_table(source: Database, target: Database, table: Table, progress: Progress) -> Copied:
    total, after = _count(source, table), _marked(target, table)
    done = _count(target, table)
    while rows := _following(source, table, after):
        after = [rows[-1][column.name] for column in table.primary_key]
        target.write(partial(_put, table=table, rows=rows, after=after, now=target.now()))
        done += len(rows)
        progress(table.name, done, total)
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
    mark = {"name": f"{COPY_MARK}{table.name}", "value": orjson.dumps(after).decode(), "updated_at": now}
    upsert(connection, facts, [mark])


def _marked(target: Database, table: Table) -> list[Any]:
    query = select(facts.c.value).where(facts.c.name == f"{COPY_MARK}{table.name}")
    value = target.read(lambda connection: connection.execute(query).scalar_one_or_none())
    if value is None and table is not facts and _count(target, table):
        raise CopyDiffers(f"the target holds rows of its own in {table.name}; copy into an empty database")
    return list(orjson.loads(value)) if value else []


def _count(database: Database, table: Table) -> int:
    is_own = facts.c.name.not_like(f"{COPY_MARK}%") if table is facts else true()
    query = select(func.count()).select_from(table).where(is_own)
    return int(database.read(lambda connection: connection.execute(query).scalar_one()))


def _given_out(connection: Connection) -> dict[str, int]:
    """Return the last id that each table gave out, also where the row is gone: what named it must not name another."""
    if connection.dialect.name != "postgresql":
        rows = connection.exec_driver_sql("SELECT name, seq FROM sqlite_sequence")
        return {name: last for name, last in rows if name in metadata.tables}
    columns = [table.autoincrement_column for table in metadata.sorted_tables if table.autoincrement_column is not None]
    asked = {column.table.name: select(func.pg_sequence_last_value(_sequence(column))) for column in columns}
    return {name: connection.execute(one).scalar() or 0 for name, one in asked.items()}


def _sequence(column: Column[Any]) -> ColumnElement[Any]:
    return cast(func.pg_get_serial_sequence(column.table.name, column.name), REGCLASS)


def _give_out_after(connection: Connection, given_out: Mapping[str, int]) -> None:
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        if column is None:
            continue
        newest = connection.execute(select(func.max(column))).scalar() or 0
        last = max(newest, given_out.get(table.name, 0))
        if last and connection.dialect.name == "postgresql":
            connection.execute(select(func.setval(_sequence(column), last)))
        elif last and table.dialect_options["sqlite"]["autoincrement"]:
            connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
            connection.exec_driver_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table.name, last))


def _compare(source: Database, target: Database) -> None:
    for table in metadata.sorted_tables:
        if _count(source, table) != _count(target, table):
            counts = f"{table.name} has {count(_count(target, table), 'row')} of {_count(source, table)}"
            raise CopyDiffers(f"{counts}; {_WRITTEN}")
        after: list[Any] = []
        while rows := _following(source, table, after):
            after = [rows[-1][column.name] for column in table.primary_key]
            if _same_rows(target, table, rows) != _by_key(table, rows):
                raise CopyDiffers(f"rows of {table.name} differ from those of the source; {_WRITTEN}")


def _same_rows(target: Database, table: Table, rows: Sequence[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    names = tuple(key.name for key in table.primary_key)
    wanted = [tuple(row[name] for name in names) for row in rows]
    return _by_key(table, target.read(lambda connection: rows_by(connection, table, names, wanted)))


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
            is_wanted=is_among(keys, values),
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
