"""Find an order by its number, its id or an e-mail address, or a session by its id."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.ingest.answers import SESSION_ID
from gateway.ingest.fields import email_of
from gateway.storage.audits import log_audit
from gateway.storage.reading.orders import OrderRow, find_orders, find_orders_by_email
from gateway.storage.reading.sessions import store_of_session
from gateway.web.admin.context import running, the_user, visible_stores
from gateway.web.admin.pages import pages


@pages.post("/find")
def find() -> ResponseReturnValue:
    """Go straight to what was found; the text stays out of every address, since it may be somebody's."""
    text = request.form.get("text", "").strip()[:254]
    stores = visible_stores()
    found = _orders(text.lstrip("#").strip(), stores) if stores and text else []
    if len(found) == 1:
        return redirect(url_for("admin.order", store_id=found[0].store_id, order_id=found[0].order_id), 303)
    session = None if found else _session(text, stores)
    if session is not None:
        return redirect(url_for("admin.session", store_id=session[0], session_hash=session[1]), 303)
    if not found:
        flash(
            "Nothing was found. Try the order number as the shop shows it." if text else "Type an order number first."
        )
    return render_template(
        "admin/found.html", section="orders", rows=found, is_email="@" in text
    ), 200 if found else 404


def _orders(text: str, stores: list[str]) -> list[OrderRow]:
    if "@" not in text:
        return running().database.read(lambda connection: find_orders(connection, stores, text))
    log_audit(running().database, actor=the_user().name, action="searched_email")
    hashed = running().keyring.digest("email", email_of(text) or "")
    return running().database.read(lambda connection: find_orders_by_email(connection, stores, hashed))


def _session(text: str, stores: list[str]) -> tuple[str, str] | None:
    if not stores or not SESSION_ID.fullmatch(text):
        return None
    hashed = running().keyring.digest("session", text)
    store = running().database.read(lambda connection: store_of_session(connection, stores, hashed))
    return (store, hashed) if store else None
