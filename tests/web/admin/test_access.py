"""Who gets in, as what, and for how long."""

import re
from datetime import timedelta

import pytest
from werkzeug.routing import Rule

from gateway.storage import people
from gateway.storage.people import Role
from gateway.web import create_app
from gateway.web.admin.guard import ABSOLUTE, ROLES
from tests.web.browsing import Pages, open_pages
from tests.web.seed import PASSWORD

_SAMPLES = {
    "store_id": "acme",
    "order_id": "1042",
    "delivery_id": 1,
    "user_id": 1,
    "session_hash": "a" * 32,
    "token": "nothing",
    "_anything": "nothing/at/all",
    "filename": "admin.css",
}


def rules_of(pages: Pages) -> list[Rule]:
    return [rule for rule in pages.app.url_map.iter_rules() if rule.rule.startswith("/admin")]


def path_of(pages: Pages, rule: Rule) -> str:
    with pages.app.test_request_context():
        path: str = pages.app.url_map.bind("localhost").build(
            rule.endpoint, {name: _SAMPLES[name] for name in rule.arguments}
        )
        return path


def _guarded(pages: Pages) -> list[tuple[str, str, Role]]:
    return [
        (method, path_of(pages, rule), needed)
        for rule in rules_of(pages)
        if (needed := ROLES[rule.endpoint]) is not None
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def test_the_table_names_every_route_and_nothing_else(pages: Pages) -> None:
    assert {rule.endpoint for rule in rules_of(pages)} == set(ROLES)


def test_only_three_routes_are_open_to_everybody() -> None:
    assert {name for name, role in ROLES.items() if role is None} == {"admin.static", "admin.sign_in", "admin.welcome"}


def test_no_route_lets_a_stranger_in(told: Pages) -> None:
    stranger = told.browser()
    stranger.get("/admin/sign-in")
    for method, path, _ in _guarded(told):
        answer = stranger.get(path) if method == "GET" else stranger.post(path)
        is_sent_away = answer.status_code == 302 and "/admin/sign-in" in answer.headers["Location"]
        assert is_sent_away or answer.status_code == 403, (method, path)


@pytest.mark.parametrize("role", list(Role))
def test_every_route_wants_its_role(told: Pages, role: Role) -> None:
    for method, path, needed in _guarded(told):
        browser = told.as_role(role)
        answer = browser.get(path) if method == "GET" else browser.post(path)
        assert (answer.status_code == 403) == (not role.may(needed)), (method, path, answer.status_code)


def test_every_form_is_refused_without_its_token(told: Pages) -> None:
    owner = told.as_role(Role.OWNER)
    for rule in rules_of(told):
        if "POST" in (rule.methods or set()):
            answer = owner.client.post(path_of(told, rule), data={"name": "x"})
            assert answer.status_code == 400, rule.rule


def test_a_token_of_another_session_is_refused(told: Pages) -> None:
    other = told.as_role(Role.OWNER)
    owner = told.as_role(Role.OWNER)
    owner.token = other.token
    assert owner.post("/admin/find", {"text": "1042"}).status_code == 400


def test_a_wrong_password_says_nothing_about_the_name(pages: Pages) -> None:
    browser = pages.browser()
    answers = [browser.sign_in(name, "wrong password 1") for name in ("olivia", "nobody-of-that-name")]
    texts = [re.sub(r'value="[^"]*"', "", answer.text) for answer in answers]
    assert answers[0].status_code == answers[1].status_code == 401
    assert texts[0] == texts[1]


def test_signing_in_is_throttled_across_processes(pages: Pages) -> None:
    app = create_app(pages.story.gateway)
    other = Pages(app=app, story=pages.story, people=pages.people)
    codes = [browser.sign_in("olivia", "wrong").status_code for browser in (pages.browser(), other.browser()) * 6]
    assert codes == [401] * 10 + [429] * 2
    assert other.browser().sign_in("olivia").status_code == 429
    pages.story.clock.pass_by(minutes=6)
    assert pages.browser().sign_in("olivia").status_code == 303


def test_signing_in_right_is_never_throttled(pages: Pages) -> None:
    assert {pages.browser().sign_in("vera").status_code for _ in range(12)} == {303}


def test_a_session_ends_after_twelve_hours(pages: Pages) -> None:
    browser = pages.as_role(Role.VIEWER)
    pages.story.clock.pass_by(hours=ABSOLUTE / timedelta(hours=1) - 1)
    assert browser.get("/admin/orders").status_code == 200
    pages.story.clock.pass_by(hours=1.1)
    assert browser.get("/admin/orders").status_code == 302


def test_a_changed_role_ends_the_sessions_of_its_user(pages: Pages) -> None:
    viewer = pages.as_role(Role.VIEWER)
    vera = pages.people[Role.VIEWER]
    people.change_user(pages.story.gateway.database, vera.user_id, role=Role.VIEWER, stores=["acme"], actor="olivia")
    assert viewer.get("/admin/orders").status_code == 302


def test_signing_out_everywhere_ends_other_sessions(pages: Pages) -> None:
    here, there = pages.as_role(Role.OWNER), pages.as_role(Role.OWNER)
    here.post("/admin/account/sessions")
    assert there.get("/admin/orders").status_code == 302


def test_the_cookie_is_kept_from_scripts_and_other_sites(sqlite_url: str) -> None:
    pages = open_pages(sqlite_url, public_url="https://gateway.example")
    answer = pages.app.test_client().get("/admin/sign-in", base_url="https://gateway.example")
    cookie = answer.headers["Set-Cookie"]
    assert all(word in cookie for word in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/admin", "__Secure-gateway="))
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    pages.story.gateway.database.close()


def test_pages_are_neither_cached_framed_nor_scripted_by_others(told: Pages) -> None:
    headers = told.as_role(Role.OWNER).get("/admin/orders/acme/1042").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/admin/nothing", "/admin/orders/acme", "/admin/policy/acme/preview"])
def test_an_address_that_leads_nowhere_is_a_page_like_any_other(shown: Pages, path: str) -> None:
    answer = shown.as_role(Role.VIEWER).get(path)
    assert answer.status_code == 404
    assert "There is no such page" in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert shown.browser().get(path).status_code == 302


def test_what_breaks_is_told_without_its_cause(told: Pages) -> None:
    def broken() -> str:
        raise RuntimeError("jan.novak@example.com")

    told.app.config["PROPAGATE_EXCEPTIONS"] = False
    told.app.view_functions["admin.sessions"] = broken
    answer = told.as_role(Role.VIEWER).get("/admin/sessions")
    assert answer.status_code == 500
    assert "Something went wrong" in answer.text
    assert "novak" not in answer.text


def test_files_are_kept_until_they_change(shown: Pages) -> None:
    browser = shown.browser()
    addresses = re.findall(r'(?:href|src)="(/admin/static/[^"]+)"', browser.get("/admin/sign-in").text)
    assert len(addresses) == 4
    for address, life in [*((one, "31536000, immutable") for one in addresses), ("/admin/static/admin.css", "3600")]:
        with browser.get(address) as answer:
            assert (answer.status_code, answer.headers["Cache-Control"]) == (200, f"public, max-age={life}")


def test_no_page_holds_inline_script_or_style(told: Pages) -> None:
    owner = told.as_role(Role.OWNER)
    for method, path, _ in _guarded(told):
        if method == "GET" and not path.endswith(".json"):
            text = owner.get(path).text
            assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son[a-z]+=|hx-on|javascript:", text), path


def test_a_user_of_one_store_sees_nothing_of_another(told: Pages) -> None:
    database, vera = told.story.gateway.database, told.people[Role.VIEWER]
    people.change_user(database, vera.user_id, role=Role.OPERATOR, stores=["nordlicht"], actor="olivia")
    agent = told.as_role(Role.VIEWER)
    for path in (
        "/admin/orders/acme/1042",
        "/admin/orders/acme/1042.json",
        "/admin/deliveries/1",
        "/admin/policy/acme",
    ):
        assert agent.get(path).status_code == 404, path
    assert "1042" not in agent.get("/admin/orders?store=acme").text
    assert agent.post("/admin/find", {"text": "1042"}).status_code == 404
    agent.post("/admin/deliveries/act", {"verb": "cancel", "id": "42"})
    assert told.story.deliveries()[41]["state"] == "held"


def test_after_signing_in_one_goes_on_where_one_wanted_to(told: Pages) -> None:
    browser = told.browser()
    away = browser.get("/admin/orders/acme/1042").headers["Location"]
    browser.get(away)
    answer = browser.post(away, {"name": "vera", "password": PASSWORD})
    assert answer.headers["Location"] == "/admin/orders/acme/1042"


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "/webhooks/acme", "//["]
)
def test_nobody_is_sent_elsewhere_after_signing_in(pages: Pages, target: str) -> None:
    browser = pages.browser()
    browser.get("/admin/sign-in")
    form = {"name": "vera", "password": PASSWORD, "csrf_token": browser.token}
    answer = browser.client.post("/admin/sign-in", query_string={"next": target}, data=form)
    assert answer.headers["Location"] == "/admin/"
