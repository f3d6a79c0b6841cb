"""Orders as WooCommerce's webhooks and REST API (v2, v3) show them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from gateway.ingest.fields import (
    email_of,
    id_of,
    instant_of,
    object_of,
    pairs_of,
    secret_of,
    text_of,
)
from gateway.ingest.platform import EvidenceReader, dated
from gateway.model.consent import Evidence
from gateway.model.order import Order, Origin, Relation

_ORDER_FIELDS: Final = frozenset(("line_items", "order_key", "currency", "total", "date_created_gmt"))
_CREATED_VIA: Final[Mapping[str, Origin]] = {
    "checkout": Origin.CHECKOUT,
    "store-api": Origin.CHECKOUT,
    "admin": Origin.ADMIN,
    "rest-api": Origin.API,
    "subscription": Origin.RENEWAL,
    **dict.fromkeys(("pos", "pos-rest-api", "woocommerce-pos", "openpos"), Origin.POS),
    "migration": Origin.IMPORT,
}
_RELATIONS: Final[Mapping[str, Relation]] = {
    "_subscription_renewal": Relation.RENEWAL,
    "_subscription_switch": Relation.SWITCH,
    "_subscription_resubscribe": Relation.RESUBSCRIBE,
}
_SOURCE_TYPE: Final = "_wc_order_attribution_source_type"


def is_order(payload: dict[str, object]) -> bool:
    """Whether the payload has an order's shape, and not a subscription's."""
    has_core = id_of(payload.get("id")) is not None and bool(text_of(payload.get("status")))
    return has_core and bool(payload.keys() & _ORDER_FIELDS) and "billing_period" not in payload


def read_order(payload: dict[str, object], read_evidence: EvidenceReader) -> Order:
    """Read a payload of an order's shape."""
    entries = _entries(payload)
    created_at = instant_of(payload.get("date_created_gmt"))
    updated_at = instant_of(payload.get("date_modified_gmt"))
    relation, subscription_ids = _relation(entries)
    evidence = read_evidence(entries)
    origin = _origin(payload, entries, relation, is_answered=evidence is not None)
    return Order(
        order_id=id_of(payload["id"]) or "",
        number=text_of(payload.get("number") or payload["id"], most=64),
        status=text_of(payload["status"], most=64),
        origin=origin,
        created_at=created_at,
        updated_at=updated_at,
        customer_id=id_of(payload.get("customer_id")),
        email=email_of(object_of(payload.get("billing")).get("email")),
        order_key=secret_of(payload.get("order_key")),
        relation=relation,
        subscription_ids=subscription_ids,
        currency=text_of(payload.get("currency"), most=8),
        total=text_of(payload.get("total"), most=32),
        evidence=_dated(evidence, origin, created_at, updated_at),
    )


def _entries(payload: dict[str, object]) -> list[tuple[str, object]]:
    return pairs_of(payload.get("meta_data"), "key")


def _relation(entries: list[tuple[str, object]]) -> tuple[Relation, tuple[str, ...]]:
    """Return how the order relates to subscriptions, and to which; a key may occur once per subscription."""
    related = [(key, found) for key, value in entries if key in _RELATIONS and (found := id_of(value))]
    for name, relation in _RELATIONS.items() if related else ():
        ids = dict.fromkeys(found for key, found in related if key == name)
        if ids:
            return relation, tuple(ids)
    return Relation.NONE, ()


def _origin(
    payload: dict[str, object], entries: list[tuple[str, object]], relation: Relation, *, is_answered: bool
) -> Origin:
    created_via = text_of(payload.get("created_via")).lower()
    origin = _CREATED_VIA.get(created_via) or (Origin.IMPORT if "import" in created_via else None)
    if relation is Relation.RENEWAL:
        # An early renewal is paid in the checkout; with a consent entry of its own the shopper answered there.
        return Origin.CHECKOUT if origin is Origin.CHECKOUT and is_answered else Origin.RENEWAL
    return origin or _guessed_origin(payload, entries)


def _guessed_origin(payload: dict[str, object], entries: list[tuple[str, object]]) -> Origin:
    """Judge an order whose maker is unknown; what a browser took part in waits for an answer like a checkout."""
    source_type = next((text_of(value) for key, value in entries if key == _SOURCE_TYPE), "")
    if source_type == "admin":
        return Origin.ADMIN
    has_browser = bool(source_type or text_of(payload.get("customer_user_agent")))
    return Origin.CHECKOUT if has_browser else Origin.API


def _dated(
    evidence: Evidence | None, origin: Origin, created_at: datetime | None, updated_at: datetime | None
) -> Evidence | None:
    """Bound the capture time by the order's: staff's orders and renewals are answered later, on their pay page."""
    has_pay_page = origin in (Origin.ADMIN, Origin.RENEWAL)
    latest = updated_at if has_pay_page and updated_at else created_at
    return dated(evidence, not_after=latest, else_at=created_at)
