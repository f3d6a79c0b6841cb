"""Signing in and out."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.storage import people
from gateway.storage.audits import log_audit
from gateway.web.admin.clock import learn_zone
from gateway.web.admin.context import is_our_page, running, signed_in, the_user
from gateway.web.admin.guard import begin_session, end_session
from gateway.web.admin.pages import pages


@pages.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Ask for name and password; a wrong one never says which of the two it was."""
    target = _local_target(request.args.get("next", ""))
    if request.method == "GET":
        return redirect(target) if signed_in() else render_template("admin/sign_in.html", next=target)
    name = request.form.get("name", "").strip()
    database = running().database
    user = people.sign_in(database, name, request.form.get("password", ""))
    if user is None:
        known = name if people.is_known(database, name) else "unknown"  # some type their password here
        log_audit(database, actor="nobody", action="sign_in_failed", detail={"name": known})
        return render_template("admin/sign_in.html", next=target, name=name, has_failed=True), 401
    begin_session(user)
    log_audit(database, actor=user.name, action="signed_in")
    learn_zone(user)
    return redirect(target, 303)


@pages.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End this session."""
    log_audit(running().database, actor=the_user().name, action="signed_out")
    end_session()
    return redirect(url_for("admin.sign_in"), 303)


def _local_target(wanted: str) -> str:
    """Only pages of ours may follow a sign-in."""
    return wanted if is_our_page(wanted) else url_for("admin.home")
