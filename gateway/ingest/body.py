"""Bodies as payloads and back, with every number kept as the store wrote it."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, Self

import orjson

from gateway.errors import BodyMalformed

MAX_DEPTH: Final = 100  # real bodies stay below 12; what walks a payload may recurse

# A body with its digits read as 0, brackets alike and what may follow a number as a comma: three shapes tell the
# numbers that a float or a 64-bit integer may not give back. Text inside strings rarely looks so; where it does,
# nothing is lost.
_SHAPES: Final = bytes.maketrans(b"123456789E]}[\t\r\n", b"000000000e,,{   ")
_FRACTION: Final = re.compile(rb"\.0++(?:e[+-]?0++)? *+,")
_EXPONENT: Final = re.compile(rb"0e[+-]?0++ *+,")
_EXPONENT_MARK: Final = b"0e"
_MANY_DIGITS: Final = b"0" * 19
_AFTER_NUMBER: Final = b",]} \t\r\n"
_BEFORE_NUMBER: Final = frozenset((b":", b",", b"[", b" ", b"\t", b"\r", b"\n"))
_MINUS_ZERO: Final = re.compile(rb"-0[,\]}\s]")


class WrittenNumber(float):
    """A number whose text a float (or a 64-bit integer) would not give back; `str` gives that text."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        """Keep `text` beside the nearest float."""
        number = super().__new__(cls, text)
        number.text = str(text)
        return number

    def __repr__(self) -> str:
        return self.text

    __str__ = __repr__


def read_body(body: bytes) -> dict[str, object]:
    """Read a JSON object; raises `BodyMalformed` for anything else, or nesting beyond `MAX_DEPTH`."""
    shapes = body.translate(_SHAPES)
    payload = _read(body, shapes)
    return _read_as_written(body) if _has_fragile_number(body, shapes) else payload


def read_values(body: bytes) -> dict[str, object]:
    """Read a JSON object for what it says, not to be written again: 1.10 is 1.1, whole numbers stay exact."""
    shapes = body.translate(_SHAPES)
    payload = _read(body, shapes)
    return json.loads(body, parse_int=_exact_number) if _MANY_DIGITS in shapes else payload


def says_twice(text: str | bytes) -> bool:
    """Whether an object of this JSON has a key more than once: which of them counts is the reader's own choice."""
    is_twice = False

    def read(pairs: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal is_twice
        found = dict(pairs)
        is_twice = is_twice or len(found) != len(pairs)
        return found

    json.loads(text, object_pairs_hook=read, parse_int=str, parse_float=str)
    return is_twice


def write_body(payload: Mapping[str, object], *, is_sorted: bool = False) -> bytes:
    """Write a payload as JSON in UTF-8; numbers leave as they came. `is_sorted` puts keys in the order of letters."""
    return orjson.dumps(payload, default=_as_written, option=orjson.OPT_SORT_KEYS if is_sorted else None)


def _read(body: bytes, shapes: bytes) -> dict[str, object]:
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BodyMalformed("The body is not JSON in UTF-8.") from error
    if not isinstance(payload, dict):
        raise BodyMalformed("The body is JSON, but not an object.")
    if shapes.count(b"{") > MAX_DEPTH and _is_too_deep(payload):
        raise BodyMalformed(f"The body is nested deeper than {MAX_DEPTH} levels.")
    return payload


def _is_too_deep(payload: dict[str, object]) -> bool:
    level: list[Any] = [payload]
    for _ in range(MAX_DEPTH):
        values = [inner for outer in level for inner in (outer.values() if type(outer) is dict else outer)]
        level = [value for value in values if type(value) is dict or type(value) is list]
        if not level:
            return False
    return True


def _has_fragile_number(body: bytes, shapes: bytes) -> bool:
    if _MANY_DIGITS in shapes or _MINUS_ZERO.search(body):
        return True
    found = [match.span() for match in _FRACTION.finditer(shapes)]
    if _EXPONENT_MARK in shapes:
        found += [match.span() for match in _EXPONENT.finditer(shapes)]
    return not all(_survives(_number_around(body, start, end)) for start, end in found)


def _number_around(body: bytes, start: int, end: int) -> bytes:
    """Complete a number to its left; inside a string it gives nothing."""
    before = body[max(0, start - 32) : start]
    whole = before.rstrip(b"-0123456789")
    return before[len(whole) :] + body[start:end].rstrip(_AFTER_NUMBER) if whole[-1:] in _BEFORE_NUMBER else b""


def _survives(text: bytes) -> bool:
    if not text:
        return True
    try:
        number: object = float(text) if text.strip(b"-0123456789") else int(text)
        return orjson.dumps(number) == text
    except (TypeError, ValueError):  # beyond 64 bits, or digits inside a string that are no number
        return False


def _read_as_written(body: bytes) -> dict[str, object]:
    payload: dict[str, object] = json.loads(body, parse_float=_exact_number, parse_int=_exact_number)
    return payload


def _exact_number(text: str) -> float | int:
    if not _survives(text.encode()):
        return WrittenNumber(text)
    return float(text) if text.strip("-0123456789") else int(text)


def _as_written(value: object) -> orjson.Fragment:
    if isinstance(value, WrittenNumber):
        return orjson.Fragment(value.text)
    raise TypeError
