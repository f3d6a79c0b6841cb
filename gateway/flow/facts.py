"""Rows become the facts that a decision is taken from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.decide.consent import OrderFacts, effective, effective_of_customer
from gateway.decide.policy import Case, decide
from gateway.decide.session import EventFacts, decide_event, effective_of_event
from gateway.model.consent import GATING, Category, Choice, Choices, Evidence, Lowering, SignalState, Source
from gateway.model.decision import Decision, Effective, Mode, Policy, RenewalRule
from gateway.model.order import Origin
from gateway.storage.consent import copied_of_json, order_consent_of
from gateway.storage.context import Context, is_renewal, newest_record_of_customer
from gateway.storage.statements import Connection, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The facts of one delivery, and what it is about."""

    facts: OrderFacts
    origin: Origin | None = None
    held_until: datetime | None = None
    customer: "CustomerFacts | None" = None
    event: EventFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerFacts:
    """The stored choice of a known customer, and what lowers it."""

    stored: Evidence | None
    lowerings: Sequence[Lowering]


def decide_delivery(
    known: Known, policy: Policy, purposes: Sequence[Category], *, identity_required: bool, now: datetime
) -> Decision:
    """Decide one delivery of an order, a subscription, a customer or an event."""
    if known.event is not None:
        return decide_event(known.event, policy, purposes, now, identity_required=identity_required)
    case = Case(
        purposes=purposes,
        identity_required=identity_required,
        origin=known.origin,
        is_renewal=known.facts.is_renewal,
        held_until=known.held_until,
    )
    return decide(policy, effective_of(known, policy, now), case, now)


def effective_of(known: Known, policy: Policy, now: datetime) -> Effective:
    """Return the consent that counts."""
    if known.event is not None:
        return effective_of_event(known.event, policy, now)
    if known.customer is not None:
        return effective_of_customer(known.customer.stored, known.customer.lowerings, policy, now)
    return effective(known.facts, policy, now)


def known_of_order(context: Context, row: Row, *, latest: Evidence | None = None) -> Known:
    """Gather what is known of an order from its row."""
    if is_renewal(row):
        return _known_of_renewal(context, row, latest)
    consent = order_consent_of(row)
    facts = OrderFacts(consent=consent, lowerings=_lowerings(context, row, counting=row))
    return Known(facts=facts, origin=Origin(row["origin"]), held_until=consent.frozen_at)


def known_of_subscription(
    context: Context, store_id: str, subscription_id: str, email_hash: str | None = None
) -> Known:
    """A subscription's own webhooks carry the record of the order that began it."""
    parents = context.parents_of(store_id, [subscription_id])
    if not parents:
        customer = (context.subscriptions.get((store_id, subscription_id)) or {}).get("customer_id")
        lowerings = _of_customer(context, store_id, customer, with_renewals=True)
        lowerings += context.lowerings.get((store_id, "subscription", subscription_id), [])
        lowerings += context.of_unseen_parents(store_id, [subscription_id])
        lowerings += context.of_email(store_id, email_hash)
        return Known(facts=OrderFacts(is_inheriting=True, lowerings=lowerings), origin=Origin.RENEWAL)
    row = parents[0]
    parent = order_consent_of(row)
    told = row | {"subscription_ids": [subscription_id], "email_hash": email_hash or row["email_hash"]}
    lowerings = _lowerings(context, told, counting=row, with_renewals=True)
    facts = OrderFacts(is_inheriting=True, parent=parent, lowerings=lowerings)
    return Known(facts=facts, origin=Origin.RENEWAL, held_until=parent.frozen_at)


def known_of_scheduled(
    context: Context, store_id: str, origin_order_id: str, *, latest: Evidence | None = None
) -> Known:
    """A renewal that the shop schedules itself follows the order that began it."""
    row = context.orders.get((store_id, origin_order_id))
    if row is None or not row["has_order"]:
        lowerings = context.of_unseen(store_id, [origin_order_id])
        return Known(facts=OrderFacts(is_renewal=True, lowerings=lowerings), origin=Origin.RENEWAL)
    if is_renewal(row) and row["consent_state"] is None:
        return _known_of_renewal(context, row, latest)
    origin = order_consent_of(row)
    lowerings = _lowerings(context, row, counting=row, with_renewals=True)
    facts = OrderFacts(is_renewal=True, parent=origin, lowerings=lowerings, latest=latest)
    return Known(facts=facts, origin=Origin.RENEWAL, held_until=origin.frozen_at)


