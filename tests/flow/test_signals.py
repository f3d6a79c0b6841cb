"""Signals reach sessions, customers and orders, whatever comes first, on both databases."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from gateway.errors import RequestInvalid
from gateway.storage.tables import customers, parked, records, sessions
from tests.shops import ALL, NONE, Shop, a_woo_order, an_entry, open_shop, settings_for
from tests.visitors import Visitor, a_session, body_count

Open = Callable[..., Visitor]


@pytest.fixture
def open_(sqlite_url: str, shops: list[Shop]) -> Open:
    return opening(sqlite_url, shops)


@pytest.fixture
def open_anywhere(any_url: str, shops: list[Shop]) -> Open:
    return opening(any_url, shops)


def opening(url: str, shops: list[Shop]) -> Open:
    def make(**policy: Any) -> Visitor:
        shops.append(open_shop(settings_for(url, **policy)))
        return Visitor(shops[-1])

    return make


def rows(visitor: Visitor, table: Any) -> list[dict[str, Any]]:
    return visitor.shop.gateway.database.read(
        lambda connection: [dict(row) for row in connection.execute(select(table)).mappings()]
    )


def stamped(visitor: Visitor, **changes: Any) -> str:
    """A consent entry that names the visitor's session and holds no answer."""
    return an_entry({}, state="pending", session_id=visitor.session, **changes)


# --- sequence and sources -----------------------------------------------------------------------------------------


def test_late_beacon_does_not_overwrite_a_newer_answer(open_anywhere: Open) -> None:
    visitor = open_anywhere()
    visitor.denies(seq=5)
    assert visitor.grants(seq=4) == {"analytics": "denied", "marketing": "denied"}
    assert visitor.grants(seq=5) == {"analytics": "denied", "marketing": "denied"}
    assert visitor.grants(seq=6) == {"analytics": "granted", "marketing": "granted"}


def test_answer_of_a_browser_whose_clock_is_slow_counts(open_: Open) -> None:
    visitor = open_()
    visitor.shows_banner()
    granted = visitor.grants(captured_at="2026-11-22T11:00:00Z")
    assert granted == {"analytics": "granted", "marketing": "granted"}


def test_denial_counts_whenever_it_arrives(open_: Open) -> None:
    visitor = open_()
    visitor.grants(seq=5)
    assert visitor.answers(marketing=False, analytics=True, seq=4) == {"analytics": "granted", "marketing": "denied"}
    assert visitor.grants(seq=5) == {"analytics": "granted", "marketing": "denied"}


def test_sources_that_disagree_count_by_the_strictest(open_: Open) -> None:
    visitor = open_()
    visitor.grants()
    said = visitor.is_said(session_id=visitor.session, categories={"marketing": False, "analytics": True})
    assert said == {"analytics": "granted", "marketing": "denied"}
    assert visitor.grants() == {"analytics": "granted", "marketing": "denied"}


def test_silence_inside_an_answer_is_a_denial(open_: Open) -> None:
    visitor = open_()
    assert visitor.answers(marketing=True, analytics=None) == {"analytics": "denied", "marketing": "granted"}


def test_answer_without_categories_denies_what_was_granted(open_: Open) -> None:
    visitor = open_()
    visitor.grants()
    assert visitor.says(state="answered", categories={}) == {"analytics": "denied", "marketing": "denied"}


def test_objection_of_the_browser_outweighs_the_click(open_: Open) -> None:
    visitor = open_()
    assert visitor.grants(sec_gpc=True) == {"analytics": "granted", "marketing": "denied"}


def test_objection_counts_by_regime_where_the_shop_says_so(open_: Open) -> None:
    visitor = open_(gpc="regime")
    assert visitor.grants(sec_gpc=True, region="DE") == {"analytics": "granted", "marketing": "granted"}
    other = Visitor(visitor.shop, a_session(2))
    assert other.grants(sec_gpc=True, region="US-CA") == {"analytics": "granted", "marketing": "denied"}


def test_every_signal_is_kept_with_both_times_and_evidence_sealed(open_anywhere: Open) -> None:
    visitor = open_anywhere()
    visitor.grants(seq=1, captured_at="2026-11-22T11:00:00Z", evidence={"gcs": "G111"})
    visitor.grants(seq=1)
    first, second = rows(visitor, records)
    assert first["captured_at"] < first["received_at"] < second["received_at"] == visitor.shop.clock()
    assert b"G111" not in first["sealed"]
    assert visitor.shop.gateway.keyring.open(first["sealed"], key_id=first["key_id"], purpose="evidence")
    assert second["sealed"] is None


