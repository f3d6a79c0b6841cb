"""Reading over HTTP, for whoever holds the store's token."""

from http import HTTPStatus

from flask import Blueprint
from flask.typing import ResponseReturnValue

from gateway.flow.gateway import Gateway
from gateway.web.access import store_token


def make_api(gateway: Gateway) -> Blueprint:
    """Return the routes that read."""
    api = Blueprint("api", __name__, url_prefix="/api/v1/stores/<store_id>")

    @api.get("/orders/<path:order_id>")
    @store_token(gateway)
    def order(store_id: str, order_id: str) -> ResponseReturnValue:
        shown = gateway.order_as_json(store_id, order_id)
        if shown is None:
            return {"status": "order", "reason": "nothing is known of this order"}, HTTPStatus.NOT_FOUND
        return shown

    return api
