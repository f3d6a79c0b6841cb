"""Whether a database may be used: its schema is up to date, by Alembic's one row, and it is no half of a copy."""

from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, column, inspect, select, table

import migrations
from gateway.errors import StartRefused
from gateway.storage.database import Database
from gateway.storage.tables import facts

#: Facts that say how far a copy into this database came begin like this; they go when it is complete.
COPY_MARK: Final = "copy:"
_TABLE: Final = "alembic_version"
_OLD: Final = "the database schema is not up to date; run `gateway migrate`"


def check_schema(database: Database) -> None:
    """Raise StartRefused when the schema is older than this release; NotRecorded when the database does not answer.

    A newer schema is fine: migrations come in halves, and the first half of each serves the release before it too.
    """
    revision = database.read(revision_of)
    if revision is None or revision in revisions()[:-1]:
        raise StartRefused(_OLD)


def check_complete(database: Database) -> None:
    """Raise StartRefused when there is no schema, or a copy was not finished: what waits may lack its consent."""
    if database.read(revision_of) is None:
        raise StartRefused(_OLD)
    marks = select(facts.c.name).where(facts.c.name.startswith(COPY_MARK)).limit(1)
    if database.read(lambda connection: connection.execute(marks).first()):
        raise StartRefused("a copy into this database was not finished; run `gateway database copy` again")


@cache
def revisions() -> tuple[str, ...]:
    """Return the migrations of this release, the first one first; their files are named by them."""
    folder = Path(migrations.__file__).parent / "versions"
    return tuple(sorted(path.stem for path in folder.glob("[0-9]*.py")))


def revision_of(connection: Connection) -> str | None:
    """Return the last migration that the database went through, None when there was none."""
    if not inspect(connection).has_table(_TABLE):
        return None
    return connection.execute(select(column("version_num")).select_from(table(_TABLE))).scalar_one_or_none()
