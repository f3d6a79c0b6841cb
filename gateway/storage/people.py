"""People who may sign in: users, their passwords and one-time links."""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from hashlib import sha256
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, and_, delete, func, insert, not_, select, true, update

from gateway.errors import RequestInvalid
from gateway.storage.audits import Audit, write_audit
from gateway.storage.database import Database
from gateway.storage.reading.keyset import Columns
from gateway.storage.tables import facts, of_microseconds, to_microseconds, users
from gateway.storage.throttles import was_counted

PASSWORD_LENGTH = 12
PASSWORD_LENGTH_MAX = 512
DISTINCT_CHARACTERS = 5
LINK_LIFE = timedelta(hours=24)
FIRST_LINK_LIFE = timedelta(hours=1)
_FIRST = 0  # stands for the user that does not exist yet
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,79}\Z")
_hasher = PasswordHasher()


class Role(StrEnum):
    """What somebody may do; each role may do what those before it may."""

    VIEWER = "viewer"  # reads, with people's data masked
    OPERATOR = "operator"  # also retries, cancels, and reveals what is masked
    OWNER = "owner"  # also policies, users and the audit log

    @property
    def rank(self) -> int:
        """The place in the order of roles, from 0."""
        return list(Role).index(self)

    def may(self, needed: "Role") -> bool:
        """Whether this role includes `needed`."""
        return self.rank >= needed.rank


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may sign in. `stores` empty means every store; `is_invited` means no password was set yet."""

    user_id: int
    name: str
    role: Role
    stores: tuple[str, ...] = ()
    zone: str = "UTC"
    generation: int = 1
    created_at: datetime | None = None
    disabled_at: datetime | None = None
    password_hash: str = field(default="", repr=False)

    @property
    def is_invited(self) -> bool:
        """Whether the user has yet to choose a password."""
        return not self.password_hash

    def may_see(self, store_id: str) -> bool:
        """Whether the user's stores include this one."""
        return not self.stores or store_id in self.stores


def add_user(
    database: Database, *, name: str, role: Role, actor: str, password: str | None = None, stores: Sequence[str] = ()
) -> User:
    """Add a user; without a password they choose one through `invite`. Raise RequestInvalid for what is wrong."""
    errors = {"name": name_faults(name), "password": [] if password is None else password_faults(password, name)}
    _refuse(errors)
    hashed = "" if password is None else _hasher.hash(password)
    now = database.now()

    def job(connection: Connection) -> User:
        return _insert_user(connection, _New(name, hashed, role, tuple(stores)), actor=actor, now=now)

    return database.write(job)


def name_faults(name: str) -> list[str]:
    """Say what is wrong with a user name."""
    return (
        [] if _NAME.match(name) else ["must be 1 to 80 letters, digits and . _ @ + -, and begin with a letter or digit"]
    )


def password_faults(password: str, name: str = "") -> list[str]:
    """Say what is wrong with a password: length counts, and it must not be the name or a few repeated characters."""
    if any("\ud800" <= one <= "\udfff" for one in password):  # bytes of a terminal that are no UTF-8
        return ["must be text in UTF-8"]
    if len(password) < PASSWORD_LENGTH:
        return [f"must have at least {PASSWORD_LENGTH} characters"]
    if len(password) > PASSWORD_LENGTH_MAX:
        return [f"must have at most {PASSWORD_LENGTH_MAX} characters"]
    if len(set(password)) < DISTINCT_CHARACTERS:
        return [f"must have at least {DISTINCT_CHARACTERS} different characters"]
    return ["must not hold the user name"] if name and name.casefold() in password.casefold() else []


def sign_in(database: Database, name: str, password: str) -> User | None:
    """Return the user whose password this is, else None; it takes the same time whether the name exists or not."""
    user = database.read(lambda connection: _find(connection, users.c.name == name))
    nobodys = _hash_of_nobody()  # made for known names as well, so that the first of all takes no longer either
    hashed = user.password_hash if user and user.password_hash else nobodys
    is_right = _verifies(hashed, password) and user is not None and not user.is_invited and user.disabled_at is None
    if is_right and user is not None and _hasher.check_needs_rehash(hashed):
        _rehash(database, user, password)
    return user if is_right else None


def find_user(database: Database, user_id: int, *, unless: str = "") -> User | None:
    """Return the user with this id, None when there is none, it was disabled, or something counts under `unless`."""
    wanted = and_(users.c.id == user_id, not_(was_counted(unless)) if unless else true())
    user = database.read(lambda connection: _find(connection, wanted))
    return user if user and user.disabled_at is None else None


