"""One's own account: time zone, password, sessions."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.errors import RequestInvalid
from gateway.storage import people
from gateway.web.admin.clock import zone_names
from gateway.web.admin.context import running, the_user
from gateway.web.admin.guard import begin_session
from gateway.web.admin.pages import pages


@pages.get("/account")
def account() -> ResponseReturnValue:
    """Show one's own settings."""
    return _shown()


@pages.post("/account/zone")
def account_zone() -> ResponseReturnValue:
    """Choose in which time zone to read."""
    zone = request.form.get("zone", "")
    if zone not in zone_names():
        return _shown({"zone": ["is not a known time zone"]})
    people.set_zone(running().database, the_user().user_id, zone)
    flash(f"Times are now shown in {zone}.")
    return redirect(url_for("admin.account"), 303)


@pages.post("/account/password")
def account_password() -> ResponseReturnValue:
    """Choose a new password; every other session ends."""
    user, database = the_user(), running().database
    if people.sign_in(database, user.name, request.form.get("current", "")) is None:
        return _shown({"current": ["is not your password"]})
    try:
        changed = people.set_password(database, user.user_id, request.form.get("password", ""), actor=user.name)
    except RequestInvalid as error:
        return _shown(error.errors)
    begin_session(changed)
    flash("Your password was changed. All other sessions have ended.")
    return redirect(url_for("admin.account"), 303)


@pages.post("/account/sessions")
def account_sessions() -> ResponseReturnValue:
    """Sign out on every device."""
    people.end_sessions(running().database, the_user().user_id, actor=the_user().name)
    return redirect(url_for("admin.sign_in"), 303)


def _shown(errors: dict[str, list[str]] | None = None) -> ResponseReturnValue:
    page = render_template("admin/account.html", section="account", zones=zone_names(), errors=errors or {})
    return page, 400 if errors else 200
