"""Whose consent counts for orders that a subscription makes."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from gateway.flow.signals import read_posted, receive_signal, receive_withdrawal
from gateway.model.consent import Channel
from tests.captures import captures
from tests.fakes import NOON
from tests.shops import ALL, NONE, Shop, a_woo_order, an_entry, open_shop, settings_for
from tests.subscribers import a_renewal, a_subscription, an_order_at

Open = Callable[..., Shop]
YEAR = timedelta(days=365)
LATER = NOON + YEAR
STALE = ("fb.1.1795300000000.1234567890", "GA1.1.111111111.1795300000", "203.0.113.9")


@pytest.fixture
def open_(sqlite_url: str, shops: list[Shop]) -> Open:
    return opening(sqlite_url, shops)


@pytest.fixture
def open_any(any_url: str, shops: list[Shop]) -> Open:
    """A shop on either database, for what asks the database in a way of its own."""
    return opening(any_url, shops)


def opening(url: str, shops: list[Shop]) -> Open:
    def make(platform: str = "woocommerce", **policy: Any) -> Shop:
        shops.append(open_shop(settings_for(url, platform, **{"unknown": "deny"} | policy)))
        return shops[-1]

    return make


def begin(shop: Shop, categories: Any = ALL, subscription_id: int = 39) -> None:
    """Order 38 begins a subscription at noon; a year goes by."""
    entry = an_entry(categories) if categories is not None else None
    shop.post(an_order_at(38, NOON, entry, customer_id=5))
    shop.post(a_subscription(subscription_id, 38, NOON), "subscription.created")
    settle(shop)


def settle(shop: Shop, *, to: Any = LATER) -> None:
    shop.dispatch()
    shop.clock.at = to
    shop.dispatch()
    shop.sender.requests.clear()


def renew(shop: Shop, order: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    shop.post(order or a_renewal(42, 39, shop.clock()))
    shop.dispatch()
    shop.clock.pass_by(seconds=61)
    shop.dispatch()
    return shop.sender.payloads


def deny(shop: Shop, kind: str, subject: str, *categories: str) -> None:
    """Write what a withdrawal writes."""
    from gateway.storage.consent import lower

    rows = [
        {
            "store_id": "acme",
            "subject_kind": kind,
            "subject": subject,
            "category": category,
            "by": "withdrawal",
            "at": shop.clock(),
            "record_id": None,
        }
        for category in categories
    ]
    shop.gateway.database.write(lambda connection: lower(connection, rows))


def test_renewal_inherits_with_the_original_time_and_without_stale_identifiers(open_: Open) -> None:
    shop = open_()
    begin(shop)
    [sent] = renew(shop, a_renewal(42, 39, LATER, an_entry(ALL)))
    consent = sent["consent"]
    assert (consent["status"], consent["basis"], consent["captured_at"], consent["applied"]) == (
        "inherited",
        "inherited",
        "2026-11-22T11:59:00Z",
        {"analytics": True, "marketing": True},
    )
    assert sent["billing"]["email"] == "jan.novak@example.com"
    assert not [one for one in STALE if one in json.dumps(sent)]
    assert "_meta_purchase_tracked_server" not in json.dumps(sent)
    assert shop.states()[-1] == ("delivered", "stale_identifiers")


def test_identifiers_stay_where_the_shop_says_so(open_: Open) -> None:
    shop = open_(renewal_identifiers="keep")
    begin(shop)
    [sent] = renew(shop)
    assert all(one in json.dumps(sent) for one in STALE)


def test_denied_subscription_stays_denied_whatever_the_copy_says(open_: Open) -> None:
    shop = open_(unknown="allow")
    begin(shop, NONE)
    assert renew(shop, a_renewal(42, 39, LATER, an_entry(ALL))) == []


def test_copy_that_denies_later_than_the_parent_lowers(open_: Open) -> None:
    shop = open_()
    begin(shop)
    newer = an_entry({"analytics": True, "marketing": False}, captured_at="2027-03-01T00:00:00Z")
    [sent] = renew(shop, a_renewal(42, 39, LATER, newer))
    assert sent["consent"]["applied"] == {"analytics": True, "marketing": False}
    assert sent["consent"]["lowered"]["marketing"]["by"] == "order"


@pytest.mark.parametrize("rule", ["allow", "deny"])
def test_unknown_parent_follows_the_rule_for_renewals(open_: Open, rule: str) -> None:
    shop = open_(unknown="deny" if rule == "allow" else "allow", unknown_by_origin={"renewal": rule})
    shop.clock.at = LATER
    sent = renew(shop)
    assert [one["consent"]["status"] for one in sent] == (["unknown"] if rule == "allow" else [])


def test_withdrawal_that_names_a_parent_never_seen_stops_its_renewals(open_any: Open) -> None:
    shop = open_any(unknown="allow")
    shop.clock.at = LATER
    receive_withdrawal(shop.gateway.parts, "acme", b'{"order_id": "38", "categories": ["marketing"]}')
    shop.post(a_subscription(39, 38, NOON), "subscription.created")
    applied = [(one["id"], one["consent"]["applied"]) for one in renew(shop)]
    assert applied == [(id_, {"analytics": True, "marketing": False}) for id_ in (39, 42)]
    receive_withdrawal(shop.gateway.parts, "acme", b'{"order_id": "38"}')
    assert len(renew(shop, a_renewal(43, 39, shop.clock()))) == len(applied)


def test_parent_without_record_leaves_it_to_the_copy(open_: Open) -> None:
    shop = open_()
    begin(shop, None)
    [sent] = renew(shop, a_renewal(42, 39, LATER, an_entry({"analytics": True, "marketing": False})))
    assert (sent["consent"]["status"], sent["consent"]["applied"]) == (
        "inherited",
        {"analytics": True, "marketing": False},
    )


def test_copy_without_a_time_is_no_answer_of_the_renewal(open_: Open) -> None:
    shop = open_(unknown="allow")
    begin(shop, NONE)
    order = a_renewal(42, 39, LATER)
    order["meta_data"].append({"id": 95, "key": "_pmw_consent_snapshot", "value": {"marketing": 1, "statistics": 1}})
    assert renew(shop, order) == []


def test_answer_on_the_pay_page_is_fresh(open_: Open) -> None:
    shop = open_()
    begin(shop, NONE)
    shop.post(a_renewal(42, 39, LATER, status="failed"))
    shop.dispatch()
    assert shop.sender.requests == []
    shop.clock.pass_by(minutes=10)
    paid = a_renewal(42, 39, LATER, an_entry(ALL, captured_at="2027-11-22T12:05:00Z"))
    paid |= {"date_modified_gmt": "2027-11-22T12:06:00", "status": "processing"}
    shop.post(paid, "order.updated")
    shop.dispatch()
    assert [one["consent"]["status"] for one in shop.sender.payloads] == ["recorded"]


@pytest.mark.parametrize(("kind", "subject"), [("customer", "5"), ("order", "38"), ("order", "42"), ("renewals", "5")])
def test_withdrawal_since_then_lowers(open_: Open, kind: str, subject: str) -> None:
    shop = open_()
    begin(shop)
    deny(shop, kind, subject, "marketing")
    shop.clock.pass_by(days=1)
    [sent] = renew(shop)
    assert sent["consent"]["applied"] == {"analytics": True, "marketing": False}
    assert sent["consent"]["lowered"]["marketing"]["by"] == "withdrawal"
    assert sent["consent"]["categories"]["marketing"] is True


@pytest.mark.parametrize(("told", "applied"), [("withdrawal", (True, False)), ("denial", (False, False))])
def test_what_names_one_renewal_lowers_those_that_follow(open_: Open, told: str, applied: tuple[bool, bool]) -> None:
    shop = open_(mode="anonymize")
    begin(shop)
    [first] = renew(shop, a_renewal(42, 39, LATER, customer_id=0))
    assert first["consent"]["applied"] == {"analytics": True, "marketing": True}
    if told == "withdrawal":
        body = b'{"order_id": "42", "categories": ["marketing"]}'
        receive_withdrawal(shop.gateway.parts, "acme", body)
    else:
        say(shop, {"order_id": "42", "categories": {"marketing": False, "analytics": False}})
    shop.sender.requests.clear()
    shop.clock.pass_by(days=30)
    [second] = renew(shop, a_renewal(43, 39, shop.clock(), customer_id=0))
    assert (second["consent"]["applied"]["analytics"], second["consent"]["applied"]["marketing"]) == applied


def say(shop: Shop, said: dict[str, Any]) -> None:
    """A server tells of consent."""
    signal = read_posted(shop.gateway.parts, json.dumps(said).encode(), channel=Channel.SERVER, sec_gpc=False)
    receive_signal(shop.gateway.parts, "acme", signal)


def test_old_answer_told_of_a_renewal_is_not_its_own(open_: Open) -> None:
    shop = open_(unknown="allow")
    begin(shop, NONE)
    granted = {"order_id": "42", "categories": ALL, "captured_at": "2026-12-01T00:00:00Z"}
    shop.post(a_renewal(42, 39, LATER))
    say(shop, granted)
    shop.dispatch()
    assert shop.sender.requests == []
    say(shop, granted | {"order_id": "43"})
    assert renew(shop, a_renewal(43, 39, shop.clock())) == []


def test_later_order_that_denies_lowers_and_one_that_grants_does_not_raise(open_any: Open) -> None:
    shop = open_any()
    begin(shop, {"analytics": True, "marketing": False})
    shop.post(a_woo_order(50, an_entry(NONE), customer_id=5))
    shop.clock.pass_by(days=1)
    shop.post(a_woo_order(51, an_entry(ALL), customer_id=5))
    shop.dispatch()
    shop.sender.requests.clear()
    assert renew(shop) == []


def test_grants_age(open_: Open) -> None:
    shop = open_(consent_max_age_days=300)
    begin(shop)
    assert renew(shop) == []


def test_latest_follows_the_newest_answer_both_ways(open_: Open) -> None:
    shop = open_(renewals="latest")
    begin(shop, NONE)
    shop.post(
        a_woo_order(
            50, an_entry(ALL, captured_at="2027-11-22T11:59:00Z"), customer_id=5, date_created_gmt="2027-11-22T12:00:00"
        )
    )
    shop.dispatch()
    shop.sender.requests.clear()
    [sent] = renew(shop)
    assert (sent["consent"]["status"], sent["consent"]["captured_at"]) == ("inherited", "2027-11-22T11:59:00Z")
    deny(shop, "customer", "5", "analytics", "marketing")
    shop.sender.requests.clear()
    shop.clock.pass_by(days=30)
    assert renew(shop, a_renewal(43, 39, shop.clock())) == []


def test_unknown_does_not_inherit_but_still_lowers(open_: Open) -> None:
    shop = open_(renewals="unknown", unknown="allow")
    begin(shop, NONE)
    assert [one["consent"]["status"] for one in renew(shop)] == ["unknown"]
    deny(shop, "customer", "5", "analytics", "marketing")
    shop.sender.requests.clear()
    assert renew(shop, a_renewal(43, 39, shop.clock())) == []


def test_renewal_that_comes_before_its_subscription_waits_for_it(open_: Open) -> None:
    shop = open_(unknown="allow")
    shop.post(an_order_at(38, NOON, an_entry(NONE), customer_id=5))
    settle(shop)
    shop.post(a_renewal(42, 39, LATER))
    shop.dispatch()
    assert shop.sender.requests == []
    shop.post(a_subscription(39, 38, NOON), "subscription.updated")
    shop.clock.pass_by(seconds=6)
    shop.dispatch()
    assert shop.sender.requests == []
    assert {state for state, _ in shop.states()} == {"suppressed"}


def test_subscription_that_comes_before_its_order_waits_for_it(open_: Open) -> None:
    shop = open_(unknown="allow")
    shop.post(a_subscription(39, 38, NOON), "subscription.created")
    shop.dispatch()
    assert shop.sender.requests == []
    shop.post(an_order_at(38, NOON, an_entry(NONE), customer_id=5))
    shop.clock.pass_by(seconds=6)
    shop.dispatch()
    assert shop.states() == [("suppressed", "all_purposes_denied")] * 2


def test_renewal_of_several_subscriptions_follows_the_strictest(open_: Open) -> None:
    shop = open_()
    shop.post(an_order_at(60, NOON, an_entry({"analytics": True, "marketing": False}), customer_id=5))
    shop.post(a_subscription(61, 60, NOON), "subscription.created")
    begin(shop, {"analytics": False, "marketing": True})
    order = a_renewal(42, 39, LATER)
    order["meta_data"].append({"id": 93, "key": "_subscription_renewal", "value": "61"})
    assert renew(shop, order) == []


def test_late_subscription_webhook_does_not_erase_what_is_newer(open_any: Open) -> None:
    shop = open_any()
    begin(shop)
    shop.post(a_subscription(39, 38, LATER, status="on-hold"), "subscription.updated")
    shop.post(a_subscription(39, 0, NOON + timedelta(days=3), customer_id=0), "subscription.updated")
    shop.post(a_renewal(42, 39, LATER, customer_id=0))
    row = subscription(shop)
    assert (row["status"], row["parent_order_id"], row["customer_id"]) == ("on-hold", "38", "5")
    assert row["last_renewal_at"] == LATER


def test_cancelled_subscription_awaits_no_payment(open_: Open) -> None:
    shop = open_()
    begin(shop)
    cancelled = a_subscription(39, 38, LATER, status="cancelled", next_payment_date_gmt="")
    shop.post(cancelled, "subscription.updated")
    assert subscription(shop)["next_payment_at"] is None


def subscription(shop: Shop, subscription_id: str = "39") -> dict[str, Any]:
    from gateway.storage.subscriptions import subscription_rows

    key = ("acme", subscription_id)
    return shop.gateway.database.read(lambda connection: subscription_rows(connection, [key]))[key]


def test_real_renewals_inherit(open_: Open) -> None:
    """The captures of a real shop, with a grant at the checkout; those of the card that failed among them."""
    shop = open_()
    for one in captures("woocommerce"):  # type: ignore[arg-type]
        if not "073" <= one.name[:3] <= "086" or one.topic.startswith("customer"):
            continue
        payload = json.loads(one.body)
        if payload["id"] == 43:
            entry = {"id": 1, "key": "_consent_gateway", "value": an_entry(captured_at="2026-11-22T00:12:00Z")}
            payload["meta_data"].append(entry)
        shop.post(payload, one.topic)
        shop.dispatch()
    statuses = {(sent["id"], sent["consent"]["status"]) for sent in shop.sender.payloads}
    assert statuses == {(43, "recorded"), (44, "inherited"), (45, "inherited"), (46, "inherited")}
    assert subscription(shop, "44")["status"] == "cancelled"


# --- Shopify ------------------------------------------------------------------------------------------------------


def shopify(name: str, **changes: Any) -> dict[str, Any]:
    [found] = [one for one in captures("shopify") if one.name.startswith(name)]  # type: ignore[arg-type]
    payload: dict[str, Any] = json.loads(found.body)
    return payload | changes


def test_shopify_renewal_follows_the_order_of_its_customer(open_any: Open) -> None:
    shop = open_any("shopify")
    shop.post(shopify("01"), "orders/create")
    shop.dispatch()
    shop.sender.requests.clear()
    [sent] = renew_shopify(shop)
    assert (sent["consent"]["status"], sent["consent"]["basis"]) == ("inherited", "inherited")


def renew_shopify(shop: Shop, **changes: Any) -> list[dict[str, Any]]:
    shop.post(shopify("09", **changes), "orders/create")
    shop.dispatch()
    shop.clock.pass_by(seconds=61)
    shop.dispatch()
    return shop.sender.payloads


def test_shopify_customers_later_grant_does_not_raise(open_any: Open) -> None:
    shop = open_any("shopify", unknown="allow")
    granted = shopify("01")
    denied = granted | {"id": 1, "created_at": "2026-11-01T10:00:00+01:00"}
    denied["note_attributes"] = [
        {"name": "_consent_gateway", "value": an_entry(NONE, captured_at="2026-11-01T08:00:00Z")}
    ]
    shop.post(denied, "orders/create")
    shop.post(granted, "orders/create")
    shop.dispatch()
    shop.sender.requests.clear()
    assert renew_shopify(shop) == []


def test_shopify_renewal_of_a_stranger_is_unknown(open_: Open) -> None:
    shop = open_("shopify", unknown_by_origin={"renewal": "allow"})
    [sent] = renew_shopify(shop)
    assert sent["consent"]["status"] == "unknown"


@pytest.mark.parametrize("is_attempt_first", [True, False])
def test_shopify_contract_links_a_renewal_to_the_order_behind_it(open_any: Open, *, is_attempt_first: bool) -> None:
    shop = open_any("shopify", unknown="allow")
    origin = shopify("01")
    other = origin | {"id": 2, "created_at": "2026-11-19T10:00:00+01:00"}
    other["note_attributes"] = []
    denied = origin | {"id": 3}
    denied["note_attributes"] = [
        {"name": "_consent_gateway", "value": an_entry(NONE, captured_at="2026-11-20T08:00:00Z")}
    ]
    contract = {
        "id": 700,
        "origin_order_id": 3,
        "customer_id": origin["customer"]["id"],
        "status": "active",
        "billing_policy": {"interval": "month", "interval_count": 1},
        "updated_at": "2026-11-20T09:00:00Z",
    }
    attempt = {"id": 1, "subscription_contract_id": 700, "order_id": 900, "idempotency_key": "x"}
    renewal = shopify("09", id=900, source_name="5284869")
    shop.post(denied, "orders/create")
    shop.post(contract, "subscription_contracts/create")
    shop.dispatch()
    posts = [(attempt, "subscription_billing_attempts/success"), (renewal, "orders/create")]
    for payload, topic in posts if is_attempt_first else posts[::-1]:
        shop.post(payload, topic)
    shop.clock.pass_by(seconds=6)
    shop.dispatch()
    assert [sent["id"] for sent in shop.sender.payloads if "id" in sent] == []
    assert shop.order(900)["effective"]["status"] == "inherited"


def test_shopify_renewals_are_detected_by_app_and_tag(sqlite_url: str) -> None:
    from dataclasses import replace

    settings = settings_for(sqlite_url, "shopify", unknown="deny")
    store = replace(settings.stores[0], renewal_app_ids=("294517",), renewal_tags=("Subscription Recurring Order",))
    shop = open_shop(replace(settings, stores=(store,)))
    shop.post(shopify("09", id=1, source_name="294517", app_id=294517), "orders/create")
    shop.post(shopify("09", id=2, source_name="x", tags="VIP, subscription recurring order"), "orders/create")
    shop.post(shopify("09", id=3, source_name="x", app_id=1, tags=""), "orders/create")
    assert [shop.order(number)["origin"] for number in (1, 2, 3)] == ["renewal", "renewal", "api"]
    shop.gateway.close()
