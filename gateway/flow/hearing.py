"""Signals are heard: one transaction records each and lets sessions, customers, orders and what waits know of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.decide.session import hear_customer, hear_session, object_to, withdraw
from gateway.flow.reach import Told, lower_siblings, lower_subject, park_for, take_back, tell_orders
from gateway.flow.redeciding import Redeciding, Subjects, what_waits
from gateway.flow.statement import Statement
from gateway.model.consent import Category, Channel, Choice
from gateway.model.session import SessionConsent, SessionState
from gateway.storage.consent import add_records, order_rows, record_row
from gateway.storage.sessions import (
    Visit,
    evidence_of_session,
    link_visits_of_orders,
    load_customers,
    load_visits,
    put_customer,
    put_visit,
    sessions_of_customer,
)
from gateway.storage.signals import (
    customers_of_orders,
    customers_of_session,
    open_orders_of_customer,
    orders_of_email,
    orders_of_key,
    orders_of_session,
)
from gateway.storage.statements import Connection
from gateway.storage.streams import lock_streams

States = Mapping[Category, SessionState]


def record_statements(connection: Connection, statements: Sequence[Statement]) -> list[States | None]:
    """Record several signals, one after the other, in the caller's transaction."""
    lock_streams(connection, {name for one in statements for name in _locks(connection, one)})
    return [_hear(connection, one) for one in statements]


def _locks(connection: Connection, one: Statement) -> list[tuple[str, str]]:
    """What an order, or an event, that comes in at the same moment would touch as well."""
    names = [
        *(("email", email_hash) for email_hash in one.email_hashes),
        ("session", one.session_hash),
        ("visitor", one.customer_hash),
        ("key", one.key_hash),
        ("key", one.id_hash),
    ]
    locks = [(one.store_id, f"{kind}:{value}") for kind, value in names if value]
    return [*locks, *((one.store_id, f"order:{order_id}") for order_id in _named_orders(connection, one))]


def _named_orders(connection: Connection, one: Statement) -> list[str]:
    """The orders that a signal names: a browser by what it shows, and then no others."""
    subject = one.signal.subject
    if one.signal.channel is not Channel.BROWSER and subject.order_id:
        return [subject.order_id]
    shown = orders_of_key(connection, one.store_id, one.key_hash) if one.key_hash else []
    return [order_id for order_id in shown if subject.order_id in (None, order_id)]


@dataclass(frozen=True, slots=True)
class _Scene:
    """One signal, and whom it is about by what is known before it is heard."""

    connection: Connection
    one: Statement
    visit: Visit
    owners: tuple[str, ...]  # customers that the session is known to belong to
    named: tuple[str, ...]  # orders that it names, of those that are there
    along: tuple[str, ...]  # orders of the session or the e-mail address

    @property
    def customer_id(self) -> str | None:
        """The customer that the shop's server names."""
        return None if self.one.signal.channel is Channel.BROWSER else self.one.signal.subject.customer_id

    @property
    def people(self) -> tuple[str, ...]:
        """The customers whose stored choice it changes."""
        named = (self.customer_id,) if self.customer_id else ()
        return tuple(dict.fromkeys((*named, *(self.owners if self.one.sticks else ()))))


def _hear(connection: Connection, one: Statement) -> States | None:
    scene = _scene(connection, one)
    for person in scene.people if one.denied else ():
        link_visits_of_orders(connection, one.store_id, person)
    waiting = Redeciding(one.parts, connection, one.received_at, what_waits(connection, _subjects(scene)))
    told = _told(scene)
    session = _hear_session(scene)
    customers = [_hear_customer(scene, told, person) for person in scene.people]
    _lower(scene, told)
    if one.withdrawn is None:
        _tell(scene, told, session)
    waiting.settle(is_withdrawal=one.withdrawn is not None)
    if one.names_order:
        return None
    return (session or (customers[0] if customers else SessionConsent())).states


def _scene(connection: Connection, one: Statement) -> _Scene:
    store_id = one.store_id
    visit, owners, along = Visit(), set[str](), list[str]()
    if one.session_hash:
        key = (store_id, one.session_hash)
        visit = load_visits(connection, [key]).get(key, visit)
        along += orders_of_session(connection, *key)
        owners |= {visit.customer_id} if visit.customer_id else set()
        owners |= set(customers_of_session(connection, *key)) if along and one.sticks else set()
    if one.email_hashes:
        along += orders_of_email(connection, store_id, one.email_hashes)
    rows = order_rows(connection, [(store_id, order_id) for order_id in _named_orders(connection, one)])
    named = tuple(row["order_id"] for row in rows.values() if row["has_order"])
    along = [order_id for order_id in along if order_id not in named]
    return _Scene(connection, one, visit, tuple(sorted(owners)), named, tuple(along))


