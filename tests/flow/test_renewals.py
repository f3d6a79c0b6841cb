"""Renewals that a shop schedules itself: kept, changed, cancelled, and gone through the gate when they are due."""

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from gateway.bootstrap import build
from gateway.errors import RequestInvalid
from gateway.flow.renewals import RenewalEnded
from gateway.flow.signals import receive_withdrawal
from gateway.model.renewal import Renewal, RenewalChange, Repeat
from gateway.settings import SecuritySettings
from gateway.storage.copying import rotate_keys
from gateway.storage.tables import deliveries, renewals
from tests.fakes import NOON, RecordingSender
from tests.shops import ALL, KEY, NONE, Shop, a_woo_order, an_entry

Open = Callable[..., Shop]
MONTH = timedelta(days=30)


def a_renewal(**changes: Any) -> Renewal:
    given: dict[str, Any] = {
        "renewal_id": "sub-1",
        "origin_order_id": "7001",
        "event": "subscription_renewed",
        "due_at": NOON + MONTH,
        "properties": {"value": 9.9, "currency": "EUR"},
    }
    return Renewal(**given | changes)


def with_origin(shop: Shop, categories: dict[str, bool | None] | None = None, order_id: int = 7001) -> Shop:
    shop.post(a_woo_order(order_id, an_entry(categories or {}), customer_id=5))
    shop.dispatch()
    shop.sender.requests.clear()
    return shop


def run(shop: Shop) -> int:
    count = shop.gateway.run_renewals()
    shop.dispatch()
    return count


def test_due_renewal_goes_with_the_origin_orders_consent(open_: Open) -> None:
    shop = with_origin(open_(), dict(ALL))
    shown, is_new = shop.gateway.renewals.schedule("acme", a_renewal())
    assert (is_new, shown["state"], shown["next_at"], shown["late"]) == (
        True,
        "scheduled",
        "2026-12-22T12:00:00Z",
        False,
    )

    shop.clock.at = NOON + MONTH - timedelta(seconds=1)
    assert run(shop) == 0
    shop.clock.at = NOON + MONTH
    assert run(shop) == 1

    [sent] = shop.sender.payloads
    consent = sent.pop("consent")
    assert sent == {
        "event": "subscription_renewed",
        "event_id": "sub-1:1",
        "event_time": "2026-12-22T12:00:00Z",
        "origin_order_id": "7001",
        "properties": {"value": 9.9, "currency": "EUR"},
    }
    assert (consent["status"], consent["basis"], consent["captured_at"]) == (
        "inherited",
        "inherited",
        "2026-11-22T11:59:00Z",
    )
    assert shop.gateway.renewals.show("acme", "sub-1")["state"] == "done"  # type: ignore[index]


def test_denied_origin_suppresses_the_renewal(open_: Open) -> None:
    shop = with_origin(open_(), dict(NONE))
    shop.gateway.renewals.schedule("acme", a_renewal())
    shop.clock.at = NOON + MONTH
    run(shop)
    assert shop.sender.requests == []
    assert shop.states()[-1] == ("suppressed", "all_purposes_denied")


@pytest.mark.parametrize(("rule", "is_sent"), [("allow", True), ("deny", False)])
def test_unknown_origin_follows_the_rule_for_renewals(open_: Open, rule: str, is_sent: bool) -> None:
    shop = open_(unknown="deny" if is_sent else "allow", unknown_by_origin={"renewal": rule})
    shop.gateway.renewals.schedule("acme", a_renewal(origin_order_id="unheard-of"))
    shop.clock.at = NOON + MONTH
    run(shop)
    assert len(shop.sender.requests) == is_sent


def test_withdrawal_that_names_an_origin_never_seen_stops_its_renewals(open_: Open) -> None:
    shop = open_(unknown="allow")
    receive_withdrawal(shop.gateway.parts, "acme", b'{"order_id": "unheard-of"}')
    shop.gateway.renewals.schedule("acme", a_renewal(origin_order_id="unheard-of"))
    shop.clock.at = NOON + MONTH
    run(shop)
    assert shop.states() == [("suppressed", "all_purposes_denied")]


def test_the_same_id_again_changes_nothing(open_: Open) -> None:
    shop = open_()
    first, _ = shop.gateway.renewals.schedule("acme", a_renewal())
    again, is_new = shop.gateway.renewals.schedule("acme", a_renewal(event="other", properties={}))
    assert (again, is_new) == (first, False)


def test_every_missed_occurrence_goes_once_and_in_order(open_: Open) -> None:
    shop = with_origin(open_(), dict(ALL))
    shop.gateway.renewals.schedule("acme", a_renewal(repeat=Repeat(every_days=1, count=200)))
    shop.clock.at = NOON + MONTH + timedelta(days=120)
    assert run(shop) == 121
    assert run(shop) == 0
    assert [sent["event_id"] for sent in shop.sender.payloads] == [f"sub-1:{n}" for n in range(1, 122)]
    shown = shop.gateway.renewals.show("acme", "sub-1")
    assert shown is not None
    assert (shown["dispatched"], shown["next_at"], shown["late"]) == (121, "2027-04-22T12:00:00Z", True)
    assert [one["late"] for one in shown["occurrences"]] == [True] * 120 + [False]


