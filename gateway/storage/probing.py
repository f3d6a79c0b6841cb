"""A look at a database without changing anything."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from os import W_OK, access
from typing import Any, Final

from gateway.errors import StartRefused
from gateway.storage.database import Database
from gateway.storage.engines import parse_url, sqlite_path
from gateway.storage.policies import newest_policy
from gateway.storage.schema import check_complete, check_schema
from gateway.storage.statements import Connection
from gateway.storage.tables import facts

_PROBE: Final = "probe"


def probe_database(url: str) -> str:
    """Say how the database is; raise a GatewayError with what to do when it cannot be used."""
    if not _is_there(url):
        return "will be made by gateway run or gateway migrate"
    database = Database(url)
    try:
        check_schema(database)
        check_complete(database)
        database.write(_write_nothing)
    finally:
        database.close()
    return "answers, and its schema is up to date"


def check_writing(database: Database) -> None:
    """Raise NotRecorded when the last write was refused, and so is one more, which leaves nothing behind."""
    if database.is_refusing:
        database.write(partial(_write_and_undo, now=database.now()))


def differing_policies(url: str, from_file: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for every policy key that stands otherwise in the database than in the settings."""
    if not _is_there(url):
        return []
    database = Database(url)
    try:
        newest = database.read(lambda connection: {one: newest_policy(connection, one) for one in from_file})
    finally:
        database.close()
    return [
        f"{store_id}: {key} is {row['values'].get(key)!r} since version {row['version']}; settings.toml says {value!r}"
        for store_id, row in newest.items()
        if row is not None
        for key, value in from_file[store_id].items()
        if row["values"].get(key) != value
    ]


def _is_there(url: str) -> bool:
    parsed = parse_url(url)
    if parsed.get_backend_name() != "sqlite":
        return True
    path = sqlite_path(parsed).absolute()
    nearest = next(folder for folder in path.parents if folder.exists())
    if not path.exists():
        if not nearest.is_dir() or not access(nearest, W_OK):
            raise StartRefused(f"{nearest} cannot be written to")
        return False
    if not access(path, W_OK):
        raise StartRefused(f"{path} is read-only")
    return True


def _write_nothing(_: Connection) -> None:
    """Take the lock for writing, which is enough to know that it can be had."""


def _write_and_undo(connection: Connection, now: datetime) -> None:
    connection.execute(facts.insert().values(name=_PROBE, value="", updated_at=now))
    connection.execute(facts.delete().where(facts.c.name == _PROBE))
