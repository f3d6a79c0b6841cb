"""Renewals that a shop schedules itself, for whoever holds the store's token."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from marshmallow import RAISE, Schema, ValidationError, fields, post_load, validate

from gateway.errors import BodyMalformed, RequestInvalid
from gateway.flow.gateway import Gateway
from gateway.flow.renewals import RenewalEnded
from gateway.ingest.body import read_body, write_body
from gateway.model.renewal import MOST_DAYS, MOST_TIMES, Renewal, RenewalChange, Repeat
from gateway.web.access import store_token
from gateway.web.posted import posted_body

_MOST_BODY_BYTES: Final = 131_072
_MOST_PROPERTIES_BYTES: Final = 65_536
_NO_SUCH: Final = {"status": "renewal", "reason": "there is no such renewal"}


def make_renewals(gateway: Gateway) -> Blueprint:
    """Return `/api/v1/stores/{store_id}/renewals`, and what reconciliation found per day."""
    renewals = Blueprint("renewals", __name__, url_prefix="/api/v1/stores/<store_id>")

    @renewals.post("/renewals")
    @store_token(gateway)
    def schedule(store_id: str) -> ResponseReturnValue:
        loaded = _load(_RenewalSchema(), _body())
        shown, is_new = gateway.renewals.schedule(store_id, loaded)
        return shown, HTTPStatus.CREATED if is_new else HTTPStatus.OK

    @renewals.get("/renewals")
    @store_token(gateway)
    def page(store_id: str) -> ResponseReturnValue:
        return gateway.renewals.page(
            store_id, after=request.args.get("after", ""), origin_order_id=request.args.get("origin_order_id", "")
        )

    @renewals.get("/renewals/<renewal_id>")
    @store_token(gateway)
    def show(store_id: str, renewal_id: str) -> ResponseReturnValue:
        return _found(gateway.renewals.show(store_id, renewal_id))

    @renewals.patch("/renewals/<renewal_id>")
    @store_token(gateway)
    def change(store_id: str, renewal_id: str) -> ResponseReturnValue:
        try:
            return _found(gateway.renewals.change(store_id, renewal_id, _load(_ChangeSchema(), _body())))
        except RenewalEnded as ended:
            return {"status": ended.state, "reason": "the renewal is over"}, HTTPStatus.CONFLICT

    @renewals.delete("/renewals/<renewal_id>")
    @store_token(gateway)
    def cancel(store_id: str, renewal_id: str) -> ResponseReturnValue:
        return _found(gateway.renewals.cancel(store_id, renewal_id))

    @renewals.get("/reconciliations")
    @store_token(gateway)
    def reconciliations(store_id: str) -> ResponseReturnValue:
        return gateway.reconciliations_as_json(store_id)

    return renewals


def _found(shown: dict[str, Any] | None) -> ResponseReturnValue:
    return (_NO_SUCH, HTTPStatus.NOT_FOUND) if shown is None else shown


def _body() -> dict[str, object]:
    try:
        return read_body(posted_body(_MOST_BODY_BYTES))
    except BodyMalformed as error:
        raise RequestInvalid({"body": [str(error)]}) from error


def _load(schema: Schema, body: dict[str, object]) -> Any:
    try:
        return schema.load(body)
    except ValidationError as error:
        errors: dict[str, list[str]] = {}
        _flatten(error.messages, errors)
        raise RequestInvalid(errors) from error


def _flatten(messages: Any, errors: dict[str, list[str]], field: str = "") -> None:
    """Name each field by itself: no two of a renewal are called the same."""
    if isinstance(messages, dict):
        for key, value in messages.items():
            _flatten(value, errors, field if key == "_schema" else str(key))
    else:
        errors.setdefault(field or "body", []).extend(str(message) for message in messages)


class _Instant(fields.Field[datetime]):
    """An RFC 3339 time with its offset; a local time without one would mean another instant twice a year."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        if not isinstance(value, str) or "T" not in value.upper():
            raise ValidationError("must be a time like 2026-11-21T15:54:04Z")
        try:
            at = datetime.fromisoformat(value.strip().upper())
            if at.tzinfo is None:
                raise ValidationError("must say its offset from UTC, like 2026-11-21T15:54:04Z")
            return at.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise ValidationError("is not a time that exists") from error


class _Properties(fields.Field[dict[str, object]]):
    """Any JSON object of a bounded size."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, object]:
        if not isinstance(value, dict):
            raise ValidationError("must be an object")
        if len(write_body(value)) > _MOST_PROPERTIES_BYTES:
            raise ValidationError(f"must not be larger than {_MOST_PROPERTIES_BYTES} bytes")
        return value


def _id(**options: Any) -> fields.String:
    pattern = validate.Regexp(r"[A-Za-z0-9_.:-]{1,128}\Z", error="must be 1 to 128 of A-Z, a-z, 0-9 and _ . : -")
    return fields.String(validate=pattern, error_messages={"invalid": "must be a string"}, **options)


def _whole(most: int) -> fields.Integer:
    check = validate.Range(1, most, error="must be {min} to {max}")
    words: dict[str, Any] = {"invalid": "must be a whole number", "required": "is missing"}
    return _Whole(strict=True, required=True, validate=check, error_messages=words)


class _Whole(fields.Integer):
    """A whole number; true and false are none."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> int:
        if isinstance(value, bool):
            raise self.make_error("invalid")
        return super()._deserialize(value, attr, data, **options)


class _Strict(Schema):
    """Unknown keys are errors."""

    class Meta:
        unknown = RAISE

    error_messages = {"unknown": "is not a known key", "type": "must be an object"}  # noqa: RUF012 - marshmallow's own


class _RepeatSchema(_Strict):
    every_days = _whole(MOST_DAYS)
    count = _whole(MOST_TIMES)

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Repeat:
        return Repeat(**data)


class _RenewalSchema(_Strict):
    renewal_id = _id(load_default="")
    origin_order_id = _id(required=True)
    due_at = _Instant(required=True)
    event = _id(required=True)
    properties = _Properties(load_default=dict)
    repeat = fields.Nested(_RepeatSchema, load_default=None, allow_none=True)

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> Renewal:
        return Renewal(**data)


class _ChangeSchema(_Strict):
    due_at = _Instant()
    properties = _Properties()
    repeat = fields.Nested(_RepeatSchema, allow_none=True)

    @post_load
    def build(self, data: dict[str, Any], **_: Any) -> RenewalChange:
        return RenewalChange(named=frozenset(data), **data)
