"""What the gateway asks stores for: orders behind renewals, renewals that are overdue, webhooks switched off."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.bootstrap import build
from gateway.model.renewal import Renewal
from gateway.settings import ApiSettings, WebSettings
from tests.fakes import NOON, FixedClock, RecordingSender
from tests.shops import ALL, NONE, Shop, an_entry, settings_for
from tests.store_apis import WooApi
from tests.subscribers import a_renewal, a_subscription, an_order_at, in_store

Open = Callable[..., Shop]
LATER = NOON + timedelta(days=365)
DUE = NOON + timedelta(days=30)
URL = "https://gateway.example/webhooks/acme"


@pytest.fixture
def woo() -> Iterator[WooApi]:
    with WooApi() as api:
        yield api


@pytest.fixture
def open_(sqlite_url: str, woo: WooApi, shops: list[Shop]) -> Open:
    def make(policy: dict[str, Any] | None = None, **changes: Any) -> Shop:
        settings = settings_for(sqlite_url, **{"unknown": "allow"} | (policy or {}))
        api = ApiSettings(**{"renewal_grace_minutes": 60} | woo.settings | changes)
        store = replace(settings.stores[0], api=api)
        web = WebSettings(public_url="https://gateway.example")
        settings = replace(settings, stores=(store,), web=web)
        clock, sender = FixedClock(), RecordingSender()
        gateway = build(settings, sender=sender, clock=clock, jitter=lambda: 0.5)
        gateway._reconciler._wait = lambda _: None
        shops.append(Shop(gateway=gateway, clock=clock, sender=sender, settings=settings))
        return shops[-1]

    return make


# --- what began a renewal -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("categories", "is_sent"), [(ALL, True), (NONE, False)])
def test_parent_that_is_unknown_is_fetched_while_the_renewal_waits(
    open_: Open, woo: WooApi, categories: dict[str, bool], *, is_sent: bool
) -> None:
    shop = open_()
    woo.put(an_order_at(38, NOON, an_entry(dict(categories)), customer_id=5))
    woo.subscriptions["39"] = a_subscription(39, 38, NOON)
    shop.clock.at = LATER
    shop.post(a_renewal(42, 39, LATER))
    shop.dispatch()
    assert shop.sender.requests == []

    assert shop.gateway.fetch_parents() == 1
    shop.dispatch()

    assert [sent["consent"]["captured_at"] for sent in shop.sender.payloads] == ["2026-11-22T11:59:00Z"] * is_sent
    assert [row["order_id"] for row in shop.deliveries()] == ["42"]
    assert woo.paths == ["/wp-json/wc/v3/subscriptions/39", "/wp-json/wc/v3/orders/38"]


def test_parent_that_the_store_does_not_have_leaves_it_to_the_rule(open_: Open) -> None:
    shop = open_()
    shop.post(a_renewal(42, 39, NOON))
    assert shop.gateway.fetch_parents() == 1
    shop.dispatch()
    assert [sent["consent"]["status"] for sent in shop.sender.payloads] == ["unknown"]


def test_store_that_does_not_answer_does_not_stop_a_renewal_for_good(open_: Open, woo: WooApi) -> None:
    shop = open_()
    woo.failures = [(500, None)] * 4
    shop.post(a_renewal(42, 39, NOON))
    assert shop.gateway.fetch_parents() == 0
    shop.dispatch()
    assert shop.sender.requests == []
    shop.clock.pass_by(seconds=61)
    shop.dispatch()
    assert [sent["consent"]["status"] for sent in shop.sender.payloads] == ["unknown"]


def test_store_that_refuses_is_not_asked_every_second(open_: Open, woo: WooApi) -> None:
    shop = open_(key="ck_wrong")
    shop.post(a_renewal(42, 39, NOON))
    for _ in range(4):
        assert shop.gateway.fetch_parents() == 0
        shop.clock.pass_by(seconds=1)
    assert len(woo.asked) == 1
    shop.clock.pass_by(seconds=2)
    shop.gateway.fetch_parents()
    assert len(woo.asked) == 2


@pytest.mark.parametrize(("categories", "is_sent"), [(ALL, True), (NONE, False)])
def test_origin_of_a_scheduled_renewal_is_fetched_while_it_waits(
    open_: Open, woo: WooApi, categories: dict[str, bool], *, is_sent: bool
) -> None:
    shop = open_()
    woo.put(an_order_at(38, NOON, an_entry(dict(categories)), customer_id=5))
    shop.clock.at = LATER
    renewal = Renewal(renewal_id="sub-1", origin_order_id="38", event="subscription_renewed", due_at=LATER)
    shop.gateway.renewals.schedule("acme", renewal)
    shop.dispatch()
    assert shop.sender.requests == []

    assert shop.gateway.fetch_parents() == 1
    shop.dispatch()
    assert [sent["consent"]["captured_at"] for sent in shop.sender.payloads] == ["2026-11-22T11:59:00Z"] * is_sent


def test_scheduled_renewal_of_an_order_that_nobody_knows_follows_the_rule(open_: Open) -> None:
    shop = open_()
    renewal = Renewal(renewal_id="sub-1", origin_order_id="38", event="subscription_renewed", due_at=NOON)
    shop.gateway.renewals.schedule("acme", renewal)
    shop.gateway.fetch_parents()
    shop.dispatch()
    assert [sent["consent"]["status"] for sent in shop.sender.payloads] == ["unknown"]


def test_what_was_withdrawn_since_the_fetched_parent_lowers(open_: Open, woo: WooApi) -> None:
    from tests.flow.test_inheritance import deny

    shop = open_()
    woo.put(an_order_at(38, NOON, an_entry(ALL), customer_id=5))
    woo.subscriptions["39"] = a_subscription(39, 38, NOON)
    shop.clock.at = NOON + timedelta(days=150)
    deny(shop, "customer", "5", "analytics", "marketing")
    shop.clock.at = LATER
    shop.post(a_renewal(42, 39, LATER))
    shop.gateway.fetch_parents()
    shop.dispatch()
    assert shop.sender.requests == []
    assert shop.states() == [("suppressed", "all_purposes_denied")]


def test_order_that_was_only_looked_up_is_still_news(open_: Open, woo: WooApi) -> None:
    shop = open_()
    order = an_order_at(38, NOON - timedelta(minutes=5), an_entry(ALL, captured_at="2026-11-22T11:50:00Z"))
    woo.put(order)
    shop.post(a_subscription(39, 38, NOON), "subscription.created")
    shop.gateway.fetch_parents()
    shop.dispatch()
    assert [sent["consent"]["status"] for sent in shop.sender.payloads] == ["inherited"]
    assert shop.post(order).status == "accepted"


# --- renewals that are overdue ------------------------------------------------------------------------------------


def subscribe(shop: Shop, **changes: Any) -> None:
    shop.post(an_order_at(38, NOON, an_entry(ALL), customer_id=5))
    shop.post(a_subscription(39, 38, NOON, **changes), "subscription.created")
    shop.dispatch()
    shop.sender.requests.clear()


def test_overdue_renewal_is_looked_up_and_taken_in(open_: Open, woo: WooApi) -> None:
    shop = open_()
    subscribe(shop)
    renewal = a_renewal(42, 39, DUE + timedelta(minutes=1))
    old = a_renewal(41, 39, NOON - timedelta(days=60))
    woo.put(renewal, old)
    woo.subscription_orders["39"] = ["42", "41"]
    moved = {"date_modified_gmt": in_store(DUE), "next_payment_date_gmt": in_store(DUE + timedelta(days=30))}
    woo.subscriptions["39"] = a_subscription(39, 38, NOON, **moved)

    shop.clock.at = DUE + timedelta(minutes=59)
    assert shop.gateway.watch_renewals() == 0
    assert woo.asked == []
    shop.clock.at = DUE + timedelta(minutes=61)
    assert shop.gateway.watch_renewals() == 1
    shop.dispatch()

    assert [(sent["id"], sent["consent"]["status"]) for sent in shop.sender.payloads] == [
        (39, "inherited"),
        (42, "inherited"),
    ]
    history = shop.order(42)["history"]
    assert [one["via"] for one in history if one["what"] == "webhook"] == ["reconcile"]
    assert shop.gateway.reconciliations_as_json("acme")["days"] == [{"day": "2026-12-22", "seen": 0, "found": 1}]
    assert shop.post(renewal).status == "duplicate"
    shop.clock.pass_by(days=1)
    assert shop.gateway.watch_renewals() == 0


def test_renewal_that_came_by_webhook_is_not_looked_for(open_: Open, woo: WooApi) -> None:
    shop = open_()
    subscribe(shop)
    shop.clock.at = DUE + timedelta(hours=2)
    shop.post(a_renewal(42, 39, DUE + timedelta(minutes=1)))
    assert shop.gateway.watch_renewals() == 0
    assert woo.asked == []


@pytest.mark.parametrize("status", ["cancelled", "on-hold", "expired", "pending-cancel"])
def test_subscription_that_rests_is_not_looked_up(open_: Open, woo: WooApi, status: str) -> None:
    shop = open_()
    subscribe(shop, status=status)
    shop.clock.at = LATER
    assert shop.gateway.watch_renewals() == 0
    assert woo.asked == []


def test_overdue_renewal_that_is_not_there_is_looked_for_now_and_then(open_: Open, woo: WooApi) -> None:
    shop = open_()
    subscribe(shop)
    woo.subscriptions["39"] = a_subscription(39, 38, NOON)
    shop.clock.at = DUE + timedelta(hours=2)
    for _ in range(3):
        assert shop.gateway.watch_renewals() == 0
    asked = len(woo.asked)
    shop.clock.pass_by(hours=1, seconds=1)
    shop.gateway.watch_renewals()
    assert len(woo.asked) == 2 * asked


def test_renewals_are_found_by_the_ids_that_a_subscription_keeps(open_: Open, woo: WooApi) -> None:
    shop = open_()
    subscribe(shop)
    woo.put(a_renewal(42, 39, DUE))
    kept = [{"key": "_subscription_renewal_order_ids_cache", "value": [42]}]
    woo.subscriptions["39"] = a_subscription(39, 38, NOON, meta_data=kept)
    shop.clock.at = DUE + timedelta(hours=2)
    assert shop.gateway.watch_renewals() == 1


def test_renewals_are_found_by_their_customer_where_the_store_has_no_list_of_them(open_: Open, woo: WooApi) -> None:
    shop = open_()
    subscribe(shop)
    woo.put(a_renewal(42, 39, DUE), a_renewal(43, 49, DUE, customer_id=6))
    shop.clock.at = DUE + timedelta(hours=2)
    assert shop.gateway.watch_renewals() == 1
    assert shop.gateway.order_as_json("acme", "43") is None


# --- webhooks that were switched off ------------------------------------------------------------------------------


def a_webhook(webhook_id: int, status: str, url: str = URL) -> dict[str, Any]:
    return {"id": webhook_id, "topic": "order.created", "status": status, "delivery_url": url}


def test_disabled_webhook_raises_an_alert(open_: Open, woo: WooApi) -> None:
    shop = open_()
    woo.webhooks = [
        a_webhook(1, "active"),
        a_webhook(2, "disabled"),
        a_webhook(3, "disabled", "https://other.example/x"),
    ]
    assert shop.gateway.check_webhooks() == 1
    assert 'gateway_webhook_disabled{store="acme"} 1.0' in shop.gateway.telling.render().decode()
    assert shop.gateway.reconciliations_as_json("acme")["webhooks"] == [
        {"id": "1", "topic": "order.created", "status": "active", "activated": False},
        {"id": "2", "topic": "order.created", "status": "disabled", "activated": False},
    ]
    assert [asked.method for asked in woo.asked] == ["GET"]
    assert shop.gateway.check_webhooks() == 0

    woo.webhooks[1]["status"] = "active"
    shop.clock.pass_by(minutes=15)
    shop.gateway.check_webhooks()
    assert 'gateway_webhook_disabled{store="acme"} 0.0' in shop.gateway.telling.render().decode()


def test_disabled_webhook_is_activated_where_that_is_wanted(open_: Open, woo: WooApi) -> None:
    shop = open_(reactivate_webhooks=True)
    woo.webhooks = [a_webhook(1, "paused"), a_webhook(2, "disabled")]
    assert shop.gateway.check_webhooks() == 1
    assert [one["status"] for one in woo.webhooks] == ["paused", "active"]
    assert 'gateway_webhook_disabled{store="acme"} 0.0' in shop.gateway.telling.render().decode()


def test_key_that_may_only_read_leaves_the_alert(open_: Open, woo: WooApi) -> None:
    shop = open_(reactivate_webhooks=True)
    woo.webhooks = [a_webhook(2, "disabled")]
    woo.fails_at = {2: 403}
    assert shop.gateway.check_webhooks() == 1
    assert 'gateway_webhook_disabled{store="acme"} 1.0' in shop.gateway.telling.render().decode()
