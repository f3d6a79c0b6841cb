"""Traces from a webhook to its deliveries; off unless an endpoint is configured."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.telemetry.exporting import Exporting


_NOTHING: Final = nullcontext()


class TracingUnavailable(Exception):
    """Traces need optional packages: pip install 'consent-gateway[otlp]', or leave telemetry.otlp_endpoint empty."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__(self.__doc__)


class Tracer:
    """Traces what happens, or nothing at all; what is done inside a span is done all the same."""

    def __init__(self, exporting: "Exporting | None" = None) -> None:
        """Trace by `exporting`; without it nothing."""
        self._exporting = exporting

    @property
    def is_tracing(self) -> bool:
        """Whether spans go anywhere."""
        return self._exporting is not None

    def span(self, name: str, *, parent: str | None = None, **attributes: object) -> AbstractContextManager[None]:
        """Trace what happens inside, below `parent` (a traceparent) or else below the span around it.

        Attributes go by the same rules as the fields of a log line.
        """
        return self._exporting.span(name, parent, attributes) if self._exporting else _NOTHING

    def note(self, *, is_failure: bool = False, **attributes: object) -> None:
        """Tell more of the span around this call."""
        if self._exporting:
            self._exporting.note(attributes, is_failure=is_failure)

    def current_traceparent(self) -> str | None:
        """Return the W3C traceparent of the span around this call, to be stored with what is done later."""
        return self._exporting.traceparent() if self._exporting else None

    def close(self) -> None:
        """Export what is left."""
        if self._exporting:
            self._exporting.close()


def connect_tracer(otlp_endpoint: str) -> Tracer:
    """Return a tracer for an OTLP/HTTP collector such as `http://localhost:4318`; "" traces nothing.

    Raises TracingUnavailable when the optional packages are not installed.
    """
    if not otlp_endpoint:
        return Tracer()
    try:
        from gateway.telemetry.exporting import Exporting, batches_to  # noqa: PLC0415 - its packages are optional
    except ImportError:
        raise TracingUnavailable from None
    return Tracer(Exporting(batches_to(otlp_endpoint)))
