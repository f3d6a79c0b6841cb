"""What every platform's reader holds, shown on that platform's own captures."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError, SignatureInvalid, WebhookRejected
from gateway.ingest.platform import RenewalDetection
from gateway.ingest.platforms import PLATFORMS
from gateway.model.order import Platform, Webhook
from tests.captures import Capture, captures

ALL = [one for platform in Platform for one in captures(platform)]
SIGNED = [one for one in ALL if not one.is_ping]
FIRST = [next(one for one in SIGNED if one.platform is platform) for platform in Platform]
DETECTION = RenewalDetection(app_ids=("5284869",), tags=("Subscription Recurring Order",))

for_every_capture = pytest.mark.parametrize("one", SIGNED, ids=lambda one: f"{one.platform}-{one.name[:30]}")
for_every_platform = pytest.mark.parametrize("one", FIRST, ids=lambda one: one.platform)


def verify(one: Capture, *secrets: str) -> None:
    PLATFORMS[one.platform].verify(one.headers, one.body, secrets or (one.secret,))


def parse(one: Capture) -> Webhook:
    return PLATFORMS[one.platform].parse(one.headers, one.body, DETECTION, include_tests=False)


def with_signature(one: Capture, signature: str) -> Capture:
    name = next(name for name in one.headers if "signature" in name.lower() or "hmac" in name.lower())
    return replace(one, headers={**one.headers, name: signature})


def test_every_platform_has_a_reader() -> None:
    assert set(PLATFORMS) == set(Platform)


@for_every_capture
def test_capture_is_verified_and_read(one: Capture) -> None:
    verify(one)
    webhook = parse(one)
    assert webhook.topic == one.topic
    assert (webhook.group is not None) or webhook.ignored or webhook.erasure is not None


@for_every_capture
def test_any_one_of_several_secrets_may_sign(one: Capture) -> None:
    verify(one, "an-older-secret", one.secret, "a-newer-secret")


@for_every_capture
def test_one_flipped_byte_is_refused(one: Capture) -> None:
    flipped = bytes([one.body[0] ^ 1]) + one.body[1:]
    with pytest.raises(SignatureInvalid):
        verify(replace(one, body=flipped))


@for_every_platform
@pytest.mark.parametrize("secrets", [(), ("",), ("wrong",), ("", "wrong")])
def test_no_other_secret_verifies(one: Capture, secrets: tuple[str, ...]) -> None:
    with pytest.raises(SignatureInvalid):
        PLATFORMS[one.platform].verify(one.headers, one.body, secrets)


@for_every_platform
def test_empty_secret_never_verifies_even_its_own_signature(one: Capture) -> None:
    signature = base64.b64encode(hmac.new(b"", one.body, hashlib.sha256).digest()).decode()
    with pytest.raises(SignatureInvalid):
        verify(with_signature(one, signature), "")


@for_every_platform
@pytest.mark.parametrize("signature", ["", "=", "Zm9v", "é" * 44, "\ud800", "A" * 44, "AAAA\nAAAA", " ", "\0" * 44])
def test_garbled_signature_is_refused(one: Capture, signature: str) -> None:
    with pytest.raises(SignatureInvalid):
        verify(with_signature(one, signature))


@for_every_platform
def test_missing_headers_are_refused(one: Capture) -> None:
    with pytest.raises(SignatureInvalid):
        verify(replace(one, headers={}))
    with pytest.raises(WebhookRejected, match=r"header .* is missing"):
        parse(replace(one, headers={}))


@for_every_platform
@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_header_names_have_any_case(one: Capture, change: type[str]) -> None:
    changed = replace(one, headers={change(name): value for name, value in one.headers.items()})
    verify(changed)
    assert parse(changed) == parse(one)


@for_every_platform
@pytest.mark.parametrize("body", [b"", b"\xff\xfe{}", b"[]", b"null", b"1", b'{"id":NaN}', b"{", b'{"id":1}', b"{}"])
def test_body_that_is_not_its_topics_is_malformed(one: Capture, body: bytes) -> None:
    with pytest.raises(WebhookRejected) as refused:
        parse(replace(one, body=body))
    assert (refused.value.status, refused.value.code) == ("malformed", 400)


@for_every_capture
def test_nothing_ignored_keeps_its_body(one: Capture) -> None:
    webhook = parse(one)
    assert not (webhook.ignored and (webhook.order or webhook.group))


def test_every_capture_is_a_webhook_of_its_own() -> None:
    keys = [(one.platform, parse(one).key) for one in SIGNED]
    assert len(set(keys)) == len(keys)


@for_every_capture
def test_same_delivery_has_the_same_key(one: Capture) -> None:
    again = replace(one, headers={**one.headers, "X-Something-Else": "1"})
    assert parse(again).key == parse(one).key


# --- whatever comes, a value or one of our errors ------------------------------------------------------------------

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400) | st.just("\0"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
TOPICS = sorted(
    {one.topic for one in ALL} | {"action.woocommerce_x", "products/update", "subscription_contracts/create"}
)
BODIES = {(one.platform, one.name): json.loads(one.body) for one in SIGNED if len(one.body) < 20_000}


def read(platform: Platform, headers: dict[str, str], body: bytes) -> Webhook | None:
    reader = PLATFORMS[platform]
    try:
        reader.is_ping(headers, body)
        return reader.parse(headers, body, DETECTION, include_tests=True)
    except GatewayError:
        return None


def places(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def put(value: object, path: tuple[object, ...], what: object) -> object:
    if not path:
        return what
    if isinstance(value, dict):
        return {**value, path[0]: put(value[path[0]], path[1:], what)}
    assert isinstance(value, list)
    assert isinstance(path[0], int)
    return [*value[: path[0]], put(value[path[0]], path[1:], what), *value[path[0] + 1 :]]


def topic_headers(topic: str) -> dict[str, str]:
    return {"X-WC-Webhook-Topic": topic, "X-Shopify-Topic": topic}


@given(platform=st.sampled_from(Platform), topic=st.sampled_from(TOPICS) | st.text(), body=st.binary(max_size=80))
def test_any_bytes_end_in_a_value_or_an_error(platform: Platform, topic: str, body: bytes) -> None:
    read(platform, topic_headers(topic), body)
    with pytest.raises(SignatureInvalid):
        PLATFORMS[platform].verify({"X-WC-Webhook-Signature": topic, "X-Shopify-Hmac-Sha256": topic}, body, ["secret"])


@given(platform=st.sampled_from(Platform), topic=st.sampled_from(TOPICS), payload=JUNK)
def test_any_json_ends_in_a_value_or_an_error(platform: Platform, topic: str, payload: object) -> None:
    read(platform, topic_headers(topic), json.dumps(payload).encode())


@given(data=st.data(), what=JUNK)
def test_anything_in_any_place_ends_in_a_value_or_an_error(data: st.DataObject, what: object) -> None:
    (platform, name), payload = data.draw(st.sampled_from(list(BODIES.items())))
    path = data.draw(st.sampled_from(list(places(payload))))
    topic = next(one.topic for one in ALL if (one.platform, one.name) == (platform, name))
    webhook = read(platform, topic_headers(topic), json.dumps(put(payload, path, what)).encode())
    if webhook is not None and webhook.order is not None:
        assert "\0" not in webhook.order.status + webhook.order.number + webhook.order.currency


@for_every_platform
@pytest.mark.parametrize("depth", [90, 101, 1_000, 100_000])
def test_absurd_nesting_ends_in_a_value_or_an_error(one: Capture, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    read(one.platform, one.headers, one.body[:-1] + b',"deep":' + deep + b"}")
