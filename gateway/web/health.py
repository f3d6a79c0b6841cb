"""Whether the process lives, whether it can work, and how it is doing."""

from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from gateway.errors import GatewayError, NotRecorded
from gateway.flow.gateway import Gateway
from gateway.storage.probing import check_writing
from gateway.storage.schema import check_schema
from gateway.web.front import ANSWER_SECONDS


def make_health(gateway: Gateway) -> Blueprint:
    """Return /healthz, /readyz and /metrics."""
    health = Blueprint("health", __name__)
    thread = ThreadPoolExecutor(1, thread_name_prefix="ready")  # a database that hangs holds up no more than this

    def check() -> None:
        check_schema(gateway.database)
        check_writing(gateway.database)

    @health.get("/healthz")
    def alive() -> ResponseReturnValue:
        return {"status": "ok"}

    @health.get("/readyz")
    def ready() -> ResponseReturnValue:
        checked = thread.submit(check)
        try:
            checked.result(ANSWER_SECONDS)
        except TimeoutError:
            checked.cancel()
            return _unready(NotRecorded("the database does not answer"))
        except GatewayError as error:
            return _unready(error)
        return {"status": "ok"}

    @health.get("/metrics")
    def metrics() -> ResponseReturnValue:
        return Response(gateway.telling.render(), content_type="text/plain; version=0.0.4; charset=utf-8")

    return health


def _unready(error: GatewayError) -> ResponseReturnValue:
    return {"status": "unready", "reason": str(error)}, HTTPStatus.SERVICE_UNAVAILABLE
