"""A shop with a history, for pages: real webhooks through the whole gateway, and what only time brings."""

import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from sqlalchemy import insert, update

from gateway.bootstrap import build
from gateway.errors import DeliveryFailed
from gateway.flow.gateway import Gateway
from gateway.model.delivery import OutboundRequest, Response
from gateway.model.order import Platform
from gateway.settings import (
    DEFAULT_POLICY,
    DatabaseSettings,
    DestinationSettings,
    SecuritySettings,
    Settings,
    StoreSettings,
    WebSettings,
    WorkerSettings,
)
from gateway.storage.people import Role, User, add_user, list_users
from gateway.storage.policies import add_policy
from gateway.storage.statements import Connection
from gateway.storage.tables import lowerings, records, renewals, sessions, subscriptions, users
from tests.captures import captures
from tests.fakes import NOON, FixedClock
from tests.shops import KEY, SECRET, Shop, an_entry

PASSWORD = "correct horse battery"
ALL = {"functional": True, "preferences": True, "analytics": True, "marketing": True, "sale_of_data": True}
PART = {"functional": True, "preferences": True, "analytics": True, "marketing": False, "sale_of_data": False}
NONE = {"functional": True, "preferences": False, "analytics": False, "marketing": False, "sale_of_data": False}
SHOPIFY_SECRET = "shpss_lab_client_secret"
_BODY = Path(__file__).parents[2] / "gateway" / "cli" / "sample_orders" / "woocommerce-order.json"


def admin_settings(url: str, *, public_url: str = "") -> Settings:
    """Two stores and three destinations that serve different purposes."""
    return Settings(
        folder=Path(),
        database=DatabaseSettings(url=url),
        security=SecuritySettings(key=KEY),
        web=WebSettings(public_url=public_url),
        worker=WorkerSettings(allow_private_destinations=True),
        policy=DEFAULT_POLICY,
        stores=(
            StoreSettings(
                id="acme",
                platform="woocommerce",
                secrets=(SECRET,),
                policy={**DEFAULT_POLICY, "mode": "suppress", "unknown": "deny"},
            ),
            StoreSettings(
                id="nordlicht",
                platform="shopify",
                secrets=(SHOPIFY_SECRET,),
                policy={**DEFAULT_POLICY, "mode": "anonymize"},
            ),
        ),
        destinations=(
            _destination("container", ("marketing", "analytics"), ("orders", "refunds", "subscriptions", "events")),
            _destination("newsletter", ("marketing",), ("orders",), stores=("acme",)),
            _destination("statistics", ("analytics",), ("orders", "refunds")),
        ),
    )


def _destination(
    name: str, purposes: tuple[str, ...], topics: tuple[str, ...], stores: tuple[str, ...] = ()
) -> DestinationSettings:
    url = f"https://{name}.example/in"
    return DestinationSettings(id=name, url=url, purposes=purposes, topics=topics, stores=stores)


@dataclass
class ScriptedSender:
    """Answers 200, unless a destination has answers of its own; a word fails the attempt."""

    answers: dict[str, list[int | str]] = field(default_factory=dict)
    clock: FixedClock = field(default_factory=FixedClock)

    def send(self, request: OutboundRequest) -> Response:
        self.clock.pass_by(milliseconds=184)
        name = request.url.removeprefix("https://").partition(".")[0]
        waiting = self.answers.get(name)
        answer = waiting.pop(0) if waiting else 200
        if isinstance(answer, str):
            raise DeliveryFailed(answer)
        return Response(status_code=answer, headers=(), body=b"")

    def close(self) -> None:
        """Nothing to let go of."""


@dataclass
class Story(Shop):
    """A shop whose orders are told one by one."""

    sender: Any

    def woo(self, number: int, categories: dict[str, bool] | None, /, **changes: Any) -> dict[str, Any]:
        """A whole order as WooCommerce sends it."""
        order: dict[str, Any] = json.loads(_BODY.read_text(encoding="utf-8"))
        at = self.clock()
        stamp = at.strftime("%Y-%m-%dT%H:%M:%S")
        order |= {"id": number, "number": str(number), "order_key": f"wc_order_{number}x"}
        order |= {"date_created_gmt": stamp, "date_modified_gmt": stamp, "customer_id": 77, "created_via": "checkout"}
        order["meta_data"] = [one for one in order["meta_data"] if one["key"] != "_consent_gateway"]
        if categories is not None:
            heard = (at - timedelta(seconds=95)).strftime("%Y-%m-%dT%H:%M:%SZ")
            session_id = f"session-{number}-abcdefghijkl"
            entry = an_entry({**categories}, captured_at=heard, cmp="Cookiebot", session_id=session_id)
            order["meta_data"].append({"id": 9000, "key": "_consent_gateway", "value": entry})
        return order | changes

    def capture(self, start: str) -> None:
        """Send one of Shopify's sample webhooks."""
        sample = next(one for one in captures(Platform.SHOPIFY) if one.name.startswith(start))
        self.gateway.receive_webhook("nordlicht", sample.headers, sample.body)

    def withdraw(self, number: int, category: str = "marketing") -> None:
        """What a withdrawal leaves behind."""
        now = self.clock()
        row = {
            "store_id": "acme",
            "order_id": str(number),
            "channel": "withdrawal",
            "state": "answered",
            "choices": {"marketing": False},
            "source": "server",
            "basis": "explicit",
            "captured_at": now,
            "received_at": now,
        }
        lowered = {
            "store_id": "acme",
            "subject_kind": "order",
            "subject": str(number),
            "category": category,
            "by": "withdrawal",
            "at": now,
        }

        def job(connection: Connection) -> None:
            connection.execute(insert(records).values(**row))
            connection.execute(insert(lowerings).values(**lowered))

        self.gateway.database.write(job)


