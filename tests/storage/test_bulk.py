"""Statements that go straight to the driver: values come back as they went, and failures are what they always were."""

import sqlite3
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, event, insert, select, update
from sqlalchemy.engine import Engine
from sqlalchemy.exc import IntegrityError

from gateway.errors import NotRecorded
from gateway.storage.bulk import (
    Wanted,
    change_together,
    execute_rows,
    insert_returning,
    select_rows,
    select_together,
    update_rows,
)
from gateway.storage.database import Database
from gateway.storage.statements import rows_wanted
from gateway.storage.tables import deliveries, facts, records
from tests.storage.deliveries import NOW, a_delivery, enqueue, row_of

_ADD = insert(records).returning(records.c.id)
_ALL = select(records).order_by(records.c.id)
_FACT = insert(facts).inline()
_FACTS = select(facts).order_by(facts.c.name)


def a_record(**values: Any) -> dict[str, Any]:
    said = {"channel": "server", "state": "answered", "choices": {}, "source": "server", "basis": "explicit"}
    times = {"captured_at": None, "received_at": NOW}
    return {"store_id": "acme", "order_id": None, "gpc": False, "sealed": None, **said, **times, **values}


ROWS = [
    a_record(order_id="1", choices={"marketing": True, "é": [None, 1.5]}, sealed=bytes(range(256))),
    a_record(order_id="žluťoučký 'kůň' %s \\ \"x\" {}", gpc=True, captured_at=NOW, choices={"a": {"b": "\u2028"}}),
    a_record(order_id="", sealed=b""),
]


def test_rows_come_back_as_they_were_written(any_database: Database) -> None:
    ids = any_database.write(lambda c: [row[0] for row in insert_returning(c, _ADD, ROWS)])
    found = any_database.read(lambda c: select_rows(c, _ALL, {}))
    assert [row["id"] for row in found] == sorted(ids)
    assert [{name: row[name] for name in ROWS[0]} for row in found] == ROWS


def test_rows_without_any_bytes_are_written_too(any_database: Database) -> None:
    any_database.write(lambda c: insert_returning(c, _ADD, ROWS[1:2]))
    assert [row["sealed"] for row in any_database.read(lambda c: select_rows(c, _ALL, {}))] == [None]


def test_more_rows_than_a_statement_has_parameters_for_are_written(sqlite_url: str) -> None:
    database = Database(sqlite_url)

    def job(connection: Connection) -> int:
        raw: Any = connection.connection.driver_connection
        raw.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)  # some systems allow more
        execute_rows(connection, _FACT, [{"name": str(n), "value": "", "updated_at": NOW} for n in range(12_000)])
        return len(insert_returning(connection, _ADD, [a_record(order_id=str(n)) for n in range(4_000)]))

    assert database.write(job) == 4_000
    assert len(database.read(lambda c: select_rows(c, _FACTS, {}))) == 12_000
    database.close()


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize("added", [[], ROWS])
@pytest.mark.parametrize("told", [[], [{"name": name, "value": f"%({name})s", "updated_at": NOW} for name in "ab"]])
def test_rows_of_several_tables_are_written_together(
    any_database: Database, told: list[dict[str, Any]], added: list[dict[str, Any]], changed: bool
) -> None:
    enqueue(any_database, a_delivery(topic="one"), a_delivery(topic="other"))
    before = any_database.read(lambda c: select_rows(c, _FACTS, {}))
    updated = [{"id": row_of(any_database, "one").id, "reason": "%(reason)s", "finished_at": NOW}] if changed else []
    inserts = [(_FACT, told), (insert(records).inline(), added)]
    any_database.write(lambda c: change_together(c, inserts, updates=[(deliveries, updated)]))
    found = any_database.read(lambda c: select_rows(c, _ALL, {}))
    assert [{name: row[name] for name in ROWS[0]} for row in found] == added
    facts_now = any_database.read(lambda c: select_rows(c, _FACTS, {}))
    assert [row for row in facts_now if row not in before] == told
    ones = [row_of(any_database, topic) for topic in ("one", "other")]
    assert [one.reason for one in ones] == ["%(reason)s" if changed else None, None]


@pytest.mark.parametrize("keys", [[], [("acme", "1")], [("acme", "1"), ("acme", ""), ("acme", "none")]])
def test_rows_are_read_together_as_one_by_one(any_database: Database, keys: list[tuple[str, str]]) -> None:
    rows = [row | {"sealed": None} for row in ROWS]
    any_database.write(lambda c: insert_returning(c, _ADD, rows))
    readable = select(*(column for column in records.c if column.name != "sealed")).order_by(records.c.id)

    def wanted(connection: Connection) -> list[Wanted]:
        named = rows_wanted(connection.dialect.name, records, ("store_id", "order_id"), keys)
        return [(readable, {}), named, (_FACTS, {})]

    together = any_database.read(lambda c: select_together(c, wanted(c)))
    alone = any_database.read(lambda c: [select_rows(c, *one) if one else [] for one in wanted(c)])
    assert [sorted(rows, key=str) for rows in together] == [sorted(rows, key=str) for rows in alone]
    assert len(together[0]) == len(ROWS)


@pytest.mark.parametrize("directly", [True, False])
def test_nothing_in_a_column_of_json_is_written_as_it_always_was(any_database: Database, directly: bool) -> None:
    enqueue(any_database, a_delivery(topic="one"))
    row = row_of(any_database, "one")
    changed = {"id": row.id, "detail": None}
    statement = update(deliveries).values(detail=None)
    any_database.write(lambda c: update_rows(c, deliveries, [changed]) if directly else c.execute(statement))
    text = any_database.read(lambda c: c.exec_driver_sql("SELECT CAST(detail AS TEXT) FROM deliveries").scalar())
    assert text == "null"


def test_what_breaks_a_rule_is_told_without_its_values(any_database: Database) -> None:
    row = {"name": "canary", "value": "canary", "updated_at": NOW}
    with pytest.raises(IntegrityError) as failed:
        any_database.write(lambda c: execute_rows(c, _FACT, [row, row]))
    assert failed.value.params is None
    assert any_database.read(lambda c: select_rows(c, _FACTS, {})) == []


def test_listeners_hear_statements_that_go_to_the_driver(any_database: Database) -> None:
    heard: list[str] = []

    def hear(_: Any, __: Any, statement: str, *___: Any) -> None:
        heard.append(statement)

    event.listen(Engine, "before_cursor_execute", hear)
    any_database.read(lambda c: select_rows(c, _FACTS, {}))
    event.remove(Engine, "before_cursor_execute", hear)
    assert any("FROM facts" in statement for statement in heard)


def test_a_connection_lost_on_the_way_is_made_again(postgres_url: str, postgres_server: str) -> None:
    database = Database(postgres_url)
    database.read(lambda c: select_rows(c, _FACTS, {}))
    for again in (lambda: database.read(lambda c: select_rows(c, _FACTS, {})), lambda: database.write(_put)):
        _cut_off(postgres_server)
        again()
    assert [row["name"] for row in database.read(lambda c: select_rows(c, _FACTS, {}))] == ["kept"]
    database.close()


def test_a_connection_that_stays_lost_refuses(postgres_url: str, postgres_server: str) -> None:
    database = Database(postgres_url)

    def job(connection: Any) -> None:
        _cut_off(postgres_server)
        _put(connection)

    with pytest.raises(NotRecorded):
        database.write(job)
    database.close()


def _put(connection: Any) -> None:
    execute_rows(connection, _FACT, [{"name": "kept", "value": "", "updated_at": NOW}])


def _cut_off(server: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gateway'")
