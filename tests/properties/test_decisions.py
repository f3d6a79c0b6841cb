"""Less consent never sends more, whatever the policy."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.decide.consent import OrderFacts, effective
from gateway.decide.policy import Case, decide, stricter_of
from gateway.model.consent import (
    GATING,
    Basis,
    Category,
    Choice,
    Choices,
    Evidence,
    Lowering,
    OrderConsent,
    SignalState,
)
from gateway.model.decision import Action, Decision, Keep, Mode, Policy, UnknownRule
from gateway.model.order import Origin

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

choices = st.builds(Choices, analytics=st.sampled_from(Choice), marketing=st.sampled_from(Choice))
evidences = st.builds(
    Evidence,
    choices=choices,
    state=st.sampled_from(SignalState),
    basis=st.sampled_from([Basis.EXPLICIT, Basis.IMPLIED, Basis.OPT_OUT_DEFAULT]),
    captured_at=st.sampled_from([NOW, NOW - timedelta(days=400), None]),
    unreadable=st.booleans(),
)
consents = st.builds(OrderConsent, recorded=st.none() | evidences, frozen_at=st.just(NOW))
lowerings = st.lists(
    st.builds(Lowering, category=st.sampled_from(GATING), by=st.just("denial"), at=st.just(NOW)), max_size=2
)
facts = st.builds(
    OrderFacts,
    consent=consents,
    lowerings=lowerings,
    is_renewal=st.booleans(),
    parent=st.none() | consents,
    copied=st.none() | evidences,
)
policies = st.builds(
    Policy,
    mode=st.sampled_from(Mode),
    unknown=st.sampled_from(UnknownRule),
    consent_max_age_days=st.sampled_from([0, 30]),
    renewal_identifiers=st.sampled_from(Keep),
    secrets=st.sampled_from(Keep),
)
cases = st.builds(
    Case,
    purposes=st.sampled_from([(Category.MARKETING,), (Category.ANALYTICS,), GATING]),
    identity_required=st.booleans(),
    origin=st.sampled_from(Origin),
    is_event=st.booleans(),
)


def sends(decision: Decision) -> set[str]:
    """What leaves, as a set that grows with what is sent."""
    if decision.action in (Action.SUPPRESS, Action.HOLD):
        return set()
    strip = decision.strip
    kept = {name for name in ("marketing", "analytics", "either", "stale") if not getattr(strip, name)}
    return kept | {"body"}


@given(facts, policies, cases, st.sampled_from(GATING))
def test_one_denial_more_never_sends_more(known: OrderFacts, policy: Policy, case: Case, category: Category) -> None:
    lowered = [*known.lowerings, Lowering(category=category, by="withdrawal", at=NOW)]
    less = OrderFacts(
        consent=known.consent,
        lowerings=lowered,
        is_renewal=known.is_renewal,
        parent=known.parent,
        copied=known.copied,
    )

    before = decide(policy, effective(known, policy, NOW), case, NOW)
    after = decide(policy, effective(less, policy, NOW), case, NOW)

    assert sends(after) <= sends(before)


@given(facts, policies, cases)
def test_only_an_answered_grant_grants(known: OrderFacts, policy: Policy, case: Case) -> None:
    counts = effective(known, policy, NOW)
    sources = [known.consent.recorded if known.consent else None, known.parent.recorded if known.parent else None]
    granting = [one for one in (*sources, known.copied) if one is not None and not one.unreadable]

    for category in GATING:
        if counts.answer(category) is Choice.GRANTED:
            assert any(one.choices.of(category) is Choice.GRANTED for one in granting)


@given(facts, policies, policies, cases)
def test_stricter_of_two_sends_no_more_than_either(known: OrderFacts, one: Policy, other: Policy, case: Case) -> None:
    decisions = [decide(policy, effective(known, policy, NOW), case, NOW) for policy in (one, other)]
    stricter = stricter_of(*decisions)

    for decision in decisions:
        if decision.strip.is_any or decision.action is not Action.SEND_REDACTED:
            assert sends(stricter) <= sends(decision)
