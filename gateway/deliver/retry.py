"""When a delivery is tried again."""

from datetime import datetime, timedelta

from gateway.model.delivery import Outcome, OutcomeKind

FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 3_600.0
JITTER_SHARE = 0.2

_DOUBLINGS = 12  # 2 ** 12 s is more than the longest delay


def next_attempt(
    outcome: Outcome,
    attempt: int,
    first_at: datetime,
    now: datetime,
    horizon: timedelta,
    jitter: float,
) -> timedelta | None:
    """Return how long to wait after attempt number `attempt` (from 1) for the next one; None means give up.

    The delay is `min(2 ** (attempt - 1), 3600)` seconds, spread by +-20 % (`jitter`: 0 is shortest, 0.5 even,
    1 longest) and never more than an hour: 1, 2, 4, ... 2048, 3600, 3600. A longer `Retry-After` is waited out.
    There is no attempt later than `horizon` after `first_at`.
    """
    if outcome.kind is not OutcomeKind.RETRY:
        return None
    seconds = max(_backoff_seconds(attempt, jitter), outcome.retry_after_seconds or 0.0)
    delay = timedelta(seconds=seconds)
    return None if now + delay > first_at + horizon else delay


def attempts_since(first_at: datetime, began_at: datetime, number: int) -> int:
    """Return how many attempts there have been since `first_at`, with the one of that `number` that began last.

    A delivery that is sent again has a new first attempt, and goes on counting. However many there were before, since
    then there have been no more than fit in between, as delays double.
    """
    shortest = (began_at - first_at).total_seconds() / (FIRST_DELAY_SECONDS * (1 - JITTER_SHARE))
    return min(number, int(1.001 + max(shortest, 0.0)).bit_length())


def _backoff_seconds(attempt: int, jitter: float) -> float:
    seconds = FIRST_DELAY_SECONDS * (1 << min(max(attempt - 1, 0), _DOUBLINGS))
    spread = 1 - JITTER_SHARE + 2 * JITTER_SHARE * min(max(jitter, 0.0), 1.0)
    return min(min(seconds, LONGEST_DELAY_SECONDS) * spread, LONGEST_DELAY_SECONDS)
