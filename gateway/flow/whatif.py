"""What if: a store's last orders under another policy, decided by the code that decides, from stored facts alone."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from gateway.decide.consent import OrderFacts
from gateway.flow.facts import Known, customer_evidence, decide_delivery, known_of_order, newest_of
from gateway.flow.parts import Target
from gateway.flow.policies import policy_of
from gateway.model.consent import Evidence
from gateway.model.decision import Action, Decision, Policy, RenewalRule
from gateway.storage.consent import order_consent_of
from gateway.storage.context import Context, Key, is_renewal, load_context
from gateway.storage.database import Database
from gateway.storage.lists import chunks_of
from gateway.storage.policies import newest_policy
from gateway.storage.reading.recent import newest_answers, recent_orders
from gateway.storage.statements import Connection, Row

LAST_ORDERS = 1000
LAST_DAYS = 30
MOST_ORDERS = 10_000  # however many a month had
_CHUNK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many orders leave as they came, redacted, or not at all."""

    as_is: int = 0
    redacted: int = 0
    suppressed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationTally:
    """One destination under both policies; `changed` counts the orders whose decision differs."""

    destination_id: str
    before: Tally
    after: Tally
    changed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedDecision:
    """One order whose decision for one destination would differ, if only in what is stripped."""

    order_id: str
    number: str
    seen_at: datetime
    destination_id: str
    before: Decision
    after: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What would have become of a store's last orders, the newest first."""

    store_id: str
    orders: int
    oldest_at: datetime | None
    destinations: tuple[DestinationTally, ...]
    changes: tuple[ChangedDecision, ...] = field(repr=False)

    @property
    def changed_orders(self) -> int:
        """How many orders change for at least one destination."""
        return len({change.order_id for change in self.changes})


def what_if(
    database: Database,
    targets: Mapping[str, Target],
    store_id: str,
    policy: Policy,
    last: int = LAST_ORDERS,
    *,
    days: int | None = None,
) -> WhatIf:
    """Decide the last orders of a store under `policy` and under the one in force; nothing is changed.

    `days` looks at that many days instead, at most MOST_ORDERS orders.
    """
    now = database.now()
    since = now - timedelta(days=days) if days else None
    limit = MOST_ORDERS if days else min(last, MOST_ORDERS)
    known = database.read(lambda connection: _read(connection, store_id, policy, limit, since))
    served = [one for one in targets.values() if one.destination.takes_store(store_id)]
    return _compare(known, served, policy, now)


@dataclass(slots=True)
class _Scale:
    """One destination's decisions, as they are weighed."""

    target: Target
    before: Counter[Action] = field(default_factory=Counter)
    after: Counter[Action] = field(default_factory=Counter)
    changes: list[ChangedDecision] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Known:
    """The facts of a store's last orders, the newest first, and the policy in force."""

    store_id: str
    present: Policy
    chunks: list[tuple[Sequence[Key], Context, Mapping[str, Evidence]]]


def _read(connection: Connection, store_id: str, policy: Policy, limit: int, since: datetime | None) -> _Known:
    stored = newest_policy(connection, store_id)
    present = policy_of(stored["version"], stored["values"]) if stored else Policy()
    follows_latest = RenewalRule.LATEST in (present.renewals, policy.renewals)
    keys = recent_orders(connection, store_id, limit=limit, since=since)
    chunks: list[tuple[Sequence[Key], Context, Mapping[str, Evidence]]] = []
    for chunk in chunks_of(keys, _CHUNK):
        context = load_context(connection, order_keys=chunk)
        latest = _latest(connection, store_id, context) if follows_latest else {}
        chunks.append((chunk, context, latest))
    return _Known(store_id, present, chunks)


def _compare(known: _Known, targets: Sequence[Target], policy: Policy, now: datetime) -> WhatIf:
    scales, count, oldest_at = [_Scale(target) for target in targets], 0, None
    for row, (one, other) in _orders(known, policy):
        count, oldest_at = count + 1, row["seen_at"]
        for scale in scales:
            before = _decide(one, known.present, scale.target, now)
            _weigh(scale, row, before, _decide(other, policy, scale.target, now))
    changes = sorted((c for scale in scales for c in scale.changes), key=lambda c: c.seen_at, reverse=True)
    return WhatIf(
        store_id=known.store_id,
        orders=count,
        oldest_at=oldest_at,
        destinations=tuple(_tallied(scale) for scale in scales),
        changes=tuple(changes),
    )


def _orders(known: _Known, policy: Policy) -> Iterator[tuple[Row, tuple[Known, Known]]]:
    """Give each order's facts as both policies read them: only the rule for renewals reads more than the other."""
    for chunk, context, latest in known.chunks:
        for key in chunk:
            row = context.orders[key]
            facts = known_of_order(context, row)
            newest = latest.get(row["customer_id"] or "")
            yield row, (_following(facts, newest, known.present), _following(facts, newest, policy))


def _following(known: Known, latest: Evidence | None, policy: Policy) -> Known:
    """The facts with the wait for an answer over, and the newest answer of the customer where the policy asks."""
    facts: OrderFacts = known.facts
    if policy.renewals is RenewalRule.LATEST:
        facts = replace(facts, latest=latest)
    return replace(known, facts=facts, held_until=None)


def _latest(connection: Connection, store_id: str, context: Context) -> Mapping[str, Evidence]:
    customers = {row["customer_id"] for row in context.orders.values() if row["customer_id"] and is_renewal(row)}
    rows = newest_answers(connection, store_id, sorted(customers))
    found = {customer: [order_consent_of(row).recorded] for customer, row in rows.items()}
    for (_, customer), row in context.customers.items():
        found.setdefault(customer, []).append(customer_evidence(row))
    return {customer: newest for customer, known in found.items() if (newest := newest_of(known))}


def _decide(known: Known, policy: Policy, target: Target, now: datetime) -> Decision:
    purposes, identity_required = target.destination.purposes, target.kind.identity_required
    return decide_delivery(known, policy, purposes, identity_required=identity_required, now=now)


def _weigh(scale: _Scale, row: Row, before: Decision, after: Decision) -> None:
    scale.before[before.action] += 1
    scale.after[after.action] += 1
    if (before.action, before.strip) != (after.action, after.strip):
        scale.changes.append(
            ChangedDecision(
                order_id=row["order_id"],
                number=row["number"],
                seen_at=row["seen_at"],
                destination_id=scale.target.destination.destination_id,
                before=before,
                after=after,
            )
        )


def _tallied(scale: _Scale) -> DestinationTally:
    return DestinationTally(
        destination_id=scale.target.destination.destination_id,
        before=_tally(scale.before),
        after=_tally(scale.after),
        changed=len(scale.changes),
    )


def _tally(actions: Counter[Action]) -> Tally:
    return Tally(
        as_is=actions[Action.SEND_AS_IS],
        redacted=actions[Action.SEND_REDACTED],
        suppressed=actions[Action.SUPPRESS],
    )
