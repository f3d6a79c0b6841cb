"""Order-time record and what came later become the consent that counts for one delivery."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.decide.regimes import Regime, regime_of
from gateway.model.consent import (
    GATING,
    Basis,
    Category,
    Channel,
    Choice,
    Choices,
    Evidence,
    Lowering,
    OrderConsent,
    SignalState,
    Status,
    strictest,
)
from gateway.model.decision import Effective, GpcRule, Policy, RenewalRule

# --- what a signal does to an order -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What an order's consent becomes when something is heard.

    `lowered` are the gating categories that the signal takes back from a frozen record. `is_kept` says whether the
    signal became (part of) the record; `is_released` whether held deliveries may go now.
    """

    consent: OrderConsent
    lowered: tuple[Category, ...] = ()
    is_kept: bool = False
    is_released: bool = False


def hear(consent: OrderConsent, evidence: Evidence, channel: Channel, now: datetime) -> Heard:
    """Apply one piece of evidence to an order's consent.

    Before the order is frozen the newest answer of a source replaces it and different sources combine to the most
    restrictive. Afterwards it only lowers; but an order that froze without any record takes the first one that the
    shop (never a browser's grant) brings.
    """
    if now < consent.frozen_at:
        return _heard_while_open(consent, evidence, channel, now)
    if consent.recorded is None and not (channel is Channel.BROWSER and _grants(evidence)):
        kept = replace(consent, recorded=evidence, recorded_at=now, given_after=True)
        return Heard(consent=kept, is_kept=True)
    return Heard(consent=consent, lowered=denied_categories(evidence))


def hear_together(consent: OrderConsent, heard: Sequence[tuple[Evidence, Channel]], now: datetime) -> Heard:
    """Apply what is known at one moment - parked signals, the session, the order's own entry - as one."""
    if now >= consent.frozen_at:
        return _heard_in_turn(consent, heard, now)
    frozen_at, is_kept = consent.frozen_at, False
    for evidence, channel in heard:
        one = _heard_while_open(replace(consent, frozen_at=frozen_at), evidence, channel, now)
        consent, is_kept = one.consent, is_kept or one.is_kept
    is_answer = consent.recorded is not None and consent.recorded.state is SignalState.ANSWERED
    consent = replace(consent, frozen_at=now if is_answer else frozen_at)
    return Heard(consent=consent, is_kept=is_kept, is_released=is_answer)


def denied_categories(evidence: Evidence) -> tuple[Category, ...]:
    """Return the gating categories that evidence denies: only by an answer, or by GPC."""
    if evidence.state is SignalState.PENDING and not evidence.gpc:
        return ()
    denied = [category for category in GATING if evidence.choices.of(category) is Choice.DENIED]
    if evidence.state is SignalState.ANSWERED:
        denied = [category for category in GATING if evidence.choices.of(category) is not Choice.GRANTED]
    return tuple(denied)


def is_resolved_unasked(evidence: Evidence) -> bool:
    """Whether a category may be granted until it is refused: where the law asks for no answer."""
    may_be_opt_in = bool(evidence.region) and regime_of(evidence.region) is not Regime.OPT_OUT
    return evidence.basis is Basis.OPT_OUT_DEFAULT and not may_be_opt_in


def lowered_by(evidence: Evidence, channel: Channel) -> str:
    """Return the word for what takes a grant back."""
    if channel is Channel.WITHDRAWAL:
        return "withdrawal"
    return "gpc" if evidence.gpc else "denial"


def combined(one: Evidence, other: Evidence) -> Evidence:
    """Combine two sources: an answer beats none, a denial beats a grant."""
    if one.state is not other.state:
        answered, pending = (one, other) if one.state is SignalState.ANSWERED else (other, one)
        lowered = answered.choices.strictest_with(_denials(pending.choices)) if pending.gpc else answered.choices
        return replace(answered, choices=lowered, gpc=one.gpc or other.gpc)
    first = one if _strictness(one) >= _strictness(other) else other
    second = other if first is one else one
    choices = Choices(
        **{
            category.value: _agreed(first.choices.of(category), second.choices.of(category), first.state)
            for category in Category
        }
    )
    return replace(first, choices=choices, gpc=one.gpc or other.gpc, unreadable=one.unreadable or other.unreadable)


