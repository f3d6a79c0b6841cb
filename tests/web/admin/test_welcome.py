"""One-time links: the first user, and users who choose a password."""

from collections.abc import Iterator

import pytest

from gateway.storage import people
from gateway.storage.people import Role
from gateway.web import create_app
from tests.web.browsing import Browser, Pages
from tests.web.seed import admin_settings, open_story


@pytest.fixture
def unpeopled(sqlite_url: str) -> Iterator[Pages]:
    """A gateway that nobody can sign in to yet."""
    story = open_story(admin_settings(sqlite_url))
    yield Pages(app=create_app(story.gateway), story=story, people={})
    story.gateway.database.close()


def _link(pages: Pages) -> str:
    link = people.first_user_link(pages.story.gateway.database, "http://127.0.0.1:8080")
    assert link is not None
    return link.removeprefix("http://127.0.0.1:8080")


def _choose(browser: Browser, path: str, password: str = "a long enough phrase") -> int:
    browser.get(path)
    return browser.post(path, {"name": "first", "password": password}).status_code


def test_the_first_user_comes_in_by_the_printed_link_as_owner(unpeopled: Pages) -> None:
    browser = unpeopled.browser()
    assert _choose(browser, _link(unpeopled)) == 303
    assert browser.get("/admin/users").status_code == 200


def test_the_printed_link_works_once(unpeopled: Pages) -> None:
    path = _link(unpeopled)
    _choose(unpeopled.browser(), path)
    assert unpeopled.browser().get(path).status_code == 404
    assert people.first_user_link(unpeopled.story.gateway.database, "") is None


def test_the_printed_link_ends_after_an_hour(unpeopled: Pages) -> None:
    path = _link(unpeopled)
    unpeopled.story.clock.pass_by(minutes=61)
    assert unpeopled.browser().get(path).status_code == 404


def test_a_new_link_ends_the_one_before(unpeopled: Pages) -> None:
    before, after = _link(unpeopled), _link(unpeopled)
    assert unpeopled.browser().get(before).status_code == 404
    assert unpeopled.browser().get(after).status_code == 200


def test_the_link_dies_when_a_user_is_added_by_other_means(unpeopled: Pages) -> None:
    path = _link(unpeopled)
    people.add_user(
        unpeopled.story.gateway.database, name="cli", role=Role.OWNER, actor="command line", password="p" * 8 + "wxyz12"
    )
    assert unpeopled.browser().get(path).status_code == 404


def test_a_short_password_is_explained_and_the_link_stays(unpeopled: Pages) -> None:
    path = _link(unpeopled)
    browser = unpeopled.browser()
    assert _choose(browser, path, "short") == 400
    assert _choose(browser, path) == 303


def test_an_invited_user_chooses_a_password(pages: Pages) -> None:
    owner = pages.as_role(Role.OWNER)
    shown = owner.post("/admin/users/add", {"name": "irma", "role": "operator", "store": ["acme"]}).text
    path = "/admin/welcome/" + shown.partition("/admin/welcome/")[2].partition("<")[0]
    invited = pages.browser()
    assert _choose(invited, path, "irma needs none of it") == 400
    assert _choose(invited, path) == 303
    assert "oscar" not in invited.get("/admin/account").text
    assert pages.browser().sign_in("irma", "a long enough phrase").status_code == 303


def test_a_user_without_a_password_cannot_sign_in(pages: Pages) -> None:
    people.add_user(pages.story.gateway.database, name="irma", role=Role.VIEWER, actor="olivia")
    assert pages.browser().sign_in("irma", "").status_code == 401


def test_a_used_link_says_what_to_do(unpeopled: Pages) -> None:
    path = _link(unpeopled)
    _choose(unpeopled.browser(), path)
    assert "This link no longer works" in unpeopled.browser().get(path).text


def test_the_first_user_reads_times_in_the_zone_of_their_browser(unpeopled: Pages) -> None:
    browser, path = unpeopled.browser(), _link(unpeopled)
    browser.get(path)
    browser.post(path, {"name": "first", "password": "a long enough phrase", "zone": "Europe/Berlin"})
    assert "<option selected>Europe/Berlin</option>" in browser.get("/admin/account").text
