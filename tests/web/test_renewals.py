"""Scheduled renewals over HTTP: who may ask, what is refused and how, and what is answered."""

from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from gateway.storage.renewals import change_renewal
from gateway.storage.tokens import add_token
from gateway.web import create_app
from tests.fakes import NOON
from tests.shops import ALL, Shop, a_woo_order, an_entry

URL = "/api/v1/stores/acme/renewals"


@pytest.fixture
def client(shop: Shop) -> FlaskClient:
    token = shop.gateway.database.write(lambda connection: add_token(connection, "test", "acme", NOON))
    client = create_app(shop.gateway).test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


def asked(**changes: Any) -> dict[str, Any]:
    given = {
        "renewal_id": "sub-1",
        "origin_order_id": "7001",
        "due_at": "2026-12-22T12:00:00Z",
        "event": "subscription_renewed",
        "properties": {"value": 9.90},
        "repeat": {"every_days": 30, "count": 12},
    }
    return {key: value for key, value in (given | changes).items() if value is not ...}


def test_schedule_show_list_change_cancel(client: FlaskClient) -> None:
    created = client.post(URL, json=asked())
    assert created.status_code == 201
    again = client.post(URL, json=asked(event="other"))
    assert (again.status_code, again.json) == (200, created.json)

    changed = client.patch(f"{URL}/sub-1", json={"due_at": "2027-01-01T00:00:00+01:00", "repeat": None})
    assert changed.json is not None
    assert (changed.json["next_at"], changed.json["repeat"]) == ("2026-12-31T23:00:00Z", None)
    assert client.get(f"{URL}/sub-1").json == changed.json
    assert [one["renewal_id"] for one in (client.get(URL).json or {})["renewals"]] == ["sub-1"]

    assert (client.delete(f"{URL}/sub-1").json or {})["state"] == "cancelled"
    assert client.delete(f"{URL}/sub-1").status_code == 200
    assert client.patch(f"{URL}/sub-1", json={"properties": {}}).status_code == 409


def test_an_id_is_given_where_none_was_sent(client: FlaskClient) -> None:
    created = client.post(URL, json=asked(renewal_id=...)).json or {}
    assert client.get(f"{URL}/{created['renewal_id']}").status_code == 200


def test_past_due_time_is_taken_at_once_and_marked_late(client: FlaskClient, shop: Shop) -> None:
    shop.post(a_woo_order(7001, an_entry(ALL)))
    shop.dispatch()
    created = client.post(URL, json=asked(due_at="2026-11-01T00:00:00Z", repeat=None))
    assert (created.status_code, (created.json or {})["late"]) == (201, True)
    shop.dispatch()
    assert shop.sender.payloads[-1]["event_id"] == "sub-1:1"
    assert "late" not in shop.sender.payloads[-1]


@pytest.mark.parametrize("due_at", ["2027-01-01T02:00:00+02:00", "2027-01-01t00:00:00z", "2027-01-01T00:00:00.5Z"])
def test_time_is_told_in_utc(client: FlaskClient, due_at: str) -> None:
    created = client.post(URL, json=asked(due_at=due_at))
    assert (created.status_code, (created.json or {})["due_at"]) == (201, "2027-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"origin_order_id": ...}, ["origin_order_id"]),
        ({"origin_order_id": 7001}, ["origin_order_id"]),
        ({"event": ""}, ["event"]),
        ({"event": "a b"}, ["event"]),
        ({"renewal_id": "../x"}, ["renewal_id"]),
        ({"due_at": "2027-02-30T00:00:00Z"}, ["due_at"]),
        ({"due_at": "2027-02-28T00:00:00"}, ["due_at"]),
        ({"due_at": "2027-02-28"}, ["due_at"]),
        ({"due_at": 1800000000}, ["due_at"]),
        ({"due_at": "9999-12-31T23:59:59-23:59"}, ["due_at"]),
        ({"due_at": "2040-01-01T00:00:00Z"}, ["due_at"]),
        ({"properties": []}, ["properties"]),
        ({"properties": {"x": "y" * 70_000}}, ["properties"]),
        ({"repeat": {"every_days": 0, "count": 2}}, ["every_days"]),
        ({"repeat": {"every_days": 3661, "count": 1}}, ["every_days"]),
        ({"repeat": {"every_days": 1, "count": 521}}, ["count"]),
        ({"repeat": {"every_days": 1, "count": 0}}, ["count"]),
        ({"repeat": {"every_days": True, "count": 1.5}}, ["count", "every_days"]),
        ({"repeat": {"every_days": 30}}, ["count"]),
        ({"repeat": {"every_days": 30, "count": 520}}, ["count", "every_days"]),
        ({"repeat": {"every_days": 30, "count": 2, "until": "x"}}, ["until"]),
        ({"repeat": 30}, ["repeat"]),
        ({"extra": 1, "event": 5}, ["event", "extra"]),
    ],
    ids=repr,
)
def test_every_mistake_names_its_field(client: FlaskClient, changes: dict[str, Any], fields: list[str]) -> None:
    answer = client.post(URL, json=asked(**changes))
    assert answer.status_code == 400
    assert sorted((answer.json or {})["errors"]) == fields
    assert client.get(f"{URL}/sub-1").status_code == 404


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"null"])
def test_what_is_no_object_is_refused(client: FlaskClient, body: bytes) -> None:
    assert client.post(URL, data=body).status_code == 400
    assert client.patch(f"{URL}/sub-1", data=body).status_code == 400


