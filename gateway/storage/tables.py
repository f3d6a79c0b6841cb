"""The tables. Every row of a shop carries its store id in its key, so that a fleet can be split by store.

Instants are whole microseconds since 1970 in UTC, the same on every database. Columns named `sealed` hold
ciphertext and stand beside the id of the key that opens them. Session ids, order keys, checkout tokens and e-mail
addresses are stored as keyed hashes only.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.engine import Dialect

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(at: datetime) -> int:
    """Return an aware instant as microseconds since 1970."""
    return (at - EPOCH) // _MICROSECOND


def of_microseconds(value: int) -> datetime:
    """Return microseconds since 1970 as an aware instant in UTC."""
    return EPOCH + timedelta(microseconds=value)


class Instant(TypeDecorator[datetime]):
    """An aware instant, stored as microseconds since 1970 UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ARG002 - SQLAlchemy's signature
        return _stored(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - likewise
        return _read(value)

    def bind_processor(self, dialect: Dialect) -> Any:  # noqa: ARG002 - likewise
        """Convert in one call: every row has several of these."""
        return _stored

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:  # noqa: ARG002 - likewise
        """Convert in one call."""
        return _read


def _stored(value: datetime | None) -> int | None:
    return None if value is None else (value - EPOCH) // _MICROSECOND


def _read(value: int | None) -> datetime | None:
    return None if value is None else EPOCH + timedelta(microseconds=value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_Id = BigInteger().with_variant(Integer, "sqlite")
_STORE = String(40)


def _key(name: str, kind: Any = Text) -> Column[Any]:
    return Column(name, kind, primary_key=True)


def _partial(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """Tell SQLAlchemy of an index over some rows; for PostgreSQL as well it would load that dialect, of 6 MB."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where))


# A digest of every webhook; it outlives the body, so that a replayed request stays a duplicate.
webhooks = Table(
    "webhooks",
    metadata,
    _key("store_id", _STORE),
    _key("key"),
    Column("guard", Text),  # a second key that catches the same change under another delivery id
    Column("topic", Text, nullable=False),
    Column("resource_id", Text, nullable=False, default=""),
    Column("order_id", Text),
    Column("status", Text, nullable=False),  # accepted, ignored
    Column("reason", Text, nullable=False, default=""),
    Column("via", Text, nullable=False, default="webhook"),  # webhook, reconcile
    Column("received_at", Instant, nullable=False),
    _partial("uq_webhooks_guard", "store_id", "guard", where="guard IS NOT NULL", unique=True),
    _partial("ix_webhooks_order", "store_id", "order_id", "received_at", where="order_id IS NOT NULL"),
    Index("ix_webhooks_received", "received_at"),
)

# Bytes as they came in: webhooks, session events, scheduled renewals.
bodies = Table(
    "bodies",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("store_id", _STORE, nullable=False),
    Column("order_id", Text),
    Column("customer_id", Text),
    Column("created_at", Instant, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    _partial("ix_bodies_order", "store_id", "order_id", where="order_id IS NOT NULL"),
    _partial("ix_bodies_customer", "store_id", "customer_id", where="customer_id IS NOT NULL"),
    Index("ix_bodies_created", "created_at"),
    sqlite_autoincrement=True,
)

# The order table: consent at order time, and the record that it came from.
orders = Table(
    "orders",
    metadata,
    _key("store_id", _STORE),
    _key("order_id"),
    Column("number", Text, nullable=False, default=""),
    Column("status", Text, nullable=False, default=""),  # the store's own word
    Column("origin", Text, nullable=False),
    Column("relation", Text, nullable=False, default="none"),
    Column("subscription_ids", JSON, nullable=False, default=list),
    Column("customer_id", Text),
    Column("session_hash", Text),
    Column("email_hash", Text),
    Column("currency", Text, nullable=False, default=""),
    Column("total", Text, nullable=False, default=""),
    Column("placed_at", Instant),  # the store's own time of the order
    Column("changed_at", Instant),  # the store's own time of the last change seen
    Column("seen_at", Instant, nullable=False),  # first webhook
    Column("frozen_at", Instant, nullable=False),  # in the future while an answer is awaited
    Column("has_order", Boolean, nullable=False, default=True),  # False: known only by a refund, deletion or edit
    # consent at order time: NULL record_id means that there is none
    Column("record_id", _Id),
    Column("consent_state", Text),  # answered, pending
    Column("choices", JSON),
    Column("source", Text),
    Column("basis", Text),
    Column("captured_at", Instant),
    Column("recorded_at", Instant),
    Column("entry", Text),
    Column("gpc", Boolean, nullable=False, default=False),
    Column("region", Text, nullable=False, default=""),
    Column("given_after", Boolean, nullable=False, default=False),
    Column("unreadable", Boolean, nullable=False, default=False),
    Column("stamp", Text),  # digest of the last evidence seen in the order's own metadata
    # evidence that the shop copied onto a renewal: used when its parent is unknown to the gateway
    Column("copied", JSON),
    Column("erased_at", Instant),
    Index("ix_orders_number", "store_id", "number"),
    _partial("ix_orders_customer", "store_id", "customer_id", where="customer_id IS NOT NULL"),
    _partial("ix_orders_session", "store_id", "session_hash", where="session_hash IS NOT NULL"),
    _partial("ix_orders_email", "store_id", "email_hash", where="email_hash IS NOT NULL"),
    Index("ix_orders_seen", "store_id", "seen_at", "order_id"),
)

# Order keys and checkout tokens by which a browser may name an order, as keyed hashes.
order_keys = Table(
    "order_keys",
    metadata,
    _key("store_id", _STORE),
    _key("key_hash"),
    _key("order_id"),  # a cart token may stand behind several
    Index("ix_order_keys_order", "store_id", "order_id"),
)

# Every signal as it was heard; rows are only ever added.
records = Table(
    "records",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("store_id", _STORE, nullable=False),
    Column("order_id", Text),
    Column("session_hash", Text),
    Column("customer_id", Text),
    Column("channel", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("choices", JSON, nullable=False),
    Column("source", Text, nullable=False),
    Column("basis", Text, nullable=False),
    Column("captured_at", Instant),
    Column("received_at", Instant, nullable=False),
    Column("seq", BigInteger),
    Column("gpc", Boolean, nullable=False, default=False),
    Column("cmp", Text, nullable=False, default=""),
    Column("entry", Text, nullable=False, default=""),
    Column("region", Text, nullable=False, default=""),
    Column("note", Text, nullable=False, default=""),
    Column("unreadable", Boolean, nullable=False, default=False),
    Column("key_id", Text),  # evidence strings as they came, sealed
    Column("sealed", LargeBinary),
    _partial("ix_records_order", "store_id", "order_id", where="order_id IS NOT NULL"),
    _partial("ix_records_session", "store_id", "session_hash", where="session_hash IS NOT NULL"),
    _partial("ix_records_customer", "store_id", "customer_id", where="customer_id IS NOT NULL"),
    Index("ix_records_received", "received_at"),
    sqlite_autoincrement=True,
)

# What takes back a grant after an order was frozen; the last one per subject and category.
# subject_kind: order, session, customer, email (keyed hash), renewals (a denial recorded on another order of that
# customer, which lowers the customer's renewals only), or subscription (a denial of one of its renewals).
lowerings = Table(
    "lowerings",
    metadata,
    _key("store_id", _STORE),
    _key("subject_kind"),
    _key("subject"),
    _key("category"),
    Column("by", Text, nullable=False),  # withdrawal, gpc, denial, order
    Column("at", Instant, nullable=False),
    Column("record_id", _Id),
)

# One visit each: what every source said last, and the states that follow from it.
sessions = Table(
    "sessions",
    metadata,
    _key("store_id", _STORE),
    _key("session_hash"),
    Column("analytics", Text, nullable=False, default="unknown"),
    Column("marketing", Text, nullable=False, default="unknown"),
    Column("by_source", JSON, nullable=False, default=dict),
    Column("choices", JSON, nullable=False, default=dict),
    Column("gpc", Boolean, nullable=False, default=False),
    Column("customer_id", Text),
    Column("seen_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    _partial("ix_sessions_customer", "store_id", "customer_id", where="customer_id IS NOT NULL"),
    Index("ix_sessions_updated", "updated_at"),
    Index("ix_sessions_store", "store_id", "updated_at", "session_hash"),
)

# The stored choice of a known customer; an empty one is pending.
customers = Table(
    "customers",
    metadata,
    _key("store_id", _STORE),
    _key("customer_id"),
    Column("analytics", Text, nullable=False, default="unknown"),
    Column("marketing", Text, nullable=False, default="unknown"),
    Column("by_source", JSON, nullable=False, default=dict),
    Column("choices", JSON, nullable=False, default=dict),
    Column("gpc", Boolean, nullable=False, default=False),
    Column("record_id", _Id),
    Column("captured_at", Instant),
    Column("updated_at", Instant, nullable=False),
)

# Signals for orders that are not there yet, under the keyed hash of order key, token or id.
parked = Table(
    "parked",
    metadata,
    _key("store_id", _STORE),
    _key("key_hash"),
    _key("record_id", _Id),
    Column("expires_at", Instant, nullable=False),
    Index("ix_parked_expires", "expires_at"),
)

policies = Table(
    "policies",
    metadata,
    _key("store_id", _STORE),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("values", JSON, nullable=False),
    Column("file_values", JSON),  # what settings.toml said, for versions that came from it
    Column("changed_by", Text, nullable=False),
    Column("changed_at", Instant, nullable=False),
)

# One event for one destination. `claimable_at` is set on the head of a stream only: when it may be claimed, or,
# while it is being sent, when its lease ends. Followers and finished rows have none.
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("store_id", _STORE, nullable=False),
    Column("destination_id", Text, nullable=False),
    Column("stream", Text, nullable=False),  # order:<id>, session:<hash>, visitor:<hash>, customer:<id>, renewal:<id>
    Column("kind", Text, nullable=False),  # order, event, renewal
    Column("message_id", Text, nullable=False),  # webhook-id, the same on every attempt
    Column("topic", Text, nullable=False),
    Column("topic_group", Text, nullable=False),
    Column("order_id", Text),
    Column("session_hash", Text),
    Column("customer_id", Text),
    Column("event_id", Text),
    Column("email_hash", Text),  # of the person that it is about; orders have it in their own rows
    Column("body_id", _Id),
    Column("state", Text, nullable=False),
    Column("claimable_at", Instant),
    Column("claim", Text),  # token of the worker that holds the lease
    Column("ending", JSON),  # ended while it was being sent: {state, reason, drop_body}, unless this attempt arrives
    Column("hold_until", Instant),
    Column("accepted_at", Instant, nullable=False),
    Column("first_attempt_at", Instant),
    Column("last_attempt_at", Instant),
    Column("finished_at", Instant),
    Column("attempts", Integer, nullable=False, default=0),
    Column("policy_version", Integer, nullable=False, default=0),  # at intake
    Column("decided_version", Integer),
    Column("action", Text),
    Column("reason", Text),
    Column("detail", JSON),  # reasons, removed paths, unknown keys, applied, consent
    Column("word", Text),  # of the last outcome
    Column("status_code", Integer),
    Column("sent_sha256", Text),
    Column("trace", Text),
    _partial("ix_deliveries_claimable", "destination_id", "claimable_at", where="claimable_at IS NOT NULL"),
    _partial("ix_deliveries_open", "store_id", "stream", "destination_id", "id", where="finished_at IS NULL"),
    _partial("ix_deliveries_open_order", "store_id", "order_id", where="finished_at IS NULL AND order_id IS NOT NULL"),
    _partial(
        "ix_deliveries_open_email", "store_id", "email_hash", where="finished_at IS NULL AND email_hash IS NOT NULL"
    ),
    _partial("ix_deliveries_customer", "store_id", "customer_id", "id", where="customer_id IS NOT NULL"),
    _partial("ix_deliveries_hold", "hold_until", where="hold_until IS NOT NULL"),
    _partial("ix_deliveries_open_body", "body_id", where="finished_at IS NULL AND body_id IS NOT NULL"),
    _partial("ix_deliveries_order", "store_id", "order_id", "id", where="order_id IS NOT NULL"),
    _partial("ix_deliveries_session", "store_id", "session_hash", "id", where="session_hash IS NOT NULL"),
    Index("ix_deliveries_state", "destination_id", "state", "store_id", "id"),
    Index("ix_deliveries_store", "store_id", "id"),
    sqlite_autoincrement=True,
)

attempts = Table(
    "attempts",
    metadata,
    _key("delivery_id", _Id),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("kind", Text, nullable=False),  # delivered, retry, refused
    Column("word", Text, nullable=False),
    Column("status_code", Integer),
    Column("took_ms", Integer),
    Column("next_at", Instant),
)

# Session events by their own id: the row stays when the body is gone.
events = Table(
    "events",
    metadata,
    _key("store_id", _STORE),
    _key("event_id"),
    Column("event", Text, nullable=False),
    Column("session_hash", Text),
    Column("customer_id", Text),
    Column("body_id", _Id),
    Column("event_time", Instant),
    Column("received_at", Instant, nullable=False),
    Column("verdict", Text, nullable=False),
    Index("ix_events_received", "received_at"),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    _key("store_id", _STORE),
    _key("subscription_id"),
    Column("parent_order_id", Text),
    Column("customer_id", Text),
    Column("status", Text, nullable=False, default=""),
    Column("period", Text, nullable=False, default=""),
    Column("every", Integer),
    Column("next_payment_at", Instant),
    Column("last_renewal_at", Instant),
    Column("changed_at", Instant),
    Column("seen_at", Instant, nullable=False),
    Column("watched_at", Instant),  # last look into the store because a payment was overdue
    _partial("ix_subscriptions_next", "next_payment_at", where="next_payment_at IS NOT NULL"),
    _partial("ix_subscriptions_customer", "store_id", "customer_id", where="customer_id IS NOT NULL"),
    _partial("ix_subscriptions_parent", "store_id", "parent_order_id", where="parent_order_id IS NOT NULL"),
)

# Renewals that the shop schedules itself.
renewals = Table(
    "renewals",
    metadata,
    _key("store_id", _STORE),
    _key("renewal_id"),
    Column("origin_order_id", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("every_days", Integer),
    Column("count", Integer, nullable=False, default=1),
    Column("dispatched", Integer, nullable=False, default=0),  # occurrences that went through the gate
    Column("next_at", Instant),  # of the next occurrence, NULL when all are done or it was cancelled
    Column("state", Text, nullable=False),  # scheduled, done, cancelled
    Column("key_id", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # properties
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    _partial("ix_renewals_next", "next_at", where="next_at IS NOT NULL"),
    Index("ix_renewals_origin", "store_id", "origin_order_id"),
)

destinations = Table(
    "destinations",
    metadata,
    _key("destination_id"),
    Column("paused_at", Instant),
    Column("reason", Text, nullable=False, default=""),
    Column("failing_since", Instant),
    Column("failures", Integer, nullable=False, default=0),
    Column("probe_at", Instant),  # when a paused destination is tried again; NULL: only by an operator
)

reconciliations = Table(
    "reconciliations",
    metadata,
    _key("store_id", _STORE),
    _key("day", String(10)),
    Column("seen", Integer, nullable=False, default=0),  # changes that a webhook had brought
    Column("found", Integer, nullable=False, default=0),  # changes that only reconciliation found
)

marks = Table(
    "marks",
    metadata,
    _key("store_id", _STORE),
    _key("name"),  # e.g. orders, webhooks
    Column("at", Instant),
    Column("detail", JSON),
    Column("updated_at", Instant, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    _key("name"),
    Column("store_id", _STORE, nullable=False),
    Column("digest", Text, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

users = Table(
    "users",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("name", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False),  # viewer, operator, owner
    Column("stores", JSON, nullable=False, default=list),  # empty: all
    Column("generation", Integer, nullable=False, default=1),  # raised to end all of a user's sessions
    Column("zone", Text, nullable=False, default="UTC"),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
)

audits = Table(
    "audits",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("store_id", _STORE),
    Column("subject", Text, nullable=False, default=""),
    Column("detail", JSON),
    Index("ix_audits_at", "at"),
    sqlite_autoincrement=True,
)

# How often something was tried, so that several processes count together; keys are hashes.
throttles = Table(
    "throttles",
    metadata,
    _key("key"),
    Column("hits", Integer, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("ix_throttles_expires", "expires_at"),
)

# Single values that all processes share: the wrapped lookup key, one-time sign-in links, copy marks.
facts = Table(
    "facts",
    metadata,
    _key("name"),
    Column("value", Text, nullable=False),
    Column("updated_at", Instant, nullable=False),
)
