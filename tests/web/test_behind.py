"""Requests as the application behind the front gets them, and its answers as they go back."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask, request
from flask.typing import ResponseReturnValue

from gateway.web.asgi import Answer, Headers
from gateway.web.behind import Application, Behind
from gateway.web.proxies import trust_proxies
from tests.web.asking import Asked


def through(application: Application, asked: Asked, body: bytes = b"") -> Answer:
    """Have an application answer."""
    with ThreadPoolExecutor(1) as threads:
        return asyncio.run(Behind(application, threads).answer(asked.scope, Headers(asked.scope["headers"]), body))


def an_echo() -> Flask:
    """Tells what it was asked."""
    app = Flask("echo")

    @app.route("/<path:path>", methods=["GET", "POST"])
    def echo(path: str) -> ResponseReturnValue:
        return {
            "path": path,
            "query": request.args.to_dict(flat=False),
            "cookies": request.cookies,
            "type": request.headers.get("Content-Type"),
            "length": request.content_length,
            "body": request.get_data(as_text=True),
            "from": request.remote_addr,
            "secure": request.is_secure,
            "host": request.host,
            "url": request.url,
        }

    return app


@pytest.fixture
def echo() -> Callable[..., dict[str, Any]]:
    app = an_echo()
    trust_proxies(app, ["10.0.0.0/8"])

    def echo(body: bytes = b"", **asked: Any) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(through(app, Asked(**asked), body).body)
        return told

    return echo


def test_request_arrives_as_it_was_sent(echo: Callable[..., dict[str, Any]]) -> None:
    headers = [("Host", "shop.example"), ("Content-Type", "text/plain"), ("Content-Length", "3")]

    told = echo("a€".encode()[:3], path="/a/b", query="x=1&x=%C3%A4&y=", headers=headers)

    assert told["query"] == {"x": ["1", "ä"], "y": [""]}
    assert (told["path"], told["type"], told["length"], told["host"]) == ("a/b", "text/plain", 3, "shop.example")


@pytest.mark.parametrize(("sent", "read"), [("/a%20b", "a b"), ("/%C3%A4", "ä"), ("/a%2Fb", "a/b"), ("/%FF", "�")])
def test_path_is_decoded_once(echo: Callable[..., dict[str, Any]], sent: str, read: str) -> None:
    assert echo(path=sent)["path"] == read


def test_body_without_a_length_is_there(echo: Callable[..., dict[str, Any]]) -> None:
    assert echo(b"chunks", path="/x", headers=[("Transfer-Encoding", "chunked")])["body"] == "chunks"


def test_cookies_of_several_headers_are_all_there(echo: Callable[..., dict[str, Any]]) -> None:
    told = echo(path="/x", headers=[("Cookie", "a=1"), ("Cookie", "b=2; c=3")])

    assert told["cookies"] == {"a": "1", "b": "2", "c": "3"}


def test_forwarded_addresses_count_from_a_trusted_proxy_alone(echo: Callable[..., dict[str, Any]]) -> None:
    headers = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "10.0.0.7"), ("X-Forwarded-Proto", "https")]

    trusted = echo(path="/x", headers=headers, client=("10.0.0.1", 1))
    other = echo(path="/x", headers=headers, client=("192.0.2.1", 1))
    nobody = echo(path="/x", headers=headers, client=None)

    assert (trusted["from"], trusted["secure"]) == ("203.0.113.9", True)
    assert (other["from"], other["secure"]) == ("192.0.2.1", False)
    assert nobody["secure"] is False


def test_header_with_an_underscore_does_not_pass_for_the_one_with_a_dash(echo: Callable[..., dict[str, Any]]) -> None:
    true, false, proxy = ("X-Forwarded-For", "203.0.113.9"), ("X_Forwarded_For", "198.51.100.1"), ("10.0.0.1", 1)

    assert echo(path="/x", client=proxy, headers=[true, false])["from"] == "203.0.113.9"
    assert echo(path="/x", client=proxy, headers=[false, true])["from"] == "203.0.113.9"


def test_question_for_the_head_alone_gets_no_body() -> None:
    answer = through(an_echo(), Asked("/x", method="HEAD"))

    assert (answer.code, answer.body) == (200, b"")


def test_answer_keeps_headers_that_come_twice_and_is_closed() -> None:
    closed = []

    class Chunks:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"a", b"b"])

        def close(self) -> None:
            closed.append(True)

    def application(_: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        start("201 Created", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return Chunks()

    answer = through(application, Asked("/x"))

    assert answer == (201, [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")], b"ab")
    assert closed == [True]


def test_error_of_an_application_is_raised_where_it_was_asked() -> None:
    def application(_: dict[str, Any], _start: Callable[..., Any]) -> Iterable[bytes]:
        raise LookupError

    with pytest.raises(LookupError):
        through(application, Asked("/x"))
