"""What waits is decided anew when a signal comes: it goes, it stays, or it ends there and then."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.flow.deciding import Deciding
from gateway.flow.parts import Parts
from gateway.model.decision import Action, Decision, Reason
from gateway.model.delivery import DeliveryKind, DeliveryState
from gateway.storage.queue import release
from gateway.storage.signals import (
    Waiting,
    call_back,
    waiting_in_sessions,
    waiting_of_customer,
    waiting_of_email,
    waiting_of_orders,
)
from gateway.storage.statements import Connection
from gateway.storage.waiting import cancel

_SENDS = (Action.SEND_AS_IS, Action.SEND_REDACTED)


@dataclass(frozen=True, slots=True)
class Subjects:
    """Whose waiting deliveries are meant; sessions and addresses by their keyed hashes."""

    store_id: str
    sessions: Sequence[str] = ()
    customers: Sequence[str] = ()
    orders: Sequence[str] = ()
    emails: Sequence[str] = ()


def what_waits(connection: Connection, of: Subjects) -> list[Waiting]:
    """Return the open deliveries of these subjects, in intake order."""
    found = waiting_in_sessions(connection, of.store_id, of.sessions)
    found += waiting_of_orders(connection, of.store_id, of.orders)
    for customer_id in of.customers:
        found += waiting_of_customer(connection, of.store_id, customer_id)
    if of.emails:
        found += waiting_of_email(connection, of.store_id, of.emails)
    unique = {one.id: one for one in found}
    return [unique[delivery_id] for delivery_id in sorted(unique)]


class Redeciding:
    """Deliveries that wait, before and after a signal was heard in the same transaction."""

    def __init__(self, parts: Parts, connection: Connection, now: datetime, waiting: Sequence[Waiting]) -> None:
        """Remember which webhooks could have been sent as things were."""
        known = [one for one in waiting if one.destination_id in parts.targets]
        self._connection = connection
        self._now = now
        self._deciding = Deciding(parts, connection, now) if known else None
        self._is_sending = any(one.state is DeliveryState.SENDING for one in known)
        self._events = [one for one in known if one.kind == DeliveryKind.EVENT]
        others = [one for one in known if one.kind != DeliveryKind.EVENT]
        self._sendable = [one for one, decision in self._decided(others) if decision.action in _SENDS]

    def settle(self, *, is_withdrawal: bool) -> None:
        """Decide all of it by what is known now; what may not leave any more ends, what may leave is due at once."""
        withdrawn = [one.id for one, decision in self._decided(self._sendable) if decision.action is Action.SUPPRESS]
        self._end(withdrawn, DeliveryState.CANCELLED, "withdrawn", drop_bodies=False)
        decided = self._decided(self._events)
        endings: dict[tuple[DeliveryState, str], list[int]] = defaultdict(list)
        for one, decision in decided:
            if decision.action is Action.SUPPRESS:
                endings[_ending(one, decision, is_withdrawal=is_withdrawal)].append(one.id)
        for (state, reason), ids in endings.items():
            self._end(ids, state, reason, drop_bodies=True)
        held = [one for one, decision in decided if decision.action in _SENDS and one.state is DeliveryState.HELD]
        release(self._connection, [one.id for one in held], now=self._now)
        if self._is_sending:
            call_back(self._connection, self._now)

    def _decided(self, waiting: Sequence[Waiting]) -> list[tuple[Waiting, Decision]]:
        if self._deciding is None or not waiting:
            return []
        context = self._deciding.gather(waiting)
        return [(one, self._deciding.decide(context, one)) for one in waiting]

    def _end(self, ids: Sequence[int], state: DeliveryState, reason: str, *, drop_bodies: bool) -> None:
        if ids:
            cancel(self._connection, ids, state=state, reason=reason, drop_bodies=drop_bodies, now=self._now)


def _ending(one: Waiting, decision: Decision, *, is_withdrawal: bool) -> tuple[DeliveryState, str]:
    if decision.reason is Reason.EXPIRED:
        return DeliveryState.EXPIRED, decision.reason.value
    if is_withdrawal or one.state is not DeliveryState.HELD:
        return DeliveryState.CANCELLED, "withdrawn"
    return DeliveryState.SUPPRESSED, decision.reason.value
