"""A decision and a payload become the bytes that leave - or the names of what would have leaked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.ingest.body import write_body
from gateway.model.decision import Action, Decision
from gateway.redact.apply import Draft, Rules, Shape
from gateway.redact.cut import replace_item_texts, without_own_entry, without_secrets
from gateway.redact.proof import is_free_of, prove
from gateway.redact.splice import with_consent


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbound:
    """The bytes that may leave, what went from them, and what the egress proof found in them."""

    body: bytes = field(repr=False)
    removed: tuple[str, ...] = ()
    unknown_keys: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()


def pass_on(decision: Decision, body: bytes) -> Outbound | None:
    """Give a body that leaves as it is its consent, unread; None where it must be built."""
    if decision.strip.is_any or decision.strip.secrets or decision.consent is None:
        return None
    passed = with_consent(body, write_body(decision.consent))
    return None if passed is None else Outbound(body=passed)


def build_outbound(decision: Decision, payload: Mapping[str, object], shape: Shape, rules: Rules) -> Outbound:
    """Build the body of a sending decision outside mode off (there the store's own bytes leave)."""
    if decision.action is Action.SEND_REDACTED and decision.strip.is_any:
        return _redacted(decision, payload, shape, rules)
    kept: Mapping[str, object] = without_own_entry(payload)
    removed: tuple[str, ...] = ()
    if decision.strip.secrets:
        kept, removed = without_secrets(kept, shape)
    return Outbound(body=_written(kept, decision), removed=removed)


def _redacted(decision: Decision, payload: Mapping[str, object], shape: Shape, rules: Rules) -> Outbound:
    draft = Draft(payload, shape=shape, strip=decision.strip, rules=rules)
    if draft.may_be_final and is_free_of(body := _written(draft.payload, decision), draft.denied):
        redacted = draft.as_it_is()
        return Outbound(body=body, removed=redacted.removed, unknown_keys=redacted.unknown_keys)
    redacted = draft.settled()
    body, removed = _written(redacted.payload, decision), redacted.removed
    leaks = prove(body, redacted.denied)
    if leaks:
        kept, replaced = replace_item_texts(redacted.payload, redacted.denied)
        body, removed = _written(kept, decision), (*removed, *replaced)
        leaks = prove(body, redacted.denied)
    return Outbound(body=body, removed=removed, unknown_keys=redacted.unknown_keys, leaks=leaks)


def _written(payload: Mapping[str, object], decision: Decision) -> bytes:
    return write_body({**payload, "consent": decision.consent})
