"""Every rule of the identifier room and every line of its catalogue."""

import ast
import json
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from gateway.model.decision import Strip
from gateway.redact import identifiers
from gateway.redact.apply import Rules, Shape, redact
from gateway.redact.identifiers import SHAPE_RULES, VALUE_RULES, Use, judge_key
from gateway.redact.verdict import Finding, Gate, Kind, Need

ROOM = Path(identifiers.__file__).parent
CATALOGUE: dict[str, Any] = json.loads(
    files("gateway.redact.identifiers").joinpath("catalogue.json").read_text("utf-8")
)
RULES = (*VALUE_RULES, *SHAPE_RULES)
NAMES = [(name, rule) for rule in CATALOGUE["identifiers"] for name in rule.get("names", ())]
PATTERNS = [(pattern, rule) for rule in CATALOGUE["identifiers"] for pattern in rule.get("patterns", ())]
KEPT = [(name, use) for use, names in CATALOGUE["kept"].items() for name in names]
STRIP_OF = {
    "marketing": Strip(marketing=True),
    "analytics": Strip(analytics=True),
    "either": Strip(either=True),
    "never": Strip(either=True),
}
PLAIN_TEXTS = (
    "",
    'Lab Mug "Größe L" & Co. ☕',
    "LAB-TEE-M",
    "SKU2006-001",
    "12.90",
    "2026-11-22T01:09:07",
    "2026-11-20T10:12:50+01:00",
    "Cash on delivery",
    "flat_rate:2",
    "summer_sale_2026",
    "E-book, 2nd edition (2024)",
    "gid://shopify/Order/820982911946158508",
    "Lens Protection Plan (2 Year)",
    "10.5.0",
    "4006381333931",
    "978-3-16-148410-0",
    "#1005-F1",
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__module__)
@pytest.mark.parametrize("text", PLAIN_TEXTS)
def test_rule_finds_nothing_in_words_of_a_shop(rule: Callable[[str], list[Finding]], text: str) -> None:
    assert rule(text) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__module__)
@pytest.mark.parametrize(
    "text", ["\x00", "\ud800", "%", "@" * 2000, "+" * 2000, "1" * 5000, "1." * 3000, "a:" * 3000, "=" * 999]
)
def test_rule_ends_on_any_text(rule: Callable[[str], list[Finding]], text: str) -> None:
    assert all(finding.value in text for finding in rule(text))


SAMPLES = {
    "anna.novak+x@example.com": Kind.EMAIL,
    "Čapek@příklad.example": Kind.EMAIL,
    "+49 (30) 123-4567": Kind.PHONE,
    "0049 30 1234567": Kind.PHONE,
    "(030) 1234567": Kind.PHONE,
    "0171 2345678": Kind.PHONE,
    "212-555-0100": Kind.PHONE,
    "fb.1.1795300000000.IwAR1abc": Kind.COOKIE,
    "GA1.1.111111111.1795300000": Kind.CLIENT_ID,
    "GS2.1.s1795300000$o1$g0": Kind.CLIENT_ID,
    "111111111.1795300000": Kind.CLIENT_ID,
    "dcid.1.1795300000.123": Kind.DEVICE_ID,
    "1.1.1234567.1795300000": Kind.COOKIE,
    "GCL.1795300000.Cj0KCQabc": Kind.COOKIE,
    "Cj0KCQjwabcdefghijklmnop": Kind.CLICK_ID,
    "IwAR0abcdefghijklmnop": Kind.CLICK_ID,
    "203.0.113.24": Kind.IP,
    "203.0.113.24:443": Kind.IP,
    "2001:db8::1": Kind.IP,
    "Mozilla/5.0 (X11; Linux)": Kind.USER_AGENT,
    "550e8400-e29b-41d4-a716-446655440000": Kind.UUID,
    "977dc22ea7ecdee2c9d19ad5481f2748b85a8a2f26482aa12f4dce0297093af6": Kind.HASH,
    "977DC22EA7ECDEE2C9D19AD5481F2748": Kind.HASH,
    "l33yLqfs3uLJ0ZrVSB8nSLhaii8mSCqhL03OApcJOvY=": Kind.HASH,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc": Kind.OPAQUE,
    "aB3dE5fG7hJ9kL1m": Kind.OPAQUE,
}


