"""An order's way from webhook to destination, on both databases."""

import json
from collections.abc import Callable

from tests.shops import ALL, NONE, Shop, a_woo_order, an_entry

Open = Callable[..., Shop]


def test_order_with_all_granted_goes_at_once_with_consent(open_: Open) -> None:
    shop = open_()
    order = a_woo_order(entry=an_entry(ALL))

    assert shop.post(order).status == "accepted"
    shop.dispatch()

    sent = shop.sender.payloads[0]
    assert sent["billing"] == order["billing"]
    assert sent["consent"]["status"] == "recorded"
    assert sent["consent"]["applied"] == {"analytics": True, "marketing": True}
    assert sent["consent"]["captured_at"] == "2026-11-22T11:59:00Z"
    assert "_consent_gateway" not in shop.sender.bodies[0].decode()


def test_partly_denied_order_leaves_without_what_was_denied(open_: Open) -> None:
    shop = open_()
    shop.post(a_woo_order(entry=an_entry({"analytics": True, "marketing": False})))
    shop.dispatch()

    body = shop.sender.bodies[0].decode()
    assert "jan.novak" not in body
    assert "fb.1.1795300000000" not in body
    assert "GA1.1.111111111.1795300000" in body
    assert '"price":10.840336' in body
    assert shop.states() == [("delivered", "some_denied")]


def test_order_with_names_that_no_database_keeps_is_settled(open_: Open) -> None:
    shop = open_()
    order = a_woo_order(entry=an_entry({"analytics": True, "marketing": False}))
    order["meta_data"] += [{"id": 90, "key": "\0*\0data", "value": "x"}]  # how PHP names what is private
    shop.post(order)
    shop.dispatch()

    assert shop.states() == [("delivered", "some_denied")]
    assert "meta_data[*]" in shop.order(order["id"])["deliveries"][0]["stripped"]


def test_denied_order_is_suppressed(open_: Open) -> None:
    shop = open_()
    shop.post(a_woo_order(entry=an_entry(NONE)))
    shop.dispatch()

    assert shop.sender.requests == []
    assert shop.states() == [("suppressed", "all_purposes_denied")]


def test_denied_order_is_anonymized(open_: Open) -> None:
    shop = open_(mode="anonymize")
    shop.post(a_woo_order(entry=an_entry(NONE)))
    shop.dispatch()

    sent = shop.sender.payloads[0]
    assert sent["total"] == "22.06"
    assert sent["billing"] == {"country": "DE"}
    assert sent["consent"]["applied"] == {"analytics": False, "marketing": False}


def test_mode_off_sends_the_very_bytes_and_records_consent(open_: Open) -> None:
    shop = open_(mode="off")
    order = a_woo_order(entry=an_entry(NONE))
    shop.post(order)
    shop.dispatch()

    assert shop.sender.bodies == [json.dumps(order).encode()]
    assert shop.order(order["id"])["order_time"]["categories"]["marketing"] is False


def test_checkout_order_without_answer_waits_then_follows_the_unknown_rule(open_: Open) -> None:
    shop = open_(hold_seconds=60, unknown="deny")
    shop.post(a_woo_order())

    assert shop.dispatch() == 0
    assert [row["state"] for row in shop.deliveries()] == ["held"]
    shop.clock.pass_by(seconds=61)
    shop.dispatch()

    assert shop.states() == [("suppressed", "unknown_denied")]


def test_banner_seen_but_not_answered_counts_as_denied_after_the_wait(open_: Open) -> None:
    shop = open_(unknown="allow")
    order = a_woo_order(entry=an_entry({}, state="pending"))
    shop.post(order)
    shop.clock.pass_by(seconds=61)
    shop.dispatch()

    assert shop.states() == [("suppressed", "all_purposes_denied")]
    assert shop.order(order["id"])["order_time"]["status"] == "unanswered"


def test_order_made_by_staff_does_not_wait(open_: Open) -> None:
    shop = open_(unknown="deny", unknown_by_origin={"admin": "allow"})
    shop.post(a_woo_order(created_via="admin"))
    shop.dispatch()

    assert shop.states() == [("delivered", "unknown_allowed")]


def test_mode_off_never_waits(open_: Open) -> None:
    shop = open_(mode="off")
    shop.post(a_woo_order())

    assert shop.dispatch() == 1
    assert shop.states() == [("delivered", "mode_off")]


def test_answer_in_a_later_webhook_releases_what_was_held(open_: Open) -> None:
    shop = open_()
    order = a_woo_order()
    shop.post(order)
    answered = a_woo_order(order["id"], entry=an_entry(ALL), date_modified_gmt="2026-11-22T12:00:05")
    shop.post(answered, "order.updated")
    shop.dispatch()

    assert shop.states() == [("delivered", "all_granted"), ("delivered", "all_granted")]


