"""An event's way from a shop's server to a destination, on both databases."""

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gateway.flow.events import receive_events
from gateway.settings import Settings
from gateway.storage.pausing import pause
from tests.shops import Shop, a_woo_order, an_entry, open_shop, settings_for
from tests.visitors import Visitor, a_session, an_event, body_count, event_rows, sent_events, with_sinks

Open = Callable[..., Visitor]


@pytest.fixture
def open_(sqlite_url: str, shops: list[Shop]) -> Open:
    return opening(sqlite_url, shops)


@pytest.fixture
def open_anywhere(any_url: str, shops: list[Shop]) -> Open:
    return opening(any_url, shops)


def opening(url: str, shops: list[Shop]) -> Open:
    def make(change: Callable[[Settings], Settings] = lambda settings: settings, **policy: Any) -> Visitor:
        shops.append(open_shop(change(settings_for(url, **policy))))
        return Visitor(shops[-1])

    return make


def two_sinks(settings: Settings) -> Settings:
    return with_sinks(settings, ads="marketing", stats="analytics")


def test_event_before_the_click_waits_and_leaves_with_it(open_anywhere: Open) -> None:
    visitor = open_anywhere()
    assert visitor.shows_banner() == {"analytics": "pending", "marketing": "pending"}
    assert visitor.sends() == "queued"
    visitor.shop.dispatch()
    assert visitor.shop.sender.requests == []

    visitor.shop.clock.pass_by(seconds=2.6)
    assert visitor.grants() == {"analytics": "granted", "marketing": "granted"}
    visitor.shop.dispatch()

    [sent] = visitor.shop.sender.payloads
    assert sent["user_data"] == {"email": "jan.novak@example.com"}
    assert sent["consent"]["applied"] == {"analytics": True, "marketing": True}
    assert sent["consent"]["status"] == "recorded"
    assert visitor.shop.states() == [("delivered", "all_granted")]


def test_event_after_the_click_is_accepted(open_: Open) -> None:
    visitor = open_()
    visitor.grants()
    assert visitor.sends() == "accepted"
    visitor.shop.dispatch()
    assert len(visitor.shop.sender.requests) == 1


def test_denial_discards_what_waits_with_body_and_person(open_anywhere: Open) -> None:
    visitor = open_anywhere()
    visitor.sends(customer_id="7")
    visitor.denies()

    assert visitor.shop.states() == [("suppressed", "all_purposes_denied")]
    assert body_count(visitor.shop) == 0
    assert [row["customer_id"] for row in visitor.shop.deliveries()] == [None]
    visitor.grants(seq=9)
    visitor.shop.dispatch()
    assert visitor.shop.sender.requests == []


def test_event_after_a_denial_is_discarded_without_a_body(open_anywhere: Open) -> None:
    visitor = open_anywhere()
    visitor.denies()
    assert visitor.sends(customer_id="7") == "discarded"
    assert visitor.shop.states() == [("suppressed", "all_purposes_denied")]
    assert body_count(visitor.shop) == 0
    assert "7" not in str([row["customer_id"] for row in visitor.shop.deliveries()])


def test_unanswered_event_expires_with_its_body(open_: Open) -> None:
    visitor = open_(event_ttl_seconds=10)
    visitor.sends(customer_id="7")
    visitor.shop.clock.pass_by(seconds=10)
    visitor.shop.dispatch()

    assert visitor.shop.states() == [("expired", "expired")]
    assert body_count(visitor.shop) == 0
    assert [row["customer_id"] for row in visitor.shop.deliveries()] == [None]


def test_grant_after_the_time_to_live_releases_nothing(open_: Open) -> None:
    visitor = open_(event_ttl_seconds=10)
    visitor.sends()
    visitor.shop.clock.pass_by(seconds=10)
    visitor.grants()
    visitor.shop.dispatch()
    assert visitor.shop.states() == [("expired", "expired")]
    assert visitor.shop.sender.requests == []


def test_events_leave_in_the_order_in_which_they_came(open_: Open) -> None:
    visitor = open_()
    ids = [f"in-order-{n}" for n in range(5)]
    for event_id in ids:
        visitor.sends(event_id=event_id)
    visitor.grants()
    visitor.shop.dispatch()
    assert sent_events(visitor.shop) == ids


