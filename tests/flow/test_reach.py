"""Every way in which a shopper refuses, at every moment: nothing that it reaches leaves afterwards as if granted.

One shopper has an order, a subscription that it began with a renewal of each kind, another order, a profile, and
events; an order and an event share nothing with them but the e-mail address. All of it was granted.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from gateway.model.renewal import Renewal
from gateway.storage.waiting import retry_now
from tests.fakes import NOON
from tests.shops import ALL, NONE, Shop, a_woo_order, an_entry, open_shop, settings_for
from tests.subscribers import a_renewal, a_subscription
from tests.visitors import Visitor, a_session

HEARD_SECONDS = 0.06  # a worker hears within 0.05 of what was called back
EMAIL, OTHER = "jan.novak@example.com", {"email": "other@example.com"}
YES, NO = {"marketing": True, "analytics": True}, {"marketing": False, "analytics": False}
MINE, ELSEWHERE, ALONE = (a_session(number) for number in (1, 2, 3))

BEGUN = {"order", "deleted", "subscription", "renewal", "scheduled"}
ACCOUNT = {"other order", "profile", "event of the customer"}
ADDRESS = {"order of a guest", "profile", "event with the address"}
CUSTOMER = BEGUN | ACCOUNT | {"event in the session"}


def withdraws(**subject: str) -> Callable[[Visitor], object]:
    return lambda visitor: visitor.withdraws(**subject)


def is_said(**subject: str) -> Callable[[Visitor], object]:
    return lambda visitor: visitor.is_said(categories=NO, **subject)


def changes_order(visitor: Visitor) -> None:
    changed = a_woo_order(1, an_entry(NONE), customer_id=5, date_modified_gmt="2026-11-22T12:00:30")
    visitor.shop.post(changed, "order.updated")


def buys_again_and_refuses(visitor: Visitor) -> None:
    visitor.shop.post(a_woo_order(9, an_entry(NONE), customer_id=5, billing=OTHER))


WAYS: dict[str, tuple[Callable[[Visitor], object], set[str]]] = {
    "withdrawal of the order": (withdraws(order_id="1"), BEGUN),
    "withdrawal of the session": (withdraws(session_id=MINE), CUSTOMER),
    "withdrawal of the customer": (withdraws(customer_id="5"), CUSTOMER),
    "withdrawal of the address": (withdraws(email=EMAIL), BEGUN | ADDRESS),
    "browser's denial": (lambda visitor: visitor.denies(), BEGUN | {"event in the session"}),
    "browser's denial by the order's key": (
        lambda visitor: visitor.says(
            session_id=None, state="answered", categories=NO, order_id="1", order_key="wc_order_1"
        ),
        BEGUN,
    ),
    "browser's objection": (lambda visitor: visitor.says(sec_gpc=True, state="answered", categories=YES), CUSTOMER),
    "server's denial of the order": (is_said(order_id="1"), BEGUN),
    "server's denial of the session": (is_said(session_id=MINE), BEGUN | {"event in the session"}),
    "server's denial of the customer": (is_said(customer_id="5"), CUSTOMER),
    "order's own later webhook": (changes_order, BEGUN),
    "another order of the customer": (buys_again_and_refuses, BEGUN - {"order", "deleted"}),
}


def shows_what_began(visitor: Visitor) -> None:
    """What was there before, and left with everything granted."""
    shop = visitor.shop
    visitor.grants()
    visitor.says(session_id=ALONE, state="answered", categories=YES)
    visitor.is_said(customer_id="5", categories=YES)
    shop.post(a_woo_order(1, an_entry(ALL, session_id=MINE), customer_id=5))
    shop.post(a_subscription(71, 1, NOON), "subscription.created")
    shop.dispatch()
    shop.sender.requests.clear()
    shop.clock.pass_by(seconds=1)


def comes_in(visitor: Visitor) -> None:
    """Something of everything comes in."""
    shop, now = visitor.shop, visitor.shop.at()
    shop.post(a_woo_order(1, an_entry(ALL, session_id=MINE), customer_id=5, status="completed"), "order.updated")
    shop.post({"id": 1}, "order.deleted")
    shop.post(a_subscription(71, 1, NOON, status="on-hold"), "subscription.updated")
    shop.post(a_renewal(2, 71, now))
    scheduled = Renewal(renewal_id="r", origin_order_id="1", event="renewed", due_at=now, properties={})
    shop.gateway.renewals.schedule("acme", scheduled)
    shop.gateway.run_renewals()
    shop.post(a_woo_order(3, an_entry(ALL, session_id=ELSEWHERE), customer_id=5, billing=OTHER))
    shop.post(a_woo_order(4, an_entry(ALL)))
    shop.post({"id": 5, "username": "jan", "role": "customer", "email": EMAIL, "first_name": "Jan"}, "customer.updated")
    visitor.sends(event="event in the session", user_data={})
    visitor.sends(event="event of the customer", session_id=None, customer_id="5", user_data={})
    visitor.sends(event="event with the address", session_id=ALONE)
    shop.clock.pass_by(seconds=1)


def left(shop: Shop) -> set[str]:
    """What left as if marketing were granted."""
    names = {1: "order", 2: "renewal", 3: "other order", 4: "order of a guest", 5: "profile", 71: "subscription"}
    found = set()
    for request in shop.sender.requests:
        sent, topic = json.loads(request.body), dict(request.headers)["X-Gateway-Topic"]
        named = "deleted" if topic == "order.deleted" else names.get(sent.get("id"), sent.get("event", topic))
        found |= {named} if sent["consent"]["applied"]["marketing"] else set()
    return {"scheduled" if one == "renewed" else one for one in found}


# --- moments ------------------------------------------------------------------------------------------------------


def before_it_came(visitor: Visitor, refuse: Callable[[Visitor], object]) -> None:
    refuse(visitor)
    visitor.shop.dispatch()
    visitor.shop.sender.requests.clear()
    visitor.shop.clock.pass_by(seconds=1)
    comes_in(visitor)


def when_it_is_decided(visitor: Visitor, refuse: Callable[[Visitor], object]) -> None:
    comes_in(visitor)
    decided = visitor.shop.decided()
    refuse(visitor)
    time.sleep(HEARD_SECONDS)
    visitor.shop.send(decided)


def after_an_attempt(visitor: Visitor, code: int, refuse: Callable[[Visitor], object]) -> None:
    comes_in(visitor)
    visitor.shop.sender.code = code
    visitor.shop.dispatch()
    visitor.shop.sender.requests.clear()
    refuse(visitor)
    visitor.shop.sender.code = 200


def between_two_attempts(visitor: Visitor, refuse: Callable[[Visitor], object]) -> None:
    after_an_attempt(visitor, 503, refuse)
    visitor.shop.clock.pass_by(minutes=10)


def before_it_is_sent_again(visitor: Visitor, refuse: Callable[[Visitor], object]) -> None:
    after_an_attempt(visitor, 400, refuse)
    ids = [row["id"] for row in visitor.shop.deliveries()]
    visitor.shop.gateway.database.write(lambda connection: retry_now(connection, ids, now=visitor.shop.at()))


MOMENTS = [before_it_came, when_it_is_decided, between_two_attempts, before_it_is_sent_again]
EVERYTHING = CUSTOMER | ADDRESS


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("way", WAYS)
def test_refusal_reaches(sqlite_url: str, way: str, moment: Callable[..., None]) -> None:
    visitor = Visitor(open_shop(settings_for(sqlite_url, unknown="allow")), session=MINE)
    shows_what_began(visitor)
    refuse, reached = WAYS[way]
    moment(visitor, refuse)
    for _ in range(3):
        visitor.shop.dispatch()
        visitor.shop.clock.pass_by(hours=1)
    assert left(visitor.shop) == EVERYTHING - reached
    visitor.shop.gateway.close()


WHOSE = [
    ({"email": EMAIL}, {"billing": OTHER}),
    ({"customer_id": "5"}, {"customer_id": 6}),
    ({"session_id": MINE}, {"meta_data": [{"key": "_consent_gateway", "value": an_entry(ALL, session_id=ELSEWHERE)}]}),
]


@pytest.mark.parametrize(("subject", "change"), WHOSE)
def test_order_that_comes_to_be_somebody_elses_stays_lowered(
    any_url: str, subject: dict[str, str], change: dict[str, Any]
) -> None:
    visitor = Visitor(open_shop(settings_for(any_url, hold_seconds=0)))
    shop = visitor.shop
    shop.post(a_woo_order(1, an_entry(ALL, session_id=MINE), customer_id=5))
    shop.dispatch()
    shop.clock.pass_by(seconds=1)
    refuse = is_said(**subject) if "session_id" in subject else withdraws(**subject)
    refuse(visitor)
    shop.clock.pass_by(seconds=1)
    later = {"customer_id": 5, "date_modified_gmt": "2026-11-22T12:01:00"} | change
    shop.post(a_woo_order(1, an_entry(ALL, session_id=MINE), **later), "order.updated")
    shop.dispatch()
    assert (len(shop.sender.requests), shop.states()[-1]) == (1, ("suppressed", "all_purposes_denied"))
    shop.gateway.close()
