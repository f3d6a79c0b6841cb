"""Personal data in every field, through a whole gateway and everything that can go wrong: none of it is ever told."""

import base64
import hmac
import io
import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from gateway.bootstrap import build
from gateway.flow.changes import detection_of
from gateway.flow.gateway import Gateway
from gateway.ingest.platforms import PLATFORMS
from gateway.model.delivery import OutboundRequest, Response
from gateway.model.order import Platform
from gateway.settings import Settings
from gateway.storage.tables import deliveries
from gateway.telemetry import configure_logging
from gateway.telemetry.logs import QUIET_LOGGERS
from gateway.web import create_app
from gateway.worker import Pace, Worker
from tests.captures import capture
from tests.fakes import RecordingSender
from tests.shops import SECRET, an_entry, settings_for

CANARY = "kanarek"
# Words that steer the gateway; they are no personal data, and without them there is no order to read.
STEERING = {"status", "financial_status", "created_via", "source_name", "currency", "number", "key", "name"}
AMOUNTS = {"total", "total_price"}
ORDERS = [
    (Platform.WOOCOMMERCE, "012", "order.created"),
    (Platform.WOOCOMMERCE, "016", "order.created"),
    (Platform.SHOPIFY, "01", "orders/create"),
    (Platform.SHOPIFY, "06", "orders/create"),
]
CONSENTS = [{"analytics": True, "marketing": True}, {"analytics": True, "marketing": False}, None]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, down to the last detail; logging is put back afterwards."""
    stream, root = io.StringIO(), logging.getLogger()
    levels = [(logging.getLogger(name), logging.getLogger(name).level) for name in (None, "gateway", *QUIET_LOGGERS)]
    handlers, hooks = root.handlers[:], (sys.excepthook, threading.excepthook)
    looked_up = logging.logThreads, logging.logProcesses, logging.logMultiprocessing
    configure_logging("DEBUG", stream)
    for logger, _ in levels:
        logger.setLevel(logging.DEBUG)
    yield stream
    logging.captureWarnings(capture=False)
    logging.logThreads, logging.logProcesses, logging.logMultiprocessing = looked_up
    sys.excepthook, threading.excepthook = hooks
    root.handlers[:] = handlers
    for logger, level in levels:
        logger.setLevel(level)


@dataclass
class Told:
    """All that the gateway let out, but for what it delivered."""

    texts: list[str] = field(default_factory=list)

    def add(self, what: object) -> None:
        self.texts.append(what if isinstance(what, str) else repr(what))

    def canaries(self) -> list[str]:
        return [found for text in self.texts for found in re.findall(f"(?i).{{0,80}}{CANARY}.{{0,20}}", text)]


class Tripping(RecordingSender):
    """A way to the network that fails by a bug, with what it handled in its words."""

    def send(self, request: OutboundRequest) -> Response:
        raise RuntimeError(f"cannot send {request.body!r}")


def plant(value: Any, key: str = "") -> Any:
    """Put a canary of its own in place of every text, of the same kind where the kind matters."""
    if isinstance(value, dict):
        return {inner: plant(one, inner) for inner, one in value.items()}
    if isinstance(value, list):
        return [plant(one, key) for one in value]
    if not isinstance(value, str) or key in STEERING | AMOUNTS or "date" in key or key.endswith("_at"):
        return value
    number = next(_numbers)
    if "@" in value or "email" in key:
        return f"{CANARY}{number}q@example.com"
    return f"https://{CANARY}{number}q.example/{CANARY}?e={CANARY}" if "://" in value else f"{CANARY}{number}q"


_numbers = iter(range(10_000_000))


def planted(platform: Platform, name: str, consent: Mapping[str, bool | None] | None) -> dict[str, Any]:
    """A real order with canaries everywhere and this consent."""
    order: dict[str, Any] = plant(json.loads(capture(platform, name).body))
    order["id"] = 900_000 + next(_numbers)
    entry = f"{CANARY}{{"
    if consent is not None:
        entry = an_entry(dict(consent), session_id=f"{CANARY}{'s' * 22}")
    if platform is Platform.WOOCOMMERCE:
        order["meta_data"] += [{"id": 1, "key": "_consent_gateway", "value": entry}]
        order["meta_data"] += [{"id": 2, "key": "_fbp", "value": f"fb.1.1795300000000.{CANARY}"}]
        order["customer_note"] = f"call {CANARY}@example.com"
    else:
        order["note_attributes"] = [{"name": "_consent_gateway", "value": entry}, {"name": "note", "value": CANARY}]
        order["tags"] = f"vip, {CANARY}"
    return order


def headers_for(platform: Platform, topic: str, body: bytes) -> dict[str, str]:
    signature = base64.b64encode(hmac.digest(SECRET.encode(), body, "sha256")).decode()
    prefix, word = ("X-WC-Webhook", "Signature") if platform is Platform.WOOCOMMERCE else ("X-Shopify", "Hmac-Sha256")
    return {
        f"{prefix}-Topic": topic,
        f"{prefix}-{word}": signature,
        "User-Agent": CANARY,
        "Cookie": f"_ga={CANARY}",
        "X-Forwarded-For": CANARY,
        "Referer": f"https://shop.example/?e={CANARY}",
    }


@dataclass
class Ordeal:
    """One gateway, what is done to it, and what it told of that."""

    platform: Platform
    gateway: Gateway
    client: FlaskClient
    told: Told

    def post(self, body: bytes, topic: str, path: str = "/webhooks/acme", **changes: str) -> int:
        headers = {**headers_for(self.platform, topic, body), **changes}
        answer = self.client.post(path, data=body, headers=headers)
        self.told.add(answer.get_data(as_text=True))
        self.told.add(str(answer.headers))
        return answer.status_code

    def deliver(self) -> None:
        """Let a real worker try everything that is due."""
        worker = Worker(
            self.gateway.database, self.gateway, name="test", destination_ids=self.gateway.targets, pace=Pace(threads=1)
        )
        worker.start()
        deadline = time.monotonic() + 20
        while self._untouched() and time.monotonic() < deadline:
            time.sleep(0.02)
        worker.stop(within_seconds=5)
        assert self._untouched() == 0

    def _untouched(self) -> int:
        """How many deliveries no worker has come to an end with, be it only of a first attempt."""
        waiting = deliveries.c.finished_at.is_(None) & deliveries.c.word.is_(None)
        statement = select(func.count()).select_from(deliveries).where(waiting)
        return int(self.gateway.database.read(lambda connection: connection.execute(statement).scalar_one()))

    def finish(self) -> list[str]:
        self.told.add(self.gateway.telling.render().decode())
        self.told.add(self.gateway)
        self.told.add(self.gateway.parts)
        self.gateway.close()
        return self.told.canaries()


Begin = Callable[..., Ordeal]


@pytest.fixture
def begin(sqlite_url: str) -> Begin:
    def make(platform: Platform, sender: RecordingSender, new_id: Callable[[], str] | None = None) -> Ordeal:
        settings: Settings = settings_for(sqlite_url, platform=platform.value, mode="anonymize", hold_seconds=0)
        destination = replace(settings.destinations[0], url=f"https://sink.example/?key={CANARY}", secret="")
        store = replace(settings.stores[0], allow_meta_keys=("gift",))
        settings = replace(settings, stores=(store,), destinations=(destination,))
        gateway = build(settings, sender=sender, new_id=new_id)
        return Ordeal(platform=platform, gateway=gateway, client=create_app(gateway).test_client(), told=Told())

    return make


@pytest.mark.parametrize(("platform", "name", "topic"), ORDERS)
def test_orders_are_told_of_by_ids_and_words_alone(
    begin: Begin, log: io.StringIO, platform: Platform, name: str, topic: str
) -> None:
    sender = RecordingSender(answers=[200, 500, "read_timeout", 404])
    ordeal = begin(platform, sender)

    for consent in CONSENTS:
        body = json.dumps(planted(platform, name, consent)).encode()
        assert ordeal.post(body, topic) == 200
        reader, store = PLATFORMS[platform], ordeal.gateway.settings.stores[0]
        webhook = reader.parse(headers_for(platform, topic, body), body, detection_of(store), include_tests=True)
        assert webhook.order is not None
        ordeal.told.add(webhook)
    ordeal.deliver()

    assert any(CANARY.encode() in body for body in sender.bodies)
    ordeal.told.add(sender.requests)
    ordeal.told.add(log.getvalue())
    assert ordeal.finish() == []
    assert log.getvalue().count('"log":"decision"') == 3


@pytest.mark.parametrize("platform", list(Platform))
def test_what_is_refused_is_not_repeated(begin: Begin, log: io.StringIO, platform: Platform) -> None:
    ordeal = begin(platform, RecordingSender())
    topic = "order.created" if platform is Platform.WOOCOMMERCE else "orders/create"
    order = json.dumps({"email": CANARY}).encode()

    codes = [
        ordeal.post(order, topic, **{"X-WC-Webhook-Signature": CANARY, "X-Shopify-Hmac-Sha256": CANARY}),
        ordeal.post(order, topic),
        ordeal.post(f"{{{CANARY}".encode(), topic),
        ordeal.post(f'"{CANARY}"'.encode(), topic),
        ordeal.post(order, topic, path=f"/webhooks/{CANARY}"),
        ordeal.post(order, topic, path=f"/{CANARY}?q={CANARY}"),
        ordeal.post(order, topic, path="/api/v1/stores/acme/events", Authorization=f"Bearer {CANARY}"),
    ]

    assert codes == [401, 400, 400, 400, 404, 404, 401]
    ordeal.told.add(log.getvalue())
    assert ordeal.finish() == []


def test_bug_on_the_way_in_is_told_without_what_it_handled(begin: Begin, log: io.StringIO) -> None:
    def break_down() -> str:
        raise ValueError(f"{CANARY}@example.com is no id")

    ordeal = begin(Platform.WOOCOMMERCE, RecordingSender(), break_down)
    body = json.dumps(planted(Platform.WOOCOMMERCE, "012", None)).encode()

    assert ordeal.post(body, "order.created") == 503
    assert "ValueError" in log.getvalue()
    ordeal.told.add(log.getvalue())
    assert ordeal.finish() == []


def test_bug_on_the_way_out_is_told_without_what_it_handled(begin: Begin, log: io.StringIO) -> None:
    ordeal = begin(Platform.WOOCOMMERCE, Tripping())
    ordeal.post(json.dumps(planted(Platform.WOOCOMMERCE, "012", None)).encode(), "order.created")

    ordeal.deliver()

    assert "RuntimeError" in log.getvalue()
    ordeal.told.add(log.getvalue())
    assert ordeal.finish() == []


def test_leak_is_told_by_the_name_of_its_rule(begin: Begin, log: io.StringIO) -> None:
    sender = RecordingSender()
    ordeal = begin(Platform.WOOCOMMERCE, sender)
    order = planted(Platform.WOOCOMMERCE, "012", {"analytics": False, "marketing": False})
    order["billing"]["first_name"] = CANARY.title()
    order["meta_data"].append({"id": 7, "key": "gift", "value": CANARY.title()})

    ordeal.post(json.dumps(order).encode(), "order.created")
    ordeal.deliver()

    assert sender.requests == []
    assert 'state="leak"' in ordeal.gateway.telling.render().decode()
    ordeal.told.add(log.getvalue())
    assert ordeal.finish() == []


def test_signals_and_events_are_told_of_by_words_alone(begin: Begin, log: io.StringIO) -> None:
    ordeal = begin(Platform.WOOCOMMERCE, RecordingSender())
    session = f"{CANARY}{'s' * 30}"
    good = {"session_id": session, "state": "answered", "seq": 1, "categories": {"marketing": True}, "cmp": CANARY}
    bad = {"session_id": f"{CANARY} {CANARY}", "state": CANARY, "seq": CANARY, "categories": {"marketing": CANARY}}

    codes = [
        ordeal.post(json.dumps(good).encode(), "", path="/consent/acme"),
        ordeal.post(json.dumps(bad).encode(), "", path="/consent/acme"),
        ordeal.post(f"{{{CANARY}".encode(), "", path="/consent/acme"),
        ordeal.post(f'["{CANARY}"]'.encode(), "", path="/consent/acme"),
    ]

    assert codes == [202, 400, 400, 400]
    ordeal.told.add(log.getvalue())
    assert ordeal.finish() == []