def test_only_what_a_destination_serves_counts(open_: Open) -> None:
    visitor = open_(two_sinks)
    visitor.sends()
    visitor.answers(marketing=False, analytics=True)
    visitor.shop.dispatch()

    states = {row["destination_id"]: row["state"] for row in visitor.shop.deliveries()}
    assert states == {"ads": "suppressed", "stats": "delivered"}
    [body] = visitor.shop.sender.bodies
    assert b"jan.novak" not in body
    assert b'"value":19.99' in body


def test_any_granted_purpose_lets_an_event_go_without_the_rest(open_: Open) -> None:
    visitor = open_()
    visitor.sends()
    visitor.answers(marketing=False, analytics=True)
    visitor.shop.dispatch()

    [sent] = visitor.shop.sender.payloads
    assert sent["consent"]["applied"] == {"analytics": True, "marketing": False}
    assert "jan.novak" not in json.dumps(sent)
    assert "203.0.113.9" not in json.dumps(sent)


def test_verdict_is_that_of_the_best_destination(open_: Open) -> None:
    visitor = open_(two_sinks)
    visitor.is_said(customer_id="7", categories={"marketing": True, "analytics": None})
    assert visitor.sends(customer_id="7") == "accepted"
    states = {row["destination_id"]: row["state"] for row in visitor.shop.deliveries()}
    assert states == {"ads": "due", "stats": "held"}


def test_mode_off_lets_events_go_as_they_came(open_: Open) -> None:
    visitor = open_(mode="off")
    body = b'{"event": "view_item", "event_id": "e-1", "session_id": "session-0000000000000001", "value": 10.50}'
    [result] = receive_events(visitor.shop.gateway.parts, "acme", body)
    visitor.shop.dispatch()
    assert result.as_json == {"event_id": "e-1", "status": "accepted"}
    [sent] = visitor.shop.sender.bodies
    assert b"10.50" in sent
    assert b"consent" not in sent


def test_unknown_rule_and_anonymize_do_not_let_events_go(open_: Open) -> None:
    visitor = open_(mode="anonymize", unknown="allow")
    assert visitor.sends() == "queued"
    visitor.denies()
    assert visitor.sends() == "discarded"
    visitor.shop.dispatch()
    assert visitor.shop.sender.requests == []


@pytest.mark.parametrize("mode", ["off", "suppress", "anonymize"])
def test_shop_without_session_events_discards_all_but_those_of_orders(open_: Open, mode: str) -> None:
    visitor = open_(mode=mode, session_events="refuse")
    visitor.grants()
    assert visitor.sends() == "discarded"
    assert visitor.sends(event="purchase") == "accepted"
    visitor.shop.dispatch()
    assert [payload["event"] for payload in visitor.shop.sender.payloads] == ["purchase"]
    assert visitor.shop.states()[0] == ("suppressed", "events_refused")


def test_event_that_was_seen_before_is_a_duplicate_for_good(open_anywhere: Open) -> None:
    visitor = open_anywhere()
    event = an_event()
    assert visitor.sends(event, event) == ["queued", "duplicate"]
    visitor.denies()
    assert visitor.sends(event) == "duplicate"
    assert [row["verdict"] for row in event_rows(visitor.shop)] == ["queued"]


def test_invalid_event_spoils_no_other(open_: Open) -> None:
    visitor = open_()
    bad = {"event": "view_item", "event_id": 3, "session_id": "short"}
    posted = json.dumps([an_event(), bad, 7, an_event(event_time="yesterday")]).encode()
    results = receive_events(visitor.shop.gateway.parts, "acme", posted)
    assert [one.status for one in results] == ["queued", "invalid", "invalid", "invalid"]
    assert set(results[1].errors) == {"event_id", "session_id"}
    assert set(results[3].errors) == {"event_time"}
    assert len(visitor.shop.deliveries()) == 1


def test_event_that_no_destination_takes_is_not_kept(open_: Open) -> None:
    visitor = open_(with_sinks)
    assert visitor.sends() == "discarded"
    assert body_count(visitor.shop) == 0


