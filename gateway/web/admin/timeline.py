"""Everything that happened to one order, in plain words and in the order of time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby

from gateway.model.consent import GATING, Category, Choice, Choices, Lowering
from gateway.model.delivery import DeliveryState
from gateway.storage.reading.deliveries import AttemptRow, DeliveryRow
from gateway.storage.reading.order import OrderDetail, OrderHistory, RecordRow, RenewalRow, WebhookRow
from gateway.web.admin import words


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened. `names` are paths or identifiers, never values; `order_id` links to another order."""

    at: datetime
    title: str
    text: str = ""
    tone: str = "none"
    sign: str = "dot"
    names: Sequence[str] = ()
    delivery_id: int | None = None
    order_id: str | None = None
    until: datetime | None = None
    last_at: datetime | None = None
    attempts: Sequence[AttemptRow] = ()  # of an entry that stands for several


def timeline(history: OrderHistory, lowered: Sequence[Lowering], now: datetime) -> list[Entry]:
    """Return the story of an order, the oldest first."""
    entries = [
        *_placed(history.order),
        *(_webhook(webhook) for webhook in history.webhooks),
        *(_signal(record, history.order) for record in history.records if not _is_lowering(record, lowered)),
        *_order(history.order, now),
        *(_lowering(lowering) for lowering in lowered),
        *(entry for renewal in history.renewals for entry in _renewal(renewal)),
        *_later(history),
        *_deliveries(history.deliveries, history.attempts),
    ]
    return sorted(entries, key=lambda entry: entry.at)


def _placed(order: OrderDetail) -> Iterator[Entry]:
    if order.placed_at and order.has_order:
        how = "" if order.origin == "checkout" else f" ({words.ORIGINS.get(order.origin, order.origin).lower()})"
        yield Entry(at=order.placed_at, title=f"Order placed{how}", sign="cart", tone="info")


def _order(order: OrderDetail, now: datetime) -> Iterator[Entry]:
    if order.frozen_at > now:
        text = "Consent may still change until the wait is over."
        yield Entry(at=order.seen_at, title="Waiting for an answer", text=text, sign="pause", until=order.frozen_at)
    elif order.has_order or order.has_record:
        yield _frozen(order)
    if order.erased_at:
        yield Entry(at=order.erased_at, title="Personal data erased", sign="cut", tone="mute")


def _frozen(order: OrderDetail) -> Entry:
    if order.is_renewal and not order.has_record:
        title, text = "Consent inherited", "A renewal follows the record of the order that began the subscription."
    elif order.has_record and not order.given_after:
        title, text = "Consent frozen", "From here on the record is never rewritten; it can only be lowered."
    else:
        title, text = "Frozen without a record", "No answer came. The store's rule for unknown consent applies."
    return Entry(at=order.frozen_at, title=title, text=text, sign="lock", tone="info")


def _signal(record: RecordRow, order: OrderDetail) -> Entry:
    how = words.CHANNELS.get(record.channel, record.channel)
    if record.channel == "withdrawal":
        return Entry(at=record.received_at, title="Consent withdrawn", text=_said(record), tone="bad", sign="cross")
    title = f"Banner seen, not answered, {how}" if record.state == "pending" else f"Consent heard {how}"
    elsewhere = record.order_id not in (None, order.order_id)
    return Entry(
        at=record.received_at,
        title=title,
        text=_said(record),
        tone="wait" if record.state == "pending" else _tone(record.choices),
        sign="signal",
        order_id=record.order_id if elsewhere else None,
    )


def _said(record: RecordRow) -> str:
    spoken = [
        f"{words.CATEGORIES[category]} {words.choice(record.choices.of(category)).text.lower()}"
        for category in (*GATING, Category.SALE_OF_DATA)
        if category in GATING or record.choices.of(category) is not Choice.UNKNOWN
    ]
    extra = [f"by {record.cmp}"] if record.cmp else []
    extra += ["Global Privacy Control is on"] if record.gpc else []
    extra += ["the entry could not be read, which counts as denied"] if record.unreadable else []
    extra += [words.plain(record.note)] if record.note and not record.unreadable else []
    text = "; ".join([", ".join(spoken).lower(), *extra])
    return f"{text[:1].upper()}{text[1:]}."


def _tone(choices: Choices) -> str:
    values = {choices.of(category) for category in GATING}
    return "good" if values == {Choice.GRANTED} else "bad" if Choice.DENIED in values else "wait"


def _is_lowering(record: RecordRow, lowered: Sequence[Lowering]) -> bool:
    return record.channel == "withdrawal" and any(one.at == record.received_at for one in lowered)


def _webhook(webhook: WebhookRow) -> Entry:
    is_refund = "refund" in webhook.topic
    title = "Refund received" if is_refund else "Webhook received"
    text = f"{webhook.topic}, fetched from the store by reconciliation" if webhook.via == "reconcile" else webhook.topic
    if webhook.status == "ignored":
        text = f"{text}: nothing to do ({words.plain(webhook.reason)})"
    return Entry(at=webhook.received_at, title=title, text=text, sign="refund" if is_refund else "inbox")


