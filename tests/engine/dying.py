"""A process that dies at a commit of one's choice, just before it or just after."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from gateway.storage.database import Database
from gateway.storage.tables import metadata


class Died(BaseException):
    """The process is gone."""


@dataclass
class Fate:
    """Lets a process die at its n-th commit."""

    at: int
    after_commit: bool
    count: int = 0

    def bind(self, database: Database) -> None:
        backend: Any = database._backend
        write = backend.write

        def fatal(job: Callable[..., Any]) -> Any:
            self.count += 1
            if self.count < self.at:
                return write(job)
            if self.count == self.at and self.after_commit:
                write(job)
            if self.count == self.at and not self.after_commit:
                write(lambda connection: _die_after(job(connection)))
            raise Died

        backend.write = fatal


def unbind(database: Database) -> None:
    """Let what is left of a dead process be closed."""
    vars(database._backend).pop("write", None)


def empty(url: str) -> None:
    """Delete every row."""
    database = Database(url)
    database.write(_delete_everything)
    database.close()


def _die_after(_: object) -> None:
    raise Died


def _delete_everything(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        connection.execute(table.delete())
