"""Whether the process lives, whether it can work, and how it is doing."""

from http import HTTPStatus

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from gateway.errors import GatewayError
from gateway.flow.gateway import Gateway
from gateway.storage.probing import check_writing
from gateway.storage.schema import check_schema


def make_health(gateway: Gateway) -> Blueprint:
    """Return /healthz, /readyz and /metrics."""
    health = Blueprint("health", __name__)

    @health.get("/healthz")
    def alive() -> ResponseReturnValue:
        return {"status": "ok"}

    @health.get("/readyz")
    def ready() -> ResponseReturnValue:
        try:
            check_schema(gateway.database)
            check_writing(gateway.database)
        except GatewayError as error:
            return {"status": "unready", "reason": str(error)}, HTTPStatus.SERVICE_UNAVAILABLE
        return {"status": "ok"}

    @health.get("/metrics")
    def metrics() -> ResponseReturnValue:
        return Response(gateway.telling.render(), content_type="text/plain; version=0.0.4; charset=utf-8")

    return health
