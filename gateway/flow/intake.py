"""Webhooks in: what one transaction records of a batch - digest, body, order, consent and deliveries."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from gateway.decide.consent import denied_categories, hear_together, lowered_by
from gateway.flow.belonging import kept_lowerings, left_by
from gateway.flow.erasure import erase_person
from gateway.flow.holding import Behind, held_until, load_behind
from gateway.flow.item import RECONCILED, Addressee, Intake, Taken, stream_of
from gateway.flow.linking import kept_links, linked_row
from gateway.model.consent import Category, Channel, Evidence, OrderConsent, SignalState
from gateway.model.delivery import DeliveryKind, DeliveryState
from gateway.model.order import Order, Origin, Subscription
from gateway.storage.consent import (
    Subject,
    copied_to_json,
    lower,
    lowering_row,
    order_columns,
    order_consent_of,
    record_row,
    stamp_of,
)
from gateway.storage.context import is_renewal
from gateway.storage.queue import NewDelivery, delivery_rows, release_order
from gateway.storage.signals import call_back
from gateway.storage.statements import Connection, Row
from gateway.storage.streams import lock_streams
from gateway.storage.subscriptions import has_subscriptions, record_subscriptions
from gateway.storage.webhooks import Before, Ids, insert_webhooks, look_before, write_batch

Key = tuple[str, str]  # store id, and order id or the webhook's own key


@dataclass(slots=True)
class _Batch:
    """What one transaction knows and writes; `ids` by the webhook's key."""

    before: Before
    behind: Behind
    ids: dict[Key, Ids]
    orders: dict[Key, Row]
    changed: set[Key] = field(default_factory=set)
    records: list[Row] = field(default_factory=list)
    lowerings: list[Row] = field(default_factory=list)
    released: list[tuple[str, str, datetime]] = field(default_factory=list)
    left: list[tuple[Row, list[Subject]]] = field(default_factory=list)  # orders, and whom they belonged to
    is_called_back: bool = False  # whether what was decided may be more than is allowed now


def record_webhooks(connection: Connection, items: Sequence[Intake]) -> list[Taken]:
    """Record a batch in the caller's transaction; answers are in the order of the items."""
    lock_streams(connection, {(item.store_id, name) for item in items for name in _locks(item)})
    ids = insert_webhooks(connection, [_webhook_row(item) for item in items])
    fresh = _first_of_each(items, ids)
    accepted = [item for at, item in enumerate(items) if at in fresh and not item.webhook.ignored]
    batch = _load(connection, accepted, ids)
    for item in accepted:
        if item.webhook.order is not None:
            _take_order(batch, item, item.webhook.order)
        elif item.webhook.subscription is not None:
            _take_link(batch, item, item.webhook.subscription)
    _write(connection, batch, accepted)
    for item in accepted:
        if item.webhook.erasure is not None:
            erase_person(connection, item.store_id, item.webhook.erasure, item.erased_emails, item.received_at)
    return [_taken(item, is_fresh=at in fresh) for at, item in enumerate(items)]


def _locks(item: Intake) -> Iterator[str]:
    """What a signal for the order, or for its session, that comes in at the same moment would touch as well."""
    yield stream_of(item)
    yield from (f"key:{key_hash}" for key_hash in item.key_hashes)
    if item.session_hash:
        yield f"session:{item.session_hash}"


def _taken(item: Intake, *, is_fresh: bool) -> Taken:
    if not is_fresh:
        return Taken(status="duplicate")
    if item.webhook.ignored:
        return Taken(status="ignored")
    return Taken(status="accepted", deliveries=len(item.addressees))


def _webhook_row(item: Intake) -> Row:
    return {
        "store_id": item.store_id,
        "key": item.webhook.key,
        "guard": item.webhook.guard,
        "topic": item.webhook.topic,
        "resource_id": item.webhook.resource_id,
        "order_id": item.webhook.order_id,
        "status": "ignored" if item.webhook.ignored else "accepted",
        "reason": item.webhook.ignored,
        "via": item.via,
        "received_at": item.received_at,
    }