def test_unreadable_entry_counts_as_denied_and_is_noted(open_: Open) -> None:
    shop = open_(unknown="allow")
    order = a_woo_order(entry="{not json")
    shop.post(order)
    shop.clock.pass_by(seconds=61)
    shop.dispatch()

    assert shop.states()[0][0] == "suppressed"
    shown = shop.order(order["id"])
    assert shown["order_time"]["applied"] == {"analytics": False, "marketing": False}
    assert any(entry.get("note") for entry in shown["history"])


def test_record_is_never_rewritten_once_frozen(open_: Open) -> None:
    shop = open_()
    order = a_woo_order(entry=an_entry(NONE))
    shop.post(order)
    granted = an_entry(ALL, captured_at="2026-11-22T11:59:20Z")
    shop.post(a_woo_order(order["id"], entry=granted, date_modified_gmt="2026-11-22T12:00:05"), "order.updated")
    shop.dispatch()

    assert shop.order(order["id"])["order_time"]["categories"]["marketing"] is False
    assert {state for state, _ in shop.states()} == {"suppressed"}


def test_denial_after_freezing_lowers_what_is_yet_to_be_sent(open_: Open) -> None:
    shop = open_()
    order = a_woo_order(entry=an_entry(ALL))
    shop.post(order)
    shop.clock.pass_by(seconds=1)
    denied = an_entry({"analytics": True, "marketing": False}, captured_at="2026-11-22T11:59:20Z")
    shop.post(a_woo_order(order["id"], entry=denied, date_modified_gmt="2026-11-22T12:00:05"), "order.updated")
    shop.dispatch()

    shown = shop.order(order["id"])
    assert shown["order_time"]["categories"]["marketing"] is True
    assert shown["effective"]["applied"] == {"analytics": True, "marketing": False}
    assert shown["effective"]["lowered"]["marketing"]["by"] == "denial"
    assert ["jan.novak" in body.decode() for body in shop.sender.bodies] == [False, False]


def test_same_webhook_twice_is_a_duplicate(open_: Open) -> None:
    shop = open_()
    order = a_woo_order(entry=an_entry(ALL))

    assert [shop.post(order).status for _ in range(2)] == ["accepted", "duplicate"]
    assert shop.post(order, "order.updated").status == "accepted"
    shop.dispatch()
    assert len(shop.sender.requests) == 2


def test_failed_attempt_is_tried_again_under_the_same_id(open_: Open) -> None:
    shop = open_()
    shop.sender.answers = [503, "connection_refused"]
    shop.post(a_woo_order(entry=an_entry(ALL)))
    for _ in range(3):
        shop.dispatch()
        shop.clock.pass_by(seconds=10)

    assert shop.states() == [("delivered", "all_granted")]
    assert len({dict(request.headers)["webhook-id"] for request in shop.sender.requests}) == 1
    assert [dict(request.headers)["X-Gateway-Attempt"] for request in shop.sender.requests] == ["1", "3"]


def test_refusal_for_good_ends_as_failed_and_releases_followers(open_: Open) -> None:
    shop = open_()
    shop.sender.answers = [400]
    order = a_woo_order(entry=an_entry(ALL))
    shop.post(order)
    shop.post(order, "order.updated")
    shop.dispatch()

    assert [state for state, _ in shop.states()] == ["failed", "delivered"]


def test_stricter_of_the_policies_at_intake_and_now_decides(open_: Open) -> None:
    shop = open_(mode="suppress")
    shop.sender.answers = [503]
    shop.post(a_woo_order(entry=an_entry({"analytics": True, "marketing": False})))
    shop.dispatch()
    again = open_(mode="off")
    again.clock.pass_by(seconds=10)
    again.dispatch()

    assert "jan.novak" not in again.sender.bodies[0].decode()


def test_grant_that_is_too_old_counts_as_denied(open_: Open) -> None:
    shop = open_(consent_max_age_days=30)
    shop.post(a_woo_order(entry=an_entry(ALL, captured_at="2026-09-01T10:00:00Z")))
    shop.dispatch()

    assert shop.states() == [("suppressed", "all_purposes_denied")]


def test_refund_and_deletion_follow_the_orders_record(open_: Open) -> None:
    shop = open_()
    order = a_woo_order(entry=an_entry(NONE))
    shop.post(order)
    shop.post({"id": order["id"]}, "order.deleted")
    shop.dispatch()

    assert {state for state, _ in shop.states()} == {"suppressed"}


def test_secrets_are_dropped_when_all_is_granted_and_the_policy_says_so(open_: Open) -> None:
    shop = open_(secrets="drop")
    order = a_woo_order(entry=an_entry(ALL))
    shop.post(order)
    shop.dispatch()

    assert order["order_key"] not in shop.sender.bodies[0].decode()
    assert shop.sender.payloads[0]["billing"]["email"] == "jan.novak@example.com"
