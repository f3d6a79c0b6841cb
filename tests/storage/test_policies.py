"""Processes that start together read the same settings.toml: one of them makes the version, and all of them start."""

import threading
from datetime import UTC, datetime

from sqlalchemy import Connection, select, text

from gateway.bootstrap import build
from gateway.storage.database import Database
from gateway.storage.policies import lock_policies, seed_policy
from gateway.storage.tables import policies
from tests.engine.running import wait_for
from tests.shops import settings_for

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted")


def test_a_process_that_starts_beside_another_waits_for_its_policy(postgres_url: str) -> None:
    settings = settings_for(postgres_url)
    database, failed = Database(postgres_url), list[Exception]()

    def start_another() -> None:
        try:
            build(settings).close()
        except Exception as error:  # noqa: BLE001 - the test shows it
            failed.append(error)

    other = threading.Thread(target=start_another)

    def seed(connection: Connection) -> None:
        lock_policies(connection, ["acme"])
        seed_policy(connection, "acme", settings.stores[0].policy, NOW)
        other.start()
        wait_for(lambda: database.read(lambda reading: reading.execute(_WAITING).scalar_one()), what="the other one")

    database.write(seed)
    other.join()
    versions = database.read(lambda c: list(c.execute(select(policies.c.store_id, policies.c.version))))
    database.close()
    assert (failed, versions) == ([], [("acme", 1)])
