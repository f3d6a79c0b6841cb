"""Consent entries of orders: every shape in which a shop or a plugin writes them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from gateway.ingest.signals.gtmkit import read_gtmkit
from gateway.ingest.signals.own import read_own
from gateway.ingest.signals.pmw import read_pmw
from gateway.model.consent import Basis, Choice, Choices, Evidence, SignalState, Source

GRANTED, DENIED, UNKNOWN = Choice.GRANTED, Choice.DENIED, Choice.UNKNOWN
SESSION = "abcdefghijklmnopqrstuv"


def own(**given: object) -> Evidence:
    return read_own({"v": 1, "categories": {"marketing": True, "analytics": True}, **given}, entry="_consent_gateway")


def own_categories(**categories: object) -> Evidence:
    return own(categories=categories)


def gtmkit(**given: object) -> Evidence:
    return read_gtmkit(given, entry="_gtmkit_consent")


def pmw(**given: object) -> Evidence:
    return read_pmw(given, entry="_pmw_consent_snapshot")


def gating(evidence: Evidence) -> tuple[Choice, Choice]:
    return evidence.choices.marketing, evidence.choices.analytics


# --- the gateway's own --------------------------------------------------------------------------------------------


def test_whole_object_is_read() -> None:
    categories = {"functional": True, "preferences": None, "analytics": False, "marketing": True, "sale_of_data": None}
    text = json.dumps(
        {
            "v": 1,
            "categories": categories,
            "source": "server",
            "basis": "explicit",
            "captured_at": "2026-11-21T15:54:04Z",
            "cmp": "onetrust",
            "session_id": SESSION,
            "region": "DE",
        }
    )
    assert read_own(text, entry="_consent_gateway") == Evidence(
        choices=Choices(functional=GRANTED, analytics=DENIED, marketing=GRANTED),
        state=SignalState.ANSWERED,
        source=Source.SERVER,
        basis=Basis.EXPLICIT,
        captured_at=datetime(2026, 11, 21, 15, 54, 4, tzinfo=UTC),
        cmp="onetrust",
        session_id=SESSION,
        entry="_consent_gateway",
        region="DE",
    )


@pytest.mark.parametrize("word", [True, "granted", "allow", "yes", " Granted ", "YES"], ids=ascii)
def test_words_that_grant(word: object) -> None:
    assert gating(own_categories(marketing=word, analytics=word)) == (GRANTED, GRANTED)


@pytest.mark.parametrize("word", [False, "denied", "deny", "no", " DENY "], ids=ascii)
def test_words_that_refuse(word: object) -> None:
    assert gating(own_categories(marketing=word, analytics=word)) == (DENIED, DENIED)


@pytest.mark.parametrize("word", ["sure", "true", "1", 1, 0, 1.0, [True], {"granted": True}, "grantedd"], ids=ascii)
def test_what_is_no_word_is_no_answer_and_noted(word: object) -> None:
    evidence = own_categories(marketing=word, analytics=True)
    assert gating(evidence) == (UNKNOWN, GRANTED)
    assert evidence.note == "categories.marketing: not an answer"


@pytest.mark.parametrize("word", [None, ""], ids=ascii)
def test_no_answer_is_no_answer(word: object) -> None:
    evidence = own_categories(marketing=word)
    assert (gating(evidence), evidence.note, evidence.unreadable) == ((UNKNOWN, UNKNOWN), "", False)


def test_statistics_means_analytics() -> None:
    assert own_categories(statistics=True).choices.analytics is GRANTED


def test_anonymous_statistics_is_no_analytics() -> None:
    assert own_categories(**{"statistics-anonymous": True}).choices.analytics is UNKNOWN


def test_contradiction_is_denied() -> None:
    evidence = own_categories(analytics=True, statistics=False)
    assert evidence.choices.analytics is DENIED
    assert evidence.note == "categories.analytics: given twice, differently"


def test_refusal_by_a_name_that_is_spelled_otherwise_counts_and_a_grant_does_not() -> None:
    refused, granted = own_categories(**{"marketing": True, " Marketing": False}), own_categories(Marketing=True)
    assert (refused.choices.marketing, granted.choices.marketing) == (DENIED, UNKNOWN)
    assert refused.note == "categories.marketing: denied by a name that is spelled otherwise"


@pytest.mark.parametrize("version", [2, 0, "1", True, None, [1]], ids=ascii)
def test_other_version_cannot_be_read(version: object) -> None:
    evidence = own(v=version)
    assert (evidence.unreadable, evidence.note, gating(evidence)) == (True, "v: not 1", (DENIED, DENIED))


def test_long_entry_cannot_be_read() -> None:
    text = json.dumps({"v": 1, "categories": {"marketing": True}, "cmp": "x" * 4096})
    assert read_own(text, entry="_consent_gateway").unreadable


TWOFOLD = [
    '{"v": 1, "categories": {"marketing": false, "analytics": false, "marketing": true, "analytics": true}}',
    '{"categories": {"marketing": false}, "categories": {"marketing": true, "analytics": true}}',
    '{"categories": {"marketing": true, "analytics": true}, "gpc": true, "gpc": false}',
]


@pytest.mark.parametrize("text", TWOFOLD)
def test_entry_with_a_key_twice_cannot_be_read(text: str) -> None:
    for read in (read_own, read_gtmkit, read_pmw):
        evidence = read(text, entry="entry")
        assert (evidence.note, gating(evidence)) == ("a key is there twice", (DENIED, DENIED))


def test_deep_entry_cannot_be_read() -> None:
    assert read_own("[" * 1000 + "]" * 1000, entry="_consent_gateway").unreadable


@pytest.mark.parametrize(
    ("word", "basis"),
    [
        ("explicit", Basis.EXPLICIT),
        ("implied", Basis.IMPLIED),
        ("opt_out_default", Basis.OPT_OUT_DEFAULT),
        ("inherited", Basis.IMPLIED),
        ("certain", Basis.IMPLIED),
        (5, Basis.IMPLIED),
        (None, Basis.EXPLICIT),
    ],
)
def test_basis_is_at_most_explicit(word: object, basis: Basis) -> None:
    assert own(basis=word).basis is basis


def test_grant_without_any_basis_is_none() -> None:
    assert gating(own(basis="none")) == (UNKNOWN, UNKNOWN)


@pytest.mark.parametrize("value", [True, "true", "1", 1, "yes", "maybe", [], {}], ids=ascii)
def test_gpc_denies_marketing_and_sale(value: object) -> None:
    evidence = own(gpc=value)
    assert (evidence.choices.marketing, evidence.choices.sale_of_data) == (DENIED, DENIED)
    assert (evidence.gpc, evidence.basis, evidence.choices.analytics) == (True, Basis.GPC, GRANTED)
    assert evidence.before_gpc is not None
    assert evidence.before_gpc.marketing is GRANTED


@pytest.mark.parametrize("value", [False, None, 0, "", "no"], ids=ascii)
def test_gpc_that_is_off_changes_nothing(value: object) -> None:
    assert gating(own(gpc=value)) == (GRANTED, GRANTED)


def test_gpc_keeps_beside_only_what_was_explicit() -> None:
    assert own(gpc=True, basis="implied").before_gpc is None


def test_basis_gpc_is_gpc() -> None:
    assert own(basis="gpc").gpc


@pytest.mark.parametrize("state", ["pending", "whatever", 5], ids=ascii)
def test_unanswered_banner_grants_nothing(state: object) -> None:
    evidence = own(state=state)
    assert (evidence.state, gating(evidence)) == (SignalState.PENDING, (UNKNOWN, UNKNOWN))


def test_unanswered_banner_needs_no_categories() -> None:
    evidence = read_own({"v": 1, "state": "pending"}, entry="_consent_gateway")
    assert (evidence.state, evidence.unreadable) == (SignalState.PENDING, False)


def test_opt_out_regime_resolves_an_unanswered_banner() -> None:
    evidence = own(state="pending", basis="opt_out_default")
    assert (evidence.state, gating(evidence)) == (SignalState.PENDING, (GRANTED, GRANTED))


@pytest.mark.parametrize("value", ["soon", 5, "2026-13-01T00:00:00Z"], ids=ascii)
def test_time_that_is_none_is_noted(value: object) -> None:
    evidence = own(captured_at=value)
    assert (evidence.captured_at, evidence.note) == (None, "captured_at: not a time")


@pytest.mark.parametrize("session_id", ["short", "x" * 65, "spaces in it are not all right", 5, None], ids=ascii)
def test_session_that_is_none_is_dropped(session_id: object) -> None:
    assert own(session_id=session_id).session_id is None


# --- imports ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read", [gtmkit, pmw])
@pytest.mark.parametrize(
    "given",
    [
        {"marketing": True, "statistics": False},
        {"marketing": "granted", "analytics": "denied"},
        {"marketing": "allow", "statistics": "deny"},
        {"marketing": "yes", "statistics": "no"},
        {"categories": {"marketing": True, "statistics": False}},
        {"consent": {"marketing": "granted", "analytics": "denied"}, "version": 3},
        {
            "ad_storage": "granted",
            "ad_user_data": "granted",
            "ad_personalization": "granted",
            "analytics_storage": "denied",
            "security_storage": "granted",
        },
    ],
    ids=ascii,
)
def test_every_shape_of_a_snapshot(read: Callable[..., Evidence], given: dict[str, object]) -> None:
    assert gating(read(**given)) == (GRANTED, DENIED)


def test_strictest_of_googles_ad_signals_counts() -> None:
    granted = {"ad_storage": "granted", "ad_user_data": "granted", "analytics_storage": "granted"}
    assert gating(gtmkit(**granted, ad_personalization="denied")) == (DENIED, GRANTED)
    assert gating(gtmkit(**granted))[0] is not GRANTED


def test_layers_that_disagree_grant_nothing() -> None:
    assert gtmkit(marketing=True, consent={"marketing": False}).choices.marketing is not GRANTED
    assert pmw(statistics=True, analytics=False).choices.analytics is DENIED


def test_missing_category_is_no_answer() -> None:
    assert gating(pmw(marketing=True)) == (GRANTED, UNKNOWN)


@pytest.mark.parametrize("given", [{}, {"foo": 1}, {"categories": []}, {"consent": {"foo": True}}], ids=ascii)
def test_snapshot_without_categories_cannot_be_read(given: dict[str, object]) -> None:
    evidence = pmw(**given)
    assert (evidence.unreadable, evidence.note, gating(evidence)) == (True, "no known category", (DENIED, DENIED))


@pytest.mark.parametrize(
    "times", [{"timestamp": 1763640764}, {"captured_at": "2025-11-20T12:12:44Z"}, {"time": 1763640764000}], ids=ascii
)
def test_snapshot_tells_its_time(times: dict[str, object]) -> None:
    assert pmw(marketing=True, **times).captured_at == datetime(2025, 11, 20, 12, 12, 44, tzinfo=UTC)


def test_snapshot_says_where_it_came_from() -> None:
    evidence = gtmkit(marketing=True, source="server", basis="explicit", gpc=True)
    assert (evidence.source, evidence.gpc, evidence.choices.marketing) == (Source.SERVER, True, DENIED)
