"""Statements straight to the driver: what SQLAlchemy does around one costs more than SQLite takes to run it.

Whoever listens to an engine hears these statements as well, and what fails is raised as SQLAlchemy raises it.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

Parameters = Sequence[Any] | dict[str, Any]


def fetch(connection: Connection, text: str, parameters: Parameters = ()) -> list[Any]:
    """Run a statement that returns rows; each is a tuple of the driver's own values."""
    cursor = connection.connection.cursor(**_reading(connection))
    try:
        _tell(connection, cursor, text, parameters, is_many=False)
        cursor.execute(text, parameters)
        return list(cursor.fetchall())
    except connection.dialect.loaded_dbapi.Error as error:
        raise _failure(connection, cursor, text, error) from error
    finally:
        cursor.close()


def change(connection: Connection, text: str, parameters: Parameters = ()) -> int:
    """Run a statement that returns nothing; return how many rows it touched."""
    cursor = connection.connection.cursor()
    try:
        _tell(connection, cursor, text, parameters, is_many=False)
        cursor.execute(text, parameters)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _failure(connection, cursor, text, error) from error
    else:
        return cursor.rowcount
    finally:
        cursor.close()


def change_each(connection: Connection, text: str, rows: Sequence[Parameters]) -> None:
    """Run a statement once for each of several parameters."""
    cursor = connection.connection.cursor()
    try:
        _tell(connection, cursor, text, rows, is_many=True)
        cursor.executemany(text, rows)  # type: ignore[arg-type]  # the protocol knows less than the drivers
    except connection.dialect.loaded_dbapi.Error as error:
        raise _failure(connection, cursor, text, error) from error
    finally:
        cursor.close()


def _reading(connection: Connection) -> dict[str, bool]:
    """PostgreSQL writes bytes as twice as many letters, unless it is asked not to."""
    return {} if connection.dialect.name == "sqlite" else {"binary": True}


def _tell(connection: Connection, cursor: Any, text: str, parameters: Any, *, is_many: bool) -> None:
    for hear in connection.dispatch.before_cursor_execute:
        hear(connection, cursor, text, parameters, None, is_many)


def _failure(connection: Connection, cursor: Any, text: str, error: Exception) -> BaseException:
    """Return what to raise; after a lost connection the others of the pool are not trusted either."""
    dialect = connection.dialect
    is_lost = dialect.is_disconnect(error, connection.connection, cursor)  # type: ignore[arg-type]
    raised = DBAPIError.instance(
        text, None, error, dialect.loaded_dbapi.Error, connection_invalidated=is_lost, dialect=dialect
    )
    if is_lost:
        connection.invalidate(error)
        connection.engine.dispose()
    return raised