def is_known(database: Database, name: str) -> bool:
    """Whether a user has this name."""
    return database.read(lambda connection: _find(connection, users.c.name == name)) is not None


def list_users(database: Database) -> list[User]:
    """Return every user by name, also those who were disabled."""
    return database.read(
        lambda connection: [_user(row) for row in connection.execute(select(users).order_by("name")).mappings()]
    )


def change_user(database: Database, user_id: int, *, role: Role, stores: Sequence[str], actor: str) -> User:
    """Change a role and its stores; the user has to sign in again. The last owner stays one."""
    now = database.now()

    def job(connection: Connection) -> User:
        before = _require(connection, user_id)
        if before.role is Role.OWNER and (role is not Role.OWNER or stores):
            _keep_an_owner(connection, user_id)
        _update(connection, user_id, role=role.value, stores=list(stores), generation=before.generation + 1)
        detail = {"before": _access(before.role, before.stores), "after": _access(role, stores)}
        write_audit(connection, Audit(at=now, actor=actor, action="user_changed", subject=before.name, detail=detail))
        return _require(connection, user_id)

    return database.write(job)


def set_disabled(database: Database, user_id: int, *, disabled: bool, actor: str) -> User:
    """Shut a user out, or let them in again; the last owner stays."""
    now = database.now()

    def job(connection: Connection) -> User:
        before = _require(connection, user_id)
        if disabled and before.role is Role.OWNER:
            _keep_an_owner(connection, user_id)
        _update(connection, user_id, disabled_at=now if disabled else None, generation=before.generation + 1)
        action = "user_disabled" if disabled else "user_enabled"
        write_audit(connection, Audit(at=now, actor=actor, action=action, subject=before.name))
        return _require(connection, user_id)

    return database.write(job)


def end_sessions(database: Database, user_id: int, *, actor: str) -> None:
    """End every session of a user, on all their devices."""
    now = database.now()

    def job(connection: Connection) -> None:
        user = _require(connection, user_id)
        _update(connection, user_id, generation=user.generation + 1)
        write_audit(connection, Audit(at=now, actor=actor, action="sessions_ended", subject=user.name))

    database.write(job)


def set_password(database: Database, user_id: int, password: str, *, actor: str) -> User:
    """Set a new password; every session that began with the old one ends, and so does a link that is still good."""
    user = database.read(lambda connection: _require(connection, user_id))
    _refuse({"password": password_faults(password, user.name)})
    hashed, now = _hasher.hash(password), database.now()

    def job(connection: Connection) -> User:
        current = _require(connection, user_id)
        _update(connection, user_id, password_hash=hashed, generation=current.generation + 1)
        connection.execute(delete(facts).where(facts.c.name == _link_name(user_id)))
        write_audit(connection, Audit(at=now, actor=actor, action="password_changed", subject=current.name))
        return _require(connection, user_id)

    return database.write(job)


