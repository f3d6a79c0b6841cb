"""settings.toml and the environment: what an operator sets, read once and handed on as frozen values."""

from gateway.settings.reading import DEFAULT_PATH, load_settings, placed_url, settings_path
from gateway.settings.values import (
    DEFAULT_POLICY,
    ApiSettings,
    DatabaseSettings,
    DestinationSettings,
    RetentionSettings,
    SecuritySettings,
    Settings,
    StoreSettings,
    WebSettings,
    WorkerSettings,
    decode_key,
)

__all__ = [
    "DEFAULT_PATH",
    "DEFAULT_POLICY",
    "ApiSettings",
    "DatabaseSettings",
    "DestinationSettings",
    "RetentionSettings",
    "SecuritySettings",
    "Settings",
    "StoreSettings",
    "WebSettings",
    "WorkerSettings",
    "decode_key",
    "load_settings",
    "placed_url",
    "settings_path",
]
