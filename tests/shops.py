"""A shop for tests: a whole gateway on a real database, with signed webhooks in and a recording destination out."""

import base64
import hmac
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from gateway.bootstrap import build
from gateway.flow.dispatch import Prepared
from gateway.flow.gateway import Gateway, Receipt
from gateway.settings import (
    DEFAULT_POLICY,
    ApiSettings,
    DatabaseSettings,
    DestinationSettings,
    SecuritySettings,
    Settings,
    StoreSettings,
    WorkerSettings,
)
from gateway.storage import queue
from gateway.storage.outcomes import Settled, settle
from gateway.storage.tables import deliveries
from tests.fakes import FixedClock, RecordingSender

SECRET = "shop-secret"
KEY = base64.b64encode(b"k" * 32).decode()
ALL = {"functional": True, "preferences": True, "analytics": True, "marketing": True}
NONE = {"analytics": False, "marketing": False}
_numbers = itertools.count(7000)


def settings_for(url: str, platform: str = "woocommerce", **policy: Any) -> Settings:
    """Settings with one store and one destination that takes everything."""
    return Settings(
        folder=Path(),
        database=DatabaseSettings(url=url),
        security=SecuritySettings(key=KEY),
        worker=WorkerSettings(allow_private_destinations=True),
        policy=DEFAULT_POLICY,
        stores=(
            StoreSettings(
                id="acme",
                platform=platform,
                secrets=(SECRET,),
                policy={**DEFAULT_POLICY, "mode": "suppress", **policy},
                api=ApiSettings(),
            ),
        ),
        destinations=(
            DestinationSettings(
                id="sink",
                url="https://sink.example/collect",
                topics=("orders", "refunds", "subscriptions", "customers", "deleted", "events"),
            ),
        ),
    )


def an_entry(categories: Mapping[str, bool | None] | None = None, **changes: Any) -> str:
    """The text of a `_consent_gateway` entry."""
    said = {
        "v": 1,
        "categories": ALL if categories is None else categories,
        "source": "client",
        "basis": "explicit",
        "captured_at": "2026-11-22T11:59:00Z",
    }
    return json.dumps(said | changes)


def a_woo_order(order_id: int | None = None, entry: str | None = None, **changes: Any) -> dict[str, Any]:
    """A WooCommerce order with the usual identifiers in it."""
    number = order_id or next(_numbers)
    meta = [
        {"id": 1, "key": "_fbp", "value": "fb.1.1795300000000.1234567890"},
        {"id": 2, "key": "_ga", "value": "GA1.1.111111111.1795300000"},
        {"id": 3, "key": "_wc_order_attribution_utm_source", "value": "newsletter"},
    ]
    if entry is not None:
        meta.append({"id": 4, "key": "_consent_gateway", "value": entry})
    order = {
        "id": number,
        "parent_id": 0,
        "number": str(number),
        "status": "processing",
        "currency": "EUR",
        "date_created_gmt": "2026-11-22T11:59:30",
        "date_modified_gmt": "2026-11-22T11:59:31",
        "total": "22.06",
        "customer_id": 0,
        "order_key": f"wc_order_{number}",
        "billing": {"first_name": "Jan", "email": "jan.novak@example.com", "phone": "+49 30 1234567", "country": "DE"},
        "shipping": {"first_name": "Jan", "country": "DE"},
        "created_via": "checkout",
        "meta_data": meta,
        "line_items": [{"id": 1, "name": "Mug", "sku": "MUG", "quantity": 1, "total": "10.84", "price": 10.840336}],
        "refunds": [],
    }
    return order | changes


@dataclass
class Shop:
    """One store, its gateway, and what its destination got."""

    gateway: Gateway
    clock: FixedClock
    sender: RecordingSender
    settings: Settings
    _ids: Any = field(default_factory=lambda: itertools.count(1))

    def post(self, payload: dict[str, Any], topic: str = "order.created") -> Receipt:
        """Send a signed webhook."""
        body = json.dumps(payload).encode()
        signature = base64.b64encode(hmac.digest(SECRET.encode(), body, "sha256")).decode()
        if self.settings.stores[0].platform == "woocommerce":
            headers = {"X-WC-Webhook-Topic": topic, "X-WC-Webhook-Signature": signature}
        else:
            headers = {
                "X-Shopify-Topic": topic,
                "X-Shopify-Hmac-Sha256": signature,
                "X-Shopify-Webhook-Id": f"hook-{next(self._ids)}",
            }
        return self.gateway.receive_webhook("acme", headers, body)

    def dispatch(self) -> int:
        """Deliver everything that is due, as a worker does; return how many deliveries were claimed."""
        count = 0
        while decided := self.decided():
            count += len(decided)
            self.send(decided)
        return count

    def decided(self) -> list[Settled | Prepared]:
        """Claim what is due and decide it."""
        return self.gateway.prepare(self._claimed())

    def put_off(self) -> None:
        """Claim what is due and have a bug keep it back."""
        self._settle([self.gateway.put_off(one) for one in self._claimed()])

    def send(self, decided: Sequence[Settled | Prepared]) -> None:
        """Send what may be sent, and write what became of everything that was decided."""
        self._settle([one if isinstance(one, Settled) else self.gateway.send(one) for one in decided])

    def _claimed(self) -> list[queue.Claimed]:
        limits, lease = dict.fromkeys(self.gateway.targets, 50), timedelta(seconds=60)
        return self.gateway.database.write(
            lambda connection: queue.claim(connection, worker="test", limits=limits, lease=lease, now=self.clock())
        )

    def _settle(self, done: list[Settled]) -> None:
        self.gateway.database.write(lambda connection: settle(connection, done, now=self.clock()))

    def deliveries(self) -> list[dict[str, Any]]:
        """Every delivery, oldest first."""
        statement = select(deliveries).order_by(deliveries.c.id)
        return self.gateway.database.read(
            lambda connection: [dict(row) for row in connection.execute(statement).mappings()]
        )

    def states(self) -> list[tuple[str, str | None]]:
        """State and reason of every delivery."""
        return [(row["state"], row["reason"]) for row in self.deliveries()]

    def order(self, order_id: object) -> dict[str, Any]:
        """What the API shows of an order."""
        shown = self.gateway.order_as_json("acme", str(order_id))
        assert shown is not None
        return shown

    def at(self) -> datetime:
        return self.clock()


def open_shop(settings: Settings) -> Shop:
    """Open a shop on a migrated database."""
    clock, sender = FixedClock(), RecordingSender()
    gateway = build(settings, sender=sender, clock=clock, jitter=lambda: 0.5)
    return Shop(gateway=gateway, clock=clock, sender=sender, settings=settings)
