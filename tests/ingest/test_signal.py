"""Signals as browsers and servers post them."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RequestInvalid
from gateway.ingest.signal import read_signal
from gateway.model.consent import Basis, Channel, Choice, Choices, Evidence, Signal, SignalState, Source, Subject

NOW = datetime(2026, 11, 21, 16, tzinfo=UTC)
SESSION = "abcdefghijklmnopqrstuv"
GRANTED, DENIED, UNKNOWN = Choice.GRANTED, Choice.DENIED, Choice.UNKNOWN
ALL = {"marketing": True, "analytics": True}
TC_NONE = "CQhG6EAQhG6EAEsABBENAHEgAAAAAAAAAAYgAAAAAAAA.IADMQAAA.YAAAAAAAAAAA"
TC_ALL = "CQhG6EAQhG6EAEsABBENAHEgAP_gAEPgAAYgADMQAAAAAAAA.IADMQAAA.YAAAAAAAAAAA"


def browser(*, sec_gpc: bool = False, **body: object) -> Signal:
    fields = {"session_id": SESSION, **body}
    return read_signal(fields, channel=Channel.BROWSER, sec_gpc=sec_gpc, received_at=NOW)


def server(**body: object) -> Signal:
    return read_signal(body, channel=Channel.SERVER, sec_gpc=False, received_at=NOW)


def mistakes(channel: Channel = Channel.BROWSER, **body: object) -> dict[str, list[str]]:
    with pytest.raises(RequestInvalid) as refused:
        read_signal(body, channel=channel, sec_gpc=False, received_at=NOW)
    return refused.value.errors


def gating(signal: Signal) -> tuple[Choice, Choice]:
    return signal.evidence.choices.marketing, signal.evidence.choices.analytics


# --- whole signals ------------------------------------------------------------------------------------------------


def test_browsers_answer_is_read_whole() -> None:
    signal = browser(
        v=1,
        categories={"functional": True, "analytics": False, "marketing": True},
        source="server",
        basis="explicit",
        captured_at="2026-11-21T15:54:04Z",
        cmp="onetrust",
        region="US-CA",
        state="answered",
        checkout_token="token",
        seq=3,
        evidence={"gcs": "G110", "unheard_of": 5},
        unheard_of=[],
    )
    assert signal == Signal(
        subject=Subject(session_id=SESSION, checkout_token="token"),
        evidence=Evidence(
            choices=Choices(functional=GRANTED, analytics=DENIED, marketing=GRANTED),
            captured_at=datetime(2026, 11, 21, 15, 54, 4, tzinfo=UTC),
            cmp="onetrust",
            session_id=SESSION,
            entry="browser",
            region="US-CA",
        ),
        channel=Channel.BROWSER,
        seq=3,
        raw={"gcs": "G110"},
    )


def test_server_speaks_for_customers_as_a_server() -> None:
    signal = server(customer_id=7, order_id="23", categories=ALL)
    assert signal.subject == Subject(customer_id="7", order_id="23")
    assert (signal.evidence.source, signal.evidence.state) == (Source.SERVER, SignalState.ANSWERED)


def test_server_may_pass_on_what_a_client_said() -> None:
    assert server(order_id="23", source="client", categories=ALL).evidence.source is Source.CLIENT


def test_browser_is_a_client_whatever_it_claims() -> None:
    assert browser(source="server", categories=ALL).evidence.source is Source.CLIENT


def test_null_is_as_if_it_were_not_there() -> None:
    names = ("v", "state", "seq", "basis", "cmp", "region", "captured_at", "gpc", "evidence", "customer_id", "order_id")
    nulls: dict[str, object] = {"session_id": SESSION, "categories": ALL, **dict.fromkeys(names)}
    signal = read_signal(nulls, channel=Channel.BROWSER, sec_gpc=False, received_at=NOW)
    assert signal == browser(categories=ALL)


# --- state --------------------------------------------------------------------------------------------------------


def test_banner_shown_is_pending() -> None:
    assert browser(state="pending").evidence.state is SignalState.PENDING
    assert browser().evidence.state is SignalState.PENDING


@pytest.mark.parametrize("categories", [{"marketing": False}, {"analytics": True, "marketing": None}], ids=ascii)
def test_categories_make_an_answer(categories: dict[str, object]) -> None:
    assert browser(categories=categories).evidence.state is SignalState.ANSWERED


def test_categories_without_any_answer_are_none() -> None:
    assert browser(categories={"marketing": None, "functional": True}).evidence.state is SignalState.PENDING


def test_preset_grants_of_an_unanswered_banner_are_none() -> None:
    assert gating(browser(state="pending", categories=ALL)) == (UNKNOWN, UNKNOWN)


def test_answer_without_a_category_leaves_it_unknown() -> None:
    signal = browser(state="answered", categories={"marketing": True})
    assert (gating(signal), signal.evidence.state) == ((GRANTED, UNKNOWN), SignalState.ANSWERED)


@pytest.mark.parametrize("channel", [Channel.BROWSER, Channel.SERVER])
def test_answer_needs_something_answered(channel: Channel) -> None:
    errors = mistakes(channel, session_id=SESSION, state="answered")
    assert errors == {"categories": ["Needed when the state is answered."]}


def test_answer_with_no_category_at_all_is_an_answer() -> None:
    assert browser(state="answered", categories={}).evidence.state is SignalState.ANSWERED


def test_server_answers_unless_it_says_otherwise() -> None:
    assert mistakes(Channel.SERVER, session_id=SESSION).keys() == {"categories"}
    assert server(session_id=SESSION, state="pending").evidence.state is SignalState.PENDING


# --- Global Privacy Control ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "signal",
    [
        browser(sec_gpc=True, categories=ALL),
        browser(gpc=True, categories=ALL),
        browser(basis="gpc", categories=ALL),
        browser(evidence={"gpp": "DBABLA~CVQVAAAAAACA.YA"}, categories=ALL),
    ],
    ids=["header", "field", "basis", "gpp"],
)
def test_gpc_denies_whatever_was_answered(signal: Signal) -> None:
    assert gating(signal) == (DENIED, GRANTED)
    assert signal.evidence.choices.sale_of_data is DENIED
    assert (signal.evidence.gpc, signal.evidence.basis) == (True, Basis.GPC)


def test_explicit_answer_is_kept_beside_gpc() -> None:
    before = browser(sec_gpc=True, categories=ALL).evidence.before_gpc
    assert before == Choices(marketing=GRANTED, analytics=GRANTED)
    assert browser(sec_gpc=True, categories=ALL, basis="implied").evidence.before_gpc is None
    assert browser(sec_gpc=True, categories=ALL, state="pending").evidence.before_gpc is None


def test_gpc_before_any_answer_denies_and_leaves_the_banner_open() -> None:
    signal = browser(sec_gpc=True)
    assert (gating(signal), signal.evidence.state) == ((DENIED, UNKNOWN), SignalState.PENDING)


# --- evidence -----------------------------------------------------------------------------------------------------


def test_evidence_that_disagrees_takes_back() -> None:
    signal = browser(categories=ALL, evidence={"tc": TC_NONE, "gcs": "G110"})
    assert gating(signal) == (DENIED, DENIED)
    assert signal.evidence.note == "evidence.tc: disagrees"


def test_evidence_grants_nothing_that_was_not_stated() -> None:
    assert gating(browser(categories={"analytics": True}, evidence={"tc": TC_ALL})) == (UNKNOWN, GRANTED)
    assert gating(browser(categories={"marketing": False, "analytics": True}, evidence={"tc": TC_ALL}))[0] is DENIED


def test_evidence_alone_speaks() -> None:
    signal = browser(evidence={"tc": TC_ALL})
    assert (gating(signal), signal.evidence.state) == ((GRANTED, GRANTED), SignalState.ANSWERED)
    refusing = browser(evidence={"tc": TC_ALL, "usp": "1YYN"})
    assert gating(refusing) == (DENIED, GRANTED)


@pytest.mark.parametrize(("day", "granted"), [(13, False), (14, True)])
def test_evidence_from_the_future_refuses_but_grants_nothing(day: int, granted: bool) -> None:
    at = datetime(2026, 3, day, tzinfo=UTC)  # the string was made on the 15th, and tells no more than its day
    body = {"session_id": SESSION, "evidence": {"tc": TC_ALL}}
    signal = read_signal(body, channel=Channel.BROWSER, sec_gpc=False, received_at=at)
    assert (signal.evidence.choices.marketing is GRANTED) is granted
    refusing = read_signal(body | {"evidence": {"tc": TC_NONE}}, channel=Channel.BROWSER, sec_gpc=False, received_at=at)
    assert gating(refusing) == (DENIED, DENIED)


def test_default_of_google_is_no_answer() -> None:
    signal = browser(evidence={"gcs": "G111"})
    assert (gating(signal), signal.evidence.state) == ((UNKNOWN, UNKNOWN), SignalState.PENDING)


def test_evidence_that_cannot_be_read_is_noted() -> None:
    signal = browser(categories=ALL, evidence={"tc": "garbage!"})
    assert (gating(signal), signal.evidence.note) == ((GRANTED, GRANTED), "evidence.tc: not base64url")
    assert signal.raw == {"tc": "garbage!"}


# --- words and times ----------------------------------------------------------------------------------------------


def test_word_that_is_no_answer_leaves_it_open_and_keeps_the_refusal_beside_it() -> None:
    signal = browser(categories={"marketing": "sure", "analytics": "deny"})
    assert gating(signal) == (UNKNOWN, DENIED)
    assert signal.evidence.note == "categories.marketing: not an answer"


def test_basis_that_is_unknown_is_implied() -> None:
    evidence = browser(categories=ALL, basis="certain").evidence
    assert (evidence.basis, evidence.note) == (Basis.IMPLIED, "basis: unknown word")


@pytest.mark.parametrize(
    ("ahead", "note"),
    [(timedelta(minutes=5), ""), (timedelta(minutes=6), "clock_skew"), (timedelta(days=999), "clock_skew")],
)
def test_capture_is_never_later_than_receipt(ahead: timedelta, note: str) -> None:
    evidence = browser(categories=ALL, captured_at=(NOW + ahead).isoformat()).evidence
    assert (evidence.captured_at, evidence.note) == (NOW, note)


def test_capture_may_be_long_ago() -> None:
    assert browser(captured_at="2001-01-01T00:00:00Z").evidence.captured_at == datetime(2001, 1, 1, tzinfo=UTC)


def test_order_may_have_a_global_id() -> None:
    assert browser(order_id="gid://shopify/Order/23", order_key="k").subject.order_id == "23"


def test_empty_texts_name_nobody() -> None:
    assert mistakes(Channel.SERVER, session_id="", order_id="", customer_id="", categories=ALL).keys() == {"session_id"}


# --- mistakes -----------------------------------------------------------------------------------------------------


def test_browser_cannot_speak_for_a_customer() -> None:
    assert mistakes(session_id=SESSION, customer_id="7", categories=ALL) == {
        "customer_id": ["A browser cannot speak for a customer."]
    }


def test_browser_must_show_the_key_of_an_order() -> None:
    assert mistakes(order_id="23", categories=ALL) == {"order_key": ["Needed with order_id."]}
    assert mistakes(session_id=SESSION, order_key="k", categories=ALL) == {"order_id": ["Needed with order_key."]}


@pytest.mark.parametrize("channel", [Channel.BROWSER, Channel.SERVER])
def test_signal_must_be_about_somebody(channel: Channel) -> None:
    assert mistakes(channel, categories=ALL).keys() == {"session_id"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session_id", "short"),
        ("session_id", "x" * 65),
        ("session_id", SESSION + "\n"),
        ("session_id", 5),
        ("state", "maybe"),
        ("state", True),
        ("checkout_token", 5),
        ("checkout_token", "x" * 256),
        ("order_id", "not an id"),
        ("region", "somewhere else"),
        ("region", 5),
        ("evidence", "tc"),
        ("evidence", []),
        ("seq", -1),
        ("seq", 2**53),
        ("seq", 1.5),
        ("seq", True),
        ("seq", "1"),
        ("categories", "yes"),
        ("categories", [True]),
        ("captured_at", "soon"),
        ("captured_at", 5),
        ("cmp", 5),
        ("basis", 5),
        ("gpc", "true"),
        ("v", 2),
        ("source", "me"),
    ],
    ids=ascii,
)
def test_mistake_is_told_by_its_field(field: str, value: object) -> None:
    fields = {"session_id": SESSION, "order_key": "k", "order_id": "1", "categories": ALL, field: value}
    with pytest.raises(RequestInvalid) as refused:
        read_signal(fields, channel=Channel.BROWSER, sec_gpc=False, received_at=NOW)
    assert field in refused.value.errors


def test_platforms_name_has_a_bound_and_no_nul() -> None:
    assert browser(session_id=SESSION, cmp="one\0trust" + 64 * "x").evidence.cmp == "onetrust" + 56 * "x"


def test_mistakes_inside_are_told_by_their_path() -> None:
    errors = mistakes(session_id=SESSION, categories={"marketing": 1, "other": []}, evidence={"tc": 5, "other": 5})
    assert errors.keys() == {"categories.marketing", "evidence.tc"}


def test_all_mistakes_are_told_at_once() -> None:
    assert mistakes(session_id="x", seq="y", state="z", gpc=1).keys() >= {"session_id", "seq", "state", "gpc"}


def test_mistakes_hold_no_values() -> None:
    assert "secret" not in str(
        mistakes(session_id="secret", checkout_token="secret" * 99, region="secret secret secret")
    )


FIELDS = ["session_id", "state", "checkout_token", "order_id", "order_key", "customer_id", "region", "evidence", "seq"]
MORE_FIELDS = ["categories", "captured_at", "gpc", "source", "basis", "cmp", "v", "marketing", "analytics", "tc", "gpp"]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.just(SESSION),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(FIELDS + MORE_FIELDS), inner, max_size=4)
    ),
    max_leaves=10,
)


@given(
    body=st.dictionaries(st.sampled_from(FIELDS + MORE_FIELDS), JUNK, max_size=8),
    channel=st.sampled_from([Channel.BROWSER, Channel.SERVER]),
)
def test_any_body_ends_in_a_signal_or_its_mistakes(body: dict[str, object], channel: Channel) -> None:
    with suppress(RequestInvalid):
        signal = read_signal(body, channel=channel, sec_gpc=False, received_at=NOW)
        assert signal.evidence.captured_at is None or signal.evidence.captured_at <= NOW
        assert any((signal.subject.session_id, signal.subject.order_id, signal.subject.checkout_token)) or (
            channel is Channel.SERVER and signal.subject.customer_id
        )
