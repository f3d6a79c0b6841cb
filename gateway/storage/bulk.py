"""Many rows in one statement that was compiled before: what SQLAlchemy does for each execution costs more than SQLite.

Values go through the same conversions as always; only the way there is shorter. On PostgreSQL rows go as one JSON
parameter, so that a statement stays the same whatever their number.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from re import compile as pattern
from typing import Any, Final

import orjson
from sqlalchemy import JSON, Column, Connection, Delete, Insert, LargeBinary, Select, Table, Update
from sqlalchemy.engine import Dialect

from gateway.storage.driver import change, change_each, fetch

Row = dict[str, Any]
Wanted = tuple[Select[Any], Row] | None  # a statement whose text never changes, and its parameters; or nothing to ask
Convert = Callable[[Any], Any]

_MOST_PARAMETERS: Final = 32_766  # of one statement, as SQLite comes: https://www.sqlite.org/limits.html
_SIZES: Final = (256, 192, 128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)
_TAIL: Final = pattern(r" (?:ON CONFLICT|RETURNING) [\s\S]*")


def execute_rows(connection: Connection, statement: Insert, rows: Sequence[Row]) -> None:
    """Run an INSERT for every row; all rows name the same columns, and the statement is one that stays."""
    if not rows:
        return
    plan = _insert_plan(statement, tuple(rows[0]), connection.dialect)
    if connection.dialect.name == "sqlite":
        for text, values in plan.in_steps(rows):
            change(connection, text, values)
    else:
        change(connection, *plan.given(rows))


def insert_returning(connection: Connection, statement: Insert, rows: Sequence[Row]) -> list[Any]:
    """Run an INSERT with RETURNING for all rows and return what came back, in no certain order."""
    if not rows:
        return []
    plan = _insert_plan(statement, tuple(rows[0]), connection.dialect)
    if connection.dialect.name != "sqlite":
        return fetch(connection, *plan.given(rows))
    return [found for text, values in plan.in_steps(rows) for found in fetch(connection, text, values)]


def change_together(
    connection: Connection,
    inserts: Sequence[tuple[Insert, Sequence[Row]]],
    *,
    updates: Sequence[tuple[Table, Sequence[Row]]] = (),
) -> None:
    """Run INSERTs into different tables and UPDATEs of others by their ids, on PostgreSQL as one statement.

    All of them see the tables as they were before.
    """
    if connection.dialect.name == "sqlite":
        for statement, rows in inserts:
            execute_rows(connection, statement, rows)
        for table, rows in updates:
            update_rows(connection, table, rows)
        return
    dialect = connection.dialect
    given = [_insert_plan(statement, tuple(rows[0]), dialect).given(rows) for statement, rows in inserts if rows]
    given += [_update_plan(table, tuple(rows[0]), dialect).given(rows) for table, rows in updates if rows]
    if given:
        named = {f"{at}_{name}": value for at, (_, one) in enumerate(given) for name, value in one.items()}
        change(connection, _joined(tuple(text for text, _ in given)), named)


def select_together(connection: Connection, wanted: Sequence[Wanted]) -> list[list[Row]]:
    """Run SELECTs and return the rows of each, on PostgreSQL by one statement.

    There rows come as JSON, so that no column may hold bytes, and in no certain order.
    """
    found: list[list[Row]] = [[] for _ in wanted]
    asked = [(at, *one) for at, one in enumerate(wanted) if one is not None]
    if connection.dialect.name == "sqlite" or len(asked) <= 1:
        for at, statement, parameters in asked:
            found[at] = select_rows(connection, statement, parameters)
        return found
    plans = {at: _select_plan(statement, connection.dialect) for at, statement, _ in asked}
    given = {f"{at}_{name}": value for at, _, told in asked for name, value in plans[at].parameters(told).items()}
    for at, row in fetch(connection, _gathered(tuple((at, plan.text) for at, plan in plans.items())), given):
        found[at].append(plans[at].read(row))
    return found


def update_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Give each row that is named by `id` the values beside it; all rows name the same columns."""
    if not rows:
        return
    plan = _update_plan(table, tuple(rows[0]), connection.dialect)
    if connection.dialect.name == "sqlite":
        change_each(connection, plan.text, [plan.values(row) for row in rows])
    else:
        change(connection, *plan.given(rows))


def select_rows(connection: Connection, statement: Select[Any], parameters: Row) -> list[Row]:
    """Run a SELECT whose text never changes and return its rows."""
    plan = _select_plan(statement, connection.dialect)
    return plan.rows(fetch(connection, plan.text, plan.parameters(parameters)))