def test_two_processes_dispatch_each_occurrence_once(open_: Open) -> None:
    shop = with_origin(open_(), dict(ALL))
    for number in range(40):
        shop.gateway.renewals.schedule(
            "acme", a_renewal(renewal_id=f"sub-{number}", repeat=Repeat(every_days=1, count=3))
        )
    shop.clock.at = NOON + MONTH + timedelta(days=2)
    others = [shop.gateway]
    if not shop.gateway.database.is_sqlite:
        others.append(build(shop.settings, sender=RecordingSender(), clock=shop.clock))
    with ThreadPoolExecutor(8) as threads:
        counts = list(threads.map(lambda number: others[number % len(others)].run_renewals(), range(8)))
    for other in others[1:]:
        other.close()
    assert sum(counts) == 120
    events = [row["event_id"] for row in shop.deliveries() if row["kind"] == "renewal"]
    assert len(events) == len(set(events)) == 120


def test_days_are_days_across_daylight_saving(open_: Open) -> None:
    shop = with_origin(open_(), dict(ALL))
    before = datetime(2027, 3, 27, 1, 30, tzinfo=UTC)  # Europe changes its clocks on the 28th
    shop.gateway.renewals.schedule("acme", a_renewal(due_at=before, repeat=Repeat(every_days=1, count=3)))
    shop.clock.at = before + timedelta(days=2)
    run(shop)
    times = [sent["event_time"] for sent in shop.sender.payloads]
    assert times == ["2027-03-27T01:30:00Z", "2027-03-28T01:30:00Z", "2027-03-29T01:30:00Z"]


def test_due_time_in_the_past_goes_at_once_and_is_marked_late(open_: Open) -> None:
    shop = with_origin(open_(), dict(ALL))
    shown, _ = shop.gateway.renewals.schedule("acme", a_renewal(due_at=NOON - timedelta(days=3)))
    assert shown["late"] is True
    shop.dispatch()
    assert shop.sender.payloads[0]["event_time"] == "2026-11-19T12:00:00Z"
    stored = shop.gateway.renewals.show("acme", "sub-1")
    assert stored is not None
    assert (stored["state"], stored["late"], stored["occurrences"][0]["late"]) == ("done", True, True)


def test_change_moves_the_next_occurrence_and_keeps_counting(open_: Open) -> None:
    shop = with_origin(open_(), dict(ALL))
    shop.gateway.renewals.schedule("acme", a_renewal(repeat=Repeat(every_days=30, count=4)))
    shop.clock.at = NOON + MONTH
    run(shop)
    moved = NOON + timedelta(days=45)
    change = RenewalChange(
        named=frozenset(("due_at", "properties", "repeat")),
        due_at=moved,
        properties={"value": 12},
        repeat=Repeat(every_days=7, count=3),
    )
    shown = shop.gateway.renewals.change("acme", "sub-1", change)
    assert shown is not None
    assert (shown["next_at"], shown["repeat"]) == ("2027-01-06T12:00:00Z", {"every_days": 7, "count": 3})
    shop.clock.at = moved + timedelta(days=300)
    run(shop)
    sent = [(one["event_id"], one["event_time"], one["properties"]["value"]) for one in shop.sender.payloads[1:]]
    assert sent == [("sub-1:2", "2027-01-06T12:00:00Z", 12), ("sub-1:3", "2027-01-13T12:00:00Z", 12)]


def test_a_change_cannot_take_back_what_has_gone(open_: Open) -> None:
    shop = with_origin(open_(), dict(ALL))
    shop.gateway.renewals.schedule("acme", a_renewal(repeat=Repeat(every_days=1, count=9)))
    shop.clock.at = NOON + MONTH + timedelta(days=2)
    run(shop)
    change = RenewalChange(named=frozenset(("repeat",)), repeat=Repeat(every_days=1, count=3))
    with pytest.raises(RequestInvalid) as refused:
        shop.gateway.renewals.change("acme", "sub-1", change)
    assert list(refused.value.errors) == ["count"]


def test_cancelled_renewal_and_what_waits_of_it_never_goes(open_: Open) -> None:
    shop = with_origin(open_(), dict(ALL))
    shop.gateway.renewals.schedule("acme", a_renewal(repeat=Repeat(every_days=30, count=4)))
    shop.clock.at = NOON + MONTH
    shop.gateway.run_renewals()
    shown = shop.gateway.renewals.cancel("acme", "sub-1")
    assert shown is not None
    assert (shown["state"], shown["next_at"]) == ("cancelled", None)
    shop.clock.pass_by(days=400)
    assert run(shop) == 0
    assert shop.sender.requests == []
    assert shop.states()[-1] == ("cancelled", "renewal_cancelled")
    with pytest.raises(RenewalEnded):
        shop.gateway.renewals.change("acme", "sub-1", RenewalChange(named=frozenset(("due_at",)), due_at=NOON))


