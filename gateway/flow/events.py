"""Events in: each is recorded once, waits for an answer or may go, and is decided like everything that leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.decide.session import EventFacts, decide_event
from gateway.errors import Overloaded, RequestInvalid
from gateway.flow.item import Addressee
from gateway.flow.parts import Parts
from gateway.flow.redeciding import Redeciding, Subjects, what_waits
from gateway.flow.visits import Linked, Visits, note_visitors
from gateway.ingest.body import write_body
from gateway.ingest.event import read_event, read_events
from gateway.model.consent import Lowering
from gateway.model.decision import Action, Decision, Policy
from gateway.model.delivery import DeliveryKind, DeliveryState
from gateway.model.order import TopicGroup
from gateway.model.session import Event, Verdict
from gateway.storage import queue
from gateway.storage.consent import Subject, lowerings_of
from gateway.storage.events import Discarded, add_discarded, add_events, known_events
from gateway.storage.lists import chunks_of
from gateway.storage.queue import NewDelivery
from gateway.storage.sessions import sessions_of_customer
from gateway.storage.statements import Connection, Row
from gateway.storage.streams import lock_streams
from gateway.storage.waiting import is_overloaded
from gateway.storage.webhooks import add_bodies

_CHUNK = 1000  # events that are looked up by one statement


@dataclass(frozen=True, slots=True, kw_only=True)
class EventResult:
    """What was done with one event; `errors` are there for an invalid one alone."""

    event_id: str | None
    status: Verdict
    errors: dict[str, list[str]] = field(default_factory=dict)

    @property
    def as_json(self) -> dict[str, object]:
        """The result as the answer shows it."""
        known: dict[str, object] = {"event_id": self.event_id, "status": self.status.value}
        return {**known, "errors": self.errors} if self.errors else known


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One valid event, ready to be recorded; hashes are keyed."""

    parts: Parts = field(repr=False)
    store_id: str
    event: Event
    received_at: datetime
    session_hash: str | None
    customer_hash: str | None
    email_hash: str | None
    sealed: bytes = field(repr=False)
    addressees: tuple[Addressee, ...]
    trace: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What makes it this very event."""
        return self.store_id, self.event.event_id

    @property
    def stream(self) -> str:
        """What its deliveries go in order with: its session, else its customer."""
        return f"session:{self.session_hash}" if self.session_hash else f"visitor:{self.customer_hash}"


def receive_events(parts: Parts, store_id: str, body: bytes) -> list[EventResult]:
    """Record what a request holds, durably, and say of each event what was done, in the order in which they came.

    Raises RequestInvalid when the request as a whole cannot be read, and Overloaded when it should be sent again.
    """
    with parts.telling.span("events", store=store_id):
        results = _received(parts, [_read(parts, store_id, given) for given in read_events(body)])
    parts.telling.events_received(store_id, [one.status for one in results])
    return results


def _received(parts: Parts, given: Sequence[EventResult | Arrival]) -> list[EventResult]:
    arrivals = [one for one in given if isinstance(one, Arrival)]
    if arrivals and is_overloaded(parts.database):
        parts.telling.overloaded()
        raise Overloaded
    verdicts = iter(parts.database.write_together(record_events, arrivals) if arrivals else [])
    return [
        EventResult(event_id=one.event.event_id, status=next(verdicts)) if isinstance(one, Arrival) else one
        for one in given
    ]


def record_events(connection: Connection, requests: Sequence[Sequence[Arrival]]) -> list[list[Verdict]]:
    """Record the events of several requests in the caller's transaction; answers are in the order of the events."""
    arrivals = [one for request in requests for one in request]
    lock_streams(connection, {name for one in arrivals for name in _locks(one)})
    arrivals[0].parts.policies.confirm(connection)
    known = known_events(connection, [one.key for one in arrivals])
    fresh: dict[tuple[str, str], Arrival] = {}
    for one in arrivals:
        if one.key not in known:
            fresh.setdefault(one.key, one)
    verdicts: dict[tuple[str, str], Verdict] = {}
    for chunk in chunks_of(list(fresh.values()), _CHUNK):
        verdicts |= _record(connection, chunk)
    return [[_verdict(one, fresh, verdicts) for one in request] for request in requests]