def execute_plan(connection: Connection, statement: Update | Delete, parameters: Row) -> int:
    """Run an UPDATE or DELETE whose text never changes; return how many rows it touched."""
    plan = _select_plan(statement, connection.dialect)
    return change(connection, plan.text, plan.parameters(parameters))


class _Plan:
    """A compiled statement whose text stays, how its parameters are given, and how its rows are read."""

    def __init__(self, statement: Select[Any] | Update | Delete, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        self.text = str(compiled)
        kinds = {name: _binder(bind.type, dialect) for bind, name in compiled.bind_names.items()}
        self._fixed = {name: bind.value for bind, name in compiled.bind_names.items() if not bind.required}
        self._given = [(name, kinds[name]) for name in (compiled.positiontup if compiled.positional else kinds)]
        self._is_positional = compiled.positional
        columns = list(statement.selected_columns) if isinstance(statement, Select) else []
        self._names = [column.name for column in columns]
        readers = [(column.name, _reader(column.type, dialect)) for column in columns]
        self._read = [(name, convert) for name, convert in readers if convert is not None]

    def parameters(self, given: Row) -> Any:
        """Return parameters as the driver takes them."""
        values = {**self._fixed, **given}
        if self._is_positional:
            return tuple([values[name] if convert is None else convert(values[name]) for name, convert in self._given])
        return {name: values[name] if convert is None else convert(values[name]) for name, convert in self._given}

    def rows(self, found: Sequence[Any]) -> list[Row]:
        """Return rows by the names of their columns."""
        return [self.read(dict(zip(self._names, values, strict=True))) for values in found]

    def read(self, row: Row) -> Row:
        """Convert the driver's own values of a row, in place."""
        for name, convert in self._read:
            row[name] = convert(row[name])
        return row


class _RowsPlan:
    """A statement for many rows with the same columns, and how these become its parameters."""

    def __init__(self, columns: Sequence[Column[Any]], defaults: Row, dialect: Dialect) -> None:
        self._defaults = {name: _default(default) for name, default in defaults.items()}
        self._pick = itemgetter(*(column.name for column in columns))
        binders = [_binder(column.type, dialect) for column in columns]
        self._convert = [(at, convert) for at, convert in enumerate(binders) if convert is not None]
        self._is_single = len(columns) == 1
        self._sealed = [column.name for column in columns if isinstance(column.type, LargeBinary)]
        in_json = [column for column in columns if column.name not in self._sealed]
        named = zip(columns, binders, strict=True)
        told = [(column, convert) for column, convert in named if not isinstance(column.type, (JSON, LargeBinary))]
        self._told = [(column.name, convert) for column, convert in told if convert is not None]
        self.source = _source(in_json, self._sealed, dialect) if dialect.name != "sqlite" else ""
        self.json_text = ""

    def values(self, row: Row) -> tuple[Any, ...]:
        """Return one row as a driver takes it that counts its parameters."""
        full = {**{name: make() for name, make in self._defaults.items()}, **row} if self._defaults else row
        values = [self._pick(full)] if self._is_single else list(self._pick(full))
        for at, convert in self._convert:
            values[at] = convert(values[at])
        return tuple(values)

    def given(self, rows: Sequence[Row]) -> tuple[str, Row]:
        """Return the statement for PostgreSQL and all rows as one parameter, with what is no text beside it."""
        told = [{**{name: make() for name, make in self._defaults.items()}, **row} for row in rows]
        given: Row = {name: [row.pop(name) for row in told] for name in self._sealed}
        for row in told:
            for name, convert in self._told:
                if row[name] is not None:
                    row[name] = convert(row[name])
        return self.json_text, given | {"rows": orjson.dumps(told, option=orjson.OPT_NON_STR_KEYS).decode()}


class _InsertPlan(_RowsPlan):
    def __init__(self, statement: Insert, names: tuple[str, ...], dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect, column_keys=list(names))
        self.text = str(compiled)
        table = statement.table
        given = compiled.positiontup if compiled.positional else compiled.bind_names.values()
        columns = [table.c[name] for name in given]
        super().__init__(columns, {column.name: column.default for column in compiled.insert_prefetch}, dialect)
        head, _, rest = self.text.partition(" VALUES ")
        tail = _TAIL.search(rest)
        self._head, self._tail = head, tail[0] if tail else ""
        self._one = f"({', '.join('?' * len(columns))})"
        self._most_rows = _MOST_PARAMETERS // len(columns)
        picked = f"SELECT {_picked(columns, dialect)} FROM {self.source} ORDER BY given.at_"  # noqa: S608 - own names
        self.json_text = f"{head} {picked}{self._tail}"

    def in_steps(self, rows: Sequence[Row]) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield the statement for as many rows as it may have parameters for, with their values, until all are told."""
        start = 0
        while start < len(rows):
            some = rows[start : start + _step(min(len(rows) - start, self._most_rows))]
            start += len(some)
            text = f"{self._head} VALUES {', '.join([self._one] * len(some))}{self._tail}"
            yield text, tuple([value for row in some for value in self.values(row)])


class _UpdatePlan(_RowsPlan):
    def __init__(self, table: Table, names: tuple[str, ...], dialect: Dialect) -> None:
        columns = [table.c[name] for name in names if name != "id"]
        super().__init__([*columns, table.c.id], {}, dialect)
        quote = dialect.identifier_preparer.quote
        changes = ", ".join(f"{quote(column.name)} = ?" for column in columns)
        self.text = f"UPDATE {table.name} SET {changes} WHERE id = ?"  # noqa: S608 - own names
        picked = ", ".join(f"{quote(column.name)} = {_picked([column], dialect)}" for column in columns)
        kind = table.c.id.type.compile(dialect)
        # The list says it once more, so that no plan reads the whole table.
        is_named = f"{table.name}.id = given.id AND {table.name}.id = ANY(CAST(%(ids)s AS {kind}[]))"
        self.json_text = f"UPDATE {table.name} SET {picked} FROM {self.source} WHERE {is_named}"  # noqa: S608 - likewise

    def given(self, rows: Sequence[Row]) -> tuple[str, Row]:
        text, given = super().given(rows)
        return text, given | {"ids": [row["id"] for row in rows]}


def _step(rows: int) -> int:
    """Return how many rows the next statement takes: one of few numbers, since the driver keeps each statement."""
    return next(size for size in _SIZES if size <= rows)


def _source(in_json: Sequence[Column[Any]], sealed: Sequence[str], dialect: Dialect) -> str:
    """Return rows of one JSON parameter, numbered, as a table named `given`."""
    quote = dialect.identifier_preparer.quote
    kinds = ", ".join(f"{quote(column.name)} {column.type.compile(dialect)}" for column in in_json)
    functions = [f"json_to_recordset(CAST(%(rows)s AS json)) AS ({kinds})"]
    functions += [f"unnest(CAST(%({name})b AS bytea[]))" for name in sealed]
    names = ", ".join(quote(name) for name in [*(column.name for column in in_json), *sealed, "at_"])
    return f"ROWS FROM ({', '.join(functions)}) WITH ORDINALITY AS given({names})"


def _picked(columns: Sequence[Column[Any]], dialect: Dialect) -> str:
    """Return columns of `given`; nothing in a column of JSON is written as null, as everywhere."""
    quote = dialect.identifier_preparer.quote
    named = [(f"given.{quote(column.name)}", isinstance(column.type, JSON)) for column in columns]
    return ", ".join(f"coalesce({name}, 'null'::json)" if is_json else name for name, is_json in named)


@lru_cache(maxsize=64)
def _joined(texts: tuple[str, ...]) -> str:
    """Return statements as one whose parameters are numbered; all but the last are run on the side."""
    *others, last = [text.replace("%(", f"%({at}_") for at, text in enumerate(texts)]
    beside = ", ".join(f"beside_{at} AS ({text})" for at, text in enumerate(others))
    return f"WITH {beside} {last}" if others else last


@lru_cache(maxsize=64)
def _gathered(texts: tuple[tuple[int, str], ...]) -> str:
    """Return SELECTs as one whose rows and parameters carry the number of theirs."""
    numbered = [(at, text.replace("%(", f"%({at}_")) for at, text in texts]
    return " UNION ALL ".join(f"SELECT {at}, row_to_json(one) FROM ({text}) AS one" for at, text in numbered)  # noqa: S608


@lru_cache(maxsize=256)
def _insert_plan(statement: Insert, columns: tuple[str, ...], dialect: Dialect) -> _InsertPlan:
    return _InsertPlan(statement, columns, dialect)


@lru_cache(maxsize=64)
def _update_plan(table: Table, columns: tuple[str, ...], dialect: Dialect) -> _UpdatePlan:
    return _UpdatePlan(table, columns, dialect)


@lru_cache(maxsize=256)
def _select_plan(statement: Select[Any] | Update | Delete, dialect: Dialect) -> _Plan:
    return _Plan(statement, dialect)


def _binder(kind: Any, dialect: Dialect) -> Convert | None:
    convert: Convert | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return convert


def _reader(kind: Any, dialect: Dialect) -> Convert | None:
    convert: Convert | None = kind.dialect_impl(dialect).result_processor(dialect, None)
    return convert


def _default(default: Any) -> Callable[[], Any]:
    if default.is_callable:
        return lambda: default.arg(None)
    return lambda: default.arg
