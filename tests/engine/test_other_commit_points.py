"""Events, signals, renewals, reconciliation, retention, the change of keys: each dies at every commit and goes on."""

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from gateway.bootstrap import build, open_stored_keyring
from gateway.errors import NotRecorded
from gateway.flow.events import receive_events
from gateway.flow.replay import replay
from gateway.model.delivery import DeliveryState
from gateway.model.renewal import Renewal, Repeat
from gateway.settings import ApiSettings, SecuritySettings, Settings
from gateway.storage import copying, retention
from gateway.storage.copying import SEALED, rotate_keys
from gateway.storage.tables import bodies, deliveries, events, orders, webhooks
from tests.engine.dying import Died, Fate, empty, unbind
from tests.fakes import NOON, FixedClock, RecordingSender
from tests.shops import ALL, KEY, NONE, Shop, a_woo_order, an_entry, settings_for
from tests.store_apis import WooApi
from tests.visitors import Visitor, a_session, an_event, sent_events

Step = Callable[[Shop], object]
NEW_KEY = base64.b64encode(b"n" * 32).decode()


@dataclass
class World:
    """What outlives a process."""

    settings: Settings
    clock: FixedClock = field(default_factory=FixedClock)
    sender: RecordingSender = field(default_factory=RecordingSender)

    @contextmanager
    def process(self, fate: Fate | None = None) -> Iterator[Shop]:
        gateway = build(self.settings, sender=self.sender, clock=self.clock, jitter=lambda: 0.5)
        gateway._reconciler._wait = lambda _: None
        if fate:
            fate.bind(gateway.database)
        try:
            yield Shop(gateway=gateway, clock=self.clock, sender=self.sender, settings=self.settings)
        except (Died, NotRecorded):
            assert fate
            assert fate.count >= fate.at
        finally:
            unbind(gateway.database)
            gateway.close()


def die_everywhere(settings: Settings, before: Step, step: Step, check: Step, *, at_least: int) -> None:
    """Die at each commit of `step`, before it and after it; do it again, as whoever was not answered does; check."""
    fate = Fate(at=1_000_000, after_commit=False)
    live_twice(settings, before, step, check, fate)
    assert fate.count >= at_least
    for at in range(1, fate.count + 1):
        for after_commit in (False, True):
            live_twice(settings, before, step, check, Fate(at=at, after_commit=after_commit))


def live_twice(settings: Settings, before: Step, step: Step, check: Step, fate: Fate) -> None:
    empty(settings.database.url)
    world = World(settings)
    with world.process() as shop:
        before(shop)
    with world.process(fate) as shop:
        step(shop)
    with world.process() as shop:
        step(shop)
        check(shop)


def nothing(_: Shop) -> None:
    """Begin with an empty gateway."""


def count(shop: Shop, table: object) -> int:
    query = select(func.count()).select_from(table)  # type: ignore[arg-type]
    return int(shop.gateway.database.read(lambda connection: connection.execute(query).scalar_one()))


def deliver(shop: Shop) -> None:
    """Deliver everything, also what a dead process was sending."""
    for _ in range(3):
        shop.dispatch()
        shop.clock.pass_by(seconds=61)
    shop.dispatch()


def test_events_and_the_signals_that_open_them(any_url: str) -> None:
    def step(shop: Shop) -> None:
        granted, denied = Visitor(shop), Visitor(shop, a_session(2))
        posted = [an_event(a_session(n), event_id=f"{n}-{k}") for n in (1, 2) for k in range(2)]
        receive_events(shop.gateway.parts, "acme", json.dumps(posted).encode())
        granted.grants(seq=1)
        denied.denies(seq=1)
        deliver(shop)

    def check(shop: Shop) -> None:
        ids = {dict(one.headers)["webhook-id"] for one in shop.sender.requests}
        assert (list(dict.fromkeys(sent_events(shop))), len(ids)) == (["1-0", "1-1"], 2)
        assert Counter(state for state, _ in shop.states()) == {"delivered": 2, "suppressed": 2}
        assert (count(shop, events), count(shop, bodies)) == (4, 2)

    die_everywhere(settings_for(any_url, event_ttl_seconds=900), nothing, step, check, at_least=5)


def test_a_withdrawal_that_meets_what_waits(any_url: str) -> None:
    def before(shop: Shop) -> None:
        shop.sender.code = 503
        shop.post(a_woo_order(1, an_entry(ALL), customer_id=5))
        shop.dispatch()
        shop.sender.code = 200
        shop.sender.requests.clear()

    def step(shop: Shop) -> None:
        Visitor(shop).withdraws(customer_id="5")
        deliver(shop)

    def check(shop: Shop) -> None:
        assert [state for state, _ in shop.states()] == ["cancelled"]
        assert shop.sender.requests == []

    die_everywhere(settings_for(any_url), before, step, check, at_least=1)


