"""Keyset pages: where a list goes on is a key, never a count of rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    func,
    literal,
    select,
    tuple_,
    type_coerce,
)

from gateway.storage.tables import Instant, of_microseconds, to_microseconds

PAGE_ROWS = 50
_DIGITS = 19  # what surely fits into 64 bits is shorter
WINDOW_ROWS = 5000  # how many rows a filter without an index of its own looks through at once
T = TypeVar("T")
Columns = Mapping[Any, Any]  # one row by the names of its columns
Filters = Callable[[FromClause], Sequence[ColumnElement[bool]]]


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: after a key in the list's order, before it (`is_newer`), or, without a key, at the top."""

    key: str = ""
    is_newer: bool = False

    @classmethod
    def of_text(cls, text: str) -> "Cursor":
        """Read what `text` wrote; the top of the list for anything else."""
        direction, _, key = text.partition(".")
        return cls(key, direction == "newer") if direction in ("older", "newer") else cls()

    @property
    def text(self) -> str:
        """This cursor as a query parameter."""
        return f"{'newer' if self.is_newer else 'older'}.{self.key}" if self.key else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some rows of a list, and where it goes on; `is_partial`: a filter looked through one window, there is more."""

    rows: Sequence[T]
    older: Cursor | None = None
    newer: Cursor | None = None
    is_partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[T]):
    """A list in the order of `keys`, the highest first.

    `conditions` are served by an index together with `keys`; `filters` are not: they see one window at a time.
    """

    query: Select[Any]
    keys: Sequence[Column[Any]]
    build: Callable[[Columns], T]
    conditions: Sequence[ColumnElement[bool]] = ()
    filters: Filters | None = None


def read_page(connection: Connection, listing: Listing[T], cursor: Cursor) -> Page[T]:
    """Read one page of a list."""
    values = _values(listing.keys, cursor.key)
    is_newer = cursor.is_newer and values is not None
    ordered = _ordered(listing, values, is_newer=is_newer)
    if listing.filters is None:
        rows, end = _rows(connection, ordered.limit(PAGE_ROWS + 1)), ""
    else:
        rows, end = _filtered(connection, listing, ordered, listing.filters, is_newer=is_newer)
    onward = _key(listing.keys, rows[PAGE_ROWS - 1]) if len(rows) > PAGE_ROWS else end
    return _page(
        listing, rows[:PAGE_ROWS], onward, Cursor(cursor.key if values else "", is_newer), is_partial=bool(end)
    )


def sorted_last(column: Column[Any]) -> ColumnElement[Any]:
    """An instant to order by once rows were found: no index has it, so none is walked for it."""
    return type_coerce(column, BigInteger) + 0


def read_id(text: str) -> int | None:
    """Read the id of a row; None for what is none, or may not fit into 64 bits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < _DIGITS else None


def _ordered(listing: Listing[T], values: list[object] | None, *, is_newer: bool) -> Select[Any]:
    query = listing.query.where(*listing.conditions)
    query = query.order_by(*(key.asc() if is_newer else key.desc() for key in listing.keys))
    if values is None:
        return query
    here = tuple_(*listing.keys)
    there = tuple_(*(literal(value, key.type) for key, value in zip(listing.keys, values, strict=True)))
    return query.where(here > there if is_newer else here < there)


def _filtered(
    connection: Connection, listing: Listing[T], ordered: Select[Any], filters: Filters, *, is_newer: bool
) -> tuple[list[Columns], str]:
    """Filter the next window of rows; with few found, also say where the window ends, "" at the end of the list."""
    window = ordered.limit(WINDOW_ROWS).subquery()
    order = [window.c[key.name].asc() if is_newer else window.c[key.name].desc() for key in listing.keys]
    found = _rows(connection, select(window).where(*filters(window)).order_by(*order).limit(PAGE_ROWS + 1))
    if len(found) > PAGE_ROWS:
        return found, ""
    keys = ordered.with_only_columns(*listing.keys).limit(WINDOW_ROWS).subquery()
    size = select(func.count()).select_from(keys).scalar_subquery()
    back = [keys.c[key.name].desc() if is_newer else keys.c[key.name].asc() for key in listing.keys]
    last = _rows(connection, select(keys, size.label("size")).order_by(*back).limit(1))
    return found, _key(listing.keys, last[0]) if last and last[0]["size"] == WINDOW_ROWS else ""


def _page(listing: Listing[T], rows: list[Columns], onward: str, cursor: Cursor, *, is_partial: bool) -> Page[T]:
    if cursor.is_newer:
        rows.reverse()
    first = _key(listing.keys, rows[0]) if rows else cursor.key
    last = _key(listing.keys, rows[-1]) if rows else cursor.key
    newer = onward if cursor.is_newer else first if cursor.key else ""
    older = (last if cursor.key else "") if cursor.is_newer else onward
    return Page(
        rows=[listing.build(row) for row in rows],
        older=Cursor(older) if older else None,
        newer=Cursor(newer, is_newer=True) if newer else None,
        is_partial=is_partial,
    )


def _rows(connection: Connection, query: Select[Any]) -> list[Columns]:
    return list(connection.execute(query).mappings())


def _key(keys: Sequence[Column[Any]], row: Columns) -> str:
    return "~".join(_text(row[key.name]) for key in keys)


def _text(value: object) -> str:
    return str(to_microseconds(value)) if isinstance(value, datetime) else str(value)


def _values(keys: Sequence[Column[Any]], text: str) -> list[object] | None:
    parts = text.split("~", len(keys) - 1)
    if not text or len(parts) != len(keys):
        return None
    try:
        return [_value(key, part) for key, part in zip(keys, parts, strict=True)]
    except (ValueError, OverflowError):
        return None


def _value(key: Column[Any], part: str) -> object:
    if isinstance(key.type, Instant):
        return of_microseconds(int(part))
    if key.type.python_type is not int:
        return part
    if (number := read_id(part)) is None:
        raise ValueError
    return number