@pytest.mark.parametrize("text", SAMPLES)
def test_some_rule_finds_the_identifier_alone_and_in_a_text(text: str) -> None:
    for written in (text, f"x {text} y", f"({text})"):
        assert SAMPLES[text] in {finding.kind for rule in RULES for finding in rule(written)}, written


@pytest.mark.parametrize(("name", "rule"), NAMES, ids=lambda value: value if isinstance(value, str) else "")
def test_every_name_is_judged_as_the_catalogue_says(name: str, rule: dict[str, Any]) -> None:
    verdict = judge_key(name, in_query=rule.get("where") == ["query"])
    assert verdict is not None
    assert verdict.use is Use.IDENTIFIER or name in dict(KEPT)


@pytest.mark.parametrize(("name", "rule"), NAMES, ids=lambda value: value if isinstance(value, str) else "")
def test_every_name_goes_when_its_category_is_denied(name: str, rule: dict[str, Any]) -> None:
    if rule.get("where") == ["query"] or name in dict(KEPT):
        return
    strips = (
        [Strip(marketing=True), Strip(analytics=True)] if rule["consent"] == "both" else [STRIP_OF[rule["consent"]]]
    )
    for strip, key in ((strip, key) for strip in strips for key in (name, name.upper(), f"someapp_{name}")):
        payload = {"meta_data": [{"id": 1, "key": key, "value": "Canary-77"}]}
        redacted = redact(payload, shape=Shape.WOOCOMMERCE_ORDER, strip=strip, rules=Rules())
        assert redacted.payload == {"meta_data": []}, key


@pytest.mark.parametrize(("pattern", "rule"), PATTERNS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_pattern_compiles_and_has_a_known_kind(pattern: str, rule: dict[str, Any]) -> None:
    assert re.compile(pattern).search("") is None
    assert Kind(rule["kind"]) in Kind
    assert Need(rule["consent"]) is not Need.NONE


@pytest.mark.parametrize(("name", "use"), KEPT)
def test_every_kept_key_stays_with_a_plain_value(name: str, use: str) -> None:
    verdict = judge_key(name)
    assert verdict is not None
    assert verdict.use is Use(use)
    value = {"url": "https://shop.example/", "composite": {"utm_source": "google"}}.get(use, "google")
    payload = {"meta_data": [{"key": name, "value": value}]}
    redacted = redact(
        payload, shape=Shape.WOOCOMMERCE_ORDER, strip=Strip(marketing=True, analytics=True), rules=Rules()
    )
    assert redacted.payload == payload


def test_no_name_stands_twice_with_different_categories() -> None:
    seen: dict[str, str] = {}
    for name, rule in NAMES:
        assert seen.setdefault(name, rule["consent"]) == rule["consent"], name


def test_names_are_written_in_lower_case() -> None:
    assert [name for name, _ in (*NAMES, *KEPT) if name != name.lower()] == []


@pytest.mark.parametrize("need", Need)
@pytest.mark.parametrize("kind", Kind)
def test_what_a_stricter_strip_lets_through_a_laxer_one_does(need: Need, kind: Kind) -> None:
    lax, strict = Strip(analytics=True), Strip(analytics=True, marketing=True, either=True, stale=True)
    assert not Gate.of(lax).denies(need, kind) or Gate.of(strict).denies(need, kind)


def test_every_file_of_the_room_is_registered() -> None:
    tree = ast.parse((ROOM / "__init__.py").read_text("utf-8"))
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for name in (node.module.rpartition(".")[2], *(alias.name for alias in node.names))
    }
    assert {path.stem for path in ROOM.glob("*.py")} - {"__init__"} <= imported
