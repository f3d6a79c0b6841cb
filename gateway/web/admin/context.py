"""What a page asks of the gateway and of the request, with types."""

from typing import Final

from flask import abort, current_app, g

from gateway.flow.gateway import Gateway
from gateway.storage.people import User

#: In a route: a number of a row. One that no database holds leads nowhere.
ROW_ID: Final = "int(max=9223372036854775807)"


def running() -> Gateway:
    """Return the gateway behind this application."""
    gateway: Gateway = current_app.extensions["gateway"]
    return gateway


def signed_in() -> User | None:
    """Return who is signed in."""
    user: User | None = g.get("admin_user")
    return user


def the_user() -> User:
    """Return who is signed in; the guard has let nobody else through."""
    user = signed_in()
    if user is None:
        abort(403)
    return user


def visible_stores() -> list[str]:
    """Return the stores that the user may see, in the order of the settings."""
    return [store.id for store in running().settings.stores if the_user().may_see(store.id)]


def chosen_store(wanted: str) -> str:
    """Return `wanted`, or the user's first store when they name none, "" when there is none; 404 for any other."""
    stores = visible_stores()
    if wanted and wanted not in stores:
        abort(404)
    return wanted or (stores[0] if stores else "")


def is_our_page(target: str) -> bool:
    """Whether a browser that follows `target` stays on these pages."""
    return target.startswith("/admin/") and "\\" not in target and "//" not in target and target.isprintable()