def _lowering(lowering: Lowering) -> Entry:
    by = words.LOWERED_BY.get(lowering.by, lowering.by)
    text = "It counts as denied for all that is sent from here on, renewals included."
    return Entry(
        at=lowering.at, title=f"{words.CATEGORIES[lowering.category]} {by}", text=text, tone="bad", sign="cross"
    )


def _renewal(renewal: RenewalRow) -> Iterator[Entry]:
    title = "Renewal scheduled by the shop"
    if renewal.every_days:
        title += f", every {words.count(renewal.every_days, 'day')}, {words.count(renewal.count, 'time')}"
    yield Entry(at=renewal.created_at, title=title, names=[renewal.renewal_id], sign="repeat", until=renewal.next_at)


def _later(history: OrderHistory) -> Iterator[Entry]:
    for order in history.later:
        name = f"#{order.number or order.order_id}"
        text = "It inherits this order's consent." if order.relation == "renewal" else ""
        title = f"Renewal {name}" if order.relation == "renewal" else f"Subscription order {name}"
        yield Entry(at=order.seen_at, title=title, text=text, sign="repeat", order_id=order.order_id)


def _deliveries(deliveries: Sequence[DeliveryRow], attempts: Sequence[AttemptRow]) -> Iterator[Entry]:
    by_delivery: dict[int, list[AttemptRow]] = {}
    for attempt in attempts:
        by_delivery.setdefault(attempt.delivery_id, []).append(attempt)
    for delivery in deliveries:
        yield from _delivery(delivery, by_delivery.get(delivery.delivery_id, []))


def _delivery(delivery: DeliveryRow, attempts: Sequence[AttemptRow]) -> Iterator[Entry]:
    if delivery.state is DeliveryState.HELD or delivery.hold_until:
        yield _held(delivery)
    decided_at = attempts[0].at if attempts else delivery.finished_at
    if delivery.action and decided_at and delivery.state is not DeliveryState.CANCELLED:
        yield _decided(delivery, decided_at)
    for _, run in groupby(attempts, key=lambda one: (one.word, one.status_code)):
        yield from _run(delivery, list(run))
    if delivery.finished_at and delivery.state in _ENDINGS:
        yield _ended(delivery, delivery.finished_at)


_MANY = 5  # attempts with one answer, in a row
_ENDINGS = (DeliveryState.EXPIRED, DeliveryState.CANCELLED, DeliveryState.FAILED, DeliveryState.LEAK)


def _held(delivery: DeliveryRow) -> Entry:
    return Entry(
        at=delivery.accepted_at,
        title=f"Held for {delivery.destination_id}",
        text="The shopper may still answer.",
        tone="wait",
        sign="pause",
        delivery_id=delivery.delivery_id,
        until=delivery.hold_until,
    )


def _decided(delivery: DeliveryRow, at: datetime) -> Entry:
    word = words.action(delivery.action)
    reasons = list(dict.fromkeys([delivery.reason or "", *(delivery.detail.get("reasons") or ())]))
    why = "; ".join(words.reason(one) for one in reasons if one)
    version = delivery.decided_version or delivery.policy_version
    by = f" Policy version {version}." if version else ""
    return Entry(
        at=at,
        title=f"Decided for {delivery.destination_id}: {words.ACTION_TEXTS.get(delivery.action or '', word.text)}",
        text=f"{why[:1].upper()}{why[1:]}.{by}" if why else by.strip(),
        tone=word.tone,
        sign=word.sign,
        names=delivery.removed,
        delivery_id=delivery.delivery_id,
    )


def _run(delivery: DeliveryRow, alike: Sequence[AttemptRow]) -> Iterator[Entry]:
    """A destination that is down for a week is one entry, with its many attempts inside."""
    if len(alike) < _MANY:
        yield from (_attempt(delivery, attempt) for attempt in alike)
        return
    first, last = alike[0], alike[-1]
    outcome = words.outcome(first.word, first.status_code)
    title = f"Attempts {first.number} to {last.number} to {delivery.destination_id}: {outcome}"
    yield replace(_attempt(delivery, last), at=first.at, title=title, text="", last_at=last.at, attempts=alike)


def _attempt(delivery: DeliveryRow, attempt: AttemptRow) -> Entry:
    took = f" after {attempt.took_ms} ms" if attempt.took_ms is not None else ""
    tone = {"delivered": "good", "retry": "wait"}.get(attempt.kind, "bad")
    outcome = words.outcome(attempt.word, attempt.status_code)
    return Entry(
        at=attempt.at,
        title=f"Attempt {attempt.number} to {delivery.destination_id}: {outcome}",
        text=f"Answered{took}." if took and attempt.status_code else "",
        tone=tone,
        sign="check" if attempt.kind == "delivered" else "send",
        delivery_id=delivery.delivery_id,
        until=attempt.next_at,
    )


def _ended(delivery: DeliveryRow, at: datetime) -> Entry:
    word = words.state(delivery.state)
    text = words.STATE_TEXTS[delivery.state]
    if delivery.state is DeliveryState.CANCELLED and delivery.reason:
        text = f"{text}: {words.reason(delivery.reason)}"
    return Entry(
        at=at,
        title=f"{delivery.destination_id}: {word.text.lower()}",
        text=f"The delivery {text}.",
        tone=word.tone,
        sign=word.sign,
        delivery_id=delivery.delivery_id,
    )
