"""What somebody would try who should not get in, or not that far."""

from collections.abc import Iterator
from http.cookies import SimpleCookie
from urllib.parse import quote

import pytest

from gateway.storage import people
from gateway.storage.people import Role
from gateway.web.admin.guard import ROLES
from tests.web.admin.test_access import path_of, rules_of
from tests.web.admin.test_pages import a_policy
from tests.web.browsing import Browser, Pages, open_pages
from tests.web.seed import ALL

JUNK = ("\0", "older.1~\0", "9" * 30, "older." + "9" * 30, "9999-12-31", "0001-01-01", "//[", "²", "x" * 5000)
LISTS = ("orders", "deliveries", "sessions", "audit")

# What a viewer may change: their own account, and nothing of anybody else's. Written out, so that the guard's table
# cannot vouch for itself.
OPEN_TO_VIEWERS = {"find", "sign_out", "account_zone", "account_password", "account_sessions"}
OPEN_TO_OPERATORS = {"reveal", "ask", "act", "resume", "policy_preview"}
ONLY_FOR_OWNERS = {"users", "audits"}


@pytest.fixture
def anywhere(any_url: str) -> Iterator[Pages]:
    """The pages with nothing to show, on either database."""
    opened = open_pages(any_url)
    yield opened
    opened.story.gateway.database.close()


def _limited(pages: Pages, role: Role, store: str = "nordlicht") -> Browser:
    """Somebody of an agency, who has one store."""
    vera = pages.people[Role.VIEWER]
    people.change_user(pages.story.gateway.database, vera.user_id, role=role, stores=[store], actor="olivia")
    return pages.as_role(Role.VIEWER)


def test_only_what_is_written_here_can_be_changed_by_who_is_no_owner(pages: Pages) -> None:
    for rule in rules_of(pages):
        name, needed = rule.endpoint.removeprefix("admin."), ROLES[rule.endpoint]
        if "POST" in (rule.methods or set()) and needed is not None:
            expected = Role.VIEWER if name in OPEN_TO_VIEWERS else Role.OPERATOR if name in OPEN_TO_OPERATORS else None
            assert needed is (expected or Role.OWNER), name
        elif name in ONLY_FOR_OWNERS:
            assert needed is Role.OWNER, name


@pytest.mark.parametrize("junk", JUNK)
def test_no_address_breaks_a_page(anywhere: Pages, junk: str) -> None:
    owner, app = anywhere.as_role(Role.OWNER), anywhere.app
    for path in LISTS:
        for name in ("store", "page", "since", "until", "actor", "state"):
            answer = owner.get(f"/admin/{path}", query_string={name: junk})
            assert answer.status_code in (200, 400, 404), (path, name)
    assert app.test_client().get("/admin/sign-in", query_string={"next": junk}).status_code in (200, 400)
    for path in ("orders/acme", "sessions/acme", "deliveries", "policy", "welcome"):
        assert owner.get(f"/admin/{path}/{quote(junk)}").status_code in (308, 400, 404), path


@pytest.mark.parametrize(
    "path", ["/", "/admin", "/admin//orders", "/admin/orders/", "//admin/orders", "/consent//acme"]
)
def test_no_answer_leads_to_the_host_that_a_request_names(pages: Pages, path: str) -> None:
    answer = pages.app.test_client().get(path, headers={"Host": "evil.example"})
    assert "evil.example" not in answer.headers.get("Location", "")


