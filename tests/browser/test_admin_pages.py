"""What people do on the pages, in a real browser; with and without JavaScript."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from gateway.storage.people import Role, add_user
from tests.browser.conftest import AXE, Site, Visit

PAGES = (
    "/admin/orders",
    "/admin/orders/acme/1042",
    "/admin/orders/acme/1051",
    "/admin/deliveries",
    "/admin/deliveries/4",
    "/admin/deliveries/23",
    "/admin/sessions",
    "/admin/policy",
    "/admin/policy/acme",
    "/admin/users",
    "/admin/audit",
    "/admin/account",
)


@pytest.mark.parametrize("has_script", [True, False])
def test_an_order_is_found_and_its_consent_read(site: Site, visit: Visit, has_script: bool) -> None:
    page = visit(site, "vera", java_script_enabled=has_script)
    page.get_by_role("searchbox").fill("1042")
    page.get_by_role("searchbox").press("Enter")
    expect(page.get_by_role("heading", name="Order #1042")).to_be_visible()
    panel = page.get_by_role("region", name="Consent at order time")
    expect(panel).to_contain_text("Now only analytics may be served, marketing may not")
    expect(panel.get_by_role("listitem").filter(has_text="Marketing")).to_contain_text("Now denied")
    expect(page.get_by_role("region", name="Timeline")).to_contain_text("Marketing withdrawn")


def test_what_came_in_and_what_left_opens_in_place(site: Site, visit: Visit) -> None:
    page = visit(site, "vera")
    page.goto(f"{site.base}/admin/orders/acme/1042")
    delivery = page.locator("details.delivery").nth(3)
    delivery.locator("summary").click()
    expect(delivery.locator("del").filter(has_text='"email"').first).to_be_visible()
    expect(delivery).not_to_contain_text("jan.novak")


@pytest.mark.parametrize("has_script", [True, False])
def test_a_policy_is_changed_after_a_what_if(site: Site, visit: Visit, has_script: bool) -> None:
    page = visit(site, java_script_enabled=has_script)
    page.goto(f"{site.base}/admin/policy/acme")
    page.get_by_role("radio", name="Anonymize").check()
    page.get_by_role("button", name="What if?").click()
    seen = page.get_by_role("status").filter(has=page.get_by_role("heading", name="What if"))
    expect(seen).to_contain_text("would leave differently")
    expect(page.get_by_role("radio", name="Anonymize")).to_be_checked()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Version 3 is in force.")).to_be_visible()
    expect(page.get_by_role("region", name="History")).to_contain_text("Mode: Suppress")


@pytest.mark.parametrize("has_script", [True, False])
def test_a_failed_delivery_is_tried_again(site: Site, visit: Visit, has_script: bool) -> None:
    page = visit(site, "oscar", java_script_enabled=has_script)
    page.goto(f"{site.base}/admin/deliveries?state=failed")
    page.get_by_role("checkbox", name=re.compile("Choose delivery")).check()
    page.get_by_role("button", name="Try again …").first.click()
    expect(page.get_by_role("heading", name="Try again now?")).to_be_visible()
    page.get_by_role("button", name="Try again now").click()
    expect(page.get_by_text("1 delivery will be tried again.")).to_be_visible()
    site.pages.story.dispatch()
    page.goto(f"{site.base}/admin/deliveries/23")
    expect(page.get_by_text("Delivered", exact=True)).to_be_visible()


def test_filters_change_the_list_in_place(site: Site, visit: Visit) -> None:
    page = visit(site, "vera")
    page.get_by_label("Consent").select_option("denied")
    expect(page.get_by_role("link", name=re.compile("^#"))).to_have_count(3)
    assert "consent=denied" in page.url


def test_all_rows_are_chosen_at_once(site: Site, visit: Visit) -> None:
    page = visit(site, "oscar")
    page.goto(f"{site.base}/admin/deliveries")
    page.get_by_label("Choose all").check()
    assert page.locator("input[name=id]:checked").count() == page.locator("input[name=id]").count() > 0


def test_the_keyboard_alone_finds_an_order(site: Site, visit: Visit) -> None:
    page = visit(site, "vera")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.type("1042")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Order #1042")).to_be_visible()


def test_sixty_digits_are_no_wider_than_a_phone(site: Site, visit: Visit) -> None:
    order = site.pages.story.woo(1090, {"analytics": True, "marketing": False}, number="9" * 60)
    site.pages.story.post(order)
    site.pages.story.dispatch()
    page = visit(site, viewport={"width": 360, "height": 780})
    for path in ("/admin/orders", "/admin/orders/acme/1090", "/admin/deliveries"):
        page.goto(site.base + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def test_names_of_any_length_leave_the_pages_as_wide_as_the_screen(site: Site, visit: Visit) -> None:
    name, gateway = "n" * 80, site.pages.story.gateway
    add_user(gateway.database, name=name, role=Role.VIEWER, actor="command line")
    page = visit(site, viewport={"width": 360, "height": 780})
    for path in ("/admin/users", "/admin/audit"):
        page.goto(site.base + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
    page.set_viewport_size({"width": 1280, "height": 900})
    expect(page.get_by_role("columnheader", name="Details")).to_be_in_viewport(ratio=1)


def test_lists_are_printed_as_tables(site: Site, visit: Visit) -> None:
    page = visit(site, viewport={"width": 718, "height": 1000})  # the paper between its margins
    page.emulate_media(media="print")
    for path in ("/admin/orders", "/admin/deliveries", "/admin/sessions", "/admin/audit"):
        page.goto(site.base + path)
        assert page.evaluate("getComputedStyle(document.querySelector('.list tr')).display") == "table-row", path
        assert page.evaluate("document.documentElement.scrollWidth") <= 718, path


def test_no_page_is_wider_than_a_phone(site: Site, visit: Visit) -> None:
    page = visit(site, viewport={"width": 360, "height": 780})
    for path in PAGES:
        page.goto(site.base + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path


def _faults(page: Page, *, rules: str = "") -> list[Any]:
    # The policy of the pages lets no script in from outside; the driver's own way of evaluating one is not bound by it.
    page.evaluate(AXE.read_text(encoding="utf-8"))
    only = f", runOnly: ['{rules}']" if rules else ""
    found = page.evaluate(f"axe.run(document, {{resultTypes: ['violations']{only}}})")
    return [
        (fault["id"], [node["html"][:120] for node in fault["nodes"]][:3])
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


needs_axe = pytest.mark.skipif(not AXE.exists(), reason="axe-core is missing: run `npm ci` in tests/browser")


@needs_axe
@pytest.mark.parametrize(("scheme", "rules"), [("light", ""), ("dark", "color-contrast")])
def test_axe_finds_nothing_serious_on_any_page(site: Site, visit: Visit, scheme: str, rules: str) -> None:
    page = visit(site, color_scheme=scheme)
    for path in PAGES:
        page.goto(site.base + path)
        page.evaluate("[...document.querySelectorAll('main details')].slice(-2).forEach(one => one.open = true)")
        page.wait_for_load_state("networkidle")
        assert _faults(page, rules=rules) == [], path


@needs_axe
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_serious_where_there_is_nothing(empty_site: Site, visit: Visit, width: int) -> None:
    page = visit(empty_site, viewport={"width": width, "height": 800})
    for path in ("/admin/orders", "/admin/deliveries", "/admin/sessions", "/admin/policy/acme"):
        page.goto(empty_site.base + path)
        assert _faults(page) == [], path


@needs_axe
def test_axe_finds_nothing_serious_on_what_answers_a_form(site: Site, visit: Visit) -> None:
    page = visit(site)
    page.goto(f"{site.base}/admin/policy/acme")
    page.get_by_role("radio", name="Anonymize").check()
    page.get_by_role("button", name="What if?").click()
    page.get_by_text("Which orders change").click()
    assert _faults(page) == []
    page.goto(f"{site.base}/admin/deliveries/23")
    page.get_by_role("button", name="Reveal personal values").click()
    expect(page.get_by_text("This was written to the audit log")).to_be_visible()
    assert _faults(page) == []
    page.get_by_role("button", name="Try again …").click()
    expect(page.get_by_role("heading", name="Try again now?")).to_be_visible()
    assert _faults(page) == []
    page.get_by_role("searchbox").fill("jan.novak@example.com")
    page.get_by_role("searchbox").press("Enter")
    expect(page.get_by_role("heading", name=re.compile(r"\d+ orders"))).to_be_visible()
    assert _faults(page) == []


@needs_axe
def test_axe_finds_nothing_serious_at_the_door(site: Site, visit: Visit) -> None:
    page = visit(site)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in").wait_for()
    assert _faults(page) == []
