"""Counters with an end, shared by every process: how often something was tried, which sessions were signed out."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, select

from gateway.storage.database import Database
from gateway.storage.statements import insert_for
from gateway.storage.tables import throttles


def count_try(database: Database, key: str, *, life_seconds: int, amount: int = 1) -> int:
    """Count one more try under `key` and return how many there were; the count ends with its first try's life."""
    now = database.now()

    def job(connection: Connection) -> int:
        connection.execute(delete(throttles).where(throttles.c.expires_at <= now))
        first = {"key": key, "hits": amount, "expires_at": now + timedelta(seconds=life_seconds)}
        counted = insert_for(connection, throttles).values(first)
        raised = {"hits": throttles.c.hits + amount}
        connection.execute(counted.on_conflict_do_update(index_elements=["key"], set_=raised))
        return _hits(connection, key, now)[0]

    return database.write(job)


def tries(database: Database, key: str) -> tuple[int, datetime]:
    """Return how many tries count under `key`, and until when (now, where there are none)."""
    now = database.now()
    return database.read(lambda connection: _hits(connection, key, now))


def was_counted(key: str) -> ColumnElement[bool]:
    """Whether anything counts under `key`, as a part of another query."""
    return select(throttles.c.key).where(throttles.c.key == key).exists()


def forget_tries(database: Database, key: str | None = None) -> int:
    """Forget the tries under `key`, or all of them; return how many counters went."""
    condition = [throttles.c.key == key] if key is not None else []
    return database.write(lambda connection: connection.execute(delete(throttles).where(*condition)).rowcount)


def _hits(connection: Connection, key: str, now: datetime) -> tuple[int, datetime]:
    found = connection.execute(
        select(throttles.c.hits, throttles.c.expires_at).where(throttles.c.key == key, throttles.c.expires_at > now)
    ).first()
    return (found.hits, found.expires_at) if found else (0, now)