def test_session_ids_are_kept_as_hashes_only(open_: Open) -> None:
    visitor = open_()
    visitor.grants()
    assert visitor.session not in str(rows(visitor, sessions)) + str(rows(visitor, records))


def test_browser_cannot_speak_for_a_customer(open_: Open) -> None:
    visitor = open_()
    with pytest.raises(RequestInvalid) as raised:
        visitor.says(customer_id="7", state="answered", categories=ALL)
    assert set(raised.value.errors) == {"customer_id"}
    assert rows(visitor, customers) == []


# --- orders -------------------------------------------------------------------------------------------------------


def test_answer_of_the_session_releases_the_order_that_names_it(open_anywhere: Open) -> None:
    visitor = open_anywhere(unknown="deny")
    visitor.shop.post(a_woo_order(1, stamped(visitor)))
    visitor.shop.dispatch()
    assert [row["state"] for row in visitor.shop.deliveries()] == ["held"]

    visitor.shop.clock.pass_by(seconds=3)
    visitor.grants()
    visitor.shop.dispatch()

    assert [payload["id"] for payload in visitor.shop.sender.payloads] == [1]
    assert visitor.shop.order(1)["order_time"]["status"] == "recorded"
    assert visitor.shop.order(1)["is_frozen"]


def test_denial_of_the_session_suppresses_the_order_that_is_held(open_: Open) -> None:
    visitor = open_()
    visitor.shop.post(a_woo_order(1, stamped(visitor)))
    visitor.denies()
    visitor.shop.dispatch()
    assert visitor.shop.states() == [("suppressed", "all_purposes_denied")]


def test_pending_session_counts_as_unanswered_for_its_order(open_: Open) -> None:
    visitor = open_(unknown="allow")
    visitor.shop.post(a_woo_order(1, an_entry({}, state="pending", session_id=visitor.session)))
    visitor.shop.clock.pass_by(seconds=60)
    visitor.shop.dispatch()
    assert visitor.shop.states() == [("suppressed", "all_purposes_denied")]


@pytest.mark.parametrize("topics", [("order.created", "order.updated"), ("order.updated", "order.created")])
def test_answer_before_the_order_is_parked_until_its_webhook(open_anywhere: Open, topics: tuple[str, str]) -> None:
    visitor = open_anywhere(unknown="deny")
    named = {"order_id": "1", "order_key": "wc_order_1"}
    assert visitor.grants(**named) is None
    assert len(rows(visitor, parked)) == 1
    for topic in topics:
        visitor.shop.post(a_woo_order(1), topic)
    visitor.shop.dispatch()

    assert [payload["consent"]["status"] for payload in visitor.shop.sender.payloads] == ["recorded", "recorded"]
    assert [one["channel"] for one in visitor.shop.order(1)["history"] if one["what"] == "signal"] == ["browser"]


def test_order_updated_before_created_waits_once_and_hears_the_late_answer(open_: Open) -> None:
    visitor = open_(unknown="deny")
    visitor.shop.post(a_woo_order(1), "order.updated")
    visitor.shop.clock.pass_by(seconds=1)
    visitor.shop.post(a_woo_order(1), "order.created")
    visitor.shop.clock.pass_by(seconds=30)
    visitor.grants(order_id="1", order_key="wc_order_1")
    visitor.shop.dispatch()
    assert [row["state"] for row in visitor.shop.deliveries()] == ["delivered", "delivered"]


def test_key_that_does_not_fit_changes_nothing_and_is_answered_alike(open_: Open) -> None:
    visitor = open_(unknown="deny")
    visitor.shop.post(a_woo_order(1))
    visitor.shop.post(a_woo_order(2))
    assert visitor.grants(order_id="1", order_key="wc_order_2") is None
    assert visitor.grants(order_id="1", order_key="guessed") is None
    assert visitor.shop.order(1)["order_time"]["status"] == "unknown"
    assert visitor.shop.order(2)["order_time"]["status"] == "unknown"


def test_parked_key_opens_only_the_order_that_it_was_shown_for(open_: Open) -> None:
    visitor = open_()
    visitor.grants(order_id="2", order_key="wc_order_1")
    visitor.shop.post(a_woo_order(1))
    assert visitor.shop.order(1)["order_time"]["status"] == "unknown"


