"""The schema: brought up to date, and checked to be so."""

from functools import cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

import migrations
from gateway.errors import StartRefused
from gateway.storage.database import Database
from gateway.storage.engines import make_sqlite_file, parse_url

_LOCK: Final = text("SELECT pg_advisory_xact_lock(7205759403792794)")


def migrate(url: str) -> None:
    """Bring the schema of the database up to date; makes an SQLite file that is not there yet."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        make_sqlite_file(parsed)
    database = Database(url)
    try:
        database.write(_upgrade)
    finally:
        database.close()


def check_schema(database: Database) -> None:
    """Raise StartRefused when the schema is older than this release; NotRecorded when the database does not answer.

    A newer schema is fine: migrations come in halves, and the first half of each serves the release before it too.
    """
    revision = database.read(_revision)
    if revision is None or revision in _older_revisions():
        raise StartRefused("the database schema is not up to date; run `gateway migrate`")


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK)  # several processes may start at once
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


@cache
def _older_revisions() -> frozenset[str]:
    script = _script()
    head = script.get_current_head()
    return frozenset(one.revision for one in script.walk_revisions() if one.revision != head)


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    return config
