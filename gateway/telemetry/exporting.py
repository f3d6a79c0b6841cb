"""Spans by the OpenTelemetry SDK; imported only when traces are wanted, since its packages are optional."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from gateway.telemetry.words import told

_TRACES_PATH = "/v1/traces"
_EXPORT_SECONDS = 5
_CLOSE_SECONDS = 2.0


def batches_to(otlp_endpoint: str) -> SpanProcessor:
    """Return what sends spans in batches to a collector, in a thread of its own."""
    endpoint = otlp_endpoint.rstrip("/")
    url = endpoint if endpoint.endswith(_TRACES_PATH) else endpoint + _TRACES_PATH
    return BatchSpanProcessor(OTLPSpanExporter(url, timeout=_EXPORT_SECONDS))


class Exporting:
    """Spans for a processor, from a provider of its own, so that nothing global is changed."""

    def __init__(self, processor: SpanProcessor) -> None:
        """Begin without any span."""
        self._w3c = TraceContextTextMapPropagator()
        resource = Resource.create({"service.name": "consent-gateway"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("gateway")

    @contextmanager
    def span(self, name: str, parent: str | None, attributes: Mapping[str, object]) -> Iterator[None]:
        """Trace what happens inside; of an error only the type is told, its message may hold values."""
        context = self._w3c.extract({"traceparent": parent}) if parent else None
        with self._tracer.start_as_current_span(
            name, context, attributes=_allowed(attributes), record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_status(StatusCode.ERROR)
                span.set_attribute("error.type", type(error).__qualname__)
                raise

    def note(self, attributes: Mapping[str, object], *, is_failure: bool) -> None:
        """Tell more of the current span."""
        span = get_current_span()
        span.set_attributes(_allowed(attributes))
        if is_failure:
            span.set_status(StatusCode.ERROR)

    def traceparent(self) -> str | None:
        """Return the W3C traceparent of the current span."""
        carrier: dict[str, str] = {}
        self._w3c.inject(carrier)
        return carrier.get("traceparent")

    def close(self) -> None:
        """Export what is left, but wait no longer than two seconds: a collector that is away must not delay a stop."""
        closing = threading.Thread(target=self._provider.shutdown, name="close-traces", daemon=True)
        closing.start()
        closing.join(_CLOSE_SECONDS)


def _allowed(attributes: Mapping[str, object]) -> dict[str, AttributeValue]:
    return {f"gateway.{key}": _attribute(value) for key, value in told(attributes).items()}


def _attribute(value: object) -> AttributeValue:
    if isinstance(value, list):
        return [str(one) for one in value]
    return value if isinstance(value, bool | int | float) else str(value)
