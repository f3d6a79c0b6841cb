"""Webhooks answered by coroutines: what is read of them, when they are refused, and what they leave alone."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.errors import NotRecorded
from gateway.storage.statements import Connection
from gateway.telemetry import Tracer
from gateway.telemetry.exporting import Exporting
from gateway.web import create_app, create_front
from gateway.web.asgi import LARGE, Patience
from gateway.web.front import LARGE_WEBHOOKS, MOST_UNDER_WAY, Front, Look
from tests.shops import Shop, a_woo_order, open_shop, settings_for
from tests.web.asking import GONE, Asked, a_post, ask, piece, pieces
from tests.web.test_webhooks_http import woo_headers

MOST_BYTES = 2 * LARGE
CONSENT = "/consent/acme"


@pytest.fixture
def shop(sqlite_url: str) -> Iterator[Shop]:
    settings = settings_for(sqlite_url)
    shop = open_shop(replace(settings, web=replace(settings.web, max_body_bytes=MOST_BYTES)))
    yield shop
    shop.gateway.close()


@pytest.fixture
def front(shop: Shop) -> Front:
    return create_front(shop.gateway, threads=2)


def an_order(**changes: Any) -> bytes:
    return json.dumps(a_woo_order(**changes)).encode()


def signed(body: bytes) -> list[tuple[str, str]]:
    return list(woo_headers(body).items())


def accepted(*asked: Asked) -> bool:
    return all((one.code, one.told) == (200, {"status": "accepted", "reason": ""}) for one in asked)


def test_order_is_recorded_and_answered(shop: Shop, front: Front) -> None:
    body = an_order()
    asked = a_post(body, woo_headers(body))

    ask(front, asked)

    assert accepted(asked)
    assert asked.answer_headers == {"content-type": "application/json", "content-length": "33"}
    assert len(shop.deliveries()) == 1


def test_many_at_once_are_each_answered_for_themselves(shop: Shop, front: Front) -> None:
    bodies = [an_order() for _ in range(40)]
    good = [a_post(body, woo_headers(body)) for body in bodies]
    bad = [a_post(body + b" ", woo_headers(body)) for body in bodies]

    ask(front, *(one for pair in zip(good, bad, strict=True) for one in pair))

    assert accepted(*good)
    assert {(one.code, one.told["status"]) for one in bad} == {(401, "signature")}
    assert len(shop.deliveries()) == 40


def test_body_in_pieces_is_read_whole_with_and_without_a_length(front: Front) -> None:
    first, second = an_order(), an_order()
    chunked = Asked(headers=[*signed(first), ("Transfer-Encoding", "chunked")], messages=pieces(first, 100))
    announced = a_post(second, woo_headers(second), messages=pieces(second, 100))

    ask(front, chunked, announced)

    assert accepted(chunked, announced)
    assert announced.taken == len(announced.messages) - 1  # it was whole, so nothing more was asked for


def test_length_beside_chunks_counts_for_nothing(front: Front) -> None:
    body = an_order()
    lying = [*signed(body), ("Content-Length", "7"), ("Transfer-Encoding", "chunked")]
    asked = Asked(headers=lying, messages=pieces(body, 100))

    ask(front, asked)

    assert accepted(asked)


def test_nothing_is_read_for_an_unknown_store(front: Front) -> None:
    asked = Asked(path="/webhooks/other", headers=[("Content-Length", "9")])

    ask(front, asked)

    assert (asked.code, asked.told["status"], asked.taken) == (404, "store", 0)


def test_body_that_is_announced_as_too_large_is_not_read(front: Front) -> None:
    asked = Asked(headers=[("Content-Length", str(MOST_BYTES + 1))])

    ask(front, asked)

    assert (asked.code, asked.told["status"], asked.taken) == (413, "too_large", 0)


def test_body_in_chunks_is_read_to_the_limit_and_no_further(front: Front) -> None:
    endless = Asked(messages=[piece(b"x" * LARGE) for _ in range(9)])

    ask(front, endless)

    assert (endless.code, endless.told["status"], endless.taken) == (413, "too_large", 3)


def test_sender_that_goes_away_leaves_nothing(shop: Shop, front: Front) -> None:
    body = an_order()
    asked = a_post(body, woo_headers(body), messages=[piece(body[:-1]), GONE])

    ask(front, asked)

    assert (asked.code, asked.told["status"]) == (400, "bad_request")
    assert shop.deliveries() == []


def test_sender_that_falls_silent_is_given_up(shop: Shop) -> None:
    front = Front(shop.gateway, create_app(shop.gateway), threads=1, patience=Patience(0.05))
    webhook, other = Asked(messages=[piece(b"{")]), Asked(path="/consent/acme", messages=[piece(b"{")])

    ask(front, webhook, other)

    assert [(one.code, one.told["status"], set(one.told)) for one in (webhook, other)] == [
        (408, "request_timeout", {"status", "reason"})
    ] * 2
    assert b'{reason="",status="request_timeout",store="acme"} 1' in shop.gateway.telling.metrics.counted()


def test_headers_are_found_whatever_their_case_and_joined_where_there_are_two(front: Front) -> None:
    body = an_order()
    upper = [(name.upper(), value) for name, value in signed(body)]
    twice = [*signed(body), ("x-wc-webhook-signature", "AAAA")]
    asked = [Asked(headers=headers, messages=pieces(body, 10_000)) for headers in (upper, twice)]

    ask(front, *asked)

    assert accepted(asked[0])
    assert (asked[1].code, asked[1].told["status"]) == (401, "signature")


def test_large_body_is_taken_too(shop: Shop, front: Front) -> None:
    body = an_order(customer_note="x" * LARGE)
    asked = a_post(body, woo_headers(body))

    ask(front, asked)

    assert accepted(asked)
    assert len(shop.deliveries()) == 1


def test_no_more_large_bodies_are_held_than_there_is_room_for(front: Front) -> None:
    large = [("Content-Length", str(LARGE + 1))]
    stuck = [Asked(headers=large, messages=[piece(b"{")]) for _ in range(LARGE_WEBHOOKS)]
    refused, small = Asked(headers=large), a_post(b"webhook_id=1", {})

    asyncio.run(_beside(front, stuck, refused, small))

    assert (refused.code, refused.told["status"], refused.taken) == (503, "not_recorded", 0)
    assert int(refused.answer_headers["retry-after"]) > 0
    assert (small.code, small.told["reason"]) == (200, "ping")


def test_too_many_under_way_are_refused_at_once_and_taken_again_later(front: Front) -> None:
    stuck = [Asked(messages=[piece(b"{")]) for _ in range(MOST_UNDER_WAY)]
    refused, later = a_post(b"webhook_id=1", {}), a_post(b"webhook_id=1", {})

    asyncio.run(_beside(front, stuck, refused))
    ask(front, later)

    assert (refused.code, refused.told["status"], refused.taken) == (503, "not_recorded", 0)
    assert later.code == 200


async def _beside(front: Front, stuck: list[Asked], *asked: Asked) -> None:
    """Have some answered while others are stuck in the middle of their bodies."""
    waiting = [asyncio.ensure_future(one.of(front)) for one in stuck]
    await asyncio.sleep(0.01)
    for one in asked:
        await asyncio.wait_for(one.of(front), 20)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


def test_what_cannot_be_recorded_is_to_be_sent_again(shop: Shop, front: Front) -> None:
    body = an_order()
    shop.gateway.database.close()
    asked = a_post(body, woo_headers(body))

    ask(front, asked)

    assert (asked.code, asked.told["status"]) == (503, "not_recorded")
    assert int(asked.answer_headers["retry-after"]) > 0


def test_webhooks_at_the_same_time_are_traced_apart(shop: Shop, front: Front) -> None:
    spans = InMemorySpanExporter()
    shop.gateway.telling._tracer = Tracer(Exporting(SimpleSpanProcessor(spans)))
    bodies = [an_order() for _ in range(20)]

    ask(front, *(a_post(body, woo_headers(body), messages=pieces(body, 500)) for body in bodies))

    told = spans.get_finished_spans()
    assert [one.parent for one in told] == [None] * 20
    assert len({one.context.trace_id for one in told if one.context}) == 20
    assert len({row["trace"] for row in shop.deliveries()}) == 20


def test_everything_else_goes_to_the_application_behind(front: Front) -> None:
    health, refused = Asked("/healthz", messages=[piece(b"", is_last=True)], method="GET"), Asked(method="PUT")
    refused.messages = [piece(b"", is_last=True)]
    too_large = Asked("/consent/acme", headers=[("Content-Length", str(MOST_BYTES + 1))])

    ask(front, health, refused, too_large)

    assert (health.code, health.told) == (200, {"status": "ok"})
    assert (refused.code, "POST" in refused.answer_headers["allow"]) == (405, True)
    assert (too_large.code, too_large.told["status"], too_large.taken) == (413, "too_large", 0)


@pytest.fixture
def held_up(shop: Shop) -> Iterator[None]:
    """A database that takes nothing for the time being."""
    is_held, may_go_on = threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        is_held.set()
        assert may_go_on.wait(20)

    holding = threading.Thread(target=shop.gateway.database.write, args=(hold,))
    holding.start()
    assert is_held.wait(20)
    yield
    may_go_on.set()
    holding.join()


def a_denial() -> Asked:
    return a_post(b'{"session_id": "session-0000000000000001", "categories": {"marketing": false}}', {}, path=CONSENT)


@pytest.mark.usefixtures("held_up")
def test_whatever_the_database_takes_too_long_for_is_to_be_sent_again(shop: Shop) -> None:
    front = Front(shop.gateway, create_app(shop.gateway), threads=2, answer_seconds=0.05)
    denials = [a_denial() for _ in range(6)]

    ask(front, *denials)

    assert {(one.code, one.told["status"]) for one in denials} == {(503, "not_recorded")}
    assert int(denials[0].answer_headers["retry-after"]) > 0
    assert b'{door="front",status="not_recorded",store=""} 6' in shop.gateway.telling.metrics.counted()


@pytest.mark.usefixtures("held_up")
def test_health_waits_for_nobody_who_waits_for_the_database(front: Front) -> None:
    health, metrics = (Asked(path, method="GET") for path in ("/healthz", "/metrics"))

    asyncio.run(_beside(front, [a_denial() for _ in range(6)], health, metrics))

    assert (health.code, metrics.code) == (200, 200)


@pytest.mark.usefixtures("held_up")
def test_page_may_take_as_long_as_it_needs(shop: Shop) -> None:
    front = Front(shop.gateway, create_app(shop.gateway), threads=1, answer_seconds=0.0)
    page = Asked("/admin/sign-in", method="GET")

    ask(front, page)

    assert page.code == 200


def test_one_look_serves_many_and_one_that_fails_is_told_to_all_who_waited() -> None:
    looked: list[int] = []

    def fails_at_first() -> None:
        looked.append(len(looked))
        if len(looked) == 1:
            raise NotRecorded("away")

    async def ask_often() -> list[Any]:
        look = Look(fails_at_first)
        failed = await asyncio.gather(*(look() for _ in range(5)), return_exceptions=True)
        return [*failed, *await asyncio.gather(*(look() for _ in range(5)))]

    answers = asyncio.run(ask_often())
    assert [str(one) for one in answers] == ["away"] * 5 + ["None"] * 5
    assert looked == [0, 1]


def test_nobody_waits_for_a_look_while_the_last_is_good() -> None:
    may_end, looks = threading.Event(), iter([True, False])
    time = 0.0

    def held_up() -> None:
        if not next(looks):
            assert may_end.wait(20)

    async def ask_twice() -> None:
        nonlocal time
        look = Look(held_up, clock=lambda: time)
        await look()
        time = 1.0
        await asyncio.wait_for(look(), 10)  # begins another, and goes on
        may_end.set()

    asyncio.run(ask_twice())
