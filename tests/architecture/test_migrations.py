"""Migrations lead to the tables of the code, one after the other, on both databases."""

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

import migrations
from gateway.errors import NotRecorded, StartRefused
from gateway.storage.database import Database
from gateway.storage.migrating import migrate
from gateway.storage.schema import check_schema
from gateway.storage.tables import metadata

FOLDER = Path(migrations.__file__).parent


def _script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    return ScriptDirectory.from_config(config)


@pytest.fixture(params=["sqlite", "postgres"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new folder/gateway.db"
    url: str = request.getfixturevalue("bare_postgres_url")
    return url


def test_there_is_one_head() -> None:
    assert len(_script().get_heads()) == 1


def test_files_are_numbered_one_after_the_other() -> None:
    names = sorted(path.stem for path in (FOLDER / "versions").glob("[0-9]*.py"))
    assert names == [f"{number:04}" for number in range(1, len(names) + 1)]
    assert [one.revision for one in _script().walk_revisions()] == names[::-1]


def test_migrated_databases_hold_the_tables_of_the_code(bare_url: str) -> None:
    migrate(bare_url)
    database = Database(bare_url)
    differences = database.read(
        lambda connection: compare_metadata(
            MigrationContext.configure(connection, opts={"compare_type": True}), metadata
        )
    )
    database.close()
    assert differences == []


def test_migrating_again_changes_nothing(bare_url: str) -> None:
    migrate(bare_url)
    migrate(bare_url)
    database = Database(bare_url)
    check_schema(database)
    database.close()


def test_processes_that_migrate_at_once_do_not_disturb_each_other(bare_postgres_url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(migrate, bare_postgres_url) for _ in range(4)]:
            done.result()
    database = Database(bare_postgres_url)
    check_schema(database)
    database.close()


def test_an_unmigrated_database_is_refused(bare_postgres_url: str) -> None:
    database = Database(bare_postgres_url)
    with pytest.raises(StartRefused, match="gateway migrate"):
        check_schema(database)
    database.close()


def test_a_missing_database_is_not_ready(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(NotRecorded):
        check_schema(database)
    database.close()


@pytest.mark.parametrize(("revision", "is_fine"), [("0001", False), ("9999", True)])
def test_an_older_schema_is_refused_and_a_newer_one_is_not(bare_url: str, revision: str, is_fine: bool) -> None:
    migrate(bare_url)
    database = Database(bare_url)
    pretend = text(f"UPDATE alembic_version SET version_num = '{revision}'")
    database.write(lambda connection: connection.execute(pretend).rowcount)
    with nullcontext() if is_fine else pytest.raises(StartRefused):
        check_schema(database)
    database.close()


def test_migrations_say_what_they_do() -> None:
    for path in (FOLDER / "versions").glob("[0-9]*.py"):
        assert re.match(r'"""[A-Z][^\n]+\."""\n', path.read_text(encoding="utf-8")), path.name
