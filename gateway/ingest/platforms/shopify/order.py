"""Orders as Shopify's webhooks and REST Admin API show them, in any API version."""

from collections.abc import Mapping
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
from gateway.ingest.platform import EvidenceReader, RenewalDetection, dated
from gateway.model.consent import Evidence
from gateway.model.order import Order, Origin, Relation

# Fields that only orders have; apps may ask for a few of them only, and versions differ.
_ORDER_FIELDS: Final = frozenset(("order_number", "financial_status", "total_price", "source_name", "line_items"))
_NO_ORDER_FIELDS: Final = frozenset(("refund_line_items", "abandoned_checkout_url", "invoice_url", "order_id"))
_SOURCES: Final[Mapping[str, Origin]] = {
    "web": Origin.CHECKOUT,
    "iphone": Origin.CHECKOUT,
    "android": Origin.CHECKOUT,
    "pos": Origin.POS,
    "shopify_draft_order": Origin.ADMIN,
    **dict.fromkeys(("import", "matrixify", "excelify"), Origin.IMPORT),
}
_BROWSER_FIELDS: Final = ("checkout_token", "cart_token", "browser_ip", "client_details", "landing_site")


def is_order(payload: dict[str, object]) -> bool:
    """Whether the payload has an order's shape."""
    has_fields = bool(payload.keys() & _ORDER_FIELDS) and not payload.keys() & _NO_ORDER_FIELDS
    return id_of(payload.get("id")) is not None and has_fields


def read_order(payload: dict[str, object], detection: RenewalDetection, read_evidence: EvidenceReader) -> Order:
    """Read a payload of an order's shape."""
    customer = object_of(payload.get("customer"))
    origin = _origin(payload, detection)
    tokens = (secret_of(payload.get(key)) for key in ("checkout_token", "cart_token"))
    return Order(
        order_id=id_of(payload["id"]) or "",
        number=text_of(payload.get("order_number") or payload.get("name") or payload["id"], most=64),
        status="cancelled" if payload.get("cancelled_at") else text_of(payload.get("financial_status"), most=64),
        origin=origin,
        created_at=instant_of(payload.get("created_at")),
        updated_at=instant_of(payload.get("updated_at")),
        customer_id=id_of(customer.get("id")) or id_of(customer.get("admin_graphql_api_id")),
        email=email_of(payload.get("email"), payload.get("contact_email"), customer.get("email")),
        checkout_tokens=tuple(dict.fromkeys(token for token in tokens if token)),
        relation=Relation.RENEWAL if origin is Origin.RENEWAL else Relation.NONE,
        currency=text_of(payload.get("currency"), most=8),
        total=text_of(payload.get("total_price"), most=32),
        evidence=_evidence(payload, origin, read_evidence),
    )


def _evidence(payload: dict[str, object], origin: Origin, read_evidence: EvidenceReader) -> Evidence | None:
    """Read the order's entries; what staff made, and renewals, may be answered later, on their pay page."""
    created_at, updated_at = instant_of(payload.get("created_at")), instant_of(payload.get("updated_at"))
    has_pay_page = origin in (Origin.ADMIN, Origin.RENEWAL)
    not_after = updated_at if has_pay_page and updated_at else created_at
    return dated(read_evidence(_entries(payload)), not_after=not_after, else_at=created_at)


def _entries(payload: dict[str, object]) -> list[tuple[str, object]]:
    return pairs_of(payload.get("note_attributes"), "name")


def _tags(value: object) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else ()
    return tuple(tag for part in parts if (tag := text_of(part)))


def _origin(payload: dict[str, object], detection: RenewalDetection) -> Origin:
    source_name = text_of(payload.get("source_name")).lower()
    marked = {tag.lower() for tag in _tags(payload.get("tags"))} & {tag.strip().lower() for tag in detection.tags}
    is_by_app = (id_of(payload.get("app_id")) or "-") in detection.app_ids
    # Billed on a contract: `subscription_contract` once, `subscription_contract_checkout_one` now.
    if source_name.startswith("subscription_contract") or is_by_app or marked:
        return Origin.RENEWAL
    has_browser = any(payload.get(key) for key in _BROWSER_FIELDS)
    return _SOURCES.get(source_name) or (Origin.CHECKOUT if has_browser else Origin.API)