def test_refusal_by_a_token_reaches_every_order_that_carries_it(any_url: str) -> None:
    visitor = Visitor(open_shop(settings_for(any_url, "shopify")))
    for number in (1, 2):
        visitor.shop.post(a_cart_order(number), "orders/create")
    visitor.says(session_id=None, state="answered", categories=NONE, checkout_token="cart-1")
    assert visitor.shop.states() == [("cancelled", "withdrawn")] * 2
    assert [visitor.shop.order(number)["effective"]["applied"]["marketing"] for number in (1, 2)] == [False, False]
    visitor.shop.gateway.close()


@pytest.mark.parametrize("there", [0, 1])
def test_refusal_by_a_token_reaches_orders_that_are_yet_to_carry_it(any_url: str, there: int) -> None:
    visitor = Visitor(open_shop(settings_for(any_url, "shopify")))
    for number in range(1, 1 + there):
        visitor.shop.post(a_cart_order(number), "orders/create")
    visitor.says(session_id=None, state="answered", categories=NONE, checkout_token="cart-1")
    for number in range(1 + there, 4):
        visitor.shop.clock.pass_by(minutes=1)
        visitor.shop.post(a_cart_order(number), "orders/create")
    visitor.shop.dispatch()
    assert [visitor.shop.order(number)["effective"]["applied"]["marketing"] for number in (1, 2, 3)] == [False] * 3
    assert visitor.shop.sender.requests == []
    visitor.shop.gateway.close()


def test_grant_by_a_token_opens_every_order_that_carries_it(any_url: str) -> None:
    visitor = Visitor(open_shop(settings_for(any_url, "shopify", unknown="deny")))
    visitor.says(session_id=None, state="answered", categories=ALL, checkout_token="cart-1")
    for number in (1, 2):
        visitor.shop.post(a_cart_order(number, note_attributes=[]), "orders/create")
    visitor.shop.dispatch()
    assert [state for state, _ in visitor.shop.states()] == ["delivered"] * 2
    visitor.shop.gateway.close()


def test_order_hears_what_was_parked_for_it_once(any_url: str) -> None:
    visitor = Visitor(open_shop(settings_for(any_url, "shopify")))
    visitor.shop.post(a_cart_order(1), "orders/create")
    visitor.says(session_id=None, state="answered", categories=NONE, checkout_token="cart-1")
    lowered = visitor.shop.order(1)["effective"]["lowered"]
    visitor.shop.clock.pass_by(minutes=1)
    visitor.shop.post(a_cart_order(1, financial_status="refunded"), "orders/updated")
    assert visitor.shop.order(1)["effective"]["lowered"] == lowered
    visitor.shop.gateway.close()


def a_cart_order(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "order_number": 1000 + number,
        "note_attributes": [{"name": "_consent_gateway", "value": an_entry(ALL)}],
        "line_items": [],
        "source_name": "web",
        "created_at": "2026-11-22T11:59:30Z",
        "updated_at": "2026-11-22T11:59:30Z",
        "checkout_token": f"checkout-{number}",
        "cart_token": "cart-1",
        "financial_status": "paid",
    } | changes


def test_parked_signal_is_forgotten_after_an_hour(open_anywhere: Open) -> None:
    visitor = open_anywhere(unknown="deny")
    visitor.grants(order_id="1", order_key="wc_order_1")
    visitor.shop.clock.pass_by(hours=1)
    visitor.shop.post(a_woo_order(1))
    assert visitor.shop.order(1)["order_time"]["status"] == "unknown"
    visitor.shop.clock.pass_by(seconds=1)
    assert visitor.shop.gateway.retain()["parked"] == 1


def test_parked_refusal_waits_as_long_as_a_webhook_may_be_on_its_way(open_anywhere: Open) -> None:
    visitor = open_anywhere(unknown="allow", hold_seconds=0)
    for number in (1, 2):
        visitor.denies(order_id=str(number), order_key=f"wc_order_{number}")
    visitor.shop.clock.pass_by(hours=23)
    assert visitor.shop.gateway.retain()["parked"] == 0
    visitor.shop.post(a_woo_order(1))
    visitor.shop.clock.pass_by(hours=1)
    visitor.shop.post(a_woo_order(2))
    assert [visitor.shop.order(n)["order_time"]["status"] for n in (1, 2)] == ["recorded", "unknown"]
    visitor.shop.dispatch()
    assert ("suppressed", "all_purposes_denied") in visitor.shop.states()


