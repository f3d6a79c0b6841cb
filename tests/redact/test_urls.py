"""What is left of a URL."""

import pytest

from gateway.model.decision import Strip
from gateway.redact.apply import Rules
from gateway.redact.urls import clean_url
from gateway.redact.verdict import Gate
from tests.redact import orders

UUID = "550e8400-e29b-41d4-a716-446655440000"


def left_of(url: str, strip: Strip = orders.DENIED) -> str | None:
    return clean_url(url, Gate.of(strip), orders.SHOP).text


@pytest.mark.parametrize(
    ("url", "left"),
    [
        ("https://shop.example/products/linen-shirt", "https://shop.example/products/linen-shirt"),
        ("/products/x?utm_source=ig&fbclid=Iw1&gad_source=1", "/products/x?utm_source=ig"),
        (
            "https://shop.example/?utm_term=lab+mug&utm_content=ad%201",
            "https://shop.example/?utm_term=lab+mug&utm_content=ad%201",
        ),
        (f"https://shop.example/?utm_id={UUID}&utm_source=a", "https://shop.example/?utm_source=a"),
        ("https://shop.example/?utm_campaign=a%40b.example", "https://shop.example/"),
        ("https://shop.example/?utm_campaign=a%2540b.example", "https://shop.example/"),
        ("https://shop.example/?utm_campaign=a+%2B49+171+2345678", "https://shop.example/"),
        ("https://shop.example/?utm_foo=1&foo=2&ref=anna&", "https://shop.example/"),
        ("https://l.instagram.com/?u=https%3A%2F%2Fshop.example%2F%3Ffbclid%3DIw", "https://l.instagram.com/"),
        ("https://shop.example/?utm_content=https%3A%2F%2Fx%2F%3Fgclid%3DCanary1", "https://shop.example/"),
        ("https://shop.example/?utm_content=https%253A%252F%252Fx%252F%253Fgclid%253DCanary1", "https://shop.example/"),
        ("https://anna:pw@shop.example:8443/a", "https://shop.example:8443/a"),
        ("https://shop.example/a#gclid=abc", "https://shop.example/a"),
        ("https://shop.example/1/orders/tok1/authenticate?key=k", "https://shop.example/1/orders/*/*"),
        ("https://shop.example/en/account/activate/7/abc", "https://shop.example/en/account/*/*/*"),
        ("https://shop.example/checkouts/cn/Z2NwLWV1cm9wZS13ZXN0NDow", "https://shop.example/checkouts/*/*"),
        (f"https://shop.example/p/{UUID}/iphone15promax", "https://shop.example/p/*/iphone15promax"),
        ("https://shop.example/unsubscribe/anna%40example.com", "https://shop.example/unsubscribe/*"),
        (
            "https://shop.example/checkout/order-received/153/?key=wc_order_A1",
            "https://shop.example/checkout/order-received/153/",
        ),
        (
            "android-app://com.google.android.googlequicksearchbox/",
            "android-app://com.google.android.googlequicksearchbox/",
        ),
        ("www.google.com/search?q=anna", "www.google.com/search"),
        ("//shop.example/a?x=1", "//shop.example/a"),
        ("?utm_source=a&b=c", "?utm_source=a"),
        ("http://127.0.0.1:8081/a", "http://127.0.0.1:8081/a"),
        ("http://203.0.113.9/a", None),
        ("http://[2001:db8::1]/a", None),
        ("https://shop.example:99999/", None),
        ("https://[shop/", None),
        ("javascript:alert(1)", None),
        ("mailto:anna@example.com", None),
        ("gclid=1", None),
        ("anna@example.com", None),
        ("a text with blanks", None),
        ("", None),
    ],
)
def test_url_keeps_its_path_and_its_campaign(url: str, left: str | None) -> None:
    assert left_of(url) == left


def test_granted_click_id_stays() -> None:
    url = "https://shop.example/?gclid=Canary123&_ga=1.2&utm_source=a"
    assert left_of(url, orders.ANALYTICS_DENIED) == "https://shop.example/?gclid=Canary123&utm_source=a"
    assert left_of(url, orders.MARKETING_DENIED) == "https://shop.example/?_ga=1.2&utm_source=a"


def test_linker_needs_both() -> None:
    url = "https://shop.example/?_gl=1*abc*_ga*MTEx"
    assert left_of(url, orders.MARKETING_DENIED) == "https://shop.example/"
    assert left_of(url, orders.ANALYTICS_DENIED) == "https://shop.example/"


def test_stale_click_ids_go_and_campaign_words_stay() -> None:
    assert left_of("/a?gclid=Canary123&utm_source=a", orders.STALE) == "/a?utm_source=a"


def test_parts_that_went_are_named_and_what_was_in_them_is_found() -> None:
    url = "https://a:b@shop.example/?redirect=%2F%3Fgclid%3DCanary123#x"
    clean = clean_url(url, Gate.of(orders.DENIED), Rules())
    assert clean.removed == ("?redirect", "@", "#")
    assert [finding.value for finding in clean.findings] == ["Canary123"]
