"""Lists as one parameter, so that a statement stays the same whatever their length: it is built and planned once.

SQLite reads a whole table for `(a, b) IN (VALUES ...)`, but uses an index for `(a, b) IN (SELECT ...)`. PostgreSQL
keeps the plan that it made while a table was small, and reads all of it when it has grown; what runs for every order
therefore asks for each key by itself. What runs seldom names its keys in the statement, so many at once.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeVar

import orjson
from sqlalchemy import (
    ARRAY,
    BigInteger,
    BindParameter,
    ColumnElement,
    Integer,
    Select,
    Text,
    any_,
    bindparam,
    literal,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

T = TypeVar("T")


def chunks_of(values: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """Cut `values` into pieces of at most so many, in order."""
    for start in range(0, len(values), most):
        yield values[start : start + most]


def is_in_rows(columns: Sequence[Any], rows: BindParameter[Any]) -> ColumnElement[bool]:
    """Return `(a, b) IN :rows` for columns of text and whole numbers; `rows` holds what `rows_parameter` returns."""
    value = _Each(rows).table_valued("value").c.value
    return tuple_(*columns).in_(select(*_items(columns, value)))


def select_by_rows(dialect: str, wanted: Select[Any], columns: Sequence[Any]) -> Select[Any]:
    """Return `wanted` where `(a, b) IN :keys`, which must all differ; on PostgreSQL by one look into an index each.

    `keys` holds what `rows_parameter` returns.
    """
    rows = bindparam("keys", type_=Text)
    if dialect != "postgresql":
        return wanted.where(is_in_rows(columns, rows))
    each = _Each(rows).table_valued("value")
    is_named = [column == item for column, item in zip(columns, _items(columns, each.c.value), strict=True)]
    found = by_itself(dialect, wanted.where(*is_named)).correlate(each).lateral()
    return select(*found.c).select_from(each).join(found, true())


def by_itself(dialect: str, wanted: Select[Any]) -> Select[Any]:
    """Return `wanted` so that PostgreSQL runs it anew for each row around it, and joins it with nothing."""
    return wanted.offset(literal_column("0", Integer)) if dialect == "postgresql" else wanted


def rows_parameter(rows: Collection[Sequence[str | int | None]]) -> str:
    """Return rows as one parameter."""
    return orjson.dumps(list(rows)).decode()


def is_in_ids(dialect: str, column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return `column IN :ids`; give it what `ids_parameter` returns."""
    if dialect == "postgresql":
        return column == any_(bindparam("ids", type_=ARRAY(BigInteger)))
    return column.in_(select(_Each(bindparam("ids", type_=Text)).table_valued("value").c.value))


def ids_parameter(dialect: str, ids: Collection[int]) -> Any:
    """Return ids as the parameter of `is_in_ids`."""
    return list(ids) if dialect == "postgresql" else orjson.dumps(list(ids)).decode()


def _items(columns: Sequence[Any], value: ColumnElement[Any]) -> list[FunctionElement[Any]]:
    kinds = [_Number if isinstance(column.type, Integer) else _Item for column in columns]
    return [kind(value, literal(at)) for at, kind in enumerate(kinds)]


class _Each(FunctionElement[Any]):
    """The elements of a JSON array, as rows of one column named `value`."""

    name = "each"
    inherit_cache = True


class _Item(FunctionElement[Any]):
    """The text at one place of a JSON array."""

    name = "item"
    type = Text()
    inherit_cache = True


class _Number(FunctionElement[Any]):
    """The whole number at one place of a JSON array."""

    name = "number"
    type = BigInteger()
    inherit_cache = True


@compiles(_Each)
def _each_on_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(_Each, "postgresql")
def _each_on_postgres(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_array_elements(CAST({compiler.process(element.clauses, **options)} AS json))"


@compiles(_Item)
@compiles(_Number)
def _item_on_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    value, at = element.clauses
    return f"json_extract({compiler.process(value, **options)}, '$[{int(at.value)}]')"


@compiles(_Item, "postgresql")
def _item_on_postgres(element: Any, compiler: Any, **options: Any) -> str:
    value, at = element.clauses
    return f"({compiler.process(value, **options)} ->> {int(at.value)})"


@compiles(_Number, "postgresql")
def _number_on_postgres(element: Any, compiler: Any, **options: Any) -> str:
    return f"CAST({_item_on_postgres(element, compiler, **options)} AS BIGINT)"
