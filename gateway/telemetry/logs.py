"""Logs: one line of JSON per thing that happens, on standard error.

Lines hold ids and words, never a person's data. Errors are told by type and place, and only those of our own families
with their message: those of foreign errors may repeat values (SQL parameters, URLs, bytes that could not be parsed).
"""

import json
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import PurePath
from types import TracebackType
from typing import TextIO

import orjson

from gateway.telemetry.words import WITHHELD, plain, told

LOGGER_NAME = "gateway"
# Chatty below warnings, and apt to repeat what they handle.
QUIET_LOGGERS = (
    "_granian",
    "granian",
    "granian.access",
    "alembic",
    "apscheduler",
    "flask_limiter",
    "opentelemetry",
    "requests",
    "sqlalchemy",
    "urllib3",
    "werkzeug",
)

_CAUSES_TOLD = 5
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode

_log = logging.getLogger(LOGGER_NAME)
_log.addHandler(logging.NullHandler())  # a command of an operator says what went wrong itself
_root = logging.getLogger()


def log_webhook(*, store: str, topic: str, status: str, reason: str = "", **ids: object) -> None:
    """Tell of one webhook and what it was answered."""
    log_event("webhook", store=store, topic=topic, status=status, reason=reason, **ids)


def log_decision(*, store: str, destination: str, action: str, reason: str, **ids: object) -> None:
    """Tell what was decided for one delivery, and why."""
    log_event("decision", store=store, destination=destination, action=action, reason=reason, **ids)


def log_attempt(*, store: str, destination: str, attempt: int, outcome: str, word: str, **ids: object) -> None:
    """Tell what one attempt came to."""
    log_event("attempt", store=store, destination=destination, attempt=attempt, outcome=outcome, word=word, **ids)


def log_event(name: str, level: int = logging.INFO, /, **fields: object) -> None:
    """Tell that `name` happened; fields whose names are not in `words.FIELDS` are left out and named."""
    if not _log.isEnabledFor(level):
        return
    match _root.handlers:
        case [_Handler() as only]:  # nobody else wants a record: to build one costs more than the line
            at = time.time()  # noqa: TID251 - as records have it: a log tells this machine's own time
            only.write_line(_encoded(_line(at, level, {"log": name, **told(fields)})))
        case _:
            _log.handle(_record(level, name, fields))


def log_error(where: str, error: BaseException, **fields: object) -> None:
    """Tell of an error that was caught: its type and place, and its message where it is one of ours."""
    _log.handle(_record(logging.ERROR, "error", {"where": where, **fields}, error))


def configure_logging(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process, and what nobody catches, through the one formatter."""
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(SafeFormatter())
    for old in _root.handlers[:]:
        _root.removeHandler(old)
    _root.addHandler(handler)
    _root.setLevel(logging.WARNING)
    _log.setLevel(level.upper())
    for name in QUIET_LOGGERS:
        quiet = logging.getLogger(name)
        quiet.handlers.clear()
        quiet.propagate = True
        quiet.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # never told, so not looked up
    sys.excepthook = _tell_uncaught
    threading.excepthook = _tell_uncaught_in_thread


def count_errors(count: Callable[[str], None]) -> Callable[[], None]:
    """Tell `count` where each error is that is logged from here on, until what is returned is called."""
    counting = _Counting(count)
    _log.addHandler(counting)
    return lambda: _log.removeHandler(counting)


class SafeFormatter(logging.Formatter):
    """Turns a record into a line of JSON that holds nothing but ids, words and places."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", None)
        what: dict[str, object] = (
            {"log": record.getMessage(), **told(fields)}
            if isinstance(fields, Mapping)
            else {"log": "message", "logger": record.name, "message": _safe_message(record)}
        )
        line = _line(record.created, record.levelno, what)
        if record.exc_info and record.exc_info[1]:
            line |= _told_error(record.exc_info[1])
        return _encoded(line)


class _Handler(logging.StreamHandler[TextIO]):
    """Never prints what it failed to write: the standard handler would, with all values."""

    def write_line(self, text: str) -> None:
        """Write one line at once, or lose it."""
        self.acquire()
        try:
            self.stream.write(text + self.terminator)
            self.stream.flush()
        except Exception:  # noqa: BLE001 - a log that cannot be written must not stop deliveries
            return
        finally:
            self.release()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is the library's
        """Lose the line; a log that cannot be written must not stop deliveries."""


class _Counting(logging.Handler):
    """Hears of errors that were caught: by their place, or by the room that logged them."""

    def __init__(self, count: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._count = count

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != LOGGER_NAME:
            self._count(record.name.split(".")[1])
        elif record.exc_info:
            self._count(str(getattr(record, "fields", {}).get("where", "")))


def _line(at: float, level: int, what: Mapping[str, object]) -> dict[str, object]:
    seconds = int(at)
    told_at = f"{_second(seconds)}.{int((at - seconds) * 1000):03}Z"
    return {"at": told_at, "level": logging.getLevelName(level).lower(), **what}


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _record(
    level: int, name: str, fields: Mapping[str, object], error: BaseException | None = None
) -> logging.LogRecord:
    exc_info = (type(error), error, error.__traceback__) if error else None
    return _log.makeRecord(LOGGER_NAME, level, "", 0, name, (), exc_info, extra={"fields": fields})


def _encoded(line: Mapping[str, object]) -> str:
    """Write a line in ASCII, whatever the stream takes; what only the standard library can write is rare."""
    try:
        text = orjson.dumps(line).decode()
    except orjson.JSONEncodeError:
        return _ENCODE(line)
    return text if text.isascii() else _ENCODE(line)


def _safe_message(record: logging.LogRecord) -> str:
    """Fill a message's template with what is safe; a message without a template may hold anything when not ours."""
    is_ours = record.name.partition(".")[0] == LOGGER_NAME
    if not isinstance(record.msg, str) or not (record.args or is_ours):
        return WITHHELD
    args = record.args if isinstance(record.args, tuple) else (record.args,) if record.args else ()
    try:
        return record.msg % tuple(_safe_argument(arg, is_ours=is_ours) for arg in args)
    except (TypeError, ValueError):
        return record.msg


def _safe_argument(value: object, *, is_ours: bool) -> object:
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, BaseException):
        return str(value) if _is_own(value) else type(value).__qualname__
    return plain(value) if is_ours else WITHHELD


def _is_own(error: BaseException) -> bool:
    """Whether this is an error of one of our families, whose messages never hold a person's data."""
    return any(kind.__module__ == "gateway.errors" for kind in type(error).__mro__)


def _told_error(error: BaseException) -> dict[str, object]:
    """Name an error, what it came from, and where: the innermost place, and the innermost one of ours."""
    names: list[str] = []
    cause: BaseException | None = error
    while cause and len(names) < _CAUSES_TOLD:
        names.append(f"{type(cause).__module__}.{type(cause).__qualname__}")
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    places = [
        f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    ours = [place for place in places if place.startswith("gateway/")]
    told_places = {"raised_at": (places or [""])[-1], "gateway_at": (ours or [""])[-1]}
    return {"error": names, **({"message": str(error)} if _is_own(error) else {}), **told_places}


def _short(filename: str) -> str:
    parts = PurePath(filename).parts
    return "/".join(parts[parts.index("gateway") :] if "gateway" in parts else parts[-2:])


def _tell_uncaught(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    log_error("uncaught", error)


def _tell_uncaught_in_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None and not isinstance(failed.exc_value, SystemExit):
        log_error("thread", failed.exc_value)
