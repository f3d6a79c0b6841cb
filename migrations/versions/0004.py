"""Know by e-mail address what waits and is about no order: events, and webhooks of customers and subscriptions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDEX, IS_OPEN = "ix_deliveries_open_email", sa.text("finished_at IS NULL AND email_hash IS NOT NULL")


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("email_hash", sa.Text(), nullable=True))
    columns = ["store_id", "email_hash"]
    op.create_index(INDEX, "deliveries", columns, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN)
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":  # few are open, of few stores, and fewer are about one address
        connection.exec_driver_sql("INSERT INTO sqlite_stat1 VALUES ('deliveries', ?, '1000 1000 4')", (INDEX,))


def downgrade() -> None:
    op.drop_index(INDEX, table_name="deliveries")
    op.drop_column("deliveries", "email_hash")
