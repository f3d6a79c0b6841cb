"""Browsers for the admin pages, and the pages on a real database."""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from secrets import token_urlsafe

from flask import Flask
from flask.testing import FlaskClient
from jinja2 import FileSystemBytecodeCache
from werkzeug.test import TestResponse

from gateway.storage.people import Role, User, find_user, list_users
from gateway.storage.tables import to_microseconds
from gateway.web import create_app
from gateway.web.admin.guard import Visitor
from tests.web.seed import PASSWORD, Story, add_people, admin_settings, open_story

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@dataclass
class Browser:
    """A client that keeps its cookies, and posts forms with the token of the page that it last saw."""

    client: FlaskClient
    token: str = ""

    def get(self, path: str, **options: object) -> TestResponse:
        response = self.client.get(path, **options)
        self._remember(response)
        return response

    def post(self, path: str, data: Mapping[str, object] | None = None) -> TestResponse:
        response = self.client.post(path, data={"csrf_token": self.token, **(data or {})})
        self._remember(response)
        return response

    def sign_in(self, name: str, password: str = PASSWORD) -> TestResponse:
        self.get("/admin/sign-in")
        response = self.post("/admin/sign-in", {"name": name, "password": password})
        self.get("/admin/account")
        return response

    def _remember(self, response: TestResponse) -> None:
        found = _TOKEN.search(response.text) if response.mimetype == "text/html" else None
        self.token = found.group(1) if found else self.token


@dataclass
class Pages:
    """The application over a story, its people, and browsers to look at it with."""

    app: Flask
    story: Story
    people: dict[Role, User]

    def browser(self) -> Browser:
        return Browser(self.app.test_client())

    def as_role(self, role: Role) -> Browser:
        """A browser that has signed in, without the slow check of its password."""
        browser, user = self.browser(), find_user(self.story.gateway.database, self.people[role].user_id)
        assert user is not None
        browser.get("/admin/sign-in")
        with browser.client.session_transaction(path="/admin") as cookie:
            cookie.permanent = True
            cookie["_user_id"] = Visitor(user).get_id()
            cookie["began"] = to_microseconds(self.story.clock())
            cookie["id"] = token_urlsafe(16)
        browser.get("/admin/sessions")
        return browser


def open_pages(url: str, *, public_url: str = "") -> Pages:
    """Open the pages on a migrated database with nobody's orders in it."""
    story = open_story(admin_settings(url, public_url=public_url))
    app = create_app(story.gateway)
    app.jinja_env.bytecode_cache = _compiled()
    known = {user.role: user for user in list_users(story.gateway.database)}
    return Pages(app=app, story=story, people=known or add_people(story.gateway))


@cache
def _compiled() -> FileSystemBytecodeCache:
    """Compiling templates takes longer than all else; every application of a run shares the outcome."""
    return FileSystemBytecodeCache(tempfile.mkdtemp(prefix="gateway-templates-"))
