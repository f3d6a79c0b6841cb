"""Twelve months of three subscribers, and every delivery that a destination got of them.

Anna grants, Bert denies, Carl grants and withdraws in month five. One of Anna's payments fails and is made later by
hand, one renewal is made early; for three days nothing reaches the gateway, and once it is started anew.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway.bootstrap import build
from gateway.flow.signals import receive_withdrawal
from gateway.model.renewal import Renewal, Repeat
from gateway.settings import ApiSettings
from tests.fakes import NOON, FixedClock, RecordingSender
from tests.shops import ALL, NONE, Shop, an_entry, settings_for
from tests.store_apis import WooApi
from tests.subscribers import a_renewal, a_subscription, an_order_at, in_store

ANNA, BERT, CARL = 1, 2, 3
STALE = ("fb.1.1795300000000.1234567890", "GA1.1.111111111.1795300000", "203.0.113.9")
MONTH = timedelta(days=30)


@dataclass
class Year:
    """A shop whose webhooks come in while the gateway is up, and its gateway."""

    url: str
    woo: WooApi
    clock: FixedClock = field(default_factory=FixedClock)
    sender: RecordingSender = field(default_factory=RecordingSender)
    is_up: bool = True

    def __post_init__(self) -> None:
        settings = settings_for(self.url, unknown="deny")
        store = replace(settings.stores[0], api=ApiSettings(**self.woo.settings))
        self.settings = replace(settings, stores=(store,))
        self.start()

    def start(self) -> None:
        gateway = build(self.settings, sender=self.sender, clock=self.clock, jitter=lambda: 0.5)
        self.shop = Shop(gateway=gateway, clock=self.clock, sender=self.sender, settings=self.settings)

    def restart(self) -> None:
        self.shop.gateway.close()
        self.start()

    def happens(self, topic: str, payload: dict[str, Any]) -> None:
        """Something changes in the shop; WooCommerce tells of it once, and never again."""
        kept = self.woo.subscriptions if topic.startswith("subscription") else self.woo.orders
        kept[str(payload["id"])] = payload
        if self.is_up:
            assert self.shop.post(payload, topic).status == "accepted"

    def live_until(self, end: datetime) -> None:
        """Let time pass in steps of some days, with the work of worker and clock in each."""
        while self.clock.at < end:
            self.clock.at = min(self.clock.at + timedelta(days=9), end)
            if self.is_up:
                self.work()

    def work(self) -> None:
        gateway = self.shop.gateway
        gateway.run_renewals()
        gateway.fetch_parents()
        gateway.reconcile_due()
        gateway.watch_renewals()
        gateway.sweep()
        self.shop.dispatch()

    # --- what subscribers do ----------------------------------------------------------------------------------

    def subscribe(self, person: int, categories: dict[str, bool]) -> None:
        at, order_id = self.clock.at, 100 * person
        captured = (at - timedelta(seconds=30)).isoformat()
        entry = an_entry(dict(categories), captured_at=captured)
        self.happens("order.created", an_order_at(order_id, at, entry, customer_id=person))
        self.happens("subscription.created", a_subscription(order_id + 1, order_id, at, customer_id=person))

    def renew(self, person: int, month: int, status: str = "processing", topic: str = "order.created") -> None:
        at, subscription_id = self.clock.at, 100 * person + 1
        made_at = at if topic == "order.created" else at - timedelta(days=2)
        # The shop copies the entry of the order that began it, and everything else.
        order = a_renewal(self.renewal_id(person, month), subscription_id, made_at, an_entry(ALL), customer_id=person)
        self.happens(topic, order | {"status": status, "date_modified_gmt": in_store(at)})
        next_at = {"date_modified_gmt": in_store(at), "next_payment_date_gmt": in_store(at + MONTH)}
        subscription = a_subscription(subscription_id, 100 * person, NOON, customer_id=person, **next_at)
        self.happens("subscription.updated", subscription | {"status": "on-hold" if status == "failed" else "active"})

    @staticmethod
    def renewal_id(person: int, month: int) -> int:
        return 100 * person + 10 + month

    # --- what the destination got -----------------------------------------------------------------------------

    def got(self, kind: str) -> list[dict[str, Any]]:
        is_subscription = kind == "subscription"
        return [one for one in self.sender.payloads if "id" in one and ("billing_period" in one) == is_subscription]


@pytest.fixture
def year(any_url: str) -> Iterator[Year]:
    with WooApi() as woo:
        lived = Year(any_url, woo)
        yield lived
        lived.shop.gateway.close()


def test_a_year_of_subscriptions(year: Year) -> None:
    for person, categories in ((ANNA, ALL), (BERT, NONE), (CARL, ALL)):
        year.subscribe(person, categories)
        year.work()
    schedule(year)
    for month in range(1, 13):
        live_through(year, month)
    year.live_until(NOON + 13 * MONTH - timedelta(days=1))

    check_orders(year)
    check_what_left(year)
    check_scheduled(year)
    check_nothing_waits(year)


def live_through(year: Year, month: int) -> None:
    year.live_until(NOON + month * MONTH - timedelta(days=3))
    if month == 8:
        year.renew(ANNA, month)  # early: she pays three days before it is due
    year.is_up = month != 10  # three days without a gateway
    year.live_until(NOON + month * MONTH)
    for person in (ANNA, BERT, CARL):
        if (person, month) != (ANNA, 8):
            year.renew(person, month, "failed" if (person, month) == (ANNA, 3) else "processing")
    if month in (6, 10):
        year.clock.pass_by(minutes=30)
        year.is_up = True
        year.restart()
    year.work()
    if month == 3:
        year.live_until(year.clock.at + timedelta(days=2))
        year.renew(ANNA, month, topic="order.updated")  # paid later, by hand
    if month == 5:
        year.live_until(year.clock.at + timedelta(days=10))
        withdraw(year, CARL)


def withdraw(year: Year, person: int) -> None:
    body = json.dumps({"customer_id": str(person), "categories": ["marketing", "analytics"]}).encode()
    receive_withdrawal(year.shop.gateway.parts, "acme", body)


def schedule(year: Year) -> None:
    """Two more subscriptions live elsewhere, for Anna's and for Bert's order."""
    for person in (ANNA, BERT):
        renewal = Renewal(
            renewal_id=f"elsewhere-{person}",
            origin_order_id=str(100 * person),
            event="subscription_renewed",
            due_at=NOON + MONTH,
            repeat=Repeat(every_days=30, count=12),
            properties={"value": 9.9, "fbclid": "IwAR0abcdefghijklmnop"},
        )
        year.shop.gateway.renewals.schedule("acme", renewal)


def check_orders(year: Year) -> None:
    sent = [(one["id"], one["status"]) for one in year.got("order")]
    anna = [(Year.renewal_id(ANNA, month), "processing") for month in range(1, 13)]
    anna.insert(2, (Year.renewal_id(ANNA, 3), "failed"))
    carl = [(Year.renewal_id(CARL, month), "processing") for month in range(1, 6)]
    assert [one for one in sent if one[0] // 100 == ANNA] == [(100, "processing"), *anna]
    assert [one for one in sent if one[0] // 100 == CARL] == [(300, "processing"), *carl]
    assert [one for one in sent if one[0] // 100 == BERT] == []
    suppressed = [
        row for row in year.shop.deliveries() if row["state"] == "suppressed" and row["topic_group"] == "orders"
    ]
    assert {row["order_id"] for row in suppressed} == {
        "200",
        *(str(Year.renewal_id(BERT, month)) for month in range(1, 13)),
        *(str(Year.renewal_id(CARL, month)) for month in range(6, 13)),
    }


def check_what_left(year: Year) -> None:
    for one in [*year.got("order"), *year.got("subscription")]:
        consent, is_first = one["consent"], one["id"] in (100, 300)
        assert consent["status"] == ("recorded" if is_first else "inherited")
        assert consent["basis"] == ("explicit" if is_first else "inherited")
        assert consent["captured_at"] == "2026-11-22T11:59:30Z"
        assert consent["applied"] == {"analytics": True, "marketing": True}
        text = json.dumps(one)
        assert "_consent_gateway" not in text
        assert is_first or not [value for value in STALE if value in text]
    assert {one["id"] for one in year.got("subscription")} == {101, 301}
    withdrawn_at = NOON + 5 * MONTH + timedelta(days=10)
    carls = [row for row in year.shop.deliveries() if row["customer_id"] == "3" and row["state"] == "delivered"]
    assert max(row["finished_at"] for row in carls) < withdrawn_at


def check_scheduled(year: Year) -> None:
    events = [one for one in year.sender.payloads if "event_id" in one]
    assert [one["event_id"] for one in events] == [f"elsewhere-{ANNA}:{n}" for n in range(1, 13)]
    times = [NOON + n * MONTH for n in range(1, 13)]
    assert [datetime.fromisoformat(one["event_time"]) for one in events] == times
    assert not [one for one in events if "fbclid" in one["properties"]]
    shown = year.shop.gateway.renewals.show("acme", f"elsewhere-{ANNA}")
    assert shown is not None
    assert [one["event_id"] for one in shown["occurrences"] if one["late"]] == [f"elsewhere-{ANNA}:10"]
    bert = [row["state"] for row in year.shop.deliveries() if row["stream"] == f"renewal:elsewhere-{BERT}"]
    assert bert == ["suppressed"] * 12


def check_nothing_waits(year: Year) -> None:
    assert {row["state"] for row in year.shop.deliveries()} <= {"delivered", "suppressed"}
    found = sum(day["found"] for day in year.shop.gateway.reconciliations_as_json("acme")["days"])
    assert found == 3  # the renewals of the month without a gateway
    ids = [row["message_id"] for row in year.shop.deliveries()]
    assert len(ids) == len(set(ids))
