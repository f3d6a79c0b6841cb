"""Scheduled renewals: kept, listed, changed, cancelled, and turned into deliveries when they are due."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.errors import RequestInvalid
from gateway.flow.holding import FETCH_WAIT
from gateway.flow.parts import Parts
from gateway.ingest.body import read_body, write_body
from gateway.model.decision import Mode, Policy, RenewalRule
from gateway.model.delivery import DeliveryKind, DeliveryState
from gateway.model.instant import as_text
from gateway.model.order import TopicGroup
from gateway.model.renewal import HORIZON, MOST_DAYS, Renewal, RenewalChange, RenewalState, ends_at
from gateway.storage.queue import NewDelivery, enqueue
from gateway.storage.renewals import (
    add_renewal,
    cancel_renewals,
    change_renewal,
    customers_of_orders,
    has_due_renewals,
    list_renewals,
    occurrences_of,
    read_renewal,
    stream_of_renewal,
    take_due,
)
from gateway.storage.sealing import CannotOpen
from gateway.storage.statements import Connection, Row
from gateway.storage.webhooks import add_bodies

_PURPOSE: Final = "renewal"
_ROWS: Final = 50  # renewals in one transaction
_OCCURRENCES: Final = 50  # of one renewal in one transaction
_LATE: Final = timedelta(seconds=2)


class RenewalEnded(Exception):
    """A renewal that is done or cancelled cannot be changed."""

    def __init__(self, state: str) -> None:
        """Say how it ended."""
        super().__init__(state)
        self.state = state


class Renewals:
    """What shops schedule, and what becomes of it."""

    def __init__(self, parts: Parts) -> None:
        """Use the parts of the gateway."""
        self._parts = parts
        self._database = parts.database

    # --- what shops ask for -----------------------------------------------------------------------------------

    def schedule(self, store_id: str, renewal: Renewal) -> tuple[Row, bool]:
        """Keep a renewal; return it as the API shows it, and whether it is new. The same id again changes nothing."""
        now = self._database.now()
        _refuse_beyond(renewal.due_at, renewal.repeat.every_days if renewal.repeat else None, _count(renewal), now)
        row = self._row(store_id, renewal, now)
        stored, is_new = self._database.write(lambda connection: add_renewal(connection, row))
        shown = self._shown(stored, [], now)
        if is_new and renewal.due_at <= now:
            self.run()
        return shown, is_new

    def show(self, store_id: str, renewal_id: str) -> Row | None:
        """Return a renewal with its occurrences; None when there is none of that id."""

        def job(connection: Connection) -> tuple[Row | None, list[Row]]:
            row = read_renewal(connection, store_id, renewal_id)
            return row, occurrences_of(connection, store_id, renewal_id) if row else []

        row, occurrences = self._database.read(job)
        return self._shown(row, occurrences, self._database.now()) if row else None

    def page(self, store_id: str, *, after: str, origin_order_id: str) -> Row:
        """Return a page of renewals, and where the next one begins."""
        rows, following = self._database.read(
            lambda connection: list_renewals(connection, store_id, after=after, origin_order_id=origin_order_id)
        )
        now = self._database.now()
        return {"renewals": [self._shown(row, [], now) for row in rows], "next": following or None}

    def change(self, store_id: str, renewal_id: str, change: RenewalChange) -> Row | None:
        """Change what is named of a renewal; raises RenewalEnded for one that is over."""
        now = self._database.now()

        def job(connection: Connection) -> bool:
            row = read_renewal(connection, store_id, renewal_id, lock=True)
            if row is not None:
                change_renewal(connection, store_id, renewal_id, self._changes(row, change, now))
            return row is not None

        return self.show(store_id, renewal_id) if self._database.write(job) else None

    def cancel(self, store_id: str, renewal_id: str) -> Row | None:
        """End a renewal, with what waits of it; None when there is none of that id."""
        now = self._database.now()
        self._database.write(lambda connection: cancel_renewals(connection, store_id, renewal_id=renewal_id, now=now))
        return self.show(store_id, renewal_id)

    # --- what is due ------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Turn every occurrence that is due into deliveries, exactly once; return how many there were.

        What was sealed under a key that is not at hand waits for it.
        """
        count, taken = 0, 1
        while taken and self._is_any_due():
            taken = self._database.write(self._run_some)  # none when another process has them
            count += taken
        return count

    def miss_no_key(self) -> None:
        """Raise CannotOpen when something is due that no key at hand opens."""
        if self._is_any_due(under_others=True):
            raise CannotOpen("a renewal is due under a key that is not at hand; add it to security.previous_keys")

    def _is_any_due(self, *, under_others: bool = False) -> bool:
        store_ids, key_ids, now = self._store_ids(), self._parts.keyring.key_ids, self._database.now()
        return self._database.read(
            lambda connection: has_due_renewals(
                connection, store_ids=store_ids, key_ids=key_ids, under_others=under_others, now=now
            )
        )

    def _run_some(self, connection: Connection) -> int:
        now = self._database.now()
        rows = take_due(
            connection,
            store_ids=self._store_ids(),
            key_ids=self._parts.keyring.key_ids,
            now=now,
            limit=_ROWS,
        )
        if not rows:
            return 0
        self._parts.policies.confirm(connection)
        people = customers_of_orders(connection, {(row["store_id"], row["origin_order_id"]) for row in rows})
        due = [one for row in rows for one in _due_of(row, now)]
        new = [delivery for one in due for delivery in self._deliveries(connection, one, people, now)]
        enqueue(connection, new, now=now)
        for row in rows:
            _advance(connection, row, [one for one in due if one.row is row])
        return len(due)

    def _store_ids(self) -> list[str]:
        return [store.id for store in self._parts.settings.stores]

    def _deliveries(
        self, connection: Connection, due: "_Due", people: Mapping[tuple[str, str], Row], now: datetime
    ) -> list[NewDelivery]:
        row = due.row
        store_id, order_id = row["store_id"], row["origin_order_id"]
        addressees = self._parts.addressees(store_id, TopicGroup.EVENTS, row["event"])
        if not addressees:
            return []
        person = people.get((store_id, order_id), {})
        body = {
            "store_id": store_id,
            "order_id": order_id,
            "customer_id": person.get("customer_id"),
            "created_at": now,
            "key_id": self._parts.keyring.key_id,
            "sealed": self._parts.keyring.seal(self._body(due), purpose="body"),
        }
        [body_id] = add_bodies(connection, [body])
        policy = self._parts.policies.newest(store_id)
        hold_until = now + FETCH_WAIT if not person.get("has_order") and self._may_fetch(store_id, policy) else None
        return [
            NewDelivery(
                store_id=store_id,
                destination_id=addressee.destination_id,
                stream=stream_of_renewal(row["renewal_id"]),
                kind=DeliveryKind.RENEWAL,
                message_id=addressee.message_id,
                topic=row["event"],
                topic_group=TopicGroup.EVENTS.value,
                order_id=order_id,
                session_hash=person.get("session_hash"),
                customer_id=person.get("customer_id"),
                event_id=due.event_id,
                body_id=body_id,
                state=DeliveryState.HELD if hold_until else DeliveryState.DUE,
                hold_until=hold_until,
                policy_version=policy.version,
            )
            for addressee in addressees
        ]

    def _may_fetch(self, store_id: str, policy: Policy) -> bool:
        """Whether an origin order that was never seen can be looked up in its store, and would count."""
        store = self._parts.settings.store(store_id)
        follows = policy.mode is not Mode.OFF and policy.renewals is not RenewalRule.UNKNOWN
        return follows and store is not None and store.api.is_configured

    def _body(self, due: "_Due") -> bytes:
        row = due.row
        return write_body(
            {
                "event": row["event"],
                "event_id": due.event_id,
                "event_time": as_text(due.at),
                "origin_order_id": row["origin_order_id"],
                "properties": self._opened(row),
            }
        )

    # --- rows -------------------------------------------------------------------------------------------------

    def _row(self, store_id: str, renewal: Renewal, now: datetime) -> Row:
        return {
            "store_id": store_id,
            "renewal_id": renewal.renewal_id or self._parts.new_id(),
            "origin_order_id": renewal.origin_order_id,
            "event": renewal.event,
            "due_at": renewal.due_at,
            "every_days": renewal.repeat.every_days if renewal.repeat else None,
            "count": _count(renewal),
            "dispatched": 0,
            "next_at": renewal.due_at,
            "state": RenewalState.SCHEDULED,
            **self._sealed(renewal.properties),
            "created_at": now,
            "updated_at": now,
        }

    def _changes(self, row: Row, change: RenewalChange, now: datetime) -> Row:
        if row["next_at"] is None:
            raise RenewalEnded(row["state"])
        changes: Row = {"updated_at": now}
        if "properties" in change.named:
            changes |= self._sealed(change.properties)
        if "due_at" in change.named:
            changes["next_at"] = change.due_at
        if "repeat" in change.named:
            repeat = change.repeat
            changes["every_days"] = repeat.every_days if repeat else None
            changes["count"] = repeat.count if repeat else row["dispatched"] + 1
        changed = row | changes
        changes["due_at"] = changed["next_at"]  # the first one since the change
        _refuse_used_up(changed)
        left = changed["count"] - row["dispatched"]
        if change.named & {"due_at", "repeat"}:
            _refuse_beyond(changed["next_at"], changed["every_days"], left, now)
        return changes

    def _sealed(self, properties: Mapping[str, object]) -> Row:
        keyring = self._parts.keyring
        return {"key_id": keyring.key_id, "sealed": keyring.seal(write_body(properties), purpose=_PURPOSE)}

    def _opened(self, row: Row) -> dict[str, object]:
        return read_body(self._parts.keyring.open(row["sealed"], key_id=row["key_id"], purpose=_PURPOSE))

    def _shown(self, row: Row, occurrences: Sequence[Row], now: datetime) -> Row:
        """Return a renewal as the API shows it; `late` says that something of it goes, or went, after its time."""
        every_days = row["every_days"]
        shown = _occurrences(row, occurrences)
        is_overdue = row["next_at"] is not None and row["next_at"] < now - _LATE
        is_late = row["due_at"] < row["updated_at"] or is_overdue or any(one["late"] for one in shown)
        return {
            "renewal_id": row["renewal_id"],
            "origin_order_id": row["origin_order_id"],
            "event": row["event"],
            "due_at": as_text(row["due_at"]),
            "properties": self._opened(row),
            "repeat": {"every_days": every_days, "count": row["count"]} if every_days else None,
            "state": row["state"],
            "dispatched": row["dispatched"],
            "next_at": as_text(row["next_at"]) if row["next_at"] else None,
            "late": is_late,
            "created_at": as_text(row["created_at"]),
            "updated_at": as_text(row["updated_at"]),
            "occurrences": shown,
        }


