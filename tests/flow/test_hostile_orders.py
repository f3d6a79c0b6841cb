"""Orders whose consent entries are odd, contradictory or late, and bodies that must keep their numbers."""

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway.settings import DestinationSettings
from tests.shops import ALL, NONE, SECRET, Shop, a_woo_order, an_entry, open_shop, settings_for
from tests.visitors import Visitor

Open = Callable[..., Shop]
GRANTED, DENIED = an_entry(ALL), an_entry(NONE)
PENDING = an_entry({}, state="pending")
BOTH, ADS, STATISTICS, NEITHER = (True, True), (True, False), (False, True), (False, False)  # marketing, analytics


@pytest.fixture
def open_(sqlite_url: str, shops: list[Shop]) -> Open:
    def make(**policy: Any) -> Shop:
        shops.append(open_shop(settings_for(sqlite_url, **policy)))
        return shops[-1]

    return make


def with_entries(*entries: tuple[str, object]) -> dict[str, Any]:
    order = a_woo_order()
    order["meta_data"] += [{"id": 50 + at, "key": key, "value": value} for at, (key, value) in enumerate(entries)]
    return order


def own(*values: object) -> dict[str, Any]:
    return with_entries(*(("_consent_gateway", value) for value in values))


def applied(shop: Shop, order: dict[str, Any], kind: str = "effective") -> tuple[bool, bool]:
    said = shop.order(order["id"])[kind]["applied"]
    return said["marketing"], said["analytics"]


