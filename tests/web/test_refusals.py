"""What is refused at the doors of the API is counted, with the store and the answer."""

import pytest

from gateway.web import create_app
from tests.shops import Shop

API = "/api/v1/stores/acme"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/consent/acme", 'door="signals",status="invalid",store="acme"'),
        (f"{API}/withdrawals", 'door="signals",status="unauthorized",store="acme"'),
        (f"{API}/events", 'door="events",status="unauthorized",store="acme"'),
        ("/api/v1/stores/4nybody/renewals", 'door="renewals",status="unauthorized",store=""'),
    ],
)
def test_refusal_is_counted_by_door_and_answer(shop: Shop, path: str, told: str) -> None:
    create_app(shop.gateway).test_client().post(path, json={})
    counted = shop.gateway.telling.metrics.counted().decode()
    assert f"gateway_requests_refused_total{{{told}}} 1.0" in counted
    assert counted.count("gateway_requests_refused_total{") == 1


def test_what_is_not_there_is_no_refusal(shop: Shop) -> None:
    create_app(shop.gateway).test_client().post("/consent/nobody", json={})
    assert b"gateway_requests_refused_total{" not in shop.gateway.telling.metrics.counted()
