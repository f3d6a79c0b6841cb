"""The panel "Consent at order time": what was agreed, what counts now, and how it is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.decide.consent import OrderFacts
from gateway.model.consent import GATING, Category, Choice, Lowering, Status
from gateway.model.decision import Effective, Mode, Policy, UnknownRule
from gateway.model.order import Origin
from gateway.storage.consent import order_consent_of
from gateway.storage.reading.order import OrderDetail, OrderHistory
from gateway.web.admin import words
from gateway.web.admin.words import Word


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryLine:
    """One category: what was agreed, and what counts now where that is less."""

    name: str
    then: Word
    is_gating: bool
    lowered: Lowering | None = None
    why_lower: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentPanel:
    """Everything that the panel says."""

    headline: str
    tone: str
    lines: Sequence[CategoryLine]
    status: str
    source: str
    basis: str
    captured_at: datetime | None
    recorded_at: datetime | None
    frozen_at: datetime | None
    is_waiting: bool
    cmp: str
    entry: str
    region: str
    gpc: bool
    has_evidence: bool
    given_after: bool
    inherited_from: OrderDetail | None
    notes: Sequence[str]
    rule: str


def consent_panel(
    history: OrderHistory, facts: OrderFacts, counts: Effective, policy: Policy, now: datetime
) -> ConsentPanel:
    """Gather the panel of one order."""
    order = history.order
    is_inherited = counts.status is Status.INHERITED
    parent = _followed(history, facts) if is_inherited else None
    source = parent or order
    record = history.kept.get(source.record_id or 0)
    lowered = {one.category: one for one in counts.lowered}
    lines = [_line(category, counts, lowered.get(category)) for category in words.CATEGORIES]
    headline, tone = _headline(counts, is_waiting=order.frozen_at > now and not order.has_record)
    if any(line.lowered or line.why_lower for line in lines):
        headline = f"Now {headline[:1].lower()}{headline[1:]}"  # not what was agreed: what is left of it
    return ConsentPanel(
        headline=headline,
        tone=tone,
        lines=lines,
        status=words.UNREADABLE if source.unreadable else words.STATUSES[counts.status],
        source=words.SOURCES.get(counts.source or "", ""),
        basis=_basis(source, counts),
        captured_at=counts.captured_at,
        recorded_at=source.recorded_at,
        frozen_at=order.frozen_at,
        is_waiting=order.frozen_at > now,
        cmp=record.cmp if record else "",
        entry=words.ENTRIES.get(source.entry or "", source.entry or ""),
        region=source.region,
        gpc=source.gpc,
        has_evidence=bool(record and record.has_evidence),
        given_after=order.given_after,
        inherited_from=parent,
        notes=[words.reason(note) for note in counts.notes],
        rule=_rule(order, counts, policy),
    )


def _rule(order: OrderDetail, counts: Effective, policy: Policy) -> str:
    """What the store's policy makes of an order of which nothing is known."""
    if policy.mode is Mode.OFF:
        return "The store's mode is off: everything passes as it came"
    if counts.status is not Status.UNKNOWN:
        return ""
    origin = Origin.RENEWAL if order.is_renewal else Origin(order.origin) if order.origin else None
    rule = policy.unknown if origin is None else policy.unknown_for(origin)
    counts_as = "granted" if rule is UnknownRule.ALLOW else "denied"
    return f"As {counts_as}, by the store's rule for unknown consent"


def _followed(history: OrderHistory, facts: OrderFacts) -> OrderDetail | None:
    """The order whose record a renewal follows."""
    context = history.context
    rows = [*context.orders.values(), *(row for rows in context.beginnings.values() for row in rows)]
    followed = {row["order_id"] for row in rows if facts.parent is not None and order_consent_of(row) == facts.parent}
    return next((one for one in history.parents if one.order_id in followed), None)


def _line(category: Category, counts: Effective, lowered: Lowering | None) -> CategoryLine:
    then = counts.categories.of(category)
    is_old = any(note == f"grant_too_old:{category.value}" for note in counts.notes)
    return CategoryLine(
        name=words.CATEGORIES[category],
        then=words.choice(then, has_record=counts.status is not Status.UNKNOWN),
        is_gating=category in GATING,
        lowered=lowered if then is not Choice.DENIED else None,
        why_lower="the grant is too old" if is_old else "",
    )


def _basis(source: OrderDetail, counts: Effective) -> str:
    basis = words.BASES.get(source.basis or "", "")
    return f"Inherited; then: {basis[:1].lower()}{basis[1:]}" if counts.status is Status.INHERITED and basis else basis


def _headline(counts: Effective, *, is_waiting: bool) -> tuple[str, str]:
    if is_waiting:
        return "Waiting for the shopper's answer", "wait"
    if counts.status is Status.UNKNOWN:
        return "No consent is on record", "none"
    granted = [words.CATEGORIES[one].lower() for one in GATING if counts.answer(one) is Choice.GRANTED]
    if len(granted) == len(GATING):
        return "Analytics and marketing may be served", "good"
    if granted:
        other = next(words.CATEGORIES[one].lower() for one in GATING if counts.answer(one) is not Choice.GRANTED)
        return f"Only {granted[0]} may be served, {other} may not", "cut"
    return "Neither analytics nor marketing may be served", "bad"
