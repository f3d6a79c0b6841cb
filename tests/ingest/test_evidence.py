"""Evidence strings: vectors made with the IAB's own libraries, letters of Google's, cookies of real platforms."""

import base64
import json
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from gateway.ingest.answers import Unreadable
from gateway.ingest.bits import Bits
from gateway.ingest.signals import EVIDENCE
from gateway.model.consent import Basis, Choice, Evidence, SignalState

GRANTED, DENIED, UNKNOWN = Choice.GRANTED, Choice.DENIED, Choice.UNKNOWN
TC_ALL = "CQhG6EAQhG6EAEsABBENAHEgAP_gAEPgAAYgADMQAAAAAAAA.IADMQAAA.YAAAAAAAAAAA"
TC_NONE = "CQhG6EAQhG6EAEsABBENAHEgAAAAAAAAAAYgAAAAAAAA.IADMQAAA.YAAAAAAAAAAA"
TC_SHOWN = "CQhG6EAQhG6EAEsABBENAHEgAAAAAEPgAAYgAAAAAAAA.IADMQAAA.YAAAAAAAAAAA"
TC_MEASURED = "CQhG6EAQhG6EAEsABBENAHEgAIHAAAAAAAYgADMQAAAAAAAA.IADMQAAA.YAAAAAAAAAAA"
TC_OF_2025 = "CQSbk4AQSbk4ANwAAAENAwCgAAAAAAAAAAYgACPAAAAA"
COOKIEBOT = (
    "CookieConsent={stamp:%27abc%27%2Cnecessary:true%2Cpreferences:false%2Cstatistics:true%2Cmarketing:false"
    "%2Cmethod:%27explicit%27%2Cver:1%2Cutc:1700000000000%2Cregion:%27de%27}"
)
COOKIEYES = "cookieyes-consent=consentid:x,consent:yes,action:{},necessary:yes,functional:no,analytics:yes,{}"
ONETRUST = "OptanonConsent=isGpcEnabled={}&groups=C0001%3A1%2CC0002%3A1%2CC0003%3A0%2CC0004%3A1%2CC0005%3A{}"
CHECKBOX, VIEWED = "cookielawinfo-checkbox-", "; viewed_cookie_policy="
CLOSED = "; OptanonAlertBoxClosed=2026-01-01T00:00:00Z"


def gating(evidence: Evidence) -> tuple[Choice, Choice]:
    return evidence.choices.marketing, evidence.choices.analytics


@pytest.mark.parametrize(
    ("text", "marketing", "analytics"),
    [
        (TC_ALL, GRANTED, GRANTED),
        (TC_NONE, DENIED, DENIED),
        (TC_SHOWN, DENIED, DENIED),
        (TC_MEASURED, DENIED, GRANTED),
        (TC_OF_2025, DENIED, DENIED),
    ],
    ids=["all", "none", "shown", "measured", "before-disclosure"],
)
def test_tc_string_tells_its_purposes(text: str, marketing: Choice, analytics: Choice) -> None:
    evidence = EVIDENCE["tc"](text)
    assert (gating(evidence), evidence.unreadable) == ((marketing, analytics), False)


def test_tc_string_tells_its_day() -> None:
    assert EVIDENCE["tc"](TC_ALL).captured_at == datetime(2026, 3, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("CQhG6EAQhG6EAEsABBENAHEgAP_g", "too short"),
        (f"{TC_ALL}.", "not base64url"),
        (TC_ALL.partition(".")[0], "segments missing or unknown"),
        (f"{TC_ALL}.4AAA", "segments missing or unknown"),
        ("B" + TC_ALL[1:], "not version 2"),
        (TC_ALL.replace("HEgAP", "HEAAP", 1), "not service-specific"),
        (TC_ALL.replace(".", "AAAAB.", 1), "too long"),
    ],
)
def test_tc_string_that_breaks_the_rules_says_nothing(text: str, why: str) -> None:
    evidence = EVIDENCE["tc"](text)
    assert (evidence.unreadable, evidence.note, gating(evidence)) == (True, why, (UNKNOWN, UNKNOWN))