def with_gpc_rule(evidence: Evidence, rule: GpcRule) -> Evidence:
    """Give an explicit opt-in grant back its weight against GPC, where the shop's policy says so."""
    before = evidence.before_gpc
    counts = (
        rule is GpcRule.REGIME
        and before is not None
        and evidence.basis in (Basis.EXPLICIT, Basis.GPC)
        and evidence.state is SignalState.ANSWERED
        and regime_of(evidence.region) is Regime.OPT_IN
    )
    if not counts or before is None or before.marketing is not Choice.GRANTED:
        return evidence
    if before.sale_of_data is not Choice.GRANTED:
        before = before.with_choice(Category.SALE_OF_DATA, Choice.DENIED)
    return replace(evidence, choices=before, basis=Basis.EXPLICIT, gpc=False)


def _heard_in_turn(consent: OrderConsent, heard: Sequence[tuple[Evidence, Channel]], now: datetime) -> Heard:
    lowered: list[Category] = []
    is_kept = False
    for evidence, channel in heard:
        one = hear(consent, evidence, channel, now)
        consent, is_kept = one.consent, is_kept or one.is_kept
        lowered += one.lowered
    return Heard(consent=consent, lowered=tuple(dict.fromkeys(lowered)), is_kept=is_kept)


def _heard_while_open(consent: OrderConsent, evidence: Evidence, channel: Channel, now: datetime) -> Heard:
    known = consent.recorded
    is_empty = known is None or known.state is SignalState.PENDING
    if channel is Channel.BROWSER and not is_empty and not denied_categories(evidence):
        return Heard(consent=consent)
    if known is None:
        recorded = evidence
    elif known.source is evidence.source and known.entry == evidence.entry:
        recorded = _newer(known, evidence)
    else:
        recorded = combined(known, evidence)
    is_answer = recorded.state is SignalState.ANSWERED
    frozen_at = now if is_answer else consent.frozen_at
    kept = replace(consent, recorded=recorded, recorded_at=now, frozen_at=frozen_at)
    return Heard(consent=kept, is_kept=True, is_released=is_answer)


def _newer(known: Evidence, heard: Evidence) -> Evidence:
    if known.state is SignalState.ANSWERED and heard.state is SignalState.PENDING:
        return combined(known, heard)
    is_older = bool(known.captured_at and heard.captured_at and heard.captured_at < known.captured_at)
    return combined(known, heard) if is_older else heard


def _grants(evidence: Evidence) -> bool:
    return any(evidence.choices.of(category) is Choice.GRANTED for category in GATING)


def _denials(choices: Choices) -> Choices:
    kept = {c.value: Choice.DENIED if choices.of(c) is Choice.DENIED else Choice.UNKNOWN for c in Category}
    return Choices(**kept)


def _strictness(evidence: Evidence) -> int:
    return sum(evidence.choices.of(category) is not Choice.GRANTED for category in GATING)


def _agreed(one: Choice, other: Choice, state: SignalState) -> Choice:
    if Choice.DENIED in (one, other):
        return Choice.DENIED
    # Two answers of which one is silent on a category: silence inside an answer is no grant.
    if state is SignalState.ANSWERED:
        return strictest(one, other)
    return one if other is Choice.UNKNOWN else other


# --- the consent that counts --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFacts:
    """What is known of an order when one of its deliveries is decided.

    `lowerings` holds only what counts for this order: what was received after the freezing of the record that
    applies. For a renewal, `parent` is the consent of the order that began the subscription (None: unknown, or it
    has no record), `copied` is the evidence that the shop copied onto it, and `latest` the customer's newest answer.
    """

    consent: OrderConsent | None = None
    lowerings: Sequence[Lowering] = ()
    is_renewal: bool = False
    is_inheriting: bool = False  # a subscription's own webhook: its parent's record, without being a renewal
    parent: OrderConsent | None = None
    copied: Evidence | None = None
    latest: Evidence | None = None


def effective(facts: OrderFacts, policy: Policy, now: datetime) -> Effective:
    """Return what counts now for one delivery of an order, before the unknown rule."""
    own = facts.consent.recorded if facts.consent else None
    lowerings = facts.lowerings
    if (facts.is_renewal or facts.is_inheriting) and own is None:
        followed = _followed(facts, policy)
        base = _inherited(followed)
        lowerings = [*_since(facts, followed), *_denied_on_copy(facts, followed)]
    else:
        base = _recorded(own, given_after=bool(facts.consent and facts.consent.given_after))
    aged = _aged(base, policy.consent_max_age_days, now)
    return _lowered(aged, lowerings)


