"""SQLite: one connection writes, others read, and a file that is not ours any more is never written to."""

import contextlib
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from gateway.storage.engines import sqlite_path, sqlite_readers, sqlite_writer
from gateway.storage.failures import Vanished
from gateway.storage.listening import Bell
from gateway.storage.tables import of_microseconds

T = TypeVar("T")
_NANOSECONDS: Final = 1000


class Sqlite:
    """One SQLite file. `write` is for one thread only."""

    writers = 1

    def __init__(self, url: URL, bell: Bell | None = None) -> None:
        """Open nothing yet; `bell` is one that another process hears as well."""
        self.bell = bell or Bell()
        self._path = sqlite_path(url).absolute()
        self._write_ahead = self._path.with_name(self._path.name + "-wal")
        self._writer = sqlite_writer(url)
        self._readers = sqlite_readers(url)
        self._connection: Connection | None = None
        self._files: tuple[int, ...] = ()

    def read(self, job: Callable[[Connection], T]) -> T:
        """Run `job` on a snapshot."""
        with self._readers.connect() as connection, connection.begin():
            return job(connection)

    def write(self, job: Callable[[Connection], T]) -> T:
        """Run `job` under the write lock and commit; after a failure the connection is opened anew."""
        try:
            connection = self._open()
            with connection.begin():
                result = job(connection)
                self._check()
            self._check()
        except (SQLAlchemyError, Vanished):
            self.drop()
            raise
        return result

    def now(self) -> datetime:
        """Return this machine's time; no other machine has the file."""
        return of_microseconds(time.time_ns() // _NANOSECONDS)

    def keep_time(self) -> None:
        """Do nothing: it is always at hand."""

    def close(self) -> None:
        """Close every connection, which writes the write-ahead log back."""
        self._readers.dispose()
        self.drop()

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = self._writer.connect()
            self._files = ()
        return self._connection

    def drop(self) -> None:
        """Open every connection anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                connection.close()
        self._writer.dispose()
        self._readers.dispose()

    def _check(self) -> None:
        """Raise Vanished when a commit would go into files that nobody can find again."""
        try:
            files = (self._path.stat().st_ino, self._write_ahead.stat().st_ino)
        except FileNotFoundError as error:
            raise Vanished from error
        if self._files not in {(), files}:
            raise Vanished
        self._files = files
