"""API tokens: stored hashed, each scoped to one store."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from gateway.errors import RequestInvalid
from gateway.storage.statements import Row
from gateway.storage.tables import tokens

_PREFIX = "cgw_"
_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenScope:
    """Whom a token speaks for."""

    name: str
    store_id: str


def add_token(connection: Connection, name: str, store_id: str, now: datetime) -> str:
    """Make a token and return it; it cannot be shown again. Names are unique, also those of revoked tokens."""
    if not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise RequestInvalid({"name": [f"must be 1 to {_LONGEST_NAME} characters that can be printed"]})
    if connection.execute(select(tokens.c.name).where(tokens.c.name == name)).first():
        raise RequestInvalid({"name": [f"there is a token named {name} already"]})
    token = _PREFIX + secrets.token_urlsafe(32)
    row = {"name": name, "store_id": store_id, "digest": _digest(token), "created_at": now}
    connection.execute(insert(tokens), [row])
    return token


def scope_of_token(connection: Connection, token: str) -> TokenScope | None:
    """Return the scope of a token; None for one that is unknown or revoked."""
    digest = _digest(token)
    statement = select(tokens).where(tokens.c.digest == digest, tokens.c.revoked_at.is_(None))
    row = connection.execute(statement).first()
    if row is None or not hmac.compare_digest(row.digest, digest):
        return None
    return TokenScope(name=row.name, store_id=row.store_id)


def list_tokens(connection: Connection) -> list[Row]:
    """Return name, store and times of every token."""
    statement = select(tokens.c.name, tokens.c.store_id, tokens.c.created_at, tokens.c.revoked_at)
    return [dict(row) for row in connection.execute(statement.order_by(tokens.c.name)).mappings()]


def revoke_token(connection: Connection, name: str, now: datetime) -> bool:
    """End a token at once; False when there is none of that name that still counts."""
    where = (tokens.c.name == name, tokens.c.revoked_at.is_(None))
    return connection.execute(update(tokens).where(*where).values(revoked_at=now)).rowcount > 0


def _digest(token: str) -> str:
    # A token holds 256 random bits, so a plain hash cannot be reversed by guessing.
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
