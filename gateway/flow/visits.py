"""Sessions and customers as they speak for events, and how a session comes to belong to a customer."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from gateway.decide.consent import OrderFacts
from gateway.decide.session import EventFacts, object_to
from gateway.flow.facts import Known
from gateway.model.session import Event, SessionConsent
from gateway.storage.context import Context
from gateway.storage.sessions import (
    Key,
    Visit,
    consent_of_row,
    link_visits,
    load_customers,
    load_visits,
    note_visits,
    put_customer,
)
from gateway.storage.statements import Connection

_NOBODY = Visit()


class Visitor(Protocol):
    """An event that tells who is where."""

    @property
    def store_id(self) -> str: ...
    @property
    def session_hash(self) -> str | None: ...
    @property
    def event(self) -> Event: ...
    @property
    def received_at(self) -> datetime: ...


class OpenEvent(Protocol):
    """An open delivery of an event, as far as its facts ask."""

    @property
    def store_id(self) -> str: ...
    @property
    def topic(self) -> str: ...
    @property
    def session_hash(self) -> str | None: ...
    @property
    def customer_id(self) -> str | None: ...
    @property
    def email_hash(self) -> str | None: ...
    @property
    def hold_until(self) -> datetime | None: ...
    @property
    def accepted_at(self) -> datetime: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """A session that turned out to belong to a customer; `has_objected` says that its objection went with it."""

    session: Key
    customer_id: str
    has_objected: bool


def known_of_event(context: Context, one: OpenEvent) -> Known:
    """Gather what is known of an event's session and customers."""
    session = context.sessions.get((one.store_id, one.session_hash or ""))
    customer = context.customers.get((one.store_id, one.customer_id or ""))
    owner = context.customers.get((one.store_id, (session or {}).get("customer_id") or ""))
    facts = EventFacts(
        event=one.topic,
        accepted_at=one.accepted_at,
        held_until=one.hold_until,
        session=consent_of_row(session) if session else None,
        customer=consent_of_row(customer) if customer else None,
        owner=consent_of_row(owner) if owner else None,
        lowerings=context.of_email(one.store_id, one.email_hash),
    )
    return Known(facts=OrderFacts(), event=facts)


@dataclass(slots=True)
class Visits:
    """What is known of sessions and customers in one transaction."""

    sessions: dict[Key, Visit] = field(default_factory=dict)
    customers: dict[Key, SessionConsent] = field(default_factory=dict)

    @classmethod
    def load(cls, connection: Connection, *, sessions: Collection[Key], customers: Collection[Key]) -> "Visits":
        """Read sessions, the customers that are named, and those that the sessions belong to."""
        visits = load_visits(connection, sessions)
        owners = {(key[0], visit.customer_id) for key, visit in visits.items() if visit.customer_id}
        return cls(sessions=visits, customers=load_customers(connection, {*customers, *owners}))

    def speaking_for(
        self, store_id: str, session_hash: str | None, customer_id: str | None
    ) -> tuple[SessionConsent | None, SessionConsent | None, SessionConsent | None]:
        """Return what is known of a session, of the customer that is named, and of the session's owner."""
        visit = self.sessions.get((store_id, session_hash or ""), _NOBODY)
        return (
            visit.consent if visit.is_stored else None,
            self.customers.get((store_id, customer_id or "")),
            self.customers.get((store_id, visit.customer_id or "")),
        )


def note_visitors(connection: Connection, visits: Visits, visitors: Sequence[Visitor]) -> list[Linked]:
    """Remember the sessions that events name, and to which customers they belong; return what became known."""
    fresh: dict[Key, str | None] = {}
    moved: dict[Key, str] = {}
    for one in visitors:
        if one.session_hash is None:
            continue
        key, named = (one.store_id, one.session_hash), one.event.customer_id
        visit = visits.sessions.get(key)
        if visit is None:
            fresh[key] = named or fresh.get(key)
        elif named and named != visit.customer_id:
            moved[key] = named
    now = visitors[0].received_at
    note_visits(connection, fresh, now)
    link_visits(connection, moved)
    return [_linked(connection, visits, key, customer_id, now) for key, customer_id in moved.items()]


def _linked(connection: Connection, visits: Visits, key: Key, customer_id: str, now: datetime) -> Linked:
    """An objection by Global Privacy Control holds for the person, so it follows them to their account."""
    visit = visits.sessions[key] = replace(visits.sessions[key], customer_id=customer_id)
    owner = (key[0], customer_id)
    known = visits.customers.get(owner, SessionConsent())
    has_objected = visit.consent.gpc and not known.gpc
    if has_objected:
        visits.customers[owner] = object_to(known, now)
        put_customer(connection, owner, visits.customers[owner], now)
    return Linked(session=key, customer_id=customer_id, has_objected=has_objected)
