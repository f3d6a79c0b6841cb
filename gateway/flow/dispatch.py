"""Dispatch: what was claimed is decided anew, redacted, proved and sent. Consent is applied here, on every attempt."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from gateway.deliver.attempt import attempt
from gateway.deliver.retry import attempts_since, next_attempt
from gateway.flow.deciding import Deciding
from gateway.flow.outbound import Outbound, build_outbound, pass_on
from gateway.flow.parts import Parts, StoreRules, Target
from gateway.ingest.body import read_body, write_body
from gateway.model.decision import Action, Decision, Reason
from gateway.model.delivery import DeliveryKind, DeliveryState, Outcome, OutcomeKind, Parcel
from gateway.model.order import TopicGroup
from gateway.redact.apply import Shape, shape_of
from gateway.storage.context import Context
from gateway.storage.outcomes import Attempt, Settled
from gateway.storage.queue import Claimed
from gateway.storage.sealing import CannotOpen
from gateway.storage.signals import last_call_back
from gateway.storage.statements import Connection
from gateway.storage.waiting import is_to_end

_KEY_MISSING_RETRY = timedelta(seconds=60)
_BUG = "internal_error"
_CALL_BACK_SECONDS = 0.05  # a signal that takes back what is about to leave is heard of within so long


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A delivery that may leave, with its bytes and the decision behind them."""

    claimed: Claimed
    target: Target
    decision: Decision
    body: bytes = field(repr=False)
    detail: dict[str, Any]
    as_of: str  # the last call back that was known when it was decided


@dataclass(frozen=True, slots=True)
class _Decided:
    """A claimed delivery and what the policy says of it."""

    claimed: Claimed
    target: Target
    decision: Decision
    is_off: bool
    as_of: str


