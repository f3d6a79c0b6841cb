"""What lies on the disk at every stage of an order, an event and a renewal: a person is nowhere to be read in it."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.bootstrap import build
from gateway.model.order import Platform
from gateway.model.renewal import Renewal, Repeat
from gateway.settings import SecuritySettings
from gateway.storage.copying import rotate_keys
from gateway.storage.database import Database
from gateway.storage.retention import Ages, drop_old_rows
from gateway.storage.tables import metadata
from tests.captures import capture
from tests.fakes import NOON
from tests.shops import ALL, KEY, NONE, Shop, a_woo_order, an_entry, open_shop, settings_for
from tests.subscribers import a_renewal, a_subscription
from tests.visitors import Visitor

SESSION = "kanarek-session-4f1c9d7e"
CANARIES = {
    "e-mail": "kanarek.novak@example.com",
    "e-mail of the account": "kanarek.account@example.com",
    "withdrawn e-mail": "kanarek.guest@example.com",
    "phone": "+420 777 123 987",
    "name": "Kanarkowitz",
    "street": "Kanarkgasse 17",
    "IP address": "198.51.100.237",
    "user agent": "KanarekBrowser/7.1",
    "order key": "wc_order_KaNaReK9xQ2",
    "checkout token": "kanarek0c4e8c0ffee5b7d1a2b3c4d5e6f",
    "session id": SESSION,
    "click id": "kanarek.IwAR0clickid",
    "evidence": "CPkanarekTCstringAAAAEsACCENAPEIA",
    "note": "leave it at the canary's cage",
    "property of a renewal": "kanarek-gift-card",
}
TELLING = "4711"  # an order's id, which may be read: it shows that the search finds what is there


def spellings(value: str) -> Iterator[bytes]:
    """A value as it is, without its separators, in base64, and as the hashes that vendors take."""
    bare = "".join(char for char in value if char.isalnum())
    for one in {value, value.lower(), bare, bare.lower()}:
        yield one.encode()
        yield one.encode().hex().encode()
        for whole in (one.encode(), b"x" + one.encode(), b"xx" + one.encode()):
            yield base64.b64encode(whole).rstrip(b"=")[4:-2]  # what surrounds it changes the ends alone
        for digest in (hashlib.md5, hashlib.sha1, hashlib.sha256):
            yield digest(one.encode()).hexdigest().encode()
            yield digest(one.encode()).digest()


SOUGHT = {name: tuple(spellings(value)) for name, value in CANARIES.items()}


def stored(shop: Shop) -> bytes:
    """Everything on the disk: the raw files of SQLite, every column of every row of PostgreSQL."""
    url = shop.settings.database.url
    if url.startswith("sqlite"):
        path = url.removeprefix("sqlite:///")
        return b"".join(file.read_bytes() for end in ("", "-wal", "-shm") if (file := Path(path + end)).exists())
    database: Database = shop.gateway.database
    rows = [database.read(lambda c, t=table: c.execute(select(t)).all()) for table in metadata.sorted_tables]  # type: ignore[misc]
    return b"\n".join(_bytes(value) for table in rows for row in table for value in row)


def _bytes(value: object) -> bytes:
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


def read_in(disk: bytes) -> list[str]:
    """The names of the canaries that can be read."""
    lowered = disk.lower()
    return [name for name, sought in SOUGHT.items() if any(one in disk or one in lowered for one in sought)]


@dataclass
class Disk:
    """A shop whose disk is searched after every step."""

    shop: Shop

    def after(self, step: Callable[[], object]) -> None:
        """Take a step, then find nobody on the disk."""
        step()
        disk = stored(self.shop)
        assert read_in(disk) == []
        assert TELLING.encode() in disk


@pytest.fixture
def disk(any_url: str) -> Iterator[Disk]:
    shop = open_shop(settings_for(any_url, mode="anonymize"))
    shop.post(a_woo_order(int(TELLING), an_entry(ALL)))
    yield Disk(shop)
    shop.gateway.close()


def an_order(order_id: int, entry: str | None = None, **changes: Any) -> dict[str, Any]:
    person = {
        "first_name": CANARIES["name"],
        "address_1": CANARIES["street"],
        "email": CANARIES["e-mail"],
        "phone": CANARIES["phone"],
    }
    given = {
        "order_key": CANARIES["order key"],
        "customer_ip_address": CANARIES["IP address"],
        "customer_user_agent": CANARIES["user agent"],
        "customer_note": CANARIES["note"],
        "customer_id": 5,
        "billing": person,
        "shipping": person,
    }
    order = a_woo_order(order_id, entry, **given | changes)
    order["meta_data"].append({"id": 9, "key": "_fbc", "value": CANARIES["click id"]})
    return order


def test_an_order_from_its_webhook_to_its_end(disk: Disk) -> None:
    shop = disk.shop
    entry = an_entry(ALL, session_id=SESSION, tc=CANARIES["evidence"])
    shop.sender.answers = ["http_503", 500, 200, 404]
    disk.after(lambda: shop.post(an_order(1, entry)))
    disk.after(lambda: shop.post(an_order(2)))  # held: nobody has answered yet
    disk.after(lambda: shop.post(an_order(3, an_entry(NONE, session_id=SESSION))))
    disk.after(shop._claimed)
    for _ in range(4):
        shop.clock.pass_by(seconds=120)
        disk.after(shop.dispatch)
    disk.after(lambda: shop.post(an_order(1, entry, status="refunded"), topic="order.updated"))
    disk.after(shop.dispatch)
    assert {row["state"] for row in shop.deliveries()} == {"delivered", "failed"}
    ages = Ages(body_days=0, record_days=1825)
    shop.clock.pass_by(days=1)
    disk.after(lambda: drop_old_rows(shop.gateway.database, ages))


def test_a_checkout_that_browsers_name(any_url: str) -> None:
    shop = open_shop(settings_for(any_url, platform="shopify", mode="suppress"))
    disk, visitor = Disk(shop), Visitor(shop, SESSION)
    order = json.loads(capture(Platform.SHOPIFY, "06").body)
    shop.post({**order, "id": int(TELLING), "checkout_token": "another", "token": "a third"}, topic="orders/create")
    order |= {"email": CANARIES["e-mail"], "browser_ip": CANARIES["IP address"], "id": 1, "checkout_id": 2}
    order |= {"checkout_token": CANARIES["checkout token"], "token": CANARIES["order key"]}
    named = {"checkout_token": CANARIES["checkout token"], "tc": CANARIES["evidence"]}
    disk.after(lambda: visitor.grants(**named))  # parked: the order is not there yet
    disk.after(lambda: shop.post(order, topic="orders/create"))
    disk.after(lambda: visitor.denies(seq=3, **named))
    disk.after(shop.dispatch)
    person = {"id": 5, "email": CANARIES["e-mail"], "phone": CANARIES["phone"]}
    redaction = {"shop_id": 1, "customer": person, "orders_to_redact": [1]}
    disk.after(lambda: shop.post(redaction, topic="customers/redact"))
    shop.gateway.close()


def test_events_and_signals(disk: Disk) -> None:
    shop, visitor = disk.shop, Visitor(disk.shop, SESSION)
    person = {"email": CANARIES["e-mail"], "phone": CANARIES["phone"], "first_name": CANARIES["name"]}
    context = {"ip": CANARIES["IP address"], "user_agent": CANARIES["user agent"], "page_location": "/mug"}
    event = {"user_data": person, "context": context}
    disk.after(lambda: visitor.sends(**event))
    disk.after(lambda: visitor.shows_banner(evidence={"tc": CANARIES["evidence"]}))
    shop.clock.pass_by(seconds=100)
    disk.after(shop.gateway.expire_events)
    disk.after(lambda: visitor.sends(**event))
    disk.after(lambda: visitor.grants(evidence={"tc": CANARIES["evidence"], "gcs": "G111"}))
    disk.after(shop.dispatch)
    disk.after(lambda: visitor.sends(**event))
    disk.after(lambda: visitor.denies(seq=9))
    disk.after(lambda: visitor.sends(**event))
    assert {state for state, _ in shop.states()} >= {"expired", "delivered", "suppressed"}


def test_people_who_withdraw_or_are_erased(disk: Disk) -> None:
    visitor, shop = Visitor(disk.shop, SESSION), disk.shop
    account = {"id": 5, "email": CANARIES["e-mail of the account"], "first_name": CANARIES["name"], "billing": {}}
    disk.after(lambda: shop.post(account, topic="customer.created"))
    disk.after(lambda: visitor.withdraws(email=CANARIES["withdrawn e-mail"], categories=["marketing"]))
    disk.after(lambda: visitor.withdraws(session_id=SESSION))
    disk.after(lambda: shop.post(an_order(1, an_entry(ALL))))
    disk.after(lambda: visitor.withdraws(email=CANARIES["e-mail"], categories=["marketing"]))
    disk.after(shop.dispatch)


def test_scheduled_renewals_and_the_change_of_keys(disk: Disk) -> None:
    shop, new = disk.shop, base64.b64encode(b"n" * 32).decode()
    renewal = Renewal(
        renewal_id="r",
        origin_order_id=TELLING,
        event="subscription_renewed",
        due_at=NOON + timedelta(days=30),
        properties={"gift": CANARIES["property of a renewal"], "email": CANARIES["e-mail"]},
        repeat=Repeat(every_days=30, count=2),
    )
    disk.after(lambda: shop.gateway.renewals.schedule("acme", renewal))
    shop.clock.pass_by(days=30)
    disk.after(shop.gateway.run_renewals)
    gateway = build(replace(shop.settings, security=SecuritySettings(key=new, previous_keys=(KEY,))), clock=shop.clock)
    disk.after(lambda: rotate_keys(gateway.database, gateway.keyring, lambda *_: None))
    gateway.close()
    shown = stored(shop)
    assert base64.b64decode(KEY) not in shown
    assert b"n" * 32 not in shown


def test_a_renewal_with_what_the_shop_copied_onto_it(disk: Disk) -> None:
    shop, entry = disk.shop, an_entry(ALL, session_id=SESSION, evidence={"tc": CANARIES["evidence"]})
    subscription = a_subscription(61, 1, NOON, billing=an_order(1)["billing"])
    disk.after(lambda: shop.post(a_renewal(3, 61, NOON, entry, billing=an_order(3)["billing"])))
    disk.after(lambda: shop.post(subscription, topic="subscription.created"))
    disk.after(lambda: shop.post(an_order(1, entry)))
    disk.after(shop.dispatch)
    assert "delivered" in {state for state, _ in shop.states()}


@pytest.mark.parametrize("name", CANARIES)
def test_the_search_would_find_each_of_them(name: str) -> None:
    value = CANARIES[name]
    seen = [value, f"say {value.lower()} twice", base64.b64encode(f"say {value}".encode()).decode()]
    hashed = hashlib.sha256(value.lower().encode()).hexdigest()
    assert all(name in read_in(text.encode()) for text in [*seen, hashed])