def test_grant_of_a_browser_fills_only_what_is_empty(open_: Open) -> None:
    visitor = open_()
    visitor.shop.post(a_woo_order(1, an_entry(NONE)))
    visitor.grants(order_id="1", order_key="wc_order_1")
    assert visitor.shop.order(1)["effective"]["applied"] == {"analytics": False, "marketing": False}


def test_denial_after_the_order_lowers_what_is_yet_to_be_sent(open_: Open) -> None:
    visitor = open_()
    visitor.shop.sender.answers = [503]
    visitor.shop.post(a_woo_order(1, an_entry(ALL)))
    visitor.shop.dispatch()
    visitor.answers(marketing=False, analytics=True, order_id="1", order_key="wc_order_1")
    visitor.shop.clock.pass_by(hours=1)
    visitor.shop.dispatch()

    [first, second] = visitor.shop.sender.payloads
    assert first["consent"]["applied"] == {"analytics": True, "marketing": True}
    assert second["consent"]["applied"] == {"analytics": True, "marketing": False}
    assert second["consent"]["categories"]["marketing"] is True
    assert second["consent"]["lowered"]["marketing"]["by"] == "denial"


@pytest.mark.parametrize("subject", ["order_id", "session_id", "customer_id", "email"])
def test_withdrawal_between_two_attempts_cancels_the_order(open_anywhere: Open, subject: str) -> None:
    visitor = open_anywhere()
    visitor.shop.sender.answers = [503]
    visitor.shop.post(a_woo_order(1, an_entry(ALL, session_id=visitor.session), customer_id=7))
    visitor.shop.dispatch()
    named = {"order_id": "1", "session_id": visitor.session, "customer_id": "7", "email": " Jan.Novak@Example.com"}
    visitor.withdraws(**{subject: named[subject]})

    assert visitor.shop.states() == [("cancelled", "withdrawn")]
    visitor.shop.clock.pass_by(hours=1)
    visitor.shop.dispatch()
    assert len(visitor.shop.sender.requests) == 1
    assert visitor.shop.order(1)["effective"]["lowered"]["marketing"]["by"] == "withdrawal"


def test_withdrawal_stops_what_was_decided_and_has_not_left(open_anywhere: Open) -> None:
    visitor = open_anywhere()
    visitor.shop.post(a_woo_order(1, an_entry(ALL)))
    decided = visitor.shop.decided()
    visitor.withdraws(order_id="1")
    visitor.shop.send(decided)
    assert (visitor.shop.sender.requests, visitor.shop.deliveries()[0]["finished_at"]) == ([], visitor.shop.at())


def test_partial_withdrawal_strips_what_was_decided_and_has_not_left(open_anywhere: Open) -> None:
    visitor = open_anywhere()
    for number in (1, 2):
        visitor.shop.post(a_woo_order(number, an_entry(ALL), customer_id=number))
    decided = visitor.shop.decided()
    visitor.withdraws(customer_id="1", categories=["marketing"])
    visitor.shop.send(decided)
    applied = [one["consent"]["applied"]["marketing"] for one in visitor.shop.sender.payloads]
    assert (applied, ["jan.novak" in body.decode() for body in visitor.shop.sender.bodies]) == ([False, True],) * 2


def test_withdrawal_of_an_order_counts_before_its_webhook_comes(open_anywhere: Open) -> None:
    visitor = open_anywhere()
    visitor.withdraws(order_id="1", categories=["marketing"])
    visitor.shop.clock.pass_by(seconds=1)
    visitor.shop.post(a_woo_order(1, an_entry(ALL)))
    visitor.shop.dispatch()
    [sent] = visitor.shop.sender.payloads
    assert sent["consent"]["applied"] == {"analytics": True, "marketing": False}
    assert sent["consent"]["lowered"]["marketing"]["by"] == "withdrawal"


def test_withdrawal_of_one_category_leaves_the_order_due(open_: Open) -> None:
    visitor = open_()
    visitor.shop.sender.answers = [503]
    visitor.shop.post(a_woo_order(1, an_entry(ALL)))
    visitor.shop.dispatch()
    visitor.withdraws(order_id="1", categories=["marketing"])
    assert [row["state"] for row in visitor.shop.deliveries()] == ["due"]
    visitor.shop.clock.pass_by(hours=1)
    visitor.shop.dispatch()
    assert b"jan.novak" not in visitor.shop.sender.bodies[-1]


