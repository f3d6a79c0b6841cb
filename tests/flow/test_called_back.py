"""What was decided, and has not left yet, hears of everything that takes it back, on both databases."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from gateway.model.delivery import DeliveryState
from gateway.storage.policies import add_policy
from gateway.storage.waiting import cancel
from tests.shops import ALL, NONE, Shop, a_woo_order, an_entry
from tests.subscribers import a_renewal, a_subscription
from tests.visitors import Visitor

HEARD_SECONDS = 0.06  # a worker hears within 0.05 of what was called back
Open = Callable[..., Shop]
LATER = {"date_modified_gmt": "2026-11-22T11:59:50"}


BANNER = an_entry({}, state="pending")  # takes nothing back from an answer
CHANGES = [(an_entry(ALL), an_entry(NONE)), (an_entry(ALL), "{"), (None, an_entry(NONE)), (None, "{"), (None, BANNER)]


@pytest.mark.parametrize(("before", "entry"), CHANGES)
def test_denial_in_an_orders_later_webhook_stops_what_was_decided(open_: Open, before: str | None, entry: str) -> None:
    shop = open_(unknown="allow", hold_seconds=0)
    shop.post(a_woo_order(1, before))
    decided = shop.decided()
    shop.clock.pass_by(seconds=1)
    shop.post(a_woo_order(1, entry, **LATER), "order.updated")
    shop.send(decided)
    shop.dispatch()
    assert shop.sender.requests == []


def test_partial_denial_in_a_later_webhook_strips_what_was_decided(open_: Open) -> None:
    shop = open_()
    shop.post(a_woo_order(1, an_entry(ALL)))
    decided = shop.decided()
    shop.clock.pass_by(seconds=1)
    shop.post(a_woo_order(1, an_entry(ALL | {"marketing": False}), **LATER), "order.updated")
    shop.send(decided)
    [sent] = shop.sender.payloads
    assert sent["consent"]["applied"] == {"analytics": True, "marketing": False}


def test_what_an_operator_cancels_does_not_leave_any_more(open_: Open) -> None:
    shop = open_()
    shop.post(a_woo_order(1, an_entry(ALL)))
    decided = shop.decided()
    [row] = shop.deliveries()

    def job(connection: Any) -> list[int]:
        state, now = DeliveryState.CANCELLED, shop.at()
        return cancel(connection, [row["id"]], state=state, reason="operator", drop_bodies=False, now=now)

    shop.gateway.database.write(job)
    shop.send(decided)
    assert (shop.sender.requests, shop.states()) == ([], [("cancelled", "operator")])


def test_stricter_policy_reaches_what_was_decided(open_: Open) -> None:
    shop = open_(unknown="allow", hold_seconds=0)
    shop.post(a_woo_order(1))
    decided = shop.decided()
    values = {**shop.settings.stores[0].policy, "unknown": "deny"}
    shop.gateway.database.write(lambda connection: add_policy(connection, "acme", values, "ann", shop.at()))
    shop.send(decided)
    assert (shop.sender.requests, shop.states()) == ([], [("suppressed", "unknown_denied")])


@pytest.mark.parametrize("named", ["order_id", "session_id", "email", "key"])
def test_renewal_alone_hears_of_what_the_order_behind_it_takes_back(open_: Open, named: str) -> None:
    visitor = Visitor(open_())
    shop = visitor.shop
    shop.post(a_woo_order(1, an_entry(ALL, session_id=visitor.session), customer_id=5))
    shop.post(a_subscription(71, 1, shop.at()), "subscription.created")
    shop.dispatch()
    shop.sender.requests.clear()
    shop.post(a_renewal(2, 71, shop.at(), billing={"email": "new@example.com"}))
    decided = shop.decided()
    time.sleep(HEARD_SECONDS)
    if named == "key":
        visitor.denies(session_id=None, order_id="1", order_key="wc_order_1")
    else:
        subjects = {"order_id": "1", "session_id": visitor.session, "email": "jan.novak@example.com"}
        visitor.withdraws(**{named: subjects[named]})
    shop.send(decided)
    assert shop.sender.requests == []
