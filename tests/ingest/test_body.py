"""Bodies become payloads and bodies again, with every number as it was."""

import copy
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BodyMalformed
from gateway.ingest.body import MAX_DEPTH, WrittenNumber, read_body, read_values, write_body
from gateway.model.order import Platform
from tests.captures import captures

INTEGERS = ["0", "-0", "7", "-1", "820982911946154508", "9007199254740993", "18446744073709551615"]
HUGE = ["18446744073709551616", "-9223372036854775809", "123456789012345678901234567890", "99999999999999999999.5"]
FRACTIONS = ["10.840336", "1.10", "1.0", "0.1000", "-0.0", "0.30000000000000004", "0.3000000000000000444"]
EXPONENTS = ["1e2", "1E5", "1e+2", "1.5e3", "1e-7", "12345678901234567e1"]
NUMBERS = INTEGERS + HUGE + FRACTIONS + EXPONENTS
NO_OBJECTS = [b"", b" ", b"[]", b'"text"', b"1", b"null", b"{", b"{'a':1}", b'{"a":1}x', b'{"a":1,}', b'{"a":01}']
NO_NUMBERS = [b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1e999}']
NO_UTF8 = [b'{"a":"\xff"}', b'\xef\xbb\xbf{"a":1}', b'{"a":"\\ud800"}']
BODIES = [one.body for platform in Platform for one in captures(platform) if one.body.startswith(b"{")]


def exactly(body: bytes) -> object:
    return json.loads(body, parse_float=str, parse_int=str)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("body", ['{"a":%s}', '{"a":[1, %s , 2]}', '{"a" : %s\n}', '{"a":{"b":[%s]}}'])
def test_number_leaves_as_it_came(body: str, number: str) -> None:
    written = write_body(read_body((body % number).encode()))
    assert written.decode() == "".join((body % number).split())


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?", fullmatch=True))
def test_any_number_leaves_as_it_came(number: str) -> None:
    assert write_body(read_body(b'{"a":[%s]}' % number.encode())) == b'{"a":[%s]}' % number.encode()


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_body_of_a_store_says_the_same_when_it_is_written_again(body: bytes) -> None:
    assert exactly(write_body(read_body(body))) == exactly(body)


@pytest.mark.parametrize("text", [": 1.10,", "[1e2]", "-0}", "2026-11-22.50,", "\\u00df 5, 1.10 ,", '\\" :1.20, \\\\'])
def test_what_looks_like_a_number_inside_a_text_stays_text(text: str) -> None:
    body = f'{{"a":"{text}","b":1.5}}'.encode()
    assert read_body(body) == json.loads(body)


def test_written_number_is_a_number_and_its_text() -> None:
    payload = read_body(b'{"price":19.90}')
    price = copy.deepcopy(payload)["price"]
    assert isinstance(price, WrittenNumber)
    assert (price, str(price), repr(price)) == (19.9, "19.90", "19.90")


@pytest.mark.parametrize("number", [*INTEGERS[2:], *HUGE[:3]])
def test_whole_number_is_exact_by_value_too(number: str) -> None:
    assert str(read_values(b'{"id":%s}' % number.encode())["id"]) == number


@pytest.mark.parametrize("beside", ["", ',"b":99999999999999999999'], ids=["small", "beside-a-huge-number"])
def test_fraction_is_its_value_however_it_is_written(beside: str) -> None:
    bodies = [f'{{"a":{number}{beside}}}'.encode() for number in ("1.10", "1.1", "11e-1", "1.1000")]
    assert {write_body({"a": read_values(body)["a"]}) for body in bodies} == {b'{"a":1.1}'}


@pytest.mark.parametrize("read", [read_body, read_values])
@pytest.mark.parametrize("body", NO_OBJECTS + NO_NUMBERS + NO_UTF8)
def test_anything_but_an_object_is_malformed(read: Callable[[bytes], object], body: bytes) -> None:
    with pytest.raises(BodyMalformed):
        read(body)


@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_has_a_bound(brackets: tuple[bytes, bytes]) -> None:
    opened, closed = brackets
    depth = MAX_DEPTH - 1  # the outermost object counts
    inner = b"1" if opened != b"[" else b""
    assert read_body(b'{"x":' + opened * depth + inner + closed * depth + b"}")
    with pytest.raises(BodyMalformed, match="nested"):
        read_body(b'{"x":' + opened * (depth + 1) + inner + closed * (depth + 1) + b"}")


def test_many_brackets_are_not_deep() -> None:
    assert read_body(b'{"a":[' + b"[]," * 500 + b'[]],"b":"' + b"[" * 500 + b'"}')


def test_of_two_equal_keys_the_last_counts() -> None:
    assert read_body(b'{"a":1.10,"a":2.20}') == {"a": 2.2}


def test_what_is_no_json_is_not_written() -> None:
    with pytest.raises(TypeError, match="set"):
        write_body({"a": {1}})