@pytest.mark.parametrize(
    ("text", "marketing", "sale", "gpc"),
    [
        ("DBABLA~CVQVAAAAAACA.YA", DENIED, DENIED, True),
        ("DBABLA~CVQqAAAAAACA.QA", UNKNOWN, UNKNOWN, False),
        ("DBABBg~BUUAAACA.YA", DENIED, DENIED, True),
        ("DBABLA~CVQmAAAAAACA.QA", DENIED, DENIED, False),
        ("DBABBg~BUkAAACA.QA", DENIED, DENIED, False),
        ("DBABRg~BVkAABA", DENIED, UNKNOWN, False),
        ("DBABSYA~BQBA.AAA", UNKNOWN, DENIED, False),
        ("DBABTA~1YYN", DENIED, DENIED, False),
        ("DBABTA~1YNN", UNKNOWN, UNKNOWN, False),
    ],
)
def test_gpp_string_tells_opt_outs(text: str, marketing: Choice, sale: Choice, gpc: bool) -> None:  # a row
    evidence = EVIDENCE["gpp"](text)
    assert (evidence.choices.marketing, evidence.choices.sale_of_data, evidence.gpc) == (marketing, sale, gpc)


def test_gpp_section_of_another_kind_is_noted() -> None:
    assert EVIDENCE["gpp"]("DBABM~CQ").note == "section 2: not read"
    assert EVIDENCE["gpp"]("DBABLA~C").note == "section 7: too short"


@pytest.mark.parametrize("text", ["DBABLA~CVQVAAAAAACA.", "DBABLA~CVQVAAAAAACA.!A", "DBABLA~CVQV"])
def test_gpp_section_that_breaks_off_still_refuses(text: str) -> None:
    evidence = EVIDENCE["gpp"](text)
    assert (evidence.choices.marketing, evidence.choices.sale_of_data) == (DENIED, DENIED)


@pytest.mark.parametrize("text", ["DBACOcGA", "CQhG", "DBABjw~x", "DBAA~x"])
def test_gpp_string_that_breaks_the_rules_says_nothing(text: str) -> None:
    evidence = EVIDENCE["gpp"](text)
    assert (evidence.unreadable, gating(evidence)) == (True, (UNKNOWN, UNKNOWN))


@pytest.mark.parametrize(("code", "number"), [("11", 1), ("011", 2), ("0011", 3), ("1011", 4), ("01011", 7)])
def test_fibonacci_numbers_are_read(code: str, number: int) -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert Bits(letters[int(code.ljust(6, "0"), 2)]).read_fibonacci() == number


def test_fibonacci_number_without_end_is_refused() -> None:
    with pytest.raises(Unreadable):
        Bits("AAAAAAAA").read_fibonacci()


@pytest.mark.parametrize(
    ("text", "marketing", "analytics", "state"),
    [
        ("13r3r1r1r5l1", GRANTED, GRANTED, SignalState.ANSWERED),
        ("13r3r1t1r5l1", UNKNOWN, GRANTED, SignalState.ANSWERED),
        ("13r3q1r1m5l1", DENIED, DENIED, SignalState.ANSWERED),
        ("13l3l3l3l1l1", UNKNOWN, UNKNOWN, SignalState.PENDING),
        ("13p3t3p3p5l1", UNKNOWN, UNKNOWN, SignalState.PENDING),
        ("11v1u1n1v1", GRANTED, DENIED, SignalState.ANSWERED),
        ("13i3y1r1r5l1", DENIED, DENIED, SignalState.ANSWERED),
        ("13j3z1r1r5l1", UNKNOWN, UNKNOWN, SignalState.ANSWERED),
    ],
)
def test_gcd_tells_updates_not_defaults(text: str, marketing: Choice, analytics: Choice, state: SignalState) -> None:
    evidence = EVIDENCE["gcd"](text)
    assert (*gating(evidence), evidence.state) == (marketing, analytics, state)


