"""Statements that SQLite and PostgreSQL spell alike but import from different places."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Insert, Select, Table, Text, literal, select
from sqlalchemy.dialects import sqlite

from gateway.storage.bulk import Row, Wanted, execute_rows, select_rows
from gateway.storage.lists import is_in_rows, rows_parameter, select_by_rows

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

__all__ = [
    "Connection",
    "Row",
    "insert_for",
    "insert_ignoring",
    "insert_ignoring_of",
    "insert_of",
    "is_among",
    "rows_by",
    "rows_wanted",
    "upsert",
    "upsert_of",
]


def insert_for(connection: Connection, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """Return an INSERT that knows ON CONFLICT, in the connection's dialect."""
    return insert_of(connection.dialect.name, table)


def upsert(connection: Connection, table: Table, rows: Sequence[Row], *, keep: Iterable[str] = ()) -> None:
    """Insert rows, or overwrite what stands under their keys; columns in `keep` stay as they were."""
    if rows:
        execute_rows(connection, upsert_of(connection.dialect.name, table, tuple(rows[0]), tuple(keep)), rows)


def insert_ignoring(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows; those whose key is taken are left out."""
    if rows:
        execute_rows(connection, insert_ignoring_of(connection.dialect.name, table), rows)


def rows_by(
    connection: Connection, table: Table, columns: tuple[str, ...], keys: Iterable[tuple[Any, ...]]
) -> list[Row]:
    """Return the rows of `table` whose `columns` are among `keys`."""
    wanted = rows_wanted(connection.dialect.name, table, columns, keys)
    return select_rows(connection, *wanted) if wanted else []


def rows_wanted(dialect: str, table: Table, columns: tuple[str, ...], keys: Iterable[tuple[Any, ...]]) -> Wanted:
    """Return what `rows_by` asks, for `select_together`."""
    wanted = sorted(set(keys))
    return (_select_by(dialect, table, columns), {"keys": rows_parameter(wanted)}) if wanted else None


# Building a statement costs more than running it, so each is built once.


@lru_cache(maxsize=256)
def insert_of(dialect: str, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """Return an INSERT that knows ON CONFLICT, in a dialect."""
    if dialect == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - takes memory where nobody needs it

    return postgresql.insert(table)


@lru_cache(maxsize=256)
def upsert_of(dialect: str, table: Table, columns: tuple[str, ...], keep: tuple[str, ...]) -> Insert:
    """Return the INSERT by which `upsert` writes rows of these columns."""
    keys = [column.name for column in table.primary_key]
    statement = insert_of(dialect, table)
    changes = {name: statement.excluded[name] for name in columns if name not in {*keys, *keep}}
    if not changes:  # a row that is all key
        return insert_ignoring_of(dialect, table)
    return statement.on_conflict_do_update(index_elements=keys, set_=changes).inline()


@lru_cache(maxsize=256)
def insert_ignoring_of(dialect: str, table: Table) -> Insert:
    """Return an INSERT that leaves out rows whose key is taken."""
    return insert_of(dialect, table).on_conflict_do_nothing().inline()


@lru_cache(maxsize=256)
def _select_by(dialect: str, table: Table, columns: tuple[str, ...]) -> Select[Any]:
    named = [table.c[name] for name in columns]
    return select_by_rows(dialect, select(table), named)


def is_among(columns: Sequence[Any], values: Iterable[tuple[Any, ...]]) -> ColumnElement[bool]:
    """Return `(a, b) IN (('1', 2), ...)`, for columns of text and whole numbers."""
    return is_in_rows(columns, literal(rows_parameter(sorted(set(values))), Text))
