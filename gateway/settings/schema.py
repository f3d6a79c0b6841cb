"""The shape of settings.toml: which keys there are, and what each of them takes."""

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import RAISE, Schema, fields, post_load, validate

from gateway.settings import checks
from gateway.settings.values import (
    ApiSettings,
    DatabaseSettings,
    DestinationSettings,
    RetentionSettings,
    SecuritySettings,
    StoreSettings,
    WebSettings,
    WorkerSettings,
)

_CENTURY_DAYS = 36_500
_DAY_SECONDS = 86_400
_DAY_MINUTES = 1440


# --- kinds of values --------------------------------------------------------------------------------------------------


class _Number(fields.Float):
    """A number, and not text that could be read as one."""

    def _validated(self, value: Any) -> float:
        if not isinstance(value, int | float):
            raise self.make_error("invalid")
        return super()._validated(value)


class _Flag(fields.Boolean):
    """true or false, and nothing that merely counts as either."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid")
        return super()._deserialize(value, attr, data, **kwargs)


def _text(**options: Any) -> fields.String:
    return fields.String(error_messages={"required": "is missing", "invalid": "must be text in quotes"}, **options)


def _one_of(*words: str, **options: Any) -> fields.String:
    return _text(validate=validate.OneOf(words, error="must be one of: {choices}"), **options)


def _whole(least: int, most: int) -> fields.Integer:
    limits = validate.Range(least, most, error="must be {min} to {max}")
    return fields.Integer(strict=True, validate=limits, error_messages={"invalid": "must be a whole number"})


def _number(most: float) -> _Number:
    """Take a number above 0, in whatever unit the key names."""
    limits = validate.Range(0, most, min_inclusive=False, error="must be more than {min}, at most {max}")
    text = "must be a number"
    return _Number(validate=limits, error_messages={"invalid": text, "special": text, "too_large": text})


def _flag() -> _Flag:
    return _Flag(error_messages={"invalid": "must be true or false"})


def _list_of(one: fields.Field[Any], **options: Any) -> fields.List[Any]:
    return fields.List(one, error_messages={"required": "is missing", "invalid": "must be a list"}, **options)


def _texts(*checks: Any) -> fields.List[Any]:
    return _list_of(_text(validate=checks or None))


def _words(keys: fields.String, values: fields.String) -> fields.Dict:
    return fields.Dict(keys=keys, values=values, error_messages={"invalid": "must be a table"})


def _tables(table: type[Schema]) -> fields.List[Any]:
    message = "must be a list of tables: write its name in double brackets"
    return fields.List(fields.Nested(table), error_messages={"invalid": message})


def _filled() -> validate.Length:
    return validate.Length(min=1, error="must not be empty")


# --- tables -----------------------------------------------------------------------------------------------------------


class _Table(Schema):
    """Unknown keys are errors; what is loaded becomes `target`, whose defaults stand for what is not given."""

    target: ClassVar[type[Any] | None] = None

    class Meta:
        unknown = RAISE

    error_messages = {"unknown": "is not a known key", "type": "must be a table"}  # noqa: RUF012 - the library's own

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Any:
        frozen = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
        return self.target(**frozen) if self.target else frozen


class _DatabaseTable(_Table):
    target = DatabaseSettings
    url = _text(
        validate=validate.Regexp(
            r"(sqlite:///.+|postgresql\+psycopg://.+)\Z",
            error="must start with sqlite:/// or postgresql+psycopg://",
        )
    )


class _SecurityTable(_Table):
    target = SecuritySettings
    key = _text(validate=checks.check_optional_key)
    previous_keys = _texts(checks.check_key)


class _WebTable(_Table):
    target = WebSettings
    host = _text(validate=_filled())
    port = _whole(1, 65_535)
    public_url = _text(validate=checks.check_optional_url)
    max_body_bytes = _whole(1024, 1 << 30)
    trusted_proxies = _texts(checks.check_network)
    signals_per_minute = _whole(1, 1_000_000)


class _WorkerTable(_Table):
    target = WorkerSettings
    threads = _whole(1, 256)
    poll_seconds = _number(_DAY_SECONDS)
    lease_seconds = _number(_DAY_SECONDS)
    timeout_seconds = _number(_DAY_SECONDS)
    retry_horizon_hours = _number(24 * 366)
    allow_private_destinations = _flag()


class _PolicyTable(_Table):
    """A table of given keys alone, so that a store's own are told from the defaults for every store."""

    mode = _one_of("off", "suppress", "anonymize")
    unknown_rule = _one_of("allow", "deny", data_key="unknown", attribute="unknown")
    hold_seconds = _whole(0, _DAY_SECONDS)
    event_ttl_seconds = _whole(10, 900)
    consent_max_age_days = _whole(0, _CENTURY_DAYS)
    session_events = _one_of("gate", "refuse")
    renewals = _one_of("inherit", "latest", "unknown")
    renewal_identifiers = _one_of("drop", "keep")
    secrets = _one_of("keep", "drop")
    gpc = _one_of("always", "regime")
    unknown_by_origin = _words(
        keys=_one_of("checkout", "admin", "api", "renewal", "pos", "import"), values=_one_of("allow", "deny")
    )


