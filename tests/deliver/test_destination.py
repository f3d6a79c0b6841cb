"""What the kinds of destinations have in common."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.deliver.destination import header_mistakes, outcome_of_status, own_headers, retry_after, url_mistakes
from gateway.model.delivery import Destination, Outcome, OutcomeKind, Response

NOW = datetime(2026, 11, 21, 15, 54, 4, tzinfo=UTC)
OURS = frozenset({"webhook-id"})


def a_response(status_code: int = 503, **headers: str) -> Response:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Response(status_code=status_code, headers=pairs, body=b"")


def a_destination(*headers: tuple[str, str]) -> Destination:
    url = "https://sgtm.example/"
    return Destination(destination_id="container", kind="webhook", url=url, purposes=(), headers=headers)


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_2xx_is_delivered(code: int) -> None:
    assert outcome_of_status(a_response(code), NOW) == Outcome(kind=OutcomeKind.DELIVERED, word="ok", status_code=code)


@pytest.mark.parametrize("code", [301, 302, 307, 308, 408, 409, 425, 429, 500, 502, 503, 504, 599, 600, 999])
def test_redirects_busy_and_broken_are_tried_again(code: int) -> None:
    assert outcome_of_status(a_response(code), NOW) == Outcome(
        kind=OutcomeKind.RETRY, word=f"http_{code}", status_code=code
    )


@pytest.mark.parametrize("code", [400, 401, 403, 404, 413, 418, 422, 451, 499])
def test_other_4xx_stop_for_good(code: int) -> None:
    assert outcome_of_status(a_response(code), NOW) == Outcome(
        kind=OutcomeKind.REFUSED, word=f"http_{code}", status_code=code
    )


def test_410_is_gone() -> None:
    assert outcome_of_status(a_response(410), NOW) == Outcome(
        kind=OutcomeKind.REFUSED, word="http_410", status_code=410, gone=True
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 120 ", 120),
        ("86401", 86_400),
        ("9" * 400, 86_400),
        ("Sat, 21 Nov 2026 15:55:04 GMT", 60),
        ("Sat, 21 Nov 2026 15:55:04 -0000", 60),
        ("Sat, 21 Nov 2026 16:55:04 +0100", 60),
        ("Saturday, 21-Nov-26 15:55:04 GMT", 60),
        ("Sat, 21 Nov 2025 15:55:04 GMT", 0),
        ("Mon, 21 Dec 2026 15:55:04 GMT", 86_400),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("\u0663", None),
        ("soon", None),
        ("Sat, 99 Nov 2026 15:55:04 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms(text: str, seconds: float | None) -> None:
    assert retry_after(a_response(rEtRy_aFtEr=text), NOW) == seconds
    assert outcome_of_status(a_response(429, Retry_After=text), NOW).retry_after_seconds == seconds


NUMBERS = st.integers(0, 99_999)


@given(st.text(max_size=20) | st.builds("Sat, {} Nov {} {}:{}:{} {}".format, *[NUMBERS] * 5, st.text(max_size=6)))
def test_any_retry_after_is_a_time_or_nothing(text: str) -> None:
    seconds = retry_after(a_response(Retry_After=text), NOW)
    assert seconds is None or 0 <= seconds <= 86_400


@pytest.mark.parametrize(
    "url",
    [
        "https://sgtm.example/data",
        "http://127.0.0.1:9000",
        "HTTPS://SGTM.example",
        "https://sgtm.example:8443/a?b=c&d=%20",
        "https://b\u00fccher.example/",
        "http://[::1]:9000/x",
        "http://[fe80::1%25eth0]/",
        "http://sgtm.example.:/",
        "http://under_score.example/",
    ],
)
def test_good_urls_have_no_mistakes(url: str) -> None:
    assert url_mistakes(url) == ()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "url: is missing"),
        ("sgtm.example/c4nary", "url: must begin with https:// or http:// and a host name"),
        ("htps://sgtm.example/c4nary", "url: must begin with https:// or http:// and a host name"),
        ("https:/sgtm.example/c4nary", "url: must begin with https:// or http:// and a host name"),
        ("https:///c4nary", "url: must begin with https:// or http:// and a host name"),
        ("https://sgtm.example/ c4nary", "url: holds spaces, control characters or backslashes"),
        ("https://sgtm.example\\c4nary", "url: holds spaces, control characters or backslashes"),
        ("https://sgtm.example/\r\nc4nary", "url: holds spaces, control characters or backslashes"),
        ("https://c4nary:c4nary@sgtm.example/", "url: holds a user name or password; put credentials into headers"),
        ("https://sgtm.example:c4nary/", "url: its host or port cannot be read"),
        ("https://sgtm.example:0/", "url: its host or port cannot be read"),
        ("https://.c4nary/", "url: its host or port cannot be read"),
        ("https://[c4nary/", "url: its host or port cannot be read"),
        ("https://:443/", "url: its host or port cannot be read"),
        ("https://[::1]c4nary/", "url: its host or port cannot be read"),
        ("https://sgtm,c4nary/", "url: its host or port cannot be read"),
        ("https://*.c4nary/", "url: its host or port cannot be read"),
        ("https://%zzc4nary/", "url: its host or port cannot be read"),
        ("https://sgtm.example/#c4nary", "url: has a fragment (#...), which is never sent"),
    ],
)
def test_mistakes_of_a_url_are_told_without_repeating_it(url: str, told: str) -> None:
    assert url_mistakes(url) == (told,)


def test_mistakes_of_headers_are_told_without_their_values() -> None:
    destination = a_destination(
        ("X-Good", "Zo\u00eb"),
        ("X-Break", "c4nary\r\nX-Evil: 1"),
        ("X Space", "c4nary"),
        ("Webhook-Id", "c4nary"),
        ("Host", "c4nary"),
        ("X-Euro", "\u20ac"),
        ("X-Outer", " c4nary"),
    )
    unsendable = "holds line breaks, other control characters, outer spaces, or characters beyond Latin-1"
    assert header_mistakes(destination, OURS) == (
        f"headers.X-Break: {unsendable}",
        "headers.?: is not a header name",
        "headers.Webhook-Id: is set by the gateway itself",
        "headers.Host: is set by the gateway itself",
        f"headers.X-Euro: {unsendable}",
        f"headers.X-Outer: {unsendable}",
    )


def test_own_headers_never_replace_the_gateways() -> None:
    destination = a_destination(("X-Example", "1"), ("WEBHOOK-ID", "2"), ("content-length", "3"))
    assert own_headers(destination, OURS) == (("X-Example", "1"),)
