"""check: whether the settings hold, the database answers and the destinations can be reached."""

import argparse
import sys
from pathlib import Path
from typing import Any

from gateway.bootstrap import make_sender, read_settings
from gateway.cli.advice import about_destination, told
from gateway.errors import DeliveryFailed, GatewayError, SettingsInvalid
from gateway.model.counting import count
from gateway.settings import Settings, load_settings
from gateway.storage.probing import differing_policies, probe_database

Mistake = tuple[str, str]


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add `gateway check`."""
    text = "validate settings.toml, try the database and each destination"
    commands.add_parser("check", parents=[common], help=text, description=text).set_defaults(run=_check)


def _check(arguments: argparse.Namespace) -> int:
    settings, errors = _read(arguments.settings)
    if settings is not None:
        errors += _database_errors(settings)
        errors += _destination_errors(settings, {path for path, _ in errors})
    for path, text in errors:
        print(f"gateway: {path}: {text}", file=sys.stderr)
    if settings is not None and not errors:
        stores, destinations = len(settings.stores), len(settings.destinations)
        print(f"all is well: {count(stores, 'store')}, {count(destinations, 'destination')}")
    return 1 if errors else 0


def _read(path: Path) -> tuple[Settings | None, list[Mistake]]:
    """Return the settings as far as they can be tried, and what is wrong with them."""
    try:
        return read_settings(path), []
    except SettingsInvalid as error:
        mistakes = [(at, " ".join(texts)) for at, texts in sorted(error.errors.items())]
    try:
        return load_settings(path), mistakes
    except SettingsInvalid:
        return None, mistakes


def _database_errors(settings: Settings) -> list[Mistake]:
    try:
        print(f"database: {probe_database(settings.database.url)}")
        for line in differing_policies(settings.database.url, {store.id: store.policy for store in settings.stores}):
            print(f"policy: {line}")
    except GatewayError as error:
        return [("database.url", told(error))]
    return []


def _destination_errors(settings: Settings, known: set[str]) -> list[Mistake]:
    """Connect, and send nothing; what is `known` to be wrong is not tried."""
    sender = make_sender(settings)
    errors: list[Mistake] = []
    for at, one in enumerate(settings.destinations):
        path = f"destinations[{at}].url"
        if path in known:
            continue
        try:
            sender.reach(one.url)
            print(f"destination {one.id}: can be reached")
        except DeliveryFailed as failure:
            errors.append((path, f"{one.id} cannot be reached ({failure.word}){about_destination(failure.word)}"))
    sender.close()
    return errors