@dataclass(frozen=True, slots=True)
class _Due:
    """One occurrence that is due: the n-th of its renewal, from 1."""

    row: Row
    n: int
    at: datetime

    @property
    def event_id(self) -> str:
        return f"{self.row['renewal_id']}:{self.n}"


def _due_of(row: Row, now: datetime) -> list[_Due]:
    """Return the occurrences of a renewal that are due, in order; days are of 24 hours, whatever local clocks do."""
    found: list[_Due] = []
    n, at = row["dispatched"] + 1, row["next_at"]
    while n <= row["count"] and at <= now and len(found) < _OCCURRENCES:
        found.append(_Due(row, n, at))
        n, at = n + 1, at + timedelta(days=row["every_days"] or 0)
    return found


def _advance(connection: Connection, row: Row, due: Sequence[_Due]) -> None:
    dispatched = row["dispatched"] + len(due)
    is_done = dispatched >= row["count"]
    following = due[-1].at + timedelta(days=row["every_days"] or 0) if due else row["next_at"]
    changes = {
        "dispatched": dispatched,
        "next_at": None if is_done else following,
        "state": RenewalState.DONE if is_done else RenewalState.SCHEDULED,
    }
    change_renewal(connection, row["store_id"], row["renewal_id"], changes)


def _count(renewal: Renewal) -> int:
    return renewal.repeat.count if renewal.repeat else 1


