"""What a failing database says, in one clear line."""

import sqlite3
from typing import Final

from sqlalchemy.exc import (
    DatabaseError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.errors import NotRecorded

_SQLITE_WORDS: Final = {
    sqlite3.SQLITE_BUSY: "the database is locked",
    sqlite3.SQLITE_LOCKED: "the database is locked",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "the database is read-only",
    sqlite3.SQLITE_IOERR: "the disk failed",
    sqlite3.SQLITE_CORRUPT: "the database file is damaged",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
    sqlite3.SQLITE_NOTADB: "the database file is not a database",
    sqlite3.SQLITE_PERM: "the database file may not be opened",
    sqlite3.SQLITE_PROTOCOL: "the database is locked",
}
_POSTGRES_WORDS: Final = {
    "08": "the database cannot be reached",
    "25": "the database is read-only",
    "40": "the database gave way to another transaction",
    "53": "the database has run out of room",
    "55": "the database is locked",
    "57": "the database is stopping or took too long",
    "58": "the disk failed",
    "XX": "the database is damaged",
}
_TRY_AGAIN: Final = frozenset({"40001", "40P01"})  # serialization failure, deadlock


class Vanished(Exception):
    """The database file is not the one that was opened."""


def as_not_recorded(error: BaseException) -> NotRecorded | None:
    """Return what to raise for a failure of the database itself, None for any other error."""
    if isinstance(error, NotRecorded):
        return error
    if isinstance(error, Vanished):
        return NotRecorded("the database file has vanished")
    if isinstance(error, PoolTimeout):
        return NotRecorded("no connection to the database became free in time")
    if isinstance(error, DBAPIError) and _is_failure(error):
        return NotRecorded(_word(error))
    return None


def may_run_again(error: BaseException) -> bool:
    """Whether PostgreSQL rolled a transaction back only to let another pass."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _TRY_AGAIN


def is_disconnect(error: BaseException) -> bool:
    """Whether the connection was lost, so that a new one may do."""
    return isinstance(error, SQLAlchemyError) and bool(getattr(error, "connection_invalidated", False))


def _is_failure(error: DBAPIError) -> bool:
    return isinstance(error, (OperationalError, InterfaceError, InternalError)) or type(error) is DatabaseError


def _word(error: DBAPIError) -> str:
    sqlite_code = getattr(error.orig, "sqlite_errorcode", None)
    if sqlite_code is not None:
        return _SQLITE_WORDS.get(sqlite_code & 0xFF, "the database failed")
    sqlstate = getattr(error.orig, "sqlstate", None)
    return _POSTGRES_WORDS.get((sqlstate or "08")[:2], "the database failed")
