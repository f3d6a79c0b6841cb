"""What WooCommerce's webhooks say, on the captures of a real shop and on changes of them."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.errors import BodyMalformed, SignatureInvalid
from gateway.ingest.platform import RenewalDetection
from gateway.ingest.platforms import PLATFORMS
from gateway.model.consent import Basis, Choice, Evidence
from gateway.model.order import Order, Origin, Platform, Relation, Subscription, TopicGroup, Webhook
from tests.captures import Capture, capture, captures

READER = PLATFORMS[Platform.WOOCOMMERCE]
OWN = {"v": 1, "categories": {"marketing": True, "analytics": False}, "captured_at": "2026-11-22T00:06:00Z"}


def parse(one: Capture) -> Webhook:
    return READER.parse(one.headers, one.body, RenewalDetection(), include_tests=False)


def parse_body(topic: str, payload: object) -> Webhook:
    body = json.dumps(payload).encode()
    return READER.parse({"X-WC-Webhook-Topic": topic}, body, RenewalDetection(), include_tests=False)


def order_payload(name: str = "012", **changes: object) -> dict[str, object]:
    payload: dict[str, object] = json.loads(capture(Platform.WOOCOMMERCE, name).body)
    return {**payload, **changes}


def order_with(*entries: tuple[str, object], name: str = "012", **changes: object) -> Order:
    metadata = [{"id": number, "key": key, "value": value} for number, (key, value) in enumerate(entries)]
    return READER.order_of(order_payload(name, meta_data=metadata, **changes), RenewalDetection())


def evidence_of(*entries: tuple[str, object], name: str = "012", **changes: object) -> Evidence:
    evidence = order_with(*entries, name=name, **changes).evidence
    assert evidence is not None
    return evidence


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- captures -----------------------------------------------------------------------------------------------------

ORIGINS = {
    Origin.CHECKOUT: "011 012 013 015 016 017 019 020 021 022 023 024 047 049 051 056 058 063 064 073 075 205 206 278",
    Origin.ADMIN: "033 034 279 280",
    Origin.API: "035 036 038 039 040 041 042 043 044 045 046 176 177 178 179 180 200 201 208 210 212 214 218 220 222 "
    "224 226 231 232",
    Origin.RENEWAL: "072 079 080 082 083 084",
}
IGNORED = {"draft": "037", "error_object": "198 199 202 203 204", "ping": "001"}


@pytest.mark.parametrize("one", captures(Platform.WOOCOMMERCE), ids=lambda one: one.name[:24])
def test_every_capture_has_its_origin_or_reason(one: Capture) -> None:
    webhook, number = parse(one), one.name[:3]
    if webhook.ignored:
        assert number in IGNORED[webhook.ignored].split()
    elif webhook.order is not None:
        assert number in ORIGINS[webhook.order.origin].split()
    else:
        assert webhook.group in (TopicGroup.SUBSCRIPTIONS, TopicGroup.CUSTOMERS, TopicGroup.DELETED)


def test_guest_order_is_read_whole() -> None:
    webhook = parse(capture(Platform.WOOCOMMERCE, "012"))
    assert webhook.order == Order(
        order_id="23",
        number="23",
        status="processing",
        origin=Origin.CHECKOUT,
        created_at=at("2026-11-22T00:06:02"),
        updated_at=at("2026-11-22T00:06:03"),
        email="jan.novak@example.com",
        order_key="wc_order_rhRLJF1rYkt8B",
        currency="EUR",
        total="22.06",
    )
    assert (webhook.topic, webhook.group) == ("order.created", TopicGroup.ORDERS)
    assert (webhook.resource_id, webhook.order_id, webhook.customer_id) == ("23", "23", None)


def test_renewal_names_its_subscription() -> None:
    webhook = parse(capture(Platform.WOOCOMMERCE, "079"))
    assert webhook.order is not None
    assert (webhook.order.origin, webhook.order.relation) == (Origin.RENEWAL, Relation.RENEWAL)
    assert (webhook.order.subscription_ids, webhook.customer_id) == (("44",), "2")


def test_subscription_is_read_whole() -> None:
    webhook = parse(capture(Platform.WOOCOMMERCE, "060"))
    assert webhook.subscription == Subscription(
        subscription_id="39",
        parent_order_id="38",
        customer_id="2",
        status="active",
        period="month",
        interval=1,
        next_payment_at=at("2026-12-22T00:11:35"),
        updated_at=at("2026-11-22T00:11:36"),
    )
    assert (webhook.group, webhook.order_id, webhook.order) == (TopicGroup.SUBSCRIPTIONS, "38", None)


def test_cancelled_subscription_has_no_next_payment() -> None:
    webhook = parse(capture(Platform.WOOCOMMERCE, "086"))
    assert webhook.subscription is not None
    assert (webhook.subscription.status, webhook.subscription.next_payment_at) == ("cancelled", None)


@pytest.mark.parametrize(
    ("name", "order_id", "customer_id"), [("048", "25", None), ("055", None, "4")], ids=["order", "customer"]
)
def test_deletion_is_an_id_alone(name: str, order_id: str | None, customer_id: str | None) -> None:
    webhook = parse(capture(Platform.WOOCOMMERCE, name))
    assert (webhook.group, webhook.order_id, webhook.customer_id) == (TopicGroup.DELETED, order_id, customer_id)


def test_customer_is_named() -> None:
    webhook = parse(capture(Platform.WOOCOMMERCE, "052"))
    assert (webhook.group, webhook.resource_id, webhook.customer_id) == (TopicGroup.CUSTOMERS, "5", "5")


# --- what makes a webhook this very one ---------------------------------------------------------------------------


def test_created_and_updated_with_equal_bodies_are_two() -> None:
    updated, created = (capture(Platform.WOOCOMMERCE, name) for name in ("011", "012"))
    assert updated.body == created.body
    assert parse(updated).key != parse(created).key


def test_delivery_id_shared_within_a_second_does_not_merge_orders() -> None:
    several = [capture(Platform.WOOCOMMERCE, name) for name in ("176", "177", "178", "179", "180")]
    assert len({one.headers["X-WC-Webhook-Delivery-ID"] for one in several}) < len(several)
    assert len({parse(one).key for one in several}) == len(several)


# --- ping, drafts, error objects, topics --------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"webhook_id=1", b"webhook_id=123456"])
def test_ping_is_recognised(body: bytes) -> None:
    assert READER.is_ping({}, body)
    assert READER.parse({}, body, RenewalDetection(), include_tests=False).ignored == "ping"


@pytest.mark.parametrize(
    "body", [b"", b"webhook_id=", b"webhook_id=1\n", b"webhook_id=1&a=b", b" webhook_id=1", b"webhook_id=\xd9\xa1"]
)
def test_what_is_no_ping_is_not_answered_unsigned(body: bytes) -> None:
    assert not READER.is_ping({}, body)


@pytest.mark.parametrize("status", ["checkout-draft", "auto-draft", "draft", "new"])
def test_draft_is_ignored_and_kept_nowhere(status: str) -> None:
    webhook = parse_body("order.updated", order_payload(status=status))
    assert (webhook.ignored, webhook.order) == ("draft", None)


@pytest.mark.parametrize("data", [{"status": 404}, None, [], ""], ids=str)
def test_error_object_of_any_topic_is_ignored(data: object) -> None:
    error = {"code": "rest_no_route", "message": "No route was found.", "data": data}
    assert parse_body("subscription.updated", error).ignored == "error_object"


@pytest.mark.parametrize("topic", ["product.updated", "coupon.created", "action.woocommerce_order_status_completed"])
def test_topic_that_nobody_takes_is_ignored(topic: str) -> None:
    assert parse_body(topic, {"action": "woocommerce_order_status_completed", "arg": 7}).ignored == "topic"


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("order.deleted", "012"),
        ("customer.deleted", "052"),
        ("subscription.deleted", "060"),
        ("customer.updated", "012"),
        ("customer.updated", "060"),
        ("order.updated", "052"),
        ("order.updated", "060"),
        ("order.updated", "048"),
        ("subscription.updated", "012"),
        ("subscription.updated", "052"),
    ],
)
def test_body_of_another_topic_is_refused(topic: str, name: str) -> None:
    with pytest.raises(BodyMalformed, match=topic):
        parse_body(topic, order_payload(name))


def test_order_without_an_orders_shape_is_refused() -> None:
    with pytest.raises(BodyMalformed):
        READER.order_of({"id": 1, "status": "processing"}, RenewalDetection())


# --- secrets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret", "key"),
    [
        ("a&amp;b", "a&b"),
        ("a&amp;lt;b", "a&lt;b"),
        ("&lt;&gt;&quot;&#039;&#39;&#x27;&#X22;&#0060;", "<>\"'''\"<"),
        ("&eacute;&copy;&amp", "&eacute;&copy;&amp"),
        ("&apos;&#65;", "&apos;&#65;"),
        (" spaces stay ", " spaces stay "),
    ],
)
def test_secret_is_decoded_as_wordpress_does_it(secret: str, key: str) -> None:
    signature = base64.b64encode(hmac.new(key.encode(), b"{}", hashlib.sha256).digest()).decode()
    READER.verify({"X-WC-Webhook-Signature": signature}, b"{}", [secret])


def test_secret_is_not_trimmed() -> None:
    one = capture(Platform.WOOCOMMERCE, "210")
    with pytest.raises(SignatureInvalid):
        READER.verify(one.headers, one.body, [one.secret.strip()])


# --- origin -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("created_via", "origin"),
    [
        ("checkout", Origin.CHECKOUT),
        ("store-api", Origin.CHECKOUT),
        ("admin", Origin.ADMIN),
        ("rest-api", Origin.API),
        ("subscription", Origin.RENEWAL),
        ("pos-rest-api", Origin.POS),
        ("import", Origin.IMPORT),
        ("woocommerce_csv_importer", Origin.IMPORT),
    ],
)
def test_origin_follows_what_made_the_order(created_via: str, origin: Origin) -> None:
    assert order_with(created_via=created_via).origin is origin


def test_unknown_maker_with_a_browser_waits_like_a_checkout() -> None:
    assert order_with(created_via="upstroke").origin is Origin.CHECKOUT
    assert order_with(("_wc_order_attribution_source_type", "utm"), created_via="", customer_user_agent="").origin is (
        Origin.CHECKOUT
    )


def test_unknown_maker_without_a_browser_is_a_program() -> None:
    assert order_with(created_via="bulk", customer_user_agent="").origin is Origin.API


def test_attribution_tells_of_staff() -> None:
    assert order_with(("_wc_order_attribution_source_type", "admin"), created_via="").origin is Origin.ADMIN


def test_early_renewal_without_an_answer_of_its_own_is_a_renewal() -> None:
    order = order_with(("_subscription_renewal", "44"), created_via="checkout")
    assert (order.origin, order.relation) == (Origin.RENEWAL, Relation.RENEWAL)


def test_early_renewal_answered_in_the_checkout_is_a_checkout() -> None:
    order = order_with(("_subscription_renewal", "44"), ("_consent_gateway", json.dumps(OWN)), created_via="checkout")
    assert (order.origin, order.relation) == (Origin.CHECKOUT, Relation.RENEWAL)


def test_renewal_of_several_subscriptions_names_all() -> None:
    order = order_with(("_subscription_renewal", "44"), ("_subscription_renewal", 45), ("_subscription_renewal", ""))
    assert order.subscription_ids == ("44", "45")


@pytest.mark.parametrize(
    ("key", "relation"),
    [("_subscription_switch", Relation.SWITCH), ("_subscription_resubscribe", Relation.RESUBSCRIBE)],
)
def test_other_relations_are_told(key: str, relation: Relation) -> None:
    order = order_with((key, "44"))
    assert (order.relation, order.subscription_ids, order.origin) == (relation, ("44",), Origin.CHECKOUT)


# --- consent ------------------------------------------------------------------------------------------------------


def test_order_without_an_entry_has_no_evidence() -> None:
    assert order_with(("consent", {"ad_storage": "granted"})).evidence is None


def test_own_entry_comes_first() -> None:
    evidence = evidence_of(
        ("_pmw_consent_snapshot", {"marketing": True, "statistics": True}),
        ("_gtmkit_consent", {"marketing": "granted", "statistics": "granted"}),
        ("_consent_gateway", json.dumps(OWN)),
    )
    assert (evidence.entry, evidence.choices.analytics) == ("_consent_gateway", Choice.DENIED)
    assert evidence.captured_at == at("2026-11-22T00:06:00")


def test_unreadable_entry_does_not_let_a_weaker_one_speak() -> None:
    evidence = evidence_of(("_gtmkit_consent", {"marketing": True, "statistics": True}), ("_consent_gateway", "{"))
    assert (evidence.unreadable, evidence.entry, evidence.note) == (True, "_consent_gateway", "not JSON")
    assert (evidence.choices.marketing, evidence.choices.analytics) == (Choice.DENIED, Choice.DENIED)


def test_of_several_entries_the_most_restrictive_counts() -> None:
    granted = {**OWN, "categories": {"marketing": True, "analytics": True}}
    evidence = evidence_of(("_consent_gateway", json.dumps(granted)), ("_consent_gateway", json.dumps(OWN)))
    assert (evidence.choices.marketing, evidence.choices.analytics) == (Choice.GRANTED, Choice.DENIED)
    assert evidence.note == "several entries disagree"


def test_several_equal_entries_are_one() -> None:
    evidence = evidence_of(("_consent_gateway", json.dumps(OWN)), ("_consent_gateway", OWN))
    assert evidence.note == ""


def test_capture_is_never_later_than_the_order() -> None:
    evidence = evidence_of(("_consent_gateway", {**OWN, "captured_at": "2031-01-01T00:00:00Z"}))
    assert evidence.captured_at == at("2026-11-22T00:06:02")
    assert evidence.note == "captured_at: later than the order"


def test_order_of_staff_may_be_answered_on_its_pay_page() -> None:
    entry = ("_consent_gateway", {**OWN, "captured_at": "2026-11-22T08:00:00Z"})
    paid = {"created_via": "admin", "date_modified_gmt": "2026-11-22T08:00:05"}
    assert evidence_of(entry, **paid).captured_at == at("2026-11-22T08:00:00")


def test_session_of_the_entry_is_the_orders() -> None:
    order = order_with(("_consent_gateway", {**OWN, "session_id": "s" * 22}))
    assert order.stamped_session == "s" * 22


def test_import_is_implied_unless_it_says_otherwise() -> None:
    assert evidence_of(("_pmw_consent_snapshot", {"marketing": True, "statistics": False})).basis is Basis.IMPLIED


def test_metadata_of_any_shape_is_no_reason_to_stop() -> None:
    shapes: list[object] = [None, "text", {"_ga": "{}"}, [1, None, {"key": 5}, {"key": "a"}, {"value": 1}]]
    for shape in shapes:
        assert READER.order_of(order_payload(meta_data=shape), RenewalDetection()).evidence is None


def test_topic_header_must_be_there() -> None:
    one = capture(Platform.WOOCOMMERCE, "012")
    with pytest.raises(BodyMalformed, match="The header X-WC-Webhook-Topic is missing"):
        parse(replace(one, headers={}))


def test_a_change_has_one_guard_however_it_is_written_and_linked() -> None:
    one = capture(Platform.WOOCOMMERCE, "012")
    payload = json.loads(one.body)
    rewritten = json.dumps(dict(reversed({**payload, "_links": {}}.items())), indent=1).encode()
    assert parse(replace(one, body=rewritten)).guard == parse(one).guard
    changed = json.dumps({**payload, "status": "completed"}).encode()
    assert parse(replace(one, body=changed)).guard != parse(one).guard
