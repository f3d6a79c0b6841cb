"""settings.toml and the environment become frozen values; every mistake is reported at once.

A string `env:NAME` or `file:PATH` anywhere is replaced by what that variable or file holds. Any key can be
overridden from the environment: `GATEWAY__WEB__PORT=9000`, `GATEWAY__STORES__0__POLICY__MODE=suppress`.
Relative paths are relative to the folder of settings.toml.
"""

import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from gateway.errors import SettingsInvalid
from gateway.settings.checks import Mistake, mistakes_together
from gateway.settings.environment import Surroundings, join, override, resolve
from gateway.settings.schema import SettingsTable, Spot, inside, is_text
from gateway.settings.values import DEFAULT_POLICY, DatabaseSettings, DestinationSettings, Settings, StoreSettings

DEFAULT_PATH = "settings.toml"
CheckDestination = Callable[[DestinationSettings], Iterable[Mistake]]
_SQLITE = "sqlite:///"
_STAND_IN = {"id": "x", "url": "https://host"}  # for what is wrong, so that the rest can be judged


def settings_path() -> Path:
    """Return where settings are read from unless the command line says otherwise."""
    return Path(os.environ.get("GATEWAY_SETTINGS") or DEFAULT_PATH)  # noqa: TID251 - the one place that reads it


def load_settings(
    path: Path, environment: Mapping[str, str] | None = None, *, check: CheckDestination | None = None
) -> Settings:
    """Read settings.toml and the environment; raise SettingsInvalid with every mistake and its path.

    `check` says what a kind of destination has against its settings; it is asked even where other keys are wrong.
    """
    variables = os.environ if environment is None else environment  # noqa: TID251 - the one place that reads it
    around = Surroundings(variables=variables, folder=path.resolve().parent)
    raw, shape = _parsed(path), SettingsTable()
    set_by = override(raw, shape, around)
    resolved = resolve(raw, shape, around)
    loaded, found = _loaded(shape, resolved)
    found += _refused(shape, resolved, check) if check else []
    unread = set(around.mistakes)  # what could not be found out is told once, not judged as well
    for at, text in [*mistakes_together(resolved), *found]:
        if at not in unread:
            hint = f" (set by {set_by[at]})" if at in set_by else ""
            around.mistakes.setdefault(at or "settings", []).append(text + hint)
    if around.mistakes:
        raise SettingsInvalid(around.mistakes)
    return _assembled(loaded, around.folder)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise SettingsInvalid({str(path): ["there is no such file; name another with --settings PATH"]}) from error
    except OSError as error:
        raise SettingsInvalid({str(path): [f"cannot be read: {error.strerror}"]}) from error
    except UnicodeDecodeError as error:
        raise SettingsInvalid({str(path): ["cannot be read: is not UTF-8 text"]}) from error
    except RecursionError as error:
        raise SettingsInvalid({str(path): ["is not valid TOML: too many brackets inside each other"]}) from error
    except ValueError as error:
        raise SettingsInvalid({str(path): [f"is not valid TOML: {error}"]}) from error


def _loaded(shape: SettingsTable, resolved: dict[str, Any]) -> tuple[dict[str, Any], list[Mistake]]:
    try:
        return shape.load(resolved), []
    except ValidationError as error:
        return {}, [*_flat(error.messages, shape)]


def _refused(shape: SettingsTable, resolved: dict[str, Any], check: CheckDestination) -> list[Mistake]:
    tables = resolved.get("destinations")
    found: list[Mistake] = []
    for at, table in enumerate(tables if isinstance(tables, list) else []):
        messages: dict[str, Any] = shape.validate({"destinations": [table]})
        wrong = messages.get("destinations", {}).get(0, {})
        if wrong.keys() & {"_schema", "kind"}:
            continue
        sound = {key: value for key, value in table.items() if key not in wrong}
        alone, _ = _loaded(shape, {"destinations": [_STAND_IN | sound]})
        mistakes = check(alone["destinations"][0])
        found += [(f"destinations[{at}].{key}", text) for key, text in mistakes if key not in wrong]
    return found


def _flat(messages: Any, spot: Spot, path: str = "") -> Iterator[Mistake]:
    if isinstance(messages, dict):
        for key, value in messages.items():
            if key == "_schema" or is_text(spot):  # of the table as a whole; of a key or value in a table of texts
                yield from _flat(value, spot, path)
            else:
                yield from _flat(value, inside(spot, key), join(path, key))
    elif isinstance(messages, list):
        yield from ((path, str(message)) for message in messages)


def _assembled(loaded: Mapping[str, Any], folder: Path) -> Settings:
    given = dict(loaded)
    policy = _overlaid(DEFAULT_POLICY, given.pop("policy", {}))
    database: DatabaseSettings = given.pop("database", DatabaseSettings())
    telemetry = given.pop("telemetry", {})
    stores: tuple[StoreSettings, ...] = given.pop("stores", ())
    return Settings(
        folder=folder,
        database=DatabaseSettings(url=placed_url(database.url, folder)),
        policy=policy,
        stores=tuple(replace(store, policy=_overlaid(policy, store.policy)) for store in stores),
        otlp_endpoint=telemetry.get("otlp_endpoint", ""),
        **given,
    )


def _overlaid(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given` over `defaults`, tables key by key."""
    tables = {key: {**defaults[key], **value} for key, value in given.items() if isinstance(value, dict)}
    return {**defaults, **given, **tables}


def placed_url(url: str, folder: Path) -> str:
    """Return a database URL whose relative path is that of a file in `folder`."""
    return f"{_SQLITE}{folder / url.removeprefix(_SQLITE)}" if url.startswith(_SQLITE) else url