def _known_of_renewal(context: Context, row: Row, latest: Evidence | None) -> Known:
    consent = order_consent_of(row)
    is_inheriting = consent.recorded is None
    parents = sorted(context.behind(row), key=_grants) if is_inheriting else []
    with_record = [one for one in parents if one["consent_state"] is not None]
    parent = next(iter(with_record or parents), None)
    counting = parent if is_inheriting else row
    facts = OrderFacts(
        consent=consent,
        lowerings=[
            *_lowerings(context, row, counting=counting, with_renewals=is_inheriting),
            *(lowering for one in with_record[1:] for lowering in _denials(one)),
            *(context.of_unseen_parents(row["store_id"], row["subscription_ids"]) if is_inheriting else ()),
        ],
        is_renewal=True,
        parent=order_consent_of(parent) if parent else None,
        copied=copied_of_json(row["copied"]),
        latest=latest,
    )
    held_until = max(consent.frozen_at, parent["frozen_at"]) if parent else consent.frozen_at
    return Known(facts=facts, origin=Origin.RENEWAL, held_until=held_until)


def _grants(row: Row) -> int:
    """How many gating categories the record of an order grants."""
    recorded = order_consent_of(row).recorded
    return len(GATING) - len(_missing(recorded)) if recorded else 0


def _denials(row: Row) -> list[Lowering]:
    """What the record of another order that a renewal follows does not grant."""
    missing = _missing(order_consent_of(row).recorded)
    return [Lowering(category=category, by="order", at=row["frozen_at"]) for category in missing]


def _missing(recorded: Evidence | None) -> list[Category]:
    return [category for category in GATING if recorded is None or recorded.choices.of(category) is not Choice.GRANTED]


def known_by_id(connection: Connection, context: Context, store_id: str, order_id: str, policy: Policy) -> Known:
    """An order as a policy sees it; of one whose webhook never came, what was taken back of it by its id."""
    row = context.orders.get((store_id, order_id))
    if row is None:
        return Known(facts=OrderFacts(lowerings=context.of_unseen(store_id, [order_id])))
    latest = latest_of(connection, row, policy, context) if is_renewal(row) else None
    return known_of_order(context, row, latest=latest)


def known_of_customer(context: Context, store_id: str, customer_id: str | None, email_hash: str | None = None) -> Known:
    """A customer's own webhooks follow the stored choice, lowered by what was said of their address since."""
    row = context.customers.get((store_id, customer_id or ""))
    stored = customer_evidence(row) if row else None
    since = stored.captured_at if stored else None
    told = [*_of_customer(context, store_id, customer_id), *context.of_email(store_id, email_hash)]
    lowerings = _after(told, since)
    return Known(facts=OrderFacts(), customer=CustomerFacts(stored=stored, lowerings=lowerings))


def customer_evidence(row: Row) -> Evidence | None:
    """Return a customer's stored choice; None while it is empty."""
    choices = Choices.of_json(row["choices"])
    if choices == Choices():
        return None
    return Evidence(
        choices=choices,
        state=SignalState.ANSWERED,
        source=Source.SERVER,
        captured_at=row["captured_at"] or row["updated_at"],
        gpc=bool(row["gpc"]),
        entry="customer",
    )


def latest_of(connection: Connection, row: Row, policy: Policy, context: Context) -> Evidence | None:
    """Return the newest answer of an order's customer, where renewals follow it."""
    if policy.mode is Mode.OFF or policy.renewals is not RenewalRule.LATEST or not row["customer_id"]:
        return None
    found = newest_record_of_customer(connection, row["store_id"], row["customer_id"])
    from_order = order_consent_of(found).recorded if found else None
    customer = context.customers.get((row["store_id"], row["customer_id"]))
    from_customer = customer_evidence(customer) if customer else None
    return newest_of((from_order, from_customer))


