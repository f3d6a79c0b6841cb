"""Redaction never leaks an identifier, changes no ecommerce value, and sends less the less is granted."""

import base64
import copy
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model.decision import Strip
from gateway.redact.apply import Draft, Rules, Shape, redact
from gateway.redact.proof import is_free_of, prove

SAMPLES = Path(__file__).parent.parent / "samples" / "platforms"
BASES: dict[Shape, dict[str, Any]] = {
    Shape.WOOCOMMERCE_ORDER: orjson.loads(next((SAMPLES / "woocommerce").glob("035-*.body")).read_bytes()),
    Shape.SHOPIFY_ORDER: orjson.loads(next((SAMPLES / "shopify").glob("06-*.body")).read_bytes()),
}
RULES = Rules(shop_hosts=frozenset({"127.0.0.1"}), allow_meta_keys=frozenset({"allowed"}))
BOOLS = (False, True)
STRIPS = [Strip(marketing=m, analytics=a, either=e, stale=s) for m, a, e, s in itertools.product(BOOLS, repeat=4)]
REBUILDING = [strip for strip in STRIPS if strip.is_any]
DENIED = Strip(marketing=True, analytics=True, either=True)

IDENTIFIERS = {
    "email": "quarantine.canary@example.org",
    "phone": "+49 176 98765432",
    "fbc": "fb.1.1795300000123.QuarantineClick",
    "ga": "GA1.1.987654321.1795300123",
    "gclid": "Cj0KCQjwQuarantineCanary123",
    "ip": "203.0.113.199",
    "uuid": "7f0e8400-e29b-41d4-a716-44665544ffee",
}
ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper": str.upper,
    "in a text": lambda value: f"for {value} only",
    "url": lambda value: quote(value, safe=""),
    "twice url": lambda value: quote(quote(value, safe=""), safe=""),
    "json": lambda value: json.dumps({"x": value}),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "sha256": lambda value: hashlib.sha256(value.lower().encode()).hexdigest(),
    "md5": lambda value: hashlib.md5(value.encode()).hexdigest(),
}
STRUCTURAL = (
    "total",
    "price",
    "quantity",
    "total_tax",
    "subtotal",
    "total_price",
    "product_id",
    "currency",
    "number",
    "id",
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=12,
)
field_names = sorted({key for base in BASES.values() for key in base})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every leaf and every empty container."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from places(item, (*path, index))
    else:
        yield path


ALL_PLACES = {shape: list(places(base)) for shape, base in BASES.items()}


def put(payload: Any, path: tuple[Any, ...], value: object) -> None:
    for step in path[:-1]:
        payload = payload[step]
    payload[path[-1]] = value


@st.composite
def planted(draw: st.DrawFn) -> tuple[Shape, dict[str, Any], str, set[str]]:
    """An order that names an identifier once, and holds it in another place and spelling."""
    shape = draw(st.sampled_from(list(BASES)))
    payload = copy.deepcopy(BASES[shape])
    name = draw(st.sampled_from(list(IDENTIFIERS)))
    value = IDENTIFIERS[name]
    told = {"uuid": "external_id", "fbc": "_fbc", "ga": "_ga"}.get(name, name)
    list_name, field = ("meta_data", "key") if shape is Shape.WOOCOMMERCE_ORDER else ("note_attributes", "name")
    payload[list_name] = [*payload[list_name], {field: told, "value": value}]
    spelling = ENCODINGS[draw(st.sampled_from(list(ENCODINGS)))](value)
    touched = set()
    if draw(st.booleans()):
        key = draw(st.sampled_from(["allowed", "unknown", "gift", "utm_term", "is_vat_exempt", value]))
        payload[list_name].append(
            {field: key, "value": draw(st.sampled_from([spelling, {"x": spelling}, [spelling], {value: 1}]))}
        )
    else:
        path = draw(st.sampled_from(ALL_PLACES[shape]))
        touched.add(path[-1] if isinstance(path[-1], str) else path[-2])
        put(payload, path, spelling)
    return shape, payload, value, touched


