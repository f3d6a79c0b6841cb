"""Bodies that leave unread say what they would say had they been read, or are read after all."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.redact.cut import OWN_ENTRY, without_own_entry
from gateway.redact.splice import with_consent

CONSENT = {"version": 1, "applied": {"marketing": True}}
SAMPLES = Path(__file__).parent.parent / "samples" / "platforms"
WORDS = st.sampled_from([OWN_ENTRY, "consent", "key", "name", "value", "a{", "{}", '{"', ":", "\\", "é", "\u2028", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)
ENTRIES = st.fixed_dictionaries({"key": WORDS, "value": VALUES}, optional={"id": st.integers(1, 9), "x": VALUES})
ORDERS = st.dictionaries(WORDS, VALUES, max_size=3).flatmap(
    lambda rest: st.fixed_dictionaries(
        {}, optional={"meta_data": st.lists(ENTRIES, max_size=4), "note_attributes": VALUES}
    ).map(lambda lists: rest | lists)
)


def spliced(order: object, **style: Any) -> bytes | None:
    return with_consent(json.dumps(order, **style).encode(), orjson.dumps(CONSENT))


def rebuilt(order: dict[str, object]) -> dict[str, object]:
    return {**without_own_entry(order), "consent": CONSENT}


def without_own_anywhere(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_own_anywhere(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_own_anywhere(inner) for inner in value if not is_own(inner)]
    return value


def is_own(value: object) -> bool:
    return isinstance(value, dict) and OWN_ENTRY in (value.get("key"), value.get("name"))


@given(ORDERS, st.booleans(), st.sampled_from([None, 1]))
def test_what_is_spliced_reads_like_what_is_rebuilt(order: dict[str, Any], is_ascii: bool, indent: int | None) -> None:
    body = spliced(order, ensure_ascii=is_ascii, indent=indent)
    assert body is None or orjson.loads(body) == rebuilt(without_own_anywhere(order))


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*/*.body")), ids=lambda path: path.name)
def test_real_bodies_are_spliced(path: Path) -> None:
    order = path.read_bytes()
    body = with_consent(order, orjson.dumps(CONSENT))
    if order.startswith(b"{"):
        assert body is not None
        assert orjson.loads(body) == rebuilt(orjson.loads(order))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_own_entry_is_cut_wherever_it_stands(place: int) -> None:
    entries: list[dict[str, object]] = [{"id": 1, "key": "a", "value": "é"}, {"id": 2, "key": "b", "value": [1.50]}]
    entries.insert(place, {"id": 3, "key": OWN_ENTRY, "value": '{"v": 1}'})
    body = spliced({"total": "1.00", "meta_data": entries})
    assert body is not None
    assert OWN_ENTRY.encode() not in body
    assert [entry["id"] for entry in orjson.loads(body)["meta_data"]] == [1, 2]


@pytest.mark.parametrize(
    "body",
    [
        b'{"consent": {"a": 1}}',
        b'{"\\u0063onsent": 1}',
        b'{"meta_data": [{"key": "\\u005fconsent_gateway", "value": "1"}]}',
        b'{"meta_data": [{"key": "_consent_gateway", "value": 1}, {"key": "_consent_gateway", "value": 2}]}',
        b'{"meta_data": {"_consent_gateway": "1"}}',
        b'{"line_items": [{"id": 1, "name": "_consent_gateway", "sku": "A", "value": 1}]}',
        b'{"a": {"key": "_consent_gateway", "value": "1"}}',
        b'{"a": ["{", "_consent_gateway"]}',
        b'{"v": "a{", ":1,": "_consent_gateway"}',
        b"[1]",
        b"",
    ],
)
def test_what_leaves_a_doubt_is_read(body: bytes) -> None:
    assert with_consent(body, b"{}") is None


@pytest.mark.parametrize(
    ("body", "expected"), [(b" {} \n", b'{"consent":1}'), (b'{"a":1.0 }', b'{"a":1.0,"consent":1}')]
)
def test_everything_else_stays_to_the_byte(body: bytes, expected: bytes) -> None:
    assert with_consent(body, b"1") == expected