def _first_of_each(items: Sequence[Intake], fresh: Collection[Key]) -> set[int]:
    """Return the positions of the webhooks that were not there before; of those that are there twice, the first."""
    first: dict[Key, int] = {}
    for at, item in enumerate(items):
        first.setdefault(_key(item), at)
    return {at for key, at in first.items() if key in fresh}


def _key(item: Intake) -> Key:
    return item.store_id, item.webhook.key


def _is_taken(item: Intake) -> bool:
    """Whether anybody is to get it."""
    return bool(item.addressees) and item.sealed is not None


def _load(connection: Connection, items: Sequence[Intake], ids: dict[Key, Ids]) -> _Batch:
    if not items:
        return _Batch(before=Before(), behind=Behind(), ids=ids, orders={})
    with_order = [item for item in items if item.webhook.order is not None]
    before = look_before(
        connection,
        order_keys={item.order_key for item in items if item.webhook.order_id},
        key_hashes={(item.store_id, key_hash) for item in with_order for key_hash in item.key_hashes},
        session_keys={(item.store_id, item.session_hash) for item in with_order if item.session_hash},
        streams={(item.store_id, stream_of(item)) for item in items if _is_taken(item)},
        now=items[0].received_at,
    )
    behind = load_behind(connection, with_order, before.orders)
    return _Batch(before=before, behind=behind, ids=ids, orders=dict(before.orders))


def _take_order(batch: _Batch, item: Intake, order: Order) -> None:
    known = batch.orders.get(item.order_key)
    row = {**(known or _new_order(item, order)), **_order_facts(item, order, known)}
    if known is not None and (left := left_by(known, row)):
        batch.left.append((row, left))
    is_new = known is None or not known["has_order"]
    if is_new:
        row["frozen_at"] = _freezes_at(item, order, row)
    _hear(batch, item, order, row, heard_at=_seen_from(item, order) if is_new else item.received_at)
    batch.orders[item.order_key] = row
    batch.changed.add(item.order_key)


def _take_link(batch: _Batch, item: Intake, subscription: Subscription) -> None:
    row = linked_row(batch.orders.get(item.order_key), item.store_id, subscription, item.received_at)
    if row is not None:
        batch.orders[item.order_key] = row
        batch.changed.add(item.order_key)


def _new_order(item: Intake, order: Order) -> Row:
    consent = OrderConsent(frozen_at=item.received_at)
    return {
        "store_id": item.store_id,
        "order_id": order.order_id,
        "seen_at": item.received_at,
        "copied": None,
        "stamp": None,
        "erased_at": None,
        **order_columns(consent),
    }


def _order_facts(item: Intake, order: Order, known: Row | None) -> Row:
    """What the webhook says of the order; a webhook that came late does not overwrite what is newer."""
    facts: Row = {
        "number": order.number,
        "status": order.status,
        "origin": order.origin.value,
        **kept_links(order, known),
        "customer_id": order.customer_id,
        "session_hash": item.session_hash,
        "email_hash": item.email_hash,
        "currency": order.currency,
        "total": order.total,
        "placed_at": order.created_at,
        "changed_at": order.updated_at,
        "has_order": True,
    }
    if known is None or not known["has_order"]:
        return facts
    newest = known["changed_at"]
    if newest and order.updated_at and order.updated_at < newest:
        return {name: known[name] if known[name] not in (None, "") else value for name, value in facts.items()}
    facts["session_hash"] = item.session_hash or known["session_hash"]
    facts["customer_id"] = order.customer_id or known["customer_id"]
    facts["email_hash"] = item.email_hash or known["email_hash"]
    facts["placed_at"] = known["placed_at"] or order.created_at
    return facts


def _seen_from(item: Intake, order: Order) -> datetime:
    """Return since when an order counts as seen.

    One that was fetched counts from when it was placed, so that what was taken back since then lowers it.
    """
    is_fetched = item.via == RECONCILED and order.created_at is not None
    return min(item.received_at, order.created_at or item.received_at) if is_fetched else item.received_at