def test_change_refuses_what_it_does_not_know(client: FlaskClient) -> None:
    client.post(URL, json=asked())
    answer = client.patch(f"{URL}/sub-1", json={"event": "other", "repeat": {"every_days": 3660, "count": 5}})
    assert sorted((answer.json or {})["errors"]) == ["event"]
    answer = client.patch(f"{URL}/sub-1", json={"repeat": {"every_days": 3660, "count": 5}})
    assert (answer.status_code, sorted((answer.json or {})["errors"])) == (400, ["count", "every_days"])


def test_only_the_stores_own_token_may_ask(client: FlaskClient, shop: Shop) -> None:
    other = shop.gateway.database.write(lambda connection: add_token(connection, "other", "shoe", NOON))
    for url in (URL, f"{URL}/sub-1", "/api/v1/stores/acme/reconciliations"):
        assert client.get(url, headers={"Authorization": "Bearer nonsense"}).status_code == 401
        assert client.get(url, headers={"Authorization": f"Bearer {other}"}).status_code == 403


def test_reconciliations_are_empty_at_first(client: FlaskClient) -> None:
    answer = client.get("/api/v1/stores/acme/reconciliations")
    assert answer.json == {"reconciled_until": None, "webhooks": [], "days": []}


def test_unheard_of_renewal_is_not_found(client: FlaskClient) -> None:
    assert client.get(f"{URL}/none").status_code == 404
    assert client.patch(f"{URL}/none", json={}).status_code == 404
    assert client.delete(f"{URL}/none").status_code == 404


def test_late_is_said_of_what_went_after_its_time(client: FlaskClient, shop: Shop) -> None:
    client.post(URL, json=asked(repeat={"every_days": 1, "count": 2}))
    shop.clock.at = NOON + timedelta(days=31)
    assert (client.get(f"{URL}/sub-1").json or {})["late"] is True
    shop.gateway.run_renewals()
    occurrences = (client.get(f"{URL}/sub-1").json or {})["occurrences"]
    assert [(one["event_id"], one["late"]) for one in occurrences] == [("sub-1:1", True), ("sub-1:2", False)]


def seal_under(shop: Shop, key_id: str) -> None:
    """Have the renewal sealed under another key."""
    change = {"key_id": key_id}
    shop.gateway.database.write(lambda connection: change_renewal(connection, "acme", "sub-1", change))


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_renewal_under_a_key_that_is_missing_names_the_setting(shop: Shop, client: FlaskClient, method: str) -> None:
    client.post(URL, json=asked())
    seal_under(shop, "0badcafe")

    answer = client.open(f"{URL}/sub-1", method=method, json={"repeat": None} if method == "PATCH" else None)

    assert (answer.status_code, (answer.json or {})["status"]) == (503, "cannot_open")
    assert "security.previous_keys" in (answer.json or {})["reason"]
    assert client.get(URL).status_code == 503


def test_renewal_under_a_key_that_is_missing_is_cancelled_all_the_same(shop: Shop, client: FlaskClient) -> None:
    client.post(URL, json=asked())
    seal_under(shop, "0badcafe")
    client.delete(f"{URL}/sub-1")
    seal_under(shop, shop.gateway.keyring.key_id)

    assert (client.get(f"{URL}/sub-1").json or {})["state"] == "cancelled"