def _refuse_used_up(row: Row) -> None:
    if row["count"] <= row["dispatched"]:
        raise RequestInvalid({"count": [f"must be more than the {row['dispatched']} that have gone already"]})


def _refuse_beyond(due_at: datetime, every_days: int | None, count: int, now: datetime) -> None:
    """Refuse what would end later than ten years from now."""
    latest = now + HORIZON
    if due_at > latest:
        raise RequestInvalid({"due_at": ["must not be later than ten years from now"]})
    if every_days and ends_at(due_at, min(every_days, MOST_DAYS), count) > latest:
        mistake = ["the last one would be later than ten years from now"]
        raise RequestInvalid({"every_days": mistake, "count": mistake})


def _occurrences(row: Row, rows: Sequence[Row]) -> list[Row]:
    """Return what became of each occurrence; when those were due that came before the last change is not kept."""
    since = [one for one in rows if one["accepted_at"] >= row["updated_at"]]
    first = min((_number(one) for one in since), default=0)
    every = timedelta(days=row["every_days"] or 0)
    due = {one["event_id"]: row["due_at"] + (_number(one) - first) * every for one in since}
    return [_occurrence(one, due.get(one["event_id"])) for one in rows]


def _number(row: Row) -> int:
    return int(row["event_id"].rpartition(":")[2])


def _occurrence(row: Row, due_at: datetime | None) -> Row:
    return {
        "event_id": row["event_id"],
        "destination_id": row["destination_id"],
        "state": row["state"],
        "reason": row["reason"],
        "due_at": as_text(due_at) if due_at else None,
        "late": due_at is not None and row["accepted_at"] - due_at > _LATE,
        "accepted_at": as_text(row["accepted_at"]),
        "finished_at": as_text(row["finished_at"]) if row["finished_at"] else None,
    }
