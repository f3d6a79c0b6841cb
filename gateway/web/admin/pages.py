"""The blueprint, what every template knows, and the headers of every answer."""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, abort, g, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import generate_csrf
from werkzeug.exceptions import HTTPException

from gateway.errors import NotRecorded
from gateway.storage.people import Role, User
from gateway.web.admin import words
from gateway.web.admin.clock import both_times, day_of, hour_of, local_time, machine_time, since_words
from gateway.web.admin.context import running, signed_in

pages = Blueprint("admin", __name__, url_prefix="/admin", static_folder="static", template_folder="templates")

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "font-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()"


@dataclass(frozen=True, slots=True)
class NavItem:
    """One entry of the navigation; `section` is what pages name as theirs."""

    section: str
    title: str
    endpoint: str
    icon: str
    role: Role = Role.VIEWER
    needs_every_store: bool = False

    def is_for(self, user: User) -> bool:
        """Whether the user may open it."""
        return user.role.may(self.role) and not (self.needs_every_store and user.stores)


NAVIGATION = (
    NavItem("orders", "Orders", "admin.orders", "receipt"),
    NavItem("deliveries", "Deliveries", "admin.deliveries", "send"),
    NavItem("sessions", "Sessions", "admin.sessions", "eye"),
    NavItem("policy", "Policy", "admin.policies", "scale"),
    NavItem("users", "Users", "admin.users", "people", Role.OWNER, needs_every_store=True),
    NavItem("audits", "Audit log", "admin.audits", "book", Role.OWNER),
)


def set_up_pages(app: Flask) -> None:
    """Give templates their words, and answers their headers."""
    app.jinja_env.filters.update(
        local_time=local_time,
        both_times=both_times,
        machine_time=machine_time,
        day_time=day_of,
        hour_time=hour_of,
        ago=since_words,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


@cache
def _mark_of(name: str) -> str:
    return sha256((Path(__file__).parent / "static" / name).read_bytes()).hexdigest()[:12]


def asset(name: str) -> str:
    """Return the address of a file of ours, another one for each content: after an upgrade no old one is used."""
    return url_for("admin.static", filename=name, v=_mark_of(name))


@pages.context_processor
def _shared() -> dict[str, Any]:
    user = signed_in()
    return {
        "user": user,
        "may": lambda role: user is not None and user.role.may(Role(role)),
        "navigation": [item for item in NAVIGATION if user is not None and item.is_for(user)],
        "words": words,
        "csrf_token": generate_csrf,
        "asset": asset,
        "is_fragment": request.headers.get("HX-Request") == "true",
    }


@pages.after_request
def add_headers(response: Response) -> Response:
    """Keep pages out of caches, frames and referrers, and let nothing run that is not ours."""
    headers = response.headers
    headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "no-referrer"
    headers["Permissions-Policy"] = PERMISSIONS_POLICY
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    if request.endpoint == "admin.static":
        life = "31536000, immutable" if "v" in request.args else "3600"
        headers["Cache-Control"] = f"public, max-age={life}"
    else:
        headers["Cache-Control"] = "no-store"
    if running().settings.web.base_url.startswith("https://"):
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return response


@pages.get("/<path:_anything>")
def nowhere(_anything: str) -> ResponseReturnValue:
    """Say that there is no such page as a page of ours, with its headers."""
    abort(404)


@pages.errorhandler(HTTPException)
def explain(error: HTTPException) -> ResponseReturnValue:
    """Show an error as a page in plain words."""
    if error.code is None or error.code < 400:  # noqa: PLR2004 - redirects are no errors
        return error
    title, text = words.ERRORS.get(error.code, ("Something went wrong", error.description or ""))
    return render_template("admin/error.html", title=title, text=text, code=error.code), error.code


@pages.errorhandler(NotRecorded)
def explain_outage(error: NotRecorded) -> ResponseReturnValue:
    """Say that the database does not answer; who is signed in is not known then either."""
    g.admin_user = None
    return render_template("admin/error.html", title="Not just now", text=str(error), code=503), 503
