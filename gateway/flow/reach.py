"""Orders that a signal reaches: an open one hears it, a frozen one is only lowered, one that is not there waits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.decide.consent import denied_categories, hear, lowered_by
from gateway.model.consent import GATING, Category, Channel, Choice, Choices, Evidence, OrderConsent
from gateway.storage.consent import lower, lowering_row, order_columns, order_consent_of, order_rows
from gateway.storage.context import is_renewal
from gateway.storage.queue import release_order
from gateway.storage.signals import park
from gateway.storage.statements import Connection, Row
from gateway.storage.webhooks import put_orders

PARKED_FOR = timedelta(hours=1)
# A quiet shop sends its webhooks when somebody comes by, and a grant that is gone by then is no harm; a refusal is.
REFUSAL_PARKED_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What orders are told; `denied` are the gating categories that it takes back."""

    store_id: str
    evidence: Evidence
    channel: Channel
    denied: tuple[Category, ...]
    record_id: int
    at: datetime

    def by(self, category: Category) -> str:
        """Return the word for what takes a category back."""
        by = lowered_by(self.evidence, self.channel)
        return "denial" if by == "gpc" and category is not Category.MARKETING else by


def tell_orders(connection: Connection, told: Told, order_ids: Iterable[str], *, is_named: bool) -> None:
    """Let orders hear a signal; those that it names are lowered one by one, others by the subject that they share."""
    keys = [(told.store_id, order_id) for order_id in sorted(set(order_ids))]
    rows = [row for row in order_rows(connection, keys).values() if row["has_order"]]
    changed = [row for row in rows if _may_hear(told, row, is_named=is_named) and _tell(connection, told, row)]
    put_orders(connection, changed)
    for row in rows if is_named else ():
        if row not in changed:
            lower_subject(connection, told, "order", row["order_id"], told.denied)
        lower_siblings(connection, told, row)


def lower_siblings(connection: Connection, told: Told, row: Row) -> None:
    """What is taken back from one renewal is taken back from those that follow."""
    for subscription_id in row["subscription_ids"] if is_renewal(row) else ():
        lower_subject(connection, told, "subscription", subscription_id, told.denied)


def take_back(connection: Connection, told: Told, order_ids: Iterable[str]) -> None:
    """Take categories back from what open orders hold already: a banner's default is no answer that would stand."""
    keys = [(told.store_id, order_id) for order_id in sorted(set(order_ids))]
    changed = []
    for row in order_rows(connection, keys).values():
        consent = order_consent_of(row)
        if consent.recorded is not None and told.at < consent.frozen_at:
            recorded = replace(consent.recorded, choices=_without(consent.recorded.choices, told.denied))
            changed.append({**row, **order_columns(replace(consent, recorded=recorded))})
    put_orders(connection, changed)


def lower_subject(
    connection: Connection, told: Told, kind: str, subject: str, categories: Sequence[Category], *, by: str = ""
) -> None:
    """Remember that a subject took categories back, for what is yet to be sent and for renewals."""
    lower(
        connection,
        [
            lowering_row(
                (told.store_id, kind, subject),
                category,
                by=by or told.by(category),
                at=told.at,
                record_id=told.record_id,
            )
            for category in categories
            if category in GATING
        ],
    )


def park_for(connection: Connection, told: Told, key_hashes: Sequence[str]) -> None:
    """Keep the signal for orders that no webhook has brought yet."""
    keys = [(told.store_id, one) for one in key_hashes]
    wait = REFUSAL_PARKED_FOR if denied_categories(told.evidence) else PARKED_FOR
    park(connection, keys, told.record_id, told.at + wait)


def _may_hear(told: Told, row: Row, *, is_named: bool) -> bool:
    """A renewal takes nothing as its own record but what was said of itself, after it was made."""
    if not is_renewal(row) or row["consent_state"] is not None:
        return True
    said_at, placed_at = told.evidence.captured_at, row["placed_at"]
    return is_named and (placed_at is None or (said_at is not None and said_at > placed_at))


def _tell(connection: Connection, told: Told, row: Row) -> bool:
    result = hear(order_consent_of(row), told.evidence, told.channel, told.at)
    if result.is_kept:
        row.update(order_columns(replace(result.consent, record_id=told.record_id)))
        _lower_renewals(connection, told, row, result.consent)
    if result.is_released:
        release_order(connection, store_id=told.store_id, order_id=row["order_id"], now=told.at)
    return result.is_kept


def _lower_renewals(connection: Connection, told: Told, row: Row, consent: OrderConsent) -> None:
    """What one order's record denies lowers the renewals of the customer's other orders."""
    recorded = consent.recorded
    if row["customer_id"] and recorded is not None and not recorded.unreadable:
        lower_subject(connection, told, "renewals", row["customer_id"], denied_categories(recorded), by="order")


def _without(choices: Choices, categories: Sequence[Category]) -> Choices:
    for category in categories:
        choices = choices.with_choice(category, Choice.DENIED)
    return choices