def _freezes_at(item: Intake, order: Order, row: Row) -> datetime:
    waits = order.origin is Origin.CHECKOUT and not is_renewal(row)
    return _seen_from(item, order) + timedelta(seconds=item.policy.hold_seconds if waits else 0)


def _hear(batch: _Batch, item: Intake, order: Order, row: Row, *, heard_at: datetime) -> None:
    parked = batch.before.parked_for(item.order_key, item.key_hashes)
    of_its_own = [one for one in parked if not _is_about_parent(order, row, one.evidence)]
    heard = [(one.evidence, one.channel) for one in of_its_own]
    for one in (one for one in parked if one not in of_its_own):
        by, denied = lowered_by(one.evidence, one.channel), denied_categories(one.evidence)
        batch.lowerings += _lowering_rows(item, "order", order.order_id, denied, by, item.received_at)
    session = batch.before.sessions.get((item.store_id, item.session_hash or ""))
    consent = order_consent_of(row)
    is_open = heard_at < consent.frozen_at
    if session is not None and is_open and _is_in_time(session, item, consent):
        heard.append((session, Channel.SERVER))
    own = item.evidence
    stamp = stamp_of(own) if own is not None else None
    if own is not None and stamp != row["stamp"]:
        row["stamp"] = stamp
        if _is_copied(order, row):
            row["copied"] = copied_to_json(replace(own, captured_at=_said_at(order)))
        else:
            heard.append((own, Channel.ORDER))
            batch.records.append(
                record_row(
                    item.store_id,
                    own,
                    Channel.ORDER,
                    item.received_at,
                    id=batch.ids[_key(item)].record,
                    order_id=order.order_id,
                    session_hash=item.session_hash,
                    customer_id=order.customer_id,
                )
            )
    if heard:
        _apply(batch, item, order, row, heard, heard_at)
    if of_its_own and consent.recorded is None and row["consent_state"] is not None:
        row["record_id"] = of_its_own[-1].record_id


def _is_in_time(session: Evidence, item: Intake, consent: OrderConsent) -> bool:
    """Whether what a session says came before the order was closed; a denial always does."""
    at = session.captured_at
    return (
        item.received_at < consent.frozen_at
        or at is None
        or at <= consent.frozen_at
        or bool(denied_categories(session))
    )


def _apply(
    batch: _Batch,
    item: Intake,
    order: Order,
    row: Row,
    heard: Sequence[tuple[Evidence, Channel]],
    heard_at: datetime,
) -> None:
    before = order_consent_of(row)
    result = hear_together(before, heard, heard_at)
    row.update(order_columns(result.consent), record_id=before.record_id)
    if result.is_released and item.order_key in batch.before.orders:
        batch.released.append((item.store_id, order.order_id, item.received_at))
    if item.order_key in batch.before.orders and any(_takes_back(evidence) for evidence, _ in heard):
        batch.is_called_back = True
    evidence, channel = heard[-1]
    by = lowered_by(evidence, channel)
    batch.lowerings += _lowering_rows(item, "order", order.order_id, result.lowered, by, heard_at)
    recorded = result.consent.recorded
    if order.customer_id and result.is_kept and recorded is not None and not recorded.unreadable:
        denied = denied_categories(recorded)
        batch.lowerings += _lowering_rows(item, "renewals", order.customer_id, denied, "order", heard_at)
    if is_renewal(row) and recorded is not None:
        denied = tuple(dict.fromkeys((*denied_categories(recorded), *result.lowered)))
        for subscription_id in row["subscription_ids"]:
            batch.lowerings += _lowering_rows(item, "subscription", subscription_id, denied, "order", heard_at)


def _takes_back(evidence: Evidence) -> bool:
    """Whether what was decided without it may be more than it allows; a banner left unanswered grants nothing."""
    return evidence.state is SignalState.PENDING or bool(denied_categories(evidence))


def _lowering_rows(
    item: Intake, kind: str, subject: str, categories: Sequence[Category], by: str, at: datetime
) -> Iterator[Row]:
    for category in categories:
        yield lowering_row((item.store_id, kind, subject), category, by=by, at=at)


