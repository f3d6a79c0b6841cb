"""Signals in: read within their bounds, then heard durably."""

from dataclasses import replace
from datetime import datetime

from gateway.decide.consent import denied_categories
from gateway.errors import BodyMalformed, RequestInvalid
from gateway.flow.hearing import States, record_statements
from gateway.flow.parts import Parts
from gateway.flow.statement import make_statement
from gateway.ingest.body import read_body, says_twice
from gateway.ingest.signal import read_signal
from gateway.ingest.withdrawal import Withdrawal, read_withdrawal
from gateway.model.consent import GATING, Channel, Choice, Choices, Evidence, Signal, Source

__all__ = ["States", "has_denial", "read_posted", "receive_signal", "receive_withdrawal"]


def read_posted(parts: Parts, body: bytes, *, channel: Channel, sec_gpc: bool) -> Signal:
    """Read a signal that was posted; raises RequestInvalid with every mistake by its field."""
    return read_signal(_object(body), channel=channel, sec_gpc=sec_gpc, received_at=parts.database.now())


def receive_signal(parts: Parts, store_id: str, signal: Signal) -> States | None:
    """Record a signal durably; return the states of its session or customer, None where it names an order."""
    states = parts.database.write_together(record_statements, make_statement(parts, store_id, signal))
    parts.telling.signalled(store_id, signal.channel, "recorded")
    return states


def receive_withdrawal(parts: Parts, store_id: str, body: bytes) -> None:
    """Record durably that somebody takes back what was granted; raises RequestInvalid with every mistake."""
    withdrawal = read_withdrawal(_object(body))
    statement = make_statement(parts, store_id, _signal_of(withdrawal, parts.database.now()))
    withdrawn = tuple(category for category in GATING if category in withdrawal.categories)
    with parts.telling.span("withdrawal", store=store_id):
        parts.database.write_together(record_statements, replace(statement, withdrawn=withdrawn))
    parts.telling.signalled(store_id, Channel.WITHDRAWAL, "recorded")


def has_denial(signal: Signal) -> bool:
    """Whether a signal denies anything, so that it must never be shed before a grant is."""
    return bool(denied_categories(signal.evidence)) or signal.evidence.gpc


def _object(body: bytes) -> dict[str, object]:
    try:
        posted = read_body(body)
    except BodyMalformed as error:
        raise RequestInvalid({"body": [str(error)]}) from error
    if says_twice(body):
        raise RequestInvalid({"body": ["A key is there twice."]})
    return posted


def _signal_of(withdrawal: Withdrawal, now: datetime) -> Signal:
    choices = Choices(**{category.value: Choice.DENIED for category in withdrawal.categories})
    evidence = Evidence(choices=choices, source=Source.SERVER, captured_at=now, entry="withdrawal")
    return Signal(subject=withdrawal.subject, evidence=evidence, channel=Channel.WITHDRAWAL)
