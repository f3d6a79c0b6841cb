"""The state machine of sessions and customers, and what its states make of an event."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.decide.session import (
    EventFacts,
    decide_event,
    effective_of_event,
    hear_customer,
    hear_session,
    object_to,
    withdraw,
)
from gateway.ingest.gpc import with_gpc
from gateway.model.consent import GATING, Basis, Category, Choice, Choices, Evidence, SignalState, Source, Status
from gateway.model.decision import Action, Mode, Policy, Reason, SessionRule
from gateway.model.session import SessionConsent, SessionState

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NOTHING = SessionConsent()
POLICY = Policy(version=3, mode=Mode.SUPPRESS, event_ttl_seconds=90)
WORDS = {"yes": Choice.GRANTED, "no": Choice.DENIED, "-": Choice.UNKNOWN}


def said(marketing: str = "-", analytics: str = "-", **changes: Any) -> Evidence:
    choices = Choices(marketing=WORDS[marketing], analytics=WORDS[analytics])
    return Evidence(choices=choices, **{"entry": "browser", **changes})


def shown(**changes: Any) -> Evidence:
    return said(state=SignalState.PENDING, **changes)


def heard(*signals: Evidence | tuple[Evidence, int]) -> SessionConsent:
    known = NOTHING
    for at, signal in enumerate(signals):
        evidence, seq = signal if isinstance(signal, tuple) else (signal, None)
        known = hear_session(known, evidence, seq, NOW + timedelta(seconds=at))
    return known


def states(known: SessionConsent) -> str:
    return f"{known.state(Category.MARKETING)} {known.state(Category.ANALYTICS)}"


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        ([], "unknown unknown"),
        ([shown()], "pending pending"),
        ([said("yes", "no")], "granted denied"),
        ([said("yes", "-")], "granted denied"),
        ([shown(), said("yes", "yes")], "granted granted"),
        ([said("yes", "yes"), shown()], "granted granted"),
        ([said("no", "no"), said("yes", "yes")], "granted granted"),
        ([(said("no", "no"), 5), (said("yes", "yes"), 4)], "denied denied"),
        ([(said("no", "no"), 5), (said("yes", "yes"), 5)], "denied denied"),
        ([(said("no", "no"), 5), said("yes", "yes")], "denied denied"),
        ([(said("yes", "yes"), 5), (said("no", "yes"), 4)], "denied granted"),
        ([(said("yes", "yes"), 5), (said("no", "no"), 4), (said("yes", "yes"), 5)], "denied denied"),
        ([(said("yes", "yes"), 5), (said("no", "no"), 6), (said("yes", "yes"), 7)], "granted granted"),
        ([said("yes", "yes"), said("no", "yes", source=Source.SERVER)], "denied granted"),
        ([shown(), said("yes", "no", source=Source.SERVER)], "granted denied"),
        ([with_gpc(shown())], "denied pending"),
        ([with_gpc(said("yes", "yes"))], "denied granted"),
        ([said("yes", "yes"), with_gpc(shown())], "denied granted"),
        ([said("yes", "yes", unreadable=True)], "denied denied"),
        ([shown(marketing="no")], "pending pending"),
        ([shown(marketing="yes", analytics="yes")], "pending pending"),
        ([shown(marketing="yes", basis=Basis.OPT_OUT_DEFAULT, region="US-CA")], "granted pending"),
        ([shown(marketing="yes", basis=Basis.OPT_OUT_DEFAULT, region="DE")], "pending pending"),
    ],
)
def test_state_follows_from_what_was_heard(signals: list[Any], expected: str) -> None:
    assert states(heard(*signals)) == expected


@pytest.mark.parametrize("seq", [None, 1])
@pytest.mark.parametrize("denied", [said("no", "no"), said("no", "no", captured_at=NOW)])
def test_grant_captured_before_a_denial_without_a_number_is_late(denied: Evidence, seq: int | None) -> None:
    known = heard(denied)
    for seconds, expected in ((-1, "denied denied"), (1, "granted granted")):
        granted = said("yes", "yes", captured_at=NOW + timedelta(seconds=seconds))
        assert states(hear_session(known, granted, seq, NOW + timedelta(seconds=2))) == expected


def test_grant_captured_before_the_banner_was_heard_of_counts() -> None:
    assert states(heard(shown(), said("yes", "yes", captured_at=NOW - timedelta(seconds=9)))) == "granted granted"


def test_grant_captured_before_a_denial_of_the_same_source_is_late() -> None:
    denied = said("no", "no", captured_at=NOW)
    granted = said("yes", "yes", captured_at=NOW - timedelta(seconds=1))
    assert states(heard(denied, granted)) == "denied denied"
    assert states(heard(granted, denied)) == "denied denied"


def test_answer_without_a_time_was_given_when_it_was_received() -> None:
    known = heard(said("no", "no", captured_at=NOW - timedelta(days=9)), said("yes", "yes"))
    assert (states(known), known.given_at) == ("granted granted", NOW + timedelta(seconds=1))


@pytest.mark.parametrize("given_at", [None, NOW - timedelta(days=9)])
def test_banner_that_is_shown_again_makes_no_grant_younger(given_at: datetime | None) -> None:
    known = heard(said("yes", "yes", captured_at=given_at), shown(), shown(captured_at=NOW + timedelta(seconds=1)))
    assert (states(known), known.given_at) == ("granted granted", given_at or NOW)


def test_grant_given_before_an_objection_without_a_time_is_late() -> None:
    objection = with_gpc(shown())
    known = heard(said("yes", "yes", captured_at=NOW - timedelta(days=9)), objection)
    known = hear_session(known, said("yes", "yes", captured_at=NOW - timedelta(seconds=5)), None, NOW)
    assert known.state(Category.MARKETING) is SessionState.DENIED


def test_withdrawal_takes_back_only_its_categories() -> None:
    known = withdraw(heard(said("yes", "yes")), [Category.MARKETING, Category.SALE_OF_DATA], NOW)
    assert states(known) == "denied granted"
    assert known.choices.sale_of_data is Choice.DENIED


def test_withdrawal_outlives_grants_of_browsers_and_grants_made_before_it() -> None:
    known = withdraw(heard(said("yes", "yes")), GATING, NOW)
    known = hear_session(known, said("yes", "yes"), 9, NOW)
    before = said("yes", "yes", source=Source.SERVER, captured_at=NOW - timedelta(seconds=1))
    assert states(hear_session(known, before, None, NOW)) == "denied denied"
    after = said("yes", "yes", source=Source.SERVER)
    assert states(hear_session(known, after, None, NOW)) == "granted granted"


def test_field_that_a_shop_leaves_empty_for_a_customer_is_pending() -> None:
    known = hear_customer(NOTHING, said("yes", "-", source=Source.SERVER), None, NOW)
    assert states(known) == "granted pending"
    emptied = hear_customer(known, said("-", "yes", source=Source.SERVER), None, NOW)
    assert states(emptied) == "pending granted"


def test_denial_of_a_customer_is_not_undone_by_an_empty_field() -> None:
    known = hear_customer(NOTHING, said("no", "yes", source=Source.SERVER), None, NOW)
    assert states(hear_customer(known, said("-", "yes", source=Source.SERVER), None, NOW)) == "denied granted"


def test_objection_sticks_to_a_customer_whatever_the_shop_says_later() -> None:
    known = object_to(NOTHING, NOW)
    assert states(hear_customer(known, said("yes", "yes", source=Source.SERVER), 7, NOW)) == "denied granted"
    told = hear_customer(NOTHING, with_gpc(said("yes", "yes", source=Source.SERVER)), 1, NOW)
    assert states(hear_customer(told, said("yes", "yes", source=Source.SERVER), 2, NOW)) == "denied granted"


# --- events -------------------------------------------------------------------------------------------------------


def facts(**changes: Any) -> EventFacts:
    return EventFacts(**{"event": "view_item", "accepted_at": NOW, **changes})


def decided(known: EventFacts, *purposes: Category, policy: Policy = POLICY, after_seconds: float = 1) -> str:
    now = NOW + timedelta(seconds=after_seconds)
    decision = decide_event(known, policy, purposes or GATING, now)
    assert decision.policy_version == policy.version
    return f"{decision.action} {decision.reason}"


GRANTED = heard(said("yes", "yes"))
DENIED = heard(said("no", "no"))
MARKETING = heard(said("yes", "no"))
ASKED = heard(shown())


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (facts(), "hold awaiting_answer"),
        (facts(session=ASKED), "hold awaiting_answer"),
        (facts(session=GRANTED), "send_as_is all_granted"),
        (facts(session=DENIED), "suppress all_purposes_denied"),
        (facts(session=MARKETING), "send_redacted some_denied"),
        (facts(session=ASKED, customer=GRANTED), "send_as_is all_granted"),
        (facts(customer=GRANTED), "send_as_is all_granted"),
        (facts(session=DENIED, customer=GRANTED), "suppress all_purposes_denied"),
        (facts(session=GRANTED, customer=DENIED), "suppress all_purposes_denied"),
        (facts(session=GRANTED, owner=DENIED), "suppress all_purposes_denied"),
        (facts(session=ASKED, owner=GRANTED), "hold awaiting_answer"),
        (facts(session=GRANTED, owner=ASKED), "send_as_is all_granted"),
        (facts(session=GRANTED, held_until=NOW + timedelta(seconds=1)), "suppress expired"),
    ],
)
def test_event_is_decided_by_its_session_and_customers(known: EventFacts, expected: str) -> None:
    assert decided(known) == expected


@pytest.mark.parametrize("mode", [Mode.SUPPRESS, Mode.ANONYMIZE])
def test_event_of_which_no_purpose_is_granted_never_leaves(mode: Mode) -> None:
    policy = Policy(mode=mode)
    assert decided(facts(session=MARKETING), Category.ANALYTICS, policy=policy) == "suppress all_purposes_denied"
    assert decided(facts(session=ASKED), Category.ANALYTICS, policy=policy, after_seconds=90) == "suppress expired"
    assert decided(facts(session=ASKED), Category.ANALYTICS, policy=policy, after_seconds=89).startswith("hold")


def test_wait_ends_when_it_was_said_to_end() -> None:
    until = NOW + timedelta(seconds=10)
    decision = decide_event(facts(held_until=until), POLICY, GATING, NOW)
    assert (decision.action, decision.release_at) == (Action.HOLD, until)
    fresh = decide_event(facts(), POLICY, GATING, NOW)
    assert fresh.release_at == NOW + timedelta(seconds=90)


def test_what_is_not_granted_counts_as_denied_when_the_rest_is_stripped() -> None:
    customer = hear_customer(NOTHING, said("yes", "-", source=Source.SERVER), None, NOW)
    decision = decide_event(facts(customer=customer), POLICY, GATING, NOW)
    assert decision.action is Action.SEND_REDACTED
    assert (decision.strip.marketing, decision.strip.analytics) == (False, True)
    assert decision.consent is not None
    assert decision.consent["unknown"] == "deny"


def test_mode_off_waits_for_nothing_but_refusal_holds() -> None:
    off = Policy(mode=Mode.OFF)
    assert decided(facts(session=DENIED), policy=off) == "send_as_is mode_off"
    refusing = Policy(mode=Mode.OFF, session_events=SessionRule.REFUSE)
    assert decided(facts(session=GRANTED), policy=refusing) == "suppress events_refused"
    assert decided(facts(event="purchase"), policy=refusing) == "send_as_is mode_off"


def test_old_grant_counts_as_denied_and_says_so() -> None:
    policy = Policy(mode=Mode.SUPPRESS, consent_max_age_days=30)
    old = heard(said("yes", "no", captured_at=NOW - timedelta(days=31)))
    assert decided(facts(session=old), policy=policy) == "suppress all_purposes_denied"
    decision = decide_event(facts(session=old), policy, GATING, NOW)
    assert decision.reasons == (Reason.ALL_PURPOSES_DENIED.value, "grant_too_old:marketing")
    assert decided(facts(session=old, customer=GRANTED), policy=policy) == "send_redacted some_denied"


def test_consent_of_an_event_tells_who_said_what() -> None:
    known = effective_of_event(facts(session=ASKED), POLICY, NOW)
    assert (known.status, known.basis) == (Status.UNANSWERED, Basis.EXPLICIT)
    assert effective_of_event(facts(), POLICY, NOW).status is Status.UNKNOWN
    customer = hear_customer(NOTHING, said("yes", "no", source=Source.SERVER, captured_at=NOW), None, NOW)
    both = effective_of_event(facts(session=ASKED, customer=customer), POLICY, NOW)
    assert (both.status, both.source, both.captured_at) == (Status.RECORDED, Source.SERVER, NOW)
    assert both.categories.as_json["marketing"] is True


def test_state_of_a_session_reads_as_an_answer() -> None:
    assert SessionState.PENDING.choice is Choice.UNKNOWN
    assert SessionState.DENIED.choice is Choice.DENIED
