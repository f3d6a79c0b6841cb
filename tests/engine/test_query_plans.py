"""No statement of the way of an order reads a table as a whole: costs do not grow with history."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, event

from gateway.flow.events import receive_events
from gateway.flow.signals import receive_signal, receive_withdrawal
from gateway.model.consent import Channel, Choice, Choices, Evidence, Signal, Subject
from gateway.storage.postgres import Postgres
from gateway.storage.sqlite import Sqlite
from tests.shops import ALL, NONE, Shop, a_woo_order, an_entry, open_shop, settings_for
from tests.subscribers import a_renewal, a_subscription, an_order_at

SESSION = "s" * 30
GROWING = {
    *("attempts", "bodies", "customers", "deliveries", "events", "lowerings", "order_keys", "orders"),
    *("parked", "records", "renewals", "sessions", "subscriptions", "webhooks"),
}
Statement = tuple[str, Any]
_WHOLE = re.compile(r"SCAN (\w+)|SEARCH (\w+) USING .*\((?:store_id|destination_id)=\?\)$")  # or all of one store


@pytest.fixture
def shop(any_url: str) -> Iterator[Shop]:
    shop = open_shop(settings_for(any_url, unknown="deny"))
    if not shop.gateway.database.is_sqlite:
        _live(shop)
    yield shop
    shop.gateway.close()


def _live(shop: Shop) -> None:
    """Have what PostgreSQL knows of a shop within a minute: of an empty table all plans cost the same."""
    for number in range(100, 250):
        shop.post(a_woo_order(number, an_entry(NONE), customer_id=number))
    shop.dispatch()
    for number in range(250, 400):
        shop.post(a_woo_order(number, customer_id=number))
    shop.gateway.database.write(lambda connection: connection.exec_driver_sql("ANALYZE"))


@contextmanager
def heard(shop: Shop) -> Iterator[list[Statement]]:
    """Every statement that runs meanwhile, with its parameters."""
    statements: list[Statement] = []
    backend = shop.gateway.database._backend
    assert isinstance(backend, Sqlite | Postgres)
    engines = (backend._writer, backend._readers) if isinstance(backend, Sqlite) else (backend._engine,)

    def hear(_: Any, __: Any, statement: str, parameters: Any, ___: Any, is_many: bool) -> None:
        is_list = is_many and not isinstance(parameters, dict)
        statements.append((statement, parameters[0] if is_list else parameters))

    for engine in engines:
        event.listen(engine, "before_cursor_execute", hear)
    yield statements
    for engine in engines:
        event.remove(engine, "before_cursor_execute", hear)


def scans(shop: Shop, statements: list[Statement]) -> set[str]:
    """Steps of plans that read a growing table, or all that one store or destination has in it."""
    read = _read_on_sqlite if shop.gateway.database.is_sqlite else _read_on_postgres
    return {
        f"{step}: {' '.join(statement.split())[:300]}"
        for statement, parameters in {text: (text, given) for text, given in statements}.values()
        if statement.split()[0] in {"SELECT", "UPDATE", "DELETE", "INSERT", "WITH"}
        for step in shop.gateway.database.read(partial(read, statement=statement, parameters=parameters))
    }


def _read_on_sqlite(connection: Connection, statement: str, parameters: Any) -> list[str]:
    steps = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    whole = [(step, _WHOLE.match(step)) for step in steps]
    return [step for step, table in whole if table and (table[1] or table[2]) in GROWING]


def _read_on_postgres(connection: Connection, statement: str, parameters: Any) -> list[str]:
    """By the plan for small tables: it is kept while they grow."""
    explained = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
    waiting, found = [explained[0]["Plan"]], []
    while waiting:
        step = waiting.pop()
        waiting += step.get("Plans", ())
        is_looked_up = "Index Cond" in step or "Recheck Cond" in step
        if "Scan" in step["Node Type"] and step.get("Relation Name") in GROWING and not is_looked_up:
            found.append(f"{step['Node Type']} {step['Relation Name']}")
    return found


def a_signal(choice: Choice, **subject: str) -> Signal:
    choices = Choices(analytics=choice, marketing=choice)
    return Signal(subject=Subject(**subject), evidence=Evidence(choices=choices), channel=Channel.SERVER)


def test_the_way_of_an_order_scans_nothing(shop: Shop) -> None:
    with heard(shop) as statements:
        shop.post(a_woo_order(1, an_entry(ALL), customer_id=5))
        shop.post(a_woo_order(1, an_entry(ALL), customer_id=5, status="completed"), topic="order.updated")
        shop.post(a_woo_order(2, an_entry(NONE)))
        shop.post(a_woo_order(3))
        shop.dispatch()
        shop.clock.pass_by(seconds=120)
        shop.dispatch()
    assert {state for state, _ in shop.states()} == {"delivered", "suppressed"}
    assert scans(shop, statements) == set()


def test_renewals_scan_nothing(shop: Shop) -> None:
    with heard(shop) as statements:
        shop.post(an_order_at(38, shop.clock(), an_entry(ALL), customer_id=5))
        shop.post(a_subscription(39, 38, shop.clock()), "subscription.created")
        shop.dispatch()
        shop.clock.pass_by(days=30)
        shop.post(a_renewal(42, 39, shop.clock()))
        shop.post(an_order_at(43, shop.clock(), customer_id=5, created_via="subscription"))  # names no subscription
        shop.post(an_order_at(44, shop.clock(), customer_id=6, created_via="subscription"))
        shop.dispatch()
        shop.clock.pass_by(seconds=61)
        shop.dispatch()
    assert [state for state, _ in shop.states()][-4:].count("delivered") >= 2  # two renewals go by what came before
    assert scans(shop, statements) == set()


def test_failing_and_taken_over_deliveries_scan_nothing(shop: Shop) -> None:
    shop.sender.code = 503
    with heard(shop) as statements:
        shop.post(a_woo_order(1, an_entry(ALL)))
        shop.post(a_woo_order(1, an_entry(ALL), status="completed"), topic="order.updated")
        shop.dispatch()
        shop.clock.pass_by(hours=2)
        shop._claimed()
        shop.clock.pass_by(hours=2)
        shop.dispatch()
    assert scans(shop, statements) == set()


def test_signals_and_events_scan_nothing(shop: Shop) -> None:
    parts = shop.gateway.parts
    shop.post(a_woo_order(3, customer_id=5))
    event_body = {"event": "view_item", "event_id": "e1", "session_id": SESSION, "event_time": "2026-11-22T12:00:00Z"}
    with heard(shop) as statements:
        receive_events(parts, "acme", orjson.dumps([event_body, event_body | {"event_id": "e2", "customer_id": "5"}]))
        for choice in (Choice.GRANTED, Choice.DENIED):
            receive_signal(parts, "acme", a_signal(choice, session_id=SESSION))
            receive_signal(parts, "acme", a_signal(choice, order_id="3"))
            receive_signal(parts, "acme", a_signal(choice, customer_id="5"))
        receive_withdrawal(parts, "acme", orjson.dumps({"email": "a@example.org", "categories": ["marketing"]}))
        receive_withdrawal(parts, "acme", orjson.dumps({"customer_id": "5", "categories": ["marketing"]}))
        shop.dispatch()
    assert scans(shop, statements) == set()


def test_a_scan_would_be_noticed(shop: Shop) -> None:
    assert scans(shop, [("SELECT * FROM orders WHERE total = '1'", ())]) != set()
