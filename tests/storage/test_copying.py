"""A copy holds every row, goes on where it stopped, and says so when it differs; rotation re-encrypts everything."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import ColumnElement, Table, func, insert, select, text, update

from gateway.errors import StartRefused
from gateway.storage import copying
from gateway.storage.copying import CopyDiffers, OtherKeyInUse, copy_database, rotate_keys
from gateway.storage.database import Database
from gateway.storage.keys import open_keyring
from gateway.storage.schema import check_complete
from gateway.storage.tables import bodies, metadata, order_keys, orders, policies, webhooks
from tests.storage.deliveries import a_body, a_delivery, body_ids, claim, enqueue, fail, finish

NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
OLD, NEW = b"o" * 32, b"n" * 32


def silent(_: str, __: int, ___: int) -> None:
    """Hear nothing."""


def everything(database: Database) -> dict[str, list[dict[str, Any]]]:
    return {table.name: rows_of(database, table) for table in metadata.sorted_tables}


def rows_of(database: Database, table: Table) -> list[dict[str, Any]]:
    rows = database.read(lambda connection: connection.execute(select(table)).mappings().all())
    return sorted((dict(row) for row in rows), key=str)


def fill(database: Database) -> None:
    ring = open_keyring(database, OLD)
    sealed = {"key_id": ring.key_id, "created_at": NOW, "store_id": "acme"}
    rows = [sealed | {"sealed": ring.seal(b"body %d" % n, purpose="body")} for n in range(7)]
    words = {"topic": "order.created", "status": "accepted", "received_at": NOW, "store_id": "acme"}
    order = {"store_id": "acme", "order_id": "7", "origin": "checkout", "seen_at": NOW, "frozen_at": NOW}
    policy = {"store_id": "acme", "version": 1, "values": {"mode": "off"}, "changed_by": "file", "changed_at": NOW}
    database.write(lambda c: c.execute(insert(bodies), rows).rowcount)
    database.write(lambda c: c.execute(insert(webhooks), [words | {"key": f"k{n}"} for n in range(11)]).rowcount)
    database.write(lambda c: c.execute(insert(orders).values(order | {"number": "zażółć 'x' \"y\""})).rowcount)
    keys = [{"store_id": "acme", "key_hash": "k", "order_id": f"{n}"} for n in range(4)]
    database.write(lambda c: c.execute(insert(order_keys), keys).rowcount)
    database.write(lambda c: c.execute(insert(policies).values(policy)).rowcount)
    enqueue(database, *(a_delivery(f"order:{n}") for n in range(5)))
    first, second = claim(database, limit=2)
    fail(database, first)
    finish(database, second)


@pytest.fixture
def pair(
    sqlite_url: str, postgres_url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Database, Database]]:
    monkeypatch.setattr(copying, "BATCH", 3)
    source, target = Database(sqlite_url), Database(postgres_url)
    fill(source)
    yield source, target
    source.close()
    target.close()


def test_a_copy_holds_every_row(pair: tuple[Database, Database]) -> None:
    source, target = pair
    copied = {one.table: one.rows for one in copy_database(source, target, silent)}
    assert (copied["webhooks"], copied["bodies"], copied["deliveries"], copied["attempts"]) == (11, 7, 5, 2)
    assert everything(target) == everything(source)


def test_a_schema_that_is_not_known_is_not_copied_in_part(pair: tuple[Database, Database]) -> None:
    source, target = pair
    later = text("UPDATE alembic_version SET version_num = '9999'")
    source.write(lambda connection: connection.execute(later).rowcount)
    with pytest.raises(CopyDiffers, match="later release"):
        copy_database(source, target, silent)
    assert rows_of(target, orders) == []


def test_the_copy_goes_on_numbering_where_the_source_stopped(pair: tuple[Database, Database]) -> None:
    source, target = pair
    copy_database(source, target, silent)
    enqueue(target, a_delivery("order:new"))
    assert {one.stream for one in claim(target, now=NOW)} >= {"order:new"}


@pytest.mark.parametrize("is_back", [False, True])
def test_the_copy_gives_no_id_to_another_body(sqlite_url: str, postgres_url: str, is_back: bool) -> None:
    source, target = map(Database, (postgres_url, sqlite_url) if is_back else (sqlite_url, postgres_url))
    fill(source)
    last = source.read(lambda c: c.execute(select(func.max(bodies.c.id))).scalar_one())
    source.write(lambda c: c.execute(bodies.delete().where(bodies.c.id > last - 3)).rowcount)  # they were delivered
    copy_database(source, target, silent)
    assert a_body(target) > last
    source.close()
    target.close()


def test_a_copy_that_was_stopped_goes_on(pair: tuple[Database, Database]) -> None:
    source, target = pair
    heard: list[str] = []

    def stop(table: str, _: int, __: int) -> None:
        heard.append(table)
        if heard.count("webhooks") == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_database(source, target, stop)
    with pytest.raises(StartRefused, match="not finished"):
        check_complete(target)
    again: list[str] = []
    copy_database(source, target, lambda table, _, __: again.append(table))
    assert everything(target) == everything(source)
    assert again.count("webhooks") == 2, "six of eleven rows had been copied"
    check_complete(target)


def test_a_target_with_rows_of_its_own_is_refused(pair: tuple[Database, Database]) -> None:
    source, target = pair
    enqueue(target, a_delivery("order:other"))
    with pytest.raises(CopyDiffers, match="deliveries"):
        copy_database(source, target, silent)


def test_a_row_that_differs_is_noticed(pair: tuple[Database, Database]) -> None:
    source, target = pair

    def spoil(table: str, done: int, total: int) -> None:
        if table == "orders" and done == total:
            target.write(lambda c: c.execute(update(orders).values(number="other")).rowcount)

    with pytest.raises(CopyDiffers, match="orders"):
        copy_database(source, target, spoil)


def test_a_copy_that_came_as_far_as_comparing_goes_on(pair: tuple[Database, Database]) -> None:
    source, target = pair
    [order] = rows_of(source, orders)

    def spoil(table: str, _: int, __: int) -> None:
        if table == "orders":
            target.write(lambda c: c.execute(update(orders).values(number="other")).rowcount)

    with pytest.raises(CopyDiffers):
        copy_database(source, target, spoil)
    target.write(lambda c: c.execute(update(orders).values(number=order["number"])).rowcount)
    copy_database(source, target, silent)
    assert everything(target) == everything(source)


@pytest.mark.parametrize(
    ("lost", "told"), [(webhooks.c.key == "k3", "10 rows of 11"), (webhooks.c.key != "k3", "1 row of 11")]
)
def test_a_missing_row_is_noticed(pair: tuple[Database, Database], lost: ColumnElement[bool], told: str) -> None:
    source, target = pair

    def spoil(table: str, done: int, total: int) -> None:
        if table == "webhooks" and done == total:
            target.write(lambda c: c.execute(webhooks.delete().where(lost)).rowcount)

    with pytest.raises(CopyDiffers, match=f"webhooks has {told}"):
        copy_database(source, target, spoil)


def test_the_way_back_to_sqlite_is_the_same(postgres_url: str, sqlite_url: str) -> None:
    source, target = Database(postgres_url), Database(sqlite_url)
    fill(source)
    copy_database(source, target, silent)
    assert everything(target) == everything(source)
    source.close()
    target.close()


def test_rotation_seals_everything_anew(any_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "BATCH", 3)
    fill(any_database)
    digest = open_keyring(any_database, OLD).digest("email", "a")
    assert rotate_keys(any_database, open_keyring(any_database, NEW, [OLD]), silent) == 8  # the lookup key as well
    ring = open_keyring(any_database, NEW)
    rows = any_database.read(lambda c: c.execute(select(bodies).order_by(bodies.c.id)).all())
    opened = [ring.open(row.sealed, key_id=row.key_id, purpose="body") for row in rows]
    assert opened == [b"body %d" % n for n in range(7)]
    assert ring.digest("email", "a") == digest
    assert rotate_keys(any_database, ring, silent) == 0


def test_rotation_says_that_a_process_still_has_the_other_key(any_database: Database) -> None:
    fill(any_database)
    old, new = open_keyring(any_database, OLD), open_keyring(any_database, NEW, [OLD])
    late = {"id": 0, "key_id": old.key_id, "sealed": old.seal(b"late", purpose="body"), "created_at": NOW}

    def write_meanwhile(_: str, __: int, ___: int) -> None:
        rows = [late | {"store_id": "acme"}] if 0 not in body_ids(any_database) else []
        any_database.write(lambda c: [c.execute(insert(bodies), row).rowcount for row in rows])

    with pytest.raises(OtherKeyInUse, match="9 rows are under the current key now, but 1 of them came under another"):
        rotate_keys(any_database, new, write_meanwhile)
    assert rotate_keys(any_database, open_keyring(any_database, NEW), silent) == 0
