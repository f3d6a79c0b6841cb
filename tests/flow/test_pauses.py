"""A destination that is gone or fails for long is paused: that is told once, and its deliveries are kept."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.storage.pausing import resume
from tests.shops import ALL, Shop, a_woo_order, an_entry, open_shop, settings_for


@pytest.fixture
def shop(any_url: str) -> Iterator[Shop]:
    shop = open_shop(settings_for(any_url))
    yield shop
    shop.gateway.close()


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, object]]:
    """What was logged of pauses since the last time."""
    said = [(record.getMessage(), vars(record)["fields"].get("reason")) for record in caplog.records]
    caplog.clear()
    return [one for one in said if one[0].startswith("destination_")]


def test_a_destination_that_is_gone_is_told_and_waits_for_an_operator(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="gateway")
    shop.sender.code = 410
    shop.post(a_woo_order(1, an_entry(ALL)))
    shop.dispatch()
    shop.post(a_woo_order(2, an_entry(ALL)))
    for _ in range(2):
        shop.gateway.tell_pauses()
    assert told(caplog) == [("destination_paused", "gone")]
    assert 'gateway_destination_paused{destination="sink"} 1.0' in shop.gateway.telling.render().decode()
    shop.sender.code = 200
    shop.clock.pass_by(days=30)
    assert shop.dispatch() == 0
    assert shop.gateway.database.write(lambda connection: resume(connection, "sink", now=shop.clock()))
    shop.dispatch()
    shop.gateway.tell_pauses()
    assert told(caplog) == [("destination_resumed", None)]
    assert [state for state, _ in shop.states()] == ["failed", "delivered"]


def test_a_destination_that_fails_for_long_is_told_and_opened_by_a_try(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="gateway")
    shop.sender.code = 503
    for number in range(1, 6):
        shop.post(a_woo_order(number, an_entry(ALL)))
    for _ in range(8):
        shop.dispatch()
        shop.clock.pass_by(minutes=20)
    shop.gateway.tell_pauses()
    assert told(caplog) == [("destination_paused", "failing")]
    shop.sender.code = 200
    for _ in range(3):
        shop.clock.pass_by(minutes=61)
        shop.dispatch()
    shop.gateway.tell_pauses()
    assert told(caplog) == [("destination_resumed", None)]
    assert {state for state, _ in shop.states()} == {"delivered"}


def test_what_a_lost_worker_was_sending_ends_when_its_destination_is_removed(shop: Shop) -> None:
    shop.post(a_woo_order(1, an_entry(ALL)))
    shop.decided()
    later = open_shop(replace(shop.settings, destinations=()))
    later.gateway.cancel_removed()
    later.gateway.sweep()
    assert [state for state, _ in shop.states()] == ["sending"]
    later.clock.pass_by(seconds=61)
    later.gateway.sweep()
    later.gateway.close()
    assert shop.states() == [("cancelled", "destination_removed")]