@pytest.mark.parametrize(
    ("due_at", "repeat", "fields"),
    [
        (NOON + timedelta(days=3654), None, ["due_at"]),
        (NOON + timedelta(days=1), Repeat(every_days=3660, count=2), ["count", "every_days"]),
        (NOON, Repeat(every_days=8, count=520), ["count", "every_days"]),
    ],
)
def test_no_end_later_than_ten_years(open_: Open, due_at: datetime, repeat: Repeat | None, fields: list[str]) -> None:
    with pytest.raises(RequestInvalid) as refused:
        open_().gateway.renewals.schedule("acme", a_renewal(due_at=due_at, repeat=repeat))
    assert sorted(refused.value.errors) == fields


def test_properties_are_sealed_and_deliveries_of_one_renewal_share_a_stream(open_: Open) -> None:
    shop = with_origin(open_(), dict(ALL))
    shop.gateway.renewals.schedule("acme", a_renewal(properties={"secret": "open-sesame"}))
    [row] = shop.gateway.database.read(lambda connection: connection.execute(select(renewals)).all())
    assert b"open-sesame" not in row.sealed
    shop.clock.at = NOON + MONTH
    shop.gateway.run_renewals()
    last = shop.deliveries()[-1]
    assert (last["kind"], last["stream"], last["topic_group"], last["order_id"], last["customer_id"]) == (
        "renewal",
        "renewal:sub-1",
        "events",
        "7001",
        "5",
    )


def test_mode_off_sends_the_event_without_consent(open_: Open) -> None:
    shop = open_(mode="off")
    shop.gateway.renewals.schedule("acme", a_renewal())
    shop.clock.at = NOON + MONTH
    run(shop)
    assert list(json.loads(shop.sender.bodies[0])) == [
        "event",
        "event_id",
        "event_time",
        "origin_order_id",
        "properties",
    ]


def test_scheduled_renewal_waits_while_its_origin_may_still_be_answered(open_: Open) -> None:
    shop = open_(hold_seconds=60, unknown="allow")
    shop.post(a_woo_order(7001))
    shop.gateway.renewals.schedule("acme", a_renewal(due_at=NOON))
    shop.dispatch()
    assert shop.sender.requests == []
    shop.clock.pass_by(seconds=61)
    shop.dispatch()
    assert len(shop.sender.requests) == 2


def test_page_lists_by_id_and_by_origin(open_: Open) -> None:
    shop = open_()
    for number in range(60):
        origin = "1" if number % 2 else "2"
        shop.gateway.renewals.schedule("acme", a_renewal(renewal_id=f"r{number:03}", origin_order_id=origin))
    first = shop.gateway.renewals.page("acme", after="", origin_order_id="")
    second = shop.gateway.renewals.page("acme", after=first["next"], origin_order_id="")
    ids = [one["renewal_id"] for one in [*first["renewals"], *second["renewals"]]]
    assert ids == [f"r{number:03}" for number in range(60)]
    assert second["next"] is None
    assert len(shop.gateway.renewals.page("acme", after="", origin_order_id="1")["renewals"]) == 30


def test_stranded_stream_is_let_go(open_: Open) -> None:
    shop = with_origin(open_(), dict(ALL))
    shop.post(a_woo_order(7002, an_entry(ALL)))
    strand = update(deliveries).where(deliveries.c.finished_at.is_(None)).values(claimable_at=None)
    shop.gateway.database.write(lambda connection: connection.execute(strand))
    assert shop.dispatch() == 0
    assert shop.gateway.sweep() == 1
    assert shop.dispatch() == 1


def test_properties_survive_the_rotation_of_keys(open_: Open) -> None:
    shop = with_origin(open_(), dict(ALL))
    shop.gateway.renewals.schedule("acme", a_renewal())
    old, new = KEY, base64.b64encode(b"n" * 32).decode()
    rotated = replace(shop.settings, security=SecuritySettings(key=new, previous_keys=(old,)))
    gateway = build(rotated, sender=shop.sender, clock=shop.clock)
    rotate_keys(gateway.database, gateway.keyring, lambda *_: None)
    gateway.close()

    gateway = build(replace(rotated, security=SecuritySettings(key=new)), sender=shop.sender, clock=shop.clock)
    shown = gateway.renewals.show("acme", "sub-1")
    gateway.close()
    assert shown is not None
    assert shown["properties"] == {"value": 9.9, "currency": "EUR"}