class _RetentionTable(_Table):
    target = RetentionSettings
    body_days = _number(_CENTURY_DAYS)
    record_days = _number(_CENTURY_DAYS)


class _AllowTable(_Table):
    meta_keys = _texts()


class _ApiTable(_Table):
    target = ApiSettings
    url = _text(validate=checks.check_optional_url)
    key = _text()
    secret = _text()
    domain = _text()
    token = _text()
    reconcile_minutes = _number(366 * _DAY_MINUTES)
    renewal_grace_minutes = _number(366 * _DAY_MINUTES)
    reactivate_webhooks = _flag()


class _DetectionTable(_Table):
    app_ids = _texts()
    tags = _texts()


_ID = validate.Regexp(r"[a-z0-9-]{1,40}\Z", error="must be 1 to 40 of a-z, 0-9 and -")


class _StoreTable(_Table):
    id = _text(required=True, validate=_ID)
    platform = _one_of("woocommerce", "shopify", required=True)
    secrets = _list_of(
        _text(validate=_filled()),
        required=True,
        validate=validate.Length(min=1, error="needs at least one secret"),
    )
    origins = _texts(checks.check_origin)
    test_orders = _flag()
    policy = fields.Nested(_PolicyTable)
    allow = fields.Nested(_AllowTable)
    api = fields.Nested(_ApiTable)
    renewal_detection = fields.Nested(_DetectionTable)

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> StoreSettings:
        allow, detection = data.pop("allow", {}), data.pop("renewal_detection", {})
        given: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in data.items()}
        return StoreSettings(
            **given,
            allow_meta_keys=allow.get("meta_keys", ()),
            renewal_app_ids=detection.get("app_ids", ()),
            renewal_tags=detection.get("tags", ()),
        )


class _DestinationTable(_Table):
    target = DestinationSettings
    id = _text(required=True, validate=_ID)
    kind = _one_of("webhook")
    stores = _texts()
    url = _text(required=True, validate=checks.check_url)
    secret = _text()
    purposes = _texts(validate.OneOf(("marketing", "analytics"), error="must be one of: {choices}"))
    topics = _texts()
    headers = _words(keys=_text(), values=_text())


class _TelemetryTable(_Table):
    otlp_endpoint = _text(validate=checks.check_optional_url)


class SettingsTable(_Table):
    """The whole of settings.toml."""

    database = fields.Nested(_DatabaseTable)
    security = fields.Nested(_SecurityTable)
    web = fields.Nested(_WebTable)
    worker = fields.Nested(_WorkerTable)
    policy = fields.Nested(_PolicyTable)
    retention = fields.Nested(_RetentionTable)
    stores = _tables(_StoreTable)
    telemetry = fields.Nested(_TelemetryTable)
    destinations = _tables(_DestinationTable)


Spot = Schema | fields.Field[Any] | None


def inside(spot: Spot, step: str | int) -> Spot:
    """Return what settings.toml may hold one step further in; None for what is no key of it."""
    if isinstance(spot, fields.Nested):
        spot = spot.schema
    if isinstance(spot, Schema) and isinstance(step, str):
        return next((one for name, one in spot.fields.items() if (one.data_key or name) == step), None)
    if isinstance(spot, fields.List) and isinstance(step, int):
        return spot.inner
    if isinstance(spot, fields.Dict) and isinstance(step, str):
        return spot.value_field
    return None


def is_text(spot: Spot) -> bool:
    """Whether text belongs here, to be taken as it is."""
    return isinstance(spot, fields.String)