@settings(max_examples=150)
@given(planted())
def test_no_denied_value_leaves(case: tuple[Shape, dict[str, Any], str, set[str]]) -> None:
    shape, payload, value, touched = case
    redacted = redact(payload, shape=shape, strip=DENIED, rules=RULES)
    outbound = orjson.dumps(redacted.payload)
    leaks = prove(outbound, redacted.denied)
    text = outbound.decode().casefold()
    # What stands in a word of the platform and is no more than a digest is left to the proof, which stops it.
    assert leaks == () or touched
    assert leaks != () or value.casefold() not in text
    shown = " ".join((*redacted.removed, *redacted.unknown_keys)).casefold()
    assert value.casefold() not in shown


@settings(max_examples=80)
@given(planted(), st.sampled_from(REBUILDING))
def test_no_ecommerce_value_changes(case: tuple[Shape, dict[str, Any], str, set[str]], strip: Strip) -> None:
    shape, payload, _, touched = case
    kept: Any = redact(payload, shape=shape, strip=strip, rules=RULES).payload
    untouched = [key for key in STRUCTURAL if key not in touched]
    assert {key: kept[key] for key in untouched if key in payload} == {
        key: payload[key] for key in untouched if key in payload
    }
    for before, after in zip(payload["line_items"] or (), kept["line_items"] or (), strict=True):
        assert {k: after.get(k) for k in untouched} == {k: before.get(k) for k in untouched}


@settings(max_examples=150)
@given(planted(), st.sampled_from(REBUILDING))
def test_draft_that_is_proven_is_what_a_search_of_its_texts_leaves(
    case: tuple[Shape, dict[str, Any], str, set[str]], strip: Strip
) -> None:
    shape, payload, _, _ = case
    draft = Draft(payload, shape=shape, strip=strip, rules=RULES)
    is_proven = draft.may_be_final and is_free_of(orjson.dumps(draft.payload), draft.denied)
    assert not is_proven or draft.as_it_is() == redact(payload, shape=shape, strip=strip, rules=RULES)


@settings(max_examples=80)
@given(planted(), st.sampled_from(REBUILDING), st.sampled_from(REBUILDING))
def test_less_consent_never_sends_more(
    case: tuple[Shape, dict[str, Any], str, set[str]], one: Strip, other: Strip
) -> None:
    shape, payload, _, _ = case
    lax = redact(payload, shape=shape, strip=one, rules=RULES).payload
    strict = redact(payload, shape=shape, strip=one.union(other), rules=RULES).payload
    # An item's words may become its SKU, a list may lose entries, a URL its parameters: never anything new.
    assert leaves(strict) <= leaves(lax) | skus(payload)


def leaves(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {leaf for item in value.values() for leaf in leaves(item)}
    if isinstance(value, list):
        return {leaf for item in value for leaf in leaves(item)}
    text = str(value)
    is_url = text.startswith(("/", "http"))
    return set(text.replace("?", "&").split("&")) | {"*", ""} if is_url else {text}


def skus(payload: dict[str, Any]) -> set[str]:
    items = [item for item in payload["line_items"] or () if isinstance(item, dict)]
    return {"", *(str(item.get(key)) for item in items for key in ("sku", "product_id", "variant_id", "id"))}


@settings(max_examples=150)
@given(
    payload=st.dictionaries(st.sampled_from(field_names) | st.text(max_size=12), anything, max_size=8),
    shape=st.sampled_from(list(Shape)),
    strip=st.sampled_from(REBUILDING),
)
def test_any_object_is_redacted_and_left_as_it_was(payload: dict[str, Any], shape: Shape, strip: Strip) -> None:
    before = copy.deepcopy(payload)
    redacted = redact(payload, shape=shape, strip=strip, rules=RULES)
    assert payload == before
    outbound = json.dumps(redacted.payload).encode()
    assert isinstance(prove(outbound, redacted.denied), tuple)
    assert redact(redacted.payload, shape=shape, strip=strip, rules=RULES).payload == redacted.payload


@settings(max_examples=60)
@given(st.data())
def test_any_value_in_any_field_of_an_order_ends(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from(list(BASES)))
    payload = copy.deepcopy(BASES[shape])
    put(payload, data.draw(st.sampled_from(ALL_PLACES[shape])), data.draw(anything))
    redacted = redact(payload, shape=shape, strip=DENIED, rules=RULES)
    assert prove(json.dumps(redacted.payload).encode(), redacted.denied) == ()
