"""Policies in force: what another process changed counts here as well, and soon."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from gateway.flow.policies import PolicyBook
from gateway.storage.policies import add_policy, newest_versions
from tests.shops import NONE, Shop, a_woo_order, an_entry

Open = Callable[..., Shop]


def change(shop: Shop, mode: str) -> None:
    values = {**shop.settings.stores[0].policy, "mode": mode}
    shop.gateway.database.write(lambda connection: add_policy(connection, "acme", values, "ada", shop.clock()))


def test_order_is_taken_in_by_the_policy_that_was_changed_elsewhere(open_: Open) -> None:
    shop = open_(mode="suppress")
    shop.post(a_woo_order(1, an_entry(NONE)))
    change(shop, "off")
    shop.gateway.look_around()
    shop.post(a_woo_order(2, an_entry(NONE)))
    shop.dispatch()
    assert shop.states() == [("suppressed", "all_purposes_denied"), ("delivered", "mode_off")]


def test_policy_in_force_at_intake_counts_though_intake_had_not_heard_of_it(open_: Open) -> None:
    shop = open_(mode="off")
    shop.post(a_woo_order(1, an_entry(NONE)))
    shop.clock.pass_by(seconds=1)
    change(shop, "suppress")
    shop.post(a_woo_order(2, an_entry(NONE)))
    shop.clock.pass_by(seconds=1)
    change(shop, "off")
    shop.dispatch()
    assert shop.states() == [("delivered", "mode_off"), ("suppressed", "all_purposes_denied")]


@pytest.mark.parametrize(("seconds", "state"), [(1, "suppressed"), (6, "delivered")])
def test_policy_may_still_be_in_force_a_moment_after_the_next_was_made(open_: Open, seconds: int, state: str) -> None:
    shop = open_(mode="off")
    shop.gateway.look_around()
    for mode in ("suppress", "off"):
        shop.clock.pass_by(seconds=1)
        change(shop, mode)
    shop.clock.pass_by(seconds=seconds)
    shop.post(a_woo_order(1, an_entry(NONE)))
    shop.dispatch()
    assert [found for found, _ in shop.states()] == [state]


def test_policy_that_was_heard_of_too_long_ago_is_asked_for_again(open_: Open) -> None:
    shop = open_(mode="suppress")
    book = PolicyBook(shop.gateway.database)
    before = book.newest("acme")
    change(shop, "off")
    assert (book.newest("acme"), book.newest("acme", as_of_seconds=0).mode) == (before, "off")


def test_answer_that_comes_late_brings_no_older_policy_back(open_: Open) -> None:
    shop = open_(mode="suppress")
    book = PolicyBook(shop.gateway.database)

    def ask_and_wait(connection: Connection) -> None:
        newest_versions(connection)  # what is read from here on is as it was now, on SQLite
        change(shop, "off")
        book.newest("acme", as_of_seconds=0)
        book.confirm(connection)

    shop.gateway.database.read(ask_and_wait)
    assert book.newest("acme").mode == "off"
