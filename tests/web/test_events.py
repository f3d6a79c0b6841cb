"""Events over HTTP."""

import json
from typing import Any

import pytest
from werkzeug.test import TestResponse

from gateway.storage.tokens import add_token
from gateway.web import create_app
from tests.shops import Shop
from tests.visitors import Visitor, an_event


def post(shop: Shop, body: Any, *, store_id: str = "acme") -> TestResponse:
    database, now = shop.gateway.database, shop.clock()
    name = f"token-{shop.clock().timestamp()}"
    token = database.write(lambda connection: add_token(connection, name, "acme", now))
    shop.clock.pass_by(milliseconds=1)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return create_app(shop.gateway).test_client().post(f"/api/v1/stores/{store_id}/events", data=data, headers=headers)


def test_single_event_is_answered_with_a_list_too(shop: Shop) -> None:
    answer = post(shop, an_event(event_id="e-1"))
    assert answer.status_code == 202
    assert answer.json == {"results": [{"event_id": "e-1", "status": "queued"}]}


def test_each_event_gets_its_own_verdict(shop: Shop) -> None:
    Visitor(shop).grants()
    granted, bad = an_event(event_id="e-1"), an_event(event_id="e-2", event="\n")
    answer = post(shop, [granted, bad, granted])
    assert answer.json == {
        "results": [
            {"event_id": "e-1", "status": "accepted"},
            {"event_id": "e-2", "status": "invalid", "errors": {"event": ["Must be a name of 1 to 100 characters."]}},
            {"event_id": "e-1", "status": "duplicate"},
        ]
    }


@pytest.mark.parametrize("body", [b"", b"7", b"{", b"\xff", b'{"a": 1}, "b": 2'])
def test_request_that_cannot_be_read_is_refused(shop: Shop, body: bytes) -> None:
    answer = post(shop, body)
    assert answer.status_code == 400
    assert answer.json is not None
    assert set(answer.json["errors"]) == {"body"}


def test_request_holds_at_most_five_hundred_events(shop: Shop) -> None:
    assert post(shop, []).json == {"results": []}
    many = post(shop, [an_event() for _ in range(500)])
    assert many.json is not None
    assert {one["status"] for one in many.json["results"]} == {"queued"}
    assert post(shop, [an_event() for _ in range(501)]).status_code == 400


def test_token_of_the_store_is_needed(shop: Shop) -> None:
    client = create_app(shop.gateway).test_client()
    assert client.post("/api/v1/stores/acme/events", json=an_event()).status_code == 401
    assert post(shop, an_event(), store_id="other").status_code == 403
    assert shop.deliveries() == []


def test_guest_of_woocommerce_is_no_customer(shop: Shop) -> None:
    assert post(shop, an_event(event_id="e-1", customer_id=0)).json == {
        "results": [{"event_id": "e-1", "status": "queued"}]
    }
    assert shop.deliveries()[0]["customer_id"] is None