def test_customers_grant_releases_only_events_that_name_the_customer(open_anywhere: Open) -> None:
    visitor = open_anywhere(event_ttl_seconds=30)
    other = Visitor(visitor.shop, a_session(2))
    visitor.sends(event_id="before-signing-in")
    other.sends(event_id="signed-in", customer_id="7")
    visitor.sends(event_id="behind", customer_id="7")
    assert visitor.is_said(customer_id="7", categories={"marketing": True, "analytics": True}) == {
        "analytics": "granted",
        "marketing": "granted",
    }
    visitor.shop.dispatch()
    assert sent_events(visitor.shop) == ["signed-in"]

    visitor.shop.clock.pass_by(seconds=30)
    visitor.shop.dispatch()
    assert sent_events(visitor.shop) == ["signed-in", "behind"]
    assert visitor.shop.states()[0] == ("expired", "expired")


def test_empty_field_of_a_customer_is_pending(open_: Open) -> None:
    visitor = open_(two_sinks)
    states = visitor.is_said(customer_id="7", categories={"marketing": True})
    assert states == {"marketing": "granted", "analytics": "pending"}
    assert visitor.sends(an_event(session_id=None, customer_id="7")) == "accepted"
    assert [row["state"] for row in visitor.shop.deliveries()] == ["due", "held"]


def test_customers_denial_lowers_all_their_sessions(open_anywhere: Open) -> None:
    visitor = open_anywhere()
    visitor.sends(event_id="names", customer_id="7")
    visitor.sends(event_id="anonymous")
    visitor.grants()
    visitor.is_said(customer_id="7", categories={"marketing": False, "analytics": False})

    assert visitor.shop.states() == [("cancelled", "withdrawn"), ("cancelled", "withdrawn")]
    assert visitor.sends() == "discarded"


def test_withdrawal_between_two_attempts_stops_the_second(open_anywhere: Open) -> None:
    visitor = open_anywhere()
    visitor.grants()
    visitor.shop.sender.answers = [503]
    visitor.sends()
    visitor.shop.dispatch()
    assert [row["state"] for row in visitor.shop.deliveries()] == ["due"]

    visitor.withdraws(session_id=visitor.session)
    visitor.shop.clock.pass_by(hours=2)
    visitor.shop.dispatch()

    assert visitor.shop.states() == [("cancelled", "withdrawn")]
    assert len(visitor.shop.sender.requests) == 1
    assert body_count(visitor.shop) == 0


DIGEST = hashlib.sha256(b"jan.novak@example.com").hexdigest()


@pytest.mark.parametrize(
    "person",
    [
        {"email": " Jan.Novak@Example.com"},
        {"em": [DIGEST]},
        {"email_sha256": DIGEST.upper()},
        {"mail_consent": True, "userMail": "jan.novak@example.com"},
        {"gift_email": "other@example.com", "email": "jan.novak@example.com"},
    ],
)
def test_withdrawal_by_address_reaches_events_that_tell_it(open_anywhere: Open, person: dict[str, Any]) -> None:
    visitor = open_anywhere()
    visitor.grants()
    visitor.sends(user_data=person)
    visitor.withdraws(email="jan.novak@example.com", categories=["marketing"])
    visitor.sends(user_data=person)
    visitor.sends(user_data={"email": "other@example.com"})
    visitor.shop.dispatch()
    told = [one["consent"] for one in visitor.shop.sender.payloads]
    assert [one["applied"]["marketing"] for one in told] == [False, False, True]
    assert [one.get("marketing", {}).get("by") for one in (one["lowered"] for one in told)] == ["withdrawal"] * 2 + [
        None
    ]


def test_withdrawal_by_address_ends_what_waits_and_a_later_grant_counts_again(open_anywhere: Open) -> None:
    visitor = open_anywhere()
    visitor.sends()
    visitor.withdraws(email="jan.novak@example.com")
    assert (visitor.shop.states(), body_count(visitor.shop)) == ([("cancelled", "withdrawn")], 0)
    assert visitor.sends() == "discarded"
    visitor.grants()
    assert visitor.sends() == "accepted"
    visitor.shop.dispatch()
    assert len(visitor.shop.sender.requests) == 1


