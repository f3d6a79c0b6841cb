"""A signal on its way into the database: what it names is hashed, its evidence sealed."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import orjson

from gateway.decide.consent import denied_categories, with_gpc_rule
from gateway.flow.parts import Parts
from gateway.model.consent import Category, Channel, Evidence, Signal
from gateway.storage.sealing import Keyring

_POLICY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A signal ready to be recorded: hashes are keyed, evidence strings are sealed.

    `withdrawn` are the categories of a withdrawal, None for any other signal. `said_at` is the time that its sender
    gave; without one its evidence bears the time of receipt.
    """

    parts: Parts = field(repr=False)
    store_id: str
    signal: Signal
    received_at: datetime
    session_hash: str | None = None
    customer_hash: str | None = None
    email_hashes: tuple[str, ...] = ()  # of an e-mail address, and of its SHA-256
    key_hash: str | None = None  # of an order key or a checkout token
    id_hash: str | None = None  # of an order id that the shop's server names
    sealed: bytes | None = field(default=None, repr=False)
    withdrawn: tuple[Category, ...] | None = None
    said_at: datetime | None = None

    @property
    def as_said(self) -> Evidence:
        """The evidence with no other time than its sender's: that alone tells a late signal from a new one."""
        return replace(self.signal.evidence, captured_at=self.said_at)

    @property
    def denied(self) -> tuple[Category, ...]:
        """The gating categories that it takes back."""
        if self.withdrawn is not None:
            return self.withdrawn
        return denied_categories(self.signal.evidence)

    @property
    def sticks(self) -> bool:
        """Whether it holds for the person rather than for one visit."""
        return self.withdrawn is not None or self.signal.evidence.gpc

    @property
    def names_order(self) -> bool:
        """Whether it names an order or a checkout, so that its answer shows no state."""
        subject = self.signal.subject
        return bool(subject.order_id or subject.order_key or subject.checkout_token)


def key_of_order(order_id: str | None, order_key: str | None) -> str | None:
    """Return what is hashed of an order's key: it opens the order that it belongs to, and no other."""
    return f"{order_id}:{order_key}" if order_id and order_key else None


def hashes_of_email(keyring: Keyring, email: str) -> tuple[str, ...]:
    """Return every keyed hash under which an address may stand: events may tell its SHA-256 alone."""
    spellings = (email, hashlib.sha256(email.encode()).hexdigest())
    return tuple(keyring.digest("email", spelling) for spelling in spellings)


def make_statement(parts: Parts, store_id: str, signal: Signal) -> Statement:
    """Return a signal with everything that its transaction needs; a browser never speaks for a customer."""
    keyring, subject = parts.keyring, signal.subject
    is_browser = signal.channel is Channel.BROWSER

    def digest(purpose: str, value: str | None) -> str | None:
        return keyring.digest(purpose, value) if value else None

    now = parts.database.now()
    evidence = with_gpc_rule(signal.evidence, parts.policies.newest(store_id, as_of_seconds=_POLICY_SECONDS).gpc)
    evidence = replace(evidence, captured_at=evidence.captured_at or now)
    return Statement(
        parts=parts,
        store_id=store_id,
        signal=replace(signal, evidence=evidence),
        received_at=now,
        said_at=signal.evidence.captured_at,
        session_hash=digest("session", subject.session_id),
        customer_hash=None if is_browser else digest("customer", subject.customer_id),
        email_hashes=() if is_browser or not subject.email else hashes_of_email(keyring, subject.email),
        key_hash=digest("order_key", key_of_order(subject.order_id, subject.order_key))
        or digest("checkout_token", subject.checkout_token),
        id_hash=None if is_browser else digest("order_id", subject.order_id),
        sealed=keyring.seal(orjson.dumps(signal.raw), purpose="evidence") if signal.raw else None,
    )
