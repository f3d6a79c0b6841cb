"""Redaction: a payload rebuilt from what a strip leaves of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model.decision import Strip
from gateway.redact.ledger import Ledger
from gateway.redact.rebuild import Rebuild
from gateway.redact.shapes import Rules, Shape, shape_of, table_of
from gateway.redact.texts import Texts
from gateway.redact.verdict import Denied, Gate

__all__ = ["Denied", "Redacted", "Rules", "Shape", "redact", "shape_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A rebuilt payload, the names of what went, and the values that the proof looks for."""

    payload: dict[str, object] = field(repr=False)
    removed: tuple[str, ...] = ()
    unknown_keys: tuple[str, ...] = ()
    denied: tuple[Denied, ...] = field(default=(), repr=False)


def redact(payload: Mapping[str, object], *, shape: Shape, strip: Strip, rules: Rules) -> Redacted:
    """Rebuild `payload` from what `strip` leaves; the input is untouched."""
    ledger = Ledger(Gate.of(strip), rules)
    texts = Texts()
    # A scheduled renewal whose consent is whole: what the shop gave it stays, but for identifiers that grew old.
    keeps_unknown = shape is Shape.EVENT and not (strip.marketing or strip.analytics or strip.either)
    rebuilt = Rebuild(ledger, texts, keeps_unknown=keeps_unknown).rebuilt(payload, table_of(shape), "")
    ledger.forget_allowed()
    texts.settle(ledger)
    ledger.forget_allowed()
    removed, unknown_keys = ledger.names()
    return Redacted(payload=rebuilt, removed=removed, unknown_keys=unknown_keys, denied=tuple(ledger.wanted()))