def effective_of_customer(
    stored: Evidence | None, lowerings: Sequence[Lowering], policy: Policy, now: datetime
) -> Effective:
    """Return what counts for a customer's own webhooks: the stored choice; no choice is denied."""
    if stored is None:
        nothing = dict.fromkeys(GATING, Choice.DENIED)
        return _lowered(Effective(answers=nothing, notes=("no_stored_choice",)), lowerings)
    return _lowered(_aged(_recorded(stored), policy.consent_max_age_days, now), lowerings)


def _recorded(evidence: Evidence | None, *, given_after: bool = False) -> Effective:
    if evidence is None:
        return Effective()
    is_answer = evidence.state is SignalState.ANSWERED
    notes = [f"unreadable:{evidence.entry}"] if evidence.unreadable else []
    notes += ["given_after_the_order"] if given_after else []
    return Effective(
        status=Status.RECORDED if is_answer else Status.UNANSWERED,
        categories=evidence.choices,
        answers={category: _answer(evidence, category) for category in GATING},
        source=evidence.source,
        captured_at=evidence.captured_at,
        basis=evidence.basis,
        given_after=given_after,
        notes=tuple(notes),
    )


def _answer(evidence: Evidence, category: Category) -> Choice:
    """Only a grant is a grant: an answer that is missing inside a record counts as denied."""
    if evidence.unreadable or evidence.choices.of(category) is not Choice.GRANTED:
        return Choice.DENIED
    is_resolved = evidence.state is SignalState.ANSWERED or is_resolved_unasked(evidence)
    return Choice.GRANTED if is_resolved else Choice.DENIED


def _followed(facts: OrderFacts, policy: Policy) -> Evidence | None:
    """Return whose evidence a renewal follows."""
    if policy.renewals is RenewalRule.UNKNOWN and not facts.is_inheriting:
        return None
    if policy.renewals is RenewalRule.LATEST and facts.latest is not None:
        return facts.latest
    recorded = facts.parent.recorded if facts.parent else None
    return recorded or facts.copied


def _inherited(evidence: Evidence | None) -> Effective:
    if evidence is None:
        return Effective()
    return replace(_recorded(evidence), status=Status.INHERITED, basis=Basis.INHERITED)


def _since(facts: OrderFacts, followed: Evidence | None) -> Sequence[Lowering]:
    """Return what lowers; the customer's newest answer outweighs what came before it."""
    if followed is None or followed is not facts.latest or followed.captured_at is None:
        return facts.lowerings
    return [lowering for lowering in facts.lowerings if lowering.at > followed.captured_at]


def _denied_on_copy(facts: OrderFacts, followed: Evidence | None) -> list[Lowering]:
    """Return what the shop's copy denies when it is newer than what is followed; a newer grant does not raise it."""
    copied = facts.copied
    if copied is None or copied is followed or copied.captured_at is None or followed is None:
        return []
    if followed.captured_at is not None and copied.captured_at <= followed.captured_at:
        return []
    return [Lowering(category=one, by="order", at=copied.captured_at) for one in denied_categories(copied)]


def _aged(known: Effective, max_age_days: int, now: datetime) -> Effective:
    """Grants age, denials never: a grant that is too old counts as denied."""
    if not max_age_days or known.status is Status.UNKNOWN:
        return known
    if known.captured_at is not None and now - known.captured_at <= timedelta(days=max_age_days):
        return known
    old = tuple(category for category in GATING if known.answer(category) is Choice.GRANTED)
    notes = (*known.notes, *(f"grant_too_old:{category.value}" for category in old))
    return replace(known, answers={**known.answers, **dict.fromkeys(old, Choice.DENIED)}, notes=notes)


def _lowered(known: Effective, lowerings: Sequence[Lowering]) -> Effective:
    if not lowerings:
        return known
    counting = {lowering.category: lowering for lowering in sorted(lowerings, key=lambda one: one.at, reverse=True)}
    answers: Mapping[Category, Choice] = {
        **known.answers,
        **{category: Choice.DENIED for category in counting if category in GATING},
    }
    return replace(known, answers=answers, lowered=tuple(counting.values()))