def test_partial_withdrawal_strips_the_next_attempt(open_: Open) -> None:
    visitor = open_()
    visitor.grants()
    visitor.shop.sender.answers = [503, 200]
    visitor.sends()
    visitor.shop.dispatch()
    visitor.withdraws(session_id=visitor.session, categories=["marketing"])
    visitor.shop.clock.pass_by(hours=2)
    visitor.shop.dispatch()

    first, second = visitor.shop.sender.bodies
    assert b"jan.novak" in first
    assert b"jan.novak" not in second


def test_expiry_reaches_what_stands_behind_others_and_at_paused_destinations(open_anywhere: Open) -> None:
    visitor = open_anywhere(event_ttl_seconds=10)
    database, clock = visitor.shop.gateway.database, visitor.shop.clock
    visitor.sends()
    visitor.sends()
    database.write(lambda connection: pause(connection, "sink", reason="by hand", now=clock()))
    clock.pass_by(seconds=11)
    assert visitor.shop.gateway.expire_events() == 2
    assert visitor.shop.states() == [("expired", "expired")] * 2
    assert body_count(visitor.shop) == 0


def test_grant_that_is_too_old_is_none(open_: Open) -> None:
    visitor = open_(consent_max_age_days=30)
    visitor.grants(captured_at="2026-09-01T00:00:00Z")
    assert visitor.sends() == "discarded"


def test_policy_that_became_stricter_holds_what_was_let_through(open_: Open) -> None:
    visitor = open_(mode="off")
    visitor.sends()
    visitor.shop.gateway.close()
    stricter = open_(mode="suppress")
    stricter.shop.dispatch()
    assert [row["state"] for row in stricter.shop.deliveries()] == ["held"]
    stricter.grants()
    stricter.shop.dispatch()
    assert [row["state"] for row in stricter.shop.deliveries()] == ["delivered"]


def test_objection_of_a_browser_holds_for_the_customer_on_every_device(open_: Open) -> None:
    visitor = open_(two_sinks)
    phone = Visitor(visitor.shop, a_session(2))
    visitor.is_said(customer_id="7", categories={"marketing": True, "analytics": True})
    visitor.sends(customer_id="7")
    visitor.shows_banner(sec_gpc=True)

    phone.grants()
    phone.sends(customer_id="7", event_id="on-the-phone")
    states = {(row["event_id"], row["destination_id"]): row["state"] for row in visitor.shop.deliveries()}
    assert states["on-the-phone", "ads"] == "suppressed"
    assert states["on-the-phone", "stats"] == "due"


def test_objection_before_signing_in_follows_to_the_account(open_anywhere: Open) -> None:
    visitor = open_anywhere(two_sinks)
    visitor.shows_banner(sec_gpc=True)
    visitor.is_said(customer_id="7", categories={"marketing": True, "analytics": True})
    visitor.sends(customer_id="7", event_id="signs-in")
    phone = Visitor(visitor.shop, a_session(2))
    phone.sends(customer_id="7", event_id="on-the-phone")
    states = {(row["event_id"], row["destination_id"]): row["state"] for row in visitor.shop.deliveries()}
    assert states["on-the-phone", "ads"] == "suppressed"
    assert states["on-the-phone", "stats"] == "due"


def test_event_and_click_at_the_same_moment_miss_each_other_never(open_anywhere: Open) -> None:
    visitor = open_anywhere()
    visitors = [Visitor(visitor.shop, a_session(number)) for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(act) for one in visitors for act in (one.sends, one.grants)]
    assert {one.result() for one in done[::2]} <= {"queued", "accepted"}
    assert {row["state"] for row in visitor.shop.deliveries()} == {"due"}


def test_order_and_click_at_the_same_moment_miss_each_other_never(open_anywhere: Open) -> None:
    visitor = open_anywhere(unknown="deny")
    shop = visitor.shop
    visitors = {number: Visitor(shop, a_session(number)) for number in range(1, 16)}
    orders = {n: a_woo_order(n, an_entry({}, state="pending", session_id=one.session)) for n, one in visitors.items()}
    with ThreadPoolExecutor(8) as pool:
        for number, one in visitors.items():
            pool.submit(shop.post, orders[number])
            pool.submit(one.grants)
            pool.submit(one.grants, order_id=str(number), order_key=f"wc_order_{number}")
    assert {row["state"] for row in shop.deliveries()} == {"due"}
    assert {shop.order(number)["order_time"]["status"] for number in visitors} == {"recorded"}