def _verdict(one: Arrival, fresh: dict[tuple[str, str], Arrival], verdicts: dict[tuple[str, str], Verdict]) -> Verdict:
    return verdicts[one.key] if fresh.get(one.key) is one else Verdict.DUPLICATE


def _read(parts: Parts, store_id: str, given: object) -> EventResult | Arrival:
    try:
        event = read_event(given)
    except RequestInvalid as error:
        event_id = given.get("event_id") if isinstance(given, dict) else None
        named = event_id if isinstance(event_id, str) else None
        return EventResult(event_id=named, status=Verdict.INVALID, errors=error.errors)
    return _arrival(parts, store_id, event)


def _arrival(parts: Parts, store_id: str, event: Event) -> Arrival:
    keyring = parts.keyring
    return Arrival(
        parts=parts,
        store_id=store_id,
        event=event,
        received_at=parts.database.now(),
        session_hash=keyring.digest("session", event.session_id) if event.session_id else None,
        customer_hash=keyring.digest("customer", event.customer_id) if event.customer_id else None,
        email_hash=keyring.digest("email", event.email) if event.email else None,
        sealed=keyring.seal(write_body(event.payload), purpose="body"),
        addressees=parts.addressees(store_id, TopicGroup.EVENTS, event.event),
        trace=parts.telling.traceparent(),
    )


def _locks(one: Arrival) -> list[tuple[str, str]]:
    """What an answer to this event, or the same event once more, would touch at the same time."""
    locks = [(one.store_id, one.stream), (one.store_id, f"event:{one.event.event_id}")]
    named = [("visitor", one.customer_hash), ("email", one.email_hash)]
    return [*locks, *((one.store_id, f"{kind}:{value}") for kind, value in named if value)]


# --- deciding -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Decided:
    """One event for one destination."""

    arrival: Arrival
    addressee: Addressee
    decision: Decision
    policy: Policy


def _record(connection: Connection, fresh: Sequence[Arrival]) -> dict[tuple[str, str], Verdict]:
    visits = Visits.load(
        connection,
        sessions=[(one.store_id, one.session_hash) for one in fresh if one.session_hash],
        customers=[(one.store_id, one.event.customer_id) for one in fresh if one.event.customer_id],
    )
    for one in note_visitors(connection, visits, fresh):
        _redecide(connection, fresh[0].parts, one, fresh[0].received_at)
    lowerings = lowerings_of(connection, [(one.store_id, "email", one.email_hash) for one in fresh if one.email_hash])
    decided = [_decide(visits, lowerings, one) for one in fresh]
    verdicts = {
        one.key: _verdict_of([each.decision.action for each in deliveries])
        for one, deliveries in zip(fresh, decided, strict=True)
    }
    add_events(connection, [_event_row(one, verdicts[one.key]) for one in fresh])
    _enqueue(connection, [one for one in decided if one], fresh[0].received_at)
    return verdicts


def _redecide(connection: Connection, parts: Parts, linked: Linked, now: datetime) -> None:
    """What a customer denies reaches what waits in a session as soon as the session is known to be theirs."""
    store_id, session_hash = linked.session
    sessions, customers = [session_hash], list[str]()
    if linked.has_objected:
        customers.append(linked.customer_id)
        sessions = sessions_of_customer(connection, store_id, linked.customer_id)
    waiting = what_waits(connection, Subjects(store_id, sessions, customers))
    Redeciding(parts, connection, now, waiting).settle(is_withdrawal=False)