ENTRIES: dict[str, tuple[dict[str, Any], tuple[bool, bool]]] = {
    "an object": (own(json.loads(GRANTED)), BOTH),
    "a list": (own([json.loads(GRANTED)]), NEITHER),
    "a number": (own(1), NEITHER),
    "true": (with_entries(("_consent_gateway", True)), NEITHER),
    "nothing": (own(None), NEITHER),
    "an empty text": (own(""), NEITHER),
    "the same twice": (own(GRANTED, GRANTED), BOTH),
    "a contradiction": (own(GRANTED, DENIED), NEITHER),
    "one of two unreadable": (own(GRANTED, "{"), NEITHER),
    "a category that is missing": (own(an_entry({"marketing": True})), ADS),
    "a category without an answer": (own(an_entry({"marketing": None, "analytics": True})), STATISTICS),
    "truth as a text": (own(json.dumps({"v": 1, "categories": {"marketing": "true", "analytics": "yes"}})), STATISTICS),
    "truth as a number": (own(json.dumps({"v": 1, "categories": {"marketing": 1, "analytics": 1}})), NEITHER),
    "statistics and analytics at odds": (
        own(an_entry({"marketing": True, "statistics": True, "analytics": False})),
        ADS,
    ),
    "another version": (own(an_entry(ALL, v=2)), NEITHER),
    "a state that nobody knows": (own(an_entry(ALL, state="maybe")), NEITHER),
    "preset, not answered": (own(an_entry(ALL, state="pending")), NEITHER),
    "no basis": (own(an_entry(ALL, basis="none")), NEITHER),
    "GPC": (own(an_entry(ALL, gpc=True)), STATISTICS),
    "a plugin beside our own": (with_entries(("_gtmkit_consent", ALL), ("_consent_gateway", DENIED)), NEITHER),
    "a plugin beside our own unreadable": (with_entries(("_gtmkit_consent", ALL), ("_consent_gateway", "{")), NEITHER),
    "two plugins": (with_entries(("_pmw_consent_snapshot", ALL), ("_gtmkit_consent", NONE)), NEITHER),
    "a plugin's own words": (
        with_entries(
            ("_gtmkit_consent", '{"ad_storage":"granted","ad_user_data":"denied","analytics_storage":"granted"}')
        ),
        STATISTICS,
    ),
    "PHP": (with_entries(("_pmw_consent_snapshot", 'a:1:{s:9:"marketing";b:1;}')), NEITHER),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_only_what_is_clearly_granted_is_granted(open_: Open, name: str) -> None:
    order, expected = ENTRIES[name]
    shop = open_(unknown="allow")
    shop.post(order)
    shop.clock.pass_by(seconds=61)
    shop.dispatch()

    assert applied(shop, order) == expected
    assert [state for state, _ in shop.states()] == ["delivered" if any(expected) else "suppressed"]


def test_capture_from_the_future_counts_from_the_order(open_: Open) -> None:
    shop = open_()
    order = a_woo_order(entry=an_entry(ALL, captured_at="2027-01-01T00:00:00Z"))
    shop.post(order)

    assert shop.order(order["id"])["order_time"]["captured_at"] == "2026-11-22T11:59:30Z"


@pytest.mark.parametrize("entry", ["{", {"marketing": True, "statistics": True}])
def test_entry_without_a_time_counts_from_the_order(open_: Open, entry: object) -> None:
    shop = open_()
    order = with_entries(("_pmw_consent_snapshot", entry))
    shop.clock.pass_by(seconds=3600)
    shop.post(order)

    assert shop.order(order["id"])["order_time"]["captured_at"] == "2026-11-22T11:59:30Z"


def test_nobody_outside_says_that_consent_is_inherited(open_: Open) -> None:
    shop = open_()
    order = a_woo_order(entry=an_entry(ALL, basis="inherited"))
    shop.post(order)

    assert shop.order(order["id"])["order_time"]["basis"] == "implied"


def told_twice(shop: Shop, first: str | None, second: str | None, *, is_newest_first: bool) -> dict[str, Any]:
    order = a_woo_order(entry=first)
    times = ("2026-11-22T12:00:05", "2026-11-22T11:59:31")
    times = times if is_newest_first else (times[1], times[0])
    shop.post({**order, "date_modified_gmt": times[0]}, "order.updated")
    shop.clock.pass_by(seconds=2)
    shop.post(a_woo_order(order["id"], entry=second, date_modified_gmt=times[1]), "order.created")
    return order


LATER = an_entry(ALL, captured_at="2026-11-22T11:59:20Z")
TOLD_TWICE = {
    "denial, then grant": (DENIED, LATER, NEITHER),
    "grant, then denial": (GRANTED, DENIED, NEITHER),
    "grant, then nothing": (GRANTED, None, BOTH),
    "seen, then grant": (PENDING, LATER, BOTH),
    "grant, then seen": (GRANTED, PENDING, BOTH),
    "nothing, then denial": (None, DENIED, NEITHER),
}


@pytest.mark.parametrize("is_newest_first", [False, True])
@pytest.mark.parametrize("name", TOLD_TWICE)
def test_webhooks_in_any_order_never_widen(open_: Open, name: str, *, is_newest_first: bool) -> None:
    first, second, expected = TOLD_TWICE[name]
    shop = open_(unknown="allow")
    order = told_twice(shop, first, second, is_newest_first=is_newest_first)
    shop.clock.pass_by(seconds=61)
    shop.dispatch()

    assert applied(shop, order) == expected
    assert {state for state, _ in shop.states()} == {"delivered" if any(expected) else "suppressed"}


PEOPLE = {"customer_id": "7", "email": "jan.novak@example.com"}


@pytest.mark.parametrize("is_held", [False, True])
@pytest.mark.parametrize("named", PEOPLE)
def test_person_who_withdraws_before_the_webhook_of_their_order_comes_has_withdrawn(
    open_: Open, named: str, *, is_held: bool
) -> None:
    shop = open_(unknown="allow")
    if is_held:
        shop.post(a_woo_order(1, customer_id=7))
    Visitor(shop).withdraws(**{named: PEOPLE[named]}, categories=["marketing"])
    shop.clock.pass_by(seconds=1)
    shop.post(a_woo_order(1, GRANTED, customer_id=7, status="completed"))
    shop.dispatch()

    assert [sent["consent"]["applied"]["marketing"] for sent in shop.sender.payloads] == [False] * (1 + is_held)
    assert shop.order(1)["effective"]["lowered"]["marketing"]["by"] == "withdrawal"


@pytest.mark.parametrize(("answered", "is_granted"), [("11:59:00", False), ("12:00:20", True)])
@pytest.mark.parametrize("named", PEOPLE)
def test_person_who_withdrew_before_an_order_may_grant_anew_with_it(
    open_: Open, named: str, answered: str, *, is_granted: bool
) -> None:
    shop = open_()
    Visitor(shop).withdraws(**{named: PEOPLE[named]})
    shop.clock.pass_by(seconds=60)
    shop.post(a_late_order(answered))
    shop.dispatch()

    assert shop.states() == [("delivered", "all_granted") if is_granted else ("suppressed", "all_purposes_denied")]


@pytest.mark.parametrize(("again_after", "is_granted"), [(20, True), (300, False)])
def test_answer_of_old_counts_once_the_customer_has_given_anew_before_the_order(
    open_: Open, again_after: int, *, is_granted: bool
) -> None:
    shop = open_()
    visitor = Visitor(shop)
    visitor.withdraws(customer_id="7")
    shop.clock.pass_by(seconds=again_after)
    visitor.is_said(customer_id="7", categories=ALL)
    shop.clock.pass_by(seconds=300)
    shop.post(a_late_order("11:59:00"))
    shop.dispatch()

    assert [state for state, _ in shop.states()] == ["delivered" if is_granted else "suppressed"]


def a_late_order(answered: str) -> dict[str, Any]:
    entry = an_entry(ALL, captured_at=f"2026-11-22T{answered}Z")
    return a_woo_order(1, entry, customer_id=7, date_created_gmt="2026-11-22T12:00:30")


def test_customer_who_denies_with_their_order_is_not_lowered_as_well(open_: Open) -> None:
    shop = open_()
    shop.post(a_woo_order(1, customer_id=7))
    shop.clock.pass_by(seconds=1)
    Visitor(shop).is_said(order_id="1", customer_id="7", categories={"marketing": True, "analytics": False})
    shop.dispatch()

    assert shop.order(1)["effective"]["lowered"] == {}


@pytest.mark.parametrize(("said_at", "is_granted"), [("12:00:00", False), ("12:00:02", True)])
def test_answer_that_comes_late_to_a_staff_order_releases_nothing_that_was_denied_since(
    open_: Open, said_at: str, *, is_granted: bool
) -> None:
    shop = open_(unknown="deny")
    order = a_woo_order(1, created_via="admin")
    shop.post(order)
    shop.clock.pass_by(seconds=1)
    Visitor(shop).answers(marketing=True, analytics=False, order_id="1", order_key=order["order_key"])
    shop.clock.pass_by(seconds=5)
    entry = an_entry(ALL, captured_at=f"2026-11-22T{said_at}Z")
    shop.post(a_woo_order(1, entry, created_via="admin", date_modified_gmt="2026-11-22T12:00:03"), "order.updated")

    assert applied(shop, order) == (True, is_granted)


ORIGINS = {
    "checkout": "checkout",
    "store-api": "checkout",
    "admin": "admin",
    "rest-api": "api",
    "subscription": "renewal",
    "pos": "pos",
    "import": "import",
}


@pytest.mark.parametrize("created_via", ORIGINS)
@pytest.mark.parametrize("rule", ["allow", "deny"])
def test_every_origin_follows_its_own_rule(open_: Open, created_via: str, rule: str) -> None:
    other = {"allow": "deny", "deny": "allow"}[rule]
    shop = open_(unknown=other, unknown_by_origin={ORIGINS[created_via]: rule})
    shop.post(a_woo_order(created_via=created_via))
    shop.clock.pass_by(seconds=61)
    shop.dispatch()

    assert [state for state, _ in shop.states()] == ["delivered" if rule == "allow" else "suppressed"]


@pytest.mark.parametrize("mode", ["suppress", "anonymize"])
@pytest.mark.parametrize("payload", [{"id": 9, "email": "jan.novak@example.com", "first_name": "Jan"}, {"id": 9}])
def test_customer_without_a_stored_choice_is_denied_whatever_the_unknown_rule(
    open_: Open, mode: str, payload: dict[str, Any]
) -> None:
    shop = open_(mode=mode, unknown="allow")
    shop.post(payload, "customer.updated" if "email" in payload else "customer.deleted")
    shop.dispatch()

    assert shop.states() == [("suppressed" if mode == "suppress" else "delivered", "all_purposes_denied")]
    assert all(set(sent) == {"consent"} for sent in shop.sender.payloads)


@pytest.mark.parametrize("after", ["off", "suppress", "anonymize"])
@pytest.mark.parametrize("before", ["off", "suppress", "anonymize"])
def test_what_waits_obeys_the_stricter_mode(open_: Open, before: str, after: str) -> None:
    open_(mode=before).post(a_woo_order(entry=DENIED))
    shop = open_(mode=after)
    shop.dispatch()

    sent = [(sent["billing"].get("email"), "consent" in sent) for sent in shop.sender.payloads]
    if "suppress" in (before, after):
        assert sent == []
    elif "anonymize" in (before, after):
        assert sent == [(None, True)]
    else:
        assert sent == [("jan.novak@example.com", False)]


def test_order_of_mode_off_waits_for_its_answer_once_the_mode_asks(open_: Open) -> None:
    open_(mode="off", unknown="deny").post(a_woo_order())
    shop = open_(mode="suppress", unknown="deny")
    shop.dispatch()
    assert [state for state, _ in shop.states()] == ["held"]

    shop.clock.pass_by(seconds=61)
    shop.dispatch()
    assert shop.states() == [("suppressed", "unknown_denied")]


@pytest.mark.parametrize("mode", ["suppress", "anonymize"])
def test_each_destination_gets_what_it_serves(sqlite_url: str, mode: str) -> None:
    settings = settings_for(sqlite_url, mode=mode)
    served = {"ads": ("marketing",), "statistics": ("analytics",)}
    sinks = tuple(
        DestinationSettings(id=name, url=f"https://{name}.example/", topics=("orders",), purposes=purposes)
        for name, purposes in served.items()
    )
    shop = open_shop(replace(settings, destinations=sinks))
    shop.post(a_woo_order(entry=GRANTED, customer_id=4, customer_ip_address="203.0.113.5"))
    shop.dispatch()
    shop.gateway.close()

    said = {request.url: json.loads(request.body) for request in shop.sender.requests}
    ads, statistics = said["https://ads.example/"], said["https://statistics.example/"]
    assert [entry["key"] for entry in ads["meta_data"]][:1] == ["_fbp"]
    assert [entry["key"] for entry in statistics["meta_data"]][:1] == ["_ga"]
    assert (ads["billing"]["email"], statistics["billing"]) == ("jan.novak@example.com", {"country": "DE"})
    for sent in (ads, statistics):
        assert (sent["customer_id"], sent["customer_ip_address"]) == (4, "203.0.113.5")
        assert "order_key" not in sent


ODD = (
    rb'{ "id" : 12345678901234567890, "status":"processing","number":"77","total":"1.10","currency":"EUR",'
    rb'"created_via":"checkout","date_created_gmt":"2026-11-22T11:59:30","one":1.10,"two":1e2,"minus":-0,"exp":1E+5,'
    rb'"big":123456789012345678901234567890,"nested":{"b":2.50,"a":[1.0,{"y":0.10}]},"uni":"\u00e9\ud83d\ude00",'
    rb'"slash":"a\/b","line_items":[{"id":1,"price":10.840336134453782,"total":"10.84","quantity":1.0}],'
    rb'"consent":{"x":1},"meta_data":[{"id":1,"key":"_consent_gateway","value":"%s"}]}' + b"\n"
)


def posted(shop: Shop, body: bytes) -> None:
    signature = base64.b64encode(hmac.digest(SECRET.encode(), body, "sha256")).decode()
    headers = {"X-WC-Webhook-Topic": "order.created", "X-WC-Webhook-Signature": signature}
    assert shop.gateway.receive_webhook("acme", headers, body).status == "accepted"
    shop.dispatch()


def odd(categories: Mapping[str, bool | None]) -> bytes:
    return ODD.replace(b"%s", an_entry(categories).replace('"', '\\"').encode())


def as_written(body: bytes) -> Any:
    """The payload with every number as the text that it was."""
    return json.loads(body, parse_float=str, parse_int=str)


def test_mode_off_sends_odd_bytes_as_they_are(open_: Open) -> None:
    shop = open_(mode="off")
    posted(shop, odd(ALL))
    assert shop.sender.bodies == [odd(ALL)]


@pytest.mark.parametrize("secrets", ["keep", "drop"])
def test_order_that_is_granted_keeps_every_number_and_the_order_of_keys(open_: Open, secrets: str) -> None:
    shop = open_(secrets=secrets)
    posted(shop, odd(ALL))

    expected = as_written(odd(ALL)) | {"meta_data": []}
    sent = as_written(shop.sender.bodies[0])
    assert set(sent.pop("consent")) == CONSENT
    expected.pop("consent")
    assert json.dumps(sent) == json.dumps(expected)


def test_order_that_is_denied_keeps_every_number_that_stays(open_: Open) -> None:
    shop = open_(mode="anonymize")
    posted(shop, odd(NONE))

    sent, came = as_written(shop.sender.bodies[0]), as_written(odd(NONE))
    assert (sent["id"], sent["total"], sent["line_items"]) == (came["id"], came["total"], came["line_items"])


CONSENT = {"version", "status", "categories", "applied", "lowered", "source", "captured_at", "basis", "mode", "unknown"}


@pytest.mark.parametrize("entry", [GRANTED, PENDING, None])
@pytest.mark.parametrize("mode", ["suppress", "anonymize"])
def test_consent_that_goes_along_is_whole(open_: Open, mode: str, entry: str | None) -> None:
    shop = open_(mode=mode, unknown="allow")
    shop.post(a_woo_order(entry=entry))
    shop.clock.pass_by(seconds=61)
    shop.dispatch()

    for sent in shop.sender.payloads:
        said = sent["consent"]
        assert set(said) == CONSENT
        assert said["version"] == 1
        assert set(said["categories"]) == {"functional", "preferences", "analytics", "marketing", "sale_of_data"}
        assert all(choice in (True, False, None) for choice in said["categories"].values())
        assert set(said["applied"]) == {"analytics", "marketing"}
        assert all(isinstance(choice, bool) for choice in said["applied"].values())
        assert (said["mode"], said["unknown"], said["lowered"]) == (mode, "allow", {})
        assert (said["source"] is None) == (said["captured_at"] is None) == (entry is None)
