"""What is refused, stuck or broken is counted, with the place and the reason."""

import logging
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from gateway.errors import NotRecorded, Overloaded, SignatureInvalid
from gateway.storage.tables import bodies
from gateway.telemetry import Tracer
from gateway.telemetry.exporting import Exporting
from tests.shops import ALL, Shop, a_woo_order, an_entry, open_shop, settings_for


@pytest.fixture
def shop(sqlite_url: str) -> Iterator[Shop]:
    shop = open_shop(settings_for(sqlite_url))
    yield shop
    shop.gateway.close()


def counted(shop: Shop, name: str) -> list[tuple[dict[str, str], int]]:
    families = text_string_to_metric_families(shop.gateway.telling.metrics.counted().decode())
    samples = [one for family in families for one in family.samples if one.name == f"gateway_{name}"]
    return [(one.labels, int(one.value)) for one in samples if one.value]


def test_webhook_that_the_database_refuses_is_counted_so(shop: Shop) -> None:
    shop.gateway.database.write(lambda c: c.exec_driver_sql("ALTER TABLE webhooks RENAME TO away"))
    with pytest.raises(NotRecorded):
        shop.post(a_woo_order())
    assert counted(shop, "webhooks_total") == [({"store": "acme", "status": "not_recorded", "reason": "database"}, 1)]
    assert counted(shop, "queue_refused_total") == []
    assert ({"where": "database"}, 1) in counted(shop, "errors_total")


@pytest.mark.parametrize(
    ("error", "told", "overloads"),
    [
        (SignatureInvalid(), {"status": "signature", "reason": ""}, 0),
        (NotRecorded(), {"status": "not_recorded", "reason": "database"}, 0),
        (Overloaded(), {"status": "not_recorded", "reason": "overload"}, 1),
        (ZeroDivisionError(), {"status": "not_recorded", "reason": "error"}, 0),
    ],
)
def test_refusal_is_counted_with_its_reason(shop: Shop, error: Exception, told: dict[str, str], overloads: int) -> None:
    shop.gateway.telling.refused("acme", error)
    assert counted(shop, "webhooks_total") == [({"store": "acme"} | told, 1)]
    assert sum(number for _, number in counted(shop, "queue_refused_total")) == overloads


def test_error_is_counted_under_the_room_that_logs_it_until_the_end(shop: Shop) -> None:
    for _ in range(2):
        logging.getLogger("gateway.worker.loop").error("the delivery loop failed and goes on")
        logging.getLogger("gateway.worker.loop").warning("cannot claim")
        shop.gateway.telling.close()
    assert counted(shop, "errors_total") == [({"where": "worker"}, 1)]


def test_key_that_is_missing_is_counted_as_such(shop: Shop) -> None:
    shop.post(a_woo_order(1, an_entry(ALL)))
    shop.gateway.database.write(lambda c: c.execute(update(bodies).values(key_id="lost")).rowcount)
    shop.dispatch()
    assert counted(shop, "errors_total") == [({"where": "key"}, 1)]


def test_attempt_of_a_worker_that_is_gone_is_counted(shop: Shop) -> None:
    shop.post(a_woo_order(1, an_entry(ALL)))
    shop._claimed()
    shop.clock.pass_by(hours=1)
    shop.dispatch()
    words = {labels["outcome"]: number for labels, number in counted(shop, "attempts_total")}
    assert words == {"lease_expired": 1, "ok": 1}


def test_job_of_the_clock_tells_when_it_was_done(shop: Shop) -> None:
    shop.gateway.telling.job_done("sweep")
    shop.gateway.telling.job_failed("renewals", NotRecorded("the disk is full"))
    at = int(shop.clock().timestamp())
    assert counted(shop, "job_done_timestamp_seconds") == [({"job": "sweep"}, at)]
    assert counted(shop, "errors_total") == [({"where": "clock"}, 1)]


def test_trace_leads_from_the_webhook_to_the_delivery(shop: Shop) -> None:
    exporter = InMemorySpanExporter()
    shop.gateway.telling._tracer = Tracer(Exporting(SimpleSpanProcessor(exporter)))
    shop.sender.code = 503
    shop.post(a_woo_order(1, an_entry(ALL)))
    shop.dispatch()
    webhook, decision, attempt = exporter.get_finished_spans()
    assert [one.name for one in (webhook, decision, attempt)] == ["webhook", "decision", "attempt"]
    assert webhook.context is not None
    assert [one.parent and one.parent.span_id for one in (decision, attempt)] == [webhook.context.span_id] * 2
    assert decision.attributes is not None
    assert decision.attributes["gateway.reason"] == "all_granted"
    assert attempt.attributes is not None
    assert [attempt.attributes[f"gateway.{key}"] for key in ("destination", "attempt", "word")] == [
        "sink",
        1,
        "http_503",
    ]
    assert attempt.status.status_code is StatusCode.ERROR
