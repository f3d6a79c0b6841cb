"""Bodies that cannot be sent: of a key that is not at hand, gone, or of no shape that anybody knows."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Column, delete, update

from gateway.flow.dispatch import Prepared
from gateway.model.renewal import Renewal
from gateway.settings import DestinationSettings
from gateway.storage.sealing import CannotOpen
from gateway.storage.tables import bodies, deliveries, orders, renewals
from tests.shops import ALL, Shop, a_woo_order, an_entry, open_shop, settings_for

Open = Callable[..., Shop]


def change_bodies(shop: Shop, **values: Any) -> None:
    shop.gateway.database.write(lambda connection: connection.execute(update(bodies).values(values)).rowcount)


def test_body_under_a_missing_key_waits_for_the_key(open_: Open) -> None:
    shop = open_()
    shop.post(a_woo_order(entry=an_entry(ALL)))
    change_bodies(shop, key_id="elsewhere")
    shop.dispatch()
    assert shop.states() == [("due", "key_missing")]
    change_bodies(shop, key_id=shop.gateway.keyring.key_id)
    shop.clock.pass_by(seconds=59)
    assert shop.dispatch() == 0
    shop.clock.pass_by(seconds=1)
    shop.dispatch()
    assert shop.states() == [("delivered", "all_granted")]


def test_delivery_whose_body_is_gone_is_cancelled(open_: Open) -> None:
    shop = open_()
    shop.post(a_woo_order(entry=an_entry(ALL)))
    shop.gateway.database.write(lambda connection: connection.execute(delete(bodies)).rowcount)
    shop.dispatch()
    assert (shop.states(), shop.sender.requests) == ([("cancelled", "body_gone")], [])


def test_body_that_cannot_be_read_fails_and_is_not_sent(open_: Open) -> None:
    shop = open_()
    shop.post(a_woo_order(entry=an_entry({"analytics": True, "marketing": False})))
    change_bodies(shop, sealed=shop.gateway.keyring.seal(b"no JSON", purpose="body"))
    shop.dispatch()
    assert (shop.states(), shop.sender.requests) == ([("failed", "internal_error")], [])


def test_destinations_that_serve_the_same_get_what_was_rebuilt_once(sqlite_url: str) -> None:
    served = {"ads": ("marketing",), "mail": ("marketing",), "statistics": ("analytics",)}
    sinks = tuple(
        DestinationSettings(id=name, url=f"https://{name}.example/", topics=("orders",), purposes=purposes)
        for name, purposes in served.items()
    )
    shop = open_shop(replace(settings_for(sqlite_url, mode="suppress"), destinations=sinks))
    shop.post(a_woo_order(1, an_entry({"analytics": False, "marketing": True})))
    shop.post(a_woo_order(2, an_entry({"analytics": True, "marketing": False})))
    sent = [one for one in shop.decided() if isinstance(one, Prepared)]
    ads, mail, statistics = sorted(sent, key=lambda one: one.claimed.destination_id)
    shop.gateway.close()

    assert [one.claimed.order_id for one in (ads, mail, statistics)] == ["1", "1", "2"]
    assert ads.body is mail.body


def test_delivery_that_a_bug_keeps_back_is_tried_like_any_other(open_: Open) -> None:
    shop = open_()
    shop.post(a_woo_order(entry=an_entry(ALL)))
    shop.put_off()
    [row] = shop.deliveries()
    assert (row["state"], row["reason"], row["word"], row["attempts"]) == ("due", *["internal_error"] * 2, 1)
    assert row["claimable_at"] - shop.clock() == timedelta(seconds=1)
    assert b'destination="sink",outcome="internal_error",store="acme"} 1.0' in shop.gateway.telling.render()
    shop.clock.pass_by(seconds=1)
    shop.dispatch()
    assert shop.states() == [("delivered", "all_granted")]


def test_delivery_that_a_bug_keeps_back_for_long_fails(open_: Open) -> None:
    shop = open_()
    shop.post(a_woo_order(entry=an_entry(ALL)))
    shop.put_off()
    shop.clock.pass_by(hours=192)
    shop.put_off()
    assert shop.states() == [("failed", "internal_error")]
    shop.clock.pass_by(days=1)
    assert shop.dispatch() == 0


def test_renewal_under_a_missing_key_holds_up_no_other(open_: Open) -> None:
    shop = open_()
    at = shop.clock() + timedelta(hours=1)
    for name in ("old", "new"):
        shop.gateway.renewals.schedule(
            "acme", Renewal(renewal_id=name, origin_order_id="1", event="renewed", due_at=at)
        )
    is_old = update(renewals).where(renewals.c.renewal_id == "old")
    shop.gateway.database.write(lambda connection: connection.execute(is_old.values(key_id="elsewhere")).rowcount)
    shop.clock.pass_by(hours=2)
    with pytest.raises(CannotOpen, match="previous_keys"):
        shop.gateway.run_renewals()
    assert [row["event_id"] for row in shop.deliveries()] == ["new:1"]
    own = {"key_id": shop.gateway.keyring.key_id}
    shop.gateway.database.write(lambda connection: connection.execute(is_old.values(own)).rowcount)
    assert shop.gateway.run_renewals() == 1


# --- a clock that was wrong -----------------------------------------------------------------------------------------


def test_nothing_waits_for_a_time_from_before_the_clock_was_set_back(open_: Open) -> None:
    shop = open_(unknown="deny", hold_seconds=60)
    shop.clock.pass_by(days=400)
    shop.post(a_woo_order())
    shop.clock.pass_by(days=-400)
    for _ in range(2):  # the second finds nothing more to shorten
        shop.gateway.take_over()
        shop.clock.pass_by(seconds=20)
    assert (shop.dispatch(), shop.states()) == (0, [("held", None)])
    shop.clock.pass_by(seconds=50)
    shop.dispatch()
    assert shop.states() == [("suppressed", "unknown_denied")]


def test_what_waits_is_left_alone_where_the_clock_is_right(open_: Open) -> None:
    shop = open_(hold_seconds=60)
    shop.post(a_woo_order())
    held = shop.deliveries()
    shop.gateway.take_over()
    assert shop.deliveries() == held


@pytest.mark.parametrize(
    "column", [deliveries.c.kind, orders.c.consent_state, orders.c.basis, orders.c.source], ids=str
)
def test_nothing_is_decided_by_a_word_of_a_later_release(open_: Open, column: Column[Any]) -> None:
    shop = open_()
    shop.post(a_woo_order(entry=an_entry(ALL)))
    change = update(column.table).values({column.name: "foretold"})
    shop.gateway.database.write(lambda connection: connection.execute(change).rowcount)
    with pytest.raises(ValueError, match="foretold"):  # the worker keeps it back, and tries it again
        shop.dispatch()
    assert shop.sender.requests == []
