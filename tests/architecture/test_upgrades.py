"""Code of an earlier schema works on the newest one, so that processes are replaced one after the other.

Its statements name the columns that it knows: each is written, read, changed and deleted after the migration.
"""

from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Boolean, Connection, Integer, LargeBinary, MetaData, Table, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import NotRecorded
from gateway.storage.database import Database
from gateway.storage.migrating import _config, migrate
from gateway.storage.schema import check_schema, revision_of

_SCRIPT = ScriptDirectory.from_config(_config())
EARLIER = [one.revision for one in _SCRIPT.walk_revisions() if one.revision != _SCRIPT.get_current_head()]


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Any) -> Any:
    """A database without tables."""
    url = f"sqlite:///{tmp_path}/gateway.db"
    if request.param == "postgres":
        url = request.getfixturevalue("bare_postgres_url")
    else:
        (tmp_path / "gateway.db").touch()
    database = Database(url)
    yield database, url
    database.close()


def bring_to(database: Database, revision: str) -> list[Table]:
    """Migrate up to a revision and return the tables that its code knows."""

    def job(connection: Connection) -> list[Table]:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        known = MetaData()
        known.reflect(connection)
        return [table for table in known.sorted_tables if table.name != "alembic_version"]

    return database.write(job)


def a_row(table: Table, number: int) -> dict[str, Any]:
    """A value for every column that is known."""
    return {column.name: _value(column.type, number) for column in table.columns}


def _value(kind: Any, number: int) -> Any:
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, Integer):
        return number
    if isinstance(kind, JSON):
        return {"number": number}
    return b"sealed %d" % number if isinstance(kind, LargeBinary) else f"text {number}"


def use(database: Database, table: Table) -> None:
    """What code does with a table: write, read, change, delete."""
    row = a_row(table, 2)
    keys = list(table.primary_key)
    is_own = [key == row[key.name] for key in keys]
    rest = {name: value for name, value in a_row(table, 3).items() if name not in {key.name for key in keys}}
    database.write(lambda c: c.execute(insert(table).values(row)).rowcount)
    found = database.read(lambda c: c.execute(select(table).order_by(*keys)).mappings().all())
    assert [dict(one) for one in found] == [a_row(table, 1), row]
    if rest:
        assert database.write(lambda c: c.execute(update(table).where(*is_own).values(rest)).rowcount) == 1
    assert database.write(lambda c: c.execute(table.delete().where(*is_own)).rowcount) == 1


@pytest.mark.parametrize("revision", EARLIER)
def test_earlier_code_works_on_the_newest_schema(database: tuple[Database, str], revision: str) -> None:
    opened, url = database
    tables = bring_to(opened, revision)
    assert len(tables) > 20
    for table in tables:
        opened.write(lambda c, t=table: c.execute(insert(t).values(a_row(t, 1))).rowcount)  # type: ignore[misc]
    migrate(url)
    for table in tables:
        use(opened, table)
    check_schema(opened)


def test_schema_of_a_later_release_stays_as_it_is(database: tuple[Database, str]) -> None:
    opened, url = database
    migrate(url)
    later = text("UPDATE alembic_version SET version_num = '9999'")
    opened.write(lambda c: c.execute(later).rowcount)
    migrate(url)
    assert opened.read(revision_of) == "9999"
    check_schema(opened)


def test_a_column_that_goes_too_soon_is_noticed(database: tuple[Database, str]) -> None:
    opened, url = database
    [orders] = [table for table in bring_to(opened, "0001") if table.name == "orders"]
    migrate(url)
    opened.write(lambda c: c.execute(text("ALTER TABLE orders DROP COLUMN total")).rowcount)
    with pytest.raises((SQLAlchemyError, NotRecorded)):
        use(opened, orders)
