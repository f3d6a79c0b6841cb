"""When a delivery is tried again, and when no more."""

from datetime import UTC, datetime, timedelta
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.deliver.retry import next_attempt
from gateway.model.delivery import Outcome, OutcomeKind

FIRST_AT = datetime(2026, 11, 21, 15, 54, 4, tzinfo=UTC)
HORIZON = timedelta(hours=192)


def delay_seconds(
    attempt: int, *, jitter: float = 0.5, retry_after_seconds: float | None = None, after: timedelta = timedelta(0)
) -> float | None:
    outcome = Outcome(kind=OutcomeKind.RETRY, word="http_503", retry_after_seconds=retry_after_seconds)
    decision = next_attempt(outcome, attempt, FIRST_AT, FIRST_AT + after, HORIZON, jitter)
    return decision.delay.total_seconds() if decision else None


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (11, 1024), (12, 2048), (13, 3600), (10_000, 3600)]
)
def test_delays_double_up_to_an_hour(attempt: int, seconds: float) -> None:
    assert delay_seconds(attempt) == seconds


@pytest.mark.parametrize(
    ("attempt", "jitter", "seconds"), [(1, 0.0, 0.8), (1, 1.0, 1.2), (5, 0.0, 12.8), (13, 0.0, 2880), (13, 1.0, 3600)]
)
def test_delays_are_spread_by_a_fifth_but_never_beyond_an_hour(attempt: int, jitter: float, seconds: float) -> None:
    assert delay_seconds(attempt, jitter=jitter) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("attempt", "retry_after_seconds", "seconds"), [(1, 30, 30), (1, 0, 1), (6, 2, 32), (1, 86_400, 86_400)]
)
def test_longer_retry_after_is_waited_out(attempt: int, retry_after_seconds: float, seconds: float) -> None:
    assert delay_seconds(attempt, retry_after_seconds=retry_after_seconds) == seconds


def test_last_attempt_is_at_the_horizon() -> None:
    assert delay_seconds(1, after=HORIZON - timedelta(seconds=1)) == 1
    assert delay_seconds(1, after=HORIZON - timedelta(seconds=0.9)) is None


@pytest.mark.parametrize("kind", [OutcomeKind.DELIVERED, OutcomeKind.REFUSED])
def test_what_has_ended_is_not_tried_again(kind: OutcomeKind) -> None:
    assert next_attempt(Outcome(kind=kind, word="ok"), 1, FIRST_AT, FIRST_AT, HORIZON, 0.5) is None


def test_clock_that_went_back_only_delays_the_end() -> None:
    assert delay_seconds(3, after=timedelta(hours=-5)) == 4


@given(
    st.lists(st.tuples(st.floats(0, 1), st.none() | st.integers(0, 86_400)), min_size=1, max_size=12),
    st.integers(1, 200),
)
def test_attempts_go_forward_and_end_before_the_horizon(
    course: list[tuple[float, int | None]], horizon_hours: int
) -> None:
    now, horizon = FIRST_AT, timedelta(hours=horizon_hours)
    for attempt, (jitter, retry_after_seconds) in zip(range(1, 300), cycle(course), strict=False):
        outcome = Outcome(kind=OutcomeKind.RETRY, word="http_429", retry_after_seconds=retry_after_seconds)
        decision = next_attempt(outcome, attempt, FIRST_AT, now, horizon, jitter)
        if decision is None:
            return
        assert decision.delay.total_seconds() >= max(0.8, retry_after_seconds or 0)
        now += decision.delay
        assert now <= FIRST_AT + horizon
    pytest.fail("the horizon was never reached")
