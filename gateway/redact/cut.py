"""Cuts for bodies that leave as the store wrote them, and for words of items that a proof stumbled upon."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.redact.identifiers import is_page_opener
from gateway.redact.ledger import Ledger, known_key
from gateway.redact.shapes import Field, Rules, Shape, Table, table_of
from gateway.redact.texts import Role, Texts
from gateway.redact.verdict import Denied, Gate

OWN_ENTRY = "_consent_gateway"
ENTRY_LISTS = (("meta_data", "key"), ("note_attributes", "name"))


def without_own_entry(payload: Mapping[str, object]) -> dict[str, object]:
    """Return the payload without the gateway's own metadata entry and without a top-level `consent`."""
    rest = {key: value for key, value in payload.items() if key != "consent"}
    for list_name, name_field in ENTRY_LISTS:
        entries = rest.get(list_name)
        if isinstance(entries, list):
            rest[list_name] = [entry for entry in entries if not _is_own(entry, name_field)]
        elif isinstance(entries, dict):
            rest[list_name] = {
                key: entry for key, entry in entries.items() if key != OWN_ENTRY and not _is_own(entry, name_field)
            }
    return rest


def _is_own(entry: object, name_field: str) -> bool:
    return isinstance(entry, dict) and entry.get(name_field) == OWN_ENTRY


def without_secrets(payload: Mapping[str, object], shape: Shape) -> tuple[dict[str, object], tuple[str, ...]]:
    """Return the payload without what opens a shopper's pages, and the paths that went."""
    removed: set[str] = set()
    rest = _without(payload, table_of(shape), "", removed)
    return rest, tuple(sorted(removed))


def _without(source: Mapping[str, Any], table: Table, path: str, removed: set[str]) -> dict[str, object]:
    out: dict[str, object] = {}
    for key, item in source.items():
        rule = table.fields.get(key, table.extra)
        if rule is Field.BEARER or (rule is Field.JUDGE and is_page_opener(key)):
            if item:
                removed.add(path + known_key(key).shown)
        elif isinstance(rule, Table):
            out[key] = _without_below(item, rule, path + key, removed)
        elif rule in (Field.METADATA, Field.ATTRIBUTES) and isinstance(item, list):
            out[key] = [entry for entry in item if not _opens_page(entry, path + key, removed)]
        elif rule in (Field.METADATA, Field.ATTRIBUTES) and isinstance(item, dict):
            named = {name: entry if isinstance(entry, dict) else {"name": name} for name, entry in item.items()}
            out[key] = {name: item[name] for name in item if not _opens_page(named[name], path + key, removed)}
        else:
            out[key] = item
    return out


def _without_below(item: Any, table: Table, path: str, removed: set[str]) -> object:
    if isinstance(item, dict):
        return _without(item, table, path + ".", removed)
    if isinstance(item, list):
        return [_without(entry, table, path + "[].", removed) if isinstance(entry, dict) else entry for entry in item]
    return item


def _opens_page(entry: object, path: str, removed: set[str]) -> bool:
    name = (entry.get("key") or entry.get("name")) if isinstance(entry, dict) else None
    if not isinstance(name, str) or not is_page_opener(name):
        return False
    removed.add(f"{path}[{known_key(name).shown}]")
    return True


def replace_item_texts(
    payload: Mapping[str, object], denied: Sequence[Denied]
) -> tuple[dict[str, object], tuple[str, ...]]:
    """Return the payload with every item text that holds a denied value replaced by its SKU, and their paths."""
    ledger = Ledger(Gate(frozenset(), is_stale=False), Rules())
    ledger.denied.update({(value.kind, value.value): value for value in denied})
    texts = Texts()
    copied = _copy(payload, "", texts)
    texts.settle(ledger, texts.holding_identifiers(ledger))
    return copied, tuple(sorted(ledger.removed))


def _copy(source: Mapping[str, Any], path: str, texts: Texts, *, in_item: bool = False) -> dict[str, object]:
    out: dict[str, object] = {}
    for key, item in source.items():
        here = path + key
        if isinstance(item, dict):
            out[key] = _copy(item, here + ".", texts, in_item=in_item or key in ITEM_BRANCHES)
        elif isinstance(item, list):
            out[key] = _copy_list(item, here + "[]", texts, in_item=in_item or key in ITEM_BRANCHES)
        else:
            out[key] = item
            if in_item and isinstance(item, str) and key in ITEM_TEXTS:
                texts.add(out, key, here, Role.ITEM, item)
    return out


def _copy_list(items: list[Any], path: str, texts: Texts, *, in_item: bool) -> list[object]:
    copied: list[object] = []
    for item in items:
        if isinstance(item, dict):
            copied.append(_copy(item, path + ".", texts, in_item=in_item))
        else:
            copied.append(_copy_list(item, path + "[]", texts, in_item=in_item) if isinstance(item, list) else item)
    return copied


ITEM_BRANCHES = frozenset({"line_items", "line_item", "items", "contents", "products", "Items", "removed_line_items"})
ITEM_TEXTS = frozenset(
    {
        "name",
        "title",
        "sku",
        "variant_title",
        "vendor",
        "parent_name",
        "item_name",
        "item_id",
        "item_brand",
        "item_variant",
    }
    | {"item_category", "brand", "category", "content_name", "ProductName", "SKU", "Brand", "product_name"}
)
