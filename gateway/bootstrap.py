"""The only place where parts are put together."""

import base64
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import Any
from urllib.parse import urlsplit

from gateway.deliver.attempt import Door
from gateway.deliver.destinations import DESTINATION_KINDS
from gateway.deliver.send import Sender
from gateway.errors import SettingsInvalid, StartRefused
from gateway.flow.gateway import Gateway
from gateway.flow.parts import Parts, StoreRules, Target
from gateway.flow.policies import PolicyBook
from gateway.flow.telling import Telling
from gateway.model.consent import Category
from gateway.model.delivery import Destination
from gateway.model.order import Platform
from gateway.redact.apply import Rules
from gateway.settings import DestinationSettings, Settings, StoreSettings, decode_key, load_settings
from gateway.storage.database import Database
from gateway.storage.keys import open_keyring
from gateway.storage.policies import lock_policies, seed_policy
from gateway.storage.schema import check_complete
from gateway.storage.sealing import Keyring
from gateway.storage.statements import Connection

_KEY_FILE = "key"
_STORE_TIMEOUT_SECONDS = 60.0
_STORE_RESPONSE_BYTES = 67_108_864


def build(
    settings: Settings,
    *,
    database: Database | None = None,
    sender: Door | None = None,
    clock: Callable[[], datetime] | None = None,
    new_id: Callable[[], str] | None = None,
    jitter: Callable[[], float] | None = None,
) -> Gateway:
    """Put a gateway together on a database that is there and up to date; tests pass fakes for what is outside."""
    targets = make_targets(settings)
    database = database or Database(settings.database.url, clock=clock)
    check_complete(database)
    keyring = open_stored_keyring(settings, database)
    _seed_policies(settings, database)
    parts = Parts(
        settings=settings,
        database=database,
        keyring=keyring,
        policies=PolicyBook(database),
        targets=targets,
        stores={store.id: _rules(store) for store in settings.stores},
        sender=sender or make_sender(settings),
        store_sender=_make_store_sender(settings),
        telling=Telling(database, targets, otlp_endpoint=settings.otlp_endpoint),
        new_id=new_id or _message_id,
        jitter=jitter or SystemRandom().random,
    )
    return Gateway(parts)


def open_stored_keyring(settings: Settings, database: Database) -> Keyring:
    """Return the keys of the settings with the lookup key that this database keeps."""
    return open_keyring(database, *_keys(settings))


def make_sender(settings: Settings) -> Sender:
    """Return the door to the network."""
    return Sender(
        timeout_seconds=settings.worker.timeout_seconds,
        allow_private=settings.worker.allow_private_destinations,
        pool_size=max(settings.worker.threads, 4),
    )


def read_settings(path: Path) -> Settings:
    """Read the settings and ask each kind of destination about its own; raise SettingsInvalid with every mistake."""
    return load_settings(path, check=_mistakes)


def make_targets(settings: Settings) -> dict[str, Target]:
    """Return every destination with its kind; raise SettingsInvalid with every mistake in their configuration."""
    targets: dict[str, Target] = {}
    errors: dict[str, list[str]] = {}
    for at, one in enumerate(settings.destinations):
        for key, text in _mistakes(one):
            errors.setdefault(f"destinations[{at}].{key}", []).append(text)
        kind = DESTINATION_KINDS[one.kind]
        targets[one.id] = Target(destination=_destination(one, kind.default_purposes), kind=kind)
    if errors:
        raise SettingsInvalid(errors)
    return targets


def make_key(settings: Settings) -> Settings:
    """Return settings with a key; without one in the settings, the file `instance/key` is used, or made."""
    if settings.security.key:
        return settings
    path = settings.folder / "instance" / _KEY_FILE
    key = _read_key(path) or _write_key(path)
    return replace(settings, security=replace(settings.security, key=key))


def _make_store_sender(settings: Settings) -> Sender:
    """Return the door to the APIs of stores: a page of orders is large, and takes a while to be put together."""
    return Sender(
        timeout_seconds=_STORE_TIMEOUT_SECONDS,
        allow_private=settings.worker.allow_private_destinations,
        max_response_bytes=_STORE_RESPONSE_BYTES,
        pool_size=1,
    )


def _read_key(path: Path) -> str:
    try:
        key = path.read_text(encoding="ascii").strip()
        if key:
            decode_key(key)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StartRefused(f"{path} cannot be read ({type(error).__name__})") from error
    except ValueError as error:
        raise StartRefused(f"{path} holds no key: 32 bytes in base64; restore it, it opens what is kept") from error
    return key


def _write_key(path: Path) -> str:
    """Write a new key beside its place and link it there: no other process ever sees half of it, or another one."""
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(beside)
    except OSError as error:
        raise StartRefused(f"{path} cannot be written ({error.strerror}); set security.key instead") from error
    finally:
        beside.unlink(missing_ok=True)
    return _read_key(path)


def _keys(settings: Settings) -> tuple[bytes, list[bytes]]:
    if not settings.security.key:
        raise StartRefused("security.key is not set: 32 random bytes in base64, the same for every process")
    try:
        return decode_key(settings.security.key), [decode_key(key) for key in settings.security.previous_keys]
    except ValueError as error:
        raise StartRefused(f"security.key {error}") from error


def _seed_policies(settings: Settings, database: Database) -> None:
    if settings.stores:
        database.write(partial(_seed, policies={one.id: one.policy for one in settings.stores}, now=database.now()))


def _seed(connection: Connection, policies: Mapping[str, Mapping[str, Any]], now: datetime) -> None:
    lock_policies(connection, policies)  # processes that start together read the same file
    for store_id, policy in policies.items():
        seed_policy(connection, store_id, policy, now)


def _mistakes(one: DestinationSettings) -> list[tuple[str, str]]:
    kind = DESTINATION_KINDS[one.kind]
    told = [mistake.partition(": ") for mistake in kind.check(_destination(one, kind.default_purposes))]
    return [(key, text) for key, _, text in told]


def _destination(one: DestinationSettings, default_purposes: tuple[Category, ...]) -> Destination:
    return Destination(
        destination_id=one.id,
        kind=one.kind,
        url=one.url,
        purposes=tuple(Category(word) for word in one.purposes) or default_purposes,
        stores=one.stores,
        topics=one.topics,
        secret=one.secret,
        headers=tuple(one.headers.items()),
    )


def _rules(store: StoreSettings) -> StoreRules:
    urls = [store.api.url, *(origin for origin in store.origins if origin != "null")]
    hosts = {urlsplit(url).hostname for url in urls if url} | {store.api.domain or None}
    rules = Rules(
        shop_hosts=frozenset(host for host in hosts if host), allow_meta_keys=frozenset(store.allow_meta_keys)
    )
    return StoreRules(platform=Platform(store.platform), rules=rules)


def _message_id() -> str:
    return f"msg_{secrets.token_hex(16)}"