@pytest.mark.parametrize("junk", JUNK)
def test_no_form_breaks_a_page(anywhere: Pages, junk: str) -> None:
    owner = anywhere.as_role(Role.OWNER)
    span = {"verb": "retry", "scope": "range", "store": "acme", "destination": "container", "state": "failed"}
    for path, form in (
        ("find", {"text": junk}),
        ("deliveries/ask", {"verb": "retry", "id": junk, "back": junk}),
        ("deliveries/ask", {**span, "destination": junk, "since": "2026-11-20T00:00", "until": "2026-11-22T00:00"}),
        ("deliveries/ask", {**span, "since": junk, "until": f"{junk}T00:00"}),
        ("deliveries/act", {"verb": "retry", "id": junk, "back": junk}),
        ("policy/acme/save", a_policy(hold_seconds=junk)),
        ("users/add", {"name": junk, "role": junk, "store": junk}),
    ):
        owner.get("/admin/account")
        assert owner.post(f"/admin/{path}", form).status_code < 500, path


def test_nobody_of_one_store_reaches_another_by_any_route(told: Pages) -> None:
    agent = _limited(told, Role.OWNER)
    for rule in rules_of(told):
        if not {"store_id", "delivery_id"} & rule.arguments:
            continue
        path = path_of(told, rule)
        for method in sorted((rule.methods or set()) & {"GET", "POST"}):
            answer = agent.get(path) if method == "GET" else agent.post(path, a_policy())
            assert answer.status_code == 404, (method, path)


def test_nobody_of_one_store_chooses_what_is_anothers(told: Pages) -> None:
    agent = _limited(told, Role.OPERATOR)
    before = told.story.deliveries()
    span = {"scope": "range", "store": "acme", "destination": "newsletter", "state": "failed"}
    span |= {"since": "2026-11-01T00:00", "until": "2026-12-01T00:00"}
    for form in (span, {"id": [str(number) for number in range(1, 60)]}):
        agent.get("/admin/account")
        page = agent.post("/admin/deliveries/ask", {"verb": "retry", **form}).text
        chosen = [int(part.partition('"')[0]) for part in page.split('name="id" value="')[1:]]
        assert {str(row["store_id"]) for row in before if row["id"] in chosen} <= {"nordlicht"}
    agent.post("/admin/deliveries/act", {"verb": "cancel", "id": [str(row["id"]) for row in before]})
    assert told.story.deliveries() == before


def test_an_owner_of_one_store_hands_out_nothing(told: Pages) -> None:
    agent = _limited(told, Role.OWNER)
    assert "/admin/users" not in agent.get("/admin/orders").text
    for path in ("/admin/users/add", f"/admin/users/{told.people[Role.OPERATOR].user_id}/change"):
        assert agent.post(path, {"name": "mallory", "role": "owner"}).status_code == 403
    assert agent.get("/admin/users").status_code == 403


def test_an_owner_of_one_store_reads_of_that_store_in_the_log(told: Pages) -> None:
    owner = told.as_role(Role.OWNER)
    owner.get("/admin/policy/acme")
    owner.post("/admin/policy/acme/save", a_policy(mode="off"))
    owner.post("/admin/find", {"text": "nobody@example.com"})
    log = _limited(told, Role.OWNER, "acme").get("/admin/audit").text
    assert "changed the policy" in log
    assert "searched for" not in log
    assert "changed the policy" not in _limited(told, Role.OWNER).get("/admin/audit").text


def test_a_copied_cookie_ends_with_signing_out(pages: Pages) -> None:
    browser, thief = pages.as_role(Role.OWNER), pages.browser()
    cookie = browser.client.get_cookie("gateway", path="/admin")
    assert cookie is not None
    thief.client.set_cookie("gateway", cookie.value, path="/admin")
    assert thief.get("/admin/orders").status_code == 200
    thief.client.set_cookie("gateway", cookie.value, path="/admin")
    browser.post("/admin/sign-out")
    assert thief.get("/admin/orders").status_code == 302


def test_signing_in_keeps_nothing_of_the_session_before(pages: Pages) -> None:
    browser = pages.browser()
    browser.get("/admin/sign-in")
    planted = browser.token
    with browser.client.session_transaction(path="/admin") as cookie:
        cookie["planted"] = "yes"
    browser.sign_in("vera")
    with browser.client.session_transaction(path="/admin") as cookie:
        assert "planted" not in cookie
    browser.token = planted
    assert browser.post("/admin/find", {"text": "1"}).status_code == 400


