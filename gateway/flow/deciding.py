"""Open deliveries become decisions: the facts of each are gathered anew, and the stricter policy counts."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from gateway.decide.policy import stricter_of
from gateway.flow.facts import (
    Known,
    decide_delivery,
    known_by_id,
    known_of_customer,
    known_of_scheduled,
    known_of_subscription,
    latest_of,
)
from gateway.flow.parts import Parts
from gateway.flow.visits import OpenEvent, known_of_event
from gateway.model.decision import Decision, Policy
from gateway.model.delivery import DeliveryKind
from gateway.storage.consent import Subject
from gateway.storage.context import Context, load_context
from gateway.storage.statements import Connection


class Open(OpenEvent, Protocol):
    """A delivery that has not come to an end, as far as deciding asks."""

    @property
    def destination_id(self) -> str: ...
    @property
    def stream(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def order_id(self) -> str | None: ...
    @property
    def policy_version(self) -> int: ...


class Deciding:
    """Decides open deliveries by what is known in one transaction."""

    def __init__(self, parts: Parts, connection: Connection, now: datetime) -> None:
        """Confirm which policies are the newest."""
        self._parts = parts
        self._connection = connection
        self._now = now
        parts.policies.confirm(connection)

    def gather(self, open_ones: Sequence[Open], *, body_ids: Collection[int] = ()) -> Context:
        """Read everything that decides these deliveries, with the bodies that are named."""
        return load_context(
            self._connection,
            order_keys=[(one.store_id, one.order_id) for one in open_ones if one.order_id],
            subscription_keys=[key for one in open_ones for key in _subscription_keys(one)],
            people={person for one in open_ones for person in _people(one)},
            session_keys=[(one.store_id, one.session_hash) for one in open_ones if one.session_hash],
            body_ids=body_ids,
        )

    def decide(self, context: Context, one: Open) -> Decision:
        """Decide one delivery; what waited obeys the stricter of the policy at intake and the policy now."""
        book = self._parts.policies
        policy = book.newest(one.store_id)
        decision = self._by(policy, context, one)
        for before in book.at_intake(self._connection, one.store_id, one.policy_version, one.accepted_at):
            if before.version != policy.version:
                decision = stricter_of(decision, self._by(before, context, one))
        return decision

    def _by(self, policy: Policy, context: Context, one: Open) -> Decision:
        target = self._parts.targets[one.destination_id]
        return decide_delivery(
            _known(self._connection, context, one, policy),
            policy,
            target.destination.purposes,
            identity_required=target.kind.identity_required,
            now=self._now,
        )


def _known(connection: Connection, context: Context, one: Open, policy: Policy) -> Known:
    if one.kind == DeliveryKind.EVENT:
        return known_of_event(context, one)
    if one.kind == DeliveryKind.RENEWAL:
        origin = context.orders.get((one.store_id, one.order_id or ""))
        latest = latest_of(connection, origin, policy, context) if origin else None
        return known_of_scheduled(context, one.store_id, one.order_id or "", latest=latest)
    about, _, subject = one.stream.partition(":")
    if about == "customer":
        return known_of_customer(context, one.store_id, subject, one.email_hash)
    if about == "subscription":
        return known_of_subscription(context, one.store_id, subject, one.email_hash)
    return known_by_id(connection, context, one.store_id, one.order_id or "", policy)


def _subscription_keys(one: Open) -> list[tuple[str, str]]:
    about, _, subject = one.stream.partition(":")
    return [(one.store_id, subject)] if about == "subscription" else []


def _people(one: Open) -> list[Subject]:
    about, _, subject = one.stream.partition(":")
    named = (("customer", subject if about == "customer" else one.customer_id), ("email", one.email_hash))
    return [(one.store_id, kind, value) for kind, value in named if value]
