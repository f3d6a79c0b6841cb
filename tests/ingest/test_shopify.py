"""What Shopify's webhooks say, on requests built as Shopify documents them and on changes of them."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.errors import BodyMalformed, SignatureInvalid
from gateway.ingest.platform import RenewalDetection
from gateway.ingest.platforms import PLATFORMS
from gateway.model.consent import Choice, Source
from gateway.model.order import Erasure, Order, Origin, Platform, Relation, Subscription, TopicGroup, Webhook
from tests.captures import Capture, capture, captures

READER = PLATFORMS[Platform.SHOPIFY]
GRANTED, DENIED = Choice.GRANTED, Choice.DENIED


def parse(one: Capture, *, include_tests: bool = False) -> Webhook:
    return READER.parse(one.headers, one.body, RenewalDetection(), include_tests=include_tests)


def parse_body(topic: str, payload: object, **headers: str) -> Webhook:
    names = {"X-Shopify-Topic": topic, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return READER.parse(names, json.dumps(payload).encode(), RenewalDetection(), include_tests=False)


def payload_of(name: str = "01", **changes: object) -> dict[str, object]:
    payload: dict[str, object] = json.loads(capture(Platform.SHOPIFY, name).body)
    return {**payload, **changes}


def order_of(name: str = "01", detection: RenewalDetection | None = None, **changes: object) -> Order:
    return READER.order_of(payload_of(name, **changes), detection or RenewalDetection())


# --- captures -----------------------------------------------------------------------------------------------------


def test_web_order_is_read_whole() -> None:
    webhook = parse(capture(Platform.SHOPIFY, "01"))
    assert webhook.order is not None
    assert replace(webhook.order, evidence=None) == Order(
        order_id="820982911946154508",
        number="1001",
        status="paid",
        origin=Origin.CHECKOUT,
        created_at=datetime(2026, 11, 20, 9, 12, 50, tzinfo=UTC),
        updated_at=datetime(2026, 11, 20, 9, 12, 52, tzinfo=UTC),
        customer_id="115310627314723954",
        email="ines.moreau@example.com",
        checkout_tokens=("5f1c0de0c0ffee0lab", "hWN2Kx5QbYFq1m7lab"),
        currency="EUR",
        total="138.90",
    )


@pytest.mark.parametrize(
    ("name", "origin", "marketing", "analytics"),
    [
        ("01", Origin.CHECKOUT, GRANTED, GRANTED),
        ("02", Origin.CHECKOUT, GRANTED, GRANTED),
        ("03", Origin.CHECKOUT, DENIED, GRANTED),
        ("04", Origin.CHECKOUT, DENIED, DENIED),
        ("05", Origin.CHECKOUT, None, None),
        ("06", Origin.CHECKOUT, DENIED, DENIED),
        ("07", Origin.POS, None, None),
        ("08", Origin.ADMIN, None, None),
        ("09", Origin.RENEWAL, None, None),
        ("10", Origin.CHECKOUT, GRANTED, GRANTED),
        ("11", Origin.CHECKOUT, DENIED, GRANTED),
        ("18", Origin.CHECKOUT, None, None),
        ("19", Origin.CHECKOUT, DENIED, DENIED),
        ("20", Origin.CHECKOUT, GRANTED, DENIED),
    ],
)
def test_capture_has_its_origin_and_consent(
    name: str, origin: Origin, marketing: Choice | None, analytics: Choice | None
) -> None:
    order = parse(capture(Platform.SHOPIFY, name)).order
    assert order is not None
    assert order.origin is origin
    choices = order.evidence.choices if order.evidence else None
    assert (choices and choices.marketing, choices and choices.analytics) == (marketing, analytics)


@pytest.mark.parametrize("name", ["15", "17"])
def test_other_compliance_topics_are_ignored(name: str) -> None:
    assert parse(capture(Platform.SHOPIFY, name)).ignored == "topic"


def test_garbled_consent_counts_as_denied_and_is_noted() -> None:
    evidence = order_of("19").evidence
    assert evidence is not None
    assert (evidence.unreadable, evidence.note, evidence.source) == (True, "not JSON", Source.CLIENT)


def test_permission_to_mail_is_no_consent() -> None:
    assert order_of("05", buyer_accepts_marketing=True).evidence is None


def test_attribute_is_the_shoppers_whatever_it_claims() -> None:
    value = json.dumps({"v": 1, "categories": {"marketing": True}, "source": "server"})
    evidence = order_of(note_attributes=[{"name": "_consent_gateway", "value": value}]).evidence
    assert evidence is not None
    assert evidence.source is Source.CLIENT


def test_imports_are_not_read_from_attributes() -> None:
    assert order_of(note_attributes=[{"name": "_gtmkit_consent", "value": '{"marketing":true}'}]).evidence is None


def test_cancelled_order_says_so() -> None:
    order = order_of(cancelled_at="2026-11-21T10:00:00Z", financial_status="refunded")
    assert order.status == "cancelled"


def test_refund_names_its_order() -> None:
    webhook = parse(capture(Platform.SHOPIFY, "12"))
    assert (webhook.group, webhook.resource_id) == (TopicGroup.REFUNDS, "929361464008")
    assert (webhook.order_id, webhook.order) == ("820982911946154508", None)


def test_deleted_order_is_an_id_alone() -> None:
    webhook = parse(capture(Platform.SHOPIFY, "13"))
    assert (webhook.group, webhook.order_id) == (TopicGroup.DELETED, "820982911946156508")


def test_edited_order_is_named_in_the_edit() -> None:
    webhook = parse(capture(Platform.SHOPIFY, "14"))
    assert (webhook.group, webhook.order_id) == (TopicGroup.ORDERS, "820982911946154508")
    assert (webhook.resource_id, webhook.order) == ("78912328793123780", None)


def test_redaction_says_whom_to_forget() -> None:
    webhook = parse(capture(Platform.SHOPIFY, "16"))
    assert webhook.erasure == Erasure(
        customer_id="115310627314723954",
        email="ines.moreau@example.com",
        order_ids=("820982911946154508", "820982911946155508"),
    )
    assert (webhook.group, webhook.ignored) == (None, "")


# --- what makes a webhook this very one ---------------------------------------------------------------------------


@pytest.mark.parametrize("webhook_id", ["1", "3f4c2050-e1a8-4a58-ab21-d9aa5b77c19e", "x" * 64])
def test_webhook_id_is_the_key(webhook_id: str) -> None:
    one = capture(Platform.SHOPIFY, "01")
    assert parse(replace(one, headers={**one.headers, "X-Shopify-Webhook-Id": webhook_id})).key == webhook_id


@pytest.mark.parametrize("webhook_id", ["", "a b c d e f g", "x" * 65, "é" * 20])
def test_without_a_usable_webhook_id_the_body_is_the_key(webhook_id: str) -> None:
    one = capture(Platform.SHOPIFY, "01")
    garbled = replace(one, headers={**one.headers, "X-Shopify-Webhook-Id": webhook_id})
    assert len(parse(garbled).key) == 64


def test_guard_is_the_change_whatever_the_delivery() -> None:
    one, other_topic = capture(Platform.SHOPIFY, "01"), capture(Platform.SHOPIFY, "02")
    again = replace(one, headers={**one.headers, "X-Shopify-Webhook-Id": "another-delivery"})
    assert parse(one).guard == parse(again).guard
    assert parse(one).guard != parse(other_topic).guard
    assert parse_body("orders/create", payload_of(updated_at="2026-11-21T00:00:00Z")).guard != parse(one).guard


def test_guard_of_a_refund_is_its_id() -> None:
    one = parse(capture(Platform.SHOPIFY, "12"))
    again = parse_body("refunds/create", payload_of("12", created_at="2026-11-22T09:00:00Z"))
    assert again.key != one.key
    assert again.guard == one.guard is not None
    assert parse_body("refunds/create", payload_of("12", id=7)).guard != one.guard


@pytest.mark.parametrize("name", ["13", "14"])
def test_body_without_updated_at_has_no_guard(name: str) -> None:
    assert parse(capture(Platform.SHOPIFY, name)).guard is None


# --- tests, topics ------------------------------------------------------------------------------------------------


def test_test_order_is_ignored_unless_wanted() -> None:
    one = capture(Platform.SHOPIFY, "01")
    test_order = replace(one, body=json.dumps(payload_of(test=True)).encode())
    assert parse(test_order).ignored == "test"
    assert parse(test_order, include_tests=True).order is not None


def test_test_notification_is_ignored() -> None:
    assert parse_body("orders/create", payload_of(), X_Shopify_Test="true").ignored == "test"
    assert parse_body("orders/create", payload_of(), X_Shopify_Test="false").ignored == ""


OTHER_TOPICS = (
    "carts/update",
    "checkouts/create",
    "products/update",
    "order_transactions/create",
    "orders/link_requested",
    "orders/risk_assessment_changed",
    "customers_marketing_consent/update",
    "customers/merge",
    "app/uninstalled",
)


@pytest.mark.parametrize("topic", OTHER_TOPICS)
def test_topic_that_nobody_takes_is_ignored(topic: str) -> None:
    assert parse_body(topic, payload_of()).ignored == "topic"


@pytest.mark.parametrize("topic", ["customers/create", "customers/update", "customers/enable", "customers/disable"])
def test_customer_is_named(topic: str) -> None:
    customer = {"id": 115310627314723954, "email": "a@example.com", "updated_at": "2026-11-20T10:12:52+01:00"}
    webhook = parse_body(topic, customer)
    assert (webhook.group, webhook.customer_id) == (TopicGroup.CUSTOMERS, "115310627314723954")
    assert webhook.guard is not None


def test_deleted_customer_may_come_with_remains() -> None:
    webhook = parse_body("customers/delete", {"id": 7, "phone": None, "addresses": [], "tax_exemptions": []})
    assert (webhook.group, webhook.customer_id, webhook.order_id) == (TopicGroup.DELETED, "7", None)


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("customers/redact", "01"),
        ("customers/redact", "15"),
        ("customers/redact", "17"),
        ("customers/update", "01"),
        ("customers/update", "16"),
        ("customers/delete", "01"),
        ("orders/delete", "01"),
        ("orders/create", "12"),
        ("orders/create", "13"),
        ("orders/create", "14"),
        ("orders/edited", "01"),
        ("refunds/create", "01"),
        ("subscription_contracts/create", "01"),
        ("subscription_billing_attempts/success", "01"),
    ],
)
def test_body_of_another_topic_is_refused(topic: str, name: str) -> None:
    with pytest.raises(BodyMalformed, match=topic):
        parse_body(topic, payload_of(name))


# --- origin and subscriptions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source_name", "origin"),
    [
        ("web", Origin.CHECKOUT),
        ("iphone", Origin.CHECKOUT),
        ("pos", Origin.POS),
        ("shopify_draft_order", Origin.ADMIN),
        ("subscription_contract", Origin.RENEWAL),
        ("subscription_contract_checkout_one", Origin.RENEWAL),
        ("3890849", Origin.CHECKOUT),
    ],
)
def test_origin_follows_the_source(source_name: str, origin: Origin) -> None:
    assert order_of(source_name=source_name).origin is origin


def test_channel_without_any_browser_is_a_program() -> None:
    assert order_of("09", source_name="amazon").origin is Origin.API


def test_configured_app_and_tag_mark_renewals() -> None:
    by_app, by_tag = RenewalDetection(app_ids=("580111",)), RenewalDetection(tags=("subscription recurring order",))
    assert order_of(detection=by_app).origin is Origin.RENEWAL
    assert order_of(detection=by_tag, tags="VIP, Subscription Recurring Order").origin is Origin.RENEWAL
    assert order_of(detection=by_tag, tags="Subscription").origin is Origin.CHECKOUT
    assert order_of(detection=by_app, app_id=None).origin is Origin.CHECKOUT


def test_renewal_relates_to_a_subscription_that_it_does_not_name() -> None:
    order = order_of("09")
    assert (order.relation, order.subscription_ids) == (Relation.RENEWAL, ())


def test_contract_names_the_order_that_began_it() -> None:
    billing = {"interval": "month", "interval_count": 2}
    contract = {"id": 5, "origin_order_id": 6, "customer_id": 7, "status": "active", "billing_policy": billing}
    webhook = parse_body("subscription_contracts/create", contract)
    assert webhook.subscription == Subscription(
        subscription_id="5", parent_order_id="6", customer_id="7", status="active", period="month", interval=2
    )
    assert (webhook.group, webhook.order_id) == (TopicGroup.SUBSCRIPTIONS, "6")


def test_contract_may_have_global_ids_only() -> None:
    contract = {
        "id": 5,
        "origin_order_id": None,
        "admin_graphql_api_origin_order_id": "gid://shopify/Order/6",
        "admin_graphql_api_customer_id": "gid://shopify/Customer/7",
    }
    subscription = parse_body("subscription_contracts/update", contract).subscription
    assert subscription is not None
    assert (subscription.parent_order_id, subscription.customer_id) == ("6", "7")


def test_billing_attempt_names_the_renewal() -> None:
    attempt = {"id": None, "order_id": 8, "subscription_contract_id": 5, "ready": True}
    webhook = parse_body("subscription_billing_attempts/success", attempt)
    assert webhook.subscription == Subscription(subscription_id="5", renewal_order_id="8")
    assert webhook.order_id == "8"


def test_every_capture_is_read() -> None:
    assert len([parse(one) for one in captures(Platform.SHOPIFY)]) == 20


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        ('{"id":820982911946154508,"name":"#9999"}', "YBwnJ9vsibq7srObgXybmGHWuwos+jDEL//7749XS78="),
        ('{"id":1,"note":"Zoë — café ☕"}', "xvS+7SXYMhyhOKQajy+xBqiDfXyzCPNtxquhdCShjsw="),
        (r'{"landing_site":"\/?gclid=abc&utm_source=x"}', "y+C9w5GsaFYDL0Hd++qHAuPlQHdZUrdoN0qS/u5RQzI="),
    ],
)
def test_signature_is_of_the_bytes_that_came(body: str, signature: str) -> None:
    READER.verify({"X-Shopify-Hmac-Sha256": signature}, body.encode(), ["an-older-one", "hush"])
    with pytest.raises(SignatureInvalid):
        READER.verify({"X-Shopify-Hmac-Sha256": signature}, body.replace("\\/", "/").encode() + b" ", ["hush"])
