"""When a delivery is tried again, and when no more."""

from datetime import UTC, datetime, timedelta
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.deliver.retry import attempts_since, next_attempt
from gateway.model.delivery import Outcome, OutcomeKind

FIRST_AT = datetime(2026, 11, 21, 15, 54, 4, tzinfo=UTC)
HORIZON = timedelta(hours=192)


def delay_seconds(
    attempt: int, *, jitter: float = 0.5, retry_after_seconds: float | None = None, after: timedelta = timedelta(0)
) -> float | None:
    outcome = Outcome(kind=OutcomeKind.RETRY, word="http_503", retry_after_seconds=retry_after_seconds)
    delay = next_attempt(outcome, attempt, FIRST_AT, FIRST_AT + after, HORIZON, jitter)
    return delay.total_seconds() if delay else None


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
        delay = next_attempt(outcome, attempt, FIRST_AT, now, horizon, jitter)
        if delay is None:
            return
        assert delay.total_seconds() >= max(0.8, retry_after_seconds or 0)
        now += delay
        assert now <= FIRST_AT + horizon
    pytest.fail("the horizon was never reached")


@pytest.mark.parametrize(("seconds", "since"), [(-60, 1), (0, 1), (0.7, 1), (0.8, 2), (3, 3), (7, 4), (86_400, 17)])
def test_attempts_before_the_first_one_do_not_count(seconds: float, since: int) -> None:
    assert attempts_since(FIRST_AT, FIRST_AT + timedelta(seconds=seconds), 100) == since


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_all_attempts_count_where_none_was_before(jitters: list[float]) -> None:
    began_at, outcome = FIRST_AT, Outcome(kind=OutcomeKind.RETRY, word="http_503")
    for number, jitter in enumerate(jitters, start=1):
        assert min(number, 13) <= attempts_since(FIRST_AT, began_at, number) <= number
        delay = next_attempt(outcome, number, FIRST_AT, began_at, HORIZON, jitter)
        assert delay is not None
        began_at += delay
