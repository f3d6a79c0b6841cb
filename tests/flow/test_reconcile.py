"""What no webhook brought is fetched, from fakes of both APIs over real HTTP; what one brought never comes twice."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway.bootstrap import build
from gateway.errors import RequestInvalid
from gateway.settings import ApiSettings
from tests.captures import capture
from tests.fakes import NOON, FixedClock, RecordingSender
from tests.shops import ALL, NONE, Shop, a_woo_order, an_entry, settings_for
from tests.store_apis import Asked, ShopifyApi, StoreApi, WooApi
from tests.subscribers import a_subscription

Open = Callable[..., Shop]


@pytest.fixture
def open_(sqlite_url: str, shops: list[Shop]) -> Open:
    def make(api: StoreApi, **changes: Any) -> Shop:
        platform = "shopify" if isinstance(api, ShopifyApi) else "woocommerce"
        policy = changes.pop("policy", {})
        settings = settings_for(sqlite_url, platform, **policy)
        options: Any = {"reconcile_minutes": 15, **api.settings, **changes}
        store = replace(settings.stores[0], api=ApiSettings(**options))
        settings = replace(settings, stores=(store,))
        clock, sender = FixedClock(), RecordingSender()
        gateway = build(settings, sender=sender, clock=clock, jitter=lambda: 0.5)
        gateway._reconciler._wait = waits.append
        shops.append(Shop(gateway=gateway, clock=clock, sender=sender, settings=settings))
        return shops[-1]

    waits: list[float] = []
    make.waits = waits  # type: ignore[attr-defined]
    return make


@pytest.fixture
def woo() -> Iterator[WooApi]:
    with WooApi() as api:
        yield api


@pytest.fixture
def shopify() -> Iterator[ShopifyApi]:
    with ShopifyApi() as api:
        yield api


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def an_order(order_id: int, minutes: float = -30, **changes: Any) -> dict[str, Any]:
    """A WooCommerce order that was made and changed at that many minutes from noon."""
    text = at(minutes).strftime("%Y-%m-%dT%H:%M:%S")
    entry = an_entry(ALL, captured_at=(at(minutes) - timedelta(seconds=10)).isoformat())
    given = {"date_created_gmt": text, "date_modified_gmt": text}
    return a_woo_order(order_id, entry, **given | changes)


def changed(order: dict[str, Any], minutes: float, **changes: Any) -> dict[str, Any]:
    return order | {"date_modified_gmt": at(minutes).strftime("%Y-%m-%dT%H:%M:%S")} | changes


def a_shopify_order(order_id: int, minutes: float = -30, **changes: Any) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(capture("shopify", "01").body)  # type: ignore[arg-type]
    text = at(minutes).isoformat()
    given = {"id": order_id, "order_number": order_id, "created_at": text, "updated_at": text}
    return payload | given | {"financial_status": "pending"} | changes


def topics(shop: Shop) -> list[tuple[str | None, str]]:
    return [(row["order_id"], row["topic"]) for row in shop.deliveries()]


# --- WooCommerce --------------------------------------------------------------------------------------------------


def test_missed_orders_are_taken_in_as_if_their_webhooks_had_come(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    seen, missed, denied = an_order(1), an_order(2), an_order(3) | {"meta_data": []}
    denied["meta_data"] = [{"id": 1, "key": "_consent_gateway", "value": an_entry(NONE)}]
    shop.post(seen)
    woo.put(seen, missed, denied)

    [report] = shop.gateway.reconcile_due()
    shop.dispatch()

    assert (report.seen, report.found, report.taken, report.failure) == (1, ("2", "3"), 2, "")
    assert topics(shop) == [("1", "order.created"), ("2", "order.created"), ("3", "order.created")]
    assert [sent["id"] for sent in shop.sender.payloads] == [1, 2]
    assert shop.sender.payloads[1]["billing"] == missed["billing"]
    assert [one["via"] for one in shop.order(2)["history"] if one["what"] == "webhook"] == ["reconcile"]


def test_a_change_that_no_webhook_brought_comes_as_updated(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    order = an_order(1)
    shop.post(order)
    woo.put(changed(order, -20, status="completed"))
    assert shop.gateway.reconcile("acme").found == ("1",)
    assert topics(shop) == [("1", "order.created"), ("1", "order.updated")]


def test_nothing_comes_twice_however_often_it_is_looked_for(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    woo.put(*(an_order(number, -60 + number) for number in range(1, 30)))
    for _ in range(4):
        shop.gateway.reconcile("acme")
        shop.clock.pass_by(minutes=15)
    assert len(shop.deliveries()) == 29
    assert shop.gateway.reconciliations_as_json("acme")["days"] == [{"day": "2026-11-22", "seen": 0, "found": 29}]


def test_a_webhook_that_comes_after_all_is_a_duplicate(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    order = an_order(1)
    woo.put(order | {"_links": {"self": []}})
    shop.gateway.reconcile("acme")
    assert shop.post(order).status == "duplicate"
    assert shop.post(changed(order, -1)).status == "accepted"


def test_pages_shuffled_orders_and_a_store_that_ignores_the_order(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    woo.page_size, woo.is_shuffled = 7, True
    woo.put(*(an_order(number, -50 + number / 10) for number in range(1, 101)))
    report = shop.gateway.reconcile("acme")
    assert sorted(report.found, key=int) == [str(number) for number in range(1, 101)]
    assert len(shop.deliveries()) == 100


def test_pages_that_shift_while_they_are_read_lose_nothing(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    woo.page_size = 10
    orders = [an_order(number, -50 + number / 10) for number in range(1, 41)]
    woo.put(*orders)

    def shift(asked: Asked) -> None:
        if asked.query.get("page") == "2" and woo.orders["1"] is orders[0]:
            woo.put(*(changed(orders[number], -3) for number in range(5)))

    woo.before_answer = shift
    shop.gateway.reconcile("acme")
    assert {row["order_id"] for row in shop.deliveries()} == {str(number) for number in range(1, 41)}


def test_orders_of_the_same_second_are_all_found(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    woo.page_size = 5
    woo.put(*(an_order(number) for number in range(1, 24)))
    assert shop.gateway.reconcile("acme").taken == 23
    assert len(shop.deliveries()) == 23


def test_a_run_that_fails_midway_keeps_what_it_took_and_is_made_again(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    woo.page_size = 5
    woo.put(*(an_order(number, -50 + number) for number in range(1, 31)))
    woo.fails_at = dict.fromkeys(range(4, 8), 500)
    assert shop.gateway.reconcile("acme").failure == "http_500"
    assert len(shop.deliveries()) == 15
    assert shop.gateway.reconciliations_as_json("acme")["reconciled_until"] is None

    report = shop.gateway.reconcile("acme")
    assert (report.failure, len(report.found)) == ("", 15)
    assert len(shop.deliveries()) == 30
    [day] = shop.gateway.reconciliations_as_json("acme")["days"]
    assert day["found"] == 30


def test_busy_store_is_asked_again_when_it_says_so(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    woo.put(an_order(1))
    woo.failures = [(429, 7), (503, None)]
    assert shop.gateway.reconcile("acme").found == ("1",)
    assert open_.waits == [7.0, 2.0]  # type: ignore[attr-defined]


def test_store_whose_answer_breaks_off_is_asked_again(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    woo.put(an_order(1))
    woo.breaks_off_at = {1}
    assert shop.gateway.reconcile("acme").found == ("1",)
    assert open_.waits == [1.0]  # type: ignore[attr-defined]


def test_store_that_asks_for_long_is_left_until_later(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    woo.put(an_order(1))
    woo.failures = [(429, 3600)]
    assert shop.gateway.reconcile_due()[0].failure == "http_429"
    assert open_.waits == []  # type: ignore[attr-defined]
    assert shop.gateway.reconcile_due() == []
    shop.clock.pass_by(minutes=1)
    assert shop.gateway.reconcile_due()[0].found == ("1",)


def test_wrong_credentials_are_a_word_and_change_nothing(open_: Open, woo: WooApi) -> None:
    shop = open_(woo, secret="wrong")
    woo.put(an_order(1))
    assert shop.gateway.reconcile("acme").failure == "http_401"
    assert shop.deliveries() == []


def test_credentials_are_never_in_a_url_nor_sent_in_the_clear(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    woo.put(an_order(1))
    shop.gateway.reconcile("acme")
    assert not any("ck_test" in asked.url or "cs_test" in asked.url for asked in woo.asked)
    shop = open_(woo, url="http://shop.example")
    assert shop.gateway.reconcile("acme").failure == "https_needed"


def test_stores_are_reconciled_when_it_is_their_time_by_one_process(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    assert len(shop.gateway.reconcile_due()) == 1
    assert shop.gateway.reconcile_due() == []
    shop.clock.pass_by(minutes=15)
    assert len(shop.gateway.reconcile_due()) == 1


def test_a_dry_run_tells_and_changes_nothing(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    woo.put(an_order(1), an_order(2), an_order(3) | {"status": "checkout-draft"})
    told: list[tuple[int, int | None]] = []
    report = shop.gateway.reconcile(
        "acme", at(-600), is_dry=True, progress=lambda done, total: told.append((done, total))
    )
    assert (report.found, report.taken, told) == (("1", "2"), 0, [(3, 3)])
    assert shop.deliveries() == []
    assert shop.gateway.reconciliations_as_json("acme") == {"reconciled_until": None, "webhooks": [], "days": []}


def test_by_hand_reaches_back_and_leaves_the_mark(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    woo.put(an_order(1, -60 * 24 * 3), an_order(2, -10))
    assert shop.gateway.reconcile("acme").found == ("2",)
    assert shop.gateway.reconcile("acme", at(-60 * 24 * 4)).found == ("1",)
    assert shop.gateway.reconciliations_as_json("acme")["reconciled_until"] == "2026-11-22T11:50:00Z"


def test_a_change_of_this_minute_is_left_to_its_webhook(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    order = an_order(1, -1)
    woo.put(order)
    assert shop.gateway.reconcile("acme").found == ()
    assert shop.post(order).status == "accepted"
    shop.clock.pass_by(minutes=15)
    assert shop.gateway.reconcile("acme").seen == 1


def test_gap_report_and_metrics_tell_seen_and_found_per_day(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    orders = [an_order(number, -60 * 24 + number) for number in range(1, 6)]
    for order in orders[:3]:
        shop.post(order)
    woo.put(*orders, an_order(9, -30))
    shop.gateway.reconcile("acme", at(-60 * 48))
    assert shop.gateway.reconciliations_as_json("acme")["days"] == [
        {"day": "2026-11-22", "seen": 0, "found": 1},
        {"day": "2026-11-21", "seen": 3, "found": 2},
    ]
    metrics = shop.gateway.telling.render().decode()
    assert 'gateway_reconcile_found_total{store="acme"} 3.0' in metrics
    assert 'gateway_reconcile_seen_total{store="acme"} 6.0' in metrics


def test_what_was_withdrawn_before_a_missed_order_was_found_counts(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    withdraw(shop, customer_id="5")
    woo.put(an_order(1, -30, customer_id=5), an_order(2, 10, customer_id=5))
    shop.clock.pass_by(minutes=20)
    shop.gateway.reconcile("acme")
    shop.dispatch()
    assert [sent["id"] for sent in shop.sender.payloads] == [2]


def withdraw(shop: Shop, **subject: Any) -> None:
    from gateway.storage.consent import lower

    rows = [
        {
            "store_id": "acme",
            "subject_kind": "customer",
            "subject": subject["customer_id"],
            "category": category,
            "by": "withdrawal",
            "at": shop.clock(),
            "record_id": None,
        }
        for category in ("analytics", "marketing")
    ]
    shop.gateway.database.write(lambda connection: lower(connection, rows))


def test_store_without_api_is_refused_by_hand(open_: Open, woo: WooApi) -> None:
    shop = open_(woo, key="")
    with pytest.raises(RequestInvalid):
        shop.gateway.reconcile("acme")
    assert shop.gateway.reconcile_due() == []


def test_missed_subscriptions_are_taken_in_once(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    shop.post(a_subscription(39, 38, at(-30)), "subscription.created")
    woo.subscriptions["39"] = a_subscription(39, 38, at(-20), status="on-hold")
    woo.subscriptions["49"] = a_subscription(49, 48, at(-25))
    for _ in range(3):
        shop.gateway.reconcile("acme")
        shop.clock.pass_by(minutes=15)
    told = [(row["stream"], row["topic"]) for row in shop.deliveries()]
    assert told == [
        ("subscription:39", "subscription.created"),
        ("subscription:39", "subscription.updated"),
        ("subscription:49", "subscription.updated"),
    ]


def test_store_without_subscriptions_is_read_all_the_same(open_: Open, woo: WooApi) -> None:
    shop = open_(woo)
    woo.has_subscriptions = False
    woo.put(an_order(1))
    assert shop.gateway.reconcile_due()[0].failure == ""
    assert 'where="store_api"' not in shop.gateway.telling.render().decode()


# --- Shopify ------------------------------------------------------------------------------------------------------


def test_shopify_is_read_by_cursor_with_respect_for_its_bucket(open_: Open, shopify: ShopifyApi) -> None:
    shop = open_(shopify)
    shopify.page_size, shopify.used = 4, 39
    shopify.put(*(a_shopify_order(number, -50 + number) for number in range(1, 11)))
    report = shop.gateway.reconcile("acme")
    assert report.found == tuple(str(number) for number in range(1, 11))
    assert open_.waits == [1.0, 1.0, 1.0]  # type: ignore[attr-defined]
    assert {one.query["limit"] for one in shopify.asked} == {"100"}
    assert not any("shpat" in one.url for one in shopify.asked)


def test_shopify_run_that_fails_midway_goes_on_where_it_was(open_: Open, shopify: ShopifyApi) -> None:
    shop = open_(shopify)
    shopify.page_size = 5
    shopify.put(*(a_shopify_order(number, -50 + number) for number in range(1, 31)))
    shopify.fails_at = dict.fromkeys(range(4, 8), 500)
    assert shop.gateway.reconcile("acme").failure == "http_500"
    until = shop.gateway.reconciliations_as_json("acme")["reconciled_until"]
    assert until == at(-35).strftime("%Y-%m-%dT%H:%M:%SZ")

    report = shop.gateway.reconcile("acme")
    assert (report.failure, len(report.found), len(shop.deliveries())) == ("", 15, 30)
    assert shopify.asked[7].query["updated_at_min"] == "2026-11-22T11:20:00Z"


def test_shopify_changes_come_under_the_topics_that_tell_them(open_: Open, shopify: ShopifyApi) -> None:
    shop = open_(shopify)
    pending = a_shopify_order(1)
    shop.post(pending, "orders/create")
    shopify.put(
        pending | {"updated_at": at(-20).isoformat(), "financial_status": "paid"},
        a_shopify_order(2, financial_status="paid"),
        a_shopify_order(3, test=True),
    )
    shop.gateway.reconcile("acme")
    assert topics(shop) == [
        ("1", "orders/create"),
        ("2", "orders/create"),
        ("2", "orders/paid"),
        ("1", "orders/paid"),
    ]


def test_shopify_webhook_that_comes_after_all_is_a_duplicate(open_: Open, shopify: ShopifyApi) -> None:
    shop = open_(shopify)
    order = a_shopify_order(1)
    shopify.put(order)
    shop.gateway.reconcile("acme")
    assert shop.post(order, "orders/create").status == "duplicate"


def a_refund(order_id: int, refund_id: int, minutes: float) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(capture("shopify", "12").body)  # type: ignore[arg-type]
    return payload | {"id": refund_id, "order_id": order_id, "created_at": at(minutes).isoformat()}


def test_shopify_refund_that_no_webhook_brought_is_taken_in_once(open_: Open, shopify: ShopifyApi) -> None:
    shop = open_(shopify)
    long_ago, seen, missed = a_refund(1, 7, -9000), a_refund(1, 8, -25), a_refund(1, 9, -20)
    order = a_shopify_order(1, refunds=[long_ago, seen, missed])
    shop.post(order, "orders/create")
    shop.post(seen, "refunds/create")
    shopify.put(order)

    assert shop.gateway.reconcile("acme", is_dry=True).found == ("1",)
    assert shop.gateway.reconcile("acme").taken == 1
    assert shop.gateway.reconcile("acme", at(-60)).found == ()

    assert shop.post(missed, "refunds/create").status == "duplicate"
    assert topics(shop) == [("1", "orders/create"), ("1", "refunds/create"), ("1", "refunds/create")]


def test_shopify_that_limits_calls_is_waited_for(open_: Open, shopify: ShopifyApi) -> None:
    shop = open_(shopify)
    shopify.put(a_shopify_order(1))
    shopify.failures = [(429, 2.5)]
    assert shop.gateway.reconcile("acme").found == ("1",)
    assert open_.waits == [2.5]  # type: ignore[attr-defined]
