"""Kind `webhook`: headers, signature, topics and mistakes."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks

from gateway.deliver.destinations.webhook import Webhook
from gateway.errors import DeliveryFailed
from gateway.model.consent import Category
from gateway.model.delivery import Destination, Parcel
from gateway.model.order import TopicGroup

SECRET = f"whsec_{base64.b64encode(b'0123456789abcdef01234567').decode()}"
NOW = datetime(2026, 11, 21, 15, 54, 4, 900_000, tzinfo=UTC)
BODY = '{"id":1,"total":"10.00","name":"Zo\u00eb"}'.encode()
PARCEL = Parcel(webhook_id="msg_2f", store_id="acme", topic="order.updated", attempt=1, body=BODY)
DESTINATION = Destination(
    destination_id="container",
    kind="webhook",
    url="https://sgtm.example/data",
    purposes=(Category.MARKETING, Category.ANALYTICS),
    secret=SECRET,
    headers=(("X-Example", "1"),),
)


def headers_of(destination: Destination = DESTINATION, parcel: Parcel = PARCEL, now: datetime = NOW) -> dict[str, str]:
    return {name.lower(): value for name, value in Webhook().build_request(destination, parcel, now).headers}


def test_request_is_the_body_with_our_headers() -> None:
    request = Webhook().build_request(replace(DESTINATION, secret=""), PARCEL, NOW)
    assert (request.method, request.url, request.body) == ("POST", "https://sgtm.example/data", BODY)
    assert request.headers[:-2] == (
        ("Content-Type", "application/json"),
        ("webhook-id", "msg_2f"),
        ("webhook-timestamp", "1795276444"),
        ("X-Gateway-Store", "acme"),
        ("X-Gateway-Topic", "order.updated"),
        ("X-Gateway-Attempt", "1"),
    )
    assert request.headers[-2][1].startswith("consent-gateway")
    assert request.headers[-1] == ("X-Example", "1")


def test_signature_is_accepted_by_the_reference_library() -> None:
    now = datetime.now(UTC)  # the library compares with the clock
    assert standardwebhooks.Webhook(SECRET).verify(BODY, headers_of(now=now)) == json.loads(BODY)


def test_signature_of_a_changed_body_is_refused_by_the_reference_library() -> None:
    headers = headers_of(now=datetime.now(UTC))
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(BODY.replace(b"10.00", b"10.01"), headers)


def test_signature_is_the_same_as_by_hand() -> None:
    # printf '%s' 'msg_2f.1795276444.{"id":1}' | openssl dgst -sha256 -hmac 0123456789abcdef01234567 -binary | base64
    parcel = replace(PARCEL, body=b'{"id":1}')
    assert headers_of(parcel=parcel)["webhook-signature"] == "v1,iQTb9Y2UrNybGe4atzXkBBX5YFW2eL6jK5F3JLutfpo="


def test_unsigned_without_a_secret() -> None:
    assert "webhook-signature" not in headers_of(replace(DESTINATION, secret=""))


def test_attempts_differ_in_time_signature_and_count_only() -> None:
    first, second = headers_of(), headers_of(parcel=replace(PARCEL, attempt=2), now=NOW + timedelta(seconds=1))
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"webhook-timestamp", "webhook-signature", "x-gateway-attempt"}
    assert second["x-gateway-attempt"] == "2"


def test_broken_secret_fails_without_telling_it() -> None:
    with pytest.raises(DeliveryFailed) as caught:
        headers_of(replace(DESTINATION, secret="whsec_c4nary!"))
    assert (str(caught.value), caught.value.permanent) == ("secret_invalid", False)


def test_configured_user_agent_replaces_ours() -> None:
    destination = replace(DESTINATION, headers=(("user-agent", "shop"),))
    names = [name.lower() for name, _ in Webhook().build_request(destination, PARCEL, NOW).headers]
    assert names.count("user-agent") == 1
    assert headers_of(destination)["user-agent"] == "shop"


@pytest.mark.parametrize(
    ("topics", "group", "topic", "taken"),
    [
        (("orders",), TopicGroup.ORDERS, "order.updated", True),
        (("orders",), TopicGroup.REFUNDS, "refunds/create", False),
        (("orders", "refunds"), TopicGroup.REFUNDS, "refunds/create", True),
        (("order.updated",), TopicGroup.ORDERS, "order.updated", True),
        (("order.updated",), TopicGroup.ORDERS, "order.created", False),
        (("orders/paid",), TopicGroup.ORDERS, "orders/paid", True),
        (("events",), TopicGroup.EVENTS, "view_item", True),
        ((), TopicGroup.ORDERS, "order.updated", False),
    ],
)
def test_topics_are_chosen_by_group_or_exact_name(
    topics: tuple[str, ...], group: TopicGroup, topic: str, taken: bool
) -> None:
    assert Webhook().takes(replace(DESTINATION, topics=topics), group, topic) is taken


def test_good_destination_has_no_mistakes() -> None:
    topics = ("orders", "refunds", "subscriptions", "customers", "deleted", "events", "order.updated", "orders/paid")
    assert Webhook().check(replace(DESTINATION, topics=topics)) == ()


@pytest.mark.parametrize(
    ("destination", "told"),
    [
        (replace(DESTINATION, url="htps://x"), "url: must begin with https:// or http:// and a host name"),
        (replace(DESTINATION, secret="c4nary"), "secret: must begin with whsec_, followed by the key in base64"),
        (replace(DESTINATION, secret="whsec_c4nary!"), "secret: what follows whsec_ is not base64"),
        (replace(DESTINATION, secret="whsec_\u00e9"), "secret: what follows whsec_ is not base64"),
        (replace(DESTINATION, secret="whsec_"), "secret: nothing follows whsec_"),
        (replace(DESTINATION, headers=(("webhook-id", "x"),)), "headers.webhook-id: is set by the gateway itself"),
        (replace(DESTINATION, topics=("order",)), "topics: 'order' is unknown, 'orders' may be meant"),
        (replace(DESTINATION, topics=("Refunds",)), "topics: 'Refunds' is unknown, 'refunds' may be meant"),
    ],
)
def test_mistakes_are_told_by_key(destination: Destination, told: str) -> None:
    assert Webhook().check(destination) == (told,)


def test_topic_that_cannot_be_one_is_a_mistake() -> None:
    (told,) = Webhook().check(replace(DESTINATION, topics=("order updated",)))
    assert told.startswith("topics: 'order updated' is neither one of orders, refunds, ")


def test_all_mistakes_are_told_at_once() -> None:
    assert len(Webhook().check(replace(DESTINATION, url="", secret="x", topics=("order", "event")))) == 4
