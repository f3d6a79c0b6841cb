"""The server's time, as every process on every machine has it."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from gateway.storage.postgres import Reading, SharedTime
from gateway.storage.tables import of_microseconds

LONG_AGO = -60.0
SOON, LATE, LATER = 0.01, 4.0, 8.0


def own_time(moment: float) -> timedelta:
    return timedelta(microseconds=int(moment * 1_000_000))


def a_reading(took: float, ahead: float) -> Reading:
    """A server's answer from a while ago, by which its clock is so many seconds ahead of ours."""
    began = time.monotonic() + LONG_AGO
    at = of_microseconds(0) + own_time(began + took / 2) + timedelta(seconds=ahead)
    return Reading(began, at, began + took)


def answering(*readings: Reading) -> Callable[[], Reading]:
    left: Iterator[Reading] = iter(readings)
    return lambda: next(left)


def ahead(shared: SharedTime) -> int:
    return round((shared.now() - of_microseconds(0) - own_time(time.monotonic())).total_seconds())


def test_time_follows_the_server() -> None:
    shared = SharedTime(answering(a_reading(SOON, 100), a_reading(SOON, 105)))
    assert [ahead(shared) for _ in range(2)] == [100, 105]


def test_answer_that_was_long_under_way_says_nothing() -> None:
    hung = [a_reading(LATE, 102), a_reading(LATER, 104), a_reading(LATER, 104)]
    shared = SharedTime(answering(a_reading(SOON, 100), *hung))
    assert [ahead(shared) for _ in range(2)] == [100, 100]


@pytest.mark.parametrize("known", [[], [a_reading(SOON, 100)]])
def test_server_that_hung_is_asked_once_more(known: list[Reading]) -> None:
    shared = SharedTime(answering(*known, a_reading(LATER, 104), a_reading(SOON, 101)))
    assert [ahead(shared) for _ in range(len(known) + 1)][-1] == 101


def test_time_that_is_not_known_is_the_one_that_was_answered_soonest() -> None:
    shared = SharedTime(answering(a_reading(LATER, 104), a_reading(LATE, 102), a_reading(LATER, 103)))
    assert ahead(shared) == 102
