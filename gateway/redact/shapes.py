"""Shapes of payloads, and the tables that give each of their fields a class."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Any

from gateway.model.order import Platform, TopicGroup
from gateway.redact.verdict import Kind, Need


class Shape(StrEnum):
    """Which table of fields a payload is read by."""

    WOOCOMMERCE_ORDER = "woocommerce_order"
    WOOCOMMERCE_CUSTOMER = "woocommerce_customer"
    WOOCOMMERCE_SUBSCRIPTION = "woocommerce_subscription"
    SHOPIFY_ORDER = "shopify_order"
    SHOPIFY_REFUND = "shopify_refund"
    SHOPIFY_CUSTOMER = "shopify_customer"
    SHOPIFY_SUBSCRIPTION = "shopify_subscription"
    SHOPIFY_OTHER = "shopify_other"
    EVENT = "event"  # a session event or a scheduled renewal
    DELETED = "deleted"  # nothing but an id


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What one store adds to the catalogue; built once per store."""

    shop_hosts: frozenset[str] = frozenset()
    allow_meta_keys: frozenset[str] = frozenset()


class Field(StrEnum):
    """The class of one field, as the tables write it."""

    __hash__ = str.__hash__  # looked up for every field of every payload

    KEEP = "keep"  # about the order: amounts, ids, dates, words of the platform, country and state
    TEXT = "text"  # titles and codes: stay unless they hold an identifier
    ITEM_TEXT = "item_text"  # words of an item: replaced by its SKU when they hold an identifier
    PAYMENT_TITLE = "payment_title"  # may end in a card's last digits
    IMAGE = "image"
    NAME = "name"
    ADDRESS = "address"
    PLACE = "place"
    EMAIL = "email"
    PHONE = "phone"
    PERSON_ID = "person_id"
    DEVICE_ID = "device_id"
    CLIENT_ID = "client_id"
    IP = "ip"
    USER_AGENT = "user_agent"
    DEVICE = "device"
    PROFILE = "profile"
    CAMPAIGN = "campaign"
    HASHED = "hashed"  # holds the hash of an e-mail address
    USER_DATA = "user_data"  # a person in an event
    URL = "url"
    BEARER = "bearer"  # opens a shopper's pages
    FREE_TEXT = "free_text"
    METADATA = "metadata"  # a list of {key, value}
    ATTRIBUTES = "attributes"  # a list of {name, value}
    JUDGE = "judge"  # by the catalogue of keys
    LINKS = "links"
    TRACKING = "tracking"  # parcels
    DROP = "drop"


IDENTIFIERS: dict[Field, tuple[Kind, Need]] = {
    Field.NAME: (Kind.NAME, Need.MARKETING),
    Field.ADDRESS: (Kind.ADDRESS, Need.MARKETING),
    Field.PLACE: (Kind.PLACE, Need.MARKETING),
    Field.EMAIL: (Kind.EMAIL, Need.MARKETING),
    Field.PHONE: (Kind.PHONE, Need.MARKETING),
    Field.CAMPAIGN: (Kind.AFFILIATE, Need.MARKETING),
    Field.PERSON_ID: (Kind.PERSON_ID, Need.EITHER),
    Field.DEVICE_ID: (Kind.DEVICE_ID, Need.EITHER),
    Field.CLIENT_ID: (Kind.CLIENT_ID, Need.ANALYTICS),
    Field.IP: (Kind.IP, Need.EITHER),
    Field.USER_AGENT: (Kind.USER_AGENT, Need.EITHER),
    Field.DEVICE: (Kind.DEVICE, Need.EITHER),
    Field.PROFILE: (Kind.PROFILE, Need.EITHER),
}


@dataclass(frozen=True, slots=True)
class Table:
    """The classes of an object's fields; `extra` is the class of fields that it does not name.

    `is_person` says that it holds a name in two fields.
    """

    fields: Mapping[str, "Field | Table"] = field(default_factory=dict)
    extra: Field | None = None
    is_person: bool = False


def shape_of(platform: Platform, group: TopicGroup, topic: str) -> Shape:
    """Return the table that a topic's payload is read by; a deleted customer's id is a customer's all the same."""
    if group is TopicGroup.EVENTS:
        return Shape.EVENT
    if group is TopicGroup.DELETED and not topic.startswith("customer"):
        return Shape.DELETED
    if topic == "orders/edited":
        return Shape.SHOPIFY_OTHER
    kind = TopicGroup.CUSTOMERS if group is TopicGroup.DELETED else group
    fallback = Shape.WOOCOMMERCE_ORDER if platform is Platform.WOOCOMMERCE else Shape.SHOPIFY_OTHER
    return SHAPES.get((platform, kind), fallback)


SHAPES = {
    (Platform.WOOCOMMERCE, TopicGroup.ORDERS): Shape.WOOCOMMERCE_ORDER,
    (Platform.WOOCOMMERCE, TopicGroup.SUBSCRIPTIONS): Shape.WOOCOMMERCE_SUBSCRIPTION,
    (Platform.WOOCOMMERCE, TopicGroup.CUSTOMERS): Shape.WOOCOMMERCE_CUSTOMER,
    (Platform.SHOPIFY, TopicGroup.ORDERS): Shape.SHOPIFY_ORDER,
    (Platform.SHOPIFY, TopicGroup.REFUNDS): Shape.SHOPIFY_REFUND,
    (Platform.SHOPIFY, TopicGroup.CUSTOMERS): Shape.SHOPIFY_CUSTOMER,
    (Platform.SHOPIFY, TopicGroup.SUBSCRIPTIONS): Shape.SHOPIFY_SUBSCRIPTION,
}


def table_of(shape: Shape) -> Table:
    """Return the table of fields of one shape."""
    return tables()[shape]


@lru_cache(maxsize=1)
def tables() -> dict[Shape, Table]:
    """Read every table once."""
    found: dict[Shape, Table] = {}
    for name in ("fields_woocommerce.json", "fields_shopify.json", "fields_event.json"):
        data = json.loads(files("gateway.redact").joinpath(name).read_text("utf-8"))
        definitions = data.pop("definitions", {})
        for shape, written in data.items():
            table = _compile(written, definitions)
            found[Shape(shape)] = table if isinstance(table, Table) else Table()
    return found


def _compile(written: Any, definitions: dict[str, Any]) -> Field | Table:
    """Turn what the file says into a table: `@name` stands for a definition, `@` inside an object for its fields."""
    if isinstance(written, str):
        return _compile(definitions[written[1:]], definitions) if written.startswith("@") else Field(written)
    named = dict(written)
    inherited = definitions[named.pop("@")] if "@" in named else {}
    extra = named.pop("?", None)
    fields = {key: _compile(value, definitions) for key, value in {**inherited, **named}.items()}
    is_person = fields.get("first_name") is Field.NAME and fields.get("last_name") is Field.NAME
    return Table(fields, Field(extra) if extra else None, is_person)
