"""Sessions: what a signal makes of their state, and what the state makes of an event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway.decide.consent import is_resolved_unasked
from gateway.decide.policy import Case, decide
from gateway.model.consent import (
    GATING,
    Basis,
    Category,
    Choice,
    Choices,
    Evidence,
    Lowering,
    SignalState,
    Source,
    Status,
)
from gateway.model.decision import Action, Decision, Effective, Mode, Policy, Reason, SessionRule
from gateway.model.session import ORDER_EVENTS, Said, SessionConsent, SessionState

GPC_SOURCE = "gpc"

_ANSWERS = (SessionState.GRANTED, SessionState.DENIED)


# --- what a signal does to a session or a customer ----------------------------------------------------------------


def hear_session(known: SessionConsent, evidence: Evidence, seq: int | None, now: datetime) -> SessionConsent:
    """Apply a signal that names the session: inside an answer, silence on a gating category is a denial."""
    return _heard(known, evidence, seq, now, silence=SessionState.DENIED)


def hear_customer(known: SessionConsent, evidence: Evidence, seq: int | None, now: datetime) -> SessionConsent:
    """Apply a shop's signal that names the customer: a field that it leaves empty is pending."""
    heard = _heard(known, replace(evidence, gpc=False), seq, now, silence=SessionState.PENDING)
    return object_to(heard, now) if evidence.gpc else heard


def withdraw(known: SessionConsent, categories: Sequence[Category], now: datetime) -> SessionConsent:
    """Take categories back; only a statement of the shop itself that was made later gives them again."""
    before = known.by_source.get(Source.SERVER.value, Said(source=Source.SERVER, received_at=now))
    states = {**before.states, **{one: SessionState.DENIED for one in categories if one in GATING}}
    choices = before.choices
    for category in categories:
        choices = choices.with_choice(category, Choice.DENIED)
    said = replace(before, states=states, choices=choices, captured_at=now, received_at=now)
    return _with(known, said.source.value, said)


def object_to(known: SessionConsent, now: datetime) -> SessionConsent:
    """Note on a customer that a browser of theirs objected by Global Privacy Control; no later grant undoes it."""
    said = Said(
        states={Category.MARKETING: SessionState.DENIED},
        choices=Choices(marketing=Choice.DENIED, sale_of_data=Choice.DENIED),
        gpc=True,
        basis=Basis.GPC,
        received_at=now,
    )
    return _with(known, GPC_SOURCE, said)


def _with(known: SessionConsent, source: str, said: Said) -> SessionConsent:
    return SessionConsent(by_source={**known.by_source, source: said})


def _heard(
    known: SessionConsent, evidence: Evidence, seq: int | None, now: datetime, *, silence: SessionState
) -> SessionConsent:
    """Only a grant has to be newer than what its source said before; a denial counts whenever it arrives."""
    source = evidence.source.value
    before = known.by_source.get(source, Said(source=evidence.source, received_at=now))
    is_newer = _is_newer(before, evidence, seq)
    is_answer = evidence.state is SignalState.ANSWERED
    is_replaced = is_newer and is_answer
    told = {category: _told(evidence, category, silence) for category in GATING}
    # A banner that is shown again makes nothing that was said before it any younger.
    is_said = source not in known.by_source or is_answer or SessionState.DENIED in told.values()
    said = Said(
        source=evidence.source,
        states={c: _next(before.state(c), told[c], evidence.state, is_newer) for c in GATING},
        choices=evidence.choices if is_replaced else before.choices.strictest_with(_denials(evidence.choices)),
        seq=max((one for one in (before.seq, seq) if one is not None), default=None),
        gpc=evidence.gpc or (before.gpc and not is_replaced),
        basis=evidence.basis if is_replaced or source not in known.by_source else before.basis,
        captured_at=evidence.captured_at if is_said and is_newer else before.captured_at,
        received_at=now if is_said else before.received_at,
    )
    return _with(known, source, said)


def _is_newer(before: Said, evidence: Evidence, seq: int | None) -> bool:
    """By number where there is one, else by time; a denial without a time counts from when it was received."""
    if before.seq is not None:
        return seq is not None and seq > before.seq
    is_denied = SessionState.DENIED in before.states.values()
    since = before.captured_at or (before.received_at if is_denied else None)
    return since is None or evidence.captured_at is None or evidence.captured_at >= since


def _told(evidence: Evidence, category: Category, silence: SessionState) -> SessionState:
    choice = evidence.choices.of(category)
    if evidence.unreadable or (evidence.gpc and choice is Choice.DENIED):
        return SessionState.DENIED
    if evidence.state is SignalState.ANSWERED:
        told = {Choice.GRANTED: SessionState.GRANTED, Choice.DENIED: SessionState.DENIED}
        return told.get(choice, silence)
    is_granted = choice is Choice.GRANTED and is_resolved_unasked(evidence)
    return SessionState.GRANTED if is_granted else SessionState.PENDING


def _next(before: SessionState, told: SessionState, state: SignalState, is_newer: bool) -> SessionState:
    if told is SessionState.DENIED:
        return SessionState.DENIED
    if told is SessionState.GRANTED:
        return told if is_newer else before
    # A field left empty by a newer answer is no grant any more; a banner that is shown again changes no answer.
    is_emptied = before is SessionState.GRANTED and state is SignalState.ANSWERED and is_newer
    return SessionState.PENDING if is_emptied or before not in _ANSWERS else before


def _denials(choices: Choices) -> Choices:
    return Choices(**{c.value: Choice.DENIED for c in Category if choices.of(c) is Choice.DENIED})


