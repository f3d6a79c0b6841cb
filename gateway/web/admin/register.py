"""Every view is known, guarded and throttled, once per application."""

from flask import Flask, redirect, url_for
from flask.typing import ResponseReturnValue

from gateway.flow.gateway import Gateway
from gateway.web.admin import (
    account,
    actions,
    audits,
    deliveries,
    find,
    orders,
    policies,
    sessions,
    sign_in,
    users,
    welcome,
)
from gateway.web.admin.guard import set_up_guard
from gateway.web.admin.pages import pages, set_up_pages
from gateway.web.admin.throttle import set_up_throttle

_VIEWS = (sign_in, welcome, orders, deliveries, actions, sessions, policies, find, users, audits, account)


def register_admin(app: Flask, gateway: Gateway) -> None:
    """Add the pages under /admin to `app`, and the way to them."""
    set_up_guard(app, gateway)
    set_up_pages(app)
    app.register_blueprint(pages)
    app.add_url_rule("/", view_func=_to_pages, methods=["GET"])
    set_up_throttle(app, gateway)


def _to_pages() -> ResponseReturnValue:
    return redirect(url_for("admin.home"))