def _is_copied(order: Order, row: Row) -> bool:
    """Whether an order's own entry was copied onto it; on a renewal that is so unless it was captured later."""
    return _is_about_parent(order, row, order.evidence)


def _is_about_parent(order: Order, row: Row, evidence: Evidence | None) -> bool:
    """On a renewal only what was captured after it was created is its own; the rest was said of its parent."""
    if not is_renewal(row):
        return False
    said_at = evidence.captured_at if evidence else None
    return not (said_at and order.created_at and said_at > order.created_at)


def _said_at(order: Order) -> datetime | None:
    """Return when an order's entry itself says that it was captured."""
    return order.evidence.captured_at if order.evidence else None


def _write(connection: Connection, batch: _Batch, accepted: Sequence[Intake]) -> None:
    """Write what a batch changed, the bodies of what is taken, and its deliveries."""
    for record in batch.records:
        order = batch.orders[record["store_id"], record["order_id"]]
        if order["consent_state"] is not None:
            order["record_id"] = order["record_id"] or record["id"]
    with_order = [item for item in accepted if item.webhook.order is not None]
    taken = [item for item in accepted if _is_taken(item)]
    keys = {(item.store_id, one, item.order_key[1]) for item in with_order for one in item.key_hashes}
    new = [_new_delivery(item, addressee, batch) for item in taken for addressee in item.addressees]
    for store_id, order_id, now in batch.released:
        release_order(connection, store_id=store_id, order_id=order_id, now=now)
    write_batch(
        connection,
        order_rows=[batch.orders[key] for key in sorted(batch.changed)],
        keys=keys,
        records=batch.records,
        bodies=[_body_row(item, batch) for item in taken],
        deliveries=delivery_rows(connection, new, batch.before.busy, now=taken[0].received_at) if taken else (),
    )
    if batch.left:
        batch.lowerings += kept_lowerings(connection, batch.left, accepted[0].received_at)
    lower(connection, batch.lowerings)
    if batch.is_called_back or has_subscriptions(connection, _lowered_renewals(batch)):
        call_back(connection, accepted[0].received_at)
    told: list[tuple[str, Subscription, datetime]] = [
        (item.store_id, item.webhook.subscription, item.received_at)
        for item in accepted
        if item.webhook.subscription is not None
    ]
    renewals = [(item.store_id, item.webhook.order, item.received_at) for item in accepted if item.webhook.order]
    record_subscriptions(connection, told, renewals)


def _lowered_renewals(batch: _Batch) -> list[Key]:
    """Return the customers whose renewals go on with less."""
    return [(row["store_id"], row["subject"]) for row in batch.lowerings if row["subject_kind"] == "renewals"]


def _body_row(item: Intake, batch: _Batch) -> Row:
    return {
        "id": batch.ids[_key(item)].body,
        "store_id": item.store_id,
        "order_id": item.webhook.order_id,
        "customer_id": item.webhook.customer_id,
        "created_at": item.received_at,
        "key_id": item.key_id,
        "sealed": item.sealed,
    }


def _new_delivery(item: Intake, addressee: Addressee, batch: _Batch) -> NewDelivery:
    webhook = item.webhook
    group = webhook.group
    order = batch.orders.get(item.order_key)
    hold_until = held_until(item, order, batch.behind)
    return NewDelivery(
        store_id=item.store_id,
        destination_id=addressee.destination_id,
        stream=stream_of(item),
        kind=DeliveryKind.ORDER,
        message_id=addressee.message_id,
        topic=webhook.topic,
        topic_group=group.value if group else "",
        order_id=webhook.order_id,
        session_hash=order["session_hash"] if order else None,
        customer_id=webhook.customer_id,
        event_id=None,
        email_hash=None if webhook.order else item.email_hash,
        body_id=batch.ids[_key(item)].body,
        state=DeliveryState.HELD if hold_until else DeliveryState.DUE,
        hold_until=hold_until,
        policy_version=item.policy.version,
        trace=item.trace,
    )
