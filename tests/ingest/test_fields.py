"""Fields of payloads read as ids, texts and instants."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ingest.body import WrittenNumber
from gateway.ingest.fields import email_of, id_of, instant_of, instant_of_epoch, integer_of, pairs_of, text_of

JUNK = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=2)


IDS: list[tuple[object, str]] = [
    (23, "23"),
    (820982911946154508, "820982911946154508"),
    (WrittenNumber("123456789012345678901234567890"), "123456789012345678901234567890"),
    ("24", "24"),
    (" 25 ", "25"),
    ("wc_1-a", "wc_1-a"),
    ("gid://shopify/Order/26", "26"),
    ("gid://shopify/Order/27?key=1", "27"),
]
NO_IDS: list[object] = [0, "0", "", None, True, False, -1, "-1", 1.5, [], {}, "a b", "x" * 65, "1\0", "é"]
TIMES = [
    ("2026-11-22T00:06:02", datetime(2026, 11, 22, 0, 6, 2, tzinfo=UTC)),
    ("2026-11-22T00:06:02Z", datetime(2026, 11, 22, 0, 6, 2, tzinfo=UTC)),
    ("2026-11-22t00:06:02z", datetime(2026, 11, 22, 0, 6, 2, tzinfo=UTC)),
    ("2026-11-20T10:12:50+01:00", datetime(2026, 11, 20, 9, 12, 50, tzinfo=UTC)),
    ("2024-08-03T18:28:37.234647458Z", datetime(2024, 8, 3, 18, 28, 37, 234647, tzinfo=UTC)),
]
NO_TIMES: list[object] = ["", None, 5, "soon", "0001-01-01T00:00:00+14:00", "2026-02-30", "x" * 100, []]


@pytest.mark.parametrize(("value", "expected"), IDS, ids=range(len(IDS)))
def test_id_is_a_text(value: object, expected: str) -> None:
    assert id_of(value) == expected


@pytest.mark.parametrize("value", NO_IDS, ids=repr)
def test_what_is_no_id_is_nothing(value: object) -> None:
    assert id_of(value) is None


@pytest.mark.parametrize(("value", "expected"), TIMES)
def test_instant_is_in_utc(value: str, expected: datetime) -> None:
    assert instant_of(value) == expected


@pytest.mark.parametrize("value", NO_TIMES, ids=repr)
def test_what_is_no_instant_is_nothing(value: object) -> None:
    assert instant_of(value) is None


@pytest.mark.parametrize("value", [1763640764, 1763640764000, 1763640764.0], ids=repr)
def test_epoch_is_in_seconds_or_milliseconds(value: float) -> None:
    assert instant_of_epoch(value) == datetime(2025, 11, 20, 12, 12, 44, tzinfo=UTC)


@pytest.mark.parametrize("value", [True, "1763640764", float("inf"), float("nan"), 10**30, -(10**30), None], ids=repr)
def test_what_is_no_epoch_is_nothing(value: object) -> None:
    assert instant_of_epoch(value) is None


def test_pairs_are_read_from_an_object_of_entries_or_of_names() -> None:
    pairs = [("a", 1), ("b", None)]
    assert pairs_of([{"key": "a", "value": 1}, 5, {"key": 5}, {"key": "b"}], "key") == pairs
    assert pairs_of({"0": {"key": "a", "value": 1}, "2": {"key": "b"}}, "key") == pairs
    assert pairs_of({"a": 1, "b": None}, "key") == pairs
    assert pairs_of("a", "key") == []


def test_email_has_one_spelling() -> None:
    said = [
        "Zo\u00eb@xn--bcher-kva.example",
        "zo\u0065\u0308@b\u00fccher.example",
        "zo\u00eb@B\u00dcCHER\u200b.example",
    ]
    assert {email_of(one) for one in said} == {"zo\u00eb@xn--bcher-kva.example"}
    assert email_of("a@" + "\u00fc" * 80) == "a@" + "\u00fc" * 80


def test_email_is_the_first_that_there_is_in_lower_case() -> None:
    assert email_of(None, "", " Anna@Example.COM ", "b@example.com") == "anna@example.com"
    assert email_of("nobody", 5) is None


def test_text_has_a_bound_and_no_nul() -> None:
    assert text_of("a\0b" + "c" * 300, most=5) == "abccc"
    assert text_of(WrittenNumber("19.90")) == "19.90"


def test_whole_number_is_one_that_every_database_keeps() -> None:
    given = ("3", 3, "-3", 2**31 - 1, 2**31, "99999999999", "3.5", None)
    assert [integer_of(one) for one in given] == [3, 3, -3, 2**31 - 1, None, None, None, None]


@given(JUNK)
def test_no_value_raises(value: object) -> None:
    for read in (id_of, instant_of, instant_of_epoch, email_of, text_of, integer_of):
        read(value)
