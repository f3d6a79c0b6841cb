"""Traces: nothing by default, and to a real collector over HTTP when configured."""

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.telemetry import Tracer, TracingUnavailable, connect_tracer


class Collector:
    """An OTLP/HTTP collector that keeps what it gets."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.bodies: list[bytes] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.paths.append(self.path)
                collector.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def spans(self) -> dict[str, Span]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return {
            span.name: span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def attributes_of(span: Span) -> dict[str, object]:
    return {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes}


def test_nothing_is_traced_by_default() -> None:
    tracer = connect_tracer("")
    with tracer.span("webhook", store="acme"):
        assert tracer.current_traceparent() is None
    tracer.close()


def test_errors_pass_through_a_span_that_traces_nothing() -> None:
    with pytest.raises(ValueError, match="own"), Tracer().span("webhook"):
        raise ValueError("own")


@pytest.mark.parametrize("path", ["", "/", "/v1/traces"])
def test_spans_reach_the_collector_with_their_attributes(collector: Collector, path: str) -> None:
    tracer = connect_tracer(collector.url + path)
    with tracer.span("webhook", store="acme", attempt=2, reasons=["a", "b"]):
        pass
    tracer.close()
    assert collector.paths == ["/v1/traces"]
    span = collector.spans()["webhook"]
    attributes = attributes_of(span)
    assert (attributes["gateway.store"], attributes["gateway.attempt"]) == ("acme", 2)


def test_delivery_is_linked_to_its_webhook_by_the_stored_traceparent(collector: Collector) -> None:
    tracer = connect_tracer(collector.url)
    with tracer.span("webhook"):
        stored = tracer.current_traceparent()
    with tracer.span("delivery", parent=stored), tracer.span("attempt"):
        pass
    tracer.close()
    spans = collector.spans()
    assert stored is not None
    assert stored.split("-")[1] == spans["webhook"].trace_id.hex()
    assert spans["delivery"].parent_span_id == spans["webhook"].span_id
    assert spans["attempt"].parent_span_id == spans["delivery"].span_id
    assert len({span.trace_id for span in spans.values()}) == 1


@pytest.mark.parametrize("parent", ["", "rubbish", "00-0-0-00", "\r\n", None])
def test_unreadable_parent_begins_a_trace_of_its_own(collector: Collector, parent: str | None) -> None:
    tracer = connect_tracer(collector.url)
    with tracer.span("delivery", parent=parent):
        pass
    tracer.close()
    assert collector.spans()["delivery"].parent_span_id == b""


def test_nothing_personal_is_traced(collector: Collector) -> None:
    tracer = connect_tracer(collector.url)
    with pytest.raises(ValueError, match="c4nary"), tracer.span("webhook", body="c4nary", reason="c4nary@shop.example"):
        raise ValueError("c4nary")
    tracer.close()
    span = collector.spans()["webhook"]
    assert attributes_of(span)["error.type"] == "ValueError"
    assert span.status.code == 2
    assert b"c4nary" not in b"".join(collector.bodies)


def test_collector_that_is_away_stops_nothing() -> None:
    tracer = connect_tracer("http://127.0.0.1:1")
    with tracer.span("webhook"):
        assert tracer.current_traceparent()
    tracer.close()


def test_missing_packages_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gateway.telemetry.exporting", None)
    with pytest.raises(TracingUnavailable, match=r"pip install 'consent-gateway\[otlp\]'"):
        connect_tracer("http://127.0.0.1:4318")
