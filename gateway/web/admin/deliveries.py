"""The delivery list, and one delivery with what came in beside what left."""

from typing import Any

from flask import abort, render_template, request
from flask.typing import ResponseReturnValue

from gateway.ingest.body import read_body
from gateway.model.decision import Action, Reason
from gateway.model.delivery import DeliveryKind, DeliveryState
from gateway.model.order import Platform, TopicGroup
from gateway.redact.apply import Rules, Shape, shape_of
from gateway.storage.audits import log_audit
from gateway.storage.pausing import read_pauses
from gateway.storage.reading.deliveries import (
    AttemptRow,
    DeliveryFilter,
    DeliveryRow,
    SealedBody,
    former_destinations,
    list_deliveries,
    read_attempts,
    read_delivery,
    read_sealed_body,
)
from gateway.storage.reading.keyset import Cursor, Page
from gateway.storage.sealing import CannotOpen
from gateway.storage.statements import Connection
from gateway.web.admin.comparison import Delivered, Line, compare
from gateway.web.admin.context import ROW_ID, chosen_store, running, the_user, visible_stores
from gateway.web.admin.pages import pages


@pages.get("/deliveries")
def deliveries() -> ResponseReturnValue:
    """List a store's deliveries."""
    store_id = chosen_store(request.args.get("store", ""))
    destinations = destinations_of(store_id)
    former = running().database.read(lambda connection: former_destinations(connection, store_id, destinations))
    destination_id, state = request.args.get("destination", ""), request.args.get("state", "")
    wanted = DeliveryFilter(
        destinations=[*destinations, *former],
        destination_id=destination_id if destination_id in (*destinations, *former) else "",
        state=DeliveryState(state) if state in set(DeliveryState) else None,
    )
    cursor = Cursor.of_text(request.args.get("page", ""))
    page: Page[DeliveryRow] = Page(rows=())
    pauses = [one for one in running().database.read(read_pauses) if one.destination_id in destinations]
    if store_id:
        page = running().database.read(lambda connection: list_deliveries(connection, store_id, wanted, cursor))
    return render_template(
        "admin/deliveries.html",
        section="deliveries",
        store_id=store_id,
        stores=visible_stores(),
        destinations=destinations,
        former=former,
        pauses=pauses,
        page=page,
        filters={"destination": wanted.destination_id, "state": wanted.state or ""},
        states=DeliveryState,
    )


@pages.get(f"/deliveries/<{ROW_ID}:delivery_id>")
def delivery(delivery_id: int) -> ResponseReturnValue:
    """Show one delivery."""
    return _shown(delivery_id, is_revealed=False)


@pages.post(f"/deliveries/<{ROW_ID}:delivery_id>/reveal")
def reveal(delivery_id: int) -> ResponseReturnValue:
    """Show one delivery with personal values, and write down who looked."""
    row = find_delivery(delivery_id)
    subject = f"delivery {delivery_id}" + (f" of order {row.number or row.order_id}" if row.order_id else "")
    log_audit(running().database, actor=the_user().name, action="revealed", store_id=row.store_id, subject=subject)
    return _shown(delivery_id, is_revealed=True)


def find_delivery(delivery_id: int) -> DeliveryRow:
    """Return a delivery of a store that the user may see."""
    row = running().database.read(lambda connection: read_delivery(connection, delivery_id))
    if row is None or row.store_id not in visible_stores():
        abort(404)
    return row


def destinations_of(store_id: str) -> list[str]:
    """Return where a store's deliveries go."""
    return [one for one, target in running().targets.items() if target.destination.takes_store(store_id)]


def may_be_retried(row: DeliveryRow) -> bool:
    """Whether a delivery may be decided and sent again: nothing goes where nobody delivers any more."""
    return row.may_be_retried and row.destination_id in destinations_of(row.store_id)


def _shown(delivery_id: int, *, is_revealed: bool) -> ResponseReturnValue:
    row = find_delivery(delivery_id)

    def job(connection: Connection) -> tuple[list[AttemptRow], SealedBody | None]:
        body = read_sealed_body(connection, row.body_id) if row.body_id is not None else None
        return read_attempts(connection, [delivery_id]), body

    attempts, body = running().database.read(job)
    lines, is_closed = _opened(row, body, is_revealed=is_revealed)
    return render_template(
        "admin/delivery.html",
        section="deliveries",
        delivery=row,
        may_be_retried=may_be_retried(row),
        attempts=attempts,
        lines=lines,
        is_closed=is_closed,
        is_revealed=is_revealed,
    )


def _opened(row: DeliveryRow, body: SealedBody | None, *, is_revealed: bool) -> tuple[list[Line], bool]:
    """Return the lines of a body that is kept, and whether there is one that no key at hand opens."""
    try:
        return (_lines(row, body, is_revealed=is_revealed) if body else []), False
    except CannotOpen:
        return [], True


def _lines(row: DeliveryRow, body: SealedBody, *, is_revealed: bool) -> list[Line]:
    opened = running().keyring.open(body.sealed, key_id=body.key_id, purpose="body")
    payload: dict[str, Any] = read_body(opened)
    store = running().settings.store(row.store_id)
    platform = Platform(store.platform) if store else Platform.WOOCOMMERCE
    shape = (
        shape_of(platform, TopicGroup(row.topic_group), row.topic) if row.kind == DeliveryKind.ORDER else Shape.EVENT
    )
    delivered = Delivered(
        removed=row.removed,
        consent=row.detail.get("consent"),
        is_as_it_came=row.reason == Reason.MODE_OFF,
        is_sent=row.action in (Action.SEND_AS_IS, Action.SEND_REDACTED),
    )
    return compare(payload, shape, Rules(), delivered, is_revealed=is_revealed)
