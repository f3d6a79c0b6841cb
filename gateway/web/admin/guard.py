"""Who may open which page: one table, asked before every request; what it does not name is refused."""

from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from secrets import token_urlsafe

from flask import Flask, abort, flash, g, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFProtect

from gateway.flow.gateway import Gateway
from gateway.storage import people, throttles
from gateway.storage.people import Role, User
from gateway.storage.tables import of_microseconds, to_microseconds
from gateway.web.access import holds_nul
from gateway.web.admin.context import running, signed_in
from gateway.web.admin.pages import pages

IDLE = timedelta(hours=2)
ABSOLUTE = timedelta(hours=12)
_BEGAN = "began"
_SESSION_ID = "id"

# The least role that each route needs; None lets everybody in.
ROLES: Mapping[str, Role | None] = {
    "admin.static": None,
    "admin.sign_in": None,
    "admin.welcome": None,
    "admin.home": Role.VIEWER,
    "admin.nowhere": Role.VIEWER,
    "admin.sign_out": Role.VIEWER,
    "admin.find": Role.VIEWER,
    "admin.orders": Role.VIEWER,
    "admin.order": Role.VIEWER,
    "admin.order_json": Role.VIEWER,
    "admin.deliveries": Role.VIEWER,
    "admin.delivery": Role.VIEWER,
    "admin.reveal": Role.OPERATOR,
    "admin.ask": Role.OPERATOR,
    "admin.act": Role.OPERATOR,
    "admin.resume": Role.OPERATOR,
    "admin.sessions": Role.VIEWER,
    "admin.session": Role.VIEWER,
    "admin.policies": Role.VIEWER,
    "admin.policy": Role.VIEWER,
    "admin.policy_preview": Role.OPERATOR,
    "admin.policy_save": Role.OWNER,
    "admin.users": Role.OWNER,
    "admin.user_add": Role.OWNER,
    "admin.user_change": Role.OWNER,
    "admin.user_link": Role.OWNER,
    "admin.user_disable": Role.OWNER,
    "admin.audits": Role.OWNER,
    "admin.account": Role.VIEWER,
    "admin.account_zone": Role.VIEWER,
    "admin.account_password": Role.VIEWER,
    "admin.account_sessions": Role.VIEWER,
}

# Users are everybody's: who owns some stores only could hand out more than they have.
EVERY_STORE = frozenset(name for name in ROLES if name.startswith("admin.user"))

_csrf = CSRFProtect()
_logins = LoginManager()


class Visitor:
    """A user as the sign-in library sees one; its id ends with the user's generation."""

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, user: User) -> None:
        """Stand for `user`."""
        self.user = user

    def get_id(self) -> str:
        return f"{self.user.user_id}.{self.user.generation}"


def set_up_guard(app: Flask, gateway: Gateway) -> None:
    """Sign cookies with a key of the gateway's, and ask the table before every page."""
    is_https = gateway.settings.web.base_url.startswith("https://")
    app.config.update(
        SECRET_KEY=gateway.keyring.subkey("cookies"),
        SECRET_KEY_FALLBACKS=gateway.keyring.previous_subkeys("cookies"),
        SESSION_COOKIE_NAME="__Secure-gateway" if is_https else "gateway",
        SESSION_COOKIE_PATH="/admin",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=is_https,
        PERMANENT_SESSION_LIFETIME=IDLE,
        WTF_CSRF_CHECK_DEFAULT=False,  # stores and browsers post elsewhere; the guard checks every page
        WTF_CSRF_TIME_LIMIT=int(ABSOLUTE.total_seconds()),
        WTF_CSRF_SSL_STRICT=False,  # pages send no referrer at all
    )
    _csrf.init_app(app)
    _logins.init_app(app)
    _logins.user_loader(_load)


def begin_session(user: User) -> None:
    """Sign a user in, in a session that holds nothing from before."""
    session.clear()
    session.permanent = True
    session[_BEGAN] = to_microseconds(running().database.now())
    session[_SESSION_ID] = token_urlsafe(16)
    login_user(Visitor(user))
    g.admin_user = user


def end_session() -> None:
    """Sign out; a copy of the cookie is worth nothing from then on."""
    throttles.count_try(running().database, _ended(session[_SESSION_ID]), life_seconds=int(ABSOLUTE.total_seconds()))
    logout_user()
    session.clear()
    g.admin_user = None


@pages.before_request
def guard() -> ResponseReturnValue | None:
    """Let in who may come in; ask the others to sign in."""
    endpoint = request.endpoint or ""
    if endpoint not in ROLES:
        abort(403)
    if holds_nul(*request.form.values()):
        abort(400)
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        _csrf.protect()
    needed = ROLES[endpoint]
    if endpoint != "admin.static":
        g.admin_user = _current_user()
    if needed is None:
        return None
    user = signed_in()
    if user is None:
        return _to_sign_in()
    if not user.role.may(needed) or (endpoint in EVERY_STORE and user.stores):
        abort(403)
    _hide_other_stores(user)
    return None


def _hide_other_stores(user: User) -> None:
    store_id = (request.view_args or {}).get("store_id")
    if store_id is not None and (not user.may_see(store_id) or running().settings.store(store_id) is None):
        abort(404)


def _current_user() -> User | None:
    visitor = current_user._get_current_object()  # noqa: SLF001 - how the library hands out what its proxy stands for
    return visitor.user if isinstance(visitor, Visitor) else None


def _load(visitor_id: str) -> Visitor | None:
    """Return who a cookie stands for: nobody once it is too old, was signed out, or its user's generation changed."""
    user_id, _, generation = visitor_id.partition(".")
    began, session_id = session.get(_BEGAN), session.get(_SESSION_ID)
    if not user_id.isdigit() or not isinstance(began, int) or not isinstance(session_id, str):
        return None
    if running().database.now() - of_microseconds(began) > ABSOLUTE:
        return None
    user = people.find_user(running().database, int(user_id), unless=_ended(session_id))
    return Visitor(user) if user and str(user.generation) == generation else None


def _ended(session_id: str) -> str:
    """The key under which it is counted that a session was signed out."""
    return sha256(f"ended:{session_id}".encode()).hexdigest()


def _to_sign_in() -> ResponseReturnValue:
    if request.method != "GET":
        abort(403)
    if session.pop("_user_id", None):
        flash("Your session has ended. Sign in to go on.")
    target = url_for("admin.sign_in", next=request.full_path.rstrip("?"))
    if request.headers.get("HX-Request") == "true":
        return "", 200, {"HX-Redirect": target}
    return redirect(target)
