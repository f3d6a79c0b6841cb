"""Lists, search, empty states, and what every page costs."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert

from gateway.storage.people import Role
from gateway.storage.tables import orders
from tests.web.browsing import Browser, Pages

_PATHS = (
    "/admin/orders",
    "/admin/orders?consent=denied&origin=checkout",
    "/admin/orders/acme/1042",
    "/admin/orders/acme/1051",
    "/admin/orders/acme/1056",
    "/admin/orders/acme/1042.json",
    "/admin/deliveries",
    "/admin/deliveries?state=failed&destination=newsletter",
    "/admin/deliveries/4",
    "/admin/sessions",
    "/admin/sessions?marketing=granted",
    "/admin/policy",
    "/admin/policy/acme",
    "/admin/users",
    "/admin/audit",
    "/admin/account",
)
MOST_QUERIES = 12


@contextmanager
def _counted() -> Iterator[list[str]]:
    statements: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA")):
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", count)
    yield statements
    event.remove(Engine, "before_cursor_execute", count)


@pytest.mark.parametrize("path", _PATHS)
def test_a_page_asks_the_database_at_most_twelve_times(shown: Pages, path: str) -> None:
    owner = shown.as_role(Role.OWNER)
    owner.get(path)  # policies never change once made: each process reads them once
    with _counted() as statements:
        assert owner.get(path).status_code == 200
    assert 1 <= len(statements) <= MOST_QUERIES, "\n".join(statements)


def test_what_if_asks_the_database_at_most_twelve_times(shown: Pages) -> None:
    owner = shown.as_role(Role.OWNER)
    owner.get("/admin/policy/acme")
    with _counted() as statements:
        assert owner.post("/admin/policy/acme/preview", a_policy(mode="anonymize")).status_code == 200
    assert len(statements) <= MOST_QUERIES, "\n".join(statements)


def a_policy(**changes: object) -> dict[str, object]:
    """A policy as its form posts it."""
    form: dict[str, object] = {
        "mode": "suppress",
        "unknown": "deny",
        "hold_seconds": "120",
        "event_ttl_seconds": "90",
        "consent_max_age_days": "0",
        "session_events": "gate",
        "renewals": "inherit",
        "renewal_identifiers": "drop",
        "secrets": "keep",
        "gpc": "always",
        "origin_admin": "allow",
        "based_on": "2",
    }
    return form | changes


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/admin/orders", "No orders yet"),
        ("/admin/deliveries", "No deliveries yet"),
        ("/admin/sessions", "No sessions yet"),
        ("/admin/orders?consent=denied", "Nothing fits"),
        ("/admin/deliveries?state=failed", "Nothing fits"),
    ],
)
def test_a_list_without_rows_says_so(pages: Pages, path: str, words: str) -> None:
    assert words in pages.as_role(Role.VIEWER).get(path).text


def _add_orders(pages: Pages, count: int, **changes: object) -> None:
    now = pages.story.clock()
    rows = [
        {
            "store_id": "acme",
            "order_id": str(20_000 + at),
            "number": str(20_000 + at),
            "origin": "checkout",
            "seen_at": now - timedelta(seconds=at // 3),
            "frozen_at": now,
            **changes,
        }
        for at in range(count)
    ]
    pages.story.gateway.database.write(lambda connection: connection.execute(insert(orders), rows))


def _numbers(text: str) -> list[str]:
    return [part.partition("<")[0] for part in text.split('">#')[1:]]


def _follow(browser: Browser, text: str, rel: str) -> str:
    address = text.partition(f'rel="{rel}" href="')[2].partition('"')[0].replace("&amp;", "&")
    return browser.get(address).text if address else ""


def test_pages_lead_through_every_order_once_and_back(pages: Pages) -> None:
    _add_orders(pages, 120)
    viewer = pages.as_role(Role.VIEWER)
    first = viewer.get("/admin/orders").text
    second = _follow(viewer, first, "next")
    third = _follow(viewer, second, "next")
    seen = [number for text in (first, second, third) for number in _numbers(text)]
    assert sorted(seen) == [str(20_000 + at) for at in range(120)]
    assert [len(_numbers(text)) for text in (first, second, third)] == [50, 50, 20]
    assert _follow(viewer, third, "next") == ""
    assert _numbers(_follow(viewer, _follow(viewer, third, "prev"), "prev")) == _numbers(first)


def test_a_rare_order_is_found_by_looking_further(pages: Pages) -> None:
    _add_orders(pages, 5100)
    oldest = {"origin": "pos", "seen_at": pages.story.clock() - timedelta(days=9), "order_id": "5", "number": "5"}
    _add_orders(pages, 1, **oldest)
    viewer = pages.as_role(Role.VIEWER)
    first = viewer.get("/admin/orders?origin=pos").text
    assert "Look further" in first
    assert _numbers(first) == []
    further = _follow(viewer, first, "next")
    assert _numbers(further) == ["5"]
    assert 'rel="next"' not in further


def test_a_very_long_number_is_shortened_in_lists_only(pages: Pages) -> None:
    _add_orders(pages, 1, number="ORD-" + "7" * 60)
    viewer = pages.as_role(Role.VIEWER)
    assert _numbers(viewer.get("/admin/orders").text) == ["ORD-" + "7" * 18 + "…" + "7" * 9]
    assert "ORD-" + "7" * 60 in viewer.get("/admin/orders/acme/20000").text


def test_dates_narrow_the_orders(shown: Pages) -> None:
    viewer = shown.as_role(Role.VIEWER)
    assert _numbers(viewer.get("/admin/orders?since=2026-11-18&until=2026-11-18").text) == ["1042"]


@pytest.mark.parametrize(
    ("consent", "numbers"),
    [
        ("granted", ["1047", "1045", "1042"]),
        ("denied", ["1046", "1044", "1043"]),
        ("inherited", ["1051"]),
        ("none", ["1056", "1048"]),
        ("unanswered", []),
    ],
)
def test_consent_narrows_the_orders(shown: Pages, consent: str, numbers: list[str]) -> None:
    assert _numbers(shown.as_role(Role.VIEWER).get(f"/admin/orders?consent={consent}").text) == numbers


def test_states_and_destinations_narrow_the_deliveries(shown: Pages) -> None:
    viewer = shown.as_role(Role.VIEWER)
    assert _numbers(viewer.get("/admin/deliveries?state=failed").text) == ["1047"]
    assert set(_numbers(viewer.get("/admin/deliveries?state=held&destination=container").text)) == {"1056"}
    assert "1042" not in viewer.get("/admin/deliveries?store=nordlicht").text


@pytest.mark.parametrize("junk", ["older.", "older.x~y", "newer.~", "older.99999999999999999999999~1", "x", "older.-1"])
@pytest.mark.parametrize("path", ["orders", "deliveries", "sessions", "audit"])
def test_a_garbled_page_number_shows_the_top(shown: Pages, path: str, junk: str) -> None:
    owner = shown.as_role(Role.OWNER)
    top, garbled = (owner.get(f"/admin/{path}", query_string={"page": page}) for page in ("", junk))
    assert garbled.status_code == 200
    assert _numbers(garbled.text) == _numbers(top.text)


@pytest.mark.parametrize("text", ["1042", "#1042", " #1042 "])
def test_an_order_is_found_by_its_number_in_one_step(shown: Pages, text: str) -> None:
    answer = shown.as_role(Role.VIEWER).post("/admin/find", {"text": text})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/orders/acme/1042")


def test_an_email_address_finds_orders_and_stays_out_of_addresses_and_the_log(shown: Pages) -> None:
    owner = shown.as_role(Role.OWNER)
    answer = owner.post("/admin/find", {"text": "Jan.Novak@example.com"})
    assert answer.status_code == 200
    assert "1042" in _numbers(answer.text)
    log = owner.get("/admin/audit").text
    assert "searched for an e-mail address" in log
    assert "novak" not in log.lower()


def test_an_email_address_finds_orders_however_it_is_spelled(told: Pages) -> None:
    order = told.story.woo(2001, None, billing={"email": "Zo\u00eb@b\u00fccher.example"})
    told.story.post(order, "order.created")
    for text in ("zoe\u0308@B\u00fccher.example", "zo\u00eb@xn--bcher-kva.example"):
        answer = told.as_role(Role.OWNER).post("/admin/find", {"text": text})
        assert answer.headers["Location"] == "/admin/orders/acme/2001"


def test_a_session_is_found_by_its_id(shown: Pages) -> None:
    from gateway.storage.tables import sessions

    database, hashed = shown.story.gateway.database, shown.story.gateway.keyring.digest("session", "s" * 30)
    now = shown.story.clock()
    row = {"store_id": "acme", "session_hash": hashed, "seen_at": now, "updated_at": now}
    database.write(lambda connection: connection.execute(insert(sessions).values(**row)))
    answer = shown.as_role(Role.VIEWER).post("/admin/find", {"text": "s" * 30})
    assert answer.headers["Location"] == f"/admin/sessions/acme/{hashed}"
    assert shown.as_role(Role.VIEWER).get(answer.headers["Location"]).status_code == 200


def test_a_session_shows_why_an_event_was_not_sent(shown: Pages) -> None:
    from gateway.storage.tables import deliveries, sessions

    database, now = shown.story.gateway.database, shown.story.clock()
    visit = {"store_id": "acme", "session_hash": "ab" * 16, "seen_at": now, "updated_at": now}
    named = {"store_id": "acme", "session_hash": "ab" * 16, "destination_id": "newsletter", "stream": "session:x"}
    event = {"kind": "event", "message_id": "msg_1", "topic": "view_item", "topic_group": "events", "event_id": "e-1"}
    ended = {
        "state": "suppressed",
        "reason": "events_refused",
        "accepted_at": now,
        "finished_at": now,
        "policy_version": 1,
    }
    database.write(lambda connection: connection.execute(insert(sessions).values(**visit)))
    database.write(lambda connection: connection.execute(insert(deliveries).values(**named, **event, **ended)))
    page = shown.as_role(Role.VIEWER).get("/admin/sessions/acme/" + "ab" * 16).text
    assert "The store's policy refuses events that are no orders" in unescape(page)


@pytest.mark.parametrize("text", ["", "4711", "nobody@example.com", "x" * 40, "' OR 1=1", "%"])
def test_what_is_not_there_is_not_found(shown: Pages, text: str) -> None:
    assert shown.as_role(Role.VIEWER).post("/admin/find", {"text": text}).status_code == 404


@pytest.mark.parametrize("path", ["orders", "deliveries", "sessions"])
def test_a_list_of_a_store_that_is_not_there_says_so(shown: Pages, path: str) -> None:
    answer = shown.as_role(Role.VIEWER).get(f"/admin/{path}?store=nowhere")
    assert answer.status_code == 404
    assert "There is no such page, order or store" in answer.text
    assert shown.as_role(Role.VIEWER).get(f"/admin/{path}?store=").status_code == 200


def test_the_bare_address_leads_to_the_pages(pages: Pages) -> None:
    answer = pages.app.test_client().get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/admin/")