def open_story(settings: Settings) -> Story:
    """Open the shops on a migrated database, with nothing in them."""
    clock = FixedClock(NOON - timedelta(days=4))
    sender = ScriptedSender(clock=clock)
    gateway = build(settings, sender=sender, clock=clock, jitter=lambda: 0.5)
    return Story(gateway=gateway, clock=clock, sender=sender, settings=settings)


def add_people(gateway: Gateway) -> dict[Role, User]:
    """One user of each role; the owner reads in Berlin's time."""
    names = {Role.OWNER: "olivia", Role.OPERATOR: "oscar", Role.VIEWER: "vera"}
    values = {"password_hash": _hash(), "zone": "Europe/Berlin"}
    for role, name in names.items():
        add_user(gateway.database, name=name, role=role, actor="command line")
    gateway.database.write(lambda connection: connection.execute(update(users).values(**values)))
    return {user.role: user for user in list_users(gateway.database)}


@cache
def _hash() -> str:
    """Hashing is slow on purpose; tests would rather not wait."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


def tell(story: Story) -> None:
    """Everything that pages show, over four days; the hero of the story is order 1042."""
    _hero(story)
    story.clock.pass_by(hours=5)
    _others(story)
    story.clock.pass_by(hours=9)
    _nordlicht(story)
    _sessions(story)
    _policies(story)
    story.clock.pass_by(hours=3)
    story.post(story.woo(1056, None), "order.created")


def _hero(story: Story) -> None:
    order = story.woo(1042, ALL, total="64.90")
    _subscribe(story, "1042")
    story.post(order, "order.created")
    story.sender.answers = {"newsletter": ["connect_timeout", 503]}
    story.dispatch()
    story.clock.pass_by(seconds=2)
    story.dispatch()
    story.clock.pass_by(minutes=3)
    story.dispatch()
    story.clock.pass_by(hours=20)
    story.withdraw(1042)
    story.clock.pass_by(hours=1)
    stamp = story.clock().strftime("%Y-%m-%dT%H:%M:%S")
    story.post({**order, "status": "completed", "date_modified_gmt": stamp}, "order.updated")
    story.dispatch()
    story.clock.pass_by(hours=26)
    renewed = {
        "parent_id": 0,
        "created_via": "subscription",
        "meta_data": [*order["meta_data"], {"id": 9001, "key": "_subscription_renewal", "value": "900"}],
    }
    story.post(story.woo(1051, None, **renewed), "order.created")
    story.dispatch()
    _schedule(story, "1042")


def _others(story: Story) -> None:
    told: Sequence[tuple[int, dict[str, bool] | None, str]] = (
        (1043, PART, "processing"),
        (1044, NONE, "processing"),
        (1045, ALL, "completed"),
        (1046, PART, "completed"),
    )
    for number, categories, status in told:
        story.post(story.woo(number, categories, status=status, total=f"{number % 90}.50", customer_id=number))
        story.dispatch()
        story.clock.pass_by(minutes=47)
    story.sender.answers = {"newsletter": [404], "container": [500]}
    story.post(story.woo(1047, ALL, customer_id=1047))
    story.dispatch()
    story.clock.pass_by(minutes=12)
    story.post(story.woo(1048, None, created_via="admin", customer_id=1048))
    story.dispatch()
    story.clock.pass_by(minutes=31)
    story.sender.answers = {}


def _nordlicht(story: Story) -> None:
    for start in ("01", "02", "03", "04", "05", "07", "08"):
        story.capture(start)
        story.clock.pass_by(minutes=14)
        story.dispatch()


def _subscribe(story: Story, parent: str) -> None:
    row = {
        "store_id": "acme",
        "subscription_id": "900",
        "parent_order_id": parent,
        "customer_id": "77",
        "status": "active",
        "seen_at": story.clock(),
    }
    story.gateway.database.write(lambda connection: connection.execute(insert(subscriptions).values(**row)))


def _schedule(story: Story, origin: str) -> None:
    now = story.clock()
    row = {
        "store_id": "acme",
        "renewal_id": "refill-1042",
        "origin_order_id": origin,
        "event": "subscription_renewed",
        "due_at": now + timedelta(days=27),
        "every_days": 30,
        "count": 12,
        "next_at": now + timedelta(days=27),
        "state": "scheduled",
        "key_id": "",
        "sealed": b"",
        "created_at": now,
        "updated_at": now,
    }
    story.gateway.database.write(lambda connection: connection.execute(insert(renewals).values(**row)))


def _sessions(story: Story) -> None:
    now = story.clock()
    states = [("granted", "granted"), ("granted", "denied"), ("pending", "pending"), ("denied", "denied")]
    rows = [
        {
            "store_id": "acme",
            "session_hash": hmac.digest(b"seed", str(at).encode(), "sha256").hex()[:32],
            "analytics": states[at % 4][0],
            "marketing": states[at % 4][1],
            "gpc": at % 5 == 0,
            "seen_at": now - timedelta(minutes=7 * at + 3),
            "updated_at": now - timedelta(minutes=7 * at),
        }
        for at in range(24)
    ]
    story.gateway.database.write(lambda connection: connection.execute(insert(sessions), rows))


def _policies(story: Story) -> None:
    now = story.clock()
    values = {**DEFAULT_POLICY, "mode": "suppress", "unknown": "deny"}
    later = {**values, "hold_seconds": 120, "unknown_by_origin": {"admin": "allow"}}

    def job(connection: Connection) -> None:
        add_policy(connection, "acme", later, "olivia", now)

    story.gateway.database.write(job)
