"""The order page: what was agreed, what left, and why."""

import re
from html import unescape

import pytest
from sqlalchemy import update

from gateway.storage.people import Role
from gateway.storage.tables import renewals
from tests.web.browsing import Pages
from tests.web.seed import ALL


def _text(pages: Pages, path: str, role: Role = Role.VIEWER) -> str:
    """The words of a page, without its tags."""
    html = pages.as_role(role).get(path).text.partition("<main")[2]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


@pytest.fixture
def hero(shown: Pages) -> str:
    """The words of the page of an order whose marketing consent was withdrawn."""
    return _text(shown, "/admin/orders/acme/1042")


def test_the_panel_says_what_was_agreed_and_what_counts_now(hero: str) -> None:
    assert "Analytics Granted" in hero
    assert "Marketing Granted counts now as Now denied withdrawn 19 Nov 2026, 09:03:02" in hero
    assert "Now only analytics may be served, marketing may not" in hero


def test_the_panel_says_how_it_is_known(hero: str) -> None:
    assert "Basis The shopper chose" in hero
    assert "Source The shopper's browser" in hero
    assert "Consent platform Cookiebot" in hero
    assert "Evidence None beyond the record itself" in hero


def test_times_are_shown_in_the_zone_of_the_viewer_and_in_utc(hero: str) -> None:
    assert "Captured 18 Nov 2026, 12:58:25 CET (11:58:25 UTC)" in hero
    assert "Frozen 18 Nov 2026, 13:00:00 CET (12:00:00 UTC)" in hero


def test_the_timeline_tells_everything_in_its_order(hero: str) -> None:
    told = (
        "Order placed",
        "Webhook received order.created",
        "Consent heard in the order's own data",
        "Consent frozen",
        "Decided for newsletter: send redacted",
        "Attempt 1 to newsletter: no connection in time",
        "Attempt 2 to newsletter: answered 503",
        "Attempt 3 to newsletter: accepted (200)",
        "Marketing withdrawn",
        "Webhook received order.updated",
        "Decided for newsletter: do not send All that this destination serves was denied. Policy version 1.",
        "Renewal #1051",
        "Renewal scheduled by the shop, every 30 days, 12 times",
    )
    story = hero.partition("Timeline")[2]
    places = [story.find(one) for one in told]
    assert -1 not in places, told[places.index(-1)]
    assert places == sorted(places)


def test_what_was_stripped_is_named_but_never_shown(shown: Pages) -> None:
    page = shown.as_role(Role.VIEWER).get("/admin/orders/acme/1042").text
    assert "<code>billing.email</code>" in page
    for value in ("jan.novak", "Novák", "+49 30 1234567", "LabGclid-AbC_123", "fb.0.1795300000000"):
        assert value not in page


def test_a_renewal_names_the_order_that_it_inherits_from(shown: Pages) -> None:
    text = _text(shown, "/admin/orders/acme/1051")
    assert "Inherited from Order #1042 , 18 Nov 2026" in text
    assert "Captured 18 Nov 2026, 12:58:25 CET" in text
    assert "Marketing Granted counts now as Now denied" in text
    assert "Basis Inherited; then: the shopper chose" in text


def test_an_order_of_which_nothing_is_known_says_what_counts(shown: Pages) -> None:
    text = _text(shown, "/admin/orders/acme/1048")
    assert "No consent is on record" in text
    assert "Marketing Unknown" in text
    assert "As granted, by the store's rule for unknown consent" in text


def test_an_entry_that_could_not_be_read_is_not_called_an_answer(told: Pages) -> None:
    order = told.story.woo(1070, None)
    order["meta_data"].append({"id": 5, "key": "_consent_gateway", "value": "{not json"})
    told.story.post(order)
    text = _text(told, "/admin/orders/acme/1070")
    assert "Status An answer came with the order, but it could not be read" in text
    assert "Marketing Denied" in text


def test_many_attempts_with_one_answer_are_one_entry_that_opens(pages: Pages) -> None:
    shop = pages.story
    shop.sender.answers = {"container": [503] * 59}
    shop.post(shop.woo(8, ALL))
    for _ in range(70):
        shop.dispatch()
        shop.clock.pass_by(hours=1)
    text = _text(pages, "/admin/orders/acme/8")
    assert "Attempts 1 to 59 to container: answered 503" in text
    assert text.count("answered 503") == 1
    assert "59 attempts 1 18 Nov 2026" in text
    assert "Attempt 60 to container: accepted (200)" in text


def test_an_order_that_only_a_refund_told_of_has_a_page(pages: Pages) -> None:
    pages.story.capture("12")
    pages.story.dispatch()
    address = f"/admin/orders/nordlicht/{pages.story.deliveries()[0]['order_id']}"
    assert address in pages.as_role(Role.VIEWER).get("/admin/deliveries?store=nordlicht").text
    text = _text(pages, address)
    assert "The order itself has not come in" in text
    assert "Refund received refunds/create" in text
    assert "Attempt 1 to container: accepted (200)" in text


def test_an_order_that_waits_says_until_when(shown: Pages) -> None:
    text = _text(shown, "/admin/orders/acme/1056")
    assert "Waiting for the shopper's answer" in text
    assert re.search(r"Waits until 21 Nov 2026, \d\d:\d\d:\d\d CET", text)
    assert "Held for container" in text


def test_the_json_is_what_the_api_says(shown: Pages) -> None:
    answer = shown.as_role(Role.VIEWER).get("/admin/orders/acme/1042.json").json
    assert answer == shown.story.gateway.order_as_json("acme", "1042")


def test_there_is_no_page_for_an_order_that_is_not_there(shown: Pages) -> None:
    viewer = shown.as_role(Role.VIEWER)
    assert viewer.get("/admin/orders/acme/nothing").status_code == 404
    assert viewer.get("/admin/orders/nobody/1042").status_code == 404


def test_what_shops_write_is_never_markup(pages: Pages) -> None:
    shop = pages.story
    shop.post(shop.woo(7, None, number="<b>7</b>", status="<i>x</i>", currency="<u>"))
    page = pages.as_role(Role.VIEWER).get("/admin/orders/acme/7").text
    assert "&lt;b&gt;7&lt;/b&gt;" in page
    assert "<b>7</b>" not in page
    assert "<i>x</i>" not in page


def test_a_renewal_that_comes_once_is_told_in_the_singular(told: Pages) -> None:
    once = update(renewals).values(every_days=1, count=1)
    told.story.gateway.database.write(lambda connection: connection.execute(once).rowcount)
    page = _text(told, "/admin/orders/acme/1042")
    assert "Renewal scheduled by the shop, every 1 day, 1 time" in page


def test_renewal_that_names_no_subscription_shows_the_order_that_it_follows(pages: Pages) -> None:
    story = pages.story
    story.post(story.woo(2001, ALL, customer_id=5000))
    story.clock.pass_by(minutes=10)
    story.post(story.woo(2002, None, customer_id=5000, created_via="subscription"))
    assert "Inherited from Order #2001" in _text(pages, "/admin/orders/acme/2002")
    listed = _text(pages, "/admin/orders?consent=inherited")
    assert "#2002 Follows the first order" in listed
    assert "#2001" not in listed