def test_withdrawal_takes_nothing_from_other_people(open_: Open) -> None:
    visitor = open_()
    visitor.shop.sender.code = 503
    visitor.shop.post(a_woo_order(1, an_entry(ALL), customer_id=7))
    visitor.shop.post(a_woo_order(2, an_entry(ALL), customer_id=8, billing={"email": "other@example.com"}))
    visitor.shop.dispatch()
    visitor.withdraws(customer_id="7")
    visitor.withdraws(email="jan.novak@example.com")
    assert [row["state"] for row in visitor.shop.deliveries()] == ["cancelled", "due"]


def test_withdrawal_while_the_order_is_held_outlives_the_hold(open_: Open) -> None:
    visitor = open_(unknown="allow")
    visitor.shop.post(a_woo_order(1))
    visitor.withdraws(order_id="1")
    visitor.shop.clock.pass_by(seconds=60)
    visitor.shop.dispatch()
    assert visitor.shop.states() == [("suppressed", "all_purposes_denied")]


def test_withdrawal_takes_back_what_an_opt_out_regime_had_granted(open_: Open) -> None:
    visitor = open_()
    entry = an_entry(ALL, state="pending", basis="opt_out_default", region="US-CA")
    visitor.shop.post(a_woo_order(1, entry))
    visitor.withdraws(order_id="1")
    visitor.shop.clock.pass_by(seconds=60)
    visitor.shop.dispatch()
    assert visitor.shop.sender.requests == []


@pytest.mark.parametrize("region", ["DE", "AUT", "CA-Quebec"])
def test_opt_out_default_grants_nothing_where_the_law_may_ask_first(open_: Open, region: str) -> None:
    visitor = open_(unknown="allow", hold_seconds=0)
    entry = an_entry(ALL, state="pending", basis="opt_out_default", region=region)
    visitor.shop.post(a_woo_order(1, entry))
    visitor.shop.dispatch()
    assert visitor.shop.states() == [("suppressed", "all_purposes_denied")]


def test_entry_is_read_from_metadata_that_php_wrote_as_an_object(open_: Open) -> None:
    visitor = open_(unknown="allow")
    order = a_woo_order(1, an_entry({"marketing": False, "analytics": True}))
    visitor.shop.post(order | {"meta_data": dict(enumerate(order["meta_data"], start=3))})
    visitor.shop.dispatch()
    [request] = visitor.shop.sender.requests
    assert json.loads(request.body)["consent"]["applied"] == {"analytics": True, "marketing": False}
    assert b"_consent_gateway" not in request.body


def test_withdrawal_counts_for_an_order_whose_own_webhook_never_came(any_url: str) -> None:
    visitor = Visitor(open_shop(settings_for(any_url, "shopify", unknown="allow")))
    visitor.withdraws(order_id="77")
    visitor.shop.post({"order_edit": {"id": 5, "order_id": 77, "notify_customer": True}}, "orders/edited")
    visitor.shop.dispatch()
    assert visitor.shop.states() == [("suppressed", "all_purposes_denied")]
    assert visitor.shop.order(77)["effective"]["lowered"].keys() == {"analytics", "marketing"}
    visitor.shop.gateway.close()


@pytest.mark.parametrize(
    "spelling", ["zo\u0065\u0308@b\u00fccher.example", "Zo\u00eb@xn--bcher-kva.example"], ids=ascii
)
def test_withdrawal_by_an_address_that_is_spelled_otherwise(open_: Open, spelling: str) -> None:
    visitor = open_()
    visitor.shop.post(a_woo_order(1, an_entry(ALL), billing={"email": "zo\u00eb@B\u00fc\u200bcher.example"}))
    visitor.withdraws(email=spelling)
    assert visitor.shop.order(1)["effective"]["applied"] == {"analytics": False, "marketing": False}


def test_objection_in_the_session_holds_for_the_customer_of_its_order(open_: Open) -> None:
    visitor = open_()
    visitor.shop.post(a_woo_order(1, an_entry(ALL, session_id=visitor.session), customer_id=7))
    visitor.grants(sec_gpc=True)
    [customer] = rows(visitor, customers)
    assert (customer["customer_id"], customer["marketing"], customer["gpc"]) == ("7", "denied", True)


