"""A policy and the consent that counts become a decision with its reasons. Every row of the golden table runs here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.model.consent import GATING, Category, Choice
from gateway.model.decision import Action, Decision, Effective, Keep, Mode, Policy, Reason, Strip, UnknownRule
from gateway.model.instant import as_text
from gateway.model.order import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is to be decided: one delivery, as its destination and its order are.

    `origin` None: nothing is known of the order. `held_until` is the end of the wait for an answer, None when
    nothing is awaited. `is_event`: a session event or what follows its stricter rules.
    """

    purposes: Sequence[Category]
    identity_required: bool = False
    origin: Origin | None = None
    is_renewal: bool = False
    is_event: bool = False
    held_until: datetime | None = None


def decide(policy: Policy, known: Effective, case: Case, now: datetime) -> Decision:
    """Say what `policy` does with one delivery."""
    if policy.mode is Mode.OFF:
        return Decision(action=Action.SEND_AS_IS, reason=Reason.MODE_OFF, policy_version=policy.version)
    if case.held_until is not None and now < case.held_until:
        return Decision(
            action=Action.HOLD,
            reason=Reason.AWAITING_ANSWER,
            release_at=case.held_until,
            policy_version=policy.version,
        )
    rule = UnknownRule.DENY if case.is_event else _unknown_rule(policy, case.origin)
    applied = {category: _applies(known.answer(category), rule) for category in GATING}
    decision = _gated(policy, known, case, applied)
    return Decision(
        action=decision.action,
        reason=decision.reason,
        reasons=(decision.reason.value, *(r for r in decision.reasons if r != decision.reason.value), *known.notes),
        strip=decision.strip,
        applied=applied,
        consent=None if decision.action is Action.SUPPRESS else consent_object(known, applied, policy, rule),
        policy_version=policy.version,
    )


def stricter_of(one: Decision, other: Decision) -> Decision:
    """Return the decision that sends less; where both redact, what either strips."""
    first, second = sorted((one, other), key=_strictness, reverse=True)
    if second.action is not Action.SEND_REDACTED or first.action is not Action.SEND_REDACTED:
        return first
    applied = {c: first.applied.get(c, False) and second.applied.get(c, False) for c in GATING}
    return replace(
        first,
        strip=first.strip.union(second.strip),
        applied=applied,
        consent={**(first.consent or {}), "applied": {c.value: applied[c] for c in GATING}},
        reasons=tuple(dict.fromkeys((*first.reasons, *second.reasons))),
    )


def consent_object(
    known: Effective, applied: Mapping[Category, bool], policy: Policy, rule: UnknownRule | None = None
) -> dict[str, object]:
    """Return the `consent` object that goes with a body."""
    return {
        "version": 1,
        "status": known.status.value,
        "categories": known.categories.as_json,
        "applied": {category.value: applied[category] for category in GATING},
        "lowered": {
            lowering.category.value: {"by": lowering.by, "at": as_text(lowering.at)} for lowering in known.lowered
        },
        "source": known.source.value if known.source else None,
        "captured_at": as_text(known.captured_at) if known.captured_at else None,
        "basis": known.basis.value,
        "mode": policy.mode.value,
        "unknown": (rule or policy.unknown).value,
    }


def _strictness(decision: Decision) -> tuple[int, bool]:
    """What holds back more ranks higher; so does a body that is told its consent over the store's own bytes."""
    rank = [Action.SEND_AS_IS, Action.SEND_REDACTED, Action.HOLD, Action.SUPPRESS]
    return rank.index(decision.action), decision.consent is not None


def _unknown_rule(policy: Policy, origin: Origin | None) -> UnknownRule:
    return policy.unknown if origin is None else policy.unknown_for(origin)


def _applies(answer: Choice, rule: UnknownRule) -> bool:
    return answer is Choice.GRANTED or (answer is Choice.UNKNOWN and rule is UnknownRule.ALLOW)


def _gated(policy: Policy, known: Effective, case: Case, applied: Mapping[Category, bool]) -> Decision:
    is_guess = all(known.answer(category) is Choice.UNKNOWN for category in GATING)
    if not any(applied[category] for category in case.purposes):
        reason = Reason.UNKNOWN_DENIED if is_guess else Reason.ALL_PURPOSES_DENIED
        if policy.mode is Mode.SUPPRESS or case.is_event:
            return Decision(action=Action.SUPPRESS, reason=reason)
        if case.identity_required:
            return Decision(action=Action.SUPPRESS, reason=Reason.IDENTITY_REQUIRED, reasons=(reason.value,))
        return _stripped(policy, case, applied, reason)
    return _stripped(policy, case, applied, _sending_reason(case, applied, is_guess=is_guess))


def _sending_reason(case: Case, applied: Mapping[Category, bool], *, is_guess: bool) -> Reason:
    if is_guess:
        return Reason.UNKNOWN_ALLOWED
    if not all(applied[category] for category in case.purposes):
        return Reason.SOME_DENIED
    return Reason.ALL_GRANTED if set(GATING) <= set(case.purposes) else Reason.NOT_SERVED


def _stripped(policy: Policy, case: Case, applied: Mapping[Category, bool], reason: Reason) -> Decision:
    strip = Strip(
        marketing=not (applied[Category.MARKETING] and Category.MARKETING in case.purposes),
        analytics=not (applied[Category.ANALYTICS] and Category.ANALYTICS in case.purposes),
        either=not all(applied[category] for category in case.purposes),
        stale=case.is_renewal and policy.renewal_identifiers is Keep.DROP,
        secrets=policy.secrets is Keep.DROP,
    )
    reasons = [reason.value]
    if strip.stale:
        reasons.append(Reason.STALE_IDENTIFIERS.value)
        reason = Reason.STALE_IDENTIFIERS if reason is Reason.ALL_GRANTED else reason
    if strip.secrets and not strip.is_any:
        reasons.append(Reason.SECRETS_DROPPED.value)
    is_touched = strip.is_any or strip.secrets
    action = Action.SEND_REDACTED if is_touched else Action.SEND_AS_IS
    return Decision(action=action, reason=reason, reasons=tuple(reasons), strip=strip)
