"""What a signal does to an order's consent."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.decide.consent import combined, denied_categories, hear, hear_together, with_gpc_rule
from gateway.model.consent import (
    Basis,
    Category,
    Channel,
    Choice,
    Choices,
    Evidence,
    OrderConsent,
    SignalState,
    Source,
)
from gateway.model.decision import GpcRule

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OPEN = OrderConsent(frozen_at=NOW + timedelta(seconds=60))
FROZEN = OrderConsent(frozen_at=NOW)
GRANTED = Choices(analytics=Choice.GRANTED, marketing=Choice.GRANTED)
DENIED = Choices(analytics=Choice.DENIED, marketing=Choice.DENIED)
MIXED = Choices(analytics=Choice.GRANTED, marketing=Choice.DENIED)


def said(choices: Choices = GRANTED, **changes: object) -> Evidence:
    return replace(Evidence(choices=choices, entry="_consent_gateway", captured_at=NOW), **changes)  # type: ignore[arg-type]


def pending() -> Evidence:
    return said(Choices(), state=SignalState.PENDING)


def test_answer_freezes_an_open_order_and_releases_it() -> None:
    heard = hear(OPEN, said(), Channel.ORDER, NOW)

    assert heard.is_released
    assert heard.consent.frozen_at == NOW
    assert heard.consent.recorded == said()


def test_banner_seen_is_kept_but_releases_nothing() -> None:
    heard = hear(OPEN, pending(), Channel.BROWSER, NOW)

    assert heard.is_kept
    assert not heard.is_released
    assert heard.consent.frozen_at == OPEN.frozen_at


def test_answer_replaces_the_banner_that_was_only_seen() -> None:
    seen = hear(OPEN, pending(), Channel.ORDER, NOW).consent
    heard = hear(seen, said(), Channel.BROWSER, NOW)

    assert heard.consent.recorded is not None
    assert heard.consent.recorded.state is SignalState.ANSWERED
    assert heard.consent.recorded.choices == GRANTED


def test_sources_that_disagree_combine_to_the_most_restrictive() -> None:
    both = hear_together(
        OPEN, [(said(), Channel.ORDER), (said(MIXED, source=Source.SERVER, entry="session"), Channel.SERVER)], NOW
    )

    assert both.consent.recorded is not None
    assert both.consent.recorded.choices == MIXED


def test_silence_of_one_answer_is_no_grant_for_the_other() -> None:
    half = Choices(marketing=Choice.GRANTED)

    assert combined(said(), said(half, entry="x")).choices.analytics is not Choice.GRANTED


def test_grant_after_freezing_changes_nothing() -> None:
    frozen = replace(FROZEN, recorded=said(DENIED))
    heard = hear(frozen, said(), Channel.SERVER, NOW)

    assert heard.consent == frozen
    assert heard.lowered == ()


def test_denial_after_freezing_lowers_and_keeps_the_record() -> None:
    frozen = replace(FROZEN, recorded=said())
    heard = hear(frozen, said(MIXED), Channel.SERVER, NOW)

    assert heard.consent.recorded == said()
    assert heard.lowered == (Category.MARKETING,)


def test_order_frozen_without_a_record_takes_the_first_that_comes() -> None:
    heard = hear(FROZEN, said(), Channel.ORDER, NOW)

    assert heard.consent.given_after
    assert heard.consent.recorded == said()


def test_grant_of_a_browser_never_fills_a_frozen_order() -> None:
    heard = hear(FROZEN, said(), Channel.BROWSER, NOW)

    assert heard.consent.recorded is None


def test_grant_of_a_browser_never_replaces_an_answer() -> None:
    answered = replace(OPEN, recorded=said(DENIED))
    heard = hear(answered, said(), Channel.BROWSER, NOW)

    assert heard.consent.recorded == said(DENIED)
    assert not heard.is_released


def test_what_is_missing_in_an_answer_is_denied() -> None:
    assert denied_categories(said(Choices(marketing=Choice.GRANTED))) == (Category.ANALYTICS,)


def test_banner_seen_denies_nothing_by_itself() -> None:
    assert denied_categories(pending()) == ()


def test_gpc_denies_marketing_unless_the_policy_lets_an_opt_in_grant_stand() -> None:
    under_gpc = said(
        Choices(analytics=Choice.GRANTED, marketing=Choice.DENIED, sale_of_data=Choice.DENIED),
        gpc=True,
        basis=Basis.GPC,
        before_gpc=GRANTED,
        region="DE",
    )

    assert with_gpc_rule(under_gpc, GpcRule.ALWAYS).choices.marketing is Choice.DENIED
    assert with_gpc_rule(under_gpc, GpcRule.REGIME).choices.marketing is Choice.GRANTED
    assert with_gpc_rule(replace(under_gpc, region="US-CA"), GpcRule.REGIME).choices.marketing is Choice.DENIED
    for unknown in ("", "California", "CA"):
        assert with_gpc_rule(replace(under_gpc, region=unknown), GpcRule.REGIME).choices.marketing is Choice.DENIED


@pytest.mark.parametrize(("sale", "counting"), [(Choice.UNKNOWN, Choice.DENIED), (Choice.GRANTED, Choice.GRANTED)])
def test_gpc_still_refuses_a_sale_that_nobody_granted(sale: Choice, counting: Choice) -> None:
    clicked, refused = GRANTED.with_choice(Category.SALE_OF_DATA, sale), DENIED.with_choice(Category.SALE_OF_DATA, sale)
    under_gpc = said(refused, gpc=True, basis=Basis.GPC, before_gpc=clicked, region="DE")
    assert with_gpc_rule(under_gpc, GpcRule.REGIME).choices.sale_of_data is counting