class Dispatch:
    """Decides and sends what a worker claimed."""

    def __init__(self, parts: Parts) -> None:
        """Take the parts from bootstrap."""
        self._parts = parts
        self._database = parts.database
        self._telling = parts.telling

    def prepare(self, claimed: Sequence[Claimed]) -> list[Settled | Prepared]:
        """Decide a batch; what may leave comes back with its bytes, the rest settled."""
        prepared = self._prepare(claimed)
        for one in claimed:
            if one.state is DeliveryState.SENDING:
                self._telling.lost(one)
        return prepared

    def _prepare(self, claimed: Sequence[Claimed]) -> list[Settled | Prepared]:
        now = self._database.now()
        context, decided = self._database.read(lambda connection: self._decide_all(connection, claimed, now))
        rebuilt = _Rebuilt()
        return [self._prepared(context, one, rebuilt, now) for one in decided]

    def send(self, prepared: Prepared) -> Settled:
        """Make one attempt over the network; what was called back since it was decided is decided once more."""
        if self._database.recall(_last_call_back, for_seconds=_CALL_BACK_SECONDS) != prepared.as_of:
            again = self._again(prepared)
            if isinstance(again, Settled):
                return again
            prepared = again
        claimed, now = prepared.claimed, self._database.now()
        number = claimed.attempts + 1
        parcel = Parcel(
            webhook_id=claimed.message_id,
            store_id=claimed.store_id,
            topic=claimed.topic,
            attempt=number,
            body=prepared.body,
        )
        target = prepared.target
        with self._telling.attempt_span(claimed, number):
            outcome = attempt(self._parts.sender, target.kind, target.destination, parcel, now)
            self._telling.note_outcome(outcome)
        ended = self._database.now()
        self._telling.attempted(claimed, outcome, number=number, started_at=now, ended_at=ended)
        return self._settled(prepared, outcome, number, now, ended)

    def put_off(self, claimed: Claimed) -> Settled:
        """Count what a bug kept back as an attempt that failed, so that it is tried again as long as any other."""
        now, number = self._database.now(), claimed.attempts + 1
        outcome = Outcome(kind=OutcomeKind.RETRY, word=_BUG)
        state, next_at = self._next(claimed, outcome, number, now, now)
        self._telling.put_off(claimed, _BUG)
        self._telling.ended(claimed, state)
        return Settled(
            delivery_id=claimed.id,
            claim=claimed.claim,
            state=state,
            next_at=next_at,
            reason=_BUG,
            attempt=Attempt(number=number, at=now, kind=outcome.kind, word=outcome.word),
        )

    def _again(self, prepared: Prepared) -> Settled | Prepared:
        """Decide once more what was called back; what was ended or taken over meanwhile is not sent."""
        claimed = prepared.claimed
        if self._database.read(lambda connection: is_to_end(connection, claimed.id, claimed.claim)):
            return _settled_by(prepared.decision, claimed, DeliveryState.DUE)
        return self._prepare([claimed])[0]

    # --- deciding ---------------------------------------------------------------------------------------------

    def _decide_all(
        self, connection: Connection, claimed: Sequence[Claimed], now: datetime
    ) -> tuple[Context, list[_Decided]]:
        as_of = last_call_back(connection)  # before everything else: what comes from here on is heard of later
        deciding = Deciding(self._parts, connection, now)
        context = deciding.gather(claimed, body_ids={one.body_id for one in claimed if one.body_id is not None})
        return context, [self._decided(one, deciding.decide(context, one), as_of) for one in claimed]

    def _decided(self, claimed: Claimed, decision: Decision, as_of: str) -> _Decided:
        DeliveryKind(claimed.kind)  # one that only a later release makes is left to that
        target = self._parts.targets[claimed.destination_id]
        is_off = decision.reason is Reason.MODE_OFF
        return _Decided(claimed=claimed, target=target, decision=decision, is_off=is_off, as_of=as_of)

    # --- building ---------------------------------------------------------------------------------------------

    def _prepared(self, context: Context, one: _Decided, rebuilt: "_Rebuilt", now: datetime) -> Settled | Prepared:
        decision, claimed = one.decision, one.claimed
        self._telling.decided(claimed, decision)
        if decision.action is Action.HOLD:
            return self._ended(one, DeliveryState.HELD, hold_until=decision.release_at)
        if decision.action is Action.SUPPRESS:
            return self._suppressed(one)
        try:
            return self._built(context, one, rebuilt)
        except CannotOpen:
            self._telling.key_missing(claimed)
            return self._ended(one, DeliveryState.DUE, next_at=now + _KEY_MISSING_RETRY, reason="key_missing")
        except Exception as error:  # noqa: BLE001 - a bug in doubt sends nothing and shows itself
            self._telling.failed(claimed, error)
            return self._ended(one, DeliveryState.FAILED, reason=_BUG)

    def _built(self, context: Context, one: _Decided, rebuilt: "_Rebuilt") -> Settled | Prepared:
        claimed = one.claimed
        sealed = context.bodies.get(claimed.body_id or 0)
        if sealed is None:
            return self._ended(one, DeliveryState.CANCELLED, reason="body_gone")
        raw = self._parts.keyring.open(sealed["sealed"], key_id=sealed["key_id"], purpose="body")
        prepared = partial(Prepared, claimed=claimed, target=one.target, decision=one.decision, as_of=one.as_of)
        if one.is_off:
            return prepared(body=raw, detail=_detail(one.decision))
        store = self._parts.stores[claimed.store_id]
        outbound = pass_on(one.decision, raw) or rebuilt.outbound(one, raw, store)
        detail = _detail(one.decision, outbound)
        if outbound.leaks:
            self._telling.leaked(claimed, outbound.leaks)
            return self._ended(one, DeliveryState.LEAK, reason="leak", detail=detail)
        return prepared(body=outbound.body, detail=detail)

    def _suppressed(self, one: _Decided) -> Settled:
        is_event = one.claimed.kind == DeliveryKind.EVENT
        state = DeliveryState.EXPIRED if one.decision.reason is Reason.EXPIRED else DeliveryState.SUPPRESSED
        return self._ended(one, state, drop_body=is_event)

    def _ended(self, one: _Decided, state: DeliveryState, **changes: Any) -> Settled:
        self._telling.ended(one.claimed, state)
        return _settled_by(one.decision, one.claimed, state, **changes)

    # --- outcomes ---------------------------------------------------------------------------------------------

    def _settled(
        self, prepared: Prepared, outcome: Outcome, number: int, started_at: datetime, ended_at: datetime
    ) -> Settled:
        claimed, decision = prepared.claimed, prepared.decision
        state, next_at = self._next(claimed, outcome, number, started_at, ended_at)
        took = int((ended_at - started_at) / timedelta(milliseconds=1))
        self._telling.ended(claimed, state)
        return _settled_by(
            decision,
            claimed,
            state,
            detail=prepared.detail,
            next_at=next_at,
            attempt=Attempt(
                number=number,
                at=started_at,
                kind=outcome.kind,
                word=outcome.word,
                status_code=outcome.status_code,
                took_ms=took,
            ),
            sent_sha256=hashlib.sha256(prepared.body).hexdigest(),
            is_gone=outcome.gone,
        )

    def _next(
        self, claimed: Claimed, outcome: Outcome, number: int, started_at: datetime, ended_at: datetime
    ) -> tuple[DeliveryState, datetime | None]:
        if outcome.kind is OutcomeKind.DELIVERED:
            return DeliveryState.DELIVERED, None
        if outcome.kind is OutcomeKind.REFUSED:
            return DeliveryState.FAILED, None
        first_at = claimed.first_attempt_at or started_at
        since = attempts_since(first_at, started_at, number)
        delay = next_attempt(outcome, since, first_at, ended_at, self._parts.horizon, self._parts.jitter())
        return (DeliveryState.FAILED, None) if delay is None else (DeliveryState.DUE, ended_at + delay)


