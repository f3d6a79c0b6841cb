"""Let several orders stand behind one key: a cart may be paid for more than once."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _key_by("store_id, key_hash, order_id")


def downgrade() -> None:
    others = "SELECT 1 FROM order_keys AS o WHERE o.store_id = k.store_id AND o.key_hash = k.key_hash"
    op.execute(f"DELETE FROM order_keys AS k WHERE EXISTS ({others} AND o.order_id < k.order_id)")  # noqa: S608 - ours
    _key_by("store_id, key_hash")


def _key_by(columns: str) -> None:
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        key = "CONSTRAINT pk_order_keys"
        op.execute(f"ALTER TABLE order_keys DROP {key}, ADD {key} PRIMARY KEY ({columns})")
        return
    # SQLite changes no key in place: https://www.sqlite.org/lang_altertable.html#otheralter
    op.execute(
        "CREATE TABLE order_keys_again (store_id VARCHAR(40) NOT NULL, key_hash TEXT NOT NULL, order_id TEXT NOT NULL,"
        f" CONSTRAINT pk_order_keys PRIMARY KEY ({columns}))"
    )
    op.execute("INSERT INTO order_keys_again SELECT store_id, key_hash, order_id FROM order_keys")
    op.execute("DROP TABLE order_keys")
    op.execute("ALTER TABLE order_keys_again RENAME TO order_keys")
    op.create_index("ix_order_keys_order", "order_keys", ["store_id", "order_id"])
    rows = {"sqlite_autoindex_order_keys_1": "1000000 1000000 4 1", "ix_order_keys_order": "1000000 1000000 4"}
    for index, spread in rows.items():  # many rows, of few stores, and a few of each order
        connection.exec_driver_sql("INSERT INTO sqlite_stat1 VALUES ('order_keys', ?, ?)", (index, spread))