def test_renewals_that_fall_due(any_url: str) -> None:
    renewal = Renewal(
        renewal_id="r",
        origin_order_id="1",
        event="subscription_renewed",
        due_at=NOON + timedelta(days=30),
        repeat=Repeat(every_days=30, count=2),
    )

    def before(shop: Shop) -> None:
        shop.post(a_woo_order(1, an_entry(ALL)))
        shop.dispatch()
        shop.sender.requests.clear()

    def step(shop: Shop) -> None:
        shop.gateway.renewals.schedule("acme", renewal)
        for days in (30, 60):
            shop.clock.at = max(shop.clock.at, NOON + timedelta(days=days))
            shop.gateway.run_renewals()
            deliver(shop)

    def check(shop: Shop) -> None:
        ids = {
            (payload["event_id"], dict(one.headers)["webhook-id"])
            for payload, one in zip(shop.sender.payloads, shop.sender.requests, strict=True)
        }
        assert sorted(event_id for event_id, _ in ids) == ["r:1", "r:2"]
        assert Counter(state for state, _ in shop.states()) == {"delivered": 3}

    die_everywhere(settings_for(any_url), before, step, check, at_least=6)


def test_orders_that_reconciliation_finds(any_url: str) -> None:
    with WooApi() as woo:
        woo.put(*(a_woo_order(n, an_entry(ALL), **_made(minutes=-60 + n)) for n in range(1, 4)))
        settings = settings_for(any_url)
        store = replace(settings.stores[0], api=ApiSettings(reconcile_minutes=15, **woo.settings))

        def step(shop: Shop) -> None:
            shop.gateway.reconcile("acme", NOON - timedelta(hours=2))
            deliver(shop)

        def check(shop: Shop) -> None:
            assert {payload["id"] for payload in shop.sender.payloads} == {1, 2, 3}
            assert Counter(state for state, _ in shop.states()) == {"delivered": 3}
            assert count(shop, webhooks) == 3

        die_everywhere(replace(settings, stores=(store,)), nothing, step, check, at_least=6)


def _made(minutes: float) -> dict[str, str]:
    at = (NOON + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S")
    return {"date_created_gmt": at, "date_modified_gmt": at}


def test_retention(any_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)

    def before(shop: Shop) -> None:
        for number in range(1, 6):
            shop.post(a_woo_order(number, an_entry(NONE if number % 2 else ALL)))
        shop.dispatch()
        shop.clock.pass_by(days=2000)
        shop.post(a_woo_order(9, an_entry(ALL)))

    def step(shop: Shop) -> None:
        shop.gateway.retain()

    def check(shop: Shop) -> None:
        assert [count(shop, table) for table in (webhooks, orders, bodies, deliveries)] == [1, 1, 1, 1]
        deliver(shop)
        assert shop.sender.payloads[-1]["id"] == 9

    die_everywhere(settings_for(any_url), before, step, check, at_least=8)


def test_the_change_of_keys(any_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "BATCH", 2)

    def before(shop: Shop) -> None:
        for number in range(1, 6):
            shop.post(a_woo_order(number, an_entry(ALL, tc="CPxxxx")))

    def step(shop: Shop) -> None:
        security = SecuritySettings(key=NEW_KEY, previous_keys=(KEY,))
        keyring = open_stored_keyring(replace(shop.settings, security=security), shop.gateway.database)
        rotate_keys(shop.gateway.database, keyring, lambda *_: None)

    def check(shop: Shop) -> None:
        gateway = build(replace(shop.settings, security=SecuritySettings(key=NEW_KEY)), sender=shop.sender)
        for table, purpose in SEALED:
            rows = gateway.database.read(lambda c, t=table: c.execute(select(t).where(t.c.sealed.is_not(None))).all())  # type: ignore[misc]
            for row in rows:
                assert gateway.keyring.open(row.sealed, key_id=row.key_id, purpose=purpose)
        gateway.close()

    both = SecuritySettings(key=KEY, previous_keys=(NEW_KEY,))
    die_everywhere(replace(settings_for(any_url), security=both), before, step, check, at_least=4)


def test_a_replay(any_url: str) -> None:
    def before(shop: Shop) -> None:
        shop.sender.code = 404
        for number in (1, 2):
            shop.post(a_woo_order(number, an_entry(ALL)))
        shop.dispatch()
        shop.sender.code = 200
        shop.sender.requests.clear()

    def step(shop: Shop) -> None:
        replay(shop.gateway.database, "sink", NOON, DeliveryState.FAILED, actor="command line")
        deliver(shop)

    def check(shop: Shop) -> None:
        assert {payload["id"] for payload in shop.sender.payloads} == {1, 2}
        assert Counter(state for state, _ in shop.states()) == {"delivered": 2}

    die_everywhere(settings_for(any_url), before, step, check, at_least=3)