class _Rebuilt:
    """What was rebuilt for one batch: destinations that may be told the same of an order get the same bytes."""

    def __init__(self) -> None:
        self._payloads: dict[int, dict[str, object]] = {}
        self._outbound: dict[tuple[object, ...], Outbound] = {}

    def outbound(self, one: _Decided, raw: bytes, store: StoreRules) -> Outbound:
        """Return what may leave of a body by a decision; of the same body by the same one it is built once."""
        body_id, decision = one.claimed.body_id or 0, one.decision
        told = (body_id, decision.action, decision.strip, write_body(decision.consent or {}))
        if told not in self._outbound:
            payload = self._payloads.get(body_id) or read_body(raw)
            self._payloads[body_id] = payload
            self._outbound[told] = build_outbound(decision, payload, _shape(store, one.claimed), store.rules)
        return self._outbound[told]


def _settled_by(
    decision: Decision,
    claimed: Claimed,
    state: DeliveryState,
    *,
    reason: str = "",
    detail: dict[str, Any] | None = None,
    **more: Any,
) -> Settled:
    """What became of a delivery that was decided; its own reason and detail stand for the decision's."""
    return Settled(
        delivery_id=claimed.id,
        claim=claimed.claim,
        state=state,
        action=decision.action.value,
        reason=reason or decision.reason.value,
        detail=detail or _detail(decision),
        decided_version=decision.policy_version,
        **more,
    )


def _last_call_back(connection: Connection, _now: datetime) -> str:
    return last_call_back(connection)


def _shape(store: StoreRules, claimed: Claimed) -> Shape:
    if claimed.kind != DeliveryKind.ORDER:
        return Shape.EVENT
    return shape_of(store.platform, TopicGroup(claimed.topic_group), claimed.topic)


def _detail(decision: Decision, outbound: Outbound | None = None) -> dict[str, Any]:
    """What is kept of a decision for good: reasons and names, never values."""
    detail: dict[str, Any] = {"reasons": list(decision.reasons)}
    if decision.applied:
        detail["applied"] = {category.value: value for category, value in decision.applied.items()}
    if decision.consent is not None:
        detail["consent"] = decision.consent
    if outbound is not None:
        detail["removed"] = list(outbound.removed)
        detail["unknown_keys"] = list(outbound.unknown_keys)
    if outbound is not None and outbound.leaks:
        detail["leaks"] = list(outbound.leaks)
    return detail
