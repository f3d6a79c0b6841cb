"""One-time links: the first user makes an account, an invited one chooses a password."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.errors import RequestInvalid
from gateway.storage import people
from gateway.storage.audits import log_audit
from gateway.web.admin import words
from gateway.web.admin.clock import learn_zone
from gateway.web.admin.context import running
from gateway.web.admin.guard import begin_session
from gateway.web.admin.pages import pages


@pages.route("/welcome/<token>", methods=["GET", "POST"])
def welcome(token: str) -> ResponseReturnValue:
    """Choose a password through a link that ends with it."""
    database = running().database
    link = people.find_link(database, token)
    if link is None:
        title, text = words.DEAD_LINK
        return render_template("admin/error.html", title=title, text=text), 404
    errors: dict[str, list[str]] = {}
    if request.method == "POST":
        try:
            user = people.use_link(
                database, token, name=request.form.get("name", "").strip(), password=request.form.get("password", "")
            )
        except RequestInvalid as error:
            errors, user = error.errors, None
        if user is not None:
            begin_session(user)
            learn_zone(user)
            log_audit(database, actor=user.name, action="signed_in")
            flash("Welcome.")
            return redirect(url_for("admin.home"), 303)
    page = render_template(
        "admin/welcome.html", link=link, token=token, errors=errors, name=request.form.get("name", "")
    )
    return page, 400 if errors else 200