# --- what the state does to an event ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFacts:
    """What is known when one delivery of an event is decided.

    `held_until` is the end of its wait for an answer, None for what does not wait (any more). `customer` is the
    customer that the event names; `owner` the one that its session is known to belong to. `lowerings` are what was
    taken back for the e-mail address that it holds.
    """

    event: str
    accepted_at: datetime
    held_until: datetime | None = None
    session: SessionConsent | None = None
    customer: SessionConsent | None = None
    owner: SessionConsent | None = None
    lowerings: Sequence[Lowering] = ()


def decide_event(
    facts: EventFacts, policy: Policy, purposes: Sequence[Category], now: datetime, *, identity_required: bool = False
) -> Decision:
    """Say what becomes of one event for one destination: only what is granted for it leaves."""
    if policy.session_events is SessionRule.REFUSE and facts.event not in ORDER_EVENTS:
        return _stopped(Reason.EVENTS_REFUSED, policy)
    if facts.held_until is not None and now >= facts.held_until:
        return _stopped(Reason.EXPIRED, policy)
    known = effective_of_event(facts, policy, now)
    answers = {known.answer(category) for category in purposes}
    if policy.mode is not Mode.OFF and Choice.GRANTED not in answers and Choice.UNKNOWN in answers:
        return _waiting(facts, policy, now)
    return decide(policy, known, Case(purposes=purposes, identity_required=identity_required, is_event=True), now)


def effective_of_event(facts: EventFacts, policy: Policy, now: datetime) -> Effective:
    """Return the consent that counts for one event."""
    speaking = [one for one in (facts.session, facts.customer) if one is not None]
    answers = {category: _answer(facts, category) for category in GATING}
    lowered = tuple(one for one in facts.lowerings if _counts(one, speaking, answers))
    answers |= {one.category: Choice.DENIED for one in lowered}
    old = _too_old(speaking, answers, policy, now)
    said = _deciding(speaking)
    return Effective(
        status=_status(speaking),
        categories=_choices(speaking, answers),
        answers={**answers, **dict.fromkeys(old, Choice.DENIED)},
        source=said.source if said else None,
        captured_at=said.given_at if said else None,
        basis=said.basis if said else Basis.NONE,
        lowered=lowered,
        notes=tuple(f"grant_too_old:{category.value}" for category in old),
    )


def _stopped(reason: Reason, policy: Policy) -> Decision:
    return Decision(action=Action.SUPPRESS, reason=reason, reasons=(reason.value,), policy_version=policy.version)


def _waiting(facts: EventFacts, policy: Policy, now: datetime) -> Decision:
    release_at = facts.held_until or facts.accepted_at + timedelta(seconds=policy.event_ttl_seconds)
    if now >= release_at:
        return _stopped(Reason.EXPIRED, policy)
    return Decision(
        action=Action.HOLD,
        reason=Reason.AWAITING_ANSWER,
        reasons=(Reason.AWAITING_ANSWER.value,),
        policy_version=policy.version,
        release_at=release_at,
    )


def _answer(facts: EventFacts, category: Category) -> Choice:
    """A customer's grant counts where the event names that customer, a customer's denial in all their sessions."""
    speaking = [one.state(category) for one in (facts.session, facts.customer) if one is not None]
    lowering = [facts.owner.state(category)] if facts.owner is not None else []
    if SessionState.DENIED in (*speaking, *lowering):
        return Choice.DENIED
    return Choice.GRANTED if SessionState.GRANTED in speaking else Choice.UNKNOWN


def _counts(lowering: Lowering, speaking: Sequence[SessionConsent], answers: Mapping[Category, Choice]) -> bool:
    """Whether nothing was granted since; what is denied anyway needs nothing that lowers it."""
    answer = answers.get(lowering.category, Choice.DENIED)
    return answer is Choice.UNKNOWN or (
        answer is Choice.GRANTED and _granted_at(speaking, lowering.category) <= lowering.at
    )


def _too_old(
    speaking: Sequence[SessionConsent], answers: Mapping[Category, Choice], policy: Policy, now: datetime
) -> list[Category]:
    """Grants age, denials never."""
    if not policy.consent_max_age_days:
        return []
    oldest_at = now - timedelta(days=policy.consent_max_age_days)
    granted = [category for category in GATING if answers[category] is Choice.GRANTED]
    return [category for category in granted if _granted_at(speaking, category) < oldest_at]


def _granted_at(speaking: Sequence[SessionConsent], category: Category) -> datetime:
    """The newest grant of one that speaks, for each the oldest of its sources."""
    granted = [
        [said.given_at for said in one.by_source.values() if said.state(category) is SessionState.GRANTED]
        for one in speaking
    ]
    return max(min(times) for times in granted if times)


def _deciding(speaking: Sequence[SessionConsent]) -> Said | None:
    """What was said last among those who answered, else among those who were asked."""
    answered = [one.last for one in speaking if one.is_answered]
    known = [said for said in answered or [one.last for one in speaking] if said is not None]
    return max(known, key=lambda said: said.received_at, default=None)


def _status(speaking: Sequence[SessionConsent]) -> Status:
    if any(one.is_answered for one in speaking):
        return Status.RECORDED
    return Status.UNANSWERED if any(one.is_pending for one in speaking) else Status.UNKNOWN


def _choices(speaking: Sequence[SessionConsent], answers: Mapping[Category, Choice]) -> Choices:
    combined = Choices()
    for one in speaking:
        combined = combined.strictest_with(one.choices)
    return replace(combined, **{category.value: answers[category] for category in GATING})