def test_server_reaches_an_order_by_its_id_before_and_after(open_: Open) -> None:
    visitor = open_(unknown="deny")
    assert visitor.is_said(order_id="1", categories=ALL) is None
    visitor.shop.post(a_woo_order(1))
    visitor.shop.post(a_woo_order(2))
    visitor.is_said(order_id="2", categories=ALL)
    visitor.shop.dispatch()
    assert [row["state"] for row in visitor.shop.deliveries()] == ["delivered", "delivered"]


def test_withdrawal_of_nobody_is_invalid(open_: Open) -> None:
    visitor = open_()
    for posted in (
        {},
        {"customer_id": "7", "categories": []},
        {"customer_id": "7", "categories": ["all"]},
        {"email": "Jan <a@b.example>"},
    ):
        with pytest.raises(RequestInvalid):
            visitor.withdraws(**posted)
    assert rows(visitor, records) == []


# --- erasure ------------------------------------------------------------------------------------------------------


def a_redaction(customer_id: int, *order_ids: int) -> dict[str, Any]:
    return {
        "shop_id": 1,
        "shop_domain": "acme.myshopify.com",
        "customer": {"id": customer_id, "email": "jan@example.com", "phone": None},
        "orders_to_redact": list(order_ids),
    }


def test_erasure_takes_bodies_keys_and_what_waits(any_url: str) -> None:
    visitor = Visitor(open_shop(settings_for(any_url, "shopify")))
    shop = visitor.shop
    shop.sender.code = 503
    entry = an_entry(ALL, session_id=visitor.session)
    order = {
        "id": 1,
        "order_number": 1001,
        "email": "jan@example.com",
        "customer": {"id": 7, "email": "jan@example.com"},
        "note_attributes": [{"name": "_consent_gateway", "value": entry}],
        "line_items": [],
        "source_name": "web",
        "created_at": "2026-11-22T11:59:30Z",
        "updated_at": "2026-11-22T11:59:30Z",
        "checkout_token": "token-1",
        "currency": "EUR",
        "total_price": "10.00",
        "financial_status": "paid",
    }
    shop.post(order, "orders/create")
    visitor.grants(evidence={"gcs": "G111"})
    visitor.sends(customer_id="7")
    shop.dispatch()
    assert body_count(shop) == 2

    shop.clock.pass_by(seconds=1)
    shop.post(a_redaction(7, 1), "customers/redact")

    assert shop.states() == [("cancelled", "erased"), ("cancelled", "erased")]
    assert body_count(shop) == 0
    everything = json.dumps([rows(visitor, table) for table in (customers, sessions, records)], default=str)
    assert '"7"' not in everything
    assert all(row["sealed"] is None and row["customer_id"] is None for row in rows(visitor, records))
    assert shop.order(1)["order_time"]["status"] == "recorded"
    assert shop.order(1)["effective"]["applied"] == {"analytics": False, "marketing": False}
    shop.post(order | {"updated_at": "2026-11-23T00:00:00Z"}, "orders/updated")
    shop.dispatch()
    assert shop.states()[-1] == ("suppressed", "all_purposes_denied")
    shop.gateway.close()


def test_erasure_ends_what_waits_for_the_address_and_lets_nothing_more_of_it_go(any_url: str) -> None:
    visitor = Visitor(open_shop(settings_for(any_url, "shopify")))
    visitor.grants()
    visitor.sends(user_data={"email": "jan@example.com"})
    decided = visitor.shop.decided()
    visitor.shop.clock.pass_by(seconds=1)
    visitor.shop.post(a_redaction(7), "customers/redact")
    visitor.shop.send(decided)
    assert (visitor.shop.states(), body_count(visitor.shop)) == ([("cancelled", "erased")], 0)
    assert visitor.sends(user_data={"email": "jan@example.com"}) == "discarded"
    assert (visitor.sends(user_data={}), visitor.shop.sender.requests) == ("accepted", [])
    visitor.shop.gateway.close()


def test_erasure_forgets_what_was_said_for_orders_that_never_came(any_url: str) -> None:
    visitor = Visitor(open_shop(settings_for(any_url, "shopify")))
    visitor.sends(customer_id="7")
    visitor.grants(checkout_token="token-1")
    assert len(rows(visitor, parked)) == 1
    visitor.shop.post(a_redaction(7), "customers/redact")
    assert rows(visitor, parked) == []
    visitor.shop.gateway.close()
