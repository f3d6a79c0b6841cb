"""Redaction: a payload rebuilt from what a strip leaves of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model.decision import Strip
from gateway.redact.ledger import Ledger
from gateway.redact.rebuild import Rebuild
from gateway.redact.shapes import Rules, Shape, shape_of, table_of
from gateway.redact.texts import Texts
from gateway.redact.verdict import Denied, Gate

__all__ = ["Draft", "Redacted", "Rules", "Shape", "redact", "shape_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A rebuilt payload, the names of what went, and the values that the proof looks for."""

    payload: dict[str, object] = field(repr=False)
    removed: tuple[str, ...] = ()
    unknown_keys: tuple[str, ...] = ()
    denied: tuple[Denied, ...] = field(default=(), repr=False)


def redact(payload: Mapping[str, object], *, shape: Shape, strip: Strip, rules: Rules) -> Redacted:
    """Rebuild `payload` from what `strip` leaves; the input is untouched."""
    return Draft(payload, shape=shape, strip=strip, rules=rules).settled()


class Draft:
    """A rebuilt payload, before its texts are searched for what is denied elsewhere."""

    def __init__(self, payload: Mapping[str, object], *, shape: Shape, strip: Strip, rules: Rules) -> None:
        """Rebuild `payload` from what `strip` leaves; the input is untouched."""
        self._ledger = Ledger(Gate.of(strip), rules)
        self._texts = Texts()
        # A scheduled renewal whose consent is whole: what the shop gave it stays, but for identifiers that grew old.
        keeps_unknown = shape is Shape.EVENT and not (strip.marketing or strip.analytics or strip.either)
        rebuild = Rebuild(self._ledger, self._texts, keeps_unknown=keeps_unknown)
        self.payload = rebuild.rebuilt(payload, table_of(shape), "")
        self._ledger.forget_allowed()
        self._troubled = self._texts.holding_identifiers(self._ledger)

    @property
    def denied(self) -> list[Denied]:
        """The values that must not be in the texts, nor in anything else that leaves."""
        return self._ledger.wanted()

    @property
    def may_be_final(self) -> bool:
        """Whether the proof of the written payload says of every text what a search of it would say."""
        return not self._troubled and self._texts.are_written_as_they_are

    def as_it_is(self) -> Redacted:
        """Return the payload with its texts unsearched; only for one whose proof found nothing at all."""
        removed, unknown_keys = self._ledger.names()
        denied = tuple(self._ledger.wanted())
        return Redacted(payload=self.payload, removed=removed, unknown_keys=unknown_keys, denied=denied)

    def settled(self) -> Redacted:
        """Take out or replace every text that holds a denied value, and return what is left."""
        self._texts.settle(self._ledger, self._troubled)
        self._ledger.forget_allowed()
        return self.as_it_is()
