"""Run migrations over the connection that the gateway hands in, or for the `alembic` command over its own.

A new revision, after changing gateway/storage/tables.py:
GATEWAY__DATABASE__URL=sqlite:////tmp/new.db sh -c 'alembic upgrade head && alembic revision --autogenerate --rev-id N'
"""

import os

from alembic import context
from sqlalchemy import Connection, create_engine

from gateway.storage.tables import Instant, metadata


def render_item(kind: str, item: object, _: object) -> str | bool:
    """Write instants as what they are in the database."""
    return "sa.BigInteger()" if kind == "type" and isinstance(item, Instant) else False


def run(connection: Connection) -> None:
    """Bring the database up to date in one transaction."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_item=render_item,
        render_as_batch=False,
        compare_type=True,
        compare_server_default=False,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with create_engine(os.environ["GATEWAY__DATABASE__URL"]).begin() as opened:
        run(opened)
