"""Users: who may sign in, as what, and for which stores."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.errors import RequestInvalid
from gateway.storage import people
from gateway.storage.people import Role
from gateway.web.admin.context import ROW_ID, running, the_user
from gateway.web.admin.guard import begin_session
from gateway.web.admin.pages import pages


@pages.get("/users")
def users() -> ResponseReturnValue:
    """List every user."""
    return _shown()


@pages.post("/users/add")
def user_add() -> ResponseReturnValue:
    """Add a user, and make the link by which they choose a password."""
    name = request.form.get("name", "").strip()
    try:
        user = people.add_user(running().database, name=name, role=_role(), stores=_stores(), actor=the_user().name)
    except RequestInvalid as error:
        return _shown(errors=error.errors, name=name)
    return _shown(link=_link(user.user_id), link_for=user.name)


@pages.post(f"/users/<{ROW_ID}:user_id>/change")
def user_change(user_id: int) -> ResponseReturnValue:
    """Change a role and its stores."""
    try:
        user = people.change_user(running().database, user_id, role=_role(), stores=_stores(), actor=the_user().name)
    except RequestInvalid as error:
        return _shown(errors=error.errors)
    if user_id == the_user().user_id:
        begin_session(user)
    flash(f"{user.name} is now {user.role}.")
    return redirect(url_for("admin.users"), 303)


@pages.post(f"/users/<{ROW_ID}:user_id>/disable")
def user_disable(user_id: int) -> ResponseReturnValue:
    """Shut a user out, or let them in again."""
    disabled = request.form.get("disabled") == "yes"
    try:
        user = people.set_disabled(running().database, user_id, disabled=disabled, actor=the_user().name)
    except RequestInvalid as error:
        return _shown(errors=error.errors)
    flash(f"{user.name} was {'shut out' if disabled else 'let in again'}.")
    return redirect(url_for("admin.users"), 303)


@pages.post(f"/users/<{ROW_ID}:user_id>/link")
def user_link(user_id: int) -> ResponseReturnValue:
    """Make a one-time link by which a user chooses a new password."""
    user = people.find_user(running().database, user_id)
    if user is None:
        return _shown(errors={"user": ["there is no such user, or they were shut out"]})
    return _shown(link=_link(user_id), link_for=user.name)


def _shown(
    *, errors: dict[str, list[str]] | None = None, name: str = "", link: str = "", link_for: str = ""
) -> ResponseReturnValue:
    page = render_template(
        "admin/users.html",
        section="users",
        users=people.list_users(running().database),
        roles=Role,
        stores=[store.id for store in running().settings.stores],
        errors=errors or {},
        name=name,
        link=link,
        link_for=link_for,
    )
    return page, 400 if errors else 200


def _link(user_id: int) -> str:
    return people.invite(running().database, user_id, running().settings.web.base_url, actor=the_user().name)


def _role() -> Role:
    text = request.form.get("role", "")
    return Role(text) if text in set(Role) else Role.VIEWER


def _stores() -> list[str]:
    """Read which stores a user is limited to; none means all."""
    known = [store.id for store in running().settings.stores]
    return [store_id for store_id in request.form.getlist("store") if store_id in known]