def newest_of(told: Iterable[Evidence | None]) -> Evidence | None:
    """Return what was captured last; what bears no time is not known to be new."""
    dated = [(one.captured_at, one) for one in told if one and one.captured_at]
    return max(dated, key=lambda pair: pair[0])[1] if dated else None


def _lowerings(context: Context, row: Row, *, counting: Row | None, with_renewals: bool = False) -> list[Lowering]:
    """What was received after the freezing of the record that counts; without a record, all that is known.

    A withdrawal that names the order itself was made after it, also when it comes before the order's webhook; what
    names its customer or e-mail address counts when it came after the order's answer. So does all that came
    after an answer which reached its order when that was frozen already.
    """
    store_id = row["store_id"]
    since = None
    if counting is not None and counting["consent_state"] is not None:
        since = counting["recorded_at"] if counting["given_after"] else counting["frozen_at"]
    found: list[Lowering] = []
    of_people: list[Lowering] = []
    withdrawn: list[Lowering] = []
    for one in (row, counting) if counting is not None and counting is not row else (row,):
        of_order = context.lowerings.get((store_id, "order", one["order_id"]), [])
        withdrawn += [lowering for lowering in of_order if lowering.by == "withdrawal"]
        found += [lowering for lowering in of_order if lowering.by != "withdrawal"]
        found += context.lowerings.get((store_id, "session", one["session_hash"]), [])
        of_people += context.lowerings.get((store_id, "email", one["email_hash"]), [])
        of_people += _of_customer(context, store_id, one["customer_id"], with_renewals=with_renewals)
        for subscription_id in one["subscription_ids"] if with_renewals else ():
            found += context.lowerings.get((store_id, "subscription", subscription_id), [])
    late: Sequence[Lowering] = ()
    if counting is not None:
        late = _not_given_anew(context, counting, [*of_people, *found] if counting["given_after"] else of_people)
    return [*withdrawn, *_after([*found, *of_people], since), *_meanwhile(late, counting, since)]


def _not_given_anew(context: Context, row: Row, lowerings: Sequence[Lowering]) -> list[Lowering]:
    """What was taken back, but for what the customer's stored choice had given once more when the order was placed."""
    customer = context.customers.get((row["store_id"], row["customer_id"] or ""))
    stored = customer_evidence(customer) if customer else None
    given_at = stored.captured_at if stored else None
    if stored is None or given_at is None or row["placed_at"] is None or given_at > row["placed_at"]:
        return list(lowerings)
    given = [category for category in GATING if stored.choices.of(category) is Choice.GRANTED]
    return [one for one in lowerings if one.category not in given or one.at > given_at]


def _meanwhile(lowerings: Sequence[Lowering], counting: Row | None, since: datetime | None) -> list[Lowering]:
    """What a person took back of a record after giving it, but before the record reached its order and froze it.

    A webhook comes a minute after its order, and the entry perhaps with the next one. A browser that was not asked
    again says with an order what its shopper has taken back elsewhere since.
    """
    recorded = order_consent_of(counting).recorded if lowerings and counting is not None else None
    if counting is None or recorded is None or since is None:
        return []
    given_at = recorded.captured_at or counting["placed_at"] or since
    taken = [one for one in lowerings if given_at < one.at <= since]
    return [one for one in taken if recorded.choices.of(one.category) is Choice.GRANTED]


def _of_customer(
    context: Context, store_id: str, customer_id: str | None, *, with_renewals: bool = False
) -> list[Lowering]:
    kinds = ("customer", "renewals") if with_renewals else ("customer",)
    return [one for kind in kinds for one in context.lowerings.get((store_id, kind, customer_id or ""), [])]


def _after(lowerings: Sequence[Lowering], since: datetime | None) -> list[Lowering]:
    return [one for one in lowerings if since is None or one.at > since]
