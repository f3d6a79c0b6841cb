"""The schema is brought up to date by Alembic, which is not needed, and costs memory, once that is done."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

import migrations
from gateway.storage.database import Database
from gateway.storage.engines import make_sqlite_file, parse_url
from gateway.storage.schema import revision_of, revisions

_LOCK: Final = text("SELECT pg_advisory_xact_lock(7205759403792794)")


def migrate(url: str) -> None:
    """Bring the schema of the database up to date; makes an SQLite file that is not there yet.

    A schema of a later release stays as it is, so that one may go back.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        make_sqlite_file(parsed)
    database = Database(url)
    try:
        database.write(_upgrade)
    finally:
        database.close()


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK)  # several processes may start at once
    if (revision := revision_of(connection)) is not None and revision not in revisions():
        return
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    return config
