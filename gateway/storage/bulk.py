"""Many rows in one statement that was compiled before: what SQLAlchemy does for each execution costs more than SQLite.

Values go through the same conversions as always; only the way there is shorter.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Insert, Select
from sqlalchemy.engine import Dialect

Row = dict[str, Any]
_VALUES: Final = re.compile(r"(.* VALUES )(\([?, ]+\))(.*)", re.DOTALL)


def execute_rows(connection: Connection, statement: Insert, rows: Sequence[Row]) -> None:
    """Run an INSERT for every row; all rows name the same columns, and the statement is one that stays."""
    if rows:
        plan = _plan(statement, tuple(rows[0]), connection.dialect)
        connection.exec_driver_sql(plan.text, [plan.parameters(row) for row in rows])


def insert_returning(connection: Connection, statement: Insert, rows: Sequence[Row]) -> Sequence[Any]:
    """Run an INSERT with RETURNING for all rows at once and return what came back, in no certain order."""
    if not rows:
        return []
    if connection.dialect.name != "sqlite":
        return connection.execute(statement, list(rows)).all()
    plan = _plan(statement, tuple(rows[0]), connection.dialect)
    values = [value for row in rows for value in plan.parameters(row)]
    return connection.exec_driver_sql(plan.text_for(len(rows)), tuple(values)).all()


def select_rows(connection: Connection, statement: Select[Any], parameters: Row) -> list[Row]:
    """Run a SELECT whose text never changes and return its rows."""
    plan = _select_plan(statement, connection.dialect)
    found = connection.exec_driver_sql(plan.text, plan.parameters(parameters)).all()
    return [plan.row(values) for values in found]


class _SelectPlan:
    """A compiled SELECT, how its parameters are given, and how a row is read."""

    def __init__(self, statement: Select[Any], dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        self.text = str(compiled)
        kinds = {name: _conversion(bind.type, dialect) for bind, name in compiled.bind_names.items()}
        self._fixed = {name: bind.value for bind, name in compiled.bind_names.items() if not bind.required}
        self._names = list(compiled.positiontup) if compiled.positional else list(kinds)
        self._kinds = kinds
        self._is_positional = compiled.positional
        self._columns = [
            (column.name, column.type.dialect_impl(dialect).result_processor(dialect, None))
            for column in statement.selected_columns
        ]

    def parameters(self, given: Row) -> Any:
        """Return parameters as the driver takes them."""
        values = {**self._fixed, **given}
        converted = {name: _converted(self._kinds[name], values[name]) for name in self._names}
        return tuple(converted[name] for name in self._names) if self._is_positional else converted

    def row(self, values: Any) -> Row:
        """Return one row by the names of its columns."""
        return {
            name: value if convert is None else convert(value)
            for (name, convert), value in zip(self._columns, values, strict=True)
        }


class _Plan:
    """A compiled INSERT, and how a row becomes its parameters."""

    def __init__(self, statement: Insert, columns: tuple[str, ...], dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect, column_keys=list(columns))
        self.text = str(compiled)
        found = _VALUES.fullmatch(self.text)
        self._parts = found.groups() if found else (self.text, "", "")
        table = statement.table
        defaults = {column.name: column.default for column in compiled.insert_prefetch}
        self._given = [(name, _conversion(table.c[name].type, dialect)) for name in compiled.bind_names.values()]
        self._defaults = {name: _default(default) for name, default in defaults.items()}
        self._is_positional = compiled.positional
        if self._is_positional:
            kinds = dict(self._given)
            self._given = [(name, kinds[name]) for name in compiled.positiontup]

    def text_for(self, count: int) -> str:
        """Return the statement with the values of so many rows."""
        before, values, after = self._parts
        return f"{before}{', '.join([values] * count)}{after}"

    def parameters(self, row: Row) -> Any:
        """Return one row as the driver takes it."""
        defaults = self._defaults
        full = {**{name: make() for name, make in defaults.items()}, **row} if defaults else row
        if self._is_positional:
            return tuple(full[name] if convert is None else convert(full[name]) for name, convert in self._given)
        return {name: full[name] if convert is None else convert(full[name]) for name, convert in self._given}


@lru_cache(maxsize=256)
def _plan(statement: Insert, columns: tuple[str, ...], dialect: Dialect) -> _Plan:
    return _Plan(statement, columns, dialect)


@lru_cache(maxsize=256)
def _select_plan(statement: Select[Any], dialect: Dialect) -> _SelectPlan:
    return _SelectPlan(statement, dialect)


def _converted(convert: Callable[[Any], Any] | None, value: Any) -> Any:
    return value if convert is None else convert(value)


def _conversion(kind: Any, dialect: Dialect) -> Callable[[Any], Any] | None:
    convert: Callable[[Any], Any] | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return convert


def _default(default: Any) -> Callable[[], Any]:
    if default.is_callable:
        return lambda: default.arg(None)
    return lambda: default.arg
