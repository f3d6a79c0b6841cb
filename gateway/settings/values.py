"""What an operator sets, as frozen values; the defaults stand here and nowhere else."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

KEY_BYTES = 32

#: A policy where the settings say nothing; see `gateway.model` for what the words mean.
DEFAULT_POLICY: Mapping[str, Any] = MappingProxyType(
    {
        "mode": "off",
        "unknown": "allow",
        "hold_seconds": 60,
        "event_ttl_seconds": 90,
        "consent_max_age_days": 0,
        "session_events": "gate",
        "renewals": "inherit",
        "renewal_identifiers": "drop",
        "secrets": "keep",
        "gpc": "always",
        "unknown_by_origin": {},
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSettings:
    """Where everything is kept."""

    url: str = field(default="sqlite:///instance/gateway.db", repr=False)

    @property
    def is_sqlite(self) -> bool:
        """Whether one process owns a file, rather than many sharing a server."""
        return self.url.startswith("sqlite")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecuritySettings:
    """Keys for what is kept at rest and for cookies: 32 bytes each, in base64."""

    key: str = field(default="", repr=False)
    previous_keys: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """The address that the gateway listens on, and what it accepts there."""

    host: str = "127.0.0.1"
    port: int = 8080
    public_url: str = ""
    max_body_bytes: int = 10_485_760
    trusted_proxies: tuple[str, ...] = ()
    signals_per_minute: int = 120

    @property
    def base_url(self) -> str:
        """How stores and browsers reach the gateway."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How deliveries are made."""

    threads: int = 4
    poll_seconds: float = 0.2
    lease_seconds: float = 60
    timeout_seconds: float = 10
    retry_horizon_hours: float = 192
    allow_private_destinations: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """How long things are kept."""

    body_days: float = 7
    record_days: float = 1825


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """A store's own API, for reconciliation. WooCommerce: url, key, secret; Shopify: domain, token."""

    url: str = ""
    key: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    domain: str = ""
    token: str = field(default="", repr=False)
    reconcile_minutes: float = 15
    renewal_grace_minutes: float = 60
    reactivate_webhooks: bool = False

    @property
    def is_configured(self) -> bool:
        """Whether the store can be asked at all."""
        return bool((self.url and self.key and self.secret) or (self.domain and self.token))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """One shop. `policy` is [policy] overlaid with [stores.policy]."""

    id: str
    platform: str
    secrets: tuple[str, ...] = field(default=(), repr=False)
    origins: tuple[str, ...] = ()
    test_orders: bool = False
    policy: Mapping[str, Any] = field(default_factory=dict)
    allow_meta_keys: tuple[str, ...] = ()
    api: ApiSettings = field(default_factory=ApiSettings)
    renewal_app_ids: tuple[str, ...] = ()
    renewal_tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationSettings:
    """Where deliveries go; `purposes` empty means the kind's own."""

    id: str
    kind: str = "webhook"
    stores: tuple[str, ...] = ()
    url: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    purposes: tuple[str, ...] = ()
    topics: tuple[str, ...] = ("orders",)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that an operator sets; `folder` is where settings.toml lies."""

    folder: Path
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    security: SecuritySettings = field(default_factory=SecuritySettings)
    web: WebSettings = field(default_factory=WebSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    policy: Mapping[str, Any] = field(default_factory=lambda: dict(DEFAULT_POLICY))
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    stores: tuple[StoreSettings, ...] = ()
    destinations: tuple[DestinationSettings, ...] = ()
    otlp_endpoint: str = field(default="", repr=False)
    _by_id: Mapping[str, StoreSettings] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find stores quickly: each webhook asks for its own."""
        object.__setattr__(self, "_by_id", {store.id: store for store in reversed(self.stores)})

    def store(self, store_id: str) -> StoreSettings | None:
        """Return the store of that id, None where there is none."""
        return self._by_id.get(store_id)


def decode_key(text: str) -> bytes:
    """Return the 32 bytes of a key in base64; raise ValueError for anything else."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be 32 bytes in base64") from error
    if len(key) != KEY_BYTES:
        raise ValueError("must be 32 bytes in base64")
    return key
