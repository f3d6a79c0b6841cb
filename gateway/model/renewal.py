"""Renewals that a shop schedules itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

MOST_DAYS = 3660
MOST_TIMES = 520
HORIZON = timedelta(days=3653)  # ten years


class RenewalState(StrEnum):
    """Where a scheduled renewal stands."""

    SCHEDULED = "scheduled"
    DONE = "done"  # every occurrence went through the gate
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """How often a renewal comes, `every_days` days of 24 hours apart."""

    every_days: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """What a shop asks for: an event about an order, once or repeatedly."""

    renewal_id: str
    origin_order_id: str
    event: str
    due_at: datetime
    repeat: Repeat | None = None
    properties: Mapping[str, object] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalChange:
    """What a shop changes of a renewal; only what is named. `repeat` None among the `named` ends the repetition."""

    named: frozenset[str]
    due_at: datetime | None = None
    repeat: Repeat | None = None
    properties: Mapping[str, object] = field(default_factory=dict, repr=False)


def ends_at(due_at: datetime, every_days: int | None, occurrences: int) -> datetime:
    """Return when the last of some occurrences is due; raises OverflowError beyond the calendar."""
    return due_at + timedelta(days=(every_days or 0) * (occurrences - 1))