def _decide(visits: Visits, lowerings: Mapping[Subject, Sequence[Lowering]], one: Arrival) -> list[_Decided]:
    policy = one.parts.policies.newest(one.store_id)
    session, customer, owner = visits.speaking_for(one.store_id, one.session_hash, one.event.customer_id)
    facts = EventFacts(
        event=one.event.event,
        accepted_at=one.received_at,
        session=session,
        customer=customer,
        owner=owner,
        lowerings=lowerings.get((one.store_id, "email", one.email_hash or ""), ()),
    )
    return [
        _Decided(one, addressee, _decision(one, facts, policy, addressee.destination_id), policy)
        for addressee in one.addressees
    ]


def _decision(one: Arrival, facts: EventFacts, policy: Policy, destination_id: str) -> Decision:
    target = one.parts.targets[destination_id]
    return decide_event(
        facts,
        policy,
        target.destination.purposes,
        one.received_at,
        identity_required=target.kind.identity_required,
    )


def _verdict_of(actions: Sequence[Action]) -> Verdict:
    if any(action in (Action.SEND_AS_IS, Action.SEND_REDACTED) for action in actions):
        return Verdict.ACCEPTED
    return Verdict.QUEUED if Action.HOLD in actions else Verdict.DISCARDED


def _event_row(one: Arrival, verdict: Verdict) -> Row:
    return {
        "store_id": one.store_id,
        "event_id": one.event.event_id,
        "event": one.event.event,
        "session_hash": one.session_hash,
        "event_time": one.event.event_time,
        "received_at": one.received_at,
        "verdict": verdict.value,
    }


# --- writing ------------------------------------------------------------------------------------------------------


def _enqueue(connection: Connection, decided: Sequence[Sequence[_Decided]], now: datetime) -> None:
    """Keep the bodies of what may go or waits; of what is decided against nothing but a row that says why."""
    kept = [one[0].arrival for one in decided if any(each.decision.action is not Action.SUPPRESS for each in one)]
    ids = add_bodies(connection, [_body_row(one) for one in kept])
    body_ids = {one.key: body_id for one, body_id in zip(kept, ids, strict=True)}
    flat = [each for one in decided for each in one]
    leaving = [_delivery(one, body_ids) for one in flat if one.decision.action is not Action.SUPPRESS]
    queue.enqueue(connection, leaving, now=now)
    stopped = [_discarded(one, body_ids) for one in flat if one.decision.action is Action.SUPPRESS]
    add_discarded(connection, stopped, now)


def _body_row(one: Arrival) -> Row:
    return {
        "store_id": one.store_id,
        "order_id": None,
        "customer_id": one.event.customer_id,
        "created_at": one.received_at,
        "key_id": one.parts.keyring.key_id,
        "sealed": one.sealed,
    }


def _delivery(one: _Decided, body_ids: dict[tuple[str, str], int]) -> NewDelivery:
    arrival = one.arrival
    waits = one.decision.action is Action.HOLD
    return NewDelivery(
        store_id=arrival.store_id,
        destination_id=one.addressee.destination_id,
        stream=arrival.stream,
        kind=DeliveryKind.EVENT,
        message_id=one.addressee.message_id,
        topic=arrival.event.event,
        topic_group=TopicGroup.EVENTS,
        state=DeliveryState.HELD if waits else DeliveryState.DUE,
        session_hash=arrival.session_hash,
        customer_id=arrival.event.customer_id,
        event_id=arrival.event.event_id,
        email_hash=arrival.email_hash,
        body_id=body_ids.get(arrival.key),
        hold_until=arrival.received_at + timedelta(seconds=one.policy.event_ttl_seconds) if waits else None,
        policy_version=one.policy.version,
        trace=arrival.trace,
    )


def _discarded(one: _Decided, body_ids: dict[tuple[str, str], int]) -> Discarded:
    decision = one.decision
    detail: dict[str, object] = {"reasons": list(decision.reasons)}
    if decision.applied:
        detail["applied"] = {category.value: value for category, value in decision.applied.items()}
    return Discarded(delivery=_delivery(one, body_ids), reason=decision.reason.value, detail=detail)