@pytest.mark.parametrize(
    ("text", "marketing", "analytics"),
    [("G111", GRANTED, GRANTED), ("G101", DENIED, GRANTED), ("G1--", UNKNOWN, UNKNOWN), ("G1-0", UNKNOWN, DENIED)],
)
def test_gcs_is_no_proof_of_an_answer(text: str, marketing: Choice, analytics: Choice) -> None:
    evidence = EVIDENCE["gcs"](text)
    assert (*gating(evidence), evidence.state) == (marketing, analytics, SignalState.PENDING)


@pytest.mark.parametrize("text", ["1YYN", "1NYN", "1-Y-", "1yyn"])
def test_usp_tells_of_a_refused_sale(text: str) -> None:
    assert EVIDENCE["usp"](text).choices.sale_of_data is DENIED


@pytest.mark.parametrize("text", ["1YNN", "1---"])
def test_usp_without_a_refusal_says_nothing(text: str) -> None:
    assert gating(EVIDENCE["usp"](text)) == (UNKNOWN, UNKNOWN)


CONTRADICTIONS = {
    "cookiebot": "CookieConsent={stamp:'x',marketing:false,marketing:true,statistics:false,statistics:true}",
    "cookieyes": "cookieyes-consent=action:yes,advertisement:no,analytics:no,advertisement:yes,analytics:yes",
    "onetrust-groups": f"OptanonConsent=groups=C0002:0,C0004:0,C0002:1,C0004:1{CLOSED}",
    "onetrust-twice": f"OptanonConsent=groups=C0002:0,C0004:0&groups=C0002:1,C0004:1{CLOSED}",
    "complianz": "cmplz_marketing=deny; cmplz_marketing=allow; cmplz_statistics=deny; cmplz_statistics=allow",
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_cookie_that_contradicts_itself_refuses(name: str) -> None:
    assert gating(EVIDENCE["cookie"](CONTRADICTIONS[name])) == (DENIED, DENIED)


def test_onetrust_cookie_of_many_fields_is_read() -> None:
    text = f"OptanonConsent={'a=1&' * 100}groups=C0002:0,C0004:0{CLOSED}"
    assert gating(EVIDENCE["cookie"](text)) == (DENIED, DENIED)


def didomi(*enabled: str, disabled: tuple[str, ...] = ()) -> str:
    said = {"version": 2, "purposes": {"enabled": enabled, "disabled": disabled}, "vendors": {"enabled": []}}
    return f"didomi_token={base64.b64encode(json.dumps(said).encode()).decode()}"


def axeptio(*, completed: bool = True, **vendors: bool) -> str:
    said = {"$$token": "x", "$$date": "2026-11-22T11:59:00Z", "$$completed": completed, **vendors}
    return f"axeptio_cookies={quote(json.dumps(said))}"


def klaro(**services: bool) -> str:
    return f"klaro={quote(json.dumps(services))}"


ADS, MEASURES = "select_personalized_ads", "measure_content_performance"
COOKIES = {
    "didomi": (didomi("cookies", MEASURES, disabled=(ADS,)), DENIED, GRANTED),
    "didomi-partly": (didomi("select_basic_ads", disabled=(ADS, "market_research")), DENIED, DENIED),
    "didomi-twice": (didomi(ADS, MEASURES, disabled=(ADS, MEASURES)), DENIED, DENIED),
    "didomi-no-storing": (didomi(ADS, MEASURES, disabled=("cookies",)), DENIED, DENIED),
    "didomi-open": (didomi(), UNKNOWN, UNKNOWN),
    "didomi-own-purposes": (didomi("chat"), UNKNOWN, UNKNOWN),
    "didomi-broken": ("didomi_token=eyJwdXJwb3Nlcyxx", UNKNOWN, UNKNOWN),
    "axeptio": (axeptio(google_analytics=True, facebook_pixel=False, google_ads=True), DENIED, GRANTED),
    "axeptio-refused": (axeptio(hotline=False, other=False), DENIED, DENIED),
    "axeptio-open": (axeptio(completed=False, google_analytics=True, google_ads=False), UNKNOWN, UNKNOWN),
    "axeptio-own-vendors": (axeptio(hotline=True, other=False), UNKNOWN, UNKNOWN),
    "klaro": ("klaro=%7B%22google-analytics%22%3Atrue%2C%22facebook-pixel%22%3Afalse%7D", DENIED, GRANTED),
    "klaro-refused": (klaro(matomo=False, map=False), DENIED, DENIED),
    "klaro-own-services": (klaro(shop=True, map=False), UNKNOWN, UNKNOWN),
    "klaro-broken": ("klaro=%7B%22a", UNKNOWN, UNKNOWN),
    "trustarc-level": ("notice_preferences=1:; notice_behavior=expressed,eu", DENIED, GRANTED),
    "trustarc-required": ("notice_preferences=0:", DENIED, DENIED),
    "trustarc-buckets": ("notice_gdpr_prefs=0,1,2:; notice_behavior=expressed|eu", GRANTED, GRANTED),
    "trustarc-permitted": ("cmapi_cookie_privacy=permit 1,3", GRANTED, DENIED),
    "trustarc-disagrees": ("notice_preferences=2:; cmapi_cookie_privacy=permit 1", DENIED, DENIED),
    "trustarc-implied": ("notice_gdpr_prefs=0,1,2:; notice_behavior=implied,us", UNKNOWN, UNKNOWN),
    "trustarc-refused-where-implied": ("notice_preferences=0:; notice_behavior=implied,us", DENIED, DENIED),
    "trustarc-broken": ("notice_preferences=; notice_gdpr_prefs=a:; cmapi_cookie_privacy=permit", UNKNOWN, UNKNOWN),
    "wp-consent-api": ("a=b; wp_consent_marketing=allow; wp_consent_statistics=deny", GRANTED, DENIED),
    "wp-anonymous": ("wp_consent_statistics-anonymous=allow; wp_consent_marketing=deny", DENIED, UNKNOWN),
    "complianz": ("cmplz_marketing=deny; cmplz_statistics=allow; cmplz_banner-status=dismissed", DENIED, GRANTED),
    "cookiebot": (COOKIEBOT, DENIED, GRANTED),
    "cookiebot-declined": ("CookieConsent=0", DENIED, DENIED),
    "cookiebot-abroad": ("CookieConsent=-1", UNKNOWN, UNKNOWN),
    "another-cookieconsent": ("CookieConsent=true", UNKNOWN, UNKNOWN),
    "cookieyes": (COOKIEYES.format("yes", "performance:yes,advertisement:no"), DENIED, GRANTED),
    "cookieyes-half": (COOKIEYES.format("yes", "performance:no,advertisement:yes"), GRANTED, DENIED),
    "cookieyes-open": (COOKIEYES.format("", "advertisement:yes"), UNKNOWN, UNKNOWN),
    "onetrust": (ONETRUST.format(0, 1) + CLOSED, GRANTED, GRANTED),
    "onetrust-social": (ONETRUST.format(0, 0) + CLOSED, DENIED, GRANTED),
    "onetrust-gpc": (ONETRUST.format(1, 1) + CLOSED, DENIED, GRANTED),
    "onetrust-open": (ONETRUST.format(0, 1), UNKNOWN, UNKNOWN),
    "onetrust-anew": (ONETRUST.format(0, 1) + "&AwaitingReconsent=true" + CLOSED, UNKNOWN, UNKNOWN),
    "two-scopes": ("wp_consent_marketing=allow; wp_consent_marketing=deny", DENIED, UNKNOWN),
    "two-platforms": (f"{COOKIEBOT}; wp_consent_marketing=allow; wp_consent_statistics=allow", DENIED, GRANTED),
    "complianz-of-a-network": ("cmplz_rt_marketing=deny; cmplz_rt_statistics=allow", DENIED, GRANTED),
    "cookiebot-spelled-as-json": (
        'CookieConsent={"stamp": "x", "statistics": false, "marketing": true}',
        GRANTED,
        DENIED,
    ),
    "react-declined": ("CookieConsent=false", DENIED, DENIED),
    "cookieconsent-declined": ("cookieconsent_status=deny", DENIED, DENIED),
    "cookieconsent-dismissed": ("cookieconsent_status=dismiss", UNKNOWN, UNKNOWN),
    "cookieyes-in-quotes": (
        'cookieyes-consent="consent:no, action:yes, analytics:yes, advertisement:no"',
        DENIED,
        GRANTED,
    ),
    "cookie-law-info": (f"{CHECKBOX}analytics=yes; {CHECKBOX}advertisement=no{VIEWED}yes", DENIED, GRANTED),
    "cookie-law-info-open": (f"{CHECKBOX}analytics=yes; {CHECKBOX}advertisement=yes", UNKNOWN, UNKNOWN),
    "cookie-law-info-declined": (f"{CHECKBOX}analytics=yes; {CHECKBOX}advertisement=yes{VIEWED}no", DENIED, DENIED),
    "iubenda": (
        "_iub_cs-1=%7B%22purposes%22%3A%7B%221%22%3Atrue%2C%224%22%3Afalse%2C%225%22%3Atrue%7D%7D",
        GRANTED,
        DENIED,
    ),
    "iubenda-at-once": ("_iub_cs-s1=%7B%22consent%22%3Afalse%7D", DENIED, DENIED),
    "iubenda-broken": ("_iub_cs-1=%7B%22purposes%22", UNKNOWN, UNKNOWN),
    "onetrust-us": (f"{ONETRUST.format(0, 1)}%2CSPD_BG%3A0{CLOSED}", DENIED, GRANTED),
    "tc-refuses": (f"euconsent-v2={TC_NONE}; wp_consent_marketing=allow; wp_consent_statistics=allow", DENIED, DENIED),
    "tc-alone": (f"euconsent-v2={TC_MEASURED}", DENIED, UNKNOWN),
    "tc-grants": (f"euconsent-v2={TC_ALL}; wp_consent_marketing=allow", GRANTED, UNKNOWN),
    "usp-refuses": ("usprivacy=1YYN; wp_consent_marketing=allow", DENIED, UNKNOWN),
    "usp-silent": ("usprivacy=1YNN; wp_consent_marketing=allow", GRANTED, UNKNOWN),
    "gpp-refuses": ("__gpp=DBABLA~CVQVAAAAAACA.YA; wp_consent_statistics=allow", DENIED, GRANTED),
    "none": ("foo=bar", UNKNOWN, UNKNOWN),
}


@pytest.mark.parametrize("name", COOKIES)
def test_cookie_is_read(name: str) -> None:
    text, marketing, analytics = COOKIES[name]
    assert gating(EVIDENCE["cookie"](text)) == (marketing, analytics)


def test_refusal_is_found_in_the_longest_header_that_a_browser_can_send() -> None:
    others = "; ".join(f"other_{number}={'x' * 90}" for number in range(150))
    assert gating(EVIDENCE["cookie"](f"{others}; wp_consent_marketing=deny"))[0] is DENIED


def test_refusal_of_a_consent_string_in_a_cookie_is_an_answer() -> None:
    evidence = EVIDENCE["cookie"]("__gpp=DBABLA~CVQVAAAAAACA.YA")
    assert (evidence.state, evidence.gpc, evidence.choices.sale_of_data) == (SignalState.ANSWERED, True, DENIED)


def test_implied_cookie_is_implied() -> None:
    assert EVIDENCE["cookie"](COOKIEBOT.replace("explicit", "implied")).basis is Basis.IMPLIED