def _subjects(scene: _Scene) -> Subjects:
    """Whose waiting deliveries are decided anew; renewals that follow an order wait under their customer."""
    one = scene.one
    sessions = [one.session_hash] if one.session_hash else []
    if not one.denied:
        return Subjects(one.store_id, sessions, scene.people)
    for person in scene.people:
        sessions += sessions_of_customer(scene.connection, one.store_id, person)
    orders = (*scene.named, *scene.along)
    customers = {*scene.people, *customers_of_orders(scene.connection, one.store_id, orders)}
    return Subjects(one.store_id, list(dict.fromkeys(sessions)), sorted(customers), orders, one.email_hashes)


def _told(scene: _Scene) -> Told:
    one = scene.one
    row = record_row(
        one.store_id,
        one.signal.evidence,
        one.signal.channel,
        one.received_at,
        order_id=next(iter(scene.named), None),
        session_hash=one.session_hash,
        customer_id=scene.customer_id,
        seq=one.signal.seq,
        key_id=one.parts.keyring.key_id if one.sealed else None,
        sealed=one.sealed,
    )
    [record_id] = add_records(scene.connection, [row])
    return Told(
        store_id=one.store_id,
        evidence=one.signal.evidence,
        channel=one.signal.channel,
        denied=one.denied,
        record_id=record_id,
        at=one.received_at,
    )


def _hear_session(scene: _Scene) -> SessionConsent | None:
    one, known = scene.one, scene.visit.consent
    if not one.session_hash:
        return None
    if one.withdrawn is not None:
        heard = withdraw(known, one.withdrawn, one.received_at)
    else:
        heard = hear_session(known, one.as_said, one.signal.seq, one.received_at)
    visit = Visit(consent=heard, customer_id=scene.customer_id or scene.visit.customer_id)
    put_visit(scene.connection, (one.store_id, one.session_hash), visit, one.received_at)
    return heard


def _hear_customer(scene: _Scene, told: Told, person: str) -> SessionConsent:
    one, key = scene.one, (scene.one.store_id, person)
    known = load_customers(scene.connection, [key]).get(key, SessionConsent())
    if one.withdrawn is not None:
        heard = withdraw(known, one.withdrawn, told.at)
    elif person == scene.customer_id:
        heard = hear_customer(known, one.as_said, one.signal.seq, told.at)
        heard = object_to(heard, told.at) if scene.visit.consent.gpc else heard
    else:
        heard = object_to(known, told.at)
    put_customer(scene.connection, key, heard, told.at, record_id=told.record_id)
    return heard


def _lower(scene: _Scene, told: Told) -> None:
    """Remember what is taken back, for orders that are frozen, for renewals, and for what comes later."""
    one, connection = scene.one, scene.connection
    taken = [*scene.along] if one.withdrawn is not None else []
    if one.session_hash:
        lower_subject(connection, told, "session", one.session_hash, one.denied)
    for email_hash in one.email_hashes:
        lower_subject(connection, told, "email", email_hash, one.denied)
    if one.withdrawn is not None:
        for order_id in _named_orders(connection, one):
            lower_subject(connection, told, "order", order_id, one.denied)
            taken.append(order_id)
        for row in order_rows(connection, [(one.store_id, order_id) for order_id in scene.named]).values():
            lower_siblings(connection, told, row)
    for person in scene.people:
        denied = _denied_by_person(scene, person)
        lower_subject(connection, told, "customer", person, denied)
        taken += open_orders_of_customer(connection, one.store_id, person, told.at) if denied else []
    take_back(connection, told, taken)


def _denied_by_person(scene: _Scene, person: str) -> tuple[Category, ...]:
    """A customer takes back what the signal says outright; silence on a category leaves it open."""
    one = scene.one
    if one.withdrawn is not None:
        return one.withdrawn
    if person != scene.customer_id:
        return (Category.MARKETING,)
    return tuple(category for category in one.denied if one.signal.evidence.choices.of(category) is Choice.DENIED)


def _tell(scene: _Scene, told: Told, session: SessionConsent | None) -> None:
    one, connection = scene.one, scene.connection
    tell_orders(connection, told, scene.named, is_named=True)
    evidence = evidence_of_session(session) if session is not None else None
    if evidence is not None:
        # What the session says as a whole: a grant that came late must not reach its orders either.
        tell_orders(connection, replace(told, evidence=evidence), scene.along, is_named=False)
    may_follow = bool(told.denied and one.signal.subject.checkout_token)
    if may_follow or not scene.named:
        park_for(connection, told, [one_hash for one_hash in (one.key_hash, one.id_hash) if one_hash])
