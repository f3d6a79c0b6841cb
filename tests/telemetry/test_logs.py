"""Logs hold ids and words, whatever is thrown at them."""

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import DeliveryFailed, NotRecorded
from gateway.telemetry import configure_logging, log_attempt, log_decision, log_error, log_event, log_webhook
from gateway.telemetry.logs import QUIET_LOGGERS, SafeFormatter
from gateway.telemetry.words import WITHHELD, told

Lines = Callable[[], list[dict[str, object]]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Configure logging into memory, and put everything back afterwards."""
    stream = io.StringIO()
    names = (None, "gateway", *QUIET_LOGGERS)
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    root, handlers = logging.getLogger(), logging.getLogger().handlers[:]
    hooks = sys.excepthook, threading.excepthook
    looked_up = logging.logThreads, logging.logProcesses, logging.logMultiprocessing
    configure_logging("INFO", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.captureWarnings(capture=False)
    logging.logThreads, logging.logProcesses, logging.logMultiprocessing = looked_up
    sys.excepthook, threading.excepthook = hooks
    root.handlers[:] = handlers
    for logger, level in before:
        logger.setLevel(level)


def without_time(line: dict[str, object]) -> dict[str, object]:
    at = datetime.fromisoformat(str(line["at"]))
    assert at.tzinfo == UTC
    return {name: value for name, value in line.items() if name != "at"}


def test_webhook_is_one_line(lines: Lines) -> None:
    log_webhook(store="acme", topic="order.updated", status="accepted", order="1042", reason="")
    assert [without_time(line) for line in lines()] == [
        {
            "level": "info",
            "log": "webhook",
            "store": "acme",
            "topic": "order.updated",
            "status": "accepted",
            "reason": "",
            "order": "1042",
        }
    ]


def test_decision_is_one_line(lines: Lines) -> None:
    log_decision(
        store="acme",
        destination="container",
        action="send_redacted",
        reason="some_denied",
        delivery=7,
        policy_version=3,
        identifiers=("billing.email", "meta_data[_fbp]"),
    )
    (line,) = lines()
    assert (line["log"], line["delivery"], line["policy_version"]) == ("decision", 7, 3)
    assert line["identifiers"] == ["billing.email", "meta_data[_fbp]"]


def test_attempt_is_one_line(lines: Lines) -> None:
    log_attempt(store="acme", destination="container", attempt=2, outcome="retry", word="http_503", duration_ms=12.5)
    (line,) = lines()
    assert (line["log"], line["attempt"], line["word"], line["duration_ms"]) == ("attempt", 2, "http_503", 12.5)


def test_handler_of_somebody_else_gets_records_too(lines: Lines) -> None:
    record_of: list[logging.LogRecord] = []
    other = logging.Handler()
    other.emit = record_of.append  # type: ignore[method-assign,assignment]
    logging.getLogger().addHandler(other)
    log_event("started", count=8080)
    assert [(record.getMessage(), record.levelname) for record in record_of] == [("started", "INFO")]
    assert [line["count"] for line in lines()] == [8080]


def test_level_decides_what_is_told(lines: Lines) -> None:
    log_event("started", logging.DEBUG, count=8080)
    log_event("started", logging.WARNING, count=8080)
    assert [line["level"] for line in lines()] == ["warning"]


def test_message_of_an_error_of_ours_is_told(lines: Lines) -> None:
    log_error("clock", NotRecorded("the disk is full"), job="renewals")
    (line,) = lines()
    assert (line["where"], line["job"], line["message"]) == ("clock", "renewals", "the disk is full")


def test_unknown_field_is_left_out_and_named(lines: Lines) -> None:
    log_event("webhook", store="acme", body='{"email":"c4nary@shop.example"}', email="c4nary")
    (line,) = lines()
    assert without_time(line) == {"level": "info", "log": "webhook", "store": "acme", "refused": ["body", "email"]}


@pytest.mark.parametrize(
    "value",
    [
        "c4nary@shop.example",
        "C4nary Smith",
        "https://shop.example/?c4nary=1",
        '{"c4nary":1}',
        "c4nary" * 40,
        "c4nary\nlevel=info",
        "Zo\u00eb-c4nary",
        b"c4nary",
        {"c4nary": 1},
        object(),
        ValueError("c4nary"),
    ],
)
def test_value_that_is_no_word_is_withheld(lines: Lines, value: object) -> None:
    log_event("webhook", reason=value, reasons=[value, "fine"])
    (line,) = lines()
    assert line["reason"] == WITHHELD
    assert line["reasons"] == [WITHHELD, "fine"]


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=20) | st.binary(max_size=5) | st.integers()))
def test_any_fields_become_plain_json(fields: dict[str, object]) -> None:
    record = logging.makeLogRecord({"msg": "x", "fields": fields, "levelname": "INFO"})
    assert set(json.loads(SafeFormatter().format(record))) == {"at", "level", "log", *told(fields)}


def test_error_is_told_by_type_and_place_without_its_message(lines: Lines) -> None:
    def fail() -> None:
        try:
            int("c4nary")
        except ValueError as error:
            raise RuntimeError("c4nary") from error

    with pytest.raises(RuntimeError) as caught:
        fail()
    log_error("worker", caught.value, delivery=7)
    (line,) = lines()
    assert line["error"] == ["builtins.RuntimeError", "builtins.ValueError"]
    assert str(line["raised_at"]).startswith("telemetry/test_logs.py:")
    assert (line["level"], line["where"], line["delivery"]) == ("error", "worker", 7)
    assert "c4nary" not in json.dumps(line)


def test_error_of_ours_names_the_line_in_the_gateway(lines: Lines) -> None:
    with pytest.raises(RuntimeError) as caught:
        log_error("x", _Explosive())  # type: ignore[arg-type]  # stands for a bug inside the gateway
    log_error("telemetry", caught.value)
    (line,) = lines()
    assert str(line["gateway_at"]).startswith("gateway/telemetry/logs.py:")


class _Explosive:
    def __bool__(self) -> bool:
        raise RuntimeError


def test_messages_of_our_modules_are_filled_with_safe_values_only(lines: Lines) -> None:
    log = logging.getLogger("gateway.worker")
    log.warning("cannot write %d outcomes yet: %s", 3, DeliveryFailed("dns_failed"))
    log.warning("cannot read %s: %s", "delivery-7", ValueError("c4nary"))
    log.warning("cannot read %s", "c4nary@shop.example")
    log.warning("the loop goes on")
    assert [line["message"] for line in lines()] == [
        "cannot write 3 outcomes yet: dns_failed",
        "cannot read delivery-7: ValueError",
        "cannot read [withheld]",
        "the loop goes on",
    ]


def test_messages_of_libraries_lose_their_values(lines: Lines) -> None:
    log = logging.getLogger("urllib3.connectionpool")
    log.warning("Connection pool is full, discarding connection: %s. Size: %d", "c4nary", 10)
    log.warning("GET /c4nary")  # filled in beforehand, as some libraries do
    log.warning({"c4nary": 1})
    log.info("c4nary")
    assert [line["message"] for line in lines()] == [
        "Connection pool is full, discarding connection: [withheld]. Size: 10",
        WITHHELD,
        WITHHELD,
    ]


@pytest.mark.parametrize("template", ["100% %s", "%d", "%s %s", "%(name)s"])
def test_template_that_does_not_fit_its_values_is_told_without_them(template: str) -> None:
    record = logging.makeLogRecord({"name": "urllib3", "msg": template, "args": ("c4nary",), "levelname": "INFO"})
    assert json.loads(SafeFormatter().format(record))["message"] == template


def test_exception_with_sql_parameters_is_told_by_type(lines: Lines) -> None:
    try:
        raise LookupError("INSERT ... [parameters: ('c4nary@shop.example',)]")  # noqa: TRY301 - logged where it is caught
    except LookupError:
        logging.getLogger("sqlalchemy.pool").exception("Exception during reset %s", "c4nary")
    (line,) = lines()
    assert line["error"] == ["builtins.LookupError"]
    assert "c4nary" not in json.dumps(line)


@pytest.mark.parametrize(
    "name", ["werkzeug", "urllib3", "sqlalchemy.engine", "granian.access", "apscheduler.executors"]
)
def test_libraries_are_held_to_warnings(lines: Lines, name: str) -> None:
    logging.getLogger(name).info("c4nary")
    assert lines() == []


def test_warnings_are_lines_too(lines: Lines) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("c4nary", UserWarning, stacklevel=1)
    (line,) = lines()
    assert line["logger"] == "py.warnings"
    assert "c4nary" not in json.dumps(line)


def test_uncaught_errors_are_lines_without_messages(lines: Lines) -> None:
    error = ValueError("c4nary")
    sys.excepthook(ValueError, error, None)
    threading.excepthook(threading.ExceptHookArgs((ValueError, error, None, None)))
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert [(line["where"], line["error"]) for line in lines()] == [
        ("uncaught", ["builtins.ValueError"]),
        ("thread", ["builtins.ValueError"]),
    ]


def test_log_that_cannot_be_written_stops_nothing(lines: Lines, capfd: pytest.CaptureFixture[str]) -> None:
    closed = io.StringIO()
    closed.close()
    configure_logging("INFO", closed)
    log_event("webhook", store="c4nary")
    assert capfd.readouterr().err == ""
