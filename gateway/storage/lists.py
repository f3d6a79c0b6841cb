"""Lists as one parameter, so that a statement stays the same whatever their length: it is built and planned once.

SQLite reads a whole table for `(a, b) IN (VALUES ...)`, but uses an index for `(a, b) IN (SELECT ...)`.
"""

from collections.abc import Collection, Sequence
from typing import Any

import orjson
from sqlalchemy import BigInteger, BindParameter, ColumnElement, Integer, Text, any_, bindparam, literal, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


def is_in_rows(columns: Sequence[Any], rows: BindParameter[Any]) -> ColumnElement[bool]:
    """Return `(a, b) IN :rows` for columns of text and whole numbers; `rows` holds what `rows_parameter` returns."""
    value = _Each(rows).table_valued("value").c.value
    kinds = [_Number if isinstance(column.type, Integer) else _Item for column in columns]
    items = [kind(value, literal(at)) for at, kind in enumerate(kinds)]
    return tuple_(*columns).in_(select(*items))


def rows_parameter(rows: Collection[Sequence[str | int | None]]) -> str:
    """Return rows as one parameter."""
    return orjson.dumps(list(rows)).decode()


def is_in_ids(dialect: str, column: ColumnElement[Any], name: str = "ids") -> ColumnElement[bool]:
    """Return `column IN :name`; give it what `ids_parameter` returns."""
    if dialect == "postgresql":
        return column == any_(bindparam(name, type_=ARRAY(BigInteger)))
    return column.in_(select(_Each(bindparam(name, type_=Text)).table_valued("value").c.value))


def ids_parameter(dialect: str, ids: Collection[int]) -> Any:
    """Return ids as the parameter of `is_in_ids`."""
    return list(ids) if dialect == "postgresql" else orjson.dumps(list(ids)).decode()


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
