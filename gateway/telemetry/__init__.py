"""Metrics, logs, traces: the words they use, in one place. None of them ever holds a person's data."""

from gateway.telemetry.logs import (
    configure_logging,
    count_errors,
    log_attempt,
    log_decision,
    log_error,
    log_event,
    log_webhook,
)
from gateway.telemetry.metrics import Backlog, Metrics, remembered
from gateway.telemetry.together import Together, add_counts
from gateway.telemetry.traces import Tracer, TracingUnavailable, connect_tracer

__all__ = [
    "Backlog",
    "Metrics",
    "Together",
    "Tracer",
    "TracingUnavailable",
    "add_counts",
    "configure_logging",
    "connect_tracer",
    "count_errors",
    "log_attempt",
    "log_decision",
    "log_error",
    "log_event",
    "log_webhook",
    "remembered",
]
