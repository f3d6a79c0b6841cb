"""The egress proof: what it finds, and what it must not stumble upon."""

import base64
import hashlib
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from gateway.redact.proof import prove
from gateway.redact.verdict import Denied, Kind, Search, search_of

EMAIL = "Anna.Čapková+shop@Example.com"
SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "lower case": str.lower,
    "upper case": str.upper,
    "inside a text": lambda value: f"write to {value}, please",
    "url encoded": lambda value: quote(value, safe=""),
    "url encoded twice": lambda value: quote(quote(value, safe=""), safe=""),
    "json in a string": lambda value: json.dumps({"a": value}),
    "json in a string in a string": lambda value: json.dumps({"a": json.dumps({"b": value})}),
    "html": lambda value: value.replace("+", "&#43;").replace("@", "&#64;"),
    "marks that nobody sees": lambda value: "\u202a" + "\ufe0f\u034f".join(value) + "\u202c",
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64, one further": lambda value: base64.b64encode(f"x{value}".encode()).decode(),
    "base64, two further": lambda value: base64.b64encode(f"xy{value}".encode()).decode(),
    "base64 for urls": lambda value: base64.urlsafe_b64encode(f"??>{value}".encode()).decode().rstrip("="),
    "base64 of json": lambda value: base64.b64encode(json.dumps({"email": value}).encode()).decode(),
    "base64, url encoded": lambda value: quote(base64.b64encode(value.encode()).decode()),
}
HASHES: dict[str, Callable[[bytes], bytes]] = {
    "md5": lambda raw: hashlib.md5(raw).digest(),
    "sha1": lambda raw: hashlib.sha1(raw).digest(),
    "sha256": lambda raw: hashlib.sha256(raw).digest(),
}


def denied(value: str, kind: Kind = Kind.EMAIL, path: str = "billing.email") -> Denied:
    return Denied(path=path, kind=kind, value=value, search=search_of(kind, value))


def leaks(payload: object, value: Denied, *, ascii_only: bool = False) -> bool:
    return prove(json.dumps(payload, ensure_ascii=ascii_only).encode(), [value]) != ()


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("ascii_only", [False, True])
def test_value_is_found_in_every_spelling(spelling: str, *, ascii_only: bool) -> None:
    payload = {"items": [{"note": SPELLINGS[spelling](EMAIL)}]}
    assert leaks(payload, denied(EMAIL), ascii_only=ascii_only)


@pytest.mark.parametrize("name", HASHES)
@pytest.mark.parametrize("form", ["Anna@Example.com", "anna@example.com", " Anna@Example.com "])
def test_hash_is_found_in_hex_and_base64(name: str, form: str) -> None:
    digest = HASHES[name](form.strip().encode())
    for written in (digest.hex(), digest.hex().upper(), base64.b64encode(digest).decode(), f"{name}:{digest.hex()}"):
        assert leaks({"a": written}, denied("Anna@Example.com "))
    assert leaks({"a": f"0x{digest.hex()}"}, denied("\u202aAnna@Example.com\u202c"))


def test_hash_of_a_short_value_is_found() -> None:
    digest = hashlib.sha256(b"anna").hexdigest()
    assert leaks({"fn": digest}, denied("Anna", Kind.NAME))


def test_hash_in_the_payload_is_found_in_another_spelling() -> None:
    digest = hashlib.sha256(b"anna@example.com")
    assert leaks({"a": base64.b64encode(digest.digest()).decode()}, denied(digest.hexdigest(), Kind.HASH))


@pytest.mark.parametrize(
    "written",
    [
        *("+49 171 2345678", "+491712345678", "0049 171/2345678", "0171-234 56 78", "(0171) 2345678", "491712345678"),
        *("0171\u20132345678", "0171\u2011234\u20115678", "0171\t2345678"),
    ],
)
def test_phone_is_found_in_every_format(written: str) -> None:
    assert leaks({"text": f"call {written}"}, denied("+49 (171) 234-5678", Kind.PHONE))


def test_phone_is_found_as_a_number_and_hashed() -> None:
    assert leaks({"text": 491712345678}, denied("+49 (171) 234-5678", Kind.PHONE))
    assert leaks({"ph": hashlib.sha256(b"491712345678").hexdigest()}, denied("+49 (171) 234-5678", Kind.PHONE))


def test_phone_is_not_found_in_the_middle_of_an_id() -> None:
    assert not leaks({"id": 820982911946154508}, denied("29119461", Kind.PHONE))


def test_phone_in_another_spelling_is_found_in_an_id() -> None:
    written = base64.urlsafe_b64encode(b"+491712345678").decode().rstrip("=")
    assert leaks({"line_items": [{"product_id": written}]}, denied("+49 (171) 234-5678", Kind.PHONE))


def test_address_is_a_word_of_its_own() -> None:
    assert leaks({"a": "from 203.0.113.7:443"}, denied("203.0.113.7", Kind.IP))
    assert not leaks({"a": "1203.0.113.7"}, denied("203.0.113.7", Kind.IP))
    assert not leaks({"a": "203.0.113.77"}, denied("203.0.113.7", Kind.IP))
    assert not leaks({"a": "Chrome/203.0.113.7.1"}, denied("203.0.113.7", Kind.IP))


