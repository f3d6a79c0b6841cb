"""Who may read an order over HTTP, and what health and metrics tell to everybody."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from flask.testing import FlaskClient
from werkzeug.http import parse_options_header

from gateway.errors import NotRecorded
from gateway.storage import engines
from gateway.storage.tokens import add_token, revoke_token
from gateway.web import create_app
from tests.shops import ALL, NONE, Shop, a_woo_order, an_entry, open_shop, settings_for

ORDER_ID = 7777


@dataclass
class Reader:
    """Somebody who asks, with a token of the store and one of another."""

    shop: Shop
    client: FlaskClient
    own: str
    other: str

    def ask(self, authorization: str | None, path: str = f"/api/v1/stores/acme/orders/{ORDER_ID}") -> tuple[int, str]:
        headers = {} if authorization is None else {"Authorization": authorization}
        answer = self.client.get(path, headers=headers)
        assert answer.is_json
        assert "orders/" not in answer.get_data(as_text=True)
        return answer.status_code, answer.get_json().get("status", "")


@pytest.fixture
def reader(any_url: str) -> Iterator[Reader]:
    shop = open_shop(settings_for(any_url, mode="anonymize"))
    write = shop.gateway.database.write
    own = write(lambda connection: add_token(connection, "own", "acme", shop.at()))
    other = write(lambda connection: add_token(connection, "other", "elsewhere", shop.at()))
    shop.post(a_woo_order(ORDER_ID, entry=an_entry(NONE)))
    shop.dispatch()
    yield Reader(shop=shop, client=create_app(shop.gateway).test_client(), own=own, other=other)
    shop.gateway.close()


@pytest.mark.parametrize("written", ["Bearer {}", "bearer {}", "BEARER {}", "Bearer  {}", "Bearer {} "])
def test_token_of_the_store_reads(reader: Reader, written: str) -> None:
    assert reader.ask(written.format(reader.own)) == (200, "")


@pytest.mark.parametrize(
    "written", [None, "", "Bearer", "Bearer ", "Bearer x", "Basic {}", "{}", "Bearer é", "Bearer {0}, Bearer {0}"]
)
def test_anything_else_is_nobody(reader: Reader, written: str | None) -> None:
    assert reader.ask(written and written.format(reader.own)) == (401, "unauthorized")


def test_letters_of_a_token_count_and_all_of_them(reader: Reader) -> None:
    assert reader.ask(f"Bearer {reader.own.swapcase()}") == (401, "unauthorized")
    assert reader.ask(f"Bearer {reader.own[:-1]}") == (401, "unauthorized")


def test_token_of_another_store_is_refused(reader: Reader) -> None:
    assert reader.ask(f"Bearer {reader.other}") == (403, "forbidden")
    assert reader.ask(f"Bearer {reader.other}", "/api/v1/stores/elsewhere/orders/1") == (404, "store")


def test_revoked_token_is_nobody(reader: Reader) -> None:
    reader.shop.gateway.database.write(lambda connection: revoke_token(connection, "own", reader.shop.at()))
    assert reader.ask(f"Bearer {reader.own}") == (401, "unauthorized")


@pytest.mark.parametrize("path", ["orders/%00", "renewals/1%00", "renewals?after=%00"])
def test_what_no_database_holds_is_not_found(reader: Reader, path: str) -> None:
    assert reader.ask(f"Bearer {reader.own}", f"/api/v1/stores/acme/{path}") == (404, "not_found")


@pytest.mark.parametrize("order_id", ["nope", "..%2f..", "9" * 3000, "7777%20"])
def test_order_that_nobody_knows_is_not_found(reader: Reader, order_id: str) -> None:
    assert reader.ask(f"Bearer {reader.own}", f"/api/v1/stores/acme/orders/{order_id}") == (404, "order")


def test_what_is_shown_holds_no_value_of_the_shopper(reader: Reader) -> None:
    answer = reader.client.get(
        f"/api/v1/stores/acme/orders/{ORDER_ID}", headers={"Authorization": f"Bearer {reader.own}"}
    )
    shown = answer.get_data(as_text=True)
    assert "billing.email" in shown
    assert [value for value in ("jan.novak", "1234567", "fb.1.", "GA1.1", "wc_order_") if value in shown] == []


def test_gateway_whose_database_takes_nothing_is_not_ready(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.1)
    shop = open_shop(settings_for(sqlite_url))
    client, other = create_app(shop.gateway).test_client(), sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(NotRecorded):
        shop.post(a_woo_order(ORDER_ID))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (503, {"status": "unready", "reason": "the database is locked"})
    other.close()
    assert client.get("/readyz").json == {"status": "ok"}
    shop.gateway.close()


def test_metrics_tell_counts_and_nobody(reader: Reader) -> None:
    reader.shop.post(a_woo_order(entry=an_entry(ALL), number="jan.novak@example.com"))
    reader.shop.dispatch()
    answer = reader.client.get("/metrics")
    told = answer.get_data(as_text=True)

    assert [value for value in ("jan.novak", "1234567", "wc_order_", str(ORDER_ID)) if value in told] == []
    assert 'gateway_webhooks_total{reason="",status="accepted",store="acme"} 2.0' in told


def test_type_of_metrics_names_every_parameter_once(reader: Reader) -> None:
    """Scrapers refuse a type that names one twice."""
    written = reader.client.get("/metrics").headers["Content-Type"]
    assert parse_options_header(written) == ("text/plain", {"version": "0.0.4", "charset": "utf-8"})
    assert written.count("charset") == 1
