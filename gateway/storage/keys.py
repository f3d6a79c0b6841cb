"""The lookup key: made once, kept in the database under the current key, so that rotation leaves hashes alone."""

import secrets
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, select, update

from gateway.errors import StartRefused
from gateway.storage.database import Database
from gateway.storage.sealing import KEY_BYTES, CannotOpen, Keyring
from gateway.storage.statements import insert_ignoring
from gateway.storage.tables import facts

_FACT: Final = "lookup_key"


def open_keyring(database: Database, key: bytes, previous: Sequence[bytes] = ()) -> Keyring:
    """Return a keyring with the lookup key of this database; refuses to start with a key that is not its own."""
    keyring = Keyring(key, previous)
    wrapped = database.read(_wrapped) or database.write(lambda connection: _make(connection, keyring, database))
    try:
        return keyring.with_lookup(wrapped)
    except CannotOpen as error:
        raise StartRefused(
            "security.key does not open this database; the key it was made with belongs in security.previous_keys"
        ) from error


def rewrap(database: Database, keyring: Keyring) -> bool:
    """Put the lookup key under the current key; False when it is there already."""
    return database.write(lambda connection: _rewrap(connection, keyring, database))


def _wrapped(connection: Connection) -> str | None:
    return connection.execute(select(facts.c.value).where(facts.c.name == _FACT)).scalar_one_or_none()


def _make(connection: Connection, keyring: Keyring, database: Database) -> str:
    value = keyring.wrap_lookup(secrets.token_bytes(KEY_BYTES))
    insert_ignoring(connection, facts, [{"name": _FACT, "value": value, "updated_at": database.now()}])
    return str(_wrapped(connection))


def _rewrap(connection: Connection, keyring: Keyring, database: Database) -> bool:
    stored = connection.execute(select(facts.c.value).where(facts.c.name == _FACT).with_for_update()).scalar_one()
    if stored.startswith(f"{keyring.key_id}:"):
        return False
    value = keyring.with_lookup(stored).wrapped_lookup()
    connection.execute(update(facts).where(facts.c.name == _FACT).values(value=value, updated_at=database.now()))
    return True