def test_value_that_cannot_be_told_from_chance_is_not_searched() -> None:
    value = Denied(path="customer_ip_address", kind=Kind.IP, value="127.0.0.1", search=Search.NEVER)
    assert not leaks({"url": "http://127.0.0.1/"}, value)


def test_identifier_that_is_a_key_is_found() -> None:
    assert leaks({"a": {"anna@example.com": 1}}, denied("anna@example.com"))
    assert leaks({"a": {"Anna Nováková": 1}}, denied("Anna Nováková", Kind.NAME))
    assert leaks({"a": {"Anna%20Nov%C3%A1kov%C3%A1": 1}}, denied("Anna Nováková", Kind.NAME))


@pytest.mark.parametrize(
    "payload",
    [{"note": "Anna"}, {"a": ["x", "anna"]}, {"user_data": {"fn": " ANNA "}}, {"x": {"key": "k", "value": "anna"}}],
)
def test_short_name_is_found_as_a_whole_value(payload: object) -> None:
    assert leaks(payload, denied("Anna", Kind.NAME))


@pytest.mark.parametrize(
    "payload",
    [
        {"note": "Annabelle"},
        {"line_items": [{"name": "Anna"}]},
        {"items": [{"item_name": "Anna", "item_brand": "anna"}]},
        {"currency": "ANNA"},
        {"coupon_lines": [{"code": "anna"}]},
        {"consent": {"source": "anna"}},
        {"meta_data": [{"key": "_wc_order_attribution_utm_campaign", "value": "anna"}]},
        {"landing_site": "https://shop.example/?utm_campaign=anna"},
        {"billing": {"country": "Anna"}},
    ],
)
def test_short_name_is_no_hit_in_ecommerce_fields(payload: object) -> None:
    assert not leaks(payload, denied("Anna", Kind.NAME))


def test_long_name_is_found_anywhere_but_in_words_of_the_platform() -> None:
    name = denied("Completed", Kind.NAME)
    assert leaks({"line_items": [{"name": "for Completed"}]}, name)
    assert leaks({"anything": "Completed"}, name)
    assert not leaks({"status": "completed", "date_completed": None}, name)


@pytest.mark.parametrize("typed", ["Georgia Ohio", "c/o georgia ohio", "Ohio"])
def test_whole_name_is_found_in_a_state_that_was_typed(typed: str) -> None:
    assert leaks({"billing": {"state": typed}}, denied("Georgia Ohio", Kind.NAME)) == (typed != "Ohio")


def test_customer_id_is_no_hit_in_another_id() -> None:
    customer = denied("23", Kind.PERSON_ID, "customer_id")
    assert not leaks({"id": 23, "number": "23", "quantity": 23, "order_id": "23", "num_items": 23}, customer)
    assert leaks({"customer": {"id": 23}}, customer)
    assert leaks({"customer_id": "23"}, customer)
    assert leaks({"user_data": {"external_id": "23"}}, customer)


def test_long_customer_id_is_found_outside_the_orders_own_ids() -> None:
    customer = denied("115310627314723954", Kind.PERSON_ID, "customer.id")
    assert leaks({"anything": 115310627314723954}, customer)
    assert not leaks({"id": 115310627314723954}, customer)


def test_city_is_no_hit_in_campaigns_and_countries() -> None:
    city = denied("Luxembourg", Kind.PLACE)
    assert not leaks({"billing_address": {"country": "Luxembourg"}}, city)
    assert not leaks({"landing_site": "/a?utm_campaign=luxembourg-sale"}, city)
    assert leaks({"note": "Luxembourg"}, city)


def test_output_that_is_no_json_is_searched_all_the_same() -> None:
    assert prove(b"em=anna%40example.com&fn=anna", [denied("anna@example.com")]) == ("billing.email",)


def test_hit_names_the_path_and_never_the_value() -> None:
    value = denied("anna@example.com")
    assert prove(b'{"a": "anna@example.com"}', [value, denied("other@example.com", path="email")]) == ("billing.email",)
    assert "anna" not in repr(value)


@pytest.mark.parametrize("chars", [22, 27, 43])
def test_value_that_is_as_long_as_a_digest_but_is_none_is_searched(chars: int) -> None:
    street = denied("Übermäßig-lange-Königsteiner-Straßenname-Nr.7"[:chars], Kind.ADDRESS)
    digest = hashlib.sha256(b"other").hexdigest()
    assert not leaks({"a": [digest, digest[:32], digest[:40]]}, street)
    assert leaks({"a": [digest, street.value]}, street)


def test_two_codes_that_are_no_base64_are_not_the_same_digest() -> None:
    code, other = "gclid=LabGclid-AbC_123", "ftclid=Another-XyZ_987"
    assert len(code) == len(other) == len(base64.b64encode(bytes(16)).rstrip(b"="))
    assert not leaks({"a": other}, denied(code, Kind.CLICK_ID))
    assert leaks({"a": f"{other} {code}"}, denied(code, Kind.CLICK_ID))


@pytest.mark.parametrize("value", ["Žluťoučký Kůň Dvořákova 12", "Čapková Nováková Dvoř1", "ř" * 43])
def test_value_as_long_as_a_digest_but_in_another_alphabet_is_searched(value: str) -> None:
    assert not leaks({"a": hashlib.sha256(b"x").hexdigest()}, denied(value, Kind.ADDRESS))
    assert leaks({"a": hashlib.sha256(value.encode()).hexdigest()}, denied(value, Kind.ADDRESS))
