"""The order list and the order page."""

from datetime import timedelta

import orjson
from flask import Response, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.flow.facts import Known, effective_of, known_by_id
from gateway.model.decision import Policy
from gateway.model.order import Origin
from gateway.storage.reading.keyset import Cursor, Page
from gateway.storage.reading.order import ROWS, OrderHistory, read_order
from gateway.storage.reading.orders import ConsentFilter, OrderFilter, OrderRow, list_orders
from gateway.storage.statements import Connection
from gateway.web.admin.clock import read_day
from gateway.web.admin.consent_panel import consent_panel
from gateway.web.admin.context import chosen_store, running, visible_stores
from gateway.web.admin.pages import pages
from gateway.web.admin.timeline import timeline


@pages.get("")
@pages.get("/")
def home() -> ResponseReturnValue:
    """Begin with the orders."""
    return redirect(url_for("admin.orders"))


@pages.get("/orders")
def orders() -> ResponseReturnValue:
    """List a store's orders."""
    store_id = chosen_store(request.args.get("store", ""))
    wanted, cursor = _wanted(), Cursor.of_text(request.args.get("page", ""))
    page: Page[OrderRow] = Page(rows=())
    if store_id:
        page = running().database.read(lambda connection: list_orders(connection, store_id, wanted, cursor))
    return render_template(
        "admin/orders.html",
        section="orders",
        store_id=store_id,
        stores=visible_stores(),
        page=page,
        filters={name: request.args.get(name, "") for name in ("consent", "origin", "since", "until")},
        consents=ConsentFilter,
        origins=Origin,
    )


@pages.get("/orders/<store_id>/<order_id>")
def order(store_id: str, order_id: str) -> ResponseReturnValue:
    """Show what was agreed, what left, and why."""
    now = running().database.now()
    found = running().database.read(lambda connection: _known(connection, store_id, order_id))
    if found is None:
        abort(404)
    history, known, policy = found
    counts = effective_of(known, policy, now)
    return render_template(
        "admin/order.html",
        section="orders",
        order=history.order,
        history=history,
        panel=consent_panel(history, known.facts, counts, policy, now),
        most=ROWS,
        entries=timeline(history, counts.lowered, now),
        policy=policy,
    )


@pages.get("/orders/<store_id>/<order_id>.json")
def order_json(store_id: str, order_id: str) -> ResponseReturnValue:
    """Return what the API says of the order, for who is signed in."""
    shown = running().order_as_json(store_id, order_id)
    if shown is None:
        abort(404)
    return Response(orjson.dumps(shown, option=orjson.OPT_INDENT_2), mimetype="application/json")


def _known(connection: Connection, store_id: str, order_id: str) -> tuple[OrderHistory, Known, Policy] | None:
    """Read an order with the facts that its deliveries are decided from."""
    history = read_order(connection, store_id, order_id)
    if history is None:
        return None
    running().policies.confirm(connection)
    policy = running().policies.newest(store_id)
    return history, known_by_id(connection, history.context, store_id, order_id, policy), policy


def _wanted() -> OrderFilter:
    consent, origin = request.args.get("consent", ""), request.args.get("origin", "")
    until = read_day(request.args.get("until", ""))
    return OrderFilter(
        consent=ConsentFilter(consent) if consent in set(ConsentFilter) else None,
        origin=origin if origin in set(Origin) else "",
        since=read_day(request.args.get("since", "")),
        until=until + timedelta(days=1) if until else None,
    )
