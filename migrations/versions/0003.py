"""Tell SQLite how rows are spread before there are any, so that it never reads all that one store has."""

from alembic import op
from sqlalchemy import Connection

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Few stores, destinations and words share all rows; every other column tells them apart.
COMMON = {"store_id", "destination_id", "state", "subject_kind", "category", "name"}
ROWS, OPEN_ROWS, ALIKE = 1_000_000, 1_000, 4


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return
    connection.exec_driver_sql("ANALYZE")  # makes sqlite_stat1, see https://www.sqlite.org/fileformat2.html#stat1tab
    connection.exec_driver_sql("DELETE FROM sqlite_stat1")
    for table, index, statistics in _spread(connection):
        connection.exec_driver_sql(
            "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?, ?, ?)", (table, index, statistics)
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DELETE FROM sqlite_stat1")


def _spread(connection: Connection) -> list[tuple[str, str, str]]:
    found = []
    for (table,) in connection.exec_driver_sql("SELECT name FROM sqlite_schema WHERE type = 'table'").all():
        for index in connection.exec_driver_sql(f"PRAGMA index_list('{table}')").mappings().all():
            columns = [row[2] for row in connection.exec_driver_sql(f"PRAGMA index_info('{index['name']}')")]
            is_open = "claimable" in index["name"] or "_open" in index["name"]
            numbers = _numbers(columns, OPEN_ROWS if is_open else ROWS, is_unique=bool(index["unique"]))
            found.append((table, index["name"], " ".join(map(str, numbers))))
    return found


def _numbers(columns: list[str], rows: int, *, is_unique: bool) -> list[int]:
    """How many rows there are, and how many share each beginning of the index."""
    numbers = [rows]
    for column in columns:
        numbers.append(numbers[-1] if column in COMMON else min(numbers[-1], ALIKE))
    if is_unique:
        numbers[-1] = 1
    return numbers
