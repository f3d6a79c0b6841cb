"""Destinations that want nothing, or fail for long, are paused; what waits for them is kept."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import BigInteger, Connection, and_, bindparam, func, or_, select, type_coerce, update

from gateway.model.delivery import OutcomeKind
from gateway.storage.bulk import select_rows
from gateway.storage.database import announce_work
from gateway.storage.statements import insert_for
from gateway.storage.tables import deliveries, destinations

FAILURES: Final = 20  # in a row, and
FAILING_FOR: Final = timedelta(hours=1)
PROBE_EVERY: Final = timedelta(minutes=5)
_DESTINATION: Final = select(destinations).where(destinations.c.destination_id == bindparam("destination_id"))
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A destination that gets nothing: it is `gone` (410) or `failing`, and tried again at `probe_at` if ever."""

    destination_id: str
    since: datetime
    reason: str
    probe_at: datetime | None


def read_pauses(connection: Connection) -> list[Pause]:
    """Return every pause."""
    rows = connection.execute(select(destinations).where(destinations.c.paused_at.is_not(None)))
    return [
        Pause(destination_id=row.destination_id, since=row.paused_at, reason=row.reason, probe_at=row.probe_at)
        for row in rows
    ]


def pause(connection: Connection, destination_id: str, *, reason: str, now: datetime) -> None:
    """Give nothing more to a destination until an operator resumes it."""
    row = {"destination_id": destination_id, "paused_at": now, "reason": reason, "probe_at": None}
    statement = insert_for(connection, destinations).values(row)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["destination_id"],
            set_={
                "paused_at": func.coalesce(destinations.c.paused_at, statement.excluded.paused_at),
                "reason": reason,
                "probe_at": None,
            },
        )
    )


def resume(connection: Connection, destination_id: str, *, now: datetime) -> bool:
    """Let deliveries go again; the horizon of those that were tried stood still. False when it was not paused."""
    row = connection.execute(
        select(destinations.c.paused_at)
        .where(destinations.c.destination_id == destination_id, destinations.c.paused_at.is_not(None))
        .with_for_update()
    ).first()
    if row is None:
        return False
    stood_still = (now - row.paused_at) // _MICROSECOND
    connection.execute(
        update(deliveries)
        .where(
            deliveries.c.destination_id == destination_id,
            deliveries.c.claimable_at.is_not(None),
            deliveries.c.first_attempt_at.is_not(None),
        )
        .values(first_attempt_at=type_coerce(deliveries.c.first_attempt_at, BigInteger) + stood_still)
    )
    cleared = {"paused_at": None, "probe_at": None, "reason": "", "failing_since": None, "failures": 0}
    connection.execute(update(destinations).where(destinations.c.destination_id == destination_id).values(cleared))
    announce_work(connection)
    return True


def take_probe(connection: Connection, destination_id: str, *, until: datetime, now: datetime) -> bool:
    """Take the right to try a paused destination once; False when somebody else has it."""
    taken = connection.execute(
        update(destinations)
        .where(destinations.c.destination_id == destination_id, destinations.c.probe_at <= now)
        .values(probe_at=until)
    )
    return taken.rowcount == 1


def count_outcomes(connection: Connection, outcomes: Iterable[tuple[str, OutcomeKind, bool]], *, now: datetime) -> None:
    """Count (destination id, kind, is it gone) in order: a success resumes, a 410 or long failure pauses."""
    by_destination: dict[str, list[tuple[OutcomeKind, bool]]] = {}
    for destination_id, kind, is_gone in outcomes:
        by_destination.setdefault(destination_id, []).append((kind, is_gone))
    for destination_id, heard in sorted(by_destination.items()):
        _count(connection, destination_id, heard, now=now)


def _count(
    connection: Connection, destination_id: str, heard: Sequence[tuple[OutcomeKind, bool]], *, now: datetime
) -> None:
    kinds = [kind for kind, _ in heard]
    if OutcomeKind.DELIVERED in kinds:
        _count_success(connection, destination_id, now=now)
    failures = (kinds[::-1].index(OutcomeKind.DELIVERED)) if OutcomeKind.DELIVERED in kinds else len(kinds)
    if failures:
        _count_failures(connection, destination_id, failures, now=now)
    if any(is_gone for _, is_gone in heard):
        pause(connection, destination_id, reason="gone", now=now)


def _count_success(connection: Connection, destination_id: str, *, now: datetime) -> None:
    found = select_rows(connection, _DESTINATION, {"destination_id": destination_id})
    if not found:
        return
    [row] = found
    if row["paused_at"] is not None and row["probe_at"] is not None:
        resume(connection, destination_id, now=now)
    elif row["failures"]:
        cleared = {"failures": 0, "failing_since": None}
        connection.execute(update(destinations).where(destinations.c.destination_id == destination_id).values(cleared))


def _count_failures(connection: Connection, destination_id: str, failures: int, *, now: datetime) -> None:
    statement = insert_for(connection, destinations).values(
        destination_id=destination_id, failures=failures, failing_since=now
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["destination_id"],
            set_={
                "failures": destinations.c.failures + failures,
                "failing_since": func.coalesce(destinations.c.failing_since, statement.excluded.failing_since),
            },
        )
    )
    is_failing_long = and_(destinations.c.failures >= FAILURES, destinations.c.failing_since <= now - FAILING_FOR)
    connection.execute(
        update(destinations)
        .where(
            destinations.c.destination_id == destination_id,
            or_(and_(destinations.c.paused_at.is_(None), is_failing_long), destinations.c.probe_at.is_not(None)),
        )
        .values(
            paused_at=func.coalesce(destinations.c.paused_at, type_coerce(now, destinations.c.paused_at.type)),
            reason="failing",
            probe_at=now + PROBE_EVERY,
        )
    )
