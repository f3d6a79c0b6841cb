"""What an order's consent was and is, as the API shows it: names and reasons, never values."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway.decide.consent import OrderFacts
from gateway.decide.policy import consent_object
from gateway.flow.facts import Known, effective_of, known_by_id
from gateway.model.consent import GATING, Category, Choice, Lowering
from gateway.model.decision import Effective, Policy, UnknownRule
from gateway.model.instant import as_text
from gateway.storage.consent import Subject
from gateway.storage.context import load_context
from gateway.storage.history import deliveries_of_order, records_of_order, webhooks_of_order
from gateway.storage.statements import Connection, Row


def show_order(connection: Connection, store_id: str, order_id: str, policy: Policy, now: datetime) -> Row | None:
    """Return the object of `GET /api/v1/stores/{store}/orders/{order}`; None when nothing is known of the order."""
    context = load_context(connection, order_keys=[(store_id, order_id)])
    row = context.orders.get((store_id, order_id))
    delivered = deliveries_of_order(connection, store_id, order_id)
    if row is None and not delivered:
        return None
    known = known_by_id(connection, context, store_id, order_id, policy)
    return {
        "store_id": store_id,
        "order_id": order_id,
        **_facts(row, now),
        "order_time": _consent(_at_order_time(known), known, policy, now),
        "effective": _consent(known, known, policy, now),
        "history": _history(connection, context.lowerings, store_id, order_id, row),
        "deliveries": [_delivery(one, tries) for one, tries in delivered],
    }


def _facts(row: Row | None, now: datetime) -> dict[str, object]:
    """What the order's row says; nothing for an order that only a refund or a deletion told of."""
    if row is None:
        return {"number": "", "origin": None, "placed_at": None, "frozen_at": None, "is_frozen": True}
    return {
        "number": row["number"],
        "origin": row["origin"],
        "placed_at": _text(row["placed_at"]),
        "frozen_at": _text(row["frozen_at"]),
        "is_frozen": row["frozen_at"] <= now,
    }


def _at_order_time(known: Known) -> Known:
    facts = known.facts
    bare = OrderFacts(
        consent=facts.consent,
        is_renewal=facts.is_renewal,
        parent=facts.parent,
        copied=facts.copied,
        latest=facts.latest,
    )
    return Known(facts=bare, origin=known.origin, held_until=known.held_until)


def _consent(one: Known, known: Known, policy: Policy, now: datetime) -> dict[str, object]:
    counts = effective_of(one, policy, now)
    rule = policy.unknown if known.origin is None else policy.unknown_for(known.origin)
    applied = {category: _applies(counts, category, rule) for category in GATING}
    return consent_object(counts, applied, policy, rule)


def _applies(counts: Effective, category: Category, rule: UnknownRule) -> bool:
    answer = counts.answer(category)
    return answer is Choice.GRANTED or (answer is Choice.UNKNOWN and rule is UnknownRule.ALLOW)


def _history(
    connection: Connection,
    lowerings: Mapping[Subject, Sequence[Lowering]],
    store_id: str,
    order_id: str,
    row: Row | None,
) -> list[dict[str, object]]:
    entries: list[dict[str, Any]] = [
        {"at": one["received_at"], "what": "webhook", "topic": one["topic"], "via": one["via"]}
        for one in webhooks_of_order(connection, store_id, order_id)
    ]
    entries += [
        {
            "at": one["received_at"],
            "what": "signal",
            "channel": one["channel"],
            "entry": one["entry"],
            "state": one["state"],
            "source": one["source"],
            "basis": one["basis"],
            "captured_at": _text(one["captured_at"]),
            "categories": one["choices"],
            "note": one["note"],
        }
        for one in records_of_order(connection, store_id, order_id, row)
    ]
    entries += [
        {"at": one.at, "what": "lowered", "category": one.category.value, "by": one.by, "subject": subject[1]}
        for subject, found in lowerings.items()
        for one in found
        if subject[1] != "renewals"
    ]
    entries.sort(key=lambda entry: entry["at"])
    return [{**entry, "at": _text(entry["at"])} for entry in entries]


def _delivery(one: Row, tries: Sequence[Row]) -> dict[str, object]:
    detail = one["detail"] or {}
    return {
        "id": one["id"],
        "webhook_id": one["message_id"],
        "destination": one["destination_id"],
        "topic": one["topic"],
        "state": one["state"],
        "decision": one["action"],
        "reason": one["reason"],
        "reasons": detail.get("reasons", []),
        "applied": detail.get("applied", {}),
        "stripped": detail.get("removed", []),
        "unknown_keys": detail.get("unknown_keys", []),
        "leaks": detail.get("leaks", []),
        "policy_version": one["decided_version"] or one["policy_version"],
        "accepted_at": _text(one["accepted_at"]),
        "held_until": _text(one["hold_until"]),
        "first_attempt_at": _text(one["first_attempt_at"]),
        "last_attempt_at": _text(one["last_attempt_at"]),
        "finished_at": _text(one["finished_at"]),
        "sent_sha256": one["sent_sha256"],
        "attempts": [
            {
                "number": attempt["number"],
                "at": _text(attempt["at"]),
                "outcome": attempt["kind"],
                "word": attempt["word"],
                "status_code": attempt["status_code"],
                "took_ms": attempt["took_ms"],
            }
            for attempt in tries
        ],
    }


def _text(at: datetime | None) -> str | None:
    return as_text(at) if at else None
