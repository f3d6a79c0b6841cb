"""Every route is either public on purpose, or asks who is there."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.routing import Rule

from gateway.web import create_app
from gateway.web.access import GUARD
from gateway.web.admin.guard import ROLES
from tests.shops import open_shop, settings_for

# Each with the reason why anybody may come here.
PUBLIC = {
    ("GET", "/"),  # only says where the pages are
    ("POST", "/webhooks/<store_id>"),  # the signature is the credential
    ("POST", "/consent/<store_id>"),  # browsers; their origin is checked
    ("OPTIONS", "/consent/<store_id>"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),  # no personal data; whoever exposes the port decides who sees it
}
OPEN_PAGES = {"admin.static", "admin.sign_in", "admin.welcome"}
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture(scope="module")
def app(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    path = tmp_path_factory.mktemp("routes") / "gateway.db"
    shutil.copy(sqlite_template, path)
    shop = open_shop(settings_for(f"sqlite:///{path}"))
    yield create_app(shop.gateway)
    shop.gateway.close()


def guarded(app: Flask) -> list[tuple[str, Rule]]:
    return [
        (method, rule)
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) & METHODS)
        if (method, rule.rule) not in PUBLIC and rule.endpoint not in OPEN_PAGES
    ]


def path_of(app: Flask, rule: Rule) -> str:
    samples = {name: 1 if "int" in type(rule._converters[name]).__name__.lower() else "x" for name in rule.arguments}
    samples |= {"store_id": "acme"} if "store_id" in samples else {}
    path: str = app.url_map.bind("localhost").build(rule.endpoint, samples)
    return path


def test_every_view_that_is_not_public_carries_a_guard(app: Flask) -> None:
    bare = [
        rule.rule
        for _, rule in guarded(app)
        if not hasattr(app.view_functions[rule.endpoint], GUARD) and ROLES.get(rule.endpoint) is None
    ]

    assert bare == []
    assert len(guarded(app)) > 30


def test_nobody_gets_anything_without_credentials(app: Flask) -> None:
    for method, rule in guarded(app):
        answer = app.test_client().open(path_of(app, rule), method=method)

        is_form = rule.rule.startswith("/admin") and method != "GET"  # one without its token is not even looked at
        assert answer.status_code in ({302, 400, 403} if is_form else {302, 401}), (method, rule.rule)
        if answer.status_code == 302:
            assert answer.headers["Location"].startswith("/admin/sign-in"), rule.rule


def test_a_made_up_token_opens_nothing(app: Flask) -> None:
    for method, rule in guarded(app):
        if rule.rule.startswith("/api/"):
            headers = {"Authorization": "Bearer cgw_made_up"}

            assert app.test_client().open(path_of(app, rule), method=method, headers=headers).status_code == 401


def test_public_routes_are_there_and_change_nothing_by_themselves(app: Flask) -> None:
    known = {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) & {*METHODS, "OPTIONS"}
    }

    assert PUBLIC - known <= {("GET", "/consent.js")}
    assert app.test_client().post("/webhooks/acme", data=b"{}").status_code == 401