def set_zone(database: Database, user_id: int, zone: str) -> None:
    """Remember in which time zone a user reads."""
    database.write(lambda connection: _update(connection, user_id, zone=zone))


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Whom a one-time link lets in: a user who chooses a password, or None for the very first user."""

    user: User | None


def first_user_link(database: Database, base_url: str) -> str | None:
    """Return a one-time link, good for an hour, that makes the first user; None when there are users already."""
    token, now = secrets.token_urlsafe(32), database.now()

    def job(connection: Connection) -> bool:
        if _count(connection):
            return False
        _put_link(connection, token, _FIRST, now, FIRST_LINK_LIFE)
        return True

    return f"{base_url}/admin/welcome/{token}" if database.write(job) else None


def invite(database: Database, user_id: int, base_url: str, *, actor: str) -> str:
    """Return a one-time link, good for a day, by which a user chooses a new password; earlier links end."""
    token, now = secrets.token_urlsafe(32), database.now()

    def job(connection: Connection) -> None:
        user = _require(connection, user_id)
        _put_link(connection, token, user_id, now, LINK_LIFE)
        write_audit(connection, Audit(at=now, actor=actor, action="link_made", subject=user.name))

    database.write(job)
    return f"{base_url}/admin/welcome/{token}"


def find_link(database: Database, token: str) -> Link | None:
    """Return whom a link lets in, None when it is unknown, used or too old."""
    now = database.now()
    return database.read(lambda connection: _link(connection, token, now))


def use_link(database: Database, token: str, *, name: str, password: str) -> User | None:
    """Choose a password through a link, which ends with it; the first user becomes owner. None: a dead link."""
    link = find_link(database, token)
    if link is None:
        return None
    chosen = link.user.name if link.user else name
    _refuse({"name": name_faults(chosen), "password": password_faults(password, chosen)})
    hashed, now = _hasher.hash(password), database.now()

    def job(connection: Connection) -> User | None:
        found = _link(connection, token, now)
        if found is None:
            return None
        connection.execute(
            delete(facts).where(facts.c.name == _link_name(found.user.user_id if found.user else _FIRST))
        )
        if found.user is None:
            return _insert_user(connection, _New(name, hashed, Role.OWNER), actor=name, now=now)
        _update(connection, found.user.user_id, password_hash=hashed, generation=found.user.generation + 1)
        audit = Audit(at=now, actor=found.user.name, action="password_changed", subject=found.user.name)
        write_audit(connection, audit)
        return _require(connection, found.user.user_id)

    return database.write(job)


@dataclass(frozen=True, slots=True)
class _New:
    name: str
    hashed: str = field(repr=False)
    role: Role
    stores: tuple[str, ...] = ()


def _insert_user(connection: Connection, new: _New, *, actor: str, now: datetime) -> User:
    if _find(connection, func.lower(users.c.name) == new.name.lower()):
        raise RequestInvalid({"name": ["is taken"]})
    access = _access(new.role, new.stores)
    row = {"name": new.name, "password_hash": new.hashed, **access, "created_at": now}
    connection.execute(insert(users).values(**row, generation=1, zone="UTC"))
    write_audit(connection, Audit(at=now, actor=actor, action="user_added", subject=new.name, detail=access))
    user = _find(connection, users.c.name == new.name)
    if user is None:
        raise RequestInvalid({"name": ["could not be added"]})
    return user


def _access(role: Role, stores: Sequence[str]) -> dict[str, object]:
    return {"role": role.value, "stores": list(stores)}


def _find(connection: Connection, condition: Any) -> User | None:
    row = connection.execute(select(users).where(condition)).mappings().first()
    return _user(row) if row else None


def _require(connection: Connection, user_id: int) -> User:
    user = _find(connection, users.c.id == user_id)
    if user is None:
        raise RequestInvalid({"user": ["there is no such user"]})
    return user


def _update(connection: Connection, user_id: int, **values: object) -> None:
    connection.execute(update(users).where(users.c.id == user_id).values(**values))


def _count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(users)).scalar_one()


def _keep_an_owner(connection: Connection, user_id: int) -> None:
    others = select(users.c.stores).where(
        users.c.role == Role.OWNER.value, users.c.disabled_at.is_(None), users.c.id != user_id
    )
    if not any(not stores for stores in connection.execute(others).scalars()):
        raise RequestInvalid({"user": ["is the last owner of every store; make another one first"]})


def _put_link(connection: Connection, token: str, user_id: int, now: datetime, life: timedelta) -> None:
    value = json.dumps({"digest": _digest(token), "user_id": user_id, "expires": to_microseconds(now + life)})
    connection.execute(delete(facts).where(facts.c.name == _link_name(user_id)))
    connection.execute(insert(facts).values(name=_link_name(user_id), value=value, updated_at=now))


def _link(connection: Connection, token: str, now: datetime) -> Link | None:
    rows = connection.execute(select(facts.c.value).where(facts.c.name.startswith("link:", autoescape=True))).scalars()
    for link in map(json.loads, rows):
        if secrets.compare_digest(link["digest"], _digest(token)) and of_microseconds(link["expires"]) > now:
            return _link_to(connection, link["user_id"])
    return None


def _link_to(connection: Connection, user_id: int) -> Link | None:
    if user_id == _FIRST:
        return None if _count(connection) else Link(user=None)
    user = _find(connection, users.c.id == user_id)
    return Link(user=user) if user and user.disabled_at is None else None


def _link_name(user_id: int) -> str:
    return f"link:{user_id}"


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _verifies(hashed: str, password: str) -> bool:
    try:
        return _hasher.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


def _rehash(database: Database, user: User, password: str) -> None:
    hashed = _hasher.hash(password)
    database.write(lambda connection: _update(connection, user.user_id, password_hash=hashed))


def _refuse(errors: dict[str, list[str]]) -> None:
    if found := {name: texts for name, texts in errors.items() if texts}:
        raise RequestInvalid(found)


def _user(row: Columns) -> User:
    return User(
        user_id=row["id"],
        name=row["name"],
        role=Role(row["role"]),
        stores=tuple(row["stores"]),
        zone=row["zone"],
        generation=row["generation"],
        created_at=row["created_at"],
        disabled_at=row["disabled_at"],
        password_hash=row["password_hash"],
    )


@cache
def _hash_of_nobody() -> str:
    """What an unknown name is checked against, so that nobody learns from the time whether a name exists."""
    return _hasher.hash(secrets.token_urlsafe(16))
