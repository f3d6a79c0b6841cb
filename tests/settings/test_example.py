"""settings.toml in the repository names every key there is, with its default."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from marshmallow import Schema
from marshmallow import fields as kinds

from gateway.model.consent import Category
from gateway.model.decision import GpcRule, Keep, Mode, RenewalRule, SessionRule, UnknownRule
from gateway.model.order import Origin, Platform
from gateway.settings import (
    DEFAULT_POLICY,
    ApiSettings,
    DatabaseSettings,
    DestinationSettings,
    RetentionSettings,
    SecuritySettings,
    StoreSettings,
    WebSettings,
    WorkerSettings,
    load_settings,
)
from gateway.settings.schema import SettingsTable

EXAMPLE = Path(__file__).parents[2] / "settings.toml"
# What an example has to fill in to be one.
FILLED = {
    "stores.id",
    "stores.platform",
    "stores.secrets",
    "stores.origins",
    "stores.policy.mode",
    "stores.policy.unknown",
    "stores.policy.unknown_by_origin.admin",
    "destinations.id",
    "destinations.stores",
    "destinations.url",
    "destinations.secret",
    "destinations.purposes",
    "destinations.headers.X-Example",
    "policy.unknown_by_origin.admin",
    "security.key",
}
TABLES: dict[str, Any] = {
    "database": DatabaseSettings(),
    "security": SecuritySettings(),
    "web": WebSettings(),
    "worker": WorkerSettings(),
    "retention": RetentionSettings(),
    "stores": StoreSettings(id="", platform=""),
    "stores.api": ApiSettings(),
    "destinations": DestinationSettings(id=""),
}
OTHER_DEFAULTS = {
    **{f"policy.{key}": value for key, value in DEFAULT_POLICY.items()},
    "stores.allow.meta_keys": (),
    "stores.renewal_detection.app_ids": (),
    "stores.renewal_detection.tags": (),
    "telemetry.otlp_endpoint": "",
}


def test_example_loads_as_it_stands() -> None:
    settings = load_settings(EXAMPLE, {})

    assert (settings.stores, settings.destinations) == ((), ())
    assert settings.policy == dict(DEFAULT_POLICY)


def test_example_loads_with_everything_uncommented(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(_uncommented(), encoding="utf-8")

    settings = load_settings(path, {"ACME_SECRET": "s", "CONTAINER_SECRET": "s"})

    assert [store.id for store in settings.stores] == ["acme"]
    assert [one.id for one in settings.destinations] == ["container"]


def test_example_names_every_key() -> None:
    named = {re.sub(r"(by_origin|headers)\..*", r"\1", path) for path in _example()}

    # The policy of a store repeats the policy for all stores; it is shown with a few of its keys.
    known = {path for path in _known(SettingsTable()) if not path.startswith("stores.policy.")}
    assert known - named == set()


def test_example_shows_every_default() -> None:
    shown = {path: _frozen(value) for path, value in _example().items() if path not in FILLED}

    assert shown == {path: _default(path) for path in shown}
    assert len(shown) > 40


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_value_of_a_table_can_be_set(table: str) -> None:
    own = {field.name for field in fields(TABLES[table])}
    elsewhere = {"allow_meta_keys", "renewal_app_ids", "renewal_tags"}  # in tables of their own

    keys = {path.removeprefix(f"{table}.").partition(".")[0] for path in _known(SettingsTable()) if _in(table, path)}
    assert own - keys == (elsewhere if table == "stores" else set())
    assert keys - own == ({"allow", "renewal_detection"} if table == "stores" else set())


def test_every_key_of_the_policy_can_be_set() -> None:
    keys = {path.removeprefix("policy.") for path in _known(SettingsTable()) if path.startswith("policy.")}

    assert keys == set(DEFAULT_POLICY)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("policy.mode", Mode),
        ("policy.unknown", UnknownRule),
        ("policy.session_events", SessionRule),
        ("policy.renewals", RenewalRule),
        ("policy.renewal_identifiers", Keep),
        ("policy.secrets", Keep),
        ("policy.gpc", GpcRule),
        ("stores.platform", Platform),
    ],
)
def test_words_are_those_of_the_model(path: str, words: Any) -> None:
    field = _known(SettingsTable())[path]

    assert set(field.validate.choices) == {word.value for word in words}


def test_origins_and_categories_are_those_of_the_model() -> None:
    known = _known(SettingsTable())
    by_origin, purposes = known["policy.unknown_by_origin"], known["destinations.purposes"]

    assert set(by_origin.key_field.validate.choices) == {origin.value for origin in Origin}
    assert {*purposes.inner.validate[0].choices} == {Category.MARKETING.value, Category.ANALYTICS.value}


def _uncommented() -> str:
    text = EXAMPLE.read_text(encoding="utf-8")
    return re.sub(r"(?m)^# (?=\[|[A-Za-z_-]+ = )", "", text)


def _example() -> dict[str, Any]:
    return _flat(tomllib.loads(_uncommented()))


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return _flat(value[0], path)
    if not isinstance(value, dict):
        return {path: value}
    return {at: one for key, inner in value.items() for at, one in _flat(inner, f"{path}.{key}".lstrip(".")).items()}


def _known(shape: Any, path: str = "") -> dict[str, Any]:
    if isinstance(shape, kinds.Nested):
        shape = shape.schema
    if isinstance(shape, kinds.List) and isinstance(shape.inner, kinds.Nested):
        shape = shape.inner.schema
    if not isinstance(shape, Schema):
        return {path: shape}
    return {
        at: one
        for name, field in shape.fields.items()
        for at, one in _known(field, f"{path}.{field.data_key or name}".lstrip(".")).items()
    }


def _default(path: str) -> Any:
    if path in OTHER_DEFAULTS:
        return OTHER_DEFAULTS[path]
    table, _, key = path.rpartition(".")
    return getattr(TABLES[table], key)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _in(table: str, path: str) -> bool:
    return path.startswith(f"{table}.")
