"""What is replayed is decided anew, never more loosely than before, and what cannot go again is named."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from gateway.bootstrap import build
from gateway.flow.replay import replay
from gateway.model.delivery import DeliveryState
from gateway.model.instant import as_text
from gateway.storage.audits import list_audits
from gateway.storage.reading.keyset import Cursor
from gateway.storage.retention import Ages, drop_old_rows
from tests.fakes import NOON
from tests.shops import ALL, NONE, Shop, a_woo_order, an_entry
from tests.visitors import Visitor

Open = Callable[..., Shop]
FAILED, DELIVERED = DeliveryState.FAILED, DeliveryState.DELIVERED


def failing(shop: Shop, *orders: dict[str, Any]) -> Shop:
    """The same shop, after its destination refused these orders for good."""
    shop.sender.code = 404
    for order in orders:
        shop.post(order)
    shop.dispatch()
    shop.sender.code = 200
    shop.sender.requests.clear()
    return shop


def replayed(shop: Shop, state: DeliveryState = FAILED) -> tuple[int, list[str | None]]:
    """How many went again, and the orders of those that could not."""
    done = replay(shop.gateway.database, "sink", NOON, state, actor="command line")
    shop.dispatch()
    return done.again, [one.order_id for one in done.gone]


def test_what_failed_goes_again_under_the_same_id(open_: Open) -> None:
    shop = failing(open_(mode="off"), a_woo_order(1), a_woo_order(2))
    ids = {row["message_id"] for row in shop.deliveries()}
    assert replayed(shop) == (2, [])
    assert shop.states() == [("delivered", "mode_off")] * 2
    again = [shop.sender.headers(0), shop.sender.headers(1)]  # orders may overtake each other
    assert {one["webhook-id"] for one in again} == ids
    assert {one["X-Gateway-Attempt"] for one in again} == {"2"}
    assert replayed(shop) == (0, [])


def test_what_goes_again_is_tried_as_often_as_at_first(open_: Open) -> None:
    shop = open_(mode="off")
    shop.post(a_woo_order(1))
    shop.sender.answers = [503] * 12
    for _ in range(12):
        shop.dispatch()
        shop.clock.pass_by(hours=1)
    shop.sender.answers = [404, 503, 503]
    shop.dispatch()
    assert replayed(shop) == (1, [])
    [before] = shop.deliveries()
    assert (before["attempts"], before["claimable_at"] - shop.clock()) == (14, timedelta(seconds=1))
    shop.clock.pass_by(seconds=1)
    shop.dispatch()
    [after] = shop.deliveries()
    assert (after["attempts"], after["claimable_at"] - shop.clock()) == (15, timedelta(seconds=2))


def test_a_stricter_policy_counts_when_it_is_replayed(open_: Open) -> None:
    shop = failing(open_(mode="off"), a_woo_order(1, an_entry(NONE)), a_woo_order(2, an_entry(ALL)))
    stricter = replace(shop.settings.stores[0], policy={**shop.settings.stores[0].policy, "mode": "suppress"})
    settings = replace(shop.settings, stores=(stricter,))
    shop.gateway.close()
    shop.gateway = build(settings, sender=shop.sender, clock=shop.clock)
    assert replayed(shop) == (2, [])
    assert shop.states() == [("suppressed", "all_purposes_denied"), ("delivered", "all_granted")]


def test_a_looser_policy_does_not(open_: Open) -> None:
    denied = an_entry({"analytics": True, "marketing": False})
    shop = failing(open_(mode="suppress"), a_woo_order(1, denied))
    looser = replace(shop.settings.stores[0], policy={**shop.settings.stores[0].policy, "mode": "off"})
    shop.gateway.close()
    shop.gateway = build(replace(shop.settings, stores=(looser,)), sender=shop.sender, clock=shop.clock)
    assert replayed(shop) == (1, [])
    assert b"jan.novak@example.com" not in shop.sender.bodies[0]


def test_what_was_withdrawn_meanwhile_stays_here(open_: Open) -> None:
    shop = failing(open_(), a_woo_order(1, an_entry(ALL)))
    Visitor(shop).withdraws(order_id="1")
    assert replayed(shop) == (1, [])
    assert shop.sender.requests == []


def test_what_arrived_goes_again_when_asked_for(open_: Open) -> None:
    shop = open_()
    shop.post(a_woo_order(1, an_entry(ALL)))
    shop.post(a_woo_order(2, an_entry(NONE)))
    shop.dispatch()
    assert replayed(shop) == (0, [])
    assert replayed(shop, DELIVERED) == (1, [])
    assert [payload["id"] for payload in shop.sender.payloads] == [1, 1]
    assert len({dict(request.headers)["webhook-id"] for request in shop.sender.requests}) == 1


def test_bodies_that_are_gone_are_named(open_: Open) -> None:
    shop = failing(open_(), a_woo_order(1, an_entry(ALL)))
    shop.clock.pass_by(days=8)
    drop_old_rows(shop.gateway.database, Ages(body_days=7, record_days=1825))
    failing(shop, a_woo_order(2, an_entry(ALL)))
    assert replayed(shop) == (1, ["1"])
    assert [state for state, _ in shop.states()] == ["failed", "delivered"]


def test_what_goes_again_follows_its_order_however_old_that_is(open_: Open) -> None:
    shop = failing(open_(mode="anonymize"), a_woo_order(1, an_entry(NONE)))
    shop.clock.pass_by(days=8)
    failing(shop, a_woo_order(1, an_entry(NONE), status="completed"))
    shop.clock.pass_by(days=3)
    drop_old_rows(shop.gateway.database, Ages(body_days=7, record_days=10))
    assert replayed(shop) == (1, [])
    assert shop.states() == [("delivered", "all_purposes_denied")]


def test_the_audit_log_says_who_replayed_what(open_: Open) -> None:
    shop = failing(open_(mode="off"), a_woo_order(1))
    replayed(shop)

    (entry,) = list_audits(shop.gateway.database, Cursor()).rows

    assert (entry.actor, entry.action, entry.subject) == ("command line", "replayed", "sink")
    assert entry.detail == {"state": "failed", "since": as_text(NOON)}
