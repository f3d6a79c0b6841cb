"""What the commands share that work beside a gateway which may be running."""

from collections.abc import Callable
from typing import TypeVar

from gateway.errors import RequestInvalid
from gateway.settings import Settings
from gateway.storage.database import Database
from gateway.storage.schema import check_schema

T = TypeVar("T")


def with_database(settings: Settings, job: Callable[[Database], T]) -> T:
    """Run `job` on the database, beside a gateway that may be running."""
    database = Database(settings.database.url)
    try:
        check_schema(database)
        return job(database)
    finally:
        database.close()


def check_store(settings: Settings, store_id: str) -> None:
    """Raise RequestInvalid for a store that the settings do not name."""
    if settings.store(store_id) is None:
        raise RequestInvalid({"--store": [f"there is no store {store_id} in the settings"]})
