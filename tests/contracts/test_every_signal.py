"""What every kind of evidence holds: it never grants more than it says, and nothing it gets makes it fail."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ingest.signals import EVIDENCE, ORDER_ENTRIES, SHOPPER_ENTRIES, read_entries
from gateway.model.consent import GATING, Choice, Evidence, SignalState

# One string per kind that grants all it can, and one that refuses.
GRANTING = {
    "tc": "CQhG6EAQhG6EAEsABBENAHEgAP_gAEPgAAYgADMQAAAAAAAA.IADMQAAA.YAAAAAAAAAAA",
    "gpp": "DBABLA~CVQqAAAAAACA.QA",
    "gcs": "G111",
    "gcd": "13r3v3n3v5l1",
    "usp": "1YNN",
    "cookie": "wp_consent_marketing=allow; wp_consent_statistics=allow",
}
REFUSING = {
    "tc": "CQhG6EAQhG6EAEsABBENAHEgAAAAAAAAAAYgAAAAAAAA.IADMQAAA.YAAAAAAAAAAA",
    "gpp": "DBABLA~CVQVAAAAAACA.YA",
    "gcs": "G100",
    "gcd": "13q3q3q3q5l1",
    "usp": "1YYN",
    "cookie": "wp_consent_marketing=deny; wp_consent_statistics=deny",
}
OPT_OUTS = {"gpp", "usp"}  # these refuse, they never grant
ENTRY_VALUES = (
    {"v": 1, "categories": {"marketing": True, "analytics": True}},
    {"marketing": True, "statistics": True},
)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["v", "categories", "marketing", "consent", "gpc", "state", "x"]), inner)
    ),
    max_leaves=8,
)

for_every_string = pytest.mark.parametrize("kind", sorted(EVIDENCE))
for_every_entry = pytest.mark.parametrize("entry", sorted(ORDER_ENTRIES))


def granted(evidence: Evidence) -> set[str]:
    return {category for category in GATING if evidence.choices.of(category) is Choice.GRANTED}


def test_every_kind_is_shown_here() -> None:
    assert set(EVIDENCE) == set(GRANTING) == set(REFUSING)


@for_every_string
def test_consent_is_read_as_it_was_given(kind: str) -> None:
    evidence = EVIDENCE[kind](GRANTING[kind])
    assert granted(evidence) == (set() if kind in OPT_OUTS else set(GATING))
    assert (evidence.entry, evidence.unreadable, evidence.note) == (kind, False, "")


@for_every_string
def test_refusal_is_read(kind: str) -> None:
    evidence = EVIDENCE[kind](REFUSING[kind])
    assert evidence.choices.marketing is Choice.DENIED
    assert not granted(evidence)


@for_every_string
@pytest.mark.parametrize("text", ["", "x", "é", "\ud800", "G1", "{}", "." * 9, "~" * 9, "A" * 20_000, "\0"], ids=ascii)
def test_garbage_grants_nothing_and_is_noted(kind: str, text: str) -> None:
    evidence = EVIDENCE[kind](text)
    assert not granted(evidence)
    assert evidence.state is SignalState.PENDING
    assert evidence.note


@for_every_string
@given(text=st.text(max_size=60) | st.from_regex(r"[A-Za-z0-9_=:.~;,-]{1,60}"))
def test_no_text_makes_it_fail(kind: str, text: str) -> None:
    assert EVIDENCE[kind](text).entry == kind


@for_every_string
@given(data=st.data())
def test_cut_off_string_grants_no_more_than_the_whole(kind: str, data: st.DataObject) -> None:
    whole = GRANTING[kind]
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert granted(EVIDENCE[kind](cut)) <= granted(EVIDENCE[kind](whole))


# --- entries on orders --------------------------------------------------------------------------------------------


@for_every_entry
def test_entry_is_read_from_text_and_object_alike(entry: str) -> None:
    value = ENTRY_VALUES[0 if entry == "_consent_gateway" else 1]
    read = ORDER_ENTRIES[entry]
    assert granted(read(value)) == set(GATING)
    assert read(json.dumps(value)) == read(value)
    assert read(value).entry == entry


@for_every_entry
@pytest.mark.parametrize(
    "value", [None, "", "yes", "[]", "{", 5, True, [], {}, 'a:2:{s:9:"marketing";b:1;}', "x" * 5000], ids=ascii
)
def test_unreadable_entry_counts_as_denied_and_says_why(entry: str, value: object) -> None:
    evidence = ORDER_ENTRIES[entry](value)
    assert evidence.unreadable
    assert all(evidence.choices.of(category) is Choice.DENIED for category in GATING)
    assert evidence.note
    assert str(value)[:9] not in evidence.note or len(str(value)) < 3


@for_every_entry
@given(value=JUNK)
def test_no_value_makes_an_entry_fail(entry: str, value: object) -> None:
    assert ORDER_ENTRIES[entry](value).entry == entry


@given(values=st.lists(st.tuples(st.sampled_from(["_consent_gateway", "_gtmkit_consent", "other"]), JUNK), max_size=4))
def test_any_entries_end_in_evidence_or_none(values: list[tuple[str, object]]) -> None:
    evidence = read_entries(values, ORDER_ENTRIES)
    known = [key for key in ORDER_ENTRIES if key in dict(values)]
    assert (evidence.entry if evidence else None) == (known[0] if known else None)


def test_shoppers_write_the_gateways_own_entry_only() -> None:
    assert set(SHOPPER_ENTRIES) == {"_consent_gateway"}
