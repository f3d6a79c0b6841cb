"""What holds for every kind of destination; a new kind adds a line to DESTINATIONS."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway.deliver.destination import DestinationKind
from gateway.deliver.destinations import DESTINATION_KINDS
from gateway.model.consent import GATING
from gateway.model.delivery import Destination, OutboundRequest, OutcomeKind, Parcel, Response
from gateway.model.order import TopicGroup

NOW = datetime(2026, 11, 21, 15, 54, 4, tzinfo=UTC)
LATER = NOW + timedelta(hours=5)
BODY = b'{ "id":1,\t"total":"10.00","name":"Zo\xc3\xab" }\n'
PARCEL = Parcel(webhook_id="msg_2f", store_id="acme", topic="order.updated", attempt=1, body=BODY)

# A destination of every kind as an operator would set it up, with `c4nary` in everything secret.
DESTINATIONS = {
    "webhook": Destination(
        destination_id="container",
        kind="webhook",
        url="https://receiver.example/data",
        purposes=GATING,
        secret="whsec_c4naryc4naryc4naryc4nary00000000",
        headers=(("X-Example", "c4nary"),),
    ),
}

every_kind = pytest.mark.parametrize(
    ("kind", "destination"),
    [pytest.param(kind, DESTINATIONS.get(name), id=name) for name, kind in DESTINATION_KINDS.items()],
)


def build(kind: DestinationKind, destination: Destination, parcel: Parcel = PARCEL) -> OutboundRequest:
    return kind.build_request(destination, parcel, NOW)


def names_of(request: OutboundRequest) -> list[str]:
    return [name.lower() for name, _ in request.headers]


def answered(kind: DestinationKind, status_code: int, **headers: str) -> OutcomeKind:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return kind.read_response(Response(status_code=status_code, headers=pairs, body=b""), NOW).kind


@every_kind
def test_kind_has_a_sample_and_says_what_it_needs(kind: DestinationKind, destination: Destination | None) -> None:
    assert destination is not None
    assert kind.default_purposes
    assert set(kind.default_purposes) <= set(GATING)
    assert isinstance(kind.identity_required, bool)


@every_kind
def test_sample_has_no_mistakes(kind: DestinationKind, destination: Destination) -> None:
    assert kind.check(destination) == ()


@every_kind
def test_request_can_be_sent_as_it_is(kind: DestinationKind, destination: Destination) -> None:
    request = build(kind, destination)
    assert request.method == "POST"
    assert request.url.startswith("https://")
    assert ("content-type", "application/json") in [(name.lower(), value) for name, value in request.headers]
    assert len(names_of(request)) == len(set(names_of(request)))


@every_kind
def test_attempts_are_recognised_as_the_same(kind: DestinationKind, destination: Destination) -> None:
    first = dict(build(kind, destination).headers)
    second = dict(kind.build_request(destination, replace(PARCEL, attempt=2), LATER).headers)
    assert first.keys() == second.keys()
    assert first.get("webhook-id") == second.get("webhook-id")
    changed = {name.lower() for name in first if first[name] != second[name]}
    assert changed <= {"webhook-timestamp", "webhook-signature", "x-gateway-attempt"}


@every_kind
def test_instants_are_utc(kind: DestinationKind, destination: Destination) -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert kind.build_request(destination, PARCEL, elsewhere) == build(kind, destination)


@every_kind
@pytest.mark.parametrize("rubbish", ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\0", "\u20ac", "a\x85b", "a\u2028b"])
def test_no_header_is_injected(kind: DestinationKind, destination: Destination, rubbish: str) -> None:
    request = build(kind, destination, replace(PARCEL, topic=rubbish, store_id=rubbish, webhook_id=rubbish))
    assert names_of(request) == names_of(build(kind, destination))
    for name, value in request.headers:
        assert re.fullmatch(r"[\x20-\x7e]*", name + value)


@every_kind
def test_configured_headers_replace_none_of_ours(kind: DestinationKind, destination: Destination) -> None:
    usual = build(kind, replace(destination, headers=()))
    ours = [name for name, _ in usual.headers if name.lower() != "user-agent"]
    forged = tuple((name.upper(), "forged") for name in [*ours, "Host", "Content-Length", "Transfer-Encoding"])
    assert build(kind, replace(destination, headers=forged)) == usual


@every_kind
def test_configured_headers_are_sent_as_they_are(kind: DestinationKind, destination: Destination) -> None:
    assert ("X-Own", 'a, b;c="d"') in build(kind, replace(destination, headers=(("X-Own", 'a, b;c="d"'),))).headers


@every_kind
@pytest.mark.parametrize(
    "mistake",
    [
        {"url": "htps://receiver.example/c4nary"},
        {"url": "https://receiver.example/\r\nc4nary"},
        {"url": "https://c4nary:c4nary@receiver.example/"},
        {"headers": (("X-Break", "c4nary\r\nX-Evil: 1"),)},
        {"headers": (("X-Break: c4nary", "1"),)},
    ],
)
def test_mistake_is_found_and_told_without_its_value(
    kind: DestinationKind, destination: Destination, mistake: dict[str, str]
) -> None:
    told = kind.check(replace(destination, **mistake))  # type: ignore[arg-type]  # values of any field
    assert told
    assert all(re.match(r"[\w.?-]+: \S", text) for text in told)
    assert "c4nary" not in " ".join(told)


@every_kind
def test_nothing_secret_is_in_a_repr(kind: DestinationKind, destination: Destination) -> None:
    assert "c4nary" not in repr(destination) + repr(build(kind, destination)) + repr(kind)


@every_kind
def test_only_chosen_topics_are_taken(kind: DestinationKind, destination: Destination) -> None:
    assert kind.takes(destination, TopicGroup.ORDERS, "order.updated")
    nothing = replace(destination, topics=())
    assert not any(kind.takes(nothing, group, "order.updated") for group in TopicGroup)


@every_kind
@pytest.mark.parametrize("status_code", [200, 201, 202, 204])
def test_success_is_delivered(kind: DestinationKind, destination: Destination, status_code: int) -> None:
    assert answered(kind, status_code) is OutcomeKind.DELIVERED


@every_kind
@pytest.mark.parametrize("status_code", [408, 425, 429, 500, 502, 503, 504])
def test_trouble_is_tried_again(kind: DestinationKind, destination: Destination, status_code: int) -> None:
    assert answered(kind, status_code) is OutcomeKind.RETRY


@every_kind
@pytest.mark.parametrize("status_code", [301, 302, 307, 308])
def test_redirect_is_no_success(kind: DestinationKind, destination: Destination, status_code: int) -> None:
    assert answered(kind, status_code, Location="https://other.example/") is not OutcomeKind.DELIVERED


@every_kind
@pytest.mark.parametrize("status_code", [400, 404, 413, 422])
def test_what_can_never_succeed_is_refused(kind: DestinationKind, destination: Destination, status_code: int) -> None:
    assert answered(kind, status_code) is OutcomeKind.REFUSED


@every_kind
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"error": {"message": 1}}', b"{" * 5000])
@pytest.mark.parametrize("status_code", [200, 400, 429, 500])
def test_any_answer_is_an_outcome(
    kind: DestinationKind, destination: Destination, status_code: int, body: bytes
) -> None:
    outcome = kind.read_response(Response(status_code=status_code, headers=(), body=body), NOW)
    assert outcome.status_code == status_code
    assert re.fullmatch(r"[a-z0-9_]{1,60}", outcome.word)


@every_kind
def test_retry_after_is_read(kind: DestinationKind, destination: Destination) -> None:
    outcome = kind.read_response(Response(status_code=429, headers=(("retry-after", "30"),), body=b""), NOW)
    assert outcome.retry_after_seconds == 30
