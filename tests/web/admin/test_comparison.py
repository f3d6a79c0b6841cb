"""Bodies line by line: what was removed, changed and added; and nothing personal without asking."""

from typing import Any

import pytest

from gateway.model.decision import Strip
from gateway.model.order import Platform
from gateway.redact.apply import Rules, Shape, redact
from gateway.web.admin.comparison import MASK, Delivered, Fate, Line, compare
from tests.captures import captures
from tests.shops import a_woo_order, an_entry

SHAPE = Shape.WOOCOMMERCE_ORDER
EVERYTHING = Strip(marketing=True, analytics=True, either=True, stale=True, secrets=True)


def _compared(payload: dict[str, Any], *removed: str, is_revealed: bool = False, **more: Any) -> list[Line]:
    return compare(payload, SHAPE, Rules(), Delivered(removed=removed, **more), is_revealed=is_revealed)


def _fate(lines: list[Line], key: str) -> Fate:
    return next(line.fate for line in lines if line.key == key)


def test_a_removed_branch_goes_with_all_that_is_in_it() -> None:
    lines = _compared({"id": 1, "billing": {"email": "a@example.com", "tags": ["x"]}}, "billing")
    assert _fate(lines, "id") is Fate.KEPT
    assert {line.fate for line in lines[1:]} == {Fate.REMOVED}


def test_a_removed_field_of_items_goes_from_each_of_them() -> None:
    items = [{"sku": "A", "note": "x"}, {"sku": "B", "note": "y"}]
    lines = _compared({"line_items": items}, "line_items[].note")
    assert [line.fate for line in lines if line.key == "note"] == [Fate.REMOVED] * 2
    assert [line.fate for line in lines if line.key == "sku"] == [Fate.KEPT] * 2


def test_a_removed_entry_of_metadata_goes_by_its_name() -> None:
    entries = [{"id": 1, "key": "_fbp", "value": "fb.1.1.1"}, {"id": 2, "key": "_utm", "value": "x"}]
    lines = _compared({"meta_data": entries}, "meta_data[_fbp]")
    assert [line.fate for line in lines if line.key == "value"] == [Fate.REMOVED, Fate.KEPT]


def test_a_url_that_lost_a_parameter_is_changed() -> None:
    lines = _compared({"landing_site": "/?gclid=x&utm_source=y"}, "landing_site?gclid")
    assert [(line.fate, line.note) for line in lines] == [(Fate.CHANGED, "?gclid")]


def test_the_own_entry_and_a_consent_of_the_store_never_leave() -> None:
    payload = {"consent": "x", "meta_data": [{"id": 1, "key": "_consent_gateway", "value": an_entry()}]}
    lines = _compared(payload)
    assert _fate(lines, "consent") is Fate.REMOVED
    assert _fate(lines, "value") is Fate.REMOVED
    as_it_came = _compared(payload, is_as_it_came=True)
    assert _fate(as_it_came, "value") is Fate.KEPT


def test_what_was_added_stands_at_the_end() -> None:
    lines = _compared({"id": 1}, consent={"applied": {"marketing": True}})
    assert [(line.key, line.fate) for line in lines[1:4]] == [
        ("consent", Fate.ADDED),
        ("applied", Fate.ADDED),
        ("marketing", Fate.ADDED),
    ]


def test_harmless_values_are_never_masked() -> None:
    lines = _compared(a_woo_order(12))
    shown = [(line.key, line.text) for line in lines if not line.is_masked]
    assert ("total", '"22.06"') in shown
    assert ("sku", '"MUG"') in shown


def test_personal_values_are_masked_even_where_they_left() -> None:
    lines = _compared(a_woo_order(12))
    masked = {line.key for line in lines if line.is_masked}
    assert {"email", "first_name", "phone", "order_key"} <= masked
    assert all(line.text == f'"{MASK}"' for line in lines if line.is_masked)


def _order_with(name: str) -> dict[str, Any]:
    order = a_woo_order(12)
    order["meta_data"] = [{"id": 1, "key": "_fbp", "value": "fb.1.1.1"}, {"id": 2, "key": name, "value": {name: "x"}}]
    return order


def test_the_names_of_metadata_are_readable_so_that_one_sees_what_went() -> None:
    lines = _compared(_order_with("_fbc"))
    assert [line.text for line in lines if line.key == "key"] == ['"_fbp"', '"_fbc"']


@pytest.mark.parametrize("name", ["jan.novak@example.com", "gift for Jan", "+49 30 1234567"])
def test_a_name_that_is_somebodys_is_masked_and_struck_out_like_a_value(name: str) -> None:
    order = _order_with(name)
    order["extra"] = {"deep": {name: 1}}
    removed = redact(order, shape=SHAPE, strip=EVERYTHING, rules=Rules()).removed
    lines = _compared(order, *removed)
    assert not [line for line in lines if name in line.key + line.text]
    entry = next(at for at, line in enumerate(lines) if line.key == "id" and line.text == "2")
    assert {line.fate for line in lines[entry : entry + 4]} == {Fate.REMOVED}
    assert any(line.key == name for line in _compared(order, is_revealed=True))


def test_a_name_that_is_somebodys_is_struck_out_of_an_event_too() -> None:
    event = {"event": "view_item", "properties": {"jan.novak@example.com": 1, "value": 3}}
    event["user_data"] = {"email": "jan.novak@example.com"}
    removed = redact(event, shape=Shape.EVENT, strip=Strip(marketing=True), rules=Rules()).removed
    lines = compare(event, Shape.EVENT, Rules(), Delivered(removed=removed), is_revealed=False)
    assert (_fate(lines, MASK), _fate(lines, "value")) == (Fate.REMOVED, Fate.KEPT)


def test_revealed_values_are_as_the_store_wrote_them() -> None:
    lines = _compared(a_woo_order(12), is_revealed=True)
    assert next(line.text for line in lines if line.key == "email") == '"jan.novak@example.com"'


def _payloads() -> list[Any]:
    import json

    found = [one for one in captures(Platform.WOOCOMMERCE) if one.topic.startswith("order.") and not one.is_ping]
    return [pytest.param(json.loads(one.body), id=one.name) for one in found[::6] if one.body.startswith(b"{")]


@pytest.mark.parametrize("payload", _payloads())
def test_no_denied_value_of_a_real_order_is_shown_unasked(payload: dict[str, Any]) -> None:
    redacted = redact(payload, shape=SHAPE, strip=EVERYTHING, rules=Rules())
    text = "\n".join(line.text for line in _compared(payload))
    long_enough = [denied.value for denied in redacted.denied if len(denied.value) >= 8 and not denied.value.isdigit()]
    leaked = [value for value in long_enough if value in text]
    assert not leaked, [denied.path for denied in redacted.denied if denied.value in leaked]


@pytest.mark.parametrize("payload", _payloads())
def test_every_removed_path_strikes_something_out(payload: dict[str, Any]) -> None:
    removed = redact(payload, shape=SHAPE, strip=EVERYTHING, rules=Rules()).removed
    fates = [line.fate for line in _compared(payload, *removed)]
    if removed:
        assert Fate.REMOVED in fates