def test_what_a_shop_writes_is_nowhere_markup(pages: Pages) -> None:
    evil, shop, owner = "<img src=x onerror=alert(1)>\"'", pages.story, pages.as_role(Role.OWNER)
    order = shop.woo(7, ALL, number=evil, status=evil, currency=evil, total=evil, customer_note=evil)
    order["meta_data"] += [{"id": 1, "key": evil, "value": {evil: evil}}]
    shop.post(order)
    shop.dispatch()
    for path in ("orders", "orders/acme/7", "deliveries", "deliveries/1", "deliveries/2"):
        text = owner.get(f"/admin/{path}").text
        assert "<img" not in text, path
    for path, form in (
        ("find", {"text": evil}),
        ("deliveries/2/reveal", {}),
        ("deliveries/ask", {"verb": "retry", "id": "2", "back": f"/admin/{evil}"}),
        ("policy/acme/preview", a_policy(mode="anonymize", hold_seconds=evil)),
        ("policy/acme/preview", a_policy(mode="off")),
    ):
        assert "<img" not in owner.post(f"/admin/{path}", form).text, path
    shown = owner.get("/admin/orders/acme/7.json")
    assert (shown.mimetype, shown.headers["X-Content-Type-Options"]) == ("application/json", "nosniff")


def _tries(pages: Pages, address: str, **headers: str) -> int:
    browser = pages.browser()
    browser.client.environ_base["REMOTE_ADDR"] = address
    browser.client.environ_base |= headers
    return browser.sign_in("olivia", "wrong").status_code


def test_another_address_of_the_same_host_is_no_way_round_the_throttle(pages: Pages) -> None:
    codes = [_tries(pages, f"2001:db8:1:2::{at:x}") for at in range(1, 13)]
    assert codes == [401] * 10 + [429] * 2
    assert _tries(pages, "2001:db8:1:3::1") == 401


def test_a_forwarded_address_that_nobody_vouches_for_is_no_way_round_the_throttle(pages: Pages) -> None:
    codes = [_tries(pages, "192.0.2.7", HTTP_X_FORWARDED_FOR=f"198.51.100.{at}") for at in range(12)]
    assert codes == [401] * 10 + [429] * 2


def test_the_present_password_cannot_be_guessed_on_the_account_page(pages: Pages) -> None:
    viewer = pages.as_role(Role.VIEWER)
    form = {"current": "wrong", "password": "another long phrase"}
    codes = [viewer.post("/admin/account/password", form).status_code for _ in range(11)]
    assert codes == [400] * 10 + [429]


def test_what_was_typed_as_a_name_is_kept_only_if_it_is_one(pages: Pages) -> None:
    for name in ("olivia", "correct-horse-battery"):
        pages.browser().sign_in(name, "wrong")
    log = pages.as_role(Role.OWNER).get("/admin/audit").text
    assert "name: olivia" in log
    assert "name: unknown" in log
    assert "correct-horse-battery" not in log


@pytest.mark.parametrize("host", ["evil.example", "gateway.example:99"])
def test_a_foreign_host_header_gets_into_no_link(pages: Pages, host: str) -> None:
    owner = pages.as_role(Role.OWNER)
    owner.client.environ_base["HTTP_HOST"] = host
    link = owner.post(f"/admin/users/{pages.people[Role.VIEWER].user_id}/link").text
    assert "http://127.0.0.1:8080/admin/welcome/" in link
    assert host not in link
    assert host not in owner.get("/admin/").headers["Location"]


def test_without_https_the_cookie_still_keeps_to_the_pages(pages: Pages) -> None:
    answer = pages.app.test_client().get("/admin/sign-in")
    cookie = SimpleCookie(answer.headers["Set-Cookie"])["gateway"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/admin")
